//! Reservations of tasks: they belong to a lease and not to a session, so they outlive the session that claimed the task, are
//! prolonged with the lease, and are put back from the table of tasks when the server has been started anew.

use super::{Claim, Key, Ledger, Limits, Outcome, Refusal, Reservation, place};

/// The owner of what no session holds.
pub const NOBODY: i32 = 0;

/// Why a task is not let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// A limit, or a full table.
    By(Refusal),
    /// Nobody has said yet which tasks of the agent run: the server is new, or the agent.
    UnknownTasks,
}

impl Ledger<'_> {
    /// Lets a task through and answers the id of its reservation; or charges nothing.
    ///
    /// # Errors
    /// What is in its way. After [`Held::UnknownTasks`] the caller tells which tasks run, by [`Ledger::restore`], and
    /// [`Ledger::tasks_are_known`].
    pub fn reserve_task(&mut self, claim: &Claim, limits: &Limits, now: u64) -> Result<[u8; 16], Held> {
        let is_known = self
            .find(&claim.key)
            .is_some_and(|index| self.entries[index].knows_tasks);
        if !is_known {
            return Err(Held::UnknownTasks);
        }
        self.reserve(claim, limits, now).map_err(Held::By)
    }

    /// The tasks of an agent that run are all here. False where there is no room for the agent.
    pub fn tasks_are_known(&mut self, key: &Key, now: u64) -> bool {
        let index = match self.find(key) {
            Some(index) => Some(index),
            None => self.add(*key, now),
        };
        if let Some(index) = index {
            self.entries[index].knows_tasks = true;
        }
        index.is_some()
    }

    /// Puts back the reservation of a task that runs, unless it is there. It is not held against any limit: the task runs. False
    /// where there is no room.
    pub fn restore(&mut self, claim: &Claim, id: &[u8; 16], now: u64) -> bool {
        if self.reservation_of_task(&claim.key, id).is_some() {
            return true;
        }
        let Some(index) = self.find(&claim.key).or_else(|| self.add(claim.key, now)) else {
            return false;
        };
        let Some(free) = self.take_reservation() else {
            return false;
        };
        let entry = &mut self.entries[index];
        entry.count_running();
        self.hold(free, index, claim, false, now);
        self.reservations[free].rename(*id);
        true
    }

    /// Prolongs the reservation of a task; false where there is none.
    pub fn prolong(&mut self, key: &Key, id: &[u8; 16], time_to_live: u64, now: u64) -> bool {
        let found = self.reservation_of_task(key, id);
        if let Some(place) = found {
            self.reservations[place].ends_at(now.saturating_add(time_to_live));
        }
        found.is_some()
    }

    /// Ends the reservation of a task; false where there is none.
    pub fn end_task(&mut self, key: &Key, id: &[u8; 16], outcome: Outcome, now: u64) -> bool {
        let Some(place) = self.reservation_of_task(key, id) else {
            return false;
        };
        let is_late = self.reservations[place].is_over(now);
        self.give_back(place, if is_late { Outcome::Unknown } else { outcome }, now);
        !is_late
    }

    /// The place of a task's reservation. One that was put back stands in another place than its id says, so it is looked for
    /// among those of its agent.
    fn reservation_of_task(&self, key: &Key, id: &[u8; 16]) -> Option<usize> {
        if let Some(place) = self.place_of(id) {
            return Some(place);
        }
        let mut next = self.oldest(self.find(key)?);
        while let Some(at) = next {
            let held: &Reservation = &self.reservations[at];
            if held.is(id) {
                return Some(at);
            }
            next = place(held.newer());
        }
        None
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::super::tests::Room;
    use super::super::{Scope, key};
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const SCOPE: Scope = Scope {
        database: 5,
        company: None,
    };

    fn claim(secret: u8, seconds: u64) -> Claim {
        Claim {
            key: key(&SCOPE, "agent"),
            scope: SCOPE,
            owner: NOBODY,
            secret: [secret; 12],
            time_to_live: seconds * SECOND,
        }
    }

    fn two() -> Limits {
        Limits {
            max_concurrent: Some(2),
            ..Limits::default()
        }
    }

    #[test]
    fn nothing_is_let_through_before_it_is_known_what_runs() {
        let mut room = Room::new(4, 8);
        let mut ledger = room.ledger();
        assert_eq!(
            ledger.reserve_task(&claim(1, 10), &two(), 0),
            Err(Held::UnknownTasks)
        );
        assert!(ledger.tasks_are_known(&claim(1, 10).key, 0));
        assert!(ledger.reserve_task(&claim(1, 10), &two(), 0).is_ok());
        assert!(ledger.reserve_task(&claim(2, 10), &two(), 0).is_ok());
        let refusal = Refusal::Concurrent { allowed: 2 };
        assert_eq!(
            ledger.reserve_task(&claim(3, 10), &two(), 0),
            Err(Held::By(refusal))
        );
    }

    #[test]
    fn after_a_restart_what_runs_counts_and_ends_by_its_old_id() {
        let mut room = Room::new(4, 8);
        let ids: Vec<[u8; 16]> = {
            let mut ledger = room.ledger();
            ledger.tasks_are_known(&claim(1, 10).key, 0);
            (1..3)
                .map(|secret| ledger.reserve_task(&claim(secret, 10), &two(), 0).unwrap())
                .collect()
        };
        let mut room = Room::new(4, 8);
        let mut ledger = room.ledger();
        // A call of another agent has taken the first place since.
        let other = Claim {
            key: key(&SCOPE, "other"),
            ..claim(9, 10)
        };
        ledger.reserve(&other, &Limits::default(), 0).unwrap();
        for id in &ids {
            assert!(ledger.restore(&claim(0, 10), id, 0));
            assert!(ledger.restore(&claim(0, 10), id, 0), "twice is once");
        }
        ledger.tasks_are_known(&claim(1, 10).key, 0);
        assert!(ledger.reserve_task(&claim(3, 10), &two(), 0).is_err());
        assert!(ledger.end_task(&claim(1, 10).key, &ids[0], Outcome::Success, SECOND));
        assert!(!ledger.end_task(&claim(1, 10).key, &ids[0], Outcome::Success, SECOND));
        assert!(ledger.reserve_task(&claim(3, 10), &two(), SECOND).is_ok());
    }

    #[test]
    fn a_reservation_lasts_as_long_as_its_lease_whoever_came_first() {
        let mut room = Room::new(4, 8);
        let mut ledger = room.ledger();
        let agent = claim(1, 10).key;
        ledger.tasks_are_known(&agent, 0);
        let first = ledger.reserve_task(&claim(1, 10), &two(), 0).unwrap();
        ledger.reserve_task(&claim(2, 10), &two(), 0).unwrap();
        assert!(ledger.prolong(&agent, &first, 100 * SECOND, 0));
        assert!(ledger.reserve_task(&claim(3, 10), &two(), 9 * SECOND).is_err());
        // The second one's lease is over, though the first one is older.
        assert!(ledger.reserve_task(&claim(3, 10), &two(), 11 * SECOND).is_ok());
        assert!(ledger.end_task(&agent, &first, Outcome::Success, 99 * SECOND));
        assert!(!ledger.prolong(&agent, &first, SECOND, 99 * SECOND));
    }

    #[test]
    fn a_sweep_leaves_what_no_session_owns_to_its_time() {
        let mut room = Room::new(4, 8);
        let mut ledger = room.ledger();
        ledger.tasks_are_known(&claim(1, 10).key, 0);
        ledger.reserve_task(&claim(1, 10), &two(), 0).unwrap();
        assert_eq!(ledger.sweep(SECOND, |_| false), 0);
        assert_eq!(ledger.sweep(11 * SECOND, |_| true), 1);
    }
}
