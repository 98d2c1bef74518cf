//! One session for many requests, as a pooler in transaction mode and PostgREST have it: what a request says of its company ends
//! with its transaction, in statements that were prepared and plans that were kept too.

use postgres::{Client, Statement};

use crate::stage::{A, B, Ground, Stage, attempt, must_be_denied, run};

/// How a request says whose it is.
#[derive(Clone, Copy, Debug)]
enum Said {
    /// As PostgREST does.
    InClaims,
    /// As an application with a pooler of its own does.
    InTheSetting,
}

/// An application's role, which is whatever its request says, and the session that its pooler keeps.
fn pooled(plans: &str) -> (Stage, Client) {
    let stage = Stage::bare(Ground::Plain);
    stage.add_role("app", None, &["producer", "consumer", "operator", "auditor"]);
    stage.bind("app", None);
    run(
        &mut stage.owner(),
        "SELECT tms_target_set('pulled', 'pull'), tms_subscribe('load.*', 'n8n');
         CREATE FUNCTION seen() RETURNS text LANGUAGE plpgsql AS $$
             BEGIN RETURN (SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.event_outbox); END $$;
         CREATE FUNCTION enqueued() RETURNS text LANGUAGE plpgsql AS $$
             DECLARE event uuid := tms_enqueue('load.moved', '{}', 'n8n');
             BEGIN RETURN (SELECT company_id FROM tms.event_outbox WHERE id = event); END $$;
         CREATE FUNCTION published() RETURNS text LANGUAGE plpgsql AS $$
             DECLARE events uuid[] := tms_publish('load.moved', '{}');
             BEGIN RETURN (SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.event_outbox WHERE id = ANY (events)); END $$;
         CREATE FUNCTION whose() RETURNS uuid LANGUAGE sql STABLE AS 'SELECT tms_current_company()'",
    );
    let mut client = stage.client("app");
    run(&mut client, &format!("SET plan_cache_mode = {plans}"));
    (stage, client)
}

fn begin(client: &mut Client, said: Said, company: Option<&str>) {
    run(client, "BEGIN");
    if let Some(company) = company {
        say(client, said, company);
    }
}

fn say(client: &mut Client, said: Said, company: &str) {
    let set = match said {
        Said::InClaims => format!(
            "SELECT set_config('request.jwt.claims', '{{\"app_metadata\": {{\"company_id\": \"{company}\"}}}}', true)"
        ),
        Said::InTheSetting => format!("SET LOCAL tms.company_id = '{company}'"),
    };
    run(client, &set);
}

/// What is asked in each request, by statements that were prepared once. Each answers with the one company that it met.
const ASKED: [&str; 9] = [
    "SELECT tms_current_company()::text",
    "SELECT whose()::text",
    "SELECT seen()",
    "SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.event_outbox",
    "SELECT enqueued()",
    "SELECT published()",
    "INSERT INTO tms.event_outbox (event_type, payload, target_system) VALUES ('load.moved', '{}', 'pulled') RETURNING company_id::text",
    "SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms_outbox_claim('pulled')",
    "SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.idempotency_keys",
];

#[test]
fn prepared_statements_ask_for_the_company_of_each_request() {
    for plans in ["auto", "force_generic_plan", "force_custom_plan"] {
        let (_stage, mut client) = pooled(plans);
        let asked: Vec<Statement> = ASKED.iter().map(|sql| client.prepare(sql).unwrap()).collect();
        // Beyond the five executions after which a plan may become generic, and in turns that never repeat too soon.
        for round in 0..8 {
            for (said, company) in [
                (Said::InClaims, A),
                (Said::InTheSetting, B),
                (Said::InTheSetting, A),
                (Said::InClaims, B),
            ] {
                begin(&mut client, said, Some(company));
                // The keys are read last, so each company has used one by then.
                run(
                    &mut client,
                    &format!(
                        "SELECT tms_enqueue('load.moved', '{{}}', 'n8n', idempotency_key => 'same-{round}')"
                    ),
                );
                for (sql, statement) in ASKED.iter().zip(&asked) {
                    let answer: Option<String> = client.query_one(statement, &[]).expect(sql).get(0);
                    assert_eq!(
                        answer.as_deref(),
                        Some(company),
                        "{plans}, round {round}, {said:?}: {sql}"
                    );
                }
                run(&mut client, if round % 3 == 2 { "ROLLBACK" } else { "COMMIT" });
                nobody_asks(&mut client, &asked);
            }
        }
    }
}

/// The request after it says nothing of a company.
fn nobody_asks(client: &mut Client, asked: &[Statement]) {
    for (sql, statement) in ASKED.iter().zip(asked) {
        match client.query_one(statement, &[]) {
            Ok(row) => assert_eq!(row.get::<_, Option<String>>(0), None, "{sql}"),
            Err(error) => {
                let told = error.as_db_error().map(|error| error.code().code().to_owned());
                assert_eq!(told.as_deref(), Some("42501"), "{sql}");
            }
        }
    }
}

#[test]
fn a_request_that_fails_leaves_nothing_to_the_next() {
    let (stage, mut client) = pooled("auto");
    for said in [Said::InClaims, Said::InTheSetting] {
        for wrong in [
            "SELECT 1 / 0",
            "SELECT tms_enqueue('load.moved', '{}', 'nowhere')",
            "SELECT tms_enqueue('load.moved', '{}', 'n8n', '{unknown}')",
            "SELECT tms_outbox_claim('nowhere')",
        ] {
            begin(&mut client, said, Some(A));
            assert_eq!(stage.company(&mut client).as_deref(), Some(A));
            attempt(&mut client, &stage.text(wrong)).expect_err(wrong);
            run(&mut client, "ROLLBACK");
            assert_eq!(stage.company(&mut client), None, "{said:?}: {wrong}");
            must_be_denied(
                &mut client,
                "nobody",
                "SELECT tms_enqueue('load.moved', '{}', 'n8n')",
            );
        }
    }
}

#[test]
fn a_savepoint_takes_its_company_with_it() {
    let (stage, mut client) = pooled("force_generic_plan");
    let enqueue = client
        .prepare("SELECT tms_enqueue('load.moved', '{}', 'n8n')")
        .unwrap();
    for said in [Said::InClaims, Said::InTheSetting] {
        begin(&mut client, said, Some(A));
        run(&mut client, "SAVEPOINT s");
        say(&mut client, said, B);
        client.query_one(&enqueue, &[]).unwrap();
        assert_eq!(stage.ask(&mut client, "SELECT seen()").as_deref(), Some(B));
        run(&mut client, "ROLLBACK TO s");
        client.query_one(&enqueue, &[]).unwrap();
        assert_eq!(stage.ask(&mut client, "SELECT seen()").as_deref(), Some(A));
        run(&mut client, "COMMIT");
        assert_eq!(stage.ask(&mut client, "SELECT seen()"), None);
    }
    let companies = "SELECT string_agg(DISTINCT company_id::text, ' ') FROM tms.event_outbox";
    assert_eq!(stage.ask(&mut stage.owner(), companies).as_deref(), Some(A));
}

#[test]
fn a_key_of_one_request_is_not_known_to_another_companys() {
    let (stage, mut client) = pooled("force_generic_plan");
    let enqueue = client
        .prepare("SELECT tms_enqueue('load.moved', '{}', 'n8n', idempotency_key => 'order-7', ordering_key => 'load-1')::text")
        .unwrap();
    let mut ids = Vec::new();
    for company in [A, B, A, B] {
        begin(&mut client, Said::InClaims, Some(company));
        ids.push(client.query_one(&enqueue, &[]).unwrap().get::<_, String>(0));
        run(&mut client, "COMMIT");
    }
    assert_eq!(ids[0], ids[2]);
    assert_eq!(ids[1], ids[3]);
    assert_ne!(ids[0], ids[1]);
    let hashes = "SELECT count(DISTINCT ordering_hash) FROM tms.event_outbox";
    assert_eq!(stage.ask(&mut stage.owner(), hashes).as_deref(), Some("2"));
}

#[test]
fn a_pooler_that_resets_its_session_resets_the_company() {
    let (stage, mut client) = pooled("auto");
    for reset in ["RESET ALL", "DISCARD ALL"] {
        run(&mut client, &format!("SET tms.company_id = '{A}'"));
        assert_eq!(stage.company(&mut client).as_deref(), Some(A));
        run(&mut client, reset);
        assert_eq!(stage.company(&mut client), None, "{reset}");
        assert_eq!(stage.ask(&mut client, "SELECT seen()"), None, "{reset}");
    }
}
