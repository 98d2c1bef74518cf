//! What becomes of events that are not acknowledged.

use tms_e2e::wait::{eventually, eventually_eq};

use crate::stage::{A, SOON, ack, claim, count, enqueue, nack, one, run, stage};

#[test]
fn a_lease_that_runs_out_is_a_failed_attempt_and_the_last_one_a_dead_letter() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 1), ", max_retries => 1");
    let first = claim(&mut owner, 1, "1 millisecond");
    let second = eventually("the lease runs out", SOON, || {
        claim(&mut owner, 1, "1 millisecond").pop()
    });
    assert_eq!((first[0].attempt, second.attempt), (1, 2));
    assert_ne!(first[0].token, second.token);
    assert_eq!(ack(&mut owner, &first), 0, "somebody else has it");
    let letter = "SELECT count(*) FROM tms.dead_letter_queue
                   WHERE error_type = 'timeout' AND attempts = 2 AND NOT permanent AND error_message LIKE '%lease%'";
    eventually_eq("a dead letter", SOON, 1, || {
        assert_eq!(claim(&mut owner, 1, "1 minute"), []);
        count(&mut owner, letter)
    });
    assert_eq!(ack(&mut owner, &[second]), 0, "it is dead");
    let dead =
        "SELECT count(*) FROM tms.event_outbox WHERE available_at = 'infinity' AND lease_token IS NULL";
    assert_eq!(count(&mut owner, dead), 1);
    assert_eq!(
        count(
            &mut owner,
            "SELECT count(*) FROM tms.delivery_attempts WHERE error_type = 'timeout'"
        ),
        2
    );
    // In time or late: an event that nobody claimed since is done.
    enqueue(&mut owner, A, (2, 2), "");
    let late = claim(&mut owner, 1, "1 millisecond");
    eventually("the lease runs out", SOON, || {
        let sql = "SELECT count(*) FROM tms.event_outbox WHERE lease_token IS NOT NULL AND available_at < clock_timestamp()";
        (count(&mut owner, sql) == 1).then_some(())
    });
    assert_eq!(ack(&mut owner, &late), 1);
}

#[test]
fn what_is_given_back_is_retried_or_dead() {
    let cluster = stage();
    let mut owner = cluster.client("postgres");
    enqueue(&mut owner, A, (1, 1), ", max_retries => 1");
    let first = claim(&mut owner, 1, "1 minute");
    assert_eq!(
        nack(&mut owner, &first[0], "external_api"),
        Some("retry".to_owned())
    );
    assert_eq!(
        nack(&mut owner, &first[0], "external_api"),
        None,
        "it is not held any more"
    );
    let second = eventually("the backoff is over", SOON, || {
        claim(&mut owner, 1, "1 minute").pop()
    });
    assert_eq!(second.attempt, 2);
    assert_eq!(
        nack(&mut owner, &second, "quota_exceeded"),
        Some("dead".to_owned())
    );
    enqueue(&mut owner, A, (2, 2), "");
    let third = claim(&mut owner, 1, "1 minute");
    assert_eq!(nack(&mut owner, &third[0], "validation"), Some("dead".to_owned()));
    let letters =
        "SELECT string_agg(concat_ws(' ', error_type, attempts, permanent), ', ' ORDER BY created_at)
                     FROM tms.dead_letter_queue WHERE error_message = 'the disk is full'";
    assert_eq!(
        one::<String>(&mut owner, letters, &[]),
        "quota_exceeded 2 f, validation 1 t"
    );
    let attempts = "SELECT string_agg(concat_ws(' ', attempt, outcome, error_type), ', ' ORDER BY id) FROM tms.delivery_attempts";
    assert_eq!(
        one::<String>(&mut owner, attempts, &[]),
        "1 retry external_api, 2 dead quota_exceeded, 1 dead validation"
    );
    // A consumer's word is cut, not refused.
    enqueue(&mut owner, A, (3, 3), "");
    let long = claim(&mut owner, 1, "1 minute");
    run(
        &mut owner,
        &format!(
            "SELECT tms_outbox_nack('{}', 'validation', repeat('ä', 5000))",
            long[0].token
        ),
    );
    assert_eq!(
        count(
            &mut owner,
            "SELECT max(length(error_message))::bigint FROM tms.dead_letter_queue"
        ),
        1_000
    );
}
