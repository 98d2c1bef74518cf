#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::breaker::{Breaker, State};
use crate::policy::gcra;

#[test]
fn a_rate_becomes_a_pace() {
    for (per_minute, burst, interval, early) in [
        (60, None, 1_000_000_000, 59),
        (60, Some(0), 1_000_000_000, 0),
        (60, Some(9), 1_000_000_000, 9),
        (1, None, 60_000_000_000, 0),
        (7, None, 8_571_428_572, 6),
        (6_000_000, Some(100), 10_000, 100),
    ] {
        let limits = RateLimits {
            requests_per_minute: Some(per_minute),
            burst,
            max_concurrent: None,
        };
        let pace = limits.pace().unwrap();
        assert_eq!(
            pace,
            Pace {
                interval,
                burst: early
            },
            "{per_minute}"
        );
    }
    assert_eq!(RateLimits::default().pace(), None);
}

#[test]
fn sixty_a_minute_lets_sixty_of_sixty_four_through_at_once() {
    let limits = RateLimits {
        requests_per_minute: Some(60),
        ..RateLimits::default()
    };
    let pace = limits.pace().unwrap();
    let mut tat = 0;
    let mut passed = 0;
    for _ in 0..64 {
        let outcome = gcra::check(tat, 1, pace.interval, pace.burst, 1);
        tat = outcome.new_tat;
        passed += u32::from(!outcome.limited);
    }
    assert_eq!(passed, 60);
}

#[test]
fn a_breaker_has_defaults_for_all_but_its_threshold() {
    let mut given = CircuitBreaker {
        threshold: 0.05,
        window_seconds: None,
        min_calls: None,
        cooldown_seconds: None,
    };
    let policy = given.policy();
    assert_eq!(policy.window, Duration::from_secs(300));
    assert_eq!(
        (policy.minimum_calls, policy.open_for),
        (20, Duration::from_secs(30))
    );
    given.window_seconds = Some(60);
    given.min_calls = Some(5);
    given.cooldown_seconds = Some(7);
    let policy = given.policy();
    assert_eq!((policy.failure_ratio, policy.minimum_calls), (0.05, 5));
    assert_eq!((policy.window.as_secs(), policy.open_for.as_secs()), (60, 7));
}

#[test]
fn the_roadmaps_threshold_is_not_reached_by_the_first_failure() {
    let given = CircuitBreaker {
        threshold: 0.05,
        window_seconds: None,
        min_calls: None,
        cooldown_seconds: None,
    };
    let mut breaker = Breaker::new(given.policy());
    for call in 1..20 {
        breaker.record(call, false);
        assert_eq!(breaker.state(call), State::Closed, "{call}");
    }
    breaker.record(20, false);
    assert_eq!(breaker.state(20), State::Open { until: 30_020 });
}

const GUARDRAILS: CostGuardrails = CostGuardrails {
    max_tokens_per_task: Some(10_000),
    max_api_calls_per_task: Some(10),
    max_cost_usd_per_task: Some(MicroUsd::from_micros(2_500_000)),
    max_cost_usd_per_day: Some(MicroUsd::from_micros(100_000_000)),
    max_tokens_per_day: Some(1_000_000),
    circuit_breaker: None,
};

const USED: Used = Used {
    task_tokens: 9_500,
    task_api_calls: 9,
    task_cost: MicroUsd::from_micros(2_400_000),
    day_cost: MicroUsd::from_micros(99_950_000),
    day_tokens: 999_600,
};

fn asked(tokens: u64, api_calls: u64, cost: Option<u64>) -> Asked {
    Asked {
        tokens,
        api_calls,
        cost: cost.map(MicroUsd::from_micros),
        said_cost: cost.map(MicroUsd::from_micros),
        said_tokens: Some(tokens),
    }
}

#[test]
fn a_limit_may_be_reached_and_not_exceeded() {
    use CostLimit::{ApiCallsPerTask, CostPerDay, CostPerTask, TokensPerDay, TokensPerTask};
    for (call, expected) in [
        (asked(0, 0, Some(0)), None),
        (asked(400, 1, Some(50_000)), None),
        (asked(401, 1, Some(50_000)), Some((TokensPerDay, 1_000_000, 400))),
        (asked(501, 1, Some(0)), Some((TokensPerTask, 10_000, 500))),
        (asked(u64::MAX, 0, Some(0)), Some((TokensPerTask, 10_000, 500))),
        (asked(500, 2, Some(0)), Some((ApiCallsPerTask, 10, 1))),
        (asked(501, 2, Some(100_001)), Some((TokensPerTask, 10_000, 500))),
        (
            asked(0, 0, Some(100_001)),
            Some((CostPerTask, 2_500_000, 100_000)),
        ),
        (asked(0, 0, Some(50_001)), Some((CostPerDay, 100_000_000, 50_000))),
        (
            asked(0, 0, Some(u64::MAX)),
            Some((CostPerTask, 2_500_000, 100_000)),
        ),
        (asked(0, 0, None), Some((CostPerTask, 2_500_000, 100_000))),
    ] {
        let refused = GUARDRAILS.check(&USED, &call).err();
        let found = refused.map(|exceeded| (exceeded.limit, exceeded.allowed, exceeded.left));
        assert_eq!(found, expected, "{call:?}");
    }
}

#[test]
fn what_is_not_limited_is_not_refused() {
    let used = Used {
        task_tokens: u64::MAX,
        task_api_calls: u64::MAX,
        task_cost: MicroUsd::from_micros(u64::MAX),
        day_cost: MicroUsd::from_micros(u64::MAX),
        day_tokens: u64::MAX,
    };
    let most = asked(u64::MAX, u64::MAX, None);
    assert_eq!(CostGuardrails::default().check(&used, &most), Ok(()));
}

#[test]
fn nothing_goes_when_more_was_used_than_there_is() {
    let used = Used {
        task_tokens: 10_001,
        ..Used::default()
    };
    let exceeded = GUARDRAILS.check(&used, &asked(0, 0, Some(0))).unwrap_err();
    assert_eq!((exceeded.limit, exceeded.left), (CostLimit::TokensPerTask, 0));
    // What was used up exactly leaves room for a call that asks for nothing of it.
    let used = Used {
        task_tokens: 10_000,
        ..Used::default()
    };
    assert_eq!(GUARDRAILS.check(&used, &asked(0, 1, Some(0))), Ok(()));
}

#[test]
fn a_limit_of_zero_gives_nothing() {
    let none = CostGuardrails {
        max_tokens_per_task: Some(0),
        ..CostGuardrails::default()
    };
    assert_eq!(none.check(&Used::default(), &asked(0, 5, None)), Ok(()));
    assert!(none.check(&Used::default(), &asked(1, 0, None)).is_err());
}

#[test]
fn the_reason_says_how_much_is_left() {
    for (call, reason, rule) in [
        (
            asked(600, 0, Some(0)),
            "500 tokens of 10000 tokens are left, and 600 tokens are asked for",
            "cost_guardrails.max_tokens_per_task",
        ),
        (
            asked(0, 5, Some(0)),
            "1 calls of 10 calls are left, and 5 calls are asked for",
            "cost_guardrails.max_api_calls_per_task",
        ),
        (
            asked(0, 0, Some(200_000)),
            "0.1 USD of 2.5 USD are left, and 0.2 USD are asked for",
            "cost_guardrails.max_cost_usd_per_task",
        ),
        (
            asked(0, 0, Some(60_000)),
            "0.05 USD of 100 USD are left, and 0.06 USD are asked for",
            "cost_guardrails.max_cost_usd_per_day",
        ),
        (
            asked(0, 0, None),
            "the price is not known, and 0.1 USD of 2.5 USD are left: a call without a price cannot be held against a budget",
            "cost_guardrails.max_cost_usd_per_task",
        ),
    ] {
        let exceeded = GUARDRAILS.check(&USED, &call).unwrap_err();
        assert_eq!(exceeded.to_string(), reason);
        assert_eq!(exceeded.limit.rule(), rule);
    }
}

#[test]
fn a_days_budget_wants_to_be_told() {
    let a_day = CostGuardrails {
        max_cost_usd_per_day: Some(MicroUsd::from_micros(5_000_000)),
        max_tokens_per_day: Some(1_000),
        ..CostGuardrails::default()
    };
    let said = |cost: Option<u64>, said_tokens| Asked {
        cost: Some(MicroUsd::default()),
        said_cost: cost.map(MicroUsd::from_micros),
        said_tokens,
        ..Asked::default()
    };
    let refused = |asked: Asked| {
        a_day
            .check(&Used::default(), &asked)
            .map_err(|exceeded| exceeded.to_string())
    };
    assert_eq!(
        refused(said(None, Some(1))).unwrap_err(),
        "usage.cost_usd is not given, and what is not known cannot be held against the 5 USD of a day: pass it, or 0"
    );
    assert_eq!(
        refused(said(Some(1), None)).unwrap_err(),
        "usage.tokens is not given, and what is not known cannot be held against the 1000 tokens of a day: pass it, or 0"
    );
    assert_eq!(refused(said(Some(0), Some(0))), Ok(()));
}
