//! A company's own version of a target: its path, its headers and its secret, at the platform's host.

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::receiver::Recorded;
use tms_e2e::story::{DB, Story, refusal, run};
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::looks::text;

const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
const OF_A: &str = "whsec_YSBzZWNyZXQgb2YgYWNtZSBpbiBwYXJ0aWN1bGFy";
const OF_PLATFORM: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// A target of the platform's that signs, and an operator of each company.
fn begin() -> (Story, Client) {
    let story = Story::begin();
    let mut client = story.client();
    story.target(
        "erp",
        json!({ "headers": { "x-of": "platform" }, "secret": OF_PLATFORM, "timeout_ms": 5_000 }),
    );
    for (role, company) in [("a", A), ("b", B)] {
        run(
            &mut client,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{company}'), tms_grant('{role}', 'operator')"
            ),
        );
    }
    (story, client)
}

/// As this role: the company's own version.
#[track_caller]
fn set_own(story: &Story, role: &str, company: &str, options: Value) {
    let mut client = story.cluster.client_as(role, DB);
    let set = format!("SELECT tms_target_set('erp', 'http', '{options}', '{company}')");
    run(&mut client, &set);
}

/// Sends an event for a company and says how it arrived.
#[track_caller]
fn sent(story: &Story, client: &mut Client, company: Option<&str>) -> Recorded {
    let company = company.map(|company| company.parse::<Uuid>().expect("a company"));
    let ask = "SELECT tms_enqueue('load.moved', '{}', 'erp', $1)";
    let event = client.query_one(ask, &[&company]).expect("an event").get(0);
    story.arrives("the event", event);
    let mut requests = story.receiver.requests();
    requests.retain(|request| request.id == Some(event));
    requests.remove(0)
}

fn way(request: &Recorded) -> (&str, Option<&str>) {
    (&request.path, request.header("x-of"))
}

/// Whether the request is signed by this secret alone, as tms itself verifies it.
#[track_caller]
fn is_signed_by(client: &mut Client, secret: &str, request: &Recorded) -> bool {
    let set = "SELECT tms_webhook_source_set('check', $1)";
    client
        .execute(set, &[&json!({ "secret": secret })])
        .expect("a source");
    let headers = request.headers.iter().cloned();
    let headers: Value = headers.map(|(name, value)| (name, Value::from(value))).collect();
    let body = std::str::from_utf8(&request.body).expect("UTF-8");
    let row = client.query_one("SELECT tms_webhook_verify('check', $1, $2)", &[&headers, &body]);
    row.expect("an answer").get::<_, Value>(0)["valid"] == true
}

#[test]
fn a_company_has_its_own_path_headers_and_secret_and_the_others_notice_nothing() {
    let (story, mut client) = begin();
    let own = story.receiver.url_of("/own/of-a?key=1");
    set_own(
        &story,
        "a",
        A,
        json!({ "url": own, "headers": { "x-of": "a" }, "secret": OF_A }),
    );
    let of_a = eventually("the company's own way", tms_e2e::story::SOON, || {
        let request = sent(&story, &mut client, Some(A));
        (way(&request) == ("/own/of-a?key=1", Some("a"))).then_some(request)
    });
    assert!(is_signed_by(&mut client, OF_A, &of_a));
    assert!(!is_signed_by(&mut client, OF_PLATFORM, &of_a));
    for company in [None, Some(B)] {
        let request = sent(&story, &mut client, company);
        assert_eq!(way(&request), ("/erp", Some("platform")));
        assert!(is_signed_by(&mut client, OF_PLATFORM, &request));
    }
    let rows =
        "SELECT string_agg(concat_ws(' ', name, company_id, state), ', ' ORDER BY company_id NULLS FIRST)
                  FROM tms.target_status WHERE name = 'erp'";
    assert_eq!(
        text(&mut client, rows, &[]),
        format!("erp active, erp {A} active")
    );
    // What it leaves out is the platform's.
    set_own(&story, "b", B, json!({ "headers": { "x-of": "b" } }));
    let of_b = eventually("the other company's headers", tms_e2e::story::SOON, || {
        let request = sent(&story, &mut client, Some(B));
        (way(&request) == ("/erp", Some("b"))).then_some(request)
    });
    assert!(is_signed_by(&mut client, OF_PLATFORM, &of_b));
    story.all_done();
}

#[test]
fn a_company_changes_neither_place_nor_limits_nor_another_company() {
    let (story, mut client) = begin();
    let mut a = story.cluster.client_as("a", DB);
    let elsewhere = format!("http://127.0.0.1:{}/erp", story.receiver.port() + 1);
    let here = story.receiver.url_of("/own");
    for (options, company, code) in [
        (json!({ "url": elsewhere }), A, "22023"),
        (json!({ "url": here, "allow_private_network": true }), A, "22023"),
        (json!({ "url": here, "max_concurrency": 100 }), A, "22023"),
        (json!({ "url": here, "rate_per_second": 100 }), A, "22023"),
        (json!({ "url": here }), B, "42501"),
    ] {
        let set = format!("SELECT tms_target_set('erp', 'http', '{options}', '{company}')");
        assert_eq!(refusal(&mut a, &set).code, code, "{options}");
    }
    let platform = format!("SELECT tms_target_set('erp', 'http', '{{\"url\": \"{here}\"}}')");
    assert_eq!(refusal(&mut a, &platform).code, "42501");
    let slack = format!("SELECT tms_target_set('erp', 'slack', '{{\"url\": \"{here}\"}}', '{A}')");
    assert_eq!(refusal(&mut a, &slack).code, "22023");
    for company in [None, Some(A), Some(B)] {
        assert_eq!(
            way(&sent(&story, &mut client, company)),
            ("/erp", Some("platform"))
        );
    }
}

#[test]
fn a_version_that_is_removed_leaves_the_company_with_the_target_itself() {
    let (story, mut client) = begin();
    let own = story.receiver.url_of("/own");
    set_own(
        &story,
        "a",
        A,
        json!({ "url": own, "headers": { "x-of": "a" }, "secret": OF_A }),
    );
    eventually("the company's own way", tms_e2e::story::SOON, || {
        (way(&sent(&story, &mut client, Some(A))) == ("/own", Some("a"))).then_some(())
    });
    run(&mut client, "DELETE FROM tms.target_overrides");
    let request = eventually("the target's own way", tms_e2e::story::SOON, || {
        let request = sent(&story, &mut client, Some(A));
        (way(&request) == ("/erp", Some("platform"))).then_some(request)
    });
    assert!(is_signed_by(&mut client, OF_PLATFORM, &request));
    let kept = "SELECT count(*)::text FROM tms.target_secrets WHERE company_id IS NOT NULL";
    assert_eq!(text(&mut client, kept, &[]), "0");
    story.all_done();
}

#[test]
fn one_company_s_failing_version_leaves_the_target_alone() {
    let (story, mut client) = begin();
    story.target(
        "erp",
        json!({ "headers": { "x-of": "platform" }, "secret": OF_PLATFORM, "breaker": { "minimum_calls": 4 },
                "retry": { "base_ms": 3_000_000, "max_ms": 3_000_000 } }),
    );
    set_own(&story, "a", A, json!({ "url": story.receiver.url_of("/own") }));
    story
        .receiver
        .behave(tms_e2e::receiver::Behaviour::choose(|request| {
            match request.path {
                "/own" => tms_e2e::receiver::Behaviour::status(500),
                _ => tms_e2e::receiver::Behaviour::Ok,
            }
        }));
    let many =
        format!("SELECT tms_enqueue_batch('load.moved', array_fill('{{}}'::jsonb, ARRAY[50]), 'erp', '{A}')");
    run(&mut client, &many);
    let state = "SELECT string_agg(state, ' ' ORDER BY company_id NULLS FIRST) FROM tms.target_status WHERE name = 'erp'";
    crate::looks::becomes(&mut client, state, &[], "active open");
    assert_eq!(way(&sent(&story, &mut client, Some(B))).0, "/erp");
    assert_eq!(way(&sent(&story, &mut client, None)).0, "/erp");
}
