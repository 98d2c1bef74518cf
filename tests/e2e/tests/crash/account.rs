//! What each crash may have repeated, derived from what could be observed, and what it did repeat.
//!
//! Time is divided into the lives of the dispatcher. A life ends when the next one begins: the dispatcher and the server
//! write times of one and the same clock, so `processed_at` before that moment is what the table held after recovery,
//! and a request read before that moment was sent by the life before (its connections were closed long since).
//!
//! A crash may repeat an event that arrived during the life it ended, and whose delivery the recovered table did not
//! hold. There are two reasons why it would not:
//! - *in flight*: the receiver had not answered. It stood still while the dispatcher died, so this is what it had read
//!   and not answered at that moment, and what it found in its sockets afterwards.
//! - *not recorded*: answered, and the outcome was not yet written, or was written in a commit that had not reached the
//!   disk (the dispatcher commits asynchronously). This is what remains, and it must be of the last moments: an old one
//!   would be an outcome that was forgotten.
//!
//! What is not on record has to be sent again, so the bound is usually met to the event. What the proof rests on is that
//! it is met by these very events: one that was on record may never come again, and none may come twice in one life.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use tms_e2e::keys::Arrival;
use uuid::Uuid;

use crate::scene::{End, Strike};

/// How old an outcome may be that is not on disk. PostgreSQL flushes an asynchronous commit within three times
/// wal_writer_delay, 0.6 s; the rest is for a busy disk and two busy cores.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

/// One crash's part.
#[derive(Debug, Default, Clone)]
pub struct Share {
    pub in_flight: usize,
    pub not_recorded: usize,
    /// Age of the oldest arrival that the recovered table did not hold as delivered.
    pub oldest: Duration,
    pub repeated: usize,
}

impl Share {
    /// The bound.
    pub fn may_repeat(&self) -> usize {
        self.in_flight + self.not_recorded
    }
}

#[derive(Debug)]
pub struct Account {
    pub shares: Vec<Share>,
    /// Events that arrived again although the recovered table held them as delivered.
    pub recorded_and_repeated: Vec<Uuid>,
    /// Events that arrived twice in one life, where no attempt failed.
    pub twice_in_a_life: Vec<Uuid>,
}

impl Account {
    pub fn of(strikes: &[Strike], end: &End) -> Self {
        let mut account = Self {
            shares: strikes.iter().map(|strike| in_flight(strike, end)).collect(),
            recorded_and_repeated: Vec::new(),
            twice_in_a_life: Vec::new(),
        };
        let mut exposed = vec![0_usize; strikes.len()];
        let mut seen_in: HashMap<Uuid, usize> = HashMap::new();
        for &(id, at) in &end.arrivals {
            let life = life_of(at, strikes);
            let before = seen_in.insert(id, life);
            if let Some(before) = before {
                account.repeat(id, before, life, strikes, end);
            }
            if before != Some(life)
                && let Some(strike) = strikes.get(life)
                && !recorded(id, strike, end)
            {
                exposed[life] += 1;
                let age = strike.at.duration_since(at).unwrap_or_default();
                let share = &mut account.shares[life];
                share.oldest = share.oldest.max(age);
            }
        }
        for (share, exposed) in account.shares.iter_mut().zip(exposed) {
            share.not_recorded = exposed.saturating_sub(share.in_flight);
        }
        account
    }

    /// A repeat is charged to the crash that ended the life in which the event came the last time.
    fn repeat(&mut self, id: Uuid, before: usize, life: usize, strikes: &[Strike], end: &End) {
        if before == life {
            self.twice_in_a_life.push(id);
            return;
        }
        self.shares[before].repeated += 1;
        if recorded(id, &strikes[before], end) {
            self.recorded_and_repeated.push(id);
        }
    }

    /// Over all crashes.
    pub fn repeated(&self) -> usize {
        self.shares.iter().map(|share| share.repeated).sum()
    }

    /// Repeats that nothing excuses, in words; empty when all is well.
    pub fn objections(&self, delay: Duration) -> Vec<String> {
        let twice = self
            .twice_in_a_life
            .iter()
            .map(|id| format!("{id} was sent twice in one life"));
        let recorded = self.recorded_and_repeated.iter();
        let recorded = recorded.map(|id| format!("{id} was on record as delivered, and sent again"));
        let shares = self.shares.iter().enumerate();
        let beyond = shares.filter_map(|(number, share)| {
            let excused = share.repeated <= share.may_repeat() && share.oldest <= delay + RECORDED_WITHIN;
            (!excused).then(|| format!("crash {}: {share:?}", number + 1))
        });
        twice.chain(recorded).chain(beyond).collect()
    }
}

/// The arrivals, each with the life it was sent in: what the order within keys is judged by.
pub fn lives(strikes: &[Strike], end: &End) -> Vec<Arrival> {
    let arrivals = end.arrivals.iter();
    arrivals
        .map(|&(id, at)| Arrival {
            id,
            life: life_of(at, strikes),
        })
        .collect()
}

fn life_of(at: SystemTime, strikes: &[Strike]) -> usize {
    strikes.partition_point(|strike| strike.next_life <= at)
}

fn in_flight(strike: &Strike, end: &End) -> Share {
    let read_by_the_end = end.arrivals.partition_point(|(_, at)| *at < strike.next_life);
    let in_sockets = read_by_the_end.saturating_sub(strike.arrived);
    Share {
        in_flight: strike.in_flight + in_sockets,
        ..Share::default()
    }
}

/// Whether the table held the event as delivered when the server had recovered from this crash.
fn recorded(id: Uuid, strike: &Strike, end: &End) -> bool {
    let at: Option<&SystemTime> = end.processed.get(&id);
    at.is_some_and(|at| *at < strike.next_life)
}

#[cfg(test)]
mod tests {
    use tms_e2e::ledger::Ledger;

    use super::*;
    use crate::blow::Kind;

    fn at(millis: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
    }

    /// A crash at 1 s, the next life from 2 s on.
    fn strike(in_flight: usize, arrived: usize) -> Strike {
        Strike {
            kind: Kind::Dispatcher,
            rate: 2_000.0,
            in_flight,
            arrived,
            at: at(1_000),
            next_life: at(2_000),
            outage: Duration::from_secs(1),
        }
    }

    fn end(arrivals: &[(u128, u64)], processed: &[(u128, u64)]) -> End {
        End {
            verdict: Ledger::default().check(&HashMap::new()),
            dead_letters: 0,
            failed_attempts: 0,
            unanswered: 0,
            keys: Vec::new(),
            unsigned: 0,
            arrivals: arrivals
                .iter()
                .map(|&(id, ms)| (Uuid::from_u128(id), at(ms)))
                .collect(),
            processed: processed
                .iter()
                .map(|&(id, ms)| (Uuid::from_u128(id), at(ms)))
                .collect(),
        }
    }

    #[test]
    fn account_of_a_crash_tells_what_was_in_flight_from_what_was_not_recorded() {
        // 1 is recorded; 2 was answered and its record lost; 3 was in flight, 4 in a socket; 5 comes later.
        let arrivals = [
            (1, 100),
            (2, 200),
            (3, 950),
            (4, 1_001),
            (2, 2_100),
            (3, 2_100),
            (4, 2_100),
            (5, 2_200),
        ];
        let processed = [(1, 150), (2, 2_150), (3, 2_150), (4, 2_150), (5, 2_250)];
        let account = Account::of(&[strike(1, 3)], &end(&arrivals, &processed));
        let share = &account.shares[0];
        assert_eq!((share.in_flight, share.not_recorded, share.repeated), (2, 1, 3));
        assert_eq!(share.oldest, Duration::from_millis(800));
        assert_eq!(account.objections(Duration::ZERO), [""; 0]);
    }

    #[test]
    fn account_of_a_crash_objects_to_a_recorded_event_that_is_sent_again() {
        let end = end(&[(1, 100), (1, 2_100)], &[(1, 150)]);
        let objections = Account::of(&[strike(1, 1)], &end).objections(Duration::ZERO);
        assert!(
            objections[0].ends_with("1 was on record as delivered, and sent again"),
            "{objections:?}"
        );
    }

    #[test]
    fn account_of_a_crash_objects_to_an_event_that_one_life_sends_twice() {
        let end = end(&[(1, 100), (1, 110)], &[(1, 150)]);
        let objections = Account::of(&[strike(0, 2)], &end).objections(Duration::ZERO);
        assert!(
            objections[0].ends_with("1 was sent twice in one life"),
            "{objections:?}"
        );
    }

    #[test]
    fn account_of_a_crash_objects_to_an_old_outcome_that_was_never_recorded() {
        let mut strike = strike(0, 1);
        strike.at = at(9_000);
        strike.next_life = at(10_000);
        let end = end(&[(1, 100), (1, 10_100)], &[(1, 10_150)]);
        let objections = Account::of(&[strike], &end).objections(Duration::ZERO);
        assert!(objections[0].starts_with("crash 1"), "{objections:?}");
    }
}
