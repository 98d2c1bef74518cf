//! Who has been let through and has not come back: the limits of agents, and a reservation for each call that runs.
//!
//! An agent of a company has one [`Entry`]: its rate ([`super::gcra`]), how many of its calls run, and its breaker. A call that is
//! let through gets a [`Reservation`], which ends in one of three ways: its outcome is reported, its time runs out, or the
//! session that took it ends. All limits are checked first; then all of them are charged, or none.
//!
//! The tables are slices of a fixed size that the caller keeps, in shared memory for one, and every call is made by one caller
//! at a time. Moments and spans are nanoseconds of a clock that is never set back.

mod accounts;
mod budgets;
mod entries;
mod limits;
mod reservations;
mod tasks;
#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

pub use accounts::{Account, Accounts};
pub use budgets::{Caller, Entry as BudgetEntry, Line, Released};
pub use entries::Entry;
pub use limits::{Limits, Refusal};
pub use reservations::{Reservation, Scope};
pub use tasks::{Held, NOBODY};

/// What an agent of a company is known by: a digest that cannot be chosen to meet another one's.
pub type Key = [u8; 16];

/// The key of an agent in a database, of a company or of the platform.
#[must_use]
pub fn key(scope: &Scope, agent: &str) -> Key {
    let mut digest = Sha256::new();
    digest.update(scope.database.to_be_bytes());
    digest.update([u8::from(scope.company.is_some())]);
    digest.update(scope.company.unwrap_or_default());
    digest.update(agent);
    let digest: [u8; 32] = digest.finalize().into();
    let mut key = [0; 16];
    key.copy_from_slice(&digest[..16]);
    key
}

/// "Nothing" where the place of something is kept.
const NONE: u32 = u32::MAX;

/// Reservations of one agent that are looked at with each call: more run at one time under few policies.
const MOST_EXPIRED: usize = 64;

/// What the tables hold together.
#[derive(Debug, Clone, Copy)]
pub struct Counts {
    free_entry: u32,
    free_reservation: u32,
    agents: u32,
    held: u32,
}

impl Counts {
    /// Those of empty tables.
    pub const EMPTY: Self = Self {
        free_entry: NONE,
        free_reservation: NONE,
        agents: 0,
        held: 0,
    };

    /// Agents that have an entry.
    #[must_use]
    pub fn agents(&self) -> u32 {
        self.agents
    }

    /// Reservations that are held.
    #[must_use]
    pub fn held(&self) -> u32 {
        self.held
    }
}

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it was for.
    Success,
    /// It did not.
    Failure,
    /// Nobody knows: its time ran out, or its session ended. It says nothing about what was called.
    Unknown,
}

/// Who wants to be let through.
#[derive(Debug, Clone, Copy)]
pub struct Claim {
    /// The agent.
    pub key: Key,
    /// Whose reservation it will be.
    pub scope: Scope,
    /// The process that asks, to give back what it holds when it is gone.
    pub owner: i32,
    /// Random bytes for the reservation's id, which nobody else shall guess.
    pub secret: [u8; 12],
    /// For how long the reservation is held at most.
    pub time_to_live: u64,
}

/// The tables, for one change.
#[derive(Debug)]
pub struct Ledger<'a> {
    /// What they hold together.
    pub counts: &'a mut Counts,
    /// First entry of each bucket; as many as there are entries, or more.
    pub heads: &'a mut [u32],
    /// The agents.
    pub entries: &'a mut [Entry],
    /// The calls that run.
    pub reservations: &'a mut [Reservation],
    /// What agents use on a day.
    pub accounts: Accounts<'a>,
}

impl Ledger<'_> {
    /// Makes the tables empty, whatever they held.
    pub fn clear(&mut self) {
        self.heads.fill(NONE);
        let mut next = NONE;
        for (index, entry) in self.entries.iter_mut().enumerate().rev() {
            *entry = Entry::free(next);
            next = number(index);
        }
        self.counts.free_entry = next;
        next = NONE;
        for (index, reservation) in self.reservations.iter_mut().enumerate().rev() {
            *reservation = Reservation::free(next);
            next = number(index);
        }
        self.counts.free_reservation = next;
        self.counts.agents = 0;
        self.counts.held = 0;
        self.accounts.clear();
    }

    /// Whether a call would be let through now. Charges nothing.
    ///
    /// # Errors
    /// The first limit that is in its way.
    pub fn peek(&mut self, key: &Key, limits: &Limits, now: u64) -> Result<(), Refusal> {
        match self.find(key) {
            Some(index) => {
                self.expire(index, now);
                self.entries[index].check(limits, now).map(drop)
            }
            None => Entry::free(NONE).check(limits, now).map(drop),
        }
    }

    /// Lets a call through and answers the id of its reservation; or charges nothing.
    ///
    /// # Errors
    /// The first limit that is in its way, or the table that is full.
    pub fn reserve(&mut self, claim: &Claim, limits: &Limits, now: u64) -> Result<[u8; 16], Refusal> {
        let index = match self.find(&claim.key) {
            Some(index) => index,
            None => self.add(claim.key, now).ok_or(Refusal::AgentsFull)?,
        };
        self.expire(index, now);
        let tat = self.entries[index].check(limits, now)?;
        if self.counts.free_reservation == NONE {
            self.sweep(now, |_| true);
        }
        let place = self.take_reservation().ok_or(Refusal::ReservationsFull)?;
        let entry = &mut self.entries[index];
        entry.charge(tat);
        let is_trial = entry.start(now);
        Ok(self.hold(place, index, claim, is_trial, now))
    }

    /// Ends a reservation; false where there is none of this id in this scope, any more or ever.
    pub fn release(&mut self, id: &[u8; 16], scope: &Scope, outcome: Outcome, now: u64) -> bool {
        let Some(place) = self.place_of(id) else {
            return false;
        };
        let held = &self.reservations[place];
        if !scope.reaches(held.scope()) {
            return false;
        }
        let is_late = held.is_over(now);
        self.give_back(place, if is_late { Outcome::Unknown } else { outcome }, now);
        !is_late
    }

    /// Gives back what an owner that ends still holds.
    pub fn abandon(&mut self, id: &[u8; 16], owner: i32, now: u64) {
        if let Some(place) = self.place_of(id)
            && self.reservations[place].owner() == owner
        {
            self.give_back(place, Outcome::Unknown, now);
        }
    }

    /// Whether a reservation is still held.
    #[must_use]
    pub fn is_held(&self, id: &[u8; 16]) -> bool {
        self.place_of(id).is_some()
    }

    /// Gives back what has run out, and what is held by owners that are gone; answers how many.
    pub fn sweep(&mut self, now: u64, is_alive: impl Fn(i32) -> bool) -> u32 {
        let before = self.counts.held;
        for place in 0..self.reservations.len() {
            if self.counts.held == 0 {
                break;
            }
            let held = &self.reservations[place];
            let is_orphan = held.owner() != NOBODY && !is_alive(held.owner());
            if held.is_held() && (held.is_over(now) || is_orphan) {
                self.give_back(place, Outcome::Unknown, now);
            }
        }
        before - self.counts.held
    }

    /// How many calls of an agent run, and whether its breaker is closed.
    #[must_use]
    pub fn standing(&mut self, key: &Key, now: u64) -> Option<(u32, crate::breaker::State)> {
        let index = self.find(key)?;
        self.expire(index, now);
        let entry = &mut self.entries[index];
        Some((entry.running(), entry.state(now)))
    }

    /// Gives back the reservations of an entry whose time is over: among the oldest ones, since leases differ in length. What
    /// stands behind them is found by [`Ledger::sweep`].
    fn expire(&mut self, index: usize, now: u64) {
        let mut next = self.oldest(index);
        for _ in 0..MOST_EXPIRED {
            let Some(at) = next else { return };
            next = place(self.reservations[at].newer());
            if self.reservations[at].is_over(now) {
                self.give_back(at, Outcome::Unknown, now);
            }
        }
    }

    fn give_back(&mut self, place: usize, outcome: Outcome, now: u64) {
        // Whatever was not booked before counts as it was reserved: the call was let through, and nobody said that it cost less.
        self.settle(place, &[None; 2], now);
        let (index, is_trial) = self.let_go(place);
        self.entries[index].end(outcome, is_trial, now);
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(NONE)
}

fn place(number: u32) -> Option<usize> {
    (number != NONE).then_some(number as usize)
}
