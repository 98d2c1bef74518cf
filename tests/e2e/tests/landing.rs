//! Personal data does not land and does not leave: whoever writes the row, in whatever way, and whoever is sent the event.

use std::time::Duration;

use postgres::Client;
use tms_e2e::ask::{becomes, number, refusal, run, text};
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Behaviour, Receiver, Record};
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(60);
const COMPANY: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const OTHER: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
/// Stands in what is written, and may be found nowhere afterwards.
const NAME: &str = "Ada Mustermann";
const MAIL: &str = "ada.mustermann@example.com";

/// A server with two companies: of the first an agent and an operator, of the second an agent.
fn stage() -> Cluster {
    let cluster = Cluster::builder().start();
    let mut client = cluster.client("postgres");
    run(
        &mut client,
        &format!(
            "CREATE EXTENSION tms;
             CREATE ROLE agent LOGIN; CREATE ROLE operator LOGIN; CREATE ROLE other LOGIN;
             SELECT tms_bind_role('agent', '{COMPANY}'), tms_bind_role('operator', '{COMPANY}'), tms_bind_role('other', '{OTHER}');
             SELECT tms_grant('agent', 'agent'), tms_grant('operator', 'operator'), tms_grant('other', 'agent'),
                    tms_grant('other', 'operator');"
        ),
    );
    cluster
}

fn payload() -> String {
    format!(
        r#"{{"load": 7, "customerName": "{NAME}", "stops": [{{"Phone": "+49 30 901820", "city": "Kiel"}}], "rate": 1e400}}"#
    )
}

/// The newest line, message and meta.
#[track_caller]
fn newest_line(client: &mut Client) -> (String, String) {
    let row = client
        .query_one(
            "SELECT message, meta::text FROM tms.agent_logs ORDER BY id DESC LIMIT 1",
            &[],
        )
        .expect("a line");
    (row.get(0), row.get(1))
}

#[test]
fn a_line_is_redacted_whoever_writes_it_and_how() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let mut agent = cluster.client_as("agent", "postgres");
    let message = format!("could not reach {MAIL}");
    let meta = payload();
    let insert =
        format!("INSERT INTO tms.agent_logs (level, message, meta) VALUES ('warn', '{message}', '{meta}')");
    let log = format!("SELECT tms_log('warn', '{message}', '{meta}', 'rates_agent')");
    let copy = format!(
        "COPY tms.agent_logs (level, message, meta) FROM PROGRAM 'printf \"warn\\t{message}\\t%s\\n\" ''{meta}'''"
    );
    let expected = (
        "could not reach [REDACTED]".to_owned(),
        format!(
            r#"{{"load": 7, "rate": 1{}, "stops": [{{"city": "Kiel", "Phone": "[REDACTED]"}}], "customerName": "[REDACTED]"}}"#,
            "0".repeat(400)
        ),
    );
    let mut written = 0;
    for (client, way) in [(0, &log), (0, &insert), (1, &insert), (1, &copy), (2, &insert)] {
        match client {
            0 => run(&mut agent, way),
            1 => run(&mut platform, way),
            _ => run(
                &mut platform,
                &format!("SET session_replication_role = replica; {way}; RESET session_replication_role"),
            ),
        }
        written += 1;
        assert_eq!(
            number(&mut platform, "SELECT count(*) FROM tms.agent_logs"),
            written
        );
        assert_eq!(newest_line(&mut platform), expected, "{way}");
    }
    run(
        &mut platform,
        &format!("UPDATE tms.agent_logs SET message = '{MAIL}'"),
    );
    assert_eq!(newest_line(&mut platform).0, "[REDACTED]");
    let company = "SELECT count(*) FROM tms.agent_logs WHERE company_id";
    assert_eq!(number(&mut platform, &format!("{company} = '{COMPANY}'")), 2);
}

#[test]
fn an_agent_writes_for_its_own_company_alone_and_reads_nothing() {
    let cluster = stage();
    let mut agent = cluster.client_as("agent", "postgres");
    let insert = format!("INSERT INTO tms.agent_logs (company_id, message) VALUES ('{OTHER}', 'x')");
    assert_eq!(refusal(&mut agent, &insert).code, "42501");
    let id = "INSERT INTO tms.agent_logs (id, message) VALUES (gen_random_uuid(), 'x')";
    for statement in [
        id,
        "SELECT message FROM tms.agent_logs",
        "UPDATE tms.agent_logs SET message = 'x'",
        "DELETE FROM tms.agent_logs",
        "SELECT master FROM tms.redaction_keys",
        "SELECT tms_redaction_rotate_key()",
        "SELECT tms_redaction_set('{}')",
        "ALTER TABLE tms.agent_logs DISABLE TRIGGER redact_row",
    ] {
        assert_eq!(refusal(&mut agent, statement).code, "42501", "{statement}");
    }
    let wrong = refusal(&mut agent, "SELECT tms_log('warning', 'x')");
    assert_eq!(wrong.code, "22023");
    assert!(wrong.detail.contains("debug, info, warn, error"), "{wrong:?}");
    let mut operator = cluster.client_as("operator", "postgres");
    let foreign = format!("SELECT tms_redaction_set('{{}}', '{OTHER}')");
    assert_eq!(refusal(&mut operator, &foreign).code, "42501");
}

#[test]
fn a_companys_rules_hold_from_their_commit_on_for_it_alone() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let mut agent = cluster.client_as("agent", "postgres");
    let mut other = cluster.client_as("other", "postgres");
    let mut operator = cluster.client_as("operator", "postgres");
    let line = r#"SELECT tms_log('info', 'x', '{"phone": "1", "pin": "2"}')"#;
    let mut meta = |client: &mut Client| {
        run(client, line);
        newest_line(&mut platform).1
    };
    let by_default = r#"{"pin": "2", "phone": "[REDACTED]"}"#;
    let by_own = r#"{"pin": "[REDACTED]", "phone": "1"}"#;
    assert_eq!(meta(&mut agent), by_default);
    run(
        &mut operator,
        r#"BEGIN; SELECT tms_redaction_set('{"fields": ["pin"]}')"#,
    );
    assert_eq!(meta(&mut agent), by_default);
    run(&mut operator, "COMMIT");
    assert_eq!(meta(&mut agent), by_own);
    assert_eq!(meta(&mut other), by_default);
    run(&mut operator, "SELECT tms_redaction_set(NULL)");
    assert_eq!(meta(&mut agent), by_default);
    run(
        &mut cluster.client("postgres"),
        r#"SELECT tms_redaction_set('{"fields": ["pin"]}')"#,
    );
    assert_eq!(
        (meta(&mut agent), meta(&mut other)),
        (by_own.to_owned(), by_own.to_owned())
    );
    let wrong = refusal(
        &mut operator,
        r#"SELECT tms_redaction_set('{"feilds": ["pin"]}')"#,
    );
    assert_eq!(wrong.code, "22023");
    assert!(wrong.hint.contains("fields"), "{wrong:?}");
}

#[test]
fn tokens_join_inside_a_company_and_nowhere_else() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let mut agent = cluster.client_as("agent", "postgres");
    let mut other = cluster.client_as("other", "postgres");
    let rules = r#"SELECT tms_redaction_set('{"fields": ["name"], "mode": "hmac"}')"#;
    let without = refusal(&mut platform, rules);
    assert_eq!(without.code, "22023");
    assert!(without.hint.contains("tms_redaction_rotate_key()"), "{without:?}");
    assert_eq!(text(&mut platform, "SELECT tms_redaction_rotate_key()"), "k1");
    run(&mut platform, rules);
    let mut token = |client: &mut Client, name: &str| {
        run(
            client,
            &format!(r#"SELECT tms_log('info', 'x', '{{"name": "{name}"}}')"#),
        );
        let token = text(
            &mut platform,
            "SELECT meta ->> 'name' FROM tms.agent_logs ORDER BY id DESC LIMIT 1",
        );
        assert!(token.starts_with("hmac:k"), "{token}");
        token
    };
    let ada = token(&mut agent, NAME);
    assert_eq!(token(&mut agent, NAME), ada);
    assert_ne!(token(&mut agent, "Grace"), ada);
    assert_ne!(token(&mut other, NAME), ada);
    assert!(ada.starts_with("hmac:k1:"));
    // A token that is there stays what it is.
    assert_eq!(token(&mut agent, &ada), ada);
    run(
        &mut cluster.client("postgres"),
        "SELECT tms_redaction_rotate_key()",
    );
    assert!(token(&mut agent, NAME).starts_with("hmac:k2:"));

    // Having tokens made is a right of its own: who can, can try values.
    run(
        &mut cluster.client("postgres"),
        "GRANT EXECUTE ON FUNCTION tms_redact_rules(jsonb, jsonb) TO agent",
    );
    let ask = format!(
        r#"SELECT tms_redact_rules('{{"name": "{NAME}"}}', '{{"fields": ["name"], "mode": "hmac"}}')::text"#
    );
    let refused = refusal(&mut agent, &ask);
    assert_eq!(refused.code, "42501");
    assert!(refused.hint.contains("pseudonymizer"), "{refused:?}");
    run(
        &mut cluster.client("postgres"),
        "SELECT tms_grant('agent', 'pseudonymizer')",
    );
    assert!(text(&mut agent, &ask).contains("hmac:k2:"));
    run(
        &mut cluster.client("postgres"),
        "SELECT tms_revoke('agent', 'pseudonymizer')",
    );
    assert_eq!(refusal(&mut agent, &ask).code, "42501");
}

#[test]
fn what_a_policy_hides_does_not_land_and_is_told_at_its_level() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let mut agent = cluster.client_as("agent", "postgres");
    run(
        &mut platform,
        "SELECT tms_policy_load('
agent_policies:
  rates_agent:
    allowed_functions: [rates.price_one]
    pii_rules: {redact_fields: [\"$.stops[*].city\"], log_level: warn}
  quiet_agent:
    allowed_functions: [rates.price_one]
    pii_rules: {redact_fields: [city], log_level: \"off\"}
')",
    );
    // Without a number that only jsonb can hold, so that its places can be told.
    let meta = payload().replace("1e400", "100.50");
    let line = |name: &str| format!("SELECT tms_log('info', 'mail {MAIL}', '{meta}', '{name}')");
    let mark = cluster.log_mark();
    run(&mut agent, &line("rates_agent"));
    let (_, redacted) = newest_line(&mut platform);
    assert!(
        !redacted.contains("Kiel") && !redacted.contains(NAME),
        "{redacted}"
    );
    let told = cluster.wait_for_log(mark, "tms: redacted in tms.agent_logs", SOON);
    for words in [
        "rates_agent",
        "message (email)",
        "$.stops[0].city",
        "$.customerName",
        "WARNING",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let mark = cluster.log_mark();
    run(&mut agent, &line("quiet_agent"));
    assert!(!newest_line(&mut platform).1.contains("Kiel"));
    run(&mut agent, &line("unknown_agent"));
    assert!(newest_line(&mut platform).1.contains("Kiel"));
    let told = cluster.log_since(mark);
    assert!(!told.contains("redacted"), "{told}");
    let log = cluster.log();
    assert!(!log.contains(NAME) && !log.contains(MAIL), "{log}");
}

#[test]
fn what_a_receiver_quotes_does_not_land() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let quoting = Behaviour::Status(
        400,
        Vec::new(),
        format!("no such customer: {MAIL}, card 4111 1111 1111 1111").into(),
    );
    let receiver = Receiver::builder().behaviour(quoting).start();
    let options = format!(
        r#"{{"url": "{}", "allow_private_network": true}}"#,
        receiver.url()
    );
    run(
        &mut platform,
        &format!("SELECT tms_target_set('hook', 'http', '{options}')"),
    );
    run(&mut platform, "SELECT tms_enqueue('load.assigned', '{}', 'hook')");
    becomes(
        &mut platform,
        "SELECT coalesce((SELECT response_excerpt FROM tms.delivery_attempts), '(none yet)')",
        &[],
        "no such customer: [REDACTED], card [REDACTED]",
    );

    run(
        &mut platform,
        "SELECT tms_target_set('jobs', 'pull'); SELECT tms_enqueue('load.assigned', '{}', 'jobs')",
    );
    let nack = format!(
        "SELECT tms_outbox_nack(lease_token, 'validation', 'unknown customer {MAIL}') FROM tms_outbox_claim('jobs')"
    );
    run(&mut platform, &nack);
    let letter = "SELECT error_message FROM tms.dead_letter_queue WHERE target_system = 'jobs'";
    let message = text(&mut platform, letter);
    assert!(message.contains("unknown customer [REDACTED]"), "{message}");
}

#[test]
fn what_a_target_is_not_to_be_told_does_not_leave() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let receiver = Receiver::builder().record(Record::Full).start();
    let redact = r#""redact_fields": ["customer_name", "$.stops[*].Phone"]"#;
    for (target, path, more) in [
        ("hook", "/hook", redact),
        ("plain", "/plain", r#""timeout_ms": 15000"#),
    ] {
        let options = format!(
            r#"{{"url": "{}", "allow_private_network": true, {more}}}"#,
            receiver.url_of(path)
        );
        run(
            &mut platform,
            &format!("SELECT tms_target_set('{target}', 'http', '{options}')"),
        );
    }
    let meta = payload();
    let mut send = |target: &str| -> Uuid {
        let sql = format!("SELECT tms_enqueue('load.assigned', '{meta}', '{target}')");
        platform.query_one(&sql, &[]).expect("an event").get(0)
    };
    let (redacted, plain) = (send("hook"), send("plain"));
    receiver.wait_for("both", SOON, |seen| {
        seen.times(redacted) > 0 && seen.times(plain) > 0
    });
    let body = |id: Uuid| {
        let requests = receiver.requests();
        let request = requests
            .iter()
            .find(|request| request.id == Some(id))
            .expect("a request");
        String::from_utf8_lossy(&request.body).into_owned()
    };
    let (redacted, plain) = (body(redacted), body(plain));
    assert!(
        !redacted.contains(NAME) && !redacted.contains("901820"),
        "{redacted}"
    );
    assert!(
        redacted.contains("Kiel") && redacted.contains(&format!("1{}", "0".repeat(400))),
        "{redacted}"
    );
    assert!(plain.contains(NAME) && plain.contains("901820"), "{plain}");
    // The stored event is what the producer wrote.
    let stored = "SELECT count(*) FROM tms.event_outbox WHERE payload ->> 'customerName' = 'Ada Mustermann'";
    assert_eq!(number(&mut platform, stored), 2);
    let shown = text(
        &mut platform,
        "SELECT options ->> 'redact_fields' FROM tms.targets WHERE name = 'hook'",
    );
    assert_eq!(shown, r#"["customer_name", "$.stops[*].Phone"]"#);
}

#[test]
fn what_cannot_be_redacted_does_not_leave() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let receiver = Receiver::start();
    let options = format!(
        r#"{{"url": "{}", "allow_private_network": true, "redact_fields": ["phone"]}}"#,
        receiver.url()
    );
    run(
        &mut platform,
        &format!("SELECT tms_target_set('hook', 'http', '{options}')"),
    );
    run(
        &mut platform,
        "SELECT tms_enqueue('load.deep', (repeat('[', 1500) || repeat(']', 1500))::jsonb, 'hook')",
    );
    becomes(
        &mut platform,
        "SELECT coalesce((SELECT error_type || ': ' || left(error_message, 29) FROM tms.dead_letter_queue), '(none yet)')",
        &[],
        "validation: the payload cannot be redacte",
    );
    assert_eq!(receiver.count(), 0);
    run(&mut platform, "SELECT tms_enqueue('load.flat', '{}', 'hook')");
    receiver.wait_for("the next event", SOON, |seen| seen.distinct() == 1);
}

#[test]
fn a_place_where_redaction_was_switched_off_is_named() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let ill = "SELECT coalesce(string_agg(subject || ': ' || state, ', ' ORDER BY subject), '')
                 FROM tms_health() WHERE subject LIKE 'redaction of %' AND state <> 'ok'";
    assert_eq!(text(&mut platform, ill), "");
    for (change, state) in [
        ("DISABLE TRIGGER redact_row", "error"),
        ("ENABLE TRIGGER redact_row", "warning"),
        ("ENABLE REPLICA TRIGGER redact_row", "error"),
    ] {
        run(&mut platform, &format!("ALTER TABLE tms.agent_logs {change}"));
        assert_eq!(
            text(&mut platform, ill),
            format!("redaction of tms.agent_logs: {state}")
        );
        // Its hint is what mends it.
        let mend = text(
            &mut platform,
            "SELECT hint FROM tms_health() WHERE subject = 'redaction of tms.agent_logs'",
        );
        run(&mut platform, &mend);
        assert_eq!(text(&mut platform, ill), "");
    }
    run(&mut platform, "DROP TRIGGER redact_row ON tms.delivery_attempts");
    assert_eq!(
        text(&mut platform, ill),
        "redaction of tms.delivery_attempts: error"
    );
}

#[test]
fn a_verdict_and_its_record_show_what_the_policy_lets_be_seen() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let mut agent = cluster.client_as("agent", "postgres");
    run(
        &mut platform,
        "SELECT tms_policy_load('
agent_policies:
  rates_agent:
    allowed_functions: [rates.price_one]
    pii_rules: {redact_fields: [city]}
')",
    );
    let meta = payload();
    for function in ["tms_policy_check", "tms_policy_enforce"] {
        let verdict = text(
            &mut agent,
            &format!("SELECT {function}('rates_agent', 'rates.price_one', '{meta}')::text"),
        );
        assert!(
            verdict.contains(r#""decision": "allow""#) && !verdict.contains("Kiel"),
            "{verdict}"
        );
        // The caller's own payload: what the policy does not hide is handed on.
        assert!(verdict.contains(NAME), "{verdict}");
    }
    let deep = format!("{}1{}", "[".repeat(1_500), "]".repeat(1_500));
    let refused = refusal(
        &mut agent,
        &format!("SELECT tms_policy_enforce('rates_agent', 'rates.price_one', '{deep}')"),
    );
    assert_eq!(refused.code, "54000", "{refused:?}");
    // Of an agent without a policy the company's rules hold.
    let unknown = format!("SELECT tms_policy_enforce('nobody', 'rates.price_one', '{meta}')");
    assert_eq!(refusal(&mut agent, &unknown).code, "42501");
    becomes(
        &mut platform,
        "SELECT string_agg(agent_name || ' ' || (input -> 'stops' -> 0)::text || ' ' || (input ->> 'customerName'), ', ' ORDER BY id)
           FROM tms.policy_decisions",
        &[],
        r#"rates_agent {"city": "[REDACTED]", "Phone": "[REDACTED]"} [REDACTED], nobody {"city": "Kiel", "Phone": "[REDACTED]"} [REDACTED]"#,
    );
}

#[test]
fn decisions_and_tasks_that_somebody_writes_by_hand_are_redacted_too() {
    let cluster = stage();
    let mut platform = cluster.client("postgres");
    let payload = payload();
    for role in ["origin", "replica"] {
        run(
            &mut platform,
            &format!(
                "SET session_replication_role = {role}; TRUNCATE tms.policy_decisions, tms.agent_tasks;
                 INSERT INTO tms.policy_decisions (id, decided_at, company_id, agent_name, fn_name, decision, effective, input)
                 VALUES (tms.uuid_v7(), now(), '{COMPANY}', 'rates_agent', 'rates.price', 'allow', 'allow', '{payload}');
                 INSERT INTO tms.agent_tasks (company_id, agent_name, fn_name, submitted_by, payload, result, error_message)
                 VALUES ('{COMPANY}', 'rates_agent', 'rates.price', 'x', '{payload}', '{payload}', 'no answer from {MAIL}')"
            ),
        );
        let landed = text(
            &mut platform,
            "SELECT concat(d.input, t.payload, t.result, t.error_message) FROM tms.policy_decisions d, tms.agent_tasks t",
        );
        for secret in [NAME, MAIL, "901820"] {
            assert!(!landed.contains(secret), "{role}: {landed}");
        }
        assert_eq!(
            landed.matches("Kiel").count(),
            3,
            "{role}: the rest is as it was: {landed}"
        );
    }
}
