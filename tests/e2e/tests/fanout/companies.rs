//! A company's subscriptions and events are its own; the platform's see all.

use crate::stage::{A, B, UNKNOWN, published, refusal, run, stage, text, truth};

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
