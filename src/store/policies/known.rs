//! The policies this backend has read, compiled: what is in force is asked of the tables only after somebody changed one.
//!
//! An entry remembers how many changes this backend had heard of when it was read. When there are more, its head is read
//! again, and a document only if it is another version. What was read while a change arrived is read again next time, since
//! the count is taken before the reading.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys::{TEXTOID, UUIDOID};
use tms_domain::policy::{AgentPolicy, canonical, document};

use super::{Company, of};
use crate::pg::cache;
use crate::pg::spi::{self, Arg, Row, Statement};

/// Entries a backend keeps. Past that it begins anew: names of agents that do not exist must not fill its memory.
const MOST_ENTRIES: usize = 20_000;

/// A version that is in force, ready for decisions.
pub(crate) struct Compiled {
    pub(crate) policy: AgentPolicy,
    pub(crate) version: i32,
    pub(crate) sha256: String,
    /// What was probably meant by functions that were denied: comparing a name with every rule costs more than all else.
    meant: RefCell<HashMap<String, Option<String>>>,
}

/// Denied functions whose nearest ones are remembered, and the longest name among them.
const MOST_MEANT: usize = 100;
const LONGEST_MEANT: usize = 255;

impl Compiled {
    /// The allowed function that was probably meant by one that is denied.
    pub(crate) fn meant(&self, function: &str) -> Option<String> {
        if let Some(known) = self.meant.borrow().get(function) {
            return known.clone();
        }
        let nearest = self.policy.nearest_allowed(function).map(str::to_owned);
        let mut meant = self.meant.borrow_mut();
        if meant.len() < MOST_MEANT && function.len() <= LONGEST_MEANT {
            meant.insert(function.to_owned(), nearest.clone());
        }
        nearest
    }
}

/// What is in force for an agent.
#[derive(Clone)]
pub(crate) enum Known {
    /// Nothing.
    Nothing,
    /// Something that is not what was loaded: a row that somebody wrote by hand, or a later release's rules.
    Unreadable,
    /// A policy.
    Policy(Rc<Compiled>),
}

struct Entry {
    heard: u64,
    known: Known,
}

/// Agents by name, and for each of them whose policies were looked for.
#[derive(Default)]
struct Memory {
    agents: HashMap<String, HashMap<Company, Entry>>,
    count: usize,
}

thread_local! {
    static MEMORY: RefCell<Memory> = RefCell::default();
}

impl Memory {
    fn find(&self, agent: &str, company: &Company) -> Option<&Entry> {
        self.agents.get(agent)?.get(company)
    }

    fn keep(&mut self, agent: &str, company: &Company, entry: Entry) {
        if self.count >= MOST_ENTRIES {
            *self = Self::default();
        }
        let of_agent = self.agents.entry(agent.to_owned()).or_default();
        if of_agent.insert(*company, entry).is_none() {
            self.count += 1;
        }
    }
}

/// What is in force for the calls of a company: its own policy of the agent, else the platform's.
pub(crate) fn in_force(agent: &str, company: &Company) -> Known {
    let heard = cache::policy_changes_heard();
    match company {
        Some(_) => match of_scope(agent, company, heard) {
            Known::Nothing => of_scope(agent, &None, heard),
            own => own,
        },
        None => of_scope(agent, company, heard),
    }
}

/// The policy of exactly this company, or of the platform.
fn of_scope(agent: &str, company: &Company, heard: u64) -> Known {
    let last = MEMORY.with_borrow(|memory| {
        let entry = memory.find(agent, company)?;
        Some((entry.heard == heard, entry.known.clone()))
    });
    let last = match last {
        Some((true, known)) => return known,
        Some((false, known)) => Some(known),
        None => None,
    };
    let known = cache::as_owner(|| read(agent, company, last));
    let entry = Entry {
        heard,
        known: known.clone(),
    };
    MEMORY.with_borrow_mut(|memory| memory.keep(agent, company, entry));
    known
}

/// As it is committed now, whatever the transaction sees; `last` is kept where it is the same version.
fn read(agent: &str, company: &Company, last: Option<Known>) -> Known {
    static HEAD: Statement = Statement::new(
        c"SELECT p.version, p.sha256, p.document
            FROM tms.policy_heads h
            LEFT JOIN tms.policies p ON p.agent_name OPERATOR(pg_catalog.=) h.agent_name
                               AND (p.company_id OPERATOR(pg_catalog.=) h.company_id
                                    OR (p.company_id IS NULL AND h.company_id IS NULL))
                               AND p.version OPERATOR(pg_catalog.=) h.version
           WHERE h.agent_name OPERATOR(pg_catalog.=) $1
             AND (h.company_id OPERATOR(pg_catalog.=) $2 OR (h.company_id IS NULL AND $2 IS NULL))",
        &[TEXTOID, UUIDOID],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&HEAD, &[Arg::Text(agent), of(company)]);
        let Some(row) = rows.first() else {
            return Known::Nothing;
        };
        let (Some(version), Some(sha256)) = (row.int4(1), row.text(2)) else {
            return Known::Unreadable;
        };
        match last {
            Some(Known::Policy(last)) if last.version == version && last.sha256 == sha256 => {
                Known::Policy(last)
            }
            _ => compile(&row, agent, version, sha256).map_or(Known::Unreadable, Known::Policy),
        }
    })
}

fn compile(row: &Row<'_>, agent: &str, version: i32, sha256: String) -> Option<Rc<Compiled>> {
    let text = row.text(3)?;
    if canonical::digest(&text) != sha256 {
        return None;
    }
    let policy = document::parse(&text).ok()?.pop()?;
    (policy.agent == agent).then(|| {
        Rc::new(Compiled {
            policy,
            version,
            sha256,
            meant: RefCell::default(),
        })
    })
}

/// Names of agents with a policy that holds for a company's calls, as they are committed now: what a misspelt name is held
/// against. Not more than `most` of them.
pub(crate) fn agents(company: &Company, most: i64) -> Vec<String> {
    static AGENTS: Statement = Statement::new(
        c"SELECT DISTINCT h.agent_name FROM tms.policy_heads h
           WHERE h.company_id IS NULL OR h.company_id OPERATOR(pg_catalog.=) $1
           ORDER BY h.agent_name LIMIT $2",
        &[UUIDOID, pgrx::pg_sys::INT8OID],
    );
    cache::as_owner(|| {
        spi::connect(|session| {
            let rows = session.read_latest(&AGENTS, &[of(company), Arg::Int8(most)]);
            rows.iter().filter_map(|row| row.text(1)).collect()
        })
    })
}
