//! Policies beside one another: when a change is seen by whom, loads that meet, copies of the database.

use std::collections::BTreeSet;
use std::thread;

use postgres::Client;
use tms_e2e::ask::{number, refusal, run, text};
use tms_e2e::cluster::Cluster;
use tms_e2e::story::SOON;
use tms_e2e::wait::eventually;

const COMPANY: &str = "aaaaaaaa-0000-4000-8000-00000000000a";

fn stage() -> Cluster {
    let cluster = Cluster::builder().start();
    run(&mut cluster.client("postgres"), "CREATE EXTENSION tms");
    cluster
}

/// Loads a policy under which the agent may call exactly these functions; returns its version.
#[track_caller]
fn allow(client: &mut Client, functions: &str) -> i64 {
    number(
        client,
        &format!(
            "SELECT version::bigint FROM tms_policy_load('agent_policies: {{rates_agent: {{allowed_functions: [{functions}]}}}}')"
        ),
    )
}

#[track_caller]
fn decision(client: &mut Client, function: &str) -> String {
    let ask = format!("SELECT tms_policy_check('rates_agent', '{function}') ->> 'decision'");
    text(client, &ask)
}

#[test]
fn a_change_is_seen_at_its_commit_and_by_nobody_before() {
    let cluster = stage();
    let (mut author, mut agent) = (cluster.client("postgres"), cluster.client("postgres"));
    assert_eq!(decision(&mut agent, "old.way"), "deny");
    allow(&mut author, "old.way");
    assert_eq!(decision(&mut agent, "old.way"), "allow");

    run(&mut author, "BEGIN");
    allow(&mut author, "new.way");
    assert_eq!(decision(&mut author, "new.way"), "allow");
    assert_eq!(decision(&mut agent, "new.way"), "deny");
    assert_eq!(decision(&mut agent, "old.way"), "allow");
    run(&mut author, "COMMIT");
    assert_eq!(decision(&mut agent, "new.way"), "allow");
    assert_eq!(decision(&mut agent, "old.way"), "deny");

    run(&mut author, "BEGIN");
    run(&mut author, "SELECT tms_policy_rollback('rates_agent', 1)");
    assert_eq!(decision(&mut author, "old.way"), "allow");
    run(&mut author, "ROLLBACK");
    for session in [&mut author, &mut agent] {
        assert_eq!(decision(session, "new.way"), "allow");
        assert_eq!(decision(session, "old.way"), "deny");
    }
}

#[test]
fn a_transaction_with_an_old_snapshot_goes_by_the_new_policy() {
    let cluster = stage();
    let (mut author, mut agent) = (cluster.client("postgres"), cluster.client("postgres"));
    allow(&mut author, "old.way");
    for level in ["READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE"] {
        run(
            &mut agent,
            &format!("BEGIN ISOLATION LEVEL {level}; SELECT count(*) FROM tms.policies"),
        );
        assert_eq!(decision(&mut agent, "old.way"), "allow", "{level}");
        allow(&mut author, "new.way");
        assert_eq!(decision(&mut agent, "old.way"), "deny", "{level}");
        assert_eq!(decision(&mut agent, "new.way"), "allow", "{level}");
        run(&mut agent, "COMMIT");
        allow(&mut author, "old.way");
    }
}

#[test]
fn a_loop_inside_one_statement_meets_the_change() {
    let cluster = stage();
    let mut author = cluster.client("postgres");
    allow(&mut author, "old.way");
    run(
        &mut author,
        "CREATE SEQUENCE turns;
         CREATE FUNCTION ask_until_denied() RETURNS text LANGUAGE plpgsql AS $$
         BEGIN
             LOOP
                 PERFORM nextval('turns');
                 IF tms_policy_check('rates_agent', 'old.way') ->> 'decision' = 'deny' THEN
                     RETURN tms_policy_check('rates_agent', 'new.way') ->> 'decision';
                 END IF;
             END LOOP;
         END $$",
    );
    thread::scope(|scope| {
        let mut agent = cluster.client("postgres");
        run(&mut agent, "SET statement_timeout = '60s'");
        let asking = scope.spawn(move || text(&mut agent, "SELECT ask_until_denied()"));
        eventually("the loop asks", SOON, || {
            let turns = number(&mut author, "SELECT last_value FROM turns");
            if turns > 100 { Ok(()) } else { Err(turns) }
        });
        assert!(!asking.is_finished());
        allow(&mut author, "new.way");
        assert_eq!(asking.join().expect("the loop ends"), "allow");
    });
}

#[test]
fn loads_that_meet_are_numbered_one_after_another() {
    const SESSIONS: usize = 6;
    const LOADS: usize = 5;
    let cluster = stage();
    thread::scope(|scope| {
        for session in 0..SESSIONS {
            let mut client = cluster.client("postgres");
            scope.spawn(move || {
                for load in 0..LOADS {
                    let mut agents = ["rates_agent", "loads_agent"];
                    if session % 2 == 0 {
                        agents.reverse();
                    }
                    // Written in either order, they are locked in one.
                    let body =
                        agents.map(|agent| format!("{agent}: {{allowed_functions: [s{session}.l{load}]}}"));
                    let load = format!(
                        "SELECT tms_policy_load('agent_policies: {{{}}}')",
                        body.join(", ")
                    );
                    run(&mut client, &load);
                }
            });
        }
    });
    let mut client = cluster.client("postgres");
    let expected: BTreeSet<i64> = (1..=(SESSIONS * LOADS) as i64).collect();
    for agent in ["rates_agent", "loads_agent"] {
        for table in ["policies", "policy_changes"] {
            let ask = format!("SELECT version::bigint FROM tms.{table} WHERE agent_name = '{agent}'");
            let versions: Vec<i64> = tms_e2e::ask::rows(&mut client, &ask)
                .iter()
                .map(|row| row.get(0))
                .collect();
            assert_eq!(versions.len(), expected.len(), "{agent} in {table}");
            assert_eq!(
                versions.into_iter().collect::<BTreeSet<_>>(),
                expected,
                "{agent} in {table}"
            );
        }
        let head = format!("SELECT version::bigint FROM tms.policy_heads WHERE agent_name = '{agent}'");
        assert_eq!(number(&mut client, &head), (SESSIONS * LOADS) as i64);
    }
    let chained = "SELECT count(*) FROM tms.policy_changes WHERE previous_version IS DISTINCT FROM nullif(version - 1, 0)";
    assert_eq!(
        number(&mut client, chained),
        0,
        "each change begins where the last one ended"
    );
}

#[test]
fn above_read_committed_the_later_load_fails_to_serialize() {
    let cluster = stage();
    let (mut first, mut second) = (cluster.client("postgres"), cluster.client("postgres"));
    allow(&mut first, "one");
    run(
        &mut second,
        "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM tms.policies",
    );
    allow(&mut first, "two");
    let load = "SELECT tms_policy_load('agent_policies: {rates_agent: {allowed_functions: [three]}}')";
    assert_eq!(refusal(&mut second, load).code, "40001");
    run(&mut second, "ROLLBACK");
    assert_eq!(allow(&mut second, "three"), 3);
}

#[test]
fn a_restored_copy_decides_the_same_and_counts_on() {
    let cluster = stage();
    let mut client = cluster.client("postgres");
    allow(&mut client, "one");
    allow(&mut client, "two");
    run(&mut client, "SELECT tms_policy_rollback('rates_agent', 1)");
    run(
        &mut client,
        &format!(
            "SELECT tms_policy_load('agent_policies: {{rates_agent: {{allowed_functions: [own]}}}}', '{COMPANY}')"
        ),
    );
    let dump = cluster.data_dir().with_file_name("policies.sql");
    let dump = dump.display().to_string();
    cluster
        .program("pg_dump", "postgres", &["--file", &dump, "postgres"])
        .expect_success();
    cluster.create_database("copy");
    cluster
        .program(
            "psql",
            "postgres",
            &["-Xq", "-v", "ON_ERROR_STOP=1", "-f", &dump, "copy"],
        )
        .expect_success();
    let mut copy = cluster.client("copy");
    let all = "SELECT concat(tms_policy_explain('rates_agent'), tms_policy_check('rates_agent', 'one'),
                             tms_policy_check('rates_agent', 'own', company_id => 'aaaaaaaa-0000-4000-8000-00000000000a'))";
    assert_eq!(text(&mut copy, all), text(&mut client, all));
    assert_eq!(decision(&mut copy, "one"), "allow");
    assert_eq!(allow(&mut copy, "two"), 2, "a known document is its version");
    assert_eq!(allow(&mut copy, "three"), 3);
}

#[test]
fn what_was_remembered_goes_with_the_extension() {
    let cluster = stage();
    let (mut author, mut agent) = (cluster.client("postgres"), cluster.client("postgres"));
    allow(&mut author, "old.way");
    assert_eq!(decision(&mut agent, "old.way"), "allow");
    run(&mut author, "DROP EXTENSION tms; CREATE EXTENSION tms");
    assert_eq!(decision(&mut agent, "old.way"), "deny");
    allow(&mut author, "new.way");
    assert_eq!(decision(&mut agent, "new.way"), "allow");
}

#[test]
fn without_preloading_policies_are_loaded_and_asked() {
    let cluster = Cluster::builder().preload(false).start();
    let (mut author, mut agent) = (cluster.client("postgres"), cluster.client("postgres"));
    run(&mut author, "CREATE EXTENSION tms");
    allow(&mut author, "old.way");
    assert_eq!(decision(&mut agent, "old.way"), "allow");
    allow(&mut author, "new.way");
    assert_eq!(decision(&mut agent, "old.way"), "deny");
    assert!(text(&mut agent, "SELECT tms_policy_explain('rates_agent')").contains("version 2"));
}
