#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use super::*;
use crate::arbitrary::Source;
use crate::breaker::{Policy, State};
use crate::policy::document;
use crate::policy::limits::Pace;

pub(super) const SECOND: u64 = 1_000_000_000;
const TTL: u64 = 600 * SECOND;
pub(super) const HOME: Scope = Scope {
    database: 1,
    company: Some([7; 16]),
};

pub(super) struct Room {
    pub(super) counts: Counts,
    heads: Vec<u32>,
    entries: Vec<Entry>,
    reservations: Vec<Reservation>,
    account_heads: Vec<u32>,
    accounts: Vec<Account>,
    made: u32,
}

impl Room {
    pub(super) fn new(agents: usize, reservations: usize) -> Self {
        let mut room = Self {
            counts: Counts::EMPTY,
            heads: vec![NONE; agents],
            entries: vec![Entry::free(NONE); agents],
            reservations: vec![Reservation::free(NONE); reservations],
            account_heads: vec![NONE; agents],
            accounts: vec![Account::free(); agents],
            made: 0,
        };
        room.ledger().clear();
        room
    }

    pub(super) fn ledger(&mut self) -> Ledger<'_> {
        Ledger {
            counts: &mut self.counts,
            heads: &mut self.heads,
            entries: &mut self.entries,
            reservations: &mut self.reservations,
            accounts: Accounts {
                heads: &mut self.account_heads,
                list: &mut self.accounts,
            },
        }
    }

    fn reserve(&mut self, agent: u8, limits: &Limits, now: u64) -> Result<[u8; 16], Refusal> {
        self.made += 1;
        let mut secret = [9; 12];
        secret[..4].copy_from_slice(&self.made.to_be_bytes());
        let claim = Claim {
            key: [agent; 16],
            scope: HOME,
            owner: 100,
            secret,
            time_to_live: TTL,
        };
        self.ledger().reserve(&claim, limits, now)
    }

    fn release(&mut self, id: &[u8; 16], outcome: Outcome, now: u64) -> bool {
        self.ledger().release(id, &HOME, outcome, now)
    }
}

fn at_most(count: u32) -> Limits {
    Limits {
        max_concurrent: Some(count),
        ..Limits::default()
    }
}

fn breaker() -> Limits {
    Limits {
        breaker: Some(Policy {
            failure_ratio: 0.5,
            minimum_calls: 4,
            window: Duration::from_secs(60),
            open_for: Duration::from_secs(30),
            trials: 2,
        }),
        ..Limits::default()
    }
}

#[test]
fn the_roadmaps_policy_is_read() {
    let text = "
agent_policies:
  rates_agent:
    allowed_functions: [rates.price]
    rate_limits: {requests_per_minute: 60, max_concurrent: 5}
    cost_guardrails:
      circuit_breaker_threshold: 0.05
";
    let policies = document::parse(text).unwrap();
    let limits = Limits::from(&policies[0]);
    let pace = Pace {
        interval: SECOND,
        burst: 59,
    };
    assert_eq!((limits.pace, limits.max_concurrent), (Some(pace), Some(5)));
    assert_eq!(limits.breaker.unwrap().failure_ratio, 0.05);
}

#[test]
fn every_agent_of_every_company_in_every_database_has_a_key_of_its_own() {
    let mut keys = std::collections::HashSet::new();
    for database in [1, 2] {
        for company in [None, Some([0; 16]), Some([7; 16])] {
            for agent in ["a", "b", ""] {
                assert!(keys.insert(key(&Scope { database, company }, agent)));
            }
        }
    }
    assert_eq!(key(&HOME, "a"), key(&HOME, "a"));
}

#[test]
fn a_rate_lets_exactly_its_burst_through_and_says_when_the_next_may_come() {
    let mut room = Room::new(4, 200);
    let limits = Limits {
        pace: Some(Pace {
            interval: SECOND,
            burst: 59,
        }),
        ..Limits::default()
    };
    let now = 1_000 * SECOND;
    let through = (0..200).filter(|_| room.reserve(1, &limits, now).is_ok()).count();
    assert_eq!(through, 60);
    let refusal = room.reserve(1, &limits, now + SECOND / 4).unwrap_err();
    assert_eq!(refusal.rule(), Some("rate_limits.requests_per_minute"));
    assert_eq!(refusal.retry_after_ms(), Some(750));
    assert_eq!(room.ledger().peek(&[1; 16], &limits, now), room_refusal(SECOND));
    assert!(room.ledger().peek(&[1; 16], &limits, now + SECOND).is_ok());
    assert!(room.reserve(1, &limits, now + SECOND).is_ok());
    assert!(
        room.reserve(2, &limits, now).is_ok(),
        "another agent has its own rate"
    );
}

fn room_refusal(wait: u64) -> Result<(), Refusal> {
    Err(Refusal::Rate {
        retry_after: Some(Duration::from_nanos(wait)),
    })
}

#[test]
fn peeking_charges_nothing_and_makes_no_entry() {
    let mut room = Room::new(1, 1);
    for _ in 0..100 {
        assert_eq!(room.ledger().peek(&[1; 16], &at_most(1), 5), Ok(()));
        assert_eq!(room.ledger().peek(&[2; 16], &at_most(1), 5), Ok(()));
    }
    assert_eq!((room.counts.agents(), room.counts.held()), (0, 0));
    let none = room.ledger().peek(&[2; 16], &at_most(0), 5);
    assert_eq!(none, Err(Refusal::Concurrent { allowed: 0 }));
}

#[test]
fn a_refused_call_is_charged_nothing_at_all() {
    let mut room = Room::new(4, 8);
    let limits = Limits {
        pace: Some(Pace {
            interval: SECOND,
            burst: 2,
        }),
        max_concurrent: Some(1),
        breaker: None,
    };
    let id = room.reserve(1, &limits, SECOND).unwrap();
    for _ in 0..10 {
        let refusal = room.reserve(1, &limits, SECOND).unwrap_err();
        assert_eq!(refusal, Refusal::Concurrent { allowed: 1 });
        assert_eq!(refusal.retry_after_ms(), None);
    }
    assert!(room.release(&id, Outcome::Success, SECOND));
    let id = room.reserve(1, &limits, SECOND).unwrap();
    assert!(room.release(&id, Outcome::Success, SECOND));
    assert!(
        room.reserve(1, &limits, SECOND).is_ok(),
        "the refused took none of the three"
    );
}

#[test]
fn a_reservation_ends_once_and_for_its_own_company_and_database_alone() {
    let mut room = Room::new(4, 8);
    let id = room.reserve(1, &at_most(1), 0).unwrap();
    assert_eq!((id[6] >> 4, id[8] >> 6), (8, 2), "a UUID of version 8");
    let scope = |database, company| Scope { database, company };
    for stranger in [scope(1, Some([8; 16])), scope(2, Some([7; 16])), scope(2, None)] {
        assert!(!room.ledger().release(&id, &stranger, Outcome::Success, 1));
    }
    let mut other = id;
    other[0] ^= 1;
    assert!(!room.release(&other, Outcome::Success, 1));
    assert!(!room.release(&[0xff; 16], Outcome::Success, 1));
    assert!(!room.release(&[0; 16], Outcome::Success, 1));
    assert!(room.ledger().is_held(&id));
    assert!(
        room.ledger().release(&id, &scope(1, None), Outcome::Success, 1),
        "the platform"
    );
    assert!(!room.release(&id, Outcome::Success, 1), "twice");
    assert!(room.reserve(1, &at_most(1), 1).is_ok());
}

#[test]
fn what_is_not_released_runs_out() {
    let mut room = Room::new(4, 8);
    let id = room.reserve(1, &at_most(1), 0).unwrap();
    assert!(room.reserve(1, &at_most(1), TTL - 1).is_err());
    assert!(room.ledger().peek(&[1; 16], &at_most(1), TTL).is_ok());
    assert!(!room.release(&id, Outcome::Success, TTL), "too late");
    let id = room.reserve(1, &at_most(1), TTL).unwrap();
    assert!(!room.release(&id, Outcome::Success, 2 * TTL), "late by nothing");
    assert_eq!(room.counts.held(), 0);
}

#[test]
fn an_owner_that_is_gone_gives_back_what_it_held() {
    let mut room = Room::new(4, 8);
    let id = room.reserve(1, &at_most(2), 0).unwrap();
    let other = room.reserve(1, &at_most(2), 0).unwrap();
    room.ledger().abandon(&id, 99, 1);
    assert!(room.ledger().is_held(&id), "not its own");
    room.ledger().abandon(&id, 100, 1);
    assert!(!room.ledger().is_held(&id) && room.ledger().is_held(&other));
    assert_eq!(room.ledger().sweep(1, |_| true), 0);
    assert_eq!(room.ledger().sweep(1, |owner| owner != 100), 1);
    assert_eq!(room.ledger().standing(&[1; 16], 1).unwrap(), (0, State::Closed));
}

#[test]
fn a_breaker_opens_on_failures_tries_a_few_and_closes() {
    let mut room = Room::new(4, 64);
    let limits = breaker();
    let now = 100 * SECOND;
    for number in 0..4 {
        let id = room.reserve(1, &limits, now).unwrap();
        let outcome = if number % 2 == 0 {
            Outcome::Success
        } else {
            Outcome::Failure
        };
        assert!(room.release(&id, outcome, now));
    }
    let refusal = room.reserve(1, &limits, now).unwrap_err();
    assert_eq!(refusal.retry_after_ms(), Some(30_000));
    assert_eq!(refusal.rule(), Some("cost_guardrails.circuit_breaker_threshold"));
    let later = now + 30 * SECOND;
    let trials: Vec<[u8; 16]> = (0..10)
        .filter_map(|_| room.reserve(1, &limits, later).ok())
        .collect();
    assert_eq!(trials.len(), 2);
    let refusal = room.reserve(1, &limits, later).unwrap_err();
    assert_eq!(refusal, Refusal::Breaker { retry_after: None });
    assert!(room.release(&trials[0], Outcome::Unknown, later));
    let again = room.reserve(1, &limits, later).unwrap();
    assert!(room.reserve(1, &limits, later).is_err(), "two at one time");
    assert!(room.release(&trials[1], Outcome::Success, later));
    assert!(room.release(&again, Outcome::Success, later));
    assert_eq!(room.ledger().standing(&[1; 16], later).unwrap().1, State::Closed);
}

#[test]
fn a_call_from_before_is_no_trial_and_gives_none_back() {
    let mut room = Room::new(4, 64);
    let limits = breaker();
    let old = room.reserve(1, &limits, SECOND).unwrap();
    for _ in 0..4 {
        let id = room.reserve(1, &limits, SECOND).unwrap();
        assert!(room.release(&id, Outcome::Failure, SECOND));
    }
    let later = 40 * SECOND;
    for _ in 0..2 {
        room.reserve(1, &limits, later).unwrap();
    }
    assert!(room.release(&old, Outcome::Unknown, later));
    assert!(room.reserve(1, &limits, later).is_err());
}

#[test]
fn a_full_table_of_agents_takes_the_place_of_an_idle_one_or_refuses() {
    let mut room = Room::new(2, 8);
    let limits = Limits {
        pace: Some(Pace {
            interval: SECOND,
            burst: 0,
        }),
        ..Limits::default()
    };
    let one = room.reserve(1, &limits, SECOND).unwrap();
    let two = room.reserve(2, &limits, SECOND).unwrap();
    assert_eq!(room.reserve(3, &limits, SECOND), Err(Refusal::AgentsFull));
    assert_eq!(Refusal::AgentsFull.rule(), None);
    assert!(room.release(&one, Outcome::Unknown, SECOND));
    assert_eq!(
        room.reserve(3, &limits, SECOND),
        Err(Refusal::AgentsFull),
        "its rate is in use"
    );
    assert!(room.reserve(3, &limits, 2 * SECOND).is_ok());
    assert_eq!(room.counts.agents(), 2);
    assert!(room.release(&two, Outcome::Unknown, 2 * SECOND));
    assert!(room.reserve(1, &limits, 2 * SECOND).is_ok());
}

#[test]
fn a_full_table_of_reservations_refuses_and_charges_nothing() {
    let mut room = Room::new(4, 2);
    let limits = Limits {
        pace: Some(Pace {
            interval: SECOND,
            burst: 2,
        }),
        ..Limits::default()
    };
    for _ in 0..2 {
        room.reserve(1, &limits, SECOND).unwrap();
    }
    for _ in 0..5 {
        assert_eq!(room.reserve(1, &limits, SECOND), Err(Refusal::ReservationsFull));
        assert_eq!(room.reserve(2, &limits, SECOND), Err(Refusal::ReservationsFull));
    }
    let later = SECOND + TTL;
    let through = (0..3).filter(|_| room.reserve(1, &limits, later).is_ok()).count();
    assert_eq!(through, 2, "the old ones ran out");
}

#[test]
fn any_order_of_calls_leaves_the_tables_whole() {
    let mut source = Source::new(1204);
    let mut room = Room::new(6, 24);
    let (mut held, mut now) = (Vec::new(), SECOND);
    let mut refused = 0;
    for _ in 0..40_000 {
        now += source.below(3_000_000_000) as u64;
        let limits = Limits {
            pace: Some(Pace {
                interval: SECOND,
                burst: 8,
            }),
            max_concurrent: Some(5),
            ..breaker()
        };
        match source.below(4) {
            0 | 1 => match room.reserve(source.below(9) as u8, &limits, now) {
                Ok(id) => held.push(id),
                Err(_) => refused += 1,
            },
            2 if !held.is_empty() => {
                let id: [u8; 16] = held.swap_remove(source.below(held.len()));
                let was_held = room.ledger().is_held(&id);
                let outcome = [Outcome::Success, Outcome::Failure, Outcome::Unknown][source.below(3)];
                assert!(was_held || !room.release(&id, outcome, now));
                room.release(&id, outcome, now);
                assert!(!room.ledger().is_held(&id));
            }
            _ if source.below(50) == 0 => drop(room.ledger().sweep(now, |owner| owner == 100)),
            _ => {}
        }
        check(&mut room);
    }
    assert!(refused > 1_000, "{refused}");
}

/// Every list leads where it should, and everything is counted once.
fn check(room: &mut Room) {
    let mut held = 0;
    for entry in &room.entries {
        let (mut next, mut before, mut count) = (entry.oldest, NONE, 0);
        while let Some(index) = place(next) {
            assert_eq!(room.reservations[index].older(), before);
            (before, next) = (next, room.reservations[index].newer());
            count += 1;
        }
        assert_eq!(entry.newest, before);
        assert_eq!(entry.running(), count);
        assert!(count <= 5);
        held += count;
    }
    assert_eq!(room.counts.held(), held);
    let chained = |mut next: u32, follow: &dyn Fn(usize) -> u32| {
        let mut count = 0;
        while let Some(index) = place(next) {
            next = follow(index);
            count += 1;
        }
        count
    };
    let free = chained(room.counts.free_reservation, &|index| {
        room.reservations[index].newer()
    });
    assert_eq!(free + held, 24);
    let free = chained(room.counts.free_entry, &|index| room.entries[index].next());
    assert_eq!(free + room.counts.agents(), 6);
    let heads: u32 = room
        .heads
        .iter()
        .map(|head| chained(*head, &|index| room.entries[index].next()))
        .sum();
    assert_eq!(heads, room.counts.agents());
}
