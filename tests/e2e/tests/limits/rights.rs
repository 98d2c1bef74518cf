//! Companies do not touch or see each other's calls, and nobody writes what was decided but the library.

use tms_e2e::wait::eventually_eq;
use uuid::Uuid;

use crate::stage::{SOON, call, called, count, load, refusal, release, stage};

#[test]
fn a_reservation_of_another_company_is_as_good_as_unknown() {
    let cluster = stage();
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    let mut ours = cluster.client_as("agent_a", "postgres");
    let mut theirs = cluster.client_as("agent_b", "postgres");
    let id = called(&mut ours);
    assert!(!release(&mut theirs, id, "failure"));
    assert!(!release(&mut theirs, Uuid::nil(), "failure"));
    assert!(call(&mut ours).is_err(), "it still runs");
    cluster.create_database_with_tms("other");
    assert!(
        !release(&mut cluster.client("other"), id, "success"),
        "nor from another database"
    );
    assert!(
        release(&mut cluster.client("postgres"), id, "success"),
        "the platform may"
    );
}

#[test]
fn a_company_reads_its_own_decisions_and_writes_none() {
    let cluster = stage();
    load(&cluster, "");
    for role in ["agent_a", "agent_b", "agent_b"] {
        called(&mut cluster.client_as(role, "postgres"));
    }
    let mut owner = cluster.client("postgres");
    let all = "SELECT count(*) FROM tms.policy_decisions";
    eventually_eq("all are on record", SOON, 3, || count(&mut owner, all));
    assert_eq!(count(&mut cluster.client_as("operator_a", "postgres"), all), 1);
    assert_eq!(count(&mut cluster.client_as("operator_b", "postgres"), all), 2);
    for role in ["agent_a", "operator_a"] {
        let mut client = cluster.client_as(role, "postgres");
        for statement in [
            "UPDATE tms.policy_decisions SET decision = 'allow'",
            "DELETE FROM tms.policy_decisions",
            "TRUNCATE tms.policy_decisions",
            "INSERT INTO tms.policy_decisions (id, decided_at, agent_name, fn_name, decision, effective)
             VALUES (gen_random_uuid(), now(), 'a', 'f', 'allow', 'allow')",
        ] {
            assert_eq!(
                refusal(&mut client, statement).code,
                "42501",
                "{role}: {statement}"
            );
        }
    }
    for statement in [
        "SELECT tms_policy_enforce('caller', 'rates.price')",
        "SELECT tms_policy_release(NULL, 'success')",
    ] {
        assert_eq!(
            refusal(&mut cluster.client_as("operator_a", "postgres"), statement).code,
            "42501"
        );
    }
}
