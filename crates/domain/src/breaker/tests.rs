#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

/// Some moment of a clock that counts milliseconds since 1970.
const START: u64 = 1_795_366_586_000;
const SECOND: u64 = 1_000;

fn policy(failure_ratio: f64, minimum_calls: u32, trials: u32) -> Policy {
    Policy {
        failure_ratio,
        minimum_calls,
        trials,
        ..half_a_minute()
    }
}

fn half_a_minute() -> Policy {
    Policy {
        open_for: Duration::from_secs(30),
        ..Policy::default()
    }
}

/// Calls that start and end at once.
fn calls(breaker: &mut Breaker, now: u64, ends: &[bool]) {
    for ok in ends {
        breaker.started(1);
        breaker.record(now, *ok);
    }
}

/// A breaker with the default policy that has opened at the start.
fn opened() -> Breaker {
    let mut breaker = Breaker::new(half_a_minute());
    calls(&mut breaker, START, &[false; 20]);
    assert_eq!(breaker.admits(START), 0);
    breaker
}

#[test]
fn it_opens_at_the_ratio_but_not_before_the_minimum_of_calls() {
    for (policy, ends, open) in [
        (policy(0.5, 20, 3), vec![false; 19], false),
        (policy(0.5, 20, 3), vec![false; 20], true),
        (
            policy(0.5, 20, 3),
            [vec![true; 11], vec![false; 10]].concat(),
            false,
        ),
        (
            policy(0.5, 20, 3),
            [vec![true; 10], vec![false; 10]].concat(),
            true,
        ),
        (policy(0.05, 1, 3), vec![false], true),
        (policy(1.0, 0, 3), vec![true, false, false], false),
        (policy(1.0, 0, 3), vec![false], true),
        // A success completes the minimum, but gives no reason to stop; the next failure does.
        (policy(0.5, 3, 3), vec![false, false, true], false),
        (policy(0.5, 3, 3), vec![false, false, true, false], true),
        (policy(f64::INFINITY, 1, 3), vec![false; 100], false),
        (policy(f64::NAN, 1, 3), vec![false; 100], false),
    ] {
        let mut breaker = Breaker::new(policy);
        calls(&mut breaker, START, &ends);
        assert_eq!(breaker.admits(START) == 0, open, "{policy:?} {ends:?}");
    }
}

#[test]
fn only_the_window_counts() {
    let mut breaker = Breaker::new(half_a_minute());
    calls(&mut breaker, START, &[false; 19]);
    // A minute later those have gone.
    calls(&mut breaker, START + 60 * SECOND, &[false; 19]);
    assert_eq!(breaker.state(START + 60 * SECOND), State::Closed);
    // Half of a minute later they still count.
    calls(&mut breaker, START + 90 * SECOND, &[false]);
    assert!(matches!(breaker.state(START + 90 * SECOND), State::Open { .. }));
}

#[test]
fn open_it_stops_calls_for_its_time_and_then_tries_a_few() {
    let mut breaker = opened();
    let until = START + 30 * SECOND;
    assert_eq!(breaker.state(START), State::Open { until });
    assert_eq!(breaker.next_change(START + 1), Some(until));
    assert_eq!(breaker.admits(until - 1), 0);
    assert_eq!(breaker.admits(until), 3);
    assert_eq!(breaker.state(until), State::HalfOpen);
    assert_eq!(breaker.next_change(until), None);
}

#[test]
fn while_open_no_end_of_a_call_counts() {
    let mut breaker = opened();
    for ok in [true, false] {
        breaker.record(START + 10 * SECOND, ok);
        let until = START + 30 * SECOND;
        assert_eq!(breaker.state(START + 10 * SECOND), State::Open { until });
    }
}

#[test]
fn trials_are_counted_and_can_be_returned() {
    let mut breaker = opened();
    let now = START + 30 * SECOND;
    assert_eq!(breaker.admits(now), 3);
    breaker.started(2);
    assert_eq!(breaker.admits(now), 1);
    breaker.gave_back(1);
    assert_eq!(breaker.admits(now), 2);
    breaker.started(2);
    assert_eq!(breaker.admits(now), 0);
    // Whatever is given back, no more than the trials start.
    breaker.gave_back(usize::MAX);
    assert_eq!(breaker.admits(now), 3);
    breaker.started(usize::MAX);
    assert_eq!(breaker.admits(now), 0);
}

#[test]
fn all_trials_must_succeed() {
    for (ends, expected) in [
        (&[true, true][..], State::HalfOpen),
        (&[true, true, true][..], State::Closed),
        (
            &[false][..],
            State::Open {
                until: START + 60 * SECOND,
            },
        ),
        (
            &[true, true, false][..],
            State::Open {
                until: START + 60 * SECOND,
            },
        ),
    ] {
        let mut breaker = opened();
        let now = START + 30 * SECOND;
        assert_eq!(breaker.admits(now), 3);
        calls(&mut breaker, now, ends);
        assert_eq!(breaker.state(now), expected, "{ends:?}");
    }
    // What failed before it opened is forgotten when it closes.
    let mut breaker = opened();
    let now = START + 30 * SECOND;
    breaker.admits(now);
    calls(&mut breaker, now, &[true; 3]);
    calls(&mut breaker, now, &[false; 19]);
    assert_eq!(breaker.admits(now), usize::MAX);
}

#[test]
fn calls_from_before_cannot_use_up_the_trials() {
    let mut breaker = opened();
    let now = START + 30 * SECOND;
    breaker.admits(now);
    breaker.record(now, true);
    breaker.record(now, true);
    assert!(breaker.admits(now) > 0);
    calls(&mut breaker, now, &[true]);
    assert_eq!(breaker.state(now), State::Closed);
}

#[test]
fn it_can_be_held_open() {
    let mut breaker = Breaker::new(half_a_minute());
    assert_eq!(breaker.admits(START), usize::MAX);
    breaker.hold(START + 5 * SECOND);
    breaker.hold(START + 4 * SECOND);
    assert_eq!(breaker.next_change(START), Some(START + 5 * SECOND));
    assert_eq!(breaker.admits(START + 5 * SECOND - 1), 0);
    assert_eq!(breaker.admits(START + 5 * SECOND), 1);
    calls(&mut breaker, START + 5 * SECOND, &[true]);
    assert_eq!(breaker.state(START + 5 * SECOND), State::Closed);

    // A hold keeps what is open longer, and one that has passed asks for a trial at once.
    let mut breaker = opened();
    breaker.hold(START + SECOND);
    assert_eq!(breaker.next_change(START), Some(START + 30 * SECOND));
    let mut fresh = Breaker::new(half_a_minute());
    fresh.hold(START - 1);
    assert_eq!(fresh.admits(START), 1);
}

#[test]
fn a_clock_that_is_set_back_locks_nothing() {
    let hour = 3_600 * SECOND;
    let mut breaker = opened();
    let back = START - hour;
    assert_eq!(breaker.admits(back), 0);
    assert_eq!(breaker.next_change(back), Some(back + 30 * SECOND));
    assert_eq!(breaker.admits(back + 30 * SECOND), 3);

    // The window goes on counting, too.
    let mut breaker = Breaker::new(half_a_minute());
    calls(&mut breaker, START, &[false; 19]);
    calls(&mut breaker, back, &[false; 1]);
    assert_eq!(breaker.admits(back), 0);
}

#[test]
fn no_sequence_of_calls_locks_it_for_ever() {
    let mut source = Source::new(12);
    for round in 0..300 {
        let policy = Policy {
            failure_ratio: source.unit(),
            minimum_calls: source.below(10) as u32,
            window: Duration::from_millis(source.number() % 10_000),
            open_for: Duration::from_millis(source.number() % 10_000),
            trials: source.below(5) as u32,
        };
        let mut breaker = Breaker::new(policy);
        let mut now = START;
        let mut out = 0;
        for _ in 0..300 {
            now = match source.below(20) {
                0 => now - source.number() % 3_600_000,
                _ => now + source.number() % 3_000,
            };
            let room = breaker.admits(now).min(5);
            match source.below(4) {
                0 | 1 if room > 0 => {
                    breaker.started(room);
                    out += room;
                }
                2 if out > 0 => {
                    breaker.gave_back(1);
                    out -= 1;
                }
                _ if out > 0 => {
                    breaker.record(now, source.below(3) == 0);
                    out -= 1;
                }
                _ => {}
            }
        }
        // Everything under way ends well, and nothing fails any more: it closes.
        for _ in 0..out {
            breaker.record(now, true);
        }
        now += 10_000;
        for _ in 0..20 {
            if breaker.admits(now) > 0 {
                calls(&mut breaker, now, &[true]);
            }
        }
        assert_eq!(breaker.state(now), State::Closed, "round {round}: {policy:?}");
    }
}

#[test]
fn the_window_agrees_with_a_list_of_all_calls() {
    let mut source = Source::new(13);
    for _ in 0..200 {
        let length = 10 * (1 + source.number() % 500);
        let mut window = Window::new(Duration::from_millis(length));
        let mut all: Vec<(u128, bool)> = Vec::new();
        let mut now = u128::from(START);
        for _ in 0..100 {
            now += u128::from(source.number() % length / (1 + source.number() % 20));
            let ok = source.below(2) == 0;
            window.record(now, ok);
            all.push((now, ok));
            // The slice in which a moment lies begins at a multiple of the slice's length.
            let slice = u128::from(length) / 10;
            let first = (now / slice).saturating_sub(9) * slice;
            let inside = all.iter().filter(|(at, _)| *at >= first);
            let (calls, failures) = inside.fold((0, 0), |(calls, failures), (_, ok)| {
                (calls + 1, failures + u64::from(!*ok))
            });
            assert_eq!((window.calls(), window.failures()), (calls, failures));
        }
    }
}

#[test]
fn states_have_names() {
    let names = [State::Closed, State::Open { until: 1 }, State::HalfOpen].map(State::as_str);
    assert_eq!(names, ["closed", "open", "half-open"]);
}

#[test]
fn another_policy_keeps_what_was_counted_over_the_same_time() {
    let strict = Policy {
        minimum_calls: 2,
        ..Policy::default()
    };
    let mut breaker = Breaker::idle();
    for _ in 0..100 {
        breaker.record(1_000, false);
    }
    assert_eq!(breaker.state(1_000), State::Closed);
    breaker.follow(strict);
    breaker.record(1_001, false);
    assert!(matches!(breaker.state(1_001), State::Open { .. }));

    let mut breaker = Breaker::idle();
    breaker.record(1_000, false);
    breaker.follow(Policy {
        window: Duration::from_secs(5),
        ..strict
    });
    breaker.record(1_001, false);
    assert_eq!(breaker.state(1_001), State::Closed, "counted anew");
}

#[test]
fn a_breaker_is_quiet_when_nothing_it_remembers_makes_a_difference() {
    let policy = Policy {
        minimum_calls: 2,
        ..Policy::default()
    };
    let mut breaker = Breaker::new(policy);
    assert!(breaker.is_quiet(0));
    breaker.record(1_000, true);
    assert!(!breaker.is_quiet(1_000));
    assert!(!breaker.is_quiet(59_000));
    assert!(breaker.is_quiet(61_000));
    breaker.record(61_000, false);
    breaker.record(61_000, false);
    assert!(!breaker.is_quiet(61_000), "open");
    assert!(!breaker.is_quiet(1_000_000), "half-open");
}
