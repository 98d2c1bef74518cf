//! Every decision is on record a moment later, whatever became of the transaction that asked.

use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::wait::{eventually, eventually_eq};

use crate::stage::{A, SOON, call, called, count, load, run, stage, stage_with};

const ALL: &str = "SELECT count(*) FROM tms.policy_decisions";

#[test]
fn a_denial_is_on_record_although_its_transaction_rolled_back() {
    let cluster = stage();
    load(&cluster, "");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut transaction = agent.transaction().unwrap();
    let denied = transaction.query(
        "SELECT tms_policy_enforce('caller', 'rates.delete', '{\"load\": 1e400, \"sum\": 0.10}', '{\"tokens\": 5, \"cost_usd\": 0.5}')",
        &[],
    );
    assert_eq!(denied.unwrap_err().code().unwrap().code(), "42501");
    transaction.rollback().unwrap();

    let mut owner = cluster.client("postgres");
    let row = eventually("the denial is on record", SOON, || {
        let found = owner.query_opt(
            "SELECT decision, effective, fn_name, rule, mode, policy_version, company_id::text, input::text, usage::text,
                    input_sha256 = encode(sha256('{\"load\":1e+400,\"sum\":0.1}'), 'hex'),
                    policy_sha256 = (SELECT sha256 FROM tms.policies WHERE agent_name = 'caller'),
                    decided_at > now() - interval '5 minutes' AND decided_at <= clock_timestamp(), latency_us >= 0
               FROM tms.policy_decisions WHERE agent_name = 'caller'",
            &[],
        );
        found.unwrap()
    });
    let text = |column: usize| row.get::<_, String>(column);
    assert_eq!([text(0), text(1), text(2)], ["deny", "deny", "rates.delete"]);
    assert_eq!([text(3), text(4)], ["default: deny", "enforce"]);
    assert_eq!(row.get::<_, i32>(5), 1);
    assert_eq!(text(6), A);
    assert!(
        text(7).starts_with("{\"sum\": 0.10, \"load\": 1000"),
        "{}",
        text(7)
    );
    assert_eq!(text(8), "{\"tokens\": 5, \"cost_usd\": 0.5, \"api_calls\": 0}");
    for column in 9..13 {
        assert!(row.get::<_, bool>(column), "column {column}");
    }
}

#[test]
fn allowed_calls_limits_and_unknown_agents_are_on_record_too() {
    let cluster = stage();
    load(
        &cluster,
        "    rate_limits: {requests_per_minute: 1, burst: 0}\n    require_confirmation: [rates.publish]\n",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    called(&mut agent);
    assert!(call(&mut agent).is_err());
    assert!(
        agent
            .query("SELECT tms_policy_enforce('nobody', 'rates.price')", &[])
            .is_err()
    );
    let mut owner = cluster.client("postgres");
    let mut listed = || -> Vec<String> {
        let rows = owner
            .query(
                "SELECT concat_ws(' ', agent_name, decision, effective, rule, policy_version) FROM tms.policy_decisions ORDER BY id",
                &[],
            )
            .unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    };
    let expected = [
        "caller allow allow allowed_functions: rates.price 1",
        "caller deny deny rate_limits.requests_per_minute 1",
        "nobody deny deny default: deny",
    ];
    eventually_eq(
        "three decisions",
        SOON,
        expected.map(str::to_owned).to_vec(),
        &mut listed,
    );
}

#[test]
fn what_is_only_evaluated_goes_through_and_is_on_record_as_what_it_is() {
    let cluster = stage();
    load(
        &cluster,
        "    mode: evaluate_only\n    rate_limits: {max_concurrent: 1}\n",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    called(&mut agent);
    let row = agent
        .query_one(
            "SELECT v ->> 'decision', v ->> 'rule', v ->> 'reservation_id' IS NULL, tms_policy_release((v ->> 'reservation_id')::uuid, 'success')
               FROM tms_policy_enforce('caller', 'rates.price') v",
            &[],
        )
        .unwrap();
    assert_eq!(
        [row.get::<_, String>(0), row.get(1)],
        ["deny", "rate_limits.max_concurrent"]
    );
    assert!(row.get::<_, bool>(2) && !row.get::<_, bool>(3));
    run(&mut agent, "SELECT tms_policy_enforce('caller', 'rates.delete')");
    let mut owner = cluster.client("postgres");
    eventually_eq("three decisions", SOON, 3, || {
        count(
            &mut owner,
            "SELECT count(*) FROM tms.policy_decisions WHERE mode = 'evaluate_only' AND effective = 'allow'",
        )
    });
    assert_eq!(
        count(
            &mut owner,
            "SELECT count(*) FROM tms.policy_decisions WHERE decision = 'deny'"
        ),
        2
    );
}

#[test]
fn a_long_input_is_cut_beside_the_digest_of_the_whole() {
    let cluster = stage();
    load(&cluster, "");
    let mut agent = cluster.client_as("agent_a", "postgres");
    run(
        &mut agent,
        "SELECT tms_policy_enforce('caller', 'rates.price', jsonb_build_object('a', repeat('ä', 100000)))",
    );
    let mut owner = cluster.client("postgres");
    eventually_eq("it is on record", SOON, 1, || {
        count(
            &mut owner,
            "SELECT count(*) FROM tms.policy_decisions
              WHERE octet_length(input ->> 'cut') BETWEEN 8190 AND 8192 AND (input ->> 'bytes')::int = 200009
                AND input_sha256 = encode(sha256(convert_to('{\"a\":\"' || repeat('ä', 100000) || '\"}', 'UTF8')), 'hex')",
        )
    });
}

/// Lets the scheduler of the database write nothing, by a lock that lasts as long as the client.
fn hold_the_table(cluster: &Cluster) -> postgres::Client {
    let mut holder = cluster.client("postgres");
    run(
        &mut holder,
        "BEGIN; LOCK TABLE tms.policy_decisions IN SHARE MODE",
    );
    holder
}

#[test]
fn when_the_buffer_overflows_denials_are_kept_and_what_is_lost_is_counted() {
    let cluster = stage_with(Cluster::builder().conf("tms.decision_buffer", "64kB"));
    load(&cluster, "");
    let holder = hold_the_table(&cluster);
    let mut agent = cluster.client_as("agent_a", "postgres");
    for _ in 0..200 {
        called(&mut agent);
    }
    for _ in 0..5 {
        assert!(
            agent
                .query("SELECT tms_policy_enforce('caller', 'rates.delete')", &[])
                .is_err()
        );
    }
    // Another company finds room, whatever the first one did.
    let mut other = cluster.client_as("agent_b", "postgres");
    assert!(
        other
            .query("SELECT tms_policy_enforce('caller', 'rates.delete')", &[])
            .is_err()
    );
    drop(holder);
    let mut owner = cluster.client("postgres");
    let denials = "SELECT count(*) FROM tms.policy_decisions WHERE decision = 'deny'";
    eventually_eq("every denial is kept", SOON, 6, || count(&mut owner, denials));
    let kept = count(&mut owner, ALL);
    let lost = 206 - kept;
    assert!(lost > 100, "{kept} were kept in 64 kB");
    let told = "SELECT count(*) FROM tms_worker_status() WHERE component = 'scheduler' AND detail LIKE '%; ' || $1 || ' decisions were dropped%, 0 of them denials'";
    let shown: i64 = owner.query_one(told, &[&lost.to_string()]).unwrap().get(0);
    assert_eq!(shown, 1, "{lost} are counted");
}

#[test]
fn what_was_decided_just_before_the_server_stops_is_written_first() {
    let cluster = stage();
    load(&cluster, "");
    let mut agent = cluster.client_as("agent_a", "postgres");
    for _ in 0..3 {
        called(&mut agent);
    }
    drop(agent);
    cluster.restart(Mode::Fast);
    assert_eq!(count(&mut cluster.client("postgres"), ALL), 3);
}

#[test]
fn each_database_has_the_records_of_its_own_calls() {
    let cluster = stage();
    cluster.create_database_with_tms("other");
    load(&cluster, "");
    called(&mut cluster.client("postgres"));
    assert!(
        cluster
            .client("other")
            .query("SELECT tms_policy_enforce('caller', 'rates.price')", &[])
            .is_err()
    );
    for (database, decision) in [("postgres", "allow"), ("other", "deny")] {
        let mut client = cluster.client(database);
        eventually_eq(database, SOON, decision.to_owned(), || {
            let found = client
                .query_opt("SELECT decision FROM tms.policy_decisions", &[])
                .unwrap();
            found.map(|row| row.get(0)).unwrap_or_default()
        });
    }
}

#[test]
fn questions_are_on_record_where_that_is_wanted() {
    let cluster = stage();
    load(&cluster, "");
    let mut owner = cluster.client("postgres");
    run(&mut owner, "SELECT tms_policy_check('caller', 'rates.price')");
    called(&mut owner);
    cluster.set("tms.record_decisions", "all");
    eventually_eq("the session has read it", SOON, "all".to_owned(), || {
        tms_e2e::ask::text(&mut owner, "SHOW tms.record_decisions")
    });
    run(
        &mut owner,
        "BEGIN; SELECT tms_policy_check('caller', 'rates.delete'); ROLLBACK",
    );
    eventually_eq("the call and the second question", SOON, 2, || {
        count(&mut owner, ALL)
    });
    let asked = "SELECT count(*) FROM tms.policy_decisions WHERE asked AND decision = 'deny'";
    assert_eq!(count(&mut owner, asked), 1);
}

#[test]
fn old_records_leave() {
    let cluster = stage_with(Cluster::builder().conf("tms.scheduler_interval", "1s"));
    load(&cluster, "");
    called(&mut cluster.client("postgres"));
    let mut owner = cluster.client("postgres");
    eventually_eq("it is on record", SOON, 1, || count(&mut owner, ALL));
    cluster.set("tms.decision_retention", "0");
    eventually_eq("it is gone", SOON, 0, || count(&mut owner, ALL));
}
