//! Redaction where rows land: which rules hold for a row, and what they make of its columns.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use pgrx::pg_sys;
use pgrx::prelude::*;
use tms_domain::pii::{Kind, Kinds};
use tms_domain::policy::LogLevel;
use tms_domain::redact::by_value::ByValue;
use tms_domain::redact::jsonb::Redactor;
use tms_domain::redact::landing::places;
use tms_domain::redact::mode::{Put, REDACTED};
use tms_domain::redact::rules::Rules;
use tms_domain::redact::token::Keys;

use super::redaction_rules;
use crate::errors::{self, Result};
use crate::pg::{cache, jsonb, redaction, redaction_news};
use crate::store::policies::known::{self, Known};
use crate::store::redaction::Company;

/// Companies and agents whose rules a backend keeps. Past that it begins anew.
const MOST_ENTRIES: usize = 10_000;

/// What is our own words about a request: addresses of machines are what an operator needs of it.
const OWN_WORDS: &str = "error_message";

/// What became of a value.
pub(crate) enum Landed {
    /// There was nothing to redact.
    Same,
    /// This text is to be written instead.
    Text(String),
    /// This jsonb is to be written instead.
    Json(pg_sys::Datum),
}

/// The rules of one company and agent, compiled.
struct Compiled {
    /// The company's rules first, and then what the agent's policy hides.
    redactors: Vec<Redactor>,
    /// At which level a redaction is told of; `None`: not at all.
    told_at: Option<PgLogLevel>,
}

struct Entry {
    /// Changes of rules and of policies that had been heard of before they were read.
    heard: (u64, u64),
    compiled: Rc<Compiled>,
}

thread_local! {
    static MEMORY: RefCell<HashMap<(Company, Option<String>), Entry>> = RefCell::default();
}

/// A row that is about to be written.
pub(crate) struct Landing<'a> {
    table: String,
    company: Company,
    agent: Option<Cow<'a, str>>,
    rules: Option<Rc<Compiled>>,
    told: Vec<String>,
}

impl<'a> Landing<'a> {
    /// A row of a table, with whose it is.
    pub(crate) fn new(table: String, company: Company, agent: Option<Cow<'a, str>>) -> Self {
        Self {
            table,
            company,
            agent,
            rules: None,
            told: Vec::new(),
        }
    }

    /// What becomes of a text: pieces that personal data is found in by value are replaced; a text that cannot be looked through
    /// goes as a whole. Never fails, since what could not be delivered must be written down.
    pub(crate) fn text(&mut self, column: &str, text: &str) -> Landed {
        let mut kinds = Kinds::all();
        if column == OWN_WORDS {
            kinds = Kind::ALL
                .into_iter()
                .filter(|kind| !matches!(kind, Kind::Ip | Kind::Mac))
                .collect();
        }
        let by_value = ByValue::replacing(kinds);
        let put = by_value.text("", text, &Keys::none());
        let landed = match put {
            Ok(Put::Unchanged) => return Landed::Same,
            Ok(Put::Text(text)) => text.into_owned(),
            Ok(Put::Given(_) | Put::Removed) | Err(_) => REDACTED.to_owned(),
        };
        let mut found = Vec::new();
        let seen = by_value.look_into_text("", text, &mut |kind| {
            if !found.contains(&kind.as_str()) {
                found.push(kind.as_str());
            }
        });
        if seen.is_err() {
            found.push("too deep to be looked through");
        }
        self.told.push(format!("{column} ({})", found.join(", ")));
        Landed::Text(landed)
    }

    /// A jsonb as the agent's policy alone lets it be seen.
    pub(crate) fn by_policy(&mut self, datum: pg_sys::Datum) -> Result<pg_sys::Datum> {
        let rules = self.rules()?;
        Ok(self.redacted(&rules.redactors[1..], datum)?.unwrap_or(datum))
    }

    /// A jsonb as it may land.
    pub(crate) fn whole(&mut self, datum: pg_sys::Datum) -> Result<pg_sys::Datum> {
        let rules = self.rules()?;
        Ok(self.redacted(&rules.redactors, datum)?.unwrap_or(datum))
    }

    /// What these make of a jsonb, one after the other; `None` when nothing is redacted.
    fn redacted(&self, redactors: &[Redactor], datum: pg_sys::Datum) -> Result<Option<pg_sys::Datum>> {
        let mut current = None;
        for redactor in redactors {
            let keys = if redactor.needs_key() {
                redaction_rules::keys_of(&self.company)?
            } else {
                Keys::none()
            };
            let before = current.unwrap_or(datum);
            if let Some(redacted) = redaction::of_stored(before, redactor, &keys).map_err(errors::problem)? {
                current = Some(redacted);
            }
        }
        Ok(current)
    }

    /// What becomes of a jsonb by the rules of the row's company and of its agent's policy.
    pub(crate) fn json(&mut self, column: &str, datum: pg_sys::Datum) -> Result<Landed> {
        let rules = self.rules()?;
        let Some(redacted) = self.redacted(&rules.redactors, datum)? else {
            return Ok(Landed::Same);
        };
        if rules.told_at.is_some() {
            let told = match (jsonb::value(datum), jsonb::value(redacted)) {
                (Some(before), Some(after)) => places(&before, &after),
                _ => "in a document of unusual numbers or depth".to_owned(),
            };
            self.told.push(format!("{column} {told}"));
        }
        Ok(Landed::Json(redacted))
    }

    /// Says what was found where, as the agent's policy wants it told: never a value.
    pub(crate) fn tell(&mut self) {
        if self.told.is_empty() || self.agent.is_none() {
            return;
        }
        let Some(level) = self.rules().ok().and_then(|rules| rules.told_at) else {
            return;
        };
        let agent = self.agent.as_deref().unwrap_or_default();
        let message = format!(
            "tms: redacted in tms.{} for agent {}: {}",
            self.table,
            tms_domain::shown::quoted(agent),
            self.told.join("; ")
        );
        errors::tell(level, message);
    }

    fn rules(&mut self) -> Result<Rc<Compiled>> {
        if let Some(rules) = &self.rules {
            return Ok(Rc::clone(rules));
        }
        let rules = remembered(&self.company, self.agent.as_deref())?;
        self.rules = Some(Rc::clone(&rules));
        Ok(rules)
    }
}

fn remembered(company: &Company, agent: Option<&str>) -> Result<Rc<Compiled>> {
    let heard = (redaction_news::heard(), cache::policy_changes_heard());
    let key = (*company, agent.map(str::to_owned));
    let known = MEMORY.with_borrow(|memory| {
        let entry = memory.get(&key)?;
        (entry.heard == heard).then(|| Rc::clone(&entry.compiled))
    });
    if let Some(known) = known {
        return Ok(known);
    }
    let compiled = Rc::new(compile(company, agent)?);
    MEMORY.with_borrow_mut(|memory| {
        if memory.len() >= MOST_ENTRIES {
            memory.clear();
        }
        let entry = Entry {
            heard,
            compiled: Rc::clone(&compiled),
        };
        memory.insert(key, entry);
    });
    Ok(compiled)
}

/// The company's rules, and beside them what the agent's policy hides. The one after the other: what is stricter stays.
fn compile(company: &Company, agent: Option<&str>) -> Result<Compiled> {
    let of_company = redaction_rules::rules_of(company)?;
    let mut redactors = vec![Redactor::new(&of_company).map_err(errors::problem)?];
    let mut told_at = None;
    if let Some(agent) = agent {
        match known::in_force(agent, company) {
            Known::Nothing => {}
            Known::Unreadable => return Err(errors::unreadable_policy(agent)),
            Known::Policy(found) => {
                let pii = &found.policy.pii_rules;
                if let Some(fields) = &pii.redact_fields {
                    let rules = Rules::from_places(fields).map_err(errors::problem)?;
                    redactors.push(Redactor::new(&rules).map_err(errors::problem)?);
                }
                told_at = pii.log_level.and_then(level);
            }
        }
    }
    Ok(Compiled { redactors, told_at })
}

/// A policy's `error` is a warning of the server's: an error would undo what is told of.
fn level(level: LogLevel) -> Option<PgLogLevel> {
    match level {
        LogLevel::Debug => Some(PgLogLevel::DEBUG1),
        LogLevel::Info => Some(PgLogLevel::LOG),
        LogLevel::Warn | LogLevel::Error => Some(PgLogLevel::WARNING),
        LogLevel::Off => None,
    }
}
