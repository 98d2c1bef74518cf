#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;
use crate::arbitrary::Source;
use crate::policy::document;

fn policy(guardrails: &str) -> AgentPolicy {
    let text = format!("agent_policies: {{a: {{cost_guardrails: {{{guardrails}}}}}}}");
    document::parse(&text).unwrap().remove(0)
}

fn usage(value: serde_json::Value) -> Usage {
    Usage::read(&value).unwrap()
}

#[test]
fn a_day_ends_at_midnight_in_utc() {
    for (unix_us, number, left) in [
        (0, 0, Duration::from_secs(86_400)),
        (1, 0, Duration::from_micros(DAY_US as u64 - 1)),
        (DAY_US - 1, 0, Duration::from_micros(1)),
        (DAY_US, 1, Duration::from_secs(86_400)),
        (-1, -1, Duration::from_micros(1)),
    ] {
        assert_eq!(Day::of(unix_us), Day { number, left }, "{unix_us}");
    }
    for extreme in [i64::MIN, i64::MAX] {
        assert!(Day::of(extreme).left <= Duration::from_secs(86_400));
    }
}

#[test]
fn a_call_is_asked_about_what_there_is_a_budget_of() {
    let dollars = policy("max_cost_usd_per_day: 5");
    let both = policy("max_cost_usd_per_day: 5, max_tokens_per_day: 100");
    assert_eq!(
        Ask::of(&policy("max_cost_usd_per_task: 1"), &usage(json!({})), 0),
        Ok(None)
    );
    let ask = Ask::of(&dollars, &usage(json!({"cost_usd": 0.25})), 0)
        .unwrap()
        .unwrap();
    assert_eq!(
        (ask.amounts, ask.budgets),
        ([250_000, 0], [Some(5_000_000), None])
    );
    for (policy, said, limit) in [
        (&dollars, json!({}), CostLimit::CostPerDay),
        (&dollars, json!({"tokens": 5}), CostLimit::CostPerDay),
        (&both, json!({"cost_usd": 0}), CostLimit::TokensPerDay),
    ] {
        let exceeded = Ask::of(policy, &usage(said), 0).unwrap_err();
        assert_eq!((exceeded.limit, exceeded.asked), (limit, None));
    }
    let free = Ask::of(&both, &usage(json!({"cost_usd": 0, "tokens": 0})), 0);
    assert_eq!(free.unwrap().unwrap().amounts, [0, 0]);
}

#[test]
fn waiting_for_the_next_day_helps_unless_no_day_is_enough() {
    let policy = policy("max_cost_usd_per_day: 5, max_tokens_per_day: 100");
    let at = DAY_US - 1_500;
    let asked = |cost: f64, tokens: u64| {
        let usage = usage(json!({"cost_usd": cost, "tokens": tokens}));
        Ask::of(&policy, &usage, at).unwrap().unwrap()
    };
    let ask = asked(1.0, 10);
    assert_eq!(ask.check(&[4_000_000, 90]), Ok(()));
    let exceeded = ask.check(&[4_000_001, 91]).unwrap_err();
    assert_eq!((exceeded.limit, exceeded.left), (CostLimit::CostPerDay, 999_999));
    assert_eq!(ask.retry_after(&exceeded), Some(Duration::from_micros(1_500)));
    let exceeded = asked(0.0, 101).check(&[0, 0]).unwrap_err();
    assert_eq!(exceeded.limit, CostLimit::TokensPerDay);
    assert_eq!(asked(0.0, 101).retry_after(&exceeded), None);
}

fn purse(allotted: u64, budget: u64) -> Purse {
    let mut purse = Purse::default();
    purse.load(&Booked { allotted, used: 0 });
    purse.set_budget(Some(budget));
    purse
}

#[test]
fn an_allotment_is_what_calls_lack_and_a_share_within_the_budget() {
    for (allotted, wanted, added) in [
        (0, 0, 0),
        (0, 1, 101),
        (0, 3_000, 3_100),
        (0, 6_400, 6_400),
        (0, u64::MAX, 6_400),
        (6_000, 350, 400),
        (6_400, 1, 0),
        (7_000, 1, 0),
    ] {
        let mut purse = purse(allotted, 6_400);
        purse.want(wanted);
        assert_eq!(purse.allotment(), added, "{allotted} {wanted}");
    }
    assert_eq!((share(0), share(1), share(64), share(65)), (0, 1, 1, 2));
}

#[test]
fn what_was_used_beyond_the_allotment_is_booked_in_full() {
    let mut purse = purse(0, 100);
    purse.allot(10);
    purse.hold(10);
    purse.end(10, 250);
    assert_eq!((purse.free(), purse.lacking(), purse.spent()), (0, 240, 250));
    assert_eq!(purse.allotment(), 240);
    purse.allot(240);
    purse.want(1);
    assert_eq!(purse.allotment(), 0, "nothing is left");
    assert_eq!(
        purse.booked(),
        Booked {
            allotted: 250,
            used: 250
        }
    );
}

#[test]
fn what_a_crash_leaves_open_is_lost_and_what_is_given_back_is_not() {
    let mut purse = Purse::default();
    purse.load(&Booked {
        allotted: 70,
        used: 50,
    });
    purse.set_budget(Some(100));
    assert_eq!((purse.spent(), purse.free()), (70, 0));
    purse.allot(30);
    assert_eq!(purse.free(), 30);
    assert_eq!(purse.trim(10), 20);
    assert_eq!((purse.free(), purse.booked().allotted), (10, 80));
    purse.untrim(20);
    assert_eq!(purse.free(), 30);
    // The table has more than was put there, or less.
    purse.follow(105);
    assert_eq!((purse.free(), purse.spent()), (30, 75));
    purse.follow(80);
    assert_eq!((purse.free(), purse.lacking()), (5, 0));
}

#[test]
fn no_amount_is_more_than_a_bigint_holds() {
    let mut source = Source::new(88);
    let mut purse = Purse::default();
    for _ in 0..5_000 {
        let amount = source.number() >> source.below(64);
        let other = source.number() >> source.below(64);
        match source.below(8) {
            0 => purse.set_budget((source.below(2) == 0).then_some(amount)),
            1 => purse.want(amount),
            2 => purse.hold(amount),
            3 => purse.end(amount, other),
            4 => purse.allot(amount),
            5 => drop(purse.trim(amount)),
            6 => purse.follow(amount.min(MOST)),
            _ => purse.load(&Booked {
                allotted: amount.min(MOST),
                used: other.min(MOST),
            }),
        }
        let booked = purse.booked();
        assert!(booked.allotted <= MOST && booked.used <= MOST && purse.spent() <= MOST);
        assert!(purse.allotment() <= MOST);
        assert!(purse.free() == 0 || purse.lacking() == 0);
    }
}
