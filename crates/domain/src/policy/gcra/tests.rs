#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use super::*;
use crate::arbitrary::Source;

const SECOND: u64 = 1_000_000_000;
/// Some moment of a clock that counts nanoseconds since the machine was started.
const START: u64 = 86_400 * SECOND;

#[test]
fn one_a_second_and_two_early() {
    // (seconds after START, quantity) -> (limited, remaining, retry_after, reset_after), times in seconds.
    let mut tat = 0;
    for (at, quantity, limited, remaining, retry_after, reset_after) in [
        (0, 1, false, 2, None, 1),
        (0, 0, false, 2, None, 1),
        (0, 1, false, 1, None, 2),
        (0, 2, true, 1, Some(1), 2),
        (0, 1, false, 0, None, 3),
        (0, 1, true, 0, Some(1), 3),
        (0, 3, true, 0, Some(3), 3),
        (0, 4, true, 0, None, 3),
        (0, 0, false, 0, None, 3),
        (1, 1, false, 0, None, 3),
        (3, 1, false, 1, None, 2),
        (5, 0, false, 3, None, 0),
        (900, 3, false, 0, None, 3),
        (900, u64::MAX, true, 0, None, 3),
    ] {
        let outcome = check(tat, START + at * SECOND, SECOND, 2, quantity);
        let expected = Outcome {
            new_tat: outcome.new_tat,
            limited,
            limit: 3,
            remaining,
            retry_after: retry_after.map(|seconds: u64| seconds * SECOND),
            reset_after: reset_after * SECOND,
        };
        assert_eq!(outcome, expected, "{quantity} at {at}");
        if limited || quantity == 0 {
            assert_eq!(outcome.new_tat, tat);
        }
        tat = outcome.new_tat;
    }
}

#[test]
fn the_nanosecond_at_which_it_is_let_through_is_the_one_that_was_told() {
    let tat = check(0, START, 7, 0, 1).new_tat;
    assert_eq!(tat, START + 7);
    assert_eq!(check(tat, START + 6, 7, 0, 1).retry_after, Some(1));
    assert!(!check(tat, START + 7, 7, 0, 1).limited);
}

#[test]
fn a_limit_that_was_lowered_is_a_debt_that_is_waited_for() {
    // A minute ahead under the old limit; the new one has a bucket of three seconds.
    let peek = check(START + 60 * SECOND, START, SECOND, 2, 0);
    assert!(peek.limited);
    assert_eq!((peek.remaining, peek.retry_after), (0, Some(57 * SECOND)));
    let asked = check(START + 60 * SECOND, START, SECOND, 2, 1);
    assert_eq!((asked.limited, asked.retry_after), (true, Some(58 * SECOND)));
    assert_eq!(asked.reset_after, 60 * SECOND);
}

#[test]
fn the_ends_of_the_numbers_are_no_way_around_the_limit() {
    let ends = [0, 1, 2, SECOND, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    for tat in ends {
        for now in ends {
            for interval in ends {
                for burst in ends {
                    for quantity in ends {
                        let outcome = check(tat, now, interval, burst, quantity);
                        if outcome.limited || quantity == 0 {
                            assert_eq!(outcome.new_tat, tat);
                        } else {
                            // Whatever is taken is seen afterwards.
                            assert!(outcome.new_tat > tat || outcome.new_tat > now);
                        }
                        assert!(quantity <= outcome.limit || outcome.limited);
                        assert!(outcome.remaining <= outcome.limit);
                        assert!(outcome.retry_after != Some(0));
                    }
                }
            }
        }
    }
}

/// The limit as it is told, over a list of everything that was taken: in each span that begins with a call, no more than
/// the limit and one for each interval that has passed. Slow and plain.
fn told(taken: &[(u64, u64)], now: u64, interval: u64, burst: u64, quantity: u64) -> bool {
    (0..=taken.len()).all(|first| {
        let since = taken.get(first).map_or(now, |(at, _)| *at);
        let sum: u64 = taken[first..].iter().map(|(_, count)| count).sum();
        interval * (sum + quantity) <= interval * (burst + 1) + (now - since)
    })
}

#[test]
fn exactly_what_the_limit_says_is_let_through() {
    let mut source = Source::new(33);
    let (mut passed, mut refused) = (0, 0);
    for _ in 0..300 {
        let interval = 1 + source.number() % [3, 100, SECOND][source.below(3)];
        let burst = source.number() % 12;
        let mut now = START;
        let mut tat = 0;
        let mut taken = Vec::new();
        for _ in 0..80 {
            now += source.number() % (3 * interval);
            let quantity = source.number() % (burst + 3);
            let allowed = told(&taken, now, interval, burst, quantity);
            let outcome = check(tat, now, interval, burst, quantity);
            assert_eq!(
                !outcome.limited, allowed,
                "{quantity} of {burst} + 1 each {interval}"
            );
            if allowed {
                taken.push((now, quantity));
                passed += 1;
            } else {
                refused += 1;
            }
            check_answers(&outcome, &taken, now, interval, burst, quantity);
            tat = outcome.new_tat;
        }
    }
    assert!(
        passed > 2_000 && refused > 2_000,
        "{passed} and {refused} are too one-sided"
    );
}

/// What is said about the future is what happens in it.
fn check_answers(
    outcome: &Outcome,
    taken: &[(u64, u64)],
    now: u64,
    interval: u64,
    burst: u64,
    quantity: u64,
) {
    let left = outcome.remaining;
    assert!(told(taken, now, interval, burst, left));
    assert!(!told(taken, now, interval, burst, left + 1));
    if let Some(wait) = outcome.retry_after {
        assert!(told(taken, now + wait, interval, burst, quantity));
        assert!(!told(taken, now + wait - 1, interval, burst, quantity));
    } else if outcome.limited {
        assert!(quantity > burst + 1);
    }
    assert!(told(taken, now + outcome.reset_after, interval, burst, burst + 1));
    if outcome.reset_after > 0 {
        assert!(!told(
            taken,
            now + outcome.reset_after - 1,
            interval,
            burst,
            burst + 1
        ));
    }
}

#[test]
fn threads_that_call_at_once_share_the_limit_exactly() {
    for (burst, quantity) in [(59, 1), (0, 1), (100, 3)] {
        let tat = AtomicU64::new(0);
        let passed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..40 {
                        let charged = tat.fetch_update(Ordering::AcqRel, Ordering::Acquire, |tat| {
                            let outcome = check(tat, START, SECOND, burst, quantity);
                            (!outcome.limited).then_some(outcome.new_tat)
                        });
                        passed.fetch_add(usize::from(charged.is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner() as u64, (burst + 1) / quantity);
    }
}
