//! Ordering keys in the hands of consumers.

use crate::stage::{A, B, ack, claim, enqueue, nack, numbers, run, stage};

#[test]
fn a_head_holds_its_key_alone_whatever_became_of_it() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(
        &mut owner,
        A,
        (1, 3),
        ", ordering_key => 'load 1', max_retries => 0",
    );
    enqueue(
        &mut owner,
        A,
        (10, 10),
        ", ordering_key => 'load 2', available_at => now() + interval '1 hour'",
    );
    enqueue(
        &mut owner,
        A,
        (11, 11),
        ", ordering_key => 'load 2', priority => 9",
    );
    enqueue(&mut owner, B, (20, 20), ", ordering_key => 'load 1'");
    let heads = claim(&mut owner, 100, "1 minute");
    let mut found = numbers(&heads);
    found.sort_unstable();
    assert_eq!(
        found,
        [1, 20],
        "a leased and a scheduled head hold their keys; another company's key is another key"
    );
    let head = heads.iter().find(|event| event.n == 1).expect("the head");
    assert_eq!(ack(&mut owner, std::slice::from_ref(head)), 1);
    let next = claim(&mut owner, 100, "1 minute");
    assert_eq!(numbers(&next), [2]);
    assert_eq!(nack(&mut owner, &next[0], "timeout"), Some("dead".to_owned()));
    assert_eq!(
        claim(&mut owner, 100, "1 minute"),
        [],
        "a dead head holds its key"
    );
    run(
        &mut owner,
        r#"SELECT tms_target_set('jobs', 'pull', '{"on_dead": "skip"}')"#,
    );
    assert_eq!(numbers(&claim(&mut owner, 100, "1 minute")), [3]);
}

#[test]
fn a_long_line_behind_one_head_hides_nobody() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 3_000), ", ordering_key => 'long'");
    enqueue(&mut owner, A, (3_001, 3_001), ", ordering_key => 'other'");
    enqueue(&mut owner, A, (3_002, 3_002), "");
    let mut consumer = cluster.client_as("consumer_a", "postgres");
    let mut found = numbers(&claim(&mut consumer, 10, "1 minute"));
    found.sort_unstable();
    assert_eq!(found, [1, 3_001, 3_002]);
    assert_eq!(claim(&mut consumer, 10, "1 minute"), []);
}
