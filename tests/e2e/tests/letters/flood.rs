//! Thousands of letters that are due at once come back in a trickle, and companies take turns.

use std::time::{Duration, Instant};

use serde_json::json;
use tms_e2e::ask::{becomes, number, run, text};
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::Story;

use crate::stage::{a_round_passes, builder, letters, make_due};

const FLOOD: i64 = 2_000;
const RATE: i64 = 200;
const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";

fn begin(rate: i64, in_flight: i64) -> (Story, postgres::Client) {
    let story = Story::with(
        builder()
            .conf("tms.dead_letter_backoff", "1h")
            .conf("tms.dead_letter_rate", &rate.to_string())
            .conf("tms.dead_letter_in_flight", &in_flight.to_string()),
    );
    story.target("erp", json!({ "breaker": false }));
    let client = story.client();
    (story, client)
}

#[test]
fn a_flood_comes_back_at_a_bounded_rate() {
    let (story, mut client) = begin(RATE, 10_000);
    letters(&story, &mut client, FLOOD);
    make_due(&mut client);
    story.wait_for("all of them", |seen| seen.distinct() == FLOOD as usize);
    let most_in_a_round = number(
        &mut client,
        "SELECT max(n) FROM (SELECT count(*) AS n FROM tms.dead_letter_acts WHERE act = 'round' GROUP BY at) r",
    );
    assert_eq!(most_in_a_round, RATE, "letters of a round");
    // At the receiver: two rounds may fall into one second, since their beginnings are no exact second apart.
    let arrivals: Vec<Instant> = story.arrivals_of("erp").iter().map(|seen| seen.at).collect();
    let most = arrivals
        .iter()
        .enumerate()
        .map(|(first, at)| {
            arrivals[first..]
                .iter()
                .take_while(|later| later.duration_since(*at) < Duration::from_secs(1))
                .count()
        })
        .max();
    println!("at most {most_in_a_round} letters in a round, {most:?} requests in any second");
    assert!(
        most.is_some_and(|most| most <= 2 * RATE as usize + 20),
        "{most:?} in a second"
    );
    assert_eq!(story.receiver.duplicates(), 0);
    becomes(
        &mut client,
        "SELECT string_agg(DISTINCT resolution, ' ') || ' ' || count(closed_at) FROM tms.dead_letter_queue",
        &[],
        &format!("delivered {FLOOD}"),
    );
    assert_eq!(
        number(
            &mut client,
            "SELECT max(rounds)::bigint FROM tms.dead_letter_queue"
        ),
        1
    );
}

#[test]
fn a_slow_receiver_has_few_of_them_at_a_time() {
    let (story, mut client) = begin(1_000, 10);
    letters(&story, &mut client, 100);
    story
        .receiver
        .behave(Behaviour::choose(|request| match request.path {
            "/erp" => Behaviour::Hang,
            _ => Behaviour::Ok,
        }));
    make_due(&mut client);
    story.wait_for("the first ones", |seen| seen.in_flight() == 10);
    for _ in 0..3 {
        a_round_passes(&story, &mut client);
    }
    let out = "SELECT count(*)::text FROM tms.dead_letters WHERE target_system = 'erp' AND state = 'out'";
    assert_eq!(text(&mut client, out), "10");
}

#[test]
fn one_company_s_thousands_do_not_keep_back_another_s_single_letter() {
    let (story, mut client) = begin(10, 10_000);
    for (company, count) in [(A, 300), (B, 1)] {
        run(
            &mut client,
            &format!(
                "WITH e AS (INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id, available_at)
                            SELECT 'load.moved', '{{}}', 'erp', '{company}', '2400-01-01' FROM generate_series(1, {count})
                            RETURNING id)
                 INSERT INTO tms.dead_letter_queue (original_event_id, target_system, company_id, error_type, retry_after)
                 SELECT id, 'erp', '{company}', 'timeout', '2020-01-01'::timestamptz FROM e;
                 UPDATE tms.event_outbox SET available_at = 'infinity' WHERE company_id = '{company}' AND available_at > '2300-01-01'"
            ),
        );
        if company == A {
            // B's letter comes into a queue that is long already.
            story.wait_for("the first of A", |seen| seen.count() > 0);
        }
    }
    becomes(
        &mut client,
        &format!(
            "SELECT coalesce(max(resolution), 'open') FROM tms.dead_letter_queue WHERE company_id = '{B}'"
        ),
        &[],
        "delivered",
    );
    let of_a = number(
        &mut client,
        &format!("SELECT count(*) FROM tms.dead_letter_queue WHERE company_id = '{A}' AND rounds = 0"),
    );
    assert!(of_a > 100, "{of_a} of A wait");
}
