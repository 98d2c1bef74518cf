//! Tasks of agents that run elsewhere: the scheduler claims them in the agent's name and sends them out through the outbox, to the
//! target that the policy names. Whoever receives one completes it by its id and lease token.

use std::cell::RefCell;

use tms_domain::policy::AgentPolicy;

use super::claim_one::{Judge, Lot};
use crate::pg::spi::Session;
use crate::pg::task_acts;
use crate::pg::{cache, server};
use crate::settings;
use crate::store::policies::known::{self, Known};
use crate::store::pull;
use crate::store::tasks::line::{self, Hands, Lane};
use crate::store::tasks::push;

/// Tasks of one line that are sent before the next line has its turn.
const SHARE: i64 = 100;
/// Who has such a task, for people.
const WORKER: &str = "tms push";

thread_local! {
    // Agents that have a policy with push_to, as of so many changes of policies.
    static AGENTS: RefCell<Option<(u64, Vec<String>)>> = const { RefCell::new(None) };
}

/// Whether an agent's tasks of a company are sent out.
pub(super) fn is_pushed(agent: &str, company: Option<[u8; 16]>) -> bool {
    target(agent, company).is_some()
}

fn target(agent: &str, company: Option<[u8; 16]>) -> Option<String> {
    match known::in_force(agent, &company) {
        Known::Policy(compiled) => compiled.policy.push_to.clone(),
        Known::Nothing | Known::Unreadable => None,
    }
}

/// A target that is not there, or paused, takes no tasks: they wait in their line, where nothing runs out.
fn takes(target: &str) -> bool {
    pull::target(target).is_some_and(|target| !target.is_paused)
}

/// Whether an agent's tasks wait for their target.
pub(super) fn is_held(policy: &AgentPolicy) -> bool {
    let is_held = |target: &String| cache::as_owner(|| !takes(target));
    policy.push_to.as_ref().is_some_and(is_held)
}

/// Sends what can be sent of every line; true when there may be more at once.
pub(crate) fn send(session: &Session) -> bool {
    let mut more = false;
    for agent in agents(session) {
        more |= send_of(session, &agent, None);
        let mut next = [0; 16];
        while let Some(company) = line::company_from(session, &agent, &next) {
            more |= send_of(session, &agent, Some(company));
            let Some(after) = u128::from_be_bytes(company).checked_add(1) else {
                break;
            };
            next = after.to_be_bytes();
        }
    }
    more
}

fn agents(session: &Session) -> Vec<String> {
    let heard = cache::policy_changes_heard();
    let known = AGENTS.with_borrow(|agents| agents.clone().filter(|(of, _)| *of == heard));
    if let Some((_, names)) = known {
        return names;
    }
    let names = push::agents(session);
    AGENTS.set(Some((heard, names.clone())));
    names
}

fn send_of(session: &Session, agent: &str, company: Option<[u8; 16]>) -> bool {
    let Some(target) = target(agent, company) else {
        return false;
    };
    if !takes(&target) {
        return false;
    }
    let lane = Lane { agent, company };
    let lease = settings::tasks::task_push_lease();
    let judge = Judge::of(&lane, lease);
    match judge.is_stopped() {
        Ok(None) => {}
        // A place that comes free, or the clock, brings the scheduler back.
        Ok(Some(wait)) => {
            let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
            task_acts::due(server::now().saturating_add(wait));
            return false;
        }
        Err(_) => return false,
    }
    let front = line::front(session, &lane, SHARE);
    let now = server::now();
    let lot = judge.lot(session, &front.tasks, now);
    hand_over(session, &lot, &target, now);
    if let Some(wait) = lot.stopped {
        let wait = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
        task_acts::due(now.saturating_add(wait));
        return false;
    }
    i64::try_from(front.tasks.len()).is_ok_and(|count| count >= SHARE)
}

fn hand_over(session: &Session, lot: &Lot, target: &str, now: i64) {
    let lease = i64::try_from(settings::tasks::task_push_lease().as_micros()).unwrap_or(i64::MAX);
    if !lot.handed.tids.is_empty() {
        let hands = Hands {
            worker: WORKER,
            now,
            until: now.saturating_add(lease),
        };
        push::hand_over(session, &lot.handed, &hands, target);
        task_acts::due(hands.until);
    }
    lot.settle_rest(session, now);
}
