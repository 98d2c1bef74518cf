//! Tables of a fixed size: when they are full calls are refused, and the error names the setting. Without them, what to set.

use tms_e2e::cluster::Cluster;

use crate::stage::{call, called, load, refusal, release, run, stage_with, stopped};

#[test]
fn a_full_table_of_reservations_refuses_by_the_name_of_its_setting() {
    let cluster = stage_with(Cluster::builder().conf("tms.max_reservations", "16"));
    load(&cluster, "");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let held: Vec<_> = (0..16).map(|_| called(&mut agent)).collect();
    let refusal = stopped(&mut agent);
    assert_eq!(refusal.code, "53400");
    assert!(refusal.hint.contains("tms.max_reservations"), "{refusal:?}");
    assert!(release(&mut agent, held[3], "success"));
    called(&mut agent);
}

#[test]
fn a_full_table_of_agents_refuses_and_an_idle_one_gives_its_place() {
    let cluster = stage_with(Cluster::builder().conf("tms.max_policy_agents", "16"));
    let mut owner = cluster.client("postgres");
    let document: String = (0..20)
        .map(|number| format!("  agent{number}: {{allowed_functions: [f]}}\n"))
        .collect();
    owner
        .query(
            "SELECT * FROM tms_policy_load($1)",
            &[&format!("agent_policies:\n{document}")],
        )
        .unwrap();
    for number in 0..16 {
        run(
            &mut owner,
            &format!("SELECT tms_policy_enforce('agent{number}', 'f')"),
        );
    }
    let full = refusal(&mut owner, "SELECT tms_policy_enforce('agent16', 'f')");
    assert_eq!(full.code, "53400");
    assert!(full.hint.contains("tms.max_policy_agents"), "{full:?}");
    run(
        &mut owner,
        "SELECT tms_policy_release((tms_policy_enforce('agent3', 'f') ->> 'reservation_id')::uuid, 'success')",
    );
    assert_eq!(
        refusal(&mut owner, "SELECT tms_policy_enforce('agent16', 'f')").code,
        "53400",
        "agent3 has one more"
    );
    // What the session held is given back with it.
    drop(owner);
    let mut owner = cluster.client("postgres");
    tms_e2e::wait::eventually("the places are free", crate::stage::SOON, || {
        owner.query("SELECT tms_policy_enforce('agent16', 'f')", &[]).ok()
    });
}

#[test]
fn without_preload_the_error_says_what_to_set() {
    let cluster = Cluster::builder().preload(false).start();
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE EXTENSION tms");
    load(&cluster, "");
    for statement in [
        "SELECT tms_policy_enforce('caller', 'rates.price')",
        "SELECT tms_policy_release('aaaaaaaa-0000-4000-8000-00000000000a', 'success')",
    ] {
        let refusal = refusal(&mut owner, statement);
        assert_eq!(refusal.code, "55000", "{statement}");
        assert!(refusal.hint.contains("shared_preload_libraries"), "{refusal:?}");
    }
    // What needs no shared memory works.
    let check = "SELECT tms_policy_check('caller', 'rates.price') ->> 'decision'";
    assert_eq!(tms_e2e::ask::text(&mut owner, check), "allow");
    load(&cluster, "    rate_limits: {max_concurrent: 1}\n");
    assert_eq!(refusal(&mut owner, check).code, "55000");
    assert!(call(&mut owner).is_err());
}
