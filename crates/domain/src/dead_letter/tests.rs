use super::*;
use crate::arbitrary::Source;

const MINUTE: Duration = Duration::from_secs(60);

fn waits(jitter: f64) -> Waits {
    Waits {
        base: MINUTE,
        cap: 24 * 60 * MINUTE,
        jitter,
    }
}

#[test]
fn five_rounds_after_1_2_4_8_and_16_minutes_and_then_rest() {
    for (rounds, minutes) in (0..5).zip([1, 2, 4, 8, 16]) {
        let fate = after_failure(&waits(0.2), false, rounds, 5, 0.0);
        let delay = minutes * MINUTE;
        assert_eq!(
            fate,
            Fate::Waits {
                delay,
                multiplier: minutes as i32
            }
        );
    }
    assert_eq!(after_failure(&waits(0.2), false, 5, 5, 0.0), Fate::Rests);
    assert_eq!(after_failure(&waits(0.2), true, 0, 5, 0.0), Fate::Rests);
    assert_eq!(after_failure(&waits(0.2), false, 0, 0, 0.0), Fate::Rests);
}

#[test]
fn no_wait_is_longer_than_the_cap_or_shorter_than_jitter_allows() {
    let mut source = Source::new(3);
    for _ in 0..5_000 {
        let waits = Waits {
            base: Duration::from_millis(source.number() % 86_400_000),
            cap: Duration::from_millis(source.number() % 2_592_000_000),
            jitter: source.unit(),
        };
        let rounds = source.below(80) as u32;
        let Fate::Waits { delay, multiplier } = after_failure(&waits, false, rounds, u32::MAX, source.unit())
        else {
            panic!("rests before its rounds are used up");
        };
        assert!(
            delay <= waits.cap.max(Duration::from_millis(1)),
            "{waits:?} {delay:?}"
        );
        assert!(delay > Duration::ZERO, "{waits:?}");
        let full = waits.base.as_secs_f64() * 2_f64.powi(rounds as i32);
        let least = full.min(waits.cap.as_secs_f64()) * (1.0 - waits.jitter);
        assert!(
            delay.as_secs_f64() >= least - 0.002,
            "{waits:?} {rounds} {delay:?}"
        );
        assert!(multiplier >= 1 && (multiplier as u32).is_power_of_two());
    }
    assert_eq!(multiplier(0), 1);
    assert_eq!(multiplier(10), 1024);
    assert_eq!(multiplier(u32::MAX), 1 << 30);
}

#[test]
fn a_target_that_is_not_served_gets_no_letter_and_one_at_rest_gets_one() {
    let rest = 30 * Duration::from_secs(1);
    for (is_served, state, since, expected) in [
        (true, "active", 0, Gate::Open),
        (true, "half_open", 0, Gate::Trial),
        (true, "open", 29, Gate::Shut),
        (true, "open", 30, Gate::Trial),
        (true, "held", 5, Gate::Shut),
        (true, "held", 500, Gate::Trial),
        (false, "active", 500, Gate::Shut),
        (false, "open", 500, Gate::Shut),
    ] {
        let since = Duration::from_secs(since);
        assert_eq!(gate(is_served, state, since, rest), expected, "{state} {since:?}");
    }
}

#[test]
fn a_flood_comes_back_at_its_pace() {
    let pace = Pace {
        per_second: 20.0,
        interval: Duration::from_secs(10),
        most_out: 250,
    };
    assert_eq!(pace.places(Gate::Open, 0), 200);
    assert_eq!(pace.places(Gate::Open, 100), 150);
    assert_eq!(pace.places(Gate::Open, 250), 0);
    assert_eq!(pace.places(Gate::Open, 9_000), 0);
    assert_eq!(pace.places(Gate::Trial, 0), 1);
    assert_eq!(pace.places(Gate::Trial, 1), 0);
    assert_eq!(pace.places(Gate::Shut, 0), 0);
    let slow = Pace {
        per_second: 0.001,
        ..pace
    };
    assert_eq!(slow.places(Gate::Open, 0), 1, "a slow pace is no standstill");
}

#[test]
fn letters_are_spread_over_time() {
    assert_eq!(spread(0, 20.0), Duration::ZERO);
    assert_eq!(spread(1, 20.0), Duration::from_millis(50));
    assert_eq!(spread(200, 20.0), Duration::from_secs(10));
    for odd in [0.0, -1.0, f64::NAN, f64::INFINITY, f64::MIN_POSITIVE] {
        assert!(spread(usize::MAX, odd) <= Duration::from_secs(315_360_000));
    }
}
