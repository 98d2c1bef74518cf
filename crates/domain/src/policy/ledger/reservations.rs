//! The calls that run: a table of a fixed size, and a list of them for each agent, in the order they were taken.

use super::budgets::Hold;
use super::{Claim, Ledger, NONE, number, place};

/// Where a reservation belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// OID of the database.
    pub database: u32,
    /// The company; None: the platform, which reaches those of every company of its database.
    pub company: Option<[u8; 16]>,
}

impl Scope {
    /// Whether one who acts in this scope may end a reservation of that one.
    #[must_use]
    pub fn reaches(&self, that: &Self) -> bool {
        self.database == that.database && (self.company.is_none() || self.company == that.company)
    }
}

/// A call that was let through and has not ended.
#[derive(Debug, Clone, Copy)]
pub struct Reservation {
    id: [u8; 16],
    scope: Scope,
    owner: i32,
    /// The place of its agent; [`NONE`] where nothing is held.
    entry: u32,
    older: u32,
    /// The next one of its agent, or of the free ones.
    newer: u32,
    expires_at: u64,
    is_trial: bool,
    /// What it holds of a day's budgets.
    pub(super) hold: Hold,
}

impl Reservation {
    /// A place where nothing is held.
    #[must_use]
    pub fn free(next: u32) -> Self {
        Self {
            id: [0; 16],
            scope: Scope {
                database: 0,
                company: None,
            },
            owner: 0,
            entry: NONE,
            older: NONE,
            newer: next,
            expires_at: 0,
            is_trial: false,
            hold: Hold::NONE,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.entry != NONE
    }

    pub(super) fn is_over(&self, now: u64) -> bool {
        now >= self.expires_at
    }

    pub(super) fn owner(&self) -> i32 {
        self.owner
    }

    #[cfg(test)]
    pub(super) fn older(&self) -> u32 {
        self.older
    }

    pub(super) fn newer(&self) -> u32 {
        self.newer
    }

    pub(super) fn scope(&self) -> &Scope {
        &self.scope
    }

    pub(super) fn is(&self, id: &[u8; 16]) -> bool {
        self.is_held() && self.id == *id
    }

    /// Gives it the id it had before the server was started anew.
    pub(super) fn rename(&mut self, id: [u8; 16]) {
        self.id = id;
    }

    pub(super) fn ends_at(&mut self, end: u64) {
        self.expires_at = end;
    }
}

impl Ledger<'_> {
    /// The place of a reservation that is held. The id ends with the number of its place, so nothing is searched.
    pub(super) fn place_of(&self, id: &[u8; 16]) -> Option<usize> {
        let [.., a, b, c, d] = *id;
        let place = u32::from_be_bytes([a, b, c, d]) as usize;
        let found = self.reservations.get(place)?;
        (found.is_held() && found.id == *id).then_some(place)
    }

    pub(super) fn take_reservation(&mut self) -> Option<usize> {
        let free = place(self.counts.free_reservation)?;
        self.counts.free_reservation = self.reservations[free].newer;
        Some(free)
    }

    /// Puts a call into its place, as the newest of its agent, and answers its id: a UUID of version 8.
    pub(super) fn hold(
        &mut self,
        place: usize,
        entry: usize,
        claim: &Claim,
        is_trial: bool,
        now: u64,
    ) -> [u8; 16] {
        let mut id = [0; 16];
        id[..12].copy_from_slice(&claim.secret);
        id[12..].copy_from_slice(&number(place).to_be_bytes());
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        let newest = self.entries[entry].newest;
        self.reservations[place] = Reservation {
            id,
            scope: claim.scope,
            owner: claim.owner,
            entry: number(entry),
            older: newest,
            newer: NONE,
            expires_at: now.saturating_add(claim.time_to_live),
            is_trial,
            hold: Hold::NONE,
        };
        match super::place(newest) {
            Some(before) => self.reservations[before].newer = number(place),
            None => self.entries[entry].oldest = number(place),
        }
        self.entries[entry].newest = number(place);
        self.counts.held += 1;
        id
    }

    pub(super) fn oldest(&self, entry: usize) -> Option<usize> {
        place(self.entries[entry].oldest)
    }

    /// Takes a call out of its place; answers its agent, and whether a breaker was trying it.
    pub(super) fn let_go(&mut self, freed: usize) -> (usize, bool) {
        let Reservation {
            entry,
            older,
            newer,
            is_trial,
            ..
        } = self.reservations[freed];
        let entry = entry as usize;
        match place(older) {
            Some(before) => self.reservations[before].newer = newer,
            None => self.entries[entry].oldest = newer,
        }
        match place(newer) {
            Some(after) => self.reservations[after].older = older,
            None => self.entries[entry].newest = older,
        }
        self.reservations[freed] = Reservation::free(self.counts.free_reservation);
        self.counts.free_reservation = number(freed);
        self.counts.held -= 1;
        (entry, is_trial)
    }
}
