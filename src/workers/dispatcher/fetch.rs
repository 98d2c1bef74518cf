//! From due events to jobs of the I/O thread: which queues are read, how far, and for whom.

use std::collections::HashSet;
use std::time::Duration;

use pgrx::pg_sys;
use tms_delivery::Job;
use tms_domain::outcome::{ErrorType, Verdict};
use tms_domain::problem::Problem;
use tms_domain::redact::jsonb::Redactor;
use tms_domain::redact::token::Keys;
use tms_domain::target::Delivery;

use super::lanes::{Company, Walk};
use super::local::LocalEvent;
use super::order::{Key, Turn};
use super::target::Target;
use super::targets::Unknown;
use super::{Dispatcher, Flight, jobs};
use crate::pg::spi::{self, Session};
use crate::pg::{jsonb, redaction, server, worker};
use crate::settings;
use crate::store::events::{self, DueEvent, DueEvents, KeyQuestion, Position};

/// A target is asked again only when one in so many of its places is free: each question costs.
const WORTHWHILE: usize = 2;
/// Rows that are looked at in one transaction: a queue full of events whose turn it is not is walked in pieces.
const MOST_ROWS: usize = 8192;

/// What a look through the queues has brought.
#[derive(Default)]
pub(super) struct Handed {
    jobs: Vec<Job>,
    pub(super) local: Vec<LocalEvent>,
    /// Events that cannot be redacted as their target wants it, with what is the matter: they do not leave.
    unfit: Vec<(u64, Problem)>,
    /// The memory for bodies is used up.
    is_full: bool,
}

impl Handed {
    /// Leaves out what goes to these targets; answers the keys of it.
    pub(super) fn drop_of(&mut self, targets: &HashSet<u32>) -> Vec<u64> {
        let jobs = self.jobs.extract_if(.., |job| targets.contains(&job.target));
        let local = self.local.extract_if(.., |event| targets.contains(&event.target));
        jobs.map(|job| job.key)
            .chain(local.map(|event| event.seq))
            .collect()
    }
}

/// A place in a target's queues that an event was found at.
#[derive(Clone, Copy)]
struct Place {
    target: u32,
    lane: usize,
}

impl Dispatcher {
    /// Fills each target's window from its queues.
    pub(super) fn hand_out(&mut self) -> Result<(), worker::Failed> {
        let wanting = self.wanting();
        if wanting.is_empty() {
            return Ok(());
        }
        let mut handed = Handed::default();
        let result = worker::transaction(|| {
            spi::connect(|session| self.fetch(session, &wanting, &mut handed));
        });
        // What was read is in flight by now, also when a later statement failed.
        if !handed.jobs.is_empty() {
            // Among other things: a breaker that lets some through again.
            self.told.stale();
        }
        self.engine.submit(handed.jobs);
        for (key, problem) in handed.unfit {
            self.came_back(key);
            self.judge(key, unfit(&problem), Duration::ZERO);
        }
        // Answers bring the next look; what the database delivers has none.
        self.is_behind |= !handed.local.is_empty();
        let written = self.deliver_locally(handed.local);
        result.and(written)
    }

    /// Targets that have something and may be sent it.
    fn wanting(&mut self) -> Vec<u32> {
        let mut wanting = self.targets.round();
        let mut ready = self.keys.targets_with_ready();
        if !ready.is_empty() {
            let known: HashSet<u32> = wanting.iter().copied().collect();
            ready.retain(|id| !known.contains(id) && self.targets.get(*id).is_some_and(Target::is_served));
            wanting.append(&mut ready);
        }
        self.share = settings::max_in_flight() / wanting.len().max(1);
        wanting.retain(|id| {
            if self.places_of(*id) == 0 {
                return false;
            }
            let is_braked = self
                .targets
                .get_mut(*id)
                .is_some_and(|target| target.brakes.admits() == 0);
            if is_braked {
                self.braked.push(*id);
            }
            !is_braked
        });
        wanting
    }

    /// How many events a target may be given now.
    fn room_of(&mut self, id: u32) -> usize {
        match (self.places_of(id), self.targets.get_mut(id)) {
            (places, Some(target)) if places > 0 => places.min(target.brakes.admits()),
            _ => 0,
        }
    }

    /// How many places of a target are worth a look into its queues, whatever its brakes say.
    fn places_of(&self, id: u32) -> usize {
        let is_crowded = self.on_their_way >= settings::max_in_flight();
        let Some(target) = self.targets.get(id) else {
            return 0;
        };
        let limit = if is_crowded {
            target.fair_share()
        } else {
            // All windows together would be more than there is room for where many targets have much to do.
            target.window().min(self.share.max(target.fair_share()))
        };
        let free = limit.saturating_sub(target.on_their_way);
        if free * WORTHWHILE < limit && target.on_their_way > 0 {
            // A company with nothing on its way has a place, whatever the others hold.
            return target.lanes.left_out();
        }
        free
    }

    fn fetch(&mut self, session: &Session, wanting: &[u32], handed: &mut Handed) {
        for id in wanting {
            self.learn_lanes(session, *id);
        }
        let now = server::now();
        self.follow_keys(session, wanting, now, handed);
        let mut seen = 0;
        while !handed.is_full {
            let plan = self.plan(wanting);
            if plan.is_empty() {
                break;
            }
            if seen >= MOST_ROWS {
                self.is_behind = true;
                break;
            }
            seen += self.walk(session, &plan, now, handed).max(1);
        }
        for id in wanting {
            self.learn_next_due(session, *id, now);
        }
    }

    /// Asks the table which queues a target has, where that is not known.
    fn learn_lanes(&mut self, session: &Session, id: u32) {
        let Some(target) = self.targets.get(id) else {
            return;
        };
        let (name, unknown) = (std::sync::Arc::clone(&target.name), target.lanes_unknown);
        if unknown != Unknown::Nothing {
            for (company, priority) in events::lanes(session, &name) {
                self.targets.found(id, company, priority, unknown == Unknown::All);
            }
            if let Some(target) = self.targets.get_mut(id) {
                target.lanes_unknown = Unknown::Nothing;
            }
        }
        let Some(target) = self.targets.get_mut(id) else {
            return;
        };
        for lane in target.lanes.with_unknown_priorities() {
            let (company, _) = target.lanes.priorities(lane);
            let priorities = events::priorities(session, &name, company.as_ref());
            if let Some(lane) = target.lanes.get_mut(lane) {
                lane.queue.learned_priorities(priorities);
            }
        }
    }

    /// What to read next, for all targets together.
    fn plan(&mut self, wanting: &[u32]) -> Vec<(u32, Walk)> {
        let mut plan = Vec::new();
        for id in wanting {
            let room = self.room_of(*id);
            if let Some(target) = self.targets.get_mut(*id).filter(|_| room > 0) {
                plan.extend(target.lanes.plan(room).into_iter().map(|walk| (*id, walk)));
            }
        }
        plan
    }

    /// Reads what was planned and hands out what may go; answers how many rows were seen.
    fn walk(&mut self, session: &Session, plan: &[(u32, Walk)], now: i64, handed: &mut Handed) -> usize {
        let names: Vec<_> = plan.iter().map(|(id, _)| self.name_of(*id)).collect();
        let walks: Vec<_> = plan
            .iter()
            .zip(&names)
            .map(|((_, walk), name)| events::Walk {
                target: name,
                company: walk.company,
                priority: walk.priority,
                behind: walk.behind,
                limit: walk.limit,
            })
            .collect();
        let found = events::walk(session, &walks, now);
        let changed = self.follow_settings(handed);
        self.ask_for_heads(session, plan, &found);
        let mut reached: Vec<(Position, usize)> = plan.iter().map(|(_, walk)| (walk.behind, 0)).collect();
        for event in &found.events {
            let (id, walk) = &plan[event.asked];
            if handed.is_full {
                break;
            }
            let lane = match &changed {
                None => walk.lane,
                Some(changed) => match self.lane_now(*id, event.company, changed) {
                    Some(lane) => lane,
                    None => continue,
                },
            };
            let place = Place { target: *id, lane };
            if self.take_turn(place, event, handed) {
                reached[event.asked] = (event.position, reached[event.asked].1 + 1);
            }
        }
        if changed.is_some() {
            // The queues may be others now; the next look begins where this one did.
            return found.events.len();
        }
        for ((id, walk), (behind, count)) in plan.iter().zip(reached) {
            if let Some(target) = self.targets.get_mut(*id) {
                let at_end = !handed.is_full && count < walk.limit;
                target.lanes.walked(walk, behind, at_end);
            }
        }
        found.events.len()
    }

    fn name_of(&self, id: u32) -> std::sync::Arc<str> {
        self.targets.get(id).map_or_else(
            || std::sync::Arc::from(""),
            |target| std::sync::Arc::clone(&target.name),
        )
    }

    /// Asks the table for the first event of each key among the found ones of which that is not known.
    fn ask_for_heads(&mut self, session: &Session, plan: &[(u32, Walk)], found: &DueEvents) {
        let mut asked = Vec::new();
        for event in &found.events {
            let Some(key) = key_of(plan[event.asked].0, event) else {
                continue;
            };
            let is_unknown = self.keys.turn(key, event.position.seq) == Turn::Unknown;
            if is_unknown && !self.flights.contains_key(&event.position.seq.cast_unsigned()) {
                asked.push(key);
            }
        }
        asked.sort_unstable();
        asked.dedup();
        if !asked.is_empty() {
            for event in self.first_of(session, &asked).events {
                self.keys.waits(asked[event.asked], event.position.seq);
            }
        }
    }

    fn first_of(&self, session: &Session, keys: &[Key]) -> DueEvents {
        let names: Vec<_> = keys.iter().map(|key| self.name_of(key.target)).collect();
        let questions: Vec<_> = keys
            .iter()
            .zip(&names)
            .map(|(key, name)| KeyQuestion {
                target: name,
                hash: key.hash,
                floor: self.keys.floor(*key),
                skips_dead: self
                    .targets
                    .get(key.target)
                    .is_some_and(|target| target.skips_dead()),
            })
            .collect();
        events::first_of_keys(session, &questions)
    }

    /// Keys whose first event is finished: the next one goes, if it is due.
    fn follow_keys(&mut self, session: &Session, wanting: &[u32], now: i64, handed: &mut Handed) {
        let mut keys = Vec::new();
        for id in wanting {
            let room = self.room_of(*id);
            keys.extend(self.keys.take_ready(*id, room));
        }
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() {
            return;
        }
        let found = self.first_of(session, &keys);
        let changed = self.follow_settings(handed).unwrap_or_default();
        let mut next: Vec<Option<&DueEvent>> = vec![None; keys.len()];
        for event in &found.events {
            next[event.asked] = Some(event);
        }
        for (key, event) in keys.into_iter().zip(next) {
            match event {
                None => self.keys.ended(key),
                Some(_) if changed.contains(&key.target) => self.keys.look_again(key),
                Some(event) => self.follow(key, event, now, handed),
            }
        }
    }

    fn follow(&mut self, key: Key, event: &DueEvent, now: i64, handed: &mut Handed) {
        let Position { available_at, seq } = event.position;
        if self.flights.contains_key(&seq.cast_unsigned()) {
            return;
        }
        if !self.targets.serves(key.target, event.company) {
            // It has a version of its own since: a walk there finds it.
            self.keys.ended(key);
            return;
        }
        self.keys.waits(key, seq);
        let Some(target) = self.targets.get_mut(key.target) else {
            return;
        };
        if available_at > now {
            if available_at < i64::MAX {
                target.lanes.due_at(event.company, available_at);
            }
            return;
        }
        let lane = target.lanes.of(event.company);
        let place = Place {
            target: key.target,
            lane,
        };
        if !self.take_turn(place, event, handed) {
            self.keys.look_again(key);
        }
    }

    /// Hands an event out if it is its turn; false when it must be met again.
    fn take_turn(&mut self, place: Place, event: &DueEvent, handed: &mut Handed) -> bool {
        let seq = event.position.seq;
        if self.flights.contains_key(&seq.cast_unsigned()) {
            return true;
        }
        let key = key_of(place.target, event);
        if let Some(key) = key
            && self.keys.turn(key, seq) != Turn::Now
        {
            return true;
        }
        if !self.take(place, event, key, handed) {
            handed.is_full = true;
            return false;
        }
        if let Some(key) = key {
            self.keys.sent(key, seq);
        }
        true
    }

    /// Makes a job of an event; false when the memory for bodies is used up.
    fn take(&mut self, place: Place, event: &DueEvent, key: Option<Key>, handed: &mut Handed) -> bool {
        let Some(target) = self.targets.get_mut(place.target) else {
            return true;
        };
        let size = jsonb::size(event.payload);
        // One event of a target goes out whatever its size, or it would never.
        if self.bytes + size > settings::max_in_flight_bytes() && target.on_their_way > 0 {
            return false;
        }
        let bytes = match (
            leaving(event, target.route.redactor.as_ref()),
            &target.route.options.delivery,
        ) {
            (Err(problem), _) => {
                handed.unfit.push((event.position.seq.cast_unsigned(), problem));
                0
            }
            (Ok(payload), Delivery::Http(http)) => {
                let job = jobs::request(event, payload, http, place.target, place.lane, &self.source);
                let bytes = job.body.len();
                handed.jobs.push(job);
                bytes
            }
            (Ok(payload), _) => {
                let local = LocalEvent::of(event, payload, place.target);
                let bytes = local.payload.len();
                handed.local.push(local);
                bytes
            }
        };
        target.sent(place.lane);
        self.on_their_way += 1;
        self.bytes += bytes;
        let flight = Flight {
            tid: event.tid,
            id: event.id,
            target: place.target,
            company: event.company,
            retry_count: event.retry_count,
            max_retries: event.max_retries,
            key,
            bytes,
            on_its_way: true,
        };
        self.flights.insert(event.position.seq.cast_unsigned(), flight);
        true
    }

    fn learn_next_due(&mut self, session: &Session, id: u32, now: i64) {
        let Some(target) = self.targets.get_mut(id) else {
            return;
        };
        for lane in target.lanes.with_unknown_due() {
            let (company, priorities): (Company, Vec<i32>) = target.lanes.priorities(lane);
            let ask = |priority| events::next_due(session, &target.name, company.as_ref(), priority, now);
            let times: Vec<i64> = priorities.into_iter().filter_map(ask).collect();
            target.lanes.learned_next_due(lane, &times);
        }
    }
}

fn key_of(target: u32, event: &DueEvent) -> Option<Key> {
    event.ordering_hash.map(|hash| Key { target, hash })
}

/// The payload as its target is to have it.
fn leaving(event: &DueEvent, redactor: Option<&Redactor>) -> Result<pg_sys::Datum, Problem> {
    let Some(redactor) = redactor else {
        return Ok(event.payload);
    };
    let redacted = redaction::of_stored(event.payload, redactor, &Keys::none())?;
    Ok(redacted.unwrap_or(event.payload))
}

fn unfit(problem: &Problem) -> Verdict {
    Verdict::Dead {
        error: ErrorType::Validation,
        message: format!(
            "the payload cannot be redacted as the target's redact_fields want it: {}",
            problem.message
        ),
    }
}
