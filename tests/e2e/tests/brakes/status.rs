//! `tms.target_status` and a test send: what people see of a target.

use serde_json::json;
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{DB, Story, run};
use tms_e2e::wait::eventually;

use crate::looks::{batch, becomes, letter, shows, text};

const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";

#[test]
fn load_and_last_error_of_a_target_can_be_seen() {
    let story = Story::begin();
    let mut client = story.client();
    story.target(
        "busy",
        json!({ "max_concurrency": 3, "timeout_ms": 60_000, "breaker": false }),
    );
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.attempt {
            1 if request.path == "/busy" => Behaviour::Hang,
            _ => Behaviour::Ok,
        }));
    batch(&mut client, "busy", 10);
    let load = "SELECT concat_ws(' ', state, in_flight >= 3, due, oldest_due_at BETWEEN now() - interval '5 minutes' AND now(),
                                 max_concurrency, timeout_ms, host)
                  FROM tms.target_status WHERE name = 'busy'";
    let host = format!("http://127.0.0.1:{}", story.receiver.port());
    becomes(&mut client, load, &[], &format!("active t 10 t 3 60000 {host}"));

    // The receiver closes what it has left hanging, and takes everything from now on.
    let retry = json!({ "retry": { "base_ms": 20, "max_ms": 20 }, "breaker": false });
    story.target("busy", retry);
    story.receiver.behave(Behaviour::Ok);
    story.receiver.stop();
    story.receiver.restart_on_same_port();
    story.all_done();
    let after = "SELECT concat_ws(' ', state, in_flight, due, oldest_due_at IS NULL, delivered, failed > 0,
                                  last_error <> '', last_error_at BETWEEN now() - interval '5 minutes' AND now())
                   FROM tms.target_status WHERE name = 'busy'";
    becomes(&mut client, after, &[], "active 0 0 t 10 t t t");
    let quantiles = "SELECT (0 < p50_ms AND p50_ms <= p95_ms AND p95_ms <= p99_ms)::text
                       FROM tms.target_status WHERE name = 'busy'";
    assert_eq!(text(&mut client, quantiles, &[]), "true");
    // What passed is history after a while.
    becomes(
        &mut client,
        "SELECT per_second::text FROM tms.target_status WHERE name = 'busy'",
        &[],
        "0",
    );
}

#[test]
fn the_rate_is_shown_while_there_is_one() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("steady", json!({ "rate_per_second": 50, "burst": 1 }));
    batch(&mut client, "steady", 300);
    let rate = "SELECT COALESCE(per_second BETWEEN 20 AND 80, false)::text FROM tms.target_status WHERE name = 'steady'";
    becomes(&mut client, rate, &[], "true");
}

#[test]
fn a_company_sees_no_load_of_the_platform_and_only_its_own_events() {
    let story = Story::begin();
    let mut client = story.client();
    run(
        &mut client,
        &format!("CREATE ROLE a LOGIN; SELECT tms_bind_role('a', '{A}'), tms_grant('a', 'operator')"),
    );
    story.target("held", json!({}));
    batch(&mut client, "held", 20);
    story.all_done();
    becomes(
        &mut client,
        "SELECT delivered::text FROM tms.target_status WHERE name = 'held'",
        &[],
        "20",
    );
    run(&mut client, "SELECT tms_target_pause('held')");
    batch(&mut client, "held", 5);
    run(
        &mut client,
        &format!("SELECT tms_enqueue('load.moved', '{{}}', 'held', '{A}')"),
    );

    let mut a = story.cluster.client_as("a", DB);
    let seen = "SELECT concat_ws(' ', state, due, num_nonnulls(in_flight, per_second, p50_ms, p95_ms, p99_ms, delivered, failed,
                                                               last_error, last_error_at))
                  FROM tms.target_status WHERE name = 'held'";
    assert_eq!(text(&mut a, seen, &[]), "paused 1 0");
    assert_eq!(
        text(
            &mut client,
            "SELECT due::text FROM tms.target_status WHERE name = 'held'",
            &[]
        ),
        "6"
    );
    let load = "SELECT count(*)::text FROM tms.target_load";
    match a.query_one(load, &[]) {
        Ok(row) => assert_eq!(row.get::<_, String>(0), "0"),
        Err(refused) => assert_eq!(refused.code().map(|code| code.code()), Some("42501")),
    }
}

#[test]
fn a_test_is_one_event_that_is_tried_once() {
    let story = Story::begin();
    let mut client = story.client();
    story.target("new", json!({ "envelope": "standard" }));
    let test = tms_e2e::story::id(&mut client, "SELECT tms_target_test('new')");
    story.arrives("the test", test);
    let request = story.receiver.requests().remove(0);
    assert_eq!(
        (request.id, request.json()["type"].as_str()),
        (Some(test), Some("tms.test"))
    );
    assert!(
        request.json()["data"]["message"]
            .as_str()
            .is_some_and(|words| words.contains("test"))
    );

    story.receiver.behave(Behaviour::status(503));
    let test = tms_e2e::story::id(&mut client, "SELECT tms_target_test('new')");
    let (kind, words, attempts, permanent) = letter(&mut client, test);
    assert_eq!(
        (kind.as_str(), attempts, permanent),
        ("external_api", 1, false),
        "{words}"
    );
    let told = eventually("an explanation", tms_e2e::story::SOON, || {
        Some(text(&mut client, "SELECT tms_event_explain($1)", &[&test])).filter(|told| told.contains("503"))
    });
    assert!(told.contains("new"), "{told}");
    let unknown = tms_e2e::story::refusal(&mut client, "SELECT tms_target_test('news')");
    assert_eq!(unknown.code, "42704");
    shows(&mut client, "new", "active");
}
