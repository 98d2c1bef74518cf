//! One claim: who gets how much of it, and what becomes of leases that ran out.
//!
//! A company that asks gets what stands first in its queue. For the platform's consumers the companies take turns: each gets an
//! equal share of the batch, what one does not need goes to the others, and the next claim of this session goes on with the
//! company behind the last one.

use std::collections::HashMap;

use super::memory::Memory;
use crate::errors::{self, Result};
use crate::pg::server;
use crate::pg::set::AnswerSet;
use crate::pg::spi::Session;
use crate::settings::{self, RecordAttempts};
use crate::store::attempts::{self, Attempts};
use crate::store::letters::{self, Letters};
use crate::store::pull::held::{self, Held, Scope};
use crate::store::pull::{self, Leases, Query, Taken, Walk, Walkers};

/// How far a walk through a queue with ordering keys goes for each event it wants, and at least. Events that wait for the head of
/// their key are stepped over; when many do, the heads are looked up by their keys instead.
const WINDOW_FACTOR: i64 = 8;
const SMALLEST_WINDOW: i64 = 192;
/// How many ordering keys one claim looks up at most: a few milliseconds.
const MOST_KEYS: i64 = 1_000;
/// Companies that are looked up at a time, if the batch is not larger.
const SMALLEST_PAGE: usize = 16;
/// More companies than these are looked up page by page instead of being remembered.
const MOST_COMPANIES: usize = 1_000;

/// What a consumer asked for.
pub(super) struct Order<'a> {
    pub(super) query: Query<'a>,
    pub(super) scope: Scope,
    pub(super) events: usize,
    pub(super) until: i64,
}

/// Hands out events until the batch is full or nothing is due.
pub(super) fn run(session: &Session, order: &Order<'_>, answer: &AnswerSet) -> Result<()> {
    let target = order.query.target;
    let mut claim = Claim {
        session,
        order,
        answer,
        wanted: order.events,
        memory: Memory::of(target),
    };
    let result = claim.fill();
    claim.memory.keep(target);
    result
}

struct Claim<'a> {
    session: &'a Session,
    order: &'a Order<'a>,
    answer: &'a AnswerSet,
    /// What the batch still has room for.
    wanted: usize,
    memory: Memory,
}

impl Claim<'_> {
    /// From where this session has come to; if that does not fill the batch, from the beginning.
    fn fill(&mut self) -> Result<()> {
        let (target, now) = (self.order.query.target, self.order.query.now);
        let has_keys = pull::has_keys(self.session, target);
        let front = move |quota: i64| {
            if has_keys {
                Walk::Front(quota.saturating_mul(WINDOW_FACTOR).max(SMALLEST_WINDOW))
            } else {
                Walk::All
            }
        };
        if self.memory.is_fresh(now) {
            self.walk(front)?;
            if self.wanted == 0 {
                return Ok(());
            }
        }
        let companies = self.all_companies();
        self.memory.begin_again(now, companies);
        self.walk(front)?;
        if has_keys && self.wanted > 0 {
            self.walk(|_| Walk::WithoutKeys)?;
            self.by_keys()?;
        }
        Ok(())
    }

    /// Every company with undelivered events, if somebody asks for all of them and they are not too many.
    fn all_companies(&self) -> Option<Vec<u128>> {
        if self.order.scope != Scope::Everything {
            return None;
        }
        let all = self.find_companies(0, MOST_COMPANIES);
        (all.len() < MOST_COMPANIES).then_some(all)
    }

    /// Looks through the queues; `how` says how far, given the number of events that one company is to have.
    fn walk(&mut self, how: impl Fn(i64) -> Walk + Copy) -> Result<()> {
        match self.order.scope {
            Scope::Company(company) => self.share(vec![Some(company)], how).map(|_| ()),
            Scope::Everything => self.take_turns(how),
        }
    }

    /// All companies, a page at a time, beginning where the last claim ended and going round once.
    fn take_turns(&mut self, how: impl Fn(i64) -> Walk + Copy) -> Result<()> {
        let start = self.memory.first;
        let start = start.unwrap_or_else(|| u128::from(server::random_bits()) << 64);
        let size = self.wanted.max(SMALLEST_PAGE);
        let mut ring = Ring::new(start);
        // The platform's own events have no company to be in the ring by.
        let mut page: Vec<Option<u128>> = vec![None];
        while self.wanted > 0 {
            page.extend(
                ring.next(size, |from, limit| self.companies(from, limit))
                    .map(Some),
            );
            if page.is_empty() {
                break;
            }
            let companies = page
                .drain(..)
                .map(|company| company.map(u128::to_be_bytes))
                .collect();
            if let Some(last) = self.share(companies, how)? {
                self.memory.first = Some(u128::from_be_bytes(last).wrapping_add(1));
            }
        }
        Ok(())
    }

    fn companies(&self, from: u128, limit: usize) -> Vec<u128> {
        match &self.memory.companies {
            None => self.find_companies(from, limit),
            Some(all) => {
                let begin = all.partition_point(|id| *id < from);
                all[begin..].iter().take(limit).copied().collect()
            }
        }
    }

    fn find_companies(&self, from: u128, limit: usize) -> Vec<u128> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        pull::companies(self.session, self.order.query.target, &from.to_be_bytes(), limit)
            .into_iter()
            .map(u128::from_be_bytes)
            .collect()
    }

    /// Shares the rest of the batch among these companies. Returns the one that was asked last.
    fn share(
        &mut self,
        mut companies: Vec<Option<[u8; 16]>>,
        how: impl Fn(i64) -> Walk,
    ) -> Result<Option<[u8; 16]>> {
        let mut last = None;
        while self.wanted > 0 && !companies.is_empty() {
            let quota = (self.wanted / companies.len()).max(1);
            let asked: Vec<_> = companies.drain(..self.wanted.min(companies.len())).collect();
            let got = self.take(&asked, quota, &how)?;
            last = asked.iter().rev().find_map(|company| *company).or(last);
            // Who got less than its share has no more.
            companies.extend(
                asked
                    .into_iter()
                    .filter(|company| got.get(company).copied() == Some(quota)),
            );
        }
        Ok(last)
    }

    /// Up to `quota` events of each; how many of each there were.
    fn take(
        &mut self,
        companies: &[Option<[u8; 16]>],
        quota: usize,
        how: impl Fn(i64) -> Walk,
    ) -> Result<HashMap<Option<[u8; 16]>, usize>> {
        let rows = i64::try_from(quota).unwrap_or(i64::MAX);
        let (query, walk) = (&self.order.query, how(rows));
        let mut walkers = Walkers::default();
        for company in companies.iter().flatten() {
            walkers.add(*company, self.memory.place(Some(*company)));
        }
        let mut taken = Vec::new();
        if !walkers.is_empty() {
            taken = pull::take(self.session, query, &walkers, rows, walk);
        }
        if companies.contains(&None) {
            let behind = self.memory.place(None);
            taken.append(&mut pull::take_of_platform(
                self.session,
                query,
                behind,
                rows,
                walk,
            ));
        }
        let mut counts = HashMap::new();
        for event in &taken {
            *counts.entry(event.company).or_insert(0) += 1;
            if let Some(position) = event.position {
                self.memory.reached(event.company, position);
            }
        }
        if self.hand_out(taken)? == 0 {
            // Whatever was found had been overtaken: nobody is asked again for it.
            counts.clear();
        }
        Ok(counts)
    }

    /// Heads of ordering keys that stand far back in their queues, from some key on and round to it.
    fn by_keys(&mut self) -> Result<()> {
        let company = match &self.order.scope {
            Scope::Company(company) => Some(*company),
            Scope::Everything => None,
        };
        for behind in [server::random_bits().cast_signed(), i64::MIN] {
            if self.wanted == 0 {
                break;
            }
            let limit = i64::try_from(self.wanted).unwrap_or(i64::MAX);
            let keys = (behind, MOST_KEYS);
            let heads = pull::take_heads(self.session, &self.order.query, company.as_ref(), keys, limit);
            self.hand_out(heads)?;
        }
        Ok(())
    }

    /// Leases what was taken; what ran out once too often becomes a dead letter instead. Returns with how many either happened.
    fn hand_out(&mut self, taken: Vec<Taken>) -> Result<usize> {
        let mut leases = Leases::default();
        let mut expired = Expired::default();
        for event in taken {
            let retries = match event.expired {
                None => event.retry_count,
                Some(lease) if expired.add(&event, self.order.query.target, lease) => continue,
                Some(_) => event.retry_count.saturating_add(1),
            };
            leases.tids.push(event.tid);
            leases.ids.push(event.id);
            leases.tokens.push(token()?);
            leases.retries.push(retries);
        }
        expired.write(self.session, self.order.query.now);
        let mut leased = 0;
        if !leases.ids.is_empty() {
            let order = self.order;
            leased = pull::lease(self.session, &order.query, &leases, order.until, self.answer);
            self.wanted = self.wanted.saturating_sub(leased);
        }
        Ok(leased + expired.letters.events.len())
    }
}

/// A name for a lease that nobody can guess.
fn token() -> Result<[u8; 16]> {
    let random = server::random_bytes::<16>().ok_or_else(errors::no_randomness)?;
    Ok(uuid::Builder::from_random_bytes(random).into_uuid().into_bytes())
}

/// Ids in ascending order, from one of them on and round to it.
struct Ring {
    start: u128,
    from: Option<u128>,
    has_turned: bool,
}

impl Ring {
    fn new(start: u128) -> Self {
        Self {
            start,
            from: Some(start),
            has_turned: false,
        }
    }

    /// The next ids, `size` of them unless it has come round; `list` finds those from one on.
    fn next(&mut self, size: usize, list: impl Fn(u128, usize) -> Vec<u128>) -> impl Iterator<Item = u128> {
        let mut page = Vec::new();
        while page.len() < size
            && let Some(from) = self.from
        {
            let wanted = size - page.len();
            let mut found = list(from, wanted);
            let is_end = found.len() < wanted;
            if self.has_turned {
                found.retain(|id| *id < self.start);
            }
            self.from = match found.last() {
                Some(last) if !is_end => last.checked_add(1),
                _ => None,
            };
            page.append(&mut found);
            if self.from.is_none() && !self.has_turned {
                self.has_turned = true;
                self.from = Some(0);
            }
        }
        page.into_iter()
    }
}

/// Leases that ran out, which is a failed attempt each.
#[derive(Default)]
struct Expired {
    letters: Letters,
    attempts: Attempts,
}

impl Expired {
    /// Notes one; true when it was the event's last attempt.
    fn add(&mut self, event: &Taken, target: &str, (leased_at, until): (i64, i64)) -> bool {
        let attempt = event.retry_count.saturating_add(1);
        let is_last = event.retry_count >= event.max_retries;
        let timeout = "timeout";
        if settings::record_attempts() != RecordAttempts::None {
            let held = Held {
                id: event.id,
                company: event.company,
                target: target.to_owned(),
                retry_count: event.retry_count,
                max_retries: event.max_retries,
                leased_at,
            };
            let outcome = if is_last { "dead" } else { "retry" };
            let error = (timeout, Some("the lease ran out".to_owned()));
            super::record(&mut self.attempts, &held, until, outcome, Some(error));
        }
        if is_last {
            self.letters.events.push(event.id);
            self.letters.error_types.push(Some(timeout.to_owned()));
            let message = format!("the lease ran out on attempt {attempt}, the last one");
            self.letters.messages.push(Some(message));
            self.letters.attempts.push(attempt);
            self.letters.permanent.push(false);
        }
        is_last
    }

    fn write(&self, session: &Session, now: i64) {
        if !self.attempts.events.is_empty() {
            attempts::insert(session, &self.attempts);
        }
        if !self.letters.events.is_empty() {
            letters::bury(session, &self.letters, now);
            held::bury(session, &self.letters.events, now);
        }
    }
}
