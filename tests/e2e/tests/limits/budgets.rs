//! Budgets for a day: exact whoever calls, kept across restarts, and never overspent, however a session or the server ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use postgres::Client;
use tms_e2e::ask::text;
use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::wait::{eventually, eventually_eq};

use crate::days::{DAY, attended, guard, noon, shown};
use crate::stage::{A, SOON, crowd, ended, load, refusal, run, spend, spent, stage_with};

const CENT: &str = r#"{"cost_usd": 0.01}"#;
const HALF: &str = r#"{"cost_usd": 0.50}"#;
const RULE: &str = "The rule is cost_guardrails.max_cost_usd_per_day";

/// How many more calls of a cent go through, each ended as it was reserved.
fn drain(client: &mut Client) -> usize {
    let mut through = 0;
    loop {
        match spend(client, CENT) {
            Ok(id) => assert!(ended(client, id, "{}")),
            Err(refusal) => {
                assert!(refusal.detail.starts_with(RULE), "{refusal:?}");
                return through;
            }
        }
        through += 1;
    }
}

fn wait_of(detail: &str) -> u64 {
    let wait = detail.split("retry_after_ms: ").nth(1).expect("a time to wait");
    wait.trim_end_matches('.').parse().expect("milliseconds")
}

#[test]
fn thirty_two_sessions_spend_exactly_the_budget() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1.50");
    let results = crowd(&cluster, "agent_a", 32, |client| {
        (0..10).map(|_| spend(client, CENT)).collect::<Vec<_>>()
    });
    let all: Vec<_> = results.iter().flat_map(|(_, results)| results).collect();
    assert_eq!(all.iter().filter(|result| result.is_ok()).count(), 150);
    let refused: Vec<_> = all.iter().filter_map(|result| result.as_ref().err()).collect();
    for refusal in &refused {
        assert_eq!(refusal.code, "53400");
        assert!(refusal.detail.starts_with(RULE), "{refusal:?}");
        // It is noon, or a little later.
        assert!(
            (40_000_000..=43_200_000).contains(&wait_of(&refusal.detail)),
            "{refusal:?}"
        );
    }
    assert_eq!(refused.len(), 170);
    assert!(
        refused[0]
            .message
            .ends_with("0 USD of 1.5 USD are left, and 0.01 USD are asked for"),
        "{:?}",
        refused[0]
    );
    spent(&mut cluster.client_as("agent_b", "postgres"), HALF);
}

#[test]
fn tokens_have_a_budget_of_their_own() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_tokens_per_day: 1000, max_cost_usd_per_day: 1");
    let results = crowd(&cluster, "agent_a", 32, |client| {
        spend(client, r#"{"tokens": 100, "cost_usd": 0.001}"#).is_ok()
    });
    assert_eq!(results.iter().filter(|(_, through)| *through).count(), 10);
    let refused = spend(
        &mut cluster.client_as("agent_a", "postgres"),
        r#"{"tokens": 1, "cost_usd": 0}"#,
    )
    .unwrap_err();
    assert!(
        refused
            .detail
            .starts_with("The rule is cost_guardrails.max_tokens_per_day"),
        "{refused:?}"
    );
}

#[test]
fn a_denied_call_charges_nothing() {
    let (cluster, _) = noon(Cluster::builder());
    load(
        &cluster,
        "    rate_limits: {max_concurrent: 1}\n    cost_guardrails: {max_cost_usd_per_day: 1}\n",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    let running = spent(&mut agent, r#"{"cost_usd": 0.60}"#);
    for _ in 0..20 {
        let refused = spend(&mut agent, CENT).unwrap_err();
        assert!(refused.detail.contains("max_concurrent"), "{refused:?}");
    }
    assert!(ended(&mut agent, running, "{}"));
    for _ in 0..20 {
        assert!(spend(&mut agent, HALF).unwrap_err().detail.starts_with(RULE));
    }
    spent(&mut agent, r#"{"cost_usd": 0.40}"#);
}

#[test]
fn a_call_that_does_not_say_what_it_costs_is_denied() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut agent = cluster.client_as("agent_a", "postgres");
    for usage in ["{}", r#"{"tokens": 5}"#, r#"{"cost_usd": null}"#] {
        let refused = spend(&mut agent, usage).unwrap_err();
        assert_eq!(refused.code, "53400");
        assert!(
            refused.message.contains("usage.cost_usd is not given"),
            "{refused:?}"
        );
        assert!(!refused.detail.contains("retry_after_ms"), "{refused:?}");
    }
    let more = spend(&mut agent, r#"{"cost_usd": 1.01}"#).unwrap_err();
    assert!(
        !more.detail.contains("retry_after_ms"),
        "no day is enough: {more:?}"
    );
    spent(&mut agent, r#"{"cost_usd": 0}"#);
}

#[test]
fn what_was_used_takes_the_place_of_what_was_reserved() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let id = spent(&mut agent, r#"{"cost_usd": 0.90}"#);
    assert!(spend(&mut agent, HALF).is_err());
    assert!(ended(&mut agent, id, r#"{"cost_usd": 0.10}"#));
    let id = spent(&mut agent, HALF);
    assert!(
        spend(&mut cluster.client_as("agent_b", "postgres"), HALF).is_ok(),
        "another company"
    );
    // More than was reserved, and more than there is.
    assert!(ended(&mut agent, id, r#"{"cost_usd": 2.00}"#));
    assert!(spend(&mut agent, CENT).is_err());
    eventually_eq("all of it is booked", SOON, format!("{A} 2.1 0 1"), || {
        shown(&cluster, "operator_a")
    });
    cluster.restart(Mode::Immediate);
    attended(&cluster);
    let mut agent = cluster.client_as("agent_a", "postgres");
    assert!(spend(&mut agent, CENT).unwrap_err().detail.starts_with(RULE));
}

#[test]
fn a_rollback_gives_nothing_back() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut transaction = agent.transaction().expect("a transaction");
    let call = format!(
        "SELECT (tms_policy_enforce('caller', 'rates.price', usage => '{HALF}') ->> 'reservation_id')::uuid"
    );
    let id: uuid::Uuid = transaction.query_one(&call, &[]).expect("a call").get(0);
    transaction
        .query_one(
            r#"SELECT tms_policy_release($1, 'failure', '{"cost_usd": 0.70}')"#,
            &[&id],
        )
        .expect("its end");
    transaction.rollback().expect("a rollback");
    assert_eq!(drain(&mut agent), 30);
    eventually_eq("it is shown", SOON, format!("{A} 1 0 1"), || {
        shown(&cluster, "operator_a")
    });
}

#[test]
fn a_session_that_is_killed_gives_back_and_one_that_leaves_has_spent() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut other = cluster.client_as("agent_a", "postgres");
    let mut killed = cluster.client_as("agent_a", "postgres");
    spent(&mut killed, HALF);
    spent(&mut killed, HALF);
    assert!(spend(&mut other, CENT).is_err());
    let pid: i32 = killed
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("its pid")
        .get(0);
    run(
        &mut cluster.client("postgres"),
        &format!("SELECT pg_terminate_backend({pid})"),
    );
    eventually("what it held is back", SOON, || spend(&mut other, HALF).ok());

    let mut leaving = cluster.client_as("agent_a", "postgres");
    let left = spent(&mut leaving, HALF);
    drop(leaving);
    eventually_eq("it has left", SOON, false, || ended(&mut other, left, "{}"));
    assert_eq!(drain(&mut other), 0);
}

#[test]
fn a_restart_in_order_loses_nothing() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut agent = cluster.client_as("agent_a", "postgres");
    for _ in 0..10 {
        let id = spent(&mut agent, CENT);
        assert!(ended(&mut agent, id, "{}"));
    }
    drop(agent);
    cluster.restart(Mode::Fast);
    attended(&cluster);
    // Nobody has called since: the table answers.
    let mut agent = cluster.client_as("agent_a", "postgres");
    let check = |usage: &str| {
        format!("SELECT tms_policy_check('caller', 'rates.price', usage => '{usage}') ->> 'decision'")
    };
    assert_eq!(text(&mut agent, &check(r#"{"cost_usd": 0.90}"#)), "allow");
    assert_eq!(text(&mut agent, &check(r#"{"cost_usd": 0.91}"#)), "deny");
    assert_eq!(drain(&mut agent), 90);
    assert_eq!(text(&mut agent, &check(CENT)), "deny");
}

/// Sessions call until the server ends under them; answers how many calls they know to have gone through.
fn call_until_it_ends(cluster: &Cluster, end: impl FnOnce(&Cluster)) -> usize {
    let through = Arc::new(AtomicUsize::new(0));
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let mut client = cluster.client_as("agent_a", "postgres");
            let through = Arc::clone(&through);
            thread::spawn(move || {
                loop {
                    match spend(&mut client, CENT) {
                        Ok(id) => {
                            through.fetch_add(1, Ordering::SeqCst);
                            let release = "SELECT tms_policy_release($1, 'success')";
                            if client.query_one(release, &[&id]).is_err() {
                                return;
                            }
                        }
                        Err(refusal) if refusal.code == "53400" => {}
                        Err(_) => return,
                    }
                }
            })
        })
        .collect();
    eventually("some have called", SOON, || {
        (through.load(Ordering::SeqCst) >= 300).then_some(())
    });
    end(cluster);
    for thread in threads {
        thread.join().expect("a session");
    }
    through.load(Ordering::SeqCst)
}

#[test]
fn no_crash_lets_more_through_than_the_budget_and_each_loses_little() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 20");
    let mut through = call_until_it_ends(&cluster, |cluster| {
        cluster.stop(Mode::Immediate);
    });
    cluster.start();
    attended(&cluster);
    through += call_until_it_ends(&cluster, |cluster| {
        let ask = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'tms scheduler'";
        let pid: i32 = cluster
            .client("postgres")
            .query_one(ask, &[])
            .expect("a scheduler")
            .get(0);
        assert!(cluster.kill9(pid));
    });
    let mut agent = eventually("the server is back", SOON, || {
        let mut agent = cluster.try_client_as("agent_a", "postgres").ok()?;
        let id = spend(&mut agent, CENT).ok()?;
        ended(&mut agent, id, "{}").then_some(agent)
    });
    through += 1 + drain(&mut agent);
    assert!(through <= 2_000, "{through}");
    // A 64th of the budget is 31 calls; 8 run, and 8 wait for what was set aside for them; each time.
    assert!(through >= 2_000 - 2 * (32 + 8 + 8), "{through}");
}

#[test]
fn a_company_sees_its_own_budgets_and_writes_none() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let id = spent(&mut agent, HALF);
    assert!(ended(&mut agent, id, r#"{"cost_usd": 0.25}"#));
    eventually("it is shown", SOON, || {
        shown(&cluster, "operator_a")
            .starts_with(&format!("{A} 0.25 "))
            .then_some(())
    });
    assert_eq!(shown(&cluster, "operator_b"), "nothing");
    assert_eq!(
        text(
            &mut cluster.client_as("operator_b", "postgres"),
            "SELECT count(*)::text FROM tms.policy_spending"
        ),
        "0"
    );
    for statement in [
        "UPDATE tms.policy_spending SET allotted_micro_usd = 0",
        "DELETE FROM tms.policy_spending",
        "INSERT INTO tms.policy_spending (agent_name, day) VALUES ('caller', current_date)",
    ] {
        let mut operator = cluster.client_as("operator_a", "postgres");
        assert_eq!(refusal(&mut operator, statement).code, "42501", "{statement}");
    }
}

#[test]
fn another_budget_holds_from_its_commit_on() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 0.50");
    let mut agent = cluster.client_as("agent_a", "postgres");
    assert_eq!(drain(&mut agent), 50);
    guard(&cluster, "max_cost_usd_per_day: 0.60");
    assert_eq!(drain(&mut agent), 10);
    guard(&cluster, "max_cost_usd_per_day: 0.40");
    assert_eq!(drain(&mut agent), 0);
    guard(&cluster, "max_cost_usd_per_day: 0.65");
    assert_eq!(drain(&mut agent), 5);
}

#[test]
fn a_new_day_has_a_new_budget_and_the_old_one_stays_spent() {
    let (cluster, shift) = noon(Cluster::builder().conf("tms.scheduler_interval", "1s"));
    guard(&cluster, "max_cost_usd_per_day: 0.20");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let over_night = spent(&mut agent, r#"{"cost_usd": 0.05}"#);
    assert_eq!(drain(&mut agent), 15);
    cluster.shift_clock(shift + DAY);
    assert_eq!(drain(&mut agent), 20);
    // It is booked on the day it began.
    assert!(ended(&mut agent, over_night, r#"{"cost_usd": 0.03}"#));
    assert_eq!(drain(&mut agent), 0);
    cluster.shift_clock(shift);
    assert_eq!(drain(&mut agent), 2);
    let mut owner = cluster.client("postgres");
    eventually_eq("both days are on record", SOON, "0.2 0.2".to_owned(), || {
        text(
            &mut owner,
            "SELECT string_agg(cost_usd::text, ' ' ORDER BY day) FROM tms.policy_budgets",
        )
    });
    cluster.shift_clock(shift + 100 * DAY);
    eventually_eq("they are old", SOON, "0".to_owned(), || {
        text(&mut owner, "SELECT count(*)::text FROM tms.policy_spending")
    });
}

#[test]
fn without_a_scheduler_nothing_is_set_aside() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut agent = cluster.client_as("agent_a", "postgres");
    spent(&mut agent, CENT);
    cluster.set("tms.dispatch", "off");
    let refused = eventually("nobody sets anything aside", SOON, || {
        spend(&mut agent, CENT).err()
    });
    assert_eq!(refused.code, "53400");
    assert_eq!(wait_of(&refused.detail), 1_000);
    cluster.set("tms.dispatch", "hold");
    eventually("somebody does", SOON, || spend(&mut agent, CENT).ok());
}

#[test]
fn a_lock_on_the_table_is_waited_for_and_not_for_long() {
    let (cluster, _) = noon(Cluster::builder());
    guard(&cluster, "max_cost_usd_per_day: 1");
    let mut owner = cluster.client("postgres");
    let mut agent = cluster.client_as("agent_a", "postgres");
    let mut lock = owner.transaction().expect("a transaction");
    lock.batch_execute("LOCK TABLE tms.policy_spending")
        .expect("the lock");
    let refused = spend(&mut agent, CENT).unwrap_err();
    assert_eq!(refused.code, "53400");
    assert!(refused.message.contains("the scheduler"), "{refused:?}");
    lock.rollback().expect("its end");
    eventually("the table is free", SOON, || spend(&mut agent, CENT).ok());
}

#[test]
fn a_standby_sets_nothing_aside_and_goes_on_where_the_primary_was() {
    let cluster = stage_with(Cluster::builder());
    attended(&cluster);
    guard(&cluster, "max_cost_usd_per_day: 1");
    assert_eq!(drain(&mut cluster.client_as("agent_a", "postgres")), 100);
    let standby = Cluster::builder().standby_of(&cluster).start();
    let mut agent = standby.client_as("agent_a", "postgres");
    let check = format!("SELECT tms_policy_check('caller', 'rates.price', usage => '{CENT}') ->> 'decision'");
    eventually_eq("the standby knows", SOON, "deny".to_owned(), || {
        text(&mut agent, &check)
    });
    assert_eq!(spend(&mut agent, CENT).unwrap_err().code, "25006");
    cluster.stop(Mode::Immediate);
    run(&mut standby.client("postgres"), "SELECT pg_promote(true, 60)");
    attended(&standby);
    assert_eq!(drain(&mut agent), 0);
}

#[test]
fn without_preload_a_budget_is_not_looked_at() {
    let cluster = Cluster::builder().preload(false).start();
    let mut owner = cluster.client("postgres");
    run(&mut owner, "CREATE EXTENSION tms");
    guard(&cluster, "max_cost_usd_per_day: 1");
    let check = format!("SELECT tms_policy_check('caller', 'rates.price', usage => '{CENT}')");
    assert_eq!(refusal(&mut owner, &check).code, "55000");
    assert_eq!(spend(&mut owner, CENT).unwrap_err().code, "55000");
}

#[test]
fn an_agent_that_is_only_watched_is_let_through_and_not_charged() {
    let cluster = stage_with(Cluster::builder());
    attended(&cluster);
    load(
        &cluster,
        "    mode: evaluate_only\n    cost_guardrails: {max_cost_usd_per_day: 0.01}\n",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    let call =
        format!("SELECT tms_policy_enforce('caller', 'rates.price', usage => '{HALF}') ->> 'decision'");
    assert_eq!(text(&mut agent, &call), "deny");
    spent(&mut agent, CENT);
}
