#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::time::Duration;

use super::super::tests::{HOME, Room, SECOND};
use super::*;
use crate::arbitrary::Source;
use crate::policy::budget::{Day, share};
use crate::policy::limits::CostLimit;

const TODAY: i64 = 20_000;
const TTL: u64 = 600 * SECOND;

/// Shared memory, and the table the scheduler writes.
struct Server {
    room: Room,
    table: HashMap<(String, i64), [Booked; RESOURCES]>,
    made: u32,
}

fn ask(day: i64, budget: u64, amount: u64) -> Ask {
    Ask {
        day: Day {
            number: day,
            left: Duration::from_secs(60),
        },
        budgets: [Some(budget), None],
        amounts: [amount, 7],
    }
}

impl Server {
    fn new() -> Self {
        Self {
            room: Room::new(4, 64),
            table: HashMap::new(),
            made: 0,
        }
    }

    fn reserve(&mut self, agent: u8, ask: &Ask, owner: i32, now: u64) -> Result<[u8; 16], Refusal> {
        self.made += 1;
        let mut secret = [3; 12];
        secret[..4].copy_from_slice(&self.made.to_be_bytes());
        let claim = Claim {
            key: [agent; 16],
            scope: HOME,
            owner,
            secret,
            time_to_live: TTL,
        };
        let name = format!("agent{agent}");
        let caller = Caller { agent: &name, ask };
        self.room
            .ledger()
            .reserve_budgeted(&claim, &Limits::default(), &caller, now)
    }

    /// As a session does it: what is not allotted is waited for, once.
    fn call(&mut self, agent: u8, ask: &Ask, owner: i32, now: u64) -> Result<[u8; 16], Refusal> {
        match self.reserve(agent, ask, owner, now) {
            Err(Refusal::Unallotted { .. }) => {
                self.allot(now);
                self.reserve(agent, ask, owner, now)
            }
            answer => answer,
        }
    }

    fn allot(&mut self, now: u64) {
        let lines = self.room.ledger().asked(HOME.database);
        self.write(&lines, now);
    }

    fn flush(&mut self, is_end: bool, now: u64) {
        let lines = self.room.ledger().changed(HOME.database, TODAY, is_end, now);
        self.write(&lines, now);
    }

    fn write(&mut self, lines: &[Line], now: u64) {
        for line in lines {
            let row = self.table.entry((line.agent(), line.day())).or_default();
            let entry = line.entry(*row);
            *row = entry.row;
            self.room.ledger().written(line, &entry, now);
        }
    }

    fn release(&mut self, id: &[u8; 16], used: Option<u64>, now: u64) -> Released {
        let said = [used, None];
        let outcome = Outcome::Success;
        self.room
            .ledger()
            .release_budgeted(id, &HOME, outcome, &said, now)
    }

    fn crash(&mut self) {
        self.room.ledger().clear();
    }

    fn row(&self, agent: &str) -> Booked {
        self.table[&(agent.to_owned(), TODAY)][0]
    }

    /// What can still be called one by one, each for `amount`.
    fn drain(&mut self, ask: &Ask, now: u64) -> usize {
        let mut through = 0;
        while let Ok(id) = self.call(1, ask, 1, now) {
            self.release(&id, None, now);
            through += 1;
        }
        through
    }
}

#[test]
fn exactly_the_budget_is_let_through() {
    let mut server = Server::new();
    let ask = ask(TODAY, 1_000, 10);
    assert_eq!(
        server.reserve(1, &ask, 1, 0),
        Err(Refusal::Unallotted {
            limit: CostLimit::CostPerDay
        })
    );
    assert_eq!(server.drain(&ask, 0), 100);
    let refusal = server.call(1, &ask, 1, 0).unwrap_err();
    assert_eq!(refusal.rule(), Some("cost_guardrails.max_cost_usd_per_day"));
    assert_eq!(refusal.retry_after_ms(), Some(60_000));
    assert_eq!(
        refusal.to_string(),
        "0 USD of 0.001 USD are left, and 0.00001 USD are asked for"
    );
    assert!(server.call(2, &ask, 1, 0).is_ok(), "another agent");
    let tomorrow = Ask {
        day: Day {
            number: TODAY + 1,
            ..ask.day
        },
        ..ask
    };
    assert!(server.call(1, &tomorrow, 1, 0).is_ok(), "another day");
    server.flush(false, 0);
    assert_eq!(
        server.row("agent1"),
        Booked {
            allotted: 1_000,
            used: 1_000
        }
    );
}

#[test]
fn calls_in_flight_count_and_what_is_denied_charges_nothing() {
    let mut server = Server::new();
    let whole = ask(TODAY, 100, 60);
    let first = server.call(1, &whole, 1, 0).unwrap();
    for _ in 0..5 {
        assert!(matches!(
            server.call(1, &whole, 1, 0),
            Err(Refusal::Budget { .. })
        ));
    }
    assert_eq!(server.room.counts.held(), 1);
    assert!(server.release(&first, Some(5), 0).ended);
    assert!(server.call(1, &ask(TODAY, 100, 95), 1, 0).is_ok(), "55 came back");
    assert!(server.call(1, &ask(TODAY, 100, 1), 1, 0).is_err());
}

#[test]
fn more_than_was_reserved_is_booked_in_full_and_on_disk_before_anything_else() {
    let mut server = Server::new();
    let small = ask(TODAY, 100, 10);
    let id = server.call(1, &small, 1, 0).unwrap();
    let released = server.release(&id, Some(95), 0);
    let account = released.lacking.unwrap();
    assert!(released.ended && !server.room.ledger().is_covered(&account.0, account.1));
    server.allot(0);
    assert!(server.room.ledger().is_covered(&account.0, account.1));
    assert!(server.row("agent1").allotted >= 95);
    server.crash();
    assert!(server.call(1, &small, 1, 0).is_err(), "less than 10 are left");
}

#[test]
fn who_is_killed_gives_back_and_who_leaves_or_is_late_does_not() {
    let mut server = Server::new();
    let half = ask(TODAY, 100, 50);
    let killed = server.call(1, &half, 8, 0).unwrap();
    let left = server.call(1, &half, 9, 0).unwrap();
    assert!(server.call(1, &half, 1, 0).is_err());
    server.room.ledger().forgive(&killed, 9, 0);
    assert!(server.call(1, &half, 1, 0).is_err(), "not its own");
    server.room.ledger().forgive(&killed, 8, 0);
    server.room.ledger().abandon(&killed, 8, 0);
    server.room.ledger().abandon(&left, 9, 0);
    let last = server.call(1, &half, 1, 0).unwrap();
    assert!(
        server.call(1, &half, 1, TTL + 1).is_err(),
        "its time is over, and it counts"
    );
    assert!(!server.release(&last, Some(0), TTL + 2).ended);
    assert_eq!(server.drain(&ask(TODAY, 100, 1), 2 * TTL), 0);
}

#[test]
fn what_comes_late_is_booked_as_it_was() {
    let mut server = Server::new();
    let id = server.call(1, &ask(TODAY, 100, 50), 1, 0).unwrap();
    let released = server.release(&id, Some(20), TTL);
    assert!(!released.ended, "its time was over");
    assert_eq!(server.drain(&ask(TODAY, 100, 1), TTL), 80);
}

#[test]
fn another_budget_holds_from_the_next_call_on() {
    let mut server = Server::new();
    assert_eq!(server.drain(&ask(TODAY, 100, 10), 0), 10);
    assert_eq!(server.drain(&ask(TODAY, 150, 10), 0), 5);
    assert_eq!(server.drain(&ask(TODAY, 50, 10), 0), 0);
    assert_eq!(server.drain(&ask(TODAY, 160, 10), 0), 1);
}

#[test]
fn what_nobody_uses_goes_back_and_the_account_with_it() {
    let mut server = Server::new();
    let ask = ask(TODAY, 6_400, 10);
    let id = server.call(1, &ask, 1, 0).unwrap();
    assert_eq!(server.row("agent1").allotted, 10 + share(6_400));
    server.flush(false, SECOND);
    assert_eq!(
        server.row("agent1").allotted,
        10 + share(6_400),
        "somebody may come"
    );
    server.release(&id, Some(4), SECOND);
    server.flush(false, 100 * SECOND);
    assert_eq!(server.row("agent1"), Booked { allotted: 4, used: 4 });
    assert_eq!(server.room.ledger().accounts.find(&[1; 16], TODAY), None);
    assert_eq!(
        server.drain(
            &Ask {
                amounts: [1, 0],
                ..ask
            },
            100 * SECOND
        ),
        6_396
    );
}

#[test]
fn a_scheduler_that_leaves_gives_back_all_but_what_runs() {
    let mut server = Server::new();
    let ask = ask(TODAY, 6_400, 10);
    server.call(1, &ask, 1, 0).unwrap();
    server.flush(true, 0);
    assert_eq!(server.row("agent1").allotted, 10);
    assert!(matches!(
        server.reserve(1, &ask, 1, 0),
        Err(Refusal::Unallotted { .. })
    ));
    server.room.ledger().doubt(HOME.database);
    // Somebody else has written meanwhile: half of it is lost.
    server.table.get_mut(&("agent1".to_owned(), TODAY)).unwrap()[0].allotted = 3_200;
    assert_eq!(server.drain(&ask, 0), 320);
}

#[test]
fn a_table_that_is_gone_is_not_drawn_on() {
    let mut server = Server::new();
    let ask = ask(TODAY, 100, 10);
    let id = server.call(1, &ask, 1, 0).unwrap();
    server.room.ledger().forget(HOME.database);
    server.table.clear();
    assert!(
        server.release(&id, Some(50), 0).ended,
        "it runs, and is booked nowhere"
    );
    assert_eq!(server.drain(&ask, 0), 10);
}

#[test]
fn an_agent_too_many_is_refused_until_another_one_is_written_down() {
    let mut server = Server::new();
    let ask = ask(TODAY, 100, 10);
    for agent in 1..=4 {
        let id = server.call(agent, &ask, 1, 0).unwrap();
        server.release(&id, None, 0);
    }
    assert_eq!(server.call(5, &ask, 1, SECOND), Err(Refusal::AgentsFull));
    server.flush(false, 100 * SECOND);
    assert!(server.call(5, &ask, 1, 100 * SECOND).is_ok());
}

#[test]
fn peeking_holds_nothing_and_goes_by_the_table_where_nothing_is_known() {
    let mut server = Server::new();
    let ask = ask(TODAY, 100, 60);
    let caller = Caller {
        agent: "agent1",
        ask: &ask,
    };
    let peek = |server: &mut Server, spent: u64| {
        let mut ledger = server.room.ledger();
        ledger.peek_budgeted(&[1; 16], &Limits::default(), &caller, &[spent, 0], 0)
    };
    assert!(server.room.ledger().is_unknown(&[1; 16], TODAY));
    assert!(peek(&mut server, 40).is_ok() && peek(&mut server, 41).is_err());
    server.call(1, &ask, 1, 0).unwrap();
    assert!(!server.room.ledger().is_unknown(&[1; 16], TODAY));
    assert!(peek(&mut server, 0).is_err(), "what runs counts");
}

#[test]
fn whatever_happens_no_more_is_let_through_than_the_budget() {
    let mut source = Source::new(2_026);
    let (mut crashes, mut refused) = (0, 0);
    for _ in 0..60 {
        let mut server = Server::new();
        let budget = 1 + source.below(5_000) as u64;
        // What was let through and was not given back by somebody who knew.
        let mut spent = 0;
        let mut held: Vec<([u8; 16], u64)> = Vec::new();
        let mut now = SECOND;
        for _ in 0..400 {
            now += source.below(9_000_000_000) as u64;
            match source.below(12) {
                0..=5 => {
                    let amount = source.below(60) as u64;
                    match server.call(1, &ask(TODAY, budget, amount), 1, now) {
                        Ok(id) => {
                            spent += amount;
                            held.push((id, amount));
                        }
                        Err(_) => refused += 1,
                    }
                }
                6 | 7 if !held.is_empty() => {
                    let (id, amount) = held.swap_remove(source.below(held.len()));
                    let used = source.below(amount as usize + 1) as u64;
                    if server.room.ledger().is_held(&id) {
                        server.release(&id, Some(used), now);
                        spent -= amount - used;
                    }
                }
                8 => server.flush(source.below(4) == 0, now),
                9 => server.room.ledger().doubt(HOME.database),
                10 if source.below(10) == 0 => {
                    server.crash();
                    held.clear();
                    crashes += 1;
                }
                11 if !held.is_empty() => {
                    let (id, amount) = held.swap_remove(source.below(held.len()));
                    if server.room.ledger().is_held(&id) {
                        server.room.ledger().forgive(&id, 1, now);
                        server.room.ledger().abandon(&id, 1, now);
                        spent -= amount;
                    }
                }
                _ => {}
            }
            assert!(spent <= budget, "{spent} of {budget}");
            let row = server.table.get(&("agent1".to_owned(), TODAY));
            assert!(
                row.is_none_or(|row| row[0].allotted >= spent),
                "the table knows of all of it"
            );
        }
    }
    assert!(crashes > 50 && refused > 1_000, "{crashes} {refused}");
}

#[test]
fn a_crash_loses_no_more_than_a_share_and_what_runs() {
    let mut source = Source::new(5);
    for _ in 0..200 {
        let mut server = Server::new();
        let budget = 100 + source.below(5_000) as u64;
        let calls = source.below(40) as u64;
        let (mut used, mut runs) = (0, 0);
        for _ in 0..calls {
            let Ok(id) = server.call(1, &ask(TODAY, budget, 9), 1, 0) else {
                break;
            };
            if source.below(8) == 0 {
                runs += 9;
            } else {
                server.release(&id, None, 0);
                used += 9;
            }
        }
        server.crash();
        let left = server.drain(&ask(TODAY, budget, 1), 0) as u64;
        assert!(left <= budget - used);
        assert!(
            left + share(budget) + runs >= budget - used,
            "{left} {used} {budget}"
        );
    }
}
