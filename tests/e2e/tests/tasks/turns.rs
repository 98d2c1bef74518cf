//! Whose turn it is: priority within a company, turns between companies.

use uuid::Uuid;

use crate::stage::*;

#[test]
fn priority_is_worth_time_and_nobody_waits_for_ever() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    let mut submit = |priority: i32, age: i32| -> Uuid {
        id(
            &mut producer,
            &format!(
                "SELECT tms_task_submit('worker', 'rates.price', '{{}}', NULL, NULL, {priority}, now() - interval '{age} minutes')"
            ),
        )
    };
    let low = submit(-5, 0);
    let normal = submit(0, 0);
    let high = submit(5, 0);
    let old_and_low = submit(-5, 11);
    let mut agent = cluster.client_as("agent_a", "postgres");
    let order: Vec<Uuid> = (0..4).map(|_| claim(&mut agent).id).collect();
    assert_eq!(order, [old_and_low, high, normal, low]);
}

#[test]
fn companies_take_turns_whatever_they_have_queued() {
    let cluster = stage();
    let mut producer = cluster.client_as("producer_a", "postgres");
    run(
        &mut producer,
        "SELECT tms_task_submit('worker', 'rates.price') FROM generate_series(1, 500)",
    );
    let mut other = cluster.client_as("producer_b", "postgres");
    let lonely = submit(&mut other, "{}");
    let mut platform = cluster.client("postgres");
    let own = submit(&mut platform, "{}");
    let first: Vec<Uuid> = (0..3).map(|_| claim(&mut platform).id).collect();
    assert!(first.contains(&lonely), "one of three is the other company's");
    assert!(first.contains(&own), "one of three is the platform's");
    assert_eq!(
        claim_with(&mut platform, ", 1000").len(),
        499,
        "and then all that are left"
    );
}

#[test]
fn a_batch_is_shared() {
    let cluster = stage();
    for letter in ["a", "b"] {
        let mut producer = cluster.client_as(&format!("producer_{letter}"), "postgres");
        run(
            &mut producer,
            "SELECT tms_task_submit('worker', 'rates.price') FROM generate_series(1, 100)",
        );
    }
    let mut platform = cluster.client("postgres");
    let shares = text(
        &mut platform,
        "SELECT string_agg(n::text, ' ') FROM (SELECT count(*) n FROM tms_task_claim('worker', 'w', 40) GROUP BY company_id) s",
    );
    assert_eq!(shares, "20 20");
}
