#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

/// Some moment of a clock that counts microseconds since 1970.
const START: u64 = 1_795_366_586_000_000;
const SECOND: u64 = 1_000_000;

#[test]
fn one_a_second_with_short_bursts() {
    let mut limiter = Limiter::new(1.0, 3);
    assert_eq!(limiter.available(START), 3);
    limiter.take(START, 3);
    assert_eq!(limiter.available(START), 0);
    assert_eq!(limiter.next(START), Some(START + SECOND));
    assert_eq!(limiter.available(START + SECOND - 1), 0);
    assert_eq!(limiter.available(START + SECOND), 1);
    assert_eq!(limiter.next(START + SECOND), None);
    limiter.take(START + SECOND, 1);
    assert_eq!(limiter.available(START + SECOND), 0);
    // It fills up and no further.
    assert_eq!(limiter.available(START + 3 * SECOND), 2);
    assert_eq!(limiter.available(START + 900 * SECOND), 3);
}

#[test]
fn what_was_not_used_is_given_back() {
    let mut limiter = Limiter::new(10.0, 5);
    limiter.take(START, 5);
    limiter.give_back(2);
    assert_eq!(limiter.available(START), 2);
    limiter.give_back(100);
    assert_eq!(limiter.available(START), 5);
}

#[test]
fn a_debt_is_waited_for() {
    let mut limiter = Limiter::new(1.0, 1);
    limiter.take(START, 4);
    assert_eq!(limiter.next(START), Some(START + 4 * SECOND));
    assert_eq!(limiter.available(START + 4 * SECOND - 1), 0);
    assert_eq!(limiter.available(START + 4 * SECOND), 1);
}

#[test]
fn a_clock_that_is_set_back_locks_nothing() {
    let mut limiter = Limiter::new(1.0, 1);
    limiter.take(START, 1);
    let back = START - 3_600 * SECOND;
    assert_eq!(limiter.available(back), 0);
    assert_eq!(limiter.next(back), Some(back + SECOND));
    assert_eq!(limiter.available(back + SECOND), 1);
    // Nor does a step forward and back give more than a burst.
    assert_eq!(limiter.available(u64::MAX), 1);
    assert_eq!(limiter.available(START), 1);
}

#[test]
fn odd_rates_neither_overflow_nor_divide_by_zero() {
    let minute = START + 60 * SECOND;
    for (per_second, burst, at_first, after_a_minute) in [
        (0.0, 2, 2, 0),
        (-1.0, 2, 2, 0),
        (f64::NAN, 2, 2, 0),
        (f64::MIN_POSITIVE, 2, 2, 0),
        (0.001, 0, 1, 0),
        (f64::INFINITY, u32::MAX, u32::MAX as usize, u32::MAX as usize),
        (1e300, 1, 1, 1),
        (100_000.0, 10_000_000, 10_000_000, 6_000_000),
    ] {
        let mut limiter = Limiter::new(per_second, burst);
        assert_eq!(limiter.available(START), at_first, "{per_second}");
        limiter.take(START, at_first);
        assert_eq!(limiter.available(minute), after_a_minute, "{per_second}");
        limiter.take(minute, usize::MAX);
        limiter.take(u64::MAX, usize::MAX);
        limiter.give_back(usize::MAX);
        let _ = limiter.next(0);
    }
}

#[test]
fn no_window_holds_more_than_the_burst_and_the_rate() {
    let mut source = Source::new(14);
    for _ in 0..150 {
        let per_second = 10f64.powf(source.unit() * 8.0 - 3.0);
        let burst = 1 + source.below(50) as u32;
        let mut limiter = Limiter::new(per_second, burst);
        // Time as it passes; the clock that the limiter reads is set anew at times.
        let mut time = START;
        let mut set_back = 0;
        let mut taken: Vec<(u64, usize)> = Vec::new();
        for _ in 0..150 {
            time += (source.unit() * 3.0 * f64::from(burst) / per_second * 1e6 / 20.0) as u64;
            if source.below(30) == 0 {
                set_back += source.number() % 1_000_000;
            }
            let now = time - set_back;
            let room = limiter.available(now);
            assert!(room <= burst as usize);
            let wanted = source.below(room + 1);
            limiter.take(now, room);
            // Places that found no work are given back at once.
            limiter.give_back(room - wanted);
            assert_eq!(limiter.available(now), room - wanted);
            taken.push((time, wanted));
            match limiter.next(now) {
                None => assert!(limiter.available(now) > 0),
                Some(ready) => {
                    assert!(ready > now);
                    let mut later = limiter.clone();
                    assert_eq!(later.available(ready - 1), 0);
                    assert!(limiter.clone().available(ready) > 0);
                }
            }
        }
        for first in 0..taken.len() {
            let mut sum = 0;
            for (at, calls) in &taken[first..] {
                sum += calls;
                let seconds = (at - taken[first].0) as f64 / 1e6;
                let allowed = f64::from(burst) + per_second * seconds;
                assert!(
                    sum as f64 <= allowed * (1.0 + 1e-9),
                    "{sum} in {seconds} s at {per_second}/s"
                );
            }
        }
    }
}

#[test]
fn the_rate_is_reached() {
    // A burst above one evens out that the clock has whole microseconds.
    for per_second in [0.5, 1.0, 3.0, 7.7, 1_000.0, 99_999.0] {
        let mut limiter = Limiter::new(per_second, 2);
        let mut now = START;
        for _ in 0..1_000 {
            if let Some(ready) = limiter.next(now) {
                now = ready;
            }
            limiter.take(now, 1);
        }
        let reached = 998.0 * 1e6 / (now - START) as f64;
        assert!(reached > 0.99 * per_second, "{reached} instead of {per_second}");
    }
}
