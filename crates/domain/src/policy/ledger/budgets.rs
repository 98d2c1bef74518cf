//! Calls that are held against the budgets of a day, and what the scheduler reads and writes of them.
//!
//! A call is let through where the allotment in shared memory covers it. Where only the day's budget does, its caller waits
//! for the scheduler, which writes a larger allotment to the table, and puts it here once that is on disk. Whatever is
//! different here from what the table says, the table never says less than calls were let through with.

use super::super::budget::{Amounts, Ask, Booked, Purse, RESOURCES, Said};
use super::accounts::{Account, State};
use super::{Claim, Key, Ledger, Limits, NONE, Outcome, Refusal, Scope, number, place};

#[cfg(test)]
mod tests;

const SECOND: u64 = 1_000_000_000;
/// An agent that has not called for so long is not thought to call in a moment: what it has not used is given back.
const IDLE: u64 = 60 * SECOND;
/// An allotment is left alone for so long: who waited for it comes first.
const FRESH: u64 = 5 * SECOND;

/// Where a call is booked when it ends, and with how much.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    /// The place of its account; [`NONE`]: no budget is held against it.
    account: u32,
    amounts: Amounts,
}

impl Hold {
    pub(super) const NONE: Self = Self {
        account: NONE,
        amounts: [0; RESOURCES],
    };
}

/// Who asks, beside its claim.
#[derive(Debug, Clone, Copy)]
pub struct Caller<'a> {
    /// What the agent is called.
    pub agent: &'a str,
    /// What is asked.
    pub ask: &'a Ask,
}

/// An account that is to be written down: as it is read by the scheduler, and found again afterwards.
#[derive(Debug, Clone)]
pub struct Line {
    place: usize,
    account: Account,
    /// What was taken back of the allotment, to be given back in the table.
    surplus: Amounts,
    /// Nobody needs it in shared memory any more.
    leaves: bool,
}

/// What becomes of a line: what is written, and what was found before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    found: [Booked; RESOURCES],
    added: Amounts,
    /// What the row is to say.
    pub row: [Booked; RESOURCES],
}

/// How a call ended, in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Released {
    /// Whether it ended now.
    pub ended: bool,
    /// The account that has used more than is on disk, by its agent and day.
    pub lacking: Option<(Key, i64)>,
}

impl Line {
    /// The agent.
    #[must_use]
    pub fn agent(&self) -> String {
        self.account.name()
    }

    /// Whose it is.
    #[must_use]
    pub fn company(&self) -> Option<[u8; 16]> {
        self.account.scope.company
    }

    /// The day, in days since 1970.
    #[must_use]
    pub fn day(&self) -> i64 {
        self.account.day
    }

    /// What to write where the table has `found`; a row that is not there has nothing.
    #[must_use]
    pub fn entry(&self, found: [Booked; RESOURCES]) -> Entry {
        let mut purses = self.account.purses;
        let (mut row, mut added) = ([Booked::default(); RESOURCES], [0; RESOURCES]);
        for index in 0..RESOURCES {
            let purse = &mut purses[index];
            let left = less(found[index], self.surplus[index]);
            meet(purse, self.account.state, &left);
            added[index] = purse.allotment();
            purse.allot(added[index]);
            row[index] = purse.booked();
        }
        Entry { found, added, row }
    }
}

fn less(found: Booked, surplus: u64) -> Booked {
    Booked {
        allotted: found.allotted.saturating_sub(surplus),
        ..found
    }
}

fn meet(purse: &mut Purse, state: State, found: &Booked) {
    if state == State::New {
        purse.load(found);
    } else {
        purse.follow(found.allotted);
    }
}

impl Ledger<'_> {
    /// Whether the limits and what is known here of the day's budgets would let a call through. Charges nothing. `spent` is
    /// what the table says, for a day of which nothing is known here.
    ///
    /// # Errors
    /// The first limit that is in its way.
    pub fn peek_budgeted(
        &mut self,
        key: &Key,
        limits: &Limits,
        caller: &Caller<'_>,
        spent: &Amounts,
        now: u64,
    ) -> Result<(), Refusal> {
        self.peek(key, limits, now)?;
        let ask = caller.ask;
        let known = self.accounts.find(key, ask.day.number);
        let known = known.map(|index| &self.accounts.list[index]);
        let spent = match known {
            Some(account) if account.state != State::New => account.spent(),
            _ => *spent,
        };
        exceeded(ask, &spent)
    }

    /// Whether the table must be asked for a peek.
    #[must_use]
    pub fn is_unknown(&self, key: &Key, day: i64) -> bool {
        let known = self.accounts.find(key, day);
        known.is_none_or(|index| self.accounts.list[index].state == State::New)
    }

    /// Lets a call through as [`Ledger::reserve`] does and holds what it asks for; or charges nothing.
    ///
    /// # Errors
    /// The first limit that is in its way; [`Refusal::Unallotted`] where it is worth asking again once the scheduler has been
    /// there, who finds out here what is wanted.
    pub fn reserve_budgeted(
        &mut self,
        claim: &Claim,
        limits: &Limits,
        caller: &Caller<'_>,
        now: u64,
    ) -> Result<[u8; 16], Refusal> {
        self.peek(&claim.key, limits, now)?;
        let index = self.admit(claim, caller, now)?;
        let id = self.reserve(claim, limits, now)?;
        let Some(held) = self.place_of(&id) else {
            return Ok(id);
        };
        let account = &mut self.accounts.list[index];
        for (purse, amount) in account.purses.iter_mut().zip(caller.ask.amounts) {
            purse.hold(amount);
        }
        account.calls += 1;
        account.touch(now);
        self.reservations[held].hold = Hold {
            account: number(index),
            amounts: caller.ask.amounts,
        };
        Ok(id)
    }

    /// The account that covers a call.
    fn admit(&mut self, claim: &Claim, caller: &Caller<'_>, now: u64) -> Result<usize, Refusal> {
        let ask = caller.ask;
        let index = match self.accounts.find(&claim.key, ask.day.number) {
            Some(index) => index,
            None => self
                .accounts
                .add(claim.key, ask.day.number, claim.scope, caller.agent)?,
        };
        let account = &mut self.accounts.list[index];
        for (purse, budget) in account.purses.iter_mut().zip(ask.budgets) {
            purse.set_budget(budget);
        }
        let mut is_covered = account.state == State::Known;
        if account.state != State::New {
            exceeded(ask, &account.spent())?;
            for (purse, amount) in account.purses.iter().zip(ask.amounts) {
                is_covered &= !purse.is_limited() || amount <= purse.free();
            }
        }
        if is_covered {
            return Ok(index);
        }
        for (purse, amount) in account.purses.iter_mut().zip(ask.amounts) {
            purse.want(amount);
        }
        account.is_asked = true;
        account.touched_at = now;
        Err(Refusal::Unallotted { limit: ask.limit() })
    }

    /// Ends a reservation as [`Ledger::release`] does, and books what was used in full; of what nothing is said, what was
    /// reserved. What comes late is booked as well: the money is gone.
    pub fn release_budgeted(
        &mut self,
        id: &[u8; 16],
        scope: &Scope,
        outcome: Outcome,
        said: &Said,
        now: u64,
    ) -> Released {
        let mut booked = None;
        if let Some(held) = self.place_of(id)
            && scope.reaches(self.reservations[held].scope())
        {
            booked = self.settle(held, said, now);
        }
        let ended = self.release(id, scope, outcome, now);
        let lacking = booked.and_then(|index| {
            let account = &mut self.accounts.list[index];
            account.is_asked |= account.is_lacking();
            account.is_lacking().then_some((account.key, account.day))
        });
        Released { ended, lacking }
    }

    /// Books what a task uses of a day's budgets, held against no other limit: at once, since it is said when it is known. Of what is
    /// asked nothing is let through that the budgets do not cover; what is `said` to have been used already is booked in full.
    ///
    /// # Errors
    /// As [`Ledger::reserve_budgeted`] of the budgets.
    pub fn book(
        &mut self,
        claim: &Claim,
        caller: &Caller<'_>,
        said: &Said,
        now: u64,
    ) -> Result<Option<(Key, i64)>, Refusal> {
        let index = match (self.admit(claim, caller, now), caller.ask.amounts) {
            (Ok(index), _) => index,
            // More than the budget is used up already: what is used beside it is no less true.
            (
                Err(Refusal::Budget {
                    exceeded,
                    retry_after,
                }),
                [0, 0],
            ) => self
                .accounts
                .find(&claim.key, caller.ask.day.number)
                .ok_or(Refusal::Budget {
                    exceeded,
                    retry_after,
                })?,
            (Err(refusal), _) => return Err(refusal),
        };
        let account = &mut self.accounts.list[index];
        for (which, purse) in account.purses.iter_mut().enumerate() {
            let asked = caller.ask.amounts[which];
            purse.hold(asked);
            purse.end(asked, said[which].unwrap_or(asked));
        }
        account.touch(now);
        account.is_asked |= account.is_lacking();
        Ok(account.is_lacking().then_some((account.key, account.day)))
    }

    /// Whether everything an account has used is on disk.
    #[must_use]
    pub fn is_covered(&self, key: &Key, day: i64) -> bool {
        let known = self.accounts.find(key, day);
        known.is_none_or(|index| !self.accounts.list[index].is_lacking())
    }

    /// Books a call that ends, and answers where. A call that is booked already, or nowhere, is left alone.
    pub(super) fn settle(&mut self, held: usize, said: &Said, now: u64) -> Option<usize> {
        let hold = std::mem::replace(&mut self.reservations[held].hold, Hold::NONE);
        let index = place(hold.account)?;
        let account = &mut self.accounts.list[index];
        for (which, purse) in account.purses.iter_mut().enumerate() {
            purse.end(hold.amounts[which], said[which].unwrap_or(hold.amounts[which]));
        }
        account.calls = account.calls.saturating_sub(1);
        account.touch(now);
        Some(index)
    }

    /// Gives back what an owner that was killed had reserved: its calls died with it. Its reservations stay for
    /// [`Ledger::abandon`].
    pub fn forgive(&mut self, id: &[u8; 16], owner: i32, now: u64) {
        if let Some(held) = self.place_of(id)
            && self.reservations[held].owner() == owner
        {
            self.settle(held, &[Some(0); RESOURCES], now);
        }
    }

    /// The accounts of a database that somebody waits for.
    pub fn asked(&mut self, database: u32) -> Vec<Line> {
        let mut lines = Vec::new();
        for (place, account) in self.accounts.list.iter_mut().enumerate() {
            if account.is_asked && account.state != State::Free && account.scope.database == database {
                lines.push(Line {
                    place,
                    account: *account,
                    surplus: [0; RESOURCES],
                    leaves: false,
                });
                account.is_asked = false;
                account.purses.iter_mut().for_each(Purse::heard);
            }
        }
        lines
    }

    /// The accounts of a database whose figures are to be written down, with what they give back of their allotments.
    /// `today` is in days since 1970; `is_end` when the scheduler leaves, so that everything that can be is given back.
    pub fn changed(&mut self, database: u32, today: i64, is_end: bool, now: u64) -> Vec<Line> {
        let mut lines = Vec::new();
        for place in 0..self.accounts.list.len() {
            let account = &mut self.accounts.list[place];
            if account.state == State::Free || account.scope.database != database {
                continue;
            }
            let is_idle = is_end || account.day < today || now.saturating_sub(account.touched_at) >= IDLE;
            if account.state == State::New {
                if is_idle && account.calls == 0 {
                    self.accounts.remove(place);
                }
                continue;
            }
            let mut surplus = [0; RESOURCES];
            if is_end || now.saturating_sub(account.allotted_at) >= FRESH {
                for (which, purse) in account.purses.iter_mut().enumerate() {
                    surplus[which] = purse.trim(purse.keeps(is_idle));
                }
            }
            let leaves = is_idle && account.calls == 0;
            if leaves && !account.is_changed && !account.is_asked && surplus == [0; RESOURCES] {
                self.accounts.remove(place);
            } else if account.is_changed || surplus != [0; RESOURCES] {
                let mut line = Line {
                    place,
                    account: *account,
                    surplus,
                    leaves,
                };
                // Who waits is served by Ledger::asked.
                line.account.purses.iter_mut().for_each(Purse::heard);
                lines.push(line);
            }
        }
        lines
    }

    /// A line is on disk.
    pub fn written(&mut self, line: &Line, entry: &Entry, now: u64) {
        let Some(account) = self.same(line) else { return };
        for index in 0..RESOURCES {
            let purse = &mut account.purses[index];
            meet(
                purse,
                account.state,
                &less(entry.found[index], line.surplus[index]),
            );
            purse.allot(entry.added[index]);
            if entry.added[index] > 0 {
                account.allotted_at = now;
            }
        }
        account.state = State::Known;
        if account.changes != line.account.changes {
            return;
        }
        account.is_changed = false;
        if line.leaves && !account.is_asked {
            self.accounts.remove(line.place);
        }
    }

    /// A line could not be written: what it would have given back may be used.
    pub fn unwritten(&mut self, line: &Line) {
        let Some(account) = self.same(line) else { return };
        for (purse, surplus) in account.purses.iter_mut().zip(line.surplus) {
            purse.untrim(surplus);
        }
        account.is_changed = true;
    }

    /// The account of a line, if it is still there.
    fn same(&mut self, line: &Line) -> Option<&mut Account> {
        let account = self.accounts.list.get_mut(line.place)?;
        let was = &line.account;
        (account.key == was.key && account.day == was.day && account.state == was.state).then_some(account)
    }

    /// Another scheduler takes over a database: what the last one wrote is not known.
    pub fn doubt(&mut self, database: u32) {
        for account in self.accounts.list.iter_mut() {
            if account.state == State::Known && account.scope.database == database {
                account.state = State::Stale;
            }
        }
    }

    /// The database is gone, or its tables: what calls still run is booked nowhere.
    pub fn forget(&mut self, database: u32) {
        for index in 0..self.accounts.list.len() {
            let account = &self.accounts.list[index];
            if account.state != State::Free && account.scope.database == database {
                for reservation in self.reservations.iter_mut() {
                    if place(reservation.hold.account) == Some(index) {
                        reservation.hold = Hold::NONE;
                    }
                }
                self.accounts.remove(index);
            }
        }
    }
}

fn exceeded(ask: &Ask, spent: &Amounts) -> Result<(), Refusal> {
    ask.check(spent).map_err(|exceeded| Refusal::Budget {
        exceeded,
        retry_after: ask.retry_after(&exceeded),
    })
}
