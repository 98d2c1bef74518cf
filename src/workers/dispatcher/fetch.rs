//! From due events to jobs of the I/O thread.

use tms_delivery::{HeaderKey, HeaderName, Job};
use uuid::Uuid;

use super::{Dispatcher, Flight};
use crate::pg::spi::{self, Session};
use crate::pg::{jsonb, server, worker};
use crate::settings;
use crate::store::events::{self, DueEvent, Position};

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const EVENT_TYPE: HeaderName = HeaderName::from_static("tms-event-type");

/// A target is asked again only when so many of its places are free, unless few are needed: each question costs.
const WORTHWHILE: usize = 4;

impl Dispatcher {
    /// Fills each target's window from its queue.
    pub(super) fn hand_out(&mut self) -> Result<(), worker::Failed> {
        let wanting: Vec<u32> = self
            .targets
            .round()
            .into_iter()
            .filter(|id| self.room_of(*id) > 0)
            .collect();
        if wanting.is_empty() {
            return Ok(());
        }
        let mut jobs = Vec::new();
        let result = worker::transaction(|| {
            spi::connect(|session| {
                for id in &wanting {
                    self.fetch_for(session, *id, &mut jobs);
                }
            });
        });
        // What was read is in flight by now, also when a later target's statement failed.
        self.engine.submit(jobs);
        result
    }

    /// How many events a target may be given now.
    fn room_of(&self, id: u32) -> usize {
        let Some(target) = self.targets.get(id) else {
            return 0;
        };
        let limit = if self.on_their_way < settings::max_in_flight() {
            target.window()
        } else {
            target.fair_share()
        };
        let free = limit.saturating_sub(target.on_their_way);
        if free * WORTHWHILE < limit && target.on_their_way > 0 {
            0
        } else {
            free
        }
    }

    fn fetch_for(&mut self, session: &Session, id: u32, jobs: &mut Vec<Job>) {
        let Some(target) = self.targets.get_mut(id) else {
            return;
        };
        let name = std::sync::Arc::clone(&target.name);
        if target.queue.priorities_unknown() {
            target
                .queue
                .learned_priorities(events::priorities(session, &name));
        }
        let now = server::now();
        let mut room = self.room_of(id);
        while room > 0 {
            let Some((priority, behind)) = self.targets.get(id).and_then(|target| target.queue.next_walk())
            else {
                break;
            };
            let before = jobs.len();
            let (reached, at_end) = self.walk(session, id, priority, (behind, now, room), jobs);
            let stalled = reached == behind && !at_end;
            if let Some(target) = self.targets.get_mut(id) {
                target.queue.walked(priority, reached, at_end);
            }
            room = room.saturating_sub(jobs.len() - before);
            if stalled {
                break;
            }
        }
        self.learn_next_due(session, id, now);
    }

    /// One statement's worth of a walk: how far it came, and whether that is the end.
    fn walk(
        &mut self,
        session: &Session,
        id: u32,
        priority: i32,
        (behind, now, room): (Position, i64, usize),
        jobs: &mut Vec<Job>,
    ) -> (Position, bool) {
        let Some(name) = self
            .targets
            .get(id)
            .map(|target| std::sync::Arc::clone(&target.name))
        else {
            return (behind, true);
        };
        let mut reached = behind;
        let mut stopped = false;
        let limit = i64::try_from(room).unwrap_or(i64::MAX);
        let found = events::walk(session, &name, priority, behind, now, limit, |event| {
            let position = event.position;
            if !self.take(id, event, jobs) {
                stopped = true;
                return false;
            }
            reached = position;
            true
        });
        (reached, !stopped && found < room)
    }

    /// Makes a job of an event; false when the memory for bodies is used up.
    fn take(&mut self, id: u32, event: DueEvent, jobs: &mut Vec<Job>) -> bool {
        let key = event.position.seq.cast_unsigned();
        if self.flights.contains_key(&key) {
            return true;
        }
        let Some(target) = self.targets.get_mut(id) else {
            return true;
        };
        let size = jsonb::size(event.payload);
        // One event of a target goes out whatever its size, or it would never.
        if self.bytes + size > settings::max_in_flight_bytes() && target.on_their_way > 0 {
            return false;
        }
        let mut body = Vec::with_capacity(size + size / 2);
        jsonb::write_text(event.payload, &mut body);
        target.on_their_way += 1;
        self.on_their_way += 1;
        self.bytes += body.len();
        let flight = Flight {
            tid: event.tid,
            id: event.id,
            target: id,
            company: event.company,
            retry_count: event.retry_count,
            max_retries: event.max_retries,
            bytes: body.len(),
            on_its_way: true,
        };
        self.flights.insert(key, flight);
        jobs.push(Job {
            key,
            target: id,
            headers: headers_of(event),
            body,
        });
        true
    }

    fn learn_next_due(&mut self, session: &Session, id: u32, now: i64) {
        let Some(target) = self.targets.get_mut(id) else {
            return;
        };
        if target.queue.has_more() || !target.queue.next_due_unknown() {
            return;
        }
        let ask = |priority| events::next_due(session, &target.name, priority, now);
        let times: Vec<i64> = target.queue.priorities().into_iter().filter_map(ask).collect();
        target.queue.learned_next_due(times);
    }
}

fn headers_of(event: DueEvent) -> Vec<(HeaderKey, String)> {
    let mut headers = Vec::with_capacity(2);
    if let Some(serde_json::Value::Object(own)) = event.headers.and_then(jsonb::value) {
        headers.extend(own.into_iter().filter_map(|(name, value)| {
            let value = value.as_str()?.to_owned();
            Some((HeaderKey::from(name), value))
        }));
    }
    headers.push((WEBHOOK_ID.into(), Uuid::from_bytes(event.id).to_string()));
    headers.push((EVENT_TYPE.into(), event.event_type));
    headers
}
