//! What running tasks hold of the limits of their agents, in the ledger of [`super::limits`].
//!
//! A task's reservation has the id of its lease. It is taken while the claim's transaction runs, and given back when that rolls
//! back; it ends when the transaction that ends the task commits ([`super::task_acts`]).

use std::time::Duration;

use tms_domain::policy::ledger::{Claim, Held, Key, Limits, NOBODY, Outcome, Refusal, Scope, key};

use super::limits::{self, Agent};
use super::{server, task_acts};

/// An agent of a company in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    scope: Scope,
    key: Key,
}

impl Place {
    /// That of an agent.
    pub(crate) fn of(agent: &Agent<'_>) -> Self {
        let scope = limits::scope(agent.company);
        Self {
            scope,
            key: key(&scope, agent.name),
        }
    }

    fn claim(&self, secret: [u8; 12], lease: Duration) -> Claim {
        Claim {
            key: self.key,
            scope: self.scope,
            owner: NOBODY,
            secret,
            time_to_live: nanos(lease),
        }
    }
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Lets a task through and answers the id of its reservation, or charges nothing; `None` when the library was not preloaded.
/// `running` tells which tasks of the agent run, by their leases and what is left of them: it is asked once for each agent after
/// the server was started.
pub(crate) fn reserve(
    place: &Place,
    limits: &Limits,
    secret: [u8; 12],
    lease: Duration,
    running: impl FnOnce() -> Vec<([u8; 16], Duration)>,
) -> Option<Result<[u8; 16], Refusal>> {
    let claim = place.claim(secret, lease);
    let now = server::steady_nanos();
    let mut reserved = limits::with(|ledger| ledger.reserve_task(&claim, limits, now))?;
    if reserved == Err(Held::UnknownTasks) {
        let running = running();
        reserved = limits::with(|ledger| {
            for (id, left) in &running {
                if !ledger.restore(&place.claim(secret, *left), id, now) {
                    return Err(Held::By(Refusal::ReservationsFull));
                }
            }
            if !ledger.tasks_are_known(&place.key, now) {
                return Err(Held::By(Refusal::AgentsFull));
            }
            ledger.reserve_task(&claim, limits, now)
        })?;
    }
    Some(match reserved {
        Ok(id) => {
            task_acts::taken(*place, id);
            Ok(id)
        }
        Err(Held::By(refusal)) => Err(refusal),
        Err(Held::UnknownTasks) => Err(Refusal::AgentsFull),
    })
}

/// Gives a reservation back as if nothing had been started.
pub(super) fn give_back(place: &Place, id: &[u8; 16]) {
    end(place, id, Outcome::Unknown);
}

/// Ends a reservation, if it is there.
pub(super) fn end(place: &Place, id: &[u8; 16], outcome: Outcome) {
    let now = server::steady_nanos();
    limits::with(|ledger| ledger.end_task(&place.key, id, outcome, now));
}

/// Makes a reservation last so much longer from now on, if it is there.
pub(super) fn prolong(place: &Place, id: &[u8; 16], lease: Duration) {
    let now = server::steady_nanos();
    limits::with(|ledger| ledger.prolong(&place.key, id, nanos(lease), now));
}
