//! Fan-out: who gets a published event, by pattern and by company, and who may say so.

use std::collections::BTreeSet;
use std::thread;
use std::time::Duration;

use postgres::Client;
use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::Receiver;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
const UNKNOWN: &str = "cccccccc-0000-4000-8000-00000000000c";
const TARGETS: [&str; 4] = ["audit", "billing", "n8n", "warehouse"];

/// Targets, and a role of each company that may do everything its company may.
fn stage() -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", "hold").start();
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE EXTENSION tms");
    for target in TARGETS {
        run(
            &mut owner,
            &format!(
                "SELECT tms_target_set('{target}', 'http', '{{\"url\": \"https://{target}.example/\"}}')"
            ),
        );
    }
    for (role, company) in [("a", A), ("b", B)] {
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{company}');
                 SELECT tms_grant('{role}', c) FROM unnest(ARRAY['producer', 'operator']) c"
            ),
        );
    }
    cluster
}

#[track_caller]
fn run(client: &mut Client, sql: &str) {
    if let Err(error) = client.batch_execute(sql) {
        panic!("{sql}: {error:?}");
    }
}

#[track_caller]
fn text(client: &mut Client, sql: &str) -> String {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_default(),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

#[track_caller]
fn truth(client: &mut Client, sql: &str) -> bool {
    match client.query_one(sql, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

/// SQLSTATE, message and hint of a statement that must fail.
#[track_caller]
fn refusal(client: &mut Client, sql: &str) -> (String, String, String) {
    let error = client.batch_execute(sql).expect_err(sql);
    let told = error.as_db_error().unwrap_or_else(|| panic!("{sql}: {error:?}"));
    (
        told.code().code().to_owned(),
        told.message().to_owned(),
        told.hint().unwrap_or_default().to_owned(),
    )
}

/// The targets of the events a publication made, in the order of their ids; the owner looks, for rows are their company's.
#[track_caller]
fn published(owner: &mut Client, publisher: &mut Client, arguments: &str) -> String {
    let ids = publisher
        .query_one(&format!("SELECT tms_publish({arguments})"), &[])
        .unwrap_or_else(|error| panic!("{arguments}: {error:?}"))
        .get::<_, Vec<Uuid>>(0);
    let found = owner
        .query_one(
            "SELECT coalesce(string_agg(e.target_system, ' ' ORDER BY n), '')
               FROM unnest($1::uuid[]) WITH ORDINALITY AS u (id, n) JOIN tms.event_outbox e USING (id)",
            &[&ids],
        )
        .expect("the events");
    found.get(0)
}

#[test]
fn each_target_that_is_meant_gets_the_event_once() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let mut a = cluster.client_as("a", "postgres");
    for (pattern, target) in [
        ("load.assigned", "n8n"),
        ("load.*", "n8n"),
        ("*", "n8n"),
        ("load.*", "billing"),
        ("load.*.added", "warehouse"),
        ("*", "audit"),
    ] {
        let subscribe = format!("SELECT tms_subscribe('{pattern}', '{target}')");
        assert!(truth(&mut a, &subscribe), "{pattern} is new");
        assert!(!truth(&mut a, &subscribe), "{pattern} is there");
    }
    for (event_type, targets) in [
        ("load.assigned", "audit billing n8n"),
        ("load.stop.added", "audit billing n8n warehouse"),
        ("load.a.b.added", "audit billing n8n"),
        ("load", "audit n8n"),
        ("loads.assigned", "audit n8n"),
        ("LOAD.assigned", "audit n8n"),
    ] {
        let arguments = format!("'{event_type}', '{{}}'");
        assert_eq!(published(&mut owner, &mut a, &arguments), targets, "{event_type}");
    }
    for pattern in ["load.assigned", "load.*", "*"] {
        let unsubscribe = format!("SELECT tms_unsubscribe('{pattern}', 'n8n')");
        assert!(truth(&mut a, &unsubscribe));
        assert!(!truth(&mut a, &unsubscribe));
    }
    assert_eq!(
        published(&mut owner, &mut a, "'load.assigned', '{}'"),
        "audit billing"
    );
    run(&mut owner, "DELETE FROM tms.subscriptions");
    assert_eq!(published(&mut owner, &mut a, "'load.assigned', '{}'"), "");
}

#[test]
fn every_argument_holds_for_each_of_the_events() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "SELECT tms_subscribe('*', 'n8n'), tms_subscribe('*', 'audit')",
    );
    run(
        &mut owner,
        "SELECT tms_publish(event_type => 'load.moved', payload => '{\"n\": 1.10}', ordering_key => 'load 7',
             available_at => '2100-01-01', max_retries => 9, priority => 5, headers => '{\"x-a\": \"b\"}')",
    );
    let events = "SELECT string_agg(concat_ws(' ', target_system, event_type, payload, ordering_key, priority, max_retries, headers,
                                              available_at = '2100-01-01'), E'\\n' ORDER BY target_system)
                    FROM tms.event_outbox";
    assert_eq!(
        text(&mut owner, events),
        "audit load.moved {\"n\": 1.10} load 7 5 9 {\"x-a\": \"b\"} t\n\
         n8n load.moved {\"n\": 1.10} load 7 5 9 {\"x-a\": \"b\"} t"
    );
}

#[test]
fn a_publication_that_is_repeated_with_its_key_makes_no_second_events() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let publish = "SELECT tms_publish('load.moved', '{}', idempotency_key => 'load 7 moved')::text";
    run(
        &mut owner,
        "SELECT tms_subscribe('*', 'n8n'), tms_subscribe('*', 'audit')",
    );
    let first = text(&mut owner, publish);
    assert_eq!(text(&mut owner, publish), first);
    // Who subscribed in between gets it by the repetition; the others have it.
    run(&mut owner, "SELECT tms_subscribe('*', 'billing')");
    let of_three = owner
        .query_one(
            "SELECT tms_publish('load.moved', '{}', idempotency_key => 'load 7 moved')",
            &[],
        )
        .unwrap()
        .get::<_, Vec<Uuid>>(0);
    assert_eq!(of_three.len(), 3);
    assert_eq!(first, format!("{{{},{}}}", of_three[0], of_three[2]));
    assert_eq!(
        text(&mut owner, "SELECT count(*)::text FROM tms.event_outbox"),
        "3"
    );
}

#[test]
fn what_is_published_is_delivered() {
    let cluster = stage();
    cluster.set("tms.dispatch", "on");
    let (near, far) = (Receiver::start(), Receiver::start());
    cluster.set_http_target("postgres", "n8n", &near.url(), json!({}));
    cluster.set_http_target("postgres", "audit", &far.url(), json!({}));
    let mut a = cluster.client_as("a", "postgres");
    run(
        &mut a,
        "SELECT tms_subscribe('load.*', 'n8n'), tms_subscribe('*', 'audit')",
    );
    run(
        &mut a,
        "SELECT tms_publish('load.moved', '{}'), tms_publish('driver.hired', '{}')",
    );
    far.wait_for("both events", PATIENCE, |seen| seen.distinct() == 2);
    near.wait_for("one event", PATIENCE, |seen| seen.distinct() == 1);
    let sent: BTreeSet<Uuid> = far.ids().into_iter().chain(near.ids()).collect();
    assert_eq!(sent.len(), 3, "each receiver has events of its own");
}

#[test]
fn a_company_s_subscriptions_see_its_own_events_alone() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let (mut a, mut b) = (
        cluster.client_as("a", "postgres"),
        cluster.client_as("b", "postgres"),
    );
    run(&mut a, "SELECT tms_subscribe('*', 'n8n')");
    run(&mut b, "SELECT tms_subscribe('*', 'billing')");
    run(
        &mut owner,
        &format!("SELECT tms_subscribe('load.*', 'audit'), tms_subscribe('*', 'warehouse', '{B}')"),
    );
    assert_eq!(published(&mut owner, &mut a, "'load.moved', '{}'"), "audit n8n");
    assert_eq!(
        published(&mut owner, &mut b, "'load.moved', '{}'"),
        "audit billing warehouse"
    );
    assert_eq!(published(&mut owner, &mut a, "'other', '{}'"), "n8n");
    let mut platform = cluster.client("postgres");
    assert_eq!(
        published(&mut owner, &mut platform, "'load.moved', '{}'"),
        "audit"
    );
    let for_a = format!("'load.moved', '{{}}', '{A}'");
    assert_eq!(published(&mut owner, &mut platform, &for_a), "audit n8n");
    let companies =
        "SELECT string_agg(DISTINCT concat_ws(' ', target_system, company_id), ', ') FROM tms.event_outbox";
    assert_eq!(
        text(&mut owner, companies),
        format!("audit, audit {A}, audit {B}, billing {B}, n8n {A}, warehouse {B}")
    );
    // What each of them sees of subscriptions.
    let seen = "SELECT string_agg(target_system, ' ' ORDER BY target_system) FROM tms.subscriptions";
    assert_eq!(text(&mut a, seen), "n8n");
    assert_eq!(text(&mut b, seen), "billing warehouse");
}

#[test]
fn nobody_subscribes_or_publishes_for_another_company() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "CREATE ROLE nobody LOGIN; SELECT tms_grant('nobody', c) FROM unnest(ARRAY['producer', 'operator']) c",
    );
    run(&mut owner, &format!("SELECT tms_subscribe('*', 'n8n', '{A}')"));
    let calls = |company: &str| {
        [
            format!("SELECT tms_subscribe('*', 'n8n', {company})"),
            format!("SELECT tms_unsubscribe('*', 'n8n', {company})"),
            format!("SELECT tms_publish('load.moved', '{{}}', {company})"),
        ]
    };
    let mut b = cluster.client_as("b", "postgres");
    let (of_a, of_nobody) = (calls(&format!("'{A}'")), calls(&format!("'{UNKNOWN}'")));
    for (of_a, of_nobody) in of_a.iter().zip(&of_nobody) {
        let refused = refusal(&mut b, of_a);
        assert_eq!(refused.0, "42501", "{of_a}");
        assert_eq!(refused, refusal(&mut b, of_nobody), "{of_a}");
    }
    let mut nobody = cluster.client_as("nobody", "postgres");
    for call in calls("NULL").iter().chain(&of_a) {
        assert_eq!(refusal(&mut nobody, call).0, "42501", "{call}");
    }
    // A company takes nothing of the platform's away.
    run(&mut owner, "SELECT tms_subscribe('*', 'audit')");
    assert!(!truth(&mut b, "SELECT tms_unsubscribe('*', 'audit')"));
    assert_eq!(published(&mut owner, &mut b, "'load.moved', '{}'"), "audit");
}

#[test]
fn each_capability_gives_its_own_function() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (role, capability) in [
        ("seller", "producer"),
        ("clerk", "operator"),
        ("reader", "auditor"),
    ] {
        run(
            &mut owner,
            &format!(
                "CREATE ROLE {role} LOGIN; SELECT tms_bind_role('{role}', '{A}'), tms_grant('{role}', '{capability}')"
            ),
        );
    }
    let subscribe = "SELECT tms_subscribe('*', 'n8n')";
    let unsubscribe = "SELECT tms_unsubscribe('*', 'n8n')";
    let publish = "SELECT tms_publish('load.moved', '{}')";
    for (role, may) in [
        ("seller", &[publish][..]),
        ("clerk", &[subscribe, unsubscribe]),
        ("reader", &[]),
    ] {
        let mut client = cluster.client_as(role, "postgres");
        for call in [subscribe, unsubscribe, publish] {
            if may.contains(&call) {
                run(&mut client, call);
            } else {
                assert_eq!(refusal(&mut client, call).0, "42501", "{role}: {call}");
            }
        }
    }
}

#[test]
fn what_is_wrong_is_refused_whether_or_not_somebody_subscribed() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    for (call, state, words) in [
        ("tms_subscribe(NULL, 'n8n')", "22004", "event_type_pattern"),
        ("tms_subscribe('*', NULL)", "22004", "target_system"),
        ("tms_subscribe('load*', 'n8n')", "22023", "\"load*\""),
        ("tms_subscribe('', 'n8n')", "22023", "empty"),
        ("tms_subscribe('*', 'n8')", "42704", "\"n8\""),
        ("tms_unsubscribe('load.', 'n8n')", "22023", "\"load.\""),
        ("tms_unsubscribe(NULL, 'n8n')", "22004", "event_type_pattern"),
        ("tms_publish(NULL, '{}')", "22004", "event_type"),
        ("tms_publish('load.moved', NULL)", "22004", "payload"),
        ("tms_publish('load moved', '{}')", "22023", "\"load moved\""),
    ] {
        let (got, message, hint) = refusal(&mut owner, &format!("SELECT {call}"));
        assert_eq!(got, state, "{call}: {message}");
        assert!(message.contains(words), "{call}: {message}");
        assert!(!hint.is_empty(), "{call}");
    }
    // Events of a target that was removed: the publisher hears of it instead of losing them.
    run(
        &mut owner,
        "SELECT tms_subscribe('*', 'audit'), tms_subscribe('*', 'n8n')",
    );
    run(&mut owner, "DELETE FROM tms.targets WHERE name = 'n8n'");
    let (state, message, _) = refusal(&mut owner, "SELECT tms_publish('load.moved', '{}')");
    assert_eq!(state, "42704", "{message}");
    assert_eq!(
        text(&mut owner, "SELECT count(*)::text FROM tms.event_outbox"),
        "0"
    );
}

#[test]
fn a_subscription_counts_from_its_own_transaction_on() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let (mut one, mut other) = (cluster.client("postgres"), cluster.client("postgres"));
    run(&mut one, "BEGIN; SELECT tms_subscribe('*', 'n8n')");
    assert_eq!(published(&mut owner, &mut other, "'load.moved', '{}'"), "");
    run(&mut one, "SELECT tms_publish('load.moved', '{}')");
    run(&mut one, "COMMIT");
    assert_eq!(
        text(&mut owner, "SELECT count(*)::text FROM tms.event_outbox"),
        "1"
    );
    run(&mut one, "BEGIN; SELECT tms_subscribe('*', 'audit'); ROLLBACK");
    assert_eq!(published(&mut owner, &mut other, "'load.moved', '{}'"), "n8n");
}

#[test]
fn of_sessions_that_subscribe_the_same_at_once_one_is_the_first() {
    let cluster = stage();
    let firsts = thread::scope(|scope| {
        let sessions: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    truth(
                        &mut cluster.client("postgres"),
                        "SELECT tms_subscribe('load.*', 'n8n')",
                    )
                })
            })
            .collect();
        sessions
            .into_iter()
            .map(|session| session.join().expect("a session"))
            .filter(|first| *first)
            .count()
    });
    assert_eq!(firsts, 1);
}

/// Operators that whoever publishes has put before PostgreSQL's own.
const TRAPS: &str = "
    CREATE TABLE evil.loot (who name);
    GRANT ALL ON evil.loot TO PUBLIC;
    CREATE FUNCTION evil.take(uuid, uuid) RETURNS boolean LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO evil.loot VALUES (current_user); RETURN true; END $$;
    CREATE OPERATOR evil.= (LEFTARG = uuid, RIGHTARG = uuid, FUNCTION = evil.take);
    CREATE TABLE evil.subscriptions (id int);
    CREATE TEMP TABLE subscriptions (id int)";

#[test]
fn a_hostile_search_path_borrows_nobody_s_rights() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    run(
        &mut owner,
        "CREATE SCHEMA evil AUTHORIZATION a; GRANT USAGE ON SCHEMA evil TO PUBLIC",
    );
    let mut a = cluster.client_as("a", "postgres");
    run(&mut a, TRAPS);
    // Before the library prepares its first statement in this session.
    run(&mut a, "SET search_path = evil, pg_temp, pg_catalog, public");
    for call in [
        "SELECT public.tms_subscribe('load.*', 'n8n')",
        "SELECT public.tms_publish('load.moved', '{}')",
        "SELECT public.tms_unsubscribe('load.*', 'n8n')",
    ] {
        run(&mut a, call);
    }
    assert_eq!(
        text(
            &mut owner,
            "SELECT string_agg(target_system, ' ') FROM tms.event_outbox"
        ),
        "n8n"
    );
    assert_eq!(text(&mut owner, "SELECT string_agg(who, ' ') FROM evil.loot"), "");
}

/// A small generator, so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.below(all.len())]
    }

    fn dotted(&mut self, segments: &[&str]) -> String {
        let length = 1 + self.below(3);
        (0..length)
            .map(|_| self.of(segments))
            .collect::<Vec<_>>()
            .join(".")
    }
}

/// Written from the documentation, segment by segment.
fn matches(pattern: &[&str], event_type: &[&str]) -> bool {
    match (pattern, event_type) {
        ([], []) => true,
        (["*"], [_, ..]) => true,
        (["*", rest @ ..], [_, others @ ..]) => matches(rest, others),
        ([one, rest @ ..], [same, others @ ..]) if one == same => matches(rest, others),
        _ => false,
    }
}

#[test]
fn any_set_of_subscriptions_leads_where_a_plain_model_says() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    let mut looker = cluster.client("postgres");
    let mut chance = Chance(7);
    for round in 0..20 {
        let mut model = BTreeSet::new();
        run(&mut owner, "DELETE FROM tms.subscriptions");
        for _ in 0..chance.below(12) {
            let pattern = chance.dotted(&["a", "b", "*"]);
            let (target, company) = (chance.of(&TARGETS), chance.of(&["NULL", A, B]));
            let quoted = quote(company);
            let is_new = truth(
                &mut owner,
                &format!("SELECT tms_subscribe('{pattern}', '{target}', {quoted})"),
            );
            assert_eq!(is_new, model.insert((pattern, target, company)));
        }
        for _ in 0..10 {
            let (event_type, company) = (chance.dotted(&["a", "b", "c"]), chance.of(&["NULL", A, B]));
            let expected: BTreeSet<&str> = model
                .iter()
                .filter(|(pattern, _, of)| {
                    (*of == "NULL" || *of == company)
                        && matches(
                            &pattern.split('.').collect::<Vec<_>>(),
                            &event_type.split('.').collect::<Vec<_>>(),
                        )
                })
                .map(|(_, target, _)| *target)
                .collect();
            let arguments = format!("'{event_type}', '{{}}', {}", quote(company));
            assert_eq!(
                published(&mut looker, &mut owner, &arguments),
                expected.into_iter().collect::<Vec<_>>().join(" "),
                "round {round}: {arguments}; subscriptions: {model:?}"
            );
        }
    }
}

fn quote(company: &str) -> String {
    match company {
        "NULL" => "NULL".to_owned(),
        company => format!("'{company}'"),
    }
}
