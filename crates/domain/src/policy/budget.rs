//! What an agent may use up on one day: how much is left, and how large a part of it is set aside at a time.
//!
//! A day's budget outlives the server, and a call must not wait for a disk. So a part of it, an allotment, is first
//! committed to a table and counts as spent from then on; calls are then let through against that part in shared memory.
//! A crash forgets how much of the part was used: all of it stays spent. What may be lost that way is therefore kept small,
//! a [`SHARES`]th of the budget, and what is not used is given back.
//!
//! Everything is in whole millionths of a dollar and whole tokens; days are those of UTC.

use std::time::Duration;

use super::AgentPolicy;
use super::MicroUsd;
use super::limits::{CostGuardrails, CostLimit, Exceeded, Used};
use super::usage::Usage;

#[cfg(test)]
mod tests;

/// Money and tokens, in this order.
pub const RESOURCES: usize = 2;
/// An amount of each.
pub type Amounts = [u64; RESOURCES];
/// What a caller said of each, where it said something.
pub type Said = [Option<u64>; RESOURCES];

const LIMITS: [CostLimit; RESOURCES] = [CostLimit::CostPerDay, CostLimit::TokensPerDay];

/// A budget is set aside in so many parts: a write to disk for each, and one of them at most is lost in a crash.
pub const SHARES: u64 = 64;

/// No amount is more than a bigint holds.
const MOST: u64 = i64::MAX as u64;

const DAY_US: i64 = 86_400_000_000;

/// A day in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Day {
    /// Days since 1970-01-01.
    pub number: i64,
    /// How much of it is left.
    pub left: Duration,
}

impl Day {
    /// The day of a moment, in microseconds since 1970.
    #[must_use]
    pub fn of(unix_us: i64) -> Self {
        let passed = unix_us.rem_euclid(DAY_US);
        Self {
            number: unix_us.div_euclid(DAY_US),
            left: Duration::from_micros((DAY_US - passed).unsigned_abs()),
        }
    }
}

/// What a call asks of the budgets of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// The day it is asked on.
    pub day: Day,
    /// What the policy gives; None: no budget.
    pub budgets: Said,
    /// What the call says it will use.
    pub amounts: Amounts,
}

impl Ask {
    /// What a call asks of the policy's budgets at a moment; None when the policy has none for a day.
    ///
    /// # Errors
    /// A call that does not say what it uses of something there is a budget of.
    pub fn of(policy: &AgentPolicy, usage: &Usage, unix_us: i64) -> Result<Option<Self>, Exceeded> {
        let costs = &policy.cost_guardrails;
        let budgets = [
            costs.max_cost_usd_per_day.map(MicroUsd::micros),
            costs.max_tokens_per_day,
        ];
        if budgets == [None; RESOURCES] {
            return Ok(None);
        }
        let said = said(usage);
        for index in 0..RESOURCES {
            if let (Some(allowed), None) = (budgets[index], said[index]) {
                return Err(Exceeded {
                    limit: LIMITS[index],
                    allowed,
                    left: allowed,
                    asked: None,
                });
            }
        }
        Ok(Some(Self {
            day: Day::of(unix_us),
            budgets,
            amounts: said.map(|amount| amount.unwrap_or(0).min(MOST)),
        }))
    }

    /// Whether the day's budgets cover the call when so much is spent of them.
    ///
    /// # Errors
    /// The first budget that does not.
    pub fn check(&self, spent: &Amounts) -> Result<(), Exceeded> {
        // The one place that knows when a limit is exceeded; it takes no more than the limits of a day here.
        let [cost, tokens] = self.amounts;
        let guardrails = CostGuardrails {
            max_cost_usd_per_day: self.budgets[0].map(MicroUsd::from_micros),
            max_tokens_per_day: self.budgets[1],
            ..CostGuardrails::default()
        };
        let used = Used {
            day_cost: MicroUsd::from_micros(spent[0]),
            day_tokens: spent[1],
            ..Used::default()
        };
        let asked = super::limits::Asked {
            said_cost: Some(MicroUsd::from_micros(cost)),
            said_tokens: Some(tokens),
            ..super::limits::Asked::default()
        };
        guardrails.check(&used, &asked)
    }

    /// After what time a call that exceeds a budget may go through; None where no day's budget would cover it.
    #[must_use]
    pub fn retry_after(&self, exceeded: &Exceeded) -> Option<Duration> {
        let ever = exceeded.asked.is_some_and(|asked| asked <= exceeded.allowed);
        ever.then_some(self.day.left)
    }

    /// The first limit that there is, to name where it is not known which one is in the way.
    #[must_use]
    pub fn limit(&self) -> CostLimit {
        if self.budgets[0].is_some() {
            CostLimit::CostPerDay
        } else {
            CostLimit::TokensPerDay
        }
    }
}

/// What a caller says was used.
#[must_use]
pub fn said(usage: &Usage) -> Said {
    [usage.cost.map(MicroUsd::micros), usage.tokens].map(|amount| amount.map(|amount| amount.min(MOST)))
}

/// How much of a budget is set aside beyond what calls wait for.
#[must_use]
pub fn share(budget: u64) -> u64 {
    budget.div_ceil(SHARES)
}

/// What is known in shared memory of one resource of one agent on one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purse {
    /// What the table says is spent. A call is let through only within it.
    allotted: u64,
    /// The part of it that nobody can use or give back any more: it was set aside before a crash.
    forfeited: u64,
    /// What calls that ended have used.
    used: u64,
    /// What calls that run may use.
    held: u64,
    /// What the policy of the last call gave.
    budget: Option<u64>,
    /// What calls wait for.
    wanted: u64,
}

/// What the table has of one resource, or is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Booked {
    /// What counts as spent, whatever happens.
    pub allotted: u64,
    /// What is known to be used.
    pub used: u64,
}

fn sum(one: u64, other: u64) -> u64 {
    one.saturating_add(other).min(MOST)
}

impl Purse {
    /// What counts against the budget: used, held, or lost.
    #[must_use]
    pub fn spent(&self) -> u64 {
        sum(sum(self.forfeited, self.used), self.held)
    }

    /// What calls may take without anybody's asking.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.allotted.saturating_sub(self.spent())
    }

    /// By how much more was used than the table says.
    #[must_use]
    pub fn lacking(&self) -> u64 {
        self.spent().saturating_sub(self.allotted)
    }

    /// Whether there is a budget.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.budget.is_some()
    }

    pub(super) fn set_budget(&mut self, budget: Option<u64>) {
        self.budget = budget;
    }

    pub(super) fn want(&mut self, amount: u64) {
        self.wanted = sum(self.wanted, amount);
    }

    pub(super) fn hold(&mut self, amount: u64) {
        self.held = sum(self.held, amount);
    }

    /// What was held is held no more; `used` of it, or beyond it, is used.
    pub(super) fn end(&mut self, held: u64, used: u64) {
        self.held = self.held.saturating_sub(held);
        self.used = sum(self.used, used);
    }

    /// Takes back what is free beyond `keep` and answers how much that is: it is to be given back in the table too.
    pub(super) fn trim(&mut self, keep: u64) -> u64 {
        let surplus = self.free().saturating_sub(keep);
        self.allotted -= surplus;
        surplus
    }

    /// What [`Purse::trim`] took could not be given back.
    pub(super) fn untrim(&mut self, surplus: u64) {
        self.allotted = sum(self.allotted, surplus);
    }

    /// Nobody waits any more: what was wanted has been read.
    pub(super) fn heard(&mut self) {
        self.wanted = 0;
    }

    /// Follows the table as it was found for the first time.
    pub(super) fn load(&mut self, found: &Booked) {
        self.allotted = found.allotted;
        self.forfeited = found.allotted.saturating_sub(found.used);
        self.used = sum(self.used, found.used);
    }

    /// Follows the table where it says something else than what was last written there: more of it is lost, less of it must
    /// not be used.
    pub(super) fn follow(&mut self, allotted: u64) {
        if let Some(lost) = allotted.checked_sub(self.allotted) {
            self.forfeited = sum(self.forfeited, lost);
        }
        self.allotted = allotted;
    }

    /// What is to be added to what the table says: what has been used beyond it in any case, and for calls that wait as much
    /// as they lack and a share for those that come, within the budget.
    #[must_use]
    pub fn allotment(&self) -> u64 {
        let lacking = self.lacking();
        let covered = sum(self.allotted, lacking);
        let short = self.wanted.saturating_sub(self.free());
        let more = match self.budget {
            Some(budget) if short > 0 => sum(short, share(budget)).min(budget.saturating_sub(covered)),
            _ => 0,
        };
        sum(lacking, more)
    }

    /// So much more is in the table.
    pub(super) fn allot(&mut self, added: u64) {
        self.allotted = sum(self.allotted, added);
    }

    /// What the table is to say, before an allotment.
    #[must_use]
    pub fn booked(&self) -> Booked {
        Booked {
            allotted: self.allotted,
            used: self.used,
        }
    }

    /// What is kept of an unused budget: a share, or nothing when nobody is there to use it.
    pub(super) fn keeps(&self, is_idle: bool) -> u64 {
        if is_idle { 0 } else { self.budget.map_or(0, share) }
    }
}
