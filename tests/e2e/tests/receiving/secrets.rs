//! Secrets are changed without a gap, and show nowhere.

use postgres::Client;
use serde_json::{Value, json};

use crate::stage::{OLD_SECRET, SECRET, message, refusal, run, stage, text, verify, verify_from};

#[test]
fn a_rotation_accepts_both_secrets_and_then_the_new_one() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let set = |owner: &mut Client, options: Value| {
        let set = "SELECT tms_webhook_source_set('carrier', $1)";
        owner.execute(set, &[&options]).unwrap();
    };
    let mut accepted = 0;
    for (options, by_old, by_new) in [
        (json!({"secret": OLD_SECRET}), true, false),
        (json!({"secrets": [SECRET, OLD_SECRET]}), true, true),
        (json!({"dedupe_seconds": 600}), true, true),
        (json!({"secrets": [SECRET]}), false, true),
        // The prefix and the padding get lost on the way between systems.
        (
            json!({"secret": OLD_SECRET.trim_start_matches("whsec_").trim_end_matches('=')}),
            true,
            false,
        ),
    ] {
        set(&mut owner, options.clone());
        for (secret, expected) in [(OLD_SECRET, by_old), (SECRET, by_new)] {
            accepted += 1;
            let signed = message(&mut owner, secret, &format!("msg_{accepted}"), 0, "{}");
            assert_eq!(verify(&mut owner, &signed)["valid"], json!(expected), "{options}");
        }
    }
}

#[test]
fn a_secret_shows_nowhere() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "SET log_min_messages = info; SET log_min_error_statement = info; SET log_error_verbosity = verbose",
    );
    let hush = "whsec_aHVzaCBodXNoIGh1c2ggaHVzaCBodXNoIQ==";
    for call in [
        format!("SELECT tms_webhook_source_set('new', '{{\"secret\": \"{hush}\", \"oops\": 1}}')"),
        format!("SELECT tms_webhook_source_set('new', '{{\"secrets\": [\"{hush}!\"]}}')"),
        format!("SELECT tms_webhook_source_set('new', '{{\"secret\" \"{hush}\"}}')"),
        format!(
            "SELECT tms_webhook_source_set('new', '{{\"secret\": \"{hush}\", \"tolerance_seconds\": 0}}')"
        ),
    ] {
        let (_, said) = refusal(&mut owner, &call);
        // PostgreSQL's own parser tells the caller which word of his is no JSON.
        let is_no_json = call.contains("\"secret\" \"");
        assert!(is_no_json || !said.contains("aHVzaC"), "{call}: {said}");
    }
    run(
        &mut owner,
        "PREPARE setting(jsonb) AS SELECT tms_webhook_source_set('new', $1)",
    );
    refusal(
        &mut owner,
        &format!("EXECUTE setting('{{\"secret\": \"{hush}\", \"oops\": 1}}')"),
    );
    run(
        &mut owner,
        &format!("SELECT tms_webhook_source_set('new', '{{\"secret\": \"{hush}\"}}')"),
    );
    let by_another = message(&mut owner, SECRET, "msg_1", 0, "{}");
    let answer = verify_from(&mut owner, "new", &by_another).to_string();
    assert!(!answer.contains("aHVzaC"), "{answer}");
    let shown = text(
        &mut owner,
        "SELECT concat((SELECT string_agg(s::text, ' ') FROM tms.webhook_sources s), (SELECT string_agg(r::text, ' ') FROM tms.webhook_receipts r))",
    );
    assert!(!shown.contains("aHVzaC"), "{shown}");
    let log = cluster.log();
    assert!(!log.contains("aHVzaC"), "the server log shows the secret:\n{log}");
}
