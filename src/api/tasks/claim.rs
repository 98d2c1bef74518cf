//! `tms_task_claim`: an agent takes tasks under the policy that is committed now, or waits for one.

use std::cell::RefCell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use tms_domain::policy;

use super::claim_one::{Judge, Lot};
use super::{no_policy, scope};
use crate::api::policy::judge;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::set::AnswerSet;
use crate::pg::spi::{self, Session};
use crate::pg::task_waiters::{For, Line, Waiting};
use crate::pg::{server, subtransaction, task_acts};
use crate::settings;
use crate::store::policies::known::{self, Known};
use crate::store::pull::held::Scope;
use crate::store::tasks::line::{self, Hands, Lane};
use crate::store::tasks::upkeep;

const NAME: &str = "tms_task_claim";
/// Most tasks of one claim.
const MOST_TASKS: i32 = 1_000;
/// Longest lease: a task whose agent died is held back no longer than this.
pub(super) const LONGEST_LEASE_US: i64 = 24 * 3_600 * 1_000_000;
/// Longest wait: it holds a snapshot, which holds back vacuum.
const LONGEST_WAIT_US: i64 = 30 * 1_000_000;
/// How long before whoever is at the front looks again, where nobody knows when it is worth it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A share of the batch that one company gets before the next has its turn.
const TURNS: usize = 8;

thread_local! {
    // The company whose turn comes next, for each agent that a role of the platform claimed for.
    static NEXT_COMPANY: RefCell<HashMap<String, u128>> = RefCell::default();
}

/// What an agent asks for.
struct Order {
    agent: String,
    worker: String,
    most: usize,
    lease: Duration,
    wait: Duration,
    scope: Scope,
}

/// What came of a look.
#[derive(Default)]
struct Look {
    /// Tasks that were handed out.
    handed: usize,
    /// Rows were changed that others must see: the call does not wait with them.
    has_changed: bool,
    /// When it is worth looking again.
    again_after: Option<Duration>,
}

/// `tms_task_claim(agent_name, worker, max_tasks, lease, wait)`.
pub(crate) fn claim(arguments: &Arguments, answer: &AnswerSet) -> Result<()> {
    server::refuse_during_recovery(c"tms_task_claim()");
    let order = read(arguments)?;
    let look = order.look(answer)?;
    let is_over = look.handed > 0 || look.has_changed;
    if is_over || order.wait.is_zero() || !server::is_read_committed() {
        return Ok(());
    }
    order.wait(answer)
}

fn read(arguments: &Arguments) -> Result<Order> {
    let missing = |argument| move || errors::null_argument(NAME, argument);
    let agent = arguments.text(0).ok_or_else(missing("agent_name"))?;
    let worker = arguments.text(1).ok_or_else(missing("worker"))?;
    let most = arguments.int4(2).ok_or_else(missing("max_tasks"))?;
    let lease = arguments.interval_us(3).ok_or_else(missing("lease"))?;
    let wait = arguments.interval_us(4).ok_or_else(missing("wait"))?;
    policy::check_agent_name(&agent).map_err(errors::problem)?;
    if worker.is_empty() || worker.chars().count() > 255 {
        let length = worker.chars().count();
        return Err(errors::out_of_range(
            "worker",
            &format!("of {length} characters"),
            "a name of 1 to 255 characters",
        ));
    }
    if !(1..=MOST_TASKS).contains(&most) {
        return Err(errors::out_of_range(
            "max_tasks",
            &most.to_string(),
            "a number from 1 to 1000",
        ));
    }
    if !(0..=LONGEST_WAIT_US).contains(&wait) {
        return Err(errors::out_of_range(
            "wait",
            "of this length",
            "an interval from 0 to 30 seconds",
        ));
    }
    let order = Order {
        lease: super::lease::read_lease(lease)?,
        wait: Duration::from_micros(u64::try_from(wait).unwrap_or(0)),
        most: usize::try_from(most).unwrap_or(0),
        scope: scope()?,
        agent,
        worker,
    };
    order.check_policy()?;
    Ok(order)
}

impl Order {
    /// An agent whose name is misspelt must not find out by finding nothing, for ever.
    fn check_policy(&self) -> Result<()> {
        let company = match self.scope {
            Scope::Company(company) => Some(company),
            // Any company may have loaded one.
            Scope::Everything => return Ok(()),
        };
        match known::in_force(&self.agent, &company) {
            Known::Policy(_) => Ok(()),
            Known::Nothing | Known::Unreadable => {
                let nearest = judge::nearest_agent(&self.agent, &company);
                Err(no_policy(&self.agent, nearest.as_deref()))
            }
        }
    }

    /// Waits for tasks, and takes what comes.
    fn wait(&self, answer: &AnswerSet) -> Result<()> {
        let end = Instant::now() + self.wait;
        let wanted = match self.scope {
            Scope::Company(company) => For::One(Line::of(&self.agent, Some(company))),
            Scope::Everything => For::All(Line::of(&self.agent, None)),
        };
        let Some(waiting) = Waiting::begin(wanted) else {
            return Ok(());
        };
        loop {
            waiting.look();
            // What it locked and did not take is for others while it waits.
            let look = subtransaction::attempt(|| {
                let look = self.look(answer);
                let is_kept = look
                    .as_ref()
                    .is_ok_and(|look| look.handed > 0 || look.has_changed);
                (is_kept, look)
            })?;
            let left = end.saturating_duration_since(Instant::now());
            if look.handed > 0 || look.has_changed || left.is_zero() {
                return Ok(());
            }
            waiting.sleep(left, look.again_after);
        }
    }

    /// Takes what there is; where that is nothing, sees to what the clock has changed, and looks once more.
    fn look(&self, answer: &AnswerSet) -> Result<Look> {
        spi::connect(|session| {
            let mut look = self.take(session, answer)?;
            if look.handed > 0 || look.has_changed {
                return Ok(look);
            }
            let now = server::now();
            let moved = see_to(session, now);
            if moved {
                let again = self.take(session, answer)?;
                return Ok(Look {
                    has_changed: true,
                    ..again
                });
            }
            let next = upkeep::next_change(session).map(|at| until(at, now));
            look.again_after = [look.again_after, next].into_iter().flatten().min();
            Ok(look)
        })
    }

    fn take(&self, session: &Session, answer: &AnswerSet) -> Result<Look> {
        let mut look = Look::default();
        match self.scope {
            Scope::Company(company) => self.serve(session, Some(company), self.most, answer, &mut look)?,
            Scope::Everything => self.take_turns(session, answer, &mut look)?,
        }
        Ok(look)
    }

    /// Every company with tasks in this agent's line, a share of the batch at a time, and the platform.
    fn take_turns(&self, session: &Session, answer: &AnswerSet, look: &mut Look) -> Result<()> {
        let share = (self.most / TURNS).max(1);
        let mut next = NEXT_COMPANY.with_borrow(|next| next.get(&self.agent).copied().unwrap_or(0));
        let (begin, mut has_wrapped, mut before) = (next, false, 0);
        while look.handed < self.most {
            let from = next.to_be_bytes();
            let found = line::company_from(session, &self.agent, &from).map(u128::from_be_bytes);
            match found.filter(|company| !has_wrapped || *company < begin) {
                Some(company) => {
                    let wanted = share.min(self.most - look.handed);
                    self.serve(session, Some(company.to_be_bytes()), wanted, answer, look)?;
                    next = company.wrapping_add(1);
                }
                None if !has_wrapped => {
                    let wanted = share.min(self.most - look.handed);
                    self.serve(session, None, wanted, answer, look)?;
                    (next, has_wrapped) = (0, true);
                }
                // Once round: as long as that brought something there may be more.
                None if look.handed > before => (next, has_wrapped, before) = (begin, false, look.handed),
                None => break,
            }
        }
        NEXT_COMPANY.with_borrow_mut(|known| {
            if known.len() > 1_000 {
                known.clear();
            }
            known.insert(self.agent.clone(), next);
        });
        Ok(())
    }

    /// Takes up to `wanted` tasks of one lane.
    fn serve(
        &self,
        session: &Session,
        company: Option<[u8; 16]>,
        wanted: usize,
        answer: &AnswerSet,
        look: &mut Look,
    ) -> Result<()> {
        let lane = Lane {
            agent: &self.agent,
            company,
        };
        let judge = Judge::of(&lane, self.lease);
        if let Some(wait) = judge.is_stopped()? {
            look.again_after = Some(look.again_after.map_or(wait, |known| known.min(wait)));
            return Ok(());
        }
        let mut left = wanted;
        while left > 0 {
            let front = line::front(session, &lane, i64::try_from(left).unwrap_or(i64::MAX));
            if front.tasks.is_empty() {
                return Ok(());
            }
            let now = server::now();
            let lot = judge.lot(session, &front.tasks, now);
            self.settle(session, &lot, now, answer);
            left -= lot.handed.tids.len();
            look.handed += lot.handed.tids.len();
            look.has_changed |= lot.has_changed();
            if let Some(wait) = lot.stopped {
                look.again_after = Some(look.again_after.map_or(wait, |known| known.min(wait)));
                return Ok(());
            }
        }
        Ok(())
    }

    fn settle(&self, session: &Session, lot: &Lot, now: i64, answer: &AnswerSet) {
        let lease = i64::try_from(self.lease.as_micros()).unwrap_or(i64::MAX);
        if !lot.handed.tids.is_empty() {
            let hands = Hands {
                worker: &self.worker,
                now,
                until: now.saturating_add(lease),
            };
            line::hand_out(session, &lot.handed, &hands, answer);
            task_acts::due(hands.until);
        }
        lot.settle_rest(session, now);
    }
}

/// Tasks whose time has come go to their lines, and those whose leases ran out; whether there were any.
pub(crate) fn see_to(session: &Session, now: i64) -> bool {
    let called = upkeep::call_up(session, now);
    let (back, given_up) = upkeep::take_back(session, now, settings::tasks::task_lost_leases());
    for lane in called.iter().chain(&back) {
        task_acts::queued(Line::of(&lane.agent, lane.company));
    }
    super::lease::bury(session, &given_up, now);
    !called.is_empty() || !back.is_empty()
}

/// From now until then, not less than a moment.
fn until(at: i64, now: i64) -> Duration {
    Duration::from_micros(u64::try_from(at.saturating_sub(now)).unwrap_or(0)).max(Duration::from_millis(1))
}

/// Where nobody knows when it is worth looking again.
pub(super) fn sometime(known: Option<Duration>) -> Duration {
    known.unwrap_or(LOOK_AGAIN)
}
