//! What came with signatures and companies: Slack's URLs, signing keys of every origin, a company's own version of a target,
//! secrets of webhook sources.

use postgres::Client;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Behaviour, Receiver, Record};
use tms_e2e::wait::eventually;

use crate::{IN_HEADER, IN_KEY, IN_PATH, PATIENCE, SECRETS, keeps_everywhere, run, secret_path, stage, text};

const COMPANY: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
/// Of the company's own version.
const OWN_PATH: &str = "T0OWNPATH";
const OWN_HEADER: &str = "OWNS3CRETHEADER";
const OWN_KEY: &str = "0WNS3CRETKEY0WNS3CRETKEY0WNS3CRE";
/// Of the source of webhooks.
const SOURCE_KEY: &str = "S0URCES3CRETKEYS0URCES3CRETKEYS0";

#[track_caller]
fn set(client: &mut Client, name: &str, transport: &str, options: &serde_json::Value, company: Option<&str>) {
    let company = company.map_or("NULL".to_owned(), |company| format!("'{company}'"));
    run(
        client,
        &format!("SELECT tms_target_set('{name}', '{transport}', '{options}', {company})"),
    );
}

/// Five targets: Slack's, one with a given key, one with a generated and a rotated one, and a company's own version of two.
/// Returns the keys that nobody chose.
fn set_targets(cluster: &Cluster, url: impl Fn(&str) -> String) -> Vec<String> {
    let mut owner = cluster.client("postgres");
    let near = |path: &str, more: serde_json::Value| {
        let mut options = serde_json::json!({"url": url(path), "allow_private_network": true, "timeout_ms": 2000,
            "retry": {"base_ms": 10, "max_ms": 10}, "breaker": false});
        let options_of = options.as_object_mut().expect("an object");
        options_of.extend(more.as_object().expect("an object").clone());
        options
    };
    set(
        &mut owner,
        "slack",
        "slack",
        &near(
            &secret_path(),
            serde_json::json!({"rate_per_second": 1000, "burst": 100}),
        ),
        None,
    );
    let given = serde_json::json!({"secret": format!("whsec_{IN_KEY}"), "headers": {"x-key": IN_HEADER}});
    set(&mut owner, "given", "http", &near(&secret_path(), given), None);
    let generated = near("/generated", serde_json::json!({"signing": true}));
    set(&mut owner, "generated", "http", &generated, None);
    let own = serde_json::json!({"url": url(&format!("/{OWN_PATH}")), "headers": {"x-key": OWN_HEADER},
        "secret": format!("whsec_{OWN_KEY}")});
    let mut app = cluster.client_as("app", "postgres");
    for target in ["given", "generated"] {
        set(&mut app, target, "http", &own, Some(COMPANY));
    }
    run(
        &mut app,
        &format!(
            "SELECT tms_webhook_source_set('partner', '{{\"secret\": \"whsec_{SOURCE_KEY}\"}}'),
                    tms_webhook_verify('partner', '{{}}', '{{}}')"
        ),
    );
    let stored = "SELECT signing_keys #>> '{0,key}' FROM tms.target_secrets WHERE target = 'generated' AND company_id IS NULL";
    let first = text(&mut owner, stored);
    let second = text(&mut owner, "SELECT tms_target_rotate_secret('generated')");
    assert_ne!(first, second);
    assert_eq!(text(&mut owner, stored), second, "the new key comes first");
    vec![first, second]
}

/// Everything that must not be shown; of keys also what a careless mask would leave.
fn all_secrets(generated: &[String]) -> Vec<&str> {
    let bare = generated.iter().filter_map(|key| key.strip_prefix("whsec_"));
    let own = [OWN_PATH, OWN_HEADER, OWN_KEY, SOURCE_KEY];
    SECRETS.into_iter().chain(own).chain(bare).collect()
}

/// For the company and for the platform, which has no version of its own.
fn enqueue_everywhere(cluster: &Cluster) {
    for role in ["app", "postgres"] {
        run(
            &mut cluster.client_as(role, "postgres"),
            "SELECT tms_enqueue('load.moved', '{\"load\": 1}', t, max_retries => 1)
               FROM unnest(ARRAY['slack', 'given', 'generated']) t",
        );
    }
}

#[track_caller]
fn all_have_ended(cluster: &Cluster) {
    let waiting = "SELECT count(*)::text FROM tms.event_outbox WHERE processed_at IS NULL AND available_at < 'infinity'";
    let mut owner = cluster.client("postgres");
    eventually("the end of every event", PATIENCE, || {
        match text(&mut owner, waiting).as_str() {
            "0" => Ok(()),
            left => Err(format!("{left} are left")),
        }
    });
}

#[test]
fn keys_slack_urls_and_companies_credentials_show_nowhere() {
    let cluster = stage();
    let receiver = Receiver::builder().record(Record::Full).start();
    receiver.behave(Behaviour::Status(200, Vec::new(), b"ok".to_vec()));
    let generated = set_targets(&cluster, |path| receiver.url_of(path));
    let secrets = all_secrets(&generated);
    enqueue_everywhere(&cluster);
    receiver.wait_for("the events", PATIENCE, |seen| seen.distinct() == 6);
    all_have_ended(&cluster);
    let of_the_company: Vec<_> = receiver
        .requests()
        .into_iter()
        .filter(|request| request.path.contains(OWN_PATH))
        .collect();
    assert_eq!(of_the_company.len(), 2, "the company's own version was used");
    for request in &of_the_company {
        assert_eq!(request.header("x-key"), Some(OWN_HEADER));
        assert!(request.header("webhook-signature").is_some());
    }
    keeps_everywhere(&cluster, &secrets);
}

#[test]
fn nor_when_every_receiver_fails_and_repeats_what_it_was_sent() {
    let cluster = stage();
    let receiver = Receiver::start();
    let generated = set_targets(&cluster, |path| receiver.url_of(path));
    let secrets = all_secrets(&generated);
    // A receiver knows the key it shares, with the prefix or without.
    let [of_given, of_own] = [IN_KEY, OWN_KEY].map(|key| format!("whsec_{key} or {key}"));
    let bare = generated.concat().replace("whsec_", " ");
    let of_generated = format!("{} or {bare}", generated.concat());
    for status in [410, 404, 500, 400] {
        let (of_given, of_own, of_generated) = (of_given.clone(), of_own.clone(), of_generated.clone());
        receiver.behave(Behaviour::choose(move |request| {
            let key = request.header("x-key").unwrap_or_default();
            let shared = match request.path {
                path if path.contains(OWN_PATH) => of_own.as_str(),
                "/generated" => &of_generated,
                _ if key.is_empty() => "Slack",
                _ => &of_given,
            };
            let body = format!("Cannot POST {} with {key}, signed by {shared}", request.path);
            let moved = vec![(
                "location".to_owned(),
                format!("http://127.0.0.1:1{}", request.path),
            )];
            Behaviour::Status(status, moved, body.into_bytes())
        }));
        enqueue_everywhere(&cluster);
        if status == 410 {
            paused_by_the_receivers(&cluster);
        } else {
            all_have_ended(&cluster);
        }
    }
    let mut owner = cluster.client("postgres");
    let kept =
        "SELECT (count(*) > 0)::text FROM tms.delivery_attempts WHERE response_excerpt LIKE '%Cannot POST%'";
    assert_eq!(text(&mut owner, kept), "true", "the rest of an answer is kept");
    let told = "SELECT (count(*) > 0)::text FROM tms.target_load WHERE last_error IS NOT NULL";
    eventually("the last error of a target", PATIENCE, || {
        if text(&mut owner, told) == "true" {
            Ok(())
        } else {
            Err(())
        }
    });
    keeps_everywhere(&cluster, &secrets);
}

/// 410 pauses a target of the platform's. Lets them go on, so that the other answers come, too.
#[track_caller]
fn paused_by_the_receivers(cluster: &Cluster) {
    let mut owner = cluster.client("postgres");
    let paused =
        "SELECT string_agg(name || ': ' || pause_reason, E'\n') FROM tms.targets WHERE paused_at IS NOT NULL";
    eventually("a target that was paused", PATIENCE, || {
        let said = text(&mut owner, paused);
        if said.contains("generated: ") {
            Ok(())
        } else {
            Err(said)
        }
    });
    keeps_everywhere(cluster, &[IN_PATH, OWN_PATH]);
    run(
        &mut owner,
        "DELETE FROM tms.event_outbox; SELECT tms_target_resume(name) FROM tms.targets",
    );
}
