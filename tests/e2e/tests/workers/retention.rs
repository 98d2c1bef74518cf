//! Retention removes what was delivered, and nothing that still matters.

use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::eventually_eq;

use crate::stage::{SOON, Stage, count, enqueue, enqueue_for, enqueue_many, id_of, run, wakeups};

#[test]
fn delivered_events_leave_and_waiting_scheduled_and_dead_ones_stay() {
    let stage = Stage::with(
        Cluster::builder()
            .conf("tms.event_retention", "-1")
            .conf("tms.scheduler_interval", "1s"),
    );
    let mut client = stage.client();
    stage.receiver.behave(Behaviour::choose(|request| {
        if request.path == "/refusing" {
            Behaviour::status(422)
        } else {
            Behaviour::Ok
        }
    }));
    stage.target(&mut client, "refusing", "/refusing", "");
    stage.target(&mut client, "paused", "/paused", "");
    run(&mut client, "SELECT tms_target_pause('paused')");
    let dead = enqueue_for(&mut client, "refusing");
    let waiting = enqueue_for(&mut client, "paused");
    let scheduled = id_of(
        &mut client,
        "SELECT tms_enqueue('load.later', '{}', 'hook', available_at => now() + '1 hour')",
    );
    enqueue_many(&mut client, "hook", 3_000);
    const DELIVERED: &str = "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NOT NULL";
    const LETTERS: &str = "SELECT count(*) FROM tms.dead_letter_queue";
    eventually_eq("three thousand delivered", SOON, 3_001, || {
        count(&mut client, DELIVERED)
    });
    eventually_eq("one dead", SOON, 1, || count(&mut client, LETTERS));

    stage.cluster.set("tms.event_retention", "0");
    eventually_eq("nothing delivered is kept", SOON, 0, || {
        count(&mut client, DELIVERED)
    });
    let rounds = wakeups(&mut client, "scheduler");
    eventually_eq("two more rounds", SOON, true, || {
        wakeups(&mut client, "scheduler") >= rounds + 2
    });
    let mut kept: Vec<uuid::Uuid> = crate::stage::ids_of(&mut client, "SELECT id FROM tms.event_outbox");
    let mut expected = vec![dead, waiting, scheduled];
    kept.sort();
    expected.sort();
    assert_eq!(kept, expected);
    assert_eq!(count(&mut client, LETTERS), 1);

    run(&mut client, "SELECT tms_target_resume('paused')");
    stage.arrives("the event that waited", waiting);
    stage.arrives("a new event", enqueue(&mut client));
}

#[test]
fn a_delivered_event_with_an_open_dead_letter_stays() {
    let stage = Stage::with(Cluster::builder().conf("tms.scheduler_interval", "1s"));
    let mut client = stage.client();
    let kept = stage.serves(crate::stage::DB);
    crate::stage::is_written(&mut client, kept);
    run(
        &mut client,
        &format!(
            "INSERT INTO tms.dead_letter_queue (original_event_id, target_system, event_type, error_type)
             VALUES ('{kept}', 'hook', 'load.assigned', 'timeout')"
        ),
    );
    stage.cluster.set("tms.event_retention", "0");
    const LEFT: &str = "SELECT count(*) FROM tms.event_outbox";
    eventually_eq("all but one are gone", SOON, 1, || count(&mut client, LEFT));
    assert!(crate::stage::is_processed(&mut client, kept));
    run(&mut client, "DELETE FROM tms.dead_letter_queue");
    eventually_eq("gone with its letter", SOON, 0, || count(&mut client, LEFT));
}

#[test]
fn old_attempts_leave_by_their_own_setting() {
    let stage = Stage::with(
        Cluster::builder()
            .conf("tms.scheduler_interval", "1s")
            .conf("tms.record_attempts", "all"),
    );
    let mut client = stage.client();
    enqueue_many(&mut client, "hook", 2_500);
    const ATTEMPTS: &str = "SELECT count(*) FROM tms.delivery_attempts";
    eventually_eq("attempts on record", SOON, 2_501, || count(&mut client, ATTEMPTS));
    stage.cluster.set("tms.attempt_retention", "0");
    eventually_eq("no attempts", SOON, 0, || count(&mut client, ATTEMPTS));
    assert_eq!(count(&mut client, "SELECT count(*) FROM tms.event_outbox"), 2_501);
}
