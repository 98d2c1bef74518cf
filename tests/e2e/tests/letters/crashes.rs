//! The scheduler is killed in the middle: nothing is lost, and no letter has two rounds for one.

use tms_e2e::ask::{becomes, number, text};
use tms_e2e::story::{DB, SOON};
use tms_e2e::wait::eventually;

use crate::stage::{builder, letters, make_due};

const LETTERS: i64 = 600;

#[test]
fn a_killed_scheduler_loses_and_doubles_nothing() {
    let story = tms_e2e::story::Story::with(
        builder()
            .conf("tms.dead_letter_backoff", "1h")
            .conf("tms.dead_letter_rate", "100"),
    );
    story.target("erp", serde_json::json!({ "breaker": false }));
    let mut client = story.client();
    letters(&story, &mut client, LETTERS);
    make_due(&mut client);
    for kills in 1..=3 {
        let enough = kills * 50;
        story.wait_for("some of them", |seen| seen.distinct() >= enough);
        let pid = eventually("a scheduler", SOON, || {
            story.cluster.worker_pid(DB, "tms scheduler")
        });
        assert!(story.cluster.kill9(pid));
        // The postmaster restarts everybody.
        story.cluster.wait_until_accepting(SOON);
        eventually("workers", SOON, || {
            story
                .cluster
                .worker_pid(DB, "tms scheduler")
                .filter(|new| *new != pid)
        });
    }
    story.wait_for("all of them", |seen| seen.distinct() == LETTERS as usize);
    let mut client = story.client();
    becomes(
        &mut client,
        "SELECT count(*) || ' ' || count(closed_at) || ' ' || max(rounds) || ' ' || count(DISTINCT original_event_id)
           FROM tms.dead_letter_queue",
        &[],
        &format!("{LETTERS} {LETTERS} 1 {LETTERS}"),
    );
    assert_eq!(
        text(
            &mut client,
            "SELECT string_agg(DISTINCT resolution, ' ') FROM tms.dead_letter_queue"
        ),
        "delivered"
    );
    assert_eq!(
        number(
            &mut client,
            "SELECT count(*) FROM tms.dead_letter_acts WHERE act = 'round'"
        ),
        LETTERS,
        "one round each on record"
    );
    // Three restarts may each repeat what was on its way, and the outcomes that were not yet on disk.
    println!("{} requests were duplicates", story.receiver.duplicates());
}
