//! No message counts twice, whoever comes at the same time, and until its time is over.

use std::sync::Barrier;
use std::thread;

use serde_json::json;
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::eventually_eq;

use crate::stage::{PATIENCE, SECRET, message, number, prepare, receipts, run, stage, verify};

#[test]
fn of_calls_at_the_same_time_one_is_the_first() {
    let cluster = stage();
    const SESSIONS: usize = 12;
    for round in 0..5 {
        let signed = message(
            &mut cluster.client("postgres"),
            SECRET,
            &format!("msg_{round}"),
            0,
            "{}",
        );
        let start = Barrier::new(SESSIONS);
        let firsts = thread::scope(|scope| {
            let sessions: Vec<_> = (0..SESSIONS)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = cluster.client("postgres");
                        start.wait();
                        verify(&mut client, &signed)
                    })
                })
                .collect();
            let answers = sessions
                .into_iter()
                .map(|session| session.join().expect("a session"));
            answers
                .inspect(|answer| assert_eq!(answer["valid"], json!(true)))
                .filter(|answer| answer["duplicate"] == json!(false))
                .count()
        });
        assert_eq!(firsts, 1, "round {round}");
    }
}

#[test]
fn who_comes_second_waits_and_is_the_first_when_the_other_rolls_back() {
    let cluster = stage();
    for (end, duplicate) in [("ROLLBACK", false), ("COMMIT", true)] {
        let mut one = cluster.client("postgres");
        let signed = message(&mut one, SECRET, &format!("msg_{end}"), 0, "{}");
        run(&mut one, "BEGIN");
        assert_eq!(verify(&mut one, &signed)["duplicate"], json!(false));
        let second = thread::scope(|scope| {
            let second = scope.spawn(|| verify(&mut cluster.client("postgres"), &signed));
            let mut looker = cluster.client("postgres");
            eventually_eq("the second waits", PATIENCE, 1, || {
                number(
                    &mut looker,
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%tms_webhook_verify%'",
                )
            });
            run(&mut one, end);
            second.join().expect("the second session")
        });
        assert_eq!(second["duplicate"], json!(duplicate), "{end}");
    }
}

#[test]
fn an_expired_receipt_counts_as_unseen_and_is_removed() {
    let cluster = Cluster::builder()
        .conf("tms.dispatch", "hold")
        .conf("tms.scheduler_interval", "1s")
        .start();
    let mut owner = cluster.client("postgres");
    prepare(&mut owner);
    let signed = message(&mut owner, SECRET, "msg_1", 0, "{}");
    let expire =
        "UPDATE tms.webhook_receipts SET expires_at = now() - interval '1 second' WHERE webhook_id = 'msg_1'";
    for _ in 0..3 {
        // In one transaction, so that the scheduler does not come between.
        run(&mut owner, "BEGIN");
        assert_eq!(verify(&mut owner, &signed)["duplicate"], json!(false));
        assert_eq!(verify(&mut owner, &signed)["duplicate"], json!(true));
        run(&mut owner, expire);
        assert_eq!(verify(&mut owner, &signed)["duplicate"], json!(false));
        run(&mut owner, "ROLLBACK");
    }
    run(
        &mut owner,
        "INSERT INTO tms.webhook_receipts
         SELECT gen_random_uuid(), 'old', now() - interval '2 days', now() - interval '1 day' FROM generate_series(1, 5000)",
    );
    verify(&mut owner, &signed);
    eventually_eq("the old receipts are gone", PATIENCE, 1, || receipts(&mut owner));
    let lasts = "SELECT extract(epoch FROM expires_at - received_at)::bigint FROM tms.webhook_receipts";
    assert_eq!(number(&mut owner, lasts), 86_401);
}
