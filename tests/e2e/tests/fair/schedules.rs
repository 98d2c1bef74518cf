//! What becomes due behind the place a walk has come to is found at once, without looking through the queue.

use std::time::Duration;

use serde_json::json;
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{Story, id, ids, number, run};
use uuid::Uuid;

use crate::{backlog, company};

fn story() -> Story {
    let story = Story::begin();
    story.target("hook", json!({"max_concurrency": 16}));
    story.target("other", json!({"max_concurrency": 16}));
    story
}

#[test]
fn a_transaction_that_commits_late_is_not_passed_by() {
    let story = story();
    let mut late = story.client();
    run(&mut late, "BEGIN");
    // Of the platform and of companies, some of which have nothing else; with priorities, and to two targets.
    let waiting: Vec<Uuid> = (0..12)
        .map(|n| {
            let of = if n % 4 == 0 {
                "NULL".into()
            } else {
                company(n % 4 + n / 8)
            };
            let target = ["hook", "other"][n as usize % 2];
            let priority = [0, 0, -1, 7][n as usize / 3];
            id(
                &mut late,
                &format!("SELECT tms_enqueue('load.late', '{{}}', '{target}', {of}, priority => {priority})"),
            )
        })
        .collect();
    let mut client = story.client();
    for _ in 0..5 {
        for target in ["hook", "other"] {
            for of in ["NULL".to_owned(), company(1), company(2)] {
                backlog(&mut client, target, &of, 200);
            }
        }
        story.all_done();
    }
    assert!(waiting.iter().all(|id| story.times(*id) == 0));
    run(&mut late, "COMMIT");
    for event in waiting {
        story.arrives("an event that was committed late", event);
    }
}

#[test]
fn many_transactions_that_commit_in_another_order_lose_nothing() {
    let story = story();
    let mut sessions: Vec<_> = (0..20).map(|_| story.client()).collect();
    for round in 0..10 {
        let mut waiting = Vec::new();
        for (number, session) in sessions.iter_mut().enumerate() {
            run(session, "BEGIN");
            let of = company(u32::try_from((number + round) % 6).expect("a company"));
            waiting.extend(ids(
                session,
                &format!("SELECT tms_enqueue('load.late', '{{}}', 'hook', {of}) FROM generate_series(1, 5)"),
            ));
        }
        for number in 0..20 {
            run(&mut sessions[(number * 7 + round) % 20], "COMMIT");
        }
        story.wait_for("all that was committed", |seen| {
            waiting.iter().all(|id| seen.times(*id) == 1)
        });
    }
}

#[test]
fn an_event_that_is_made_due_by_hand_is_delivered_wherever_it_stood() {
    let story = story();
    let mut client = story.client();
    for change in [
        "available_at = now()",
        "available_at = now() - interval '10 years'",
        "available_at = clock_timestamp() + interval '1 second'",
        "available_at = now(), priority = 12",
        "available_at = now(), company_id = gen_random_uuid()",
        "available_at = now(), target_system = 'other'",
        "available_at = now(), ordering_key = 'new'",
    ] {
        let scheduled = id(
            &mut client,
            &format!(
                "SELECT tms_enqueue('load.later', '{{}}', 'hook', {}, available_at => now() + '1 hour')",
                company(1)
            ),
        );
        backlog(&mut client, "hook", &company(1), 20);
        story.wait_for("events that are due", |seen| seen.count() >= 20);
        assert_eq!(story.times(scheduled), 0, "{change}");
        run(
            &mut client,
            &format!("UPDATE tms.event_outbox SET {change} WHERE id = '{scheduled}'"),
        );
        story.arrives(change, scheduled);
    }
}

#[test]
fn schedules_are_kept_to_the_second_and_not_before() {
    let story = story();
    let mut client = story.client();
    // Three hundred times within three seconds, in no order, of several companies and priorities.
    let scheduled = ids(
        &mut client,
        "SELECT tms_enqueue('load.later', jsonb_build_object('due', extract(epoch FROM due) * 1e6), 'hook',
                    CASE n % 3 WHEN 0 THEN NULL ELSE lpad((n % 3)::text, 32, '0')::uuid END,
                    available_at => due, priority => n % 2)
           FROM (SELECT n, now() + (n * 7919 % 300) * interval '10 milliseconds' AS due
                   FROM generate_series(1, 300) n) s",
    );
    story.wait_for("all of them", |seen| {
        scheduled.iter().all(|id| seen.times(*id) == 1)
    });
    for request in story.receiver.requests() {
        let due = request.json()["due"].as_f64().expect("a time");
        let came = tms_e2e::latency::unix_micros(request.wall) as f64;
        assert!(came >= due - 1.0, "{} us too early", due - came);
        assert!(came <= due + 5e6, "{} us late", came - due);
    }
}

#[test]
fn what_waited_for_a_target_goes_out_when_it_is_resumed() {
    let story = story();
    let mut client = story.client();
    run(&mut client, "SELECT tms_target_pause('hook')");
    for of in ["NULL".to_owned(), company(1), company(2)] {
        backlog(&mut client, "hook", &of, 50);
        run(
            &mut client,
            &format!(
                "SELECT tms_enqueue('load.moved', '{{}}', 'hook', {of}, priority => n, ordering_key => 'key ' || n % 2,
                             available_at => now() - n * interval '1 hour') FROM generate_series(1, 10) n"
            ),
        );
    }
    backlog(&mut client, "other", "NULL", 50);
    story.wait_for("the other target's events", |seen| seen.count() >= 50);
    assert_eq!(story.arrivals_of("hook").len(), 0);
    run(&mut client, "SELECT tms_target_resume('hook')");
    story.wait_for("what waited", |seen| seen.count() == 50 + 180);
    story.all_done();
}

#[test]
fn retries_come_at_their_time_while_others_go_out() {
    let story = story();
    story.target(
        "hook",
        json!({"retry": {"base_ms": 300, "factor": 1, "jitter": 0}, "breaker": false}),
    );
    story.receiver.behave(Behaviour::choose(|request| {
        if request.header("tms-event-type") == Some("load.twice") && request.attempt < 3 {
            Behaviour::status(503)
        } else {
            Behaviour::Ok
        }
    }));
    let mut client = story.client();
    let twice: Vec<Uuid> = (1..=20)
        .map(|n| {
            id(
                &mut client,
                &format!(
                    "SELECT tms_enqueue('load.twice', '{{}}', 'hook', {})",
                    company(n % 5)
                ),
            )
        })
        .collect();
    backlog(&mut client, "hook", &company(1), 2_000);
    story.all_done();
    for event in twice {
        let times: Vec<_> = story
            .receiver
            .requests()
            .iter()
            .filter(|request| request.id == Some(event))
            .map(|request| request.at)
            .collect();
        assert_eq!(times.len(), 3);
        let short = times
            .windows(2)
            .any(|pair| pair[1] - pair[0] < Duration::from_millis(300));
        assert!(!short, "not before its time");
    }
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM tms.dead_letter_queue"),
        0
    );
}
