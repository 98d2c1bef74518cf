//! Whose a source is, and who may do what with it.

use postgres::Client;
use serde_json::{Value, json};

use crate::stage::{
    A, B, Message, OLD_SECRET, SECRET, UNKNOWN, message, refusal, run, stage, text, verify, verify_from,
};

#[test]
fn a_source_is_its_company_s_own() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (role, company) in [("a", A), ("b", B)] {
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{company}');
                 SELECT tms_grant('{role}', c) FROM unnest(ARRAY['consumer', 'operator']) c"
            ),
        );
    }
    run(
        &mut owner,
        "CREATE ROLE nobody LOGIN; SELECT tms_grant('nobody', c) FROM unnest(ARRAY['consumer', 'operator']) c",
    );
    let (mut a, mut b) = (
        cluster.client_as("a", "postgres"),
        cluster.client_as("b", "postgres"),
    );
    run(
        &mut a,
        &format!("SELECT tms_webhook_source_set('partner', '{{\"secret\": \"{SECRET}\"}}')"),
    );
    let signed = message(&mut owner, SECRET, "msg_1", 0, "{}");
    assert_eq!(verify_from(&mut a, "partner", &signed)["duplicate"], json!(false));
    // The same name is B's to take, with its own secret and its own receipts.
    let unknown = |client: &mut Client, source: &str| {
        let (state, said) = refusal(
            client,
            &format!("SELECT tms_webhook_verify('{source}', '{{}}', '')"),
        );
        assert_eq!(state, "42704", "{said}");
        said.replace(source, "NAME")
    };
    assert_eq!(
        unknown(&mut b, "partner"),
        unknown(&mut b, "none"),
        "A's source is unknown to B"
    );
    assert_eq!(
        unknown(&mut b, "carrier"),
        unknown(&mut b, "none"),
        "and so is the platform's"
    );
    run(
        &mut b,
        &format!("SELECT tms_webhook_source_set('partner', '{{\"secret\": \"{OLD_SECRET}\"}}')"),
    );
    assert_eq!(verify_from(&mut b, "partner", &signed)["valid"], json!(false));
    let by_b = message(&mut owner, OLD_SECRET, "msg_1", 0, "{}");
    assert_eq!(verify_from(&mut b, "partner", &by_b)["duplicate"], json!(false));
    assert_eq!(
        text(
            &mut b,
            "SELECT string_agg(company_id::text, ' ') FROM tms.webhook_sources"
        ),
        B
    );
    the_company_is_asked_for(&mut owner, &mut b, &signed);
    let mut nobody = cluster.client_as("nobody", "postgres");
    for call in [
        "SELECT tms_webhook_verify('partner', '{}', '')",
        "SELECT tms_webhook_source_set('partner', '{}')",
    ] {
        assert_eq!(refusal(&mut nobody, call).0, "42501", "{call}");
    }
}

/// The platform may name any company, a company itself alone.
fn the_company_is_asked_for(owner: &mut Client, b: &mut Client, signed: &Message) {
    for company in [A, UNKNOWN] {
        for call in [
            format!("SELECT tms_webhook_verify('partner', '{{}}', '', '{company}')"),
            format!("SELECT tms_webhook_source_set('partner', '{{}}', '{company}')"),
        ] {
            assert_eq!(refusal(b, &call).0, "42501", "{call}");
        }
    }
    let answer: Value = owner
        .query_one(
            &format!("SELECT tms_webhook_verify('partner', $1, $2, '{A}')"),
            &[&signed.headers, &signed.body],
        )
        .unwrap()
        .get(0);
    assert_eq!(answer["duplicate"], json!(true), "{answer}");
}

#[test]
fn each_capability_gives_its_own_function() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let received = message(&mut owner, SECRET, "msg_1", 0, "{}");
    assert_eq!(verify(&mut owner, &received)["valid"], json!(true));
    let set = format!("SELECT tms_webhook_source_set('partner', '{{\"secret\": \"{SECRET}\"}}')");
    let ask = "SELECT tms_webhook_verify('partner', '{}', '')";
    for capability in ["operator", "consumer", "producer", "agent", "approver", "auditor"] {
        let role = format!("a_{capability}");
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{A}'), tms_grant('{role}', '{capability}')"
            ),
        );
        let mut client = cluster.client_as(&role, "postgres");
        for (call, who) in [(&*set, "operator"), (ask, "consumer")] {
            if capability == who {
                run(&mut client, call);
            } else {
                assert_eq!(refusal(&mut client, call).0, "42501", "{role}: {call}");
            }
        }
        for hidden in ["webhook_source_secrets", "webhook_receipts"] {
            sees_nothing(&mut client, &role, hidden);
        }
    }
}

/// Refused, or for an auditor's pg_dump answered with no row, though there are some.
fn sees_nothing(client: &mut Client, role: &str, table: &str) {
    match client.query_one(&format!("SELECT count(*) FROM tms.{table}"), &[]) {
        Ok(row) => assert_eq!((role, row.get::<_, i64>(0)), ("a_auditor", 0), "{table}"),
        Err(error) => assert_eq!(
            error.code().map(|code| code.code()),
            Some("42501"),
            "{role}: {table}"
        ),
    }
}
