#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::divide;
use super::model::{Scheduler, run};
use crate::arbitrary::Source;

#[test]
fn shares() {
    for (room, in_flight, expected) in [
        (0, &[][..], &[][..]),
        (5, &[], &[]),
        (0, &[1, 0], &[0, 0]),
        (5, &[0], &[5]),
        (1, &[0, 0, 0], &[1, 0, 0]),
        (4, &[0, 0, 0], &[2, 1, 1]),
        (3, &[9, 0, 9], &[0, 3, 0]),
        (3, &[2, 0, 1], &[0, 2, 1]),
        (4, &[2, 0, 1], &[1, 2, 1]),
        (1, &[1, 1, 0], &[0, 0, 1]),
        (2, &[1, 1, 0], &[1, 0, 1]),
        (10, &[100, 3, 0, 3], &[0, 3, 5, 2]),
        (usize::MAX, &[0, 0], &[usize::MAX / 2 + 1, usize::MAX / 2]),
    ] {
        assert_eq!(divide(room, in_flight), expected, "{room} among {in_flight:?}");
    }
    assert!(divide(usize::MAX, &[5])[0] > usize::MAX - 5);
}

/// The rule as it is told: each place goes to whoever has least, the earlier among equals.
fn one_by_one(room: usize, in_flight: &[usize]) -> Vec<usize> {
    let mut has = in_flight.to_vec();
    for _ in 0..room {
        let Some(least) = (0..has.len()).min_by_key(|lane| has[*lane]) else {
            break;
        };
        has[least] += 1;
    }
    has.iter().zip(in_flight).map(|(has, had)| has - had).collect()
}

#[test]
fn shares_are_those_of_giving_the_places_away_one_by_one() {
    let mut source = Source::new(15);
    for _ in 0..5_000 {
        let lanes = source.below(12);
        let most = 1 + source.below(20);
        let in_flight: Vec<usize> = (0..lanes).map(|_| source.below(most)).collect();
        let room = source.below(60);
        let shares = divide(room, &in_flight);
        assert_eq!(shares, one_by_one(room, &in_flight), "{room} among {in_flight:?}");
        assert_eq!(shares.iter().sum::<usize>(), if lanes == 0 { 0 } else { room });
    }
}

#[test]
fn many_lanes_are_divided_at_once() {
    let in_flight: Vec<usize> = (0..100_000).map(|lane| lane % 1_000).collect();
    let shares = divide(10_000_000, &in_flight);
    assert_eq!(shares.iter().sum::<usize>(), 10_000_000);
}

#[test]
fn choices_are_fair_within_limits_in_order_and_leave_nothing_idle() {
    let mut started = 0;
    for seed in 0..150 {
        match run(Scheduler::Ours, seed) {
            Ok(calls) => started += calls,
            Err(broken) => panic!("seed {seed}: {broken}"),
        }
    }
    assert!(started > 30_000, "{started} calls: too few to mean anything");
}

#[test]
fn the_model_notices_schedulers_that_are_wrong() {
    for (scheduler, rule) in [
        (Scheduler::FirstComeFirstServed, "starves"),
        (Scheduler::WithoutTurns, "starves"),
        (Scheduler::OneRound, "idle"),
        (Scheduler::WithoutPriority, "order"),
        (Scheduler::OneTooMany, "concurrency"),
        (Scheduler::WithoutRate, "rate"),
        (Scheduler::WithoutBreaker, "breaker"),
    ] {
        let noticed = (0..300).any(|seed| run(scheduler, seed).is_err_and(|broken| broken.contains(rule)));
        assert!(noticed, "{scheduler:?} passes");
    }
}
