//! The accounts of the ledger: what each agent has used on a day, in a hash table of a fixed size with chains.

use super::super::budget::{Amounts, Purse, RESOURCES};
use super::{Key, NONE, Refusal, Scope, number, place};

/// As long as the name of an agent may be.
const NAME: usize = 63;

/// What is known of the table's row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// The place is free.
    Free,
    /// Nothing yet: nobody is let through.
    New,
    /// What was last written there.
    Known,
    /// Somebody else may have written since.
    Stale,
}

/// What an agent of a company uses on one day.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    pub(super) key: Key,
    pub(super) day: i64,
    pub(super) state: State,
    /// The next one of its bucket.
    next: u32,
    pub(super) scope: Scope,
    name: [u8; NAME],
    name_length: u8,
    /// Calls that run and will be booked here.
    pub(super) calls: u32,
    pub(super) purses: [Purse; RESOURCES],
    /// Somebody waits for the scheduler.
    pub(super) is_asked: bool,
    /// The table does not have the latest figures.
    pub(super) is_changed: bool,
    /// Counts changes, so that what was read can be known for the latest.
    pub(super) changes: u32,
    pub(super) touched_at: u64,
    pub(super) allotted_at: u64,
}

impl Account {
    /// A place that belongs to nobody.
    #[must_use]
    pub fn free() -> Self {
        Self {
            key: [0; 16],
            day: 0,
            state: State::Free,
            next: NONE,
            scope: Scope {
                database: 0,
                company: None,
            },
            name: [0; NAME],
            name_length: 0,
            calls: 0,
            purses: [Purse::default(); RESOURCES],
            is_asked: false,
            is_changed: false,
            changes: 0,
            touched_at: 0,
            allotted_at: 0,
        }
    }

    /// What the agent is called.
    #[must_use]
    pub fn name(&self) -> String {
        let bytes = self.name.get(..usize::from(self.name_length)).unwrap_or_default();
        String::from_utf8_lossy(bytes).into_owned()
    }

    pub(super) fn spent(&self) -> Amounts {
        self.purses.map(|purse| purse.spent())
    }

    /// Whether more was used of a limited resource than is on disk.
    pub(super) fn is_lacking(&self) -> bool {
        let mut limited = self.purses.iter().filter(|purse| purse.is_limited());
        limited.any(|purse| purse.lacking() > 0)
    }

    pub(super) fn touch(&mut self, now: u64) {
        self.is_changed = true;
        self.changes = self.changes.wrapping_add(1);
        self.touched_at = now;
    }
}

/// The accounts, for one change.
#[derive(Debug)]
pub struct Accounts<'a> {
    /// First account of each bucket; as many as there are accounts, or more.
    pub heads: &'a mut [u32],
    /// The accounts.
    pub list: &'a mut [Account],
}

impl Accounts<'_> {
    pub(super) fn clear(&mut self) {
        self.heads.fill(NONE);
        self.list.fill(Account::free());
    }

    pub(super) fn find(&self, key: &Key, day: i64) -> Option<usize> {
        let mut next = place(*self.heads.get(self.bucket(key))?);
        while let Some(index) = next {
            let account = &self.list[index];
            if account.key == *key && account.day == day {
                return Some(index);
            }
            next = place(account.next);
        }
        None
    }

    /// A new account; where all places are taken there is none, for an account must not be forgotten before it is written.
    pub(super) fn add(&mut self, key: Key, day: i64, scope: Scope, name: &str) -> Result<usize, Refusal> {
        let free = |account: &Account| account.state == State::Free;
        let index = self.list.iter().position(free).ok_or(Refusal::AgentsFull)?;
        let bucket = self.bucket(&key);
        let mut account = Account {
            key,
            day,
            state: State::New,
            next: self.heads[bucket],
            scope,
            ..Account::free()
        };
        let length = name.len().min(NAME);
        account.name[..length].copy_from_slice(&name.as_bytes()[..length]);
        account.name_length = u8::try_from(length).unwrap_or(0);
        self.list[index] = account;
        self.heads[bucket] = number(index);
        Ok(index)
    }

    pub(super) fn remove(&mut self, index: usize) {
        let bucket = self.bucket(&self.list[index].key);
        let (target, after) = (number(index), self.list[index].next);
        if self.heads[bucket] == target {
            self.heads[bucket] = after;
        } else {
            let mut next = place(self.heads[bucket]);
            while let Some(before) = next {
                if self.list[before].next == target {
                    self.list[before].next = after;
                    break;
                }
                next = place(self.list[before].next);
            }
        }
        self.list[index] = Account::free();
    }

    fn bucket(&self, key: &Key) -> usize {
        let (first, _) = key.split_at(8);
        let hash = first.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
        (hash % self.heads.len().max(1) as u64) as usize
    }
}
