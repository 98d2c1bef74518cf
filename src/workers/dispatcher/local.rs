//! Targets in the database: the message and the event's completion are one transaction, so each is delivered exactly once.
//!
//! That transaction commits synchronously: what a listener has heard must not come again after a crash. An event that cannot be
//! written is found by halving the batch, so that it costs the others nothing but a little time.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::prelude::*;
use tms_domain::envelope;
use tms_domain::outcome::{ErrorType, Verdict};
use tms_domain::target::{Delivery, RealtimeOptions};
use uuid::Uuid;

use super::Dispatcher;
use super::lanes::Company;
use crate::pg::server::{self, PG_EPOCH_US};
use crate::pg::spi::{self, Session, Tid};
use crate::pg::{jsonb, worker};
use crate::store::events::{self, DueEvent};
use crate::store::messages::{self, Broadcast};

/// Longest NOTIFY payload, in bytes.
const NOTIFY_LIMIT: usize = 7_999;
/// How long a target rests when the server's notification queue is full.
const QUEUE_FULL_PAUSE: Duration = Duration::from_secs(1);
/// Where events go that say nothing else: clients of one company must not hear another's.
const DEFAULT_TOPIC: &str = "events";

/// An event for a target in the database.
pub(super) struct LocalEvent {
    pub(super) target: u32,
    pub(super) seq: u64,
    tid: Tid,
    id: [u8; 16],
    company: Company,
    event_type: String,
    created_at: i64,
    /// JSON text.
    pub(super) payload: String,
}

impl LocalEvent {
    /// Takes what is needed of an event, and the payload as its target is to have it.
    pub(super) fn of(event: &DueEvent, stored: pg_sys::Datum, target: u32) -> LocalEvent {
        let mut payload = Vec::new();
        jsonb::write_text(stored, &mut payload);
        LocalEvent {
            target,
            seq: event.position.seq.cast_unsigned(),
            tid: event.tid,
            id: event.id,
            company: event.company,
            event_type: event.event_type.clone(),
            created_at: event.created_at,
            payload: String::from_utf8(payload)
                .unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
        }
    }

    fn notification(&self) -> String {
        let id = Uuid::from_bytes(self.id).to_string();
        let time = self.created_at.saturating_add(PG_EPOCH_US);
        envelope::notification(&id, &self.event_type, time, &self.payload, NOTIFY_LIMIT)
    }

    fn topic(&self, options: &RealtimeOptions) -> String {
        match (&options.topic, self.company) {
            (Some(topic), _) => topic.clone(),
            (None, None) => DEFAULT_TOPIC.to_owned(),
            (None, Some(company)) => format!("{DEFAULT_TOPIC}:{}", Uuid::from_bytes(company)),
        }
    }
}

impl Dispatcher {
    /// Writes messages and completions, target by target.
    pub(super) fn deliver_locally(&mut self, mut events: Vec<LocalEvent>) -> Result<(), worker::Failed> {
        events.sort_by_key(|event| event.target);
        let mut result = Ok(());
        for batch in events.chunk_by(|a, b| a.target == b.target) {
            if result.is_err() {
                self.put_back(batch);
            } else {
                result = self.deliver_batch(batch);
            }
        }
        result
    }

    fn deliver_batch(&mut self, batch: &[LocalEvent]) -> Result<(), worker::Failed> {
        let began = Instant::now();
        match self.write_messages(batch) {
            Ok(()) => {
                self.delivered(batch, began.elapsed());
                Ok(())
            }
            Err(failed) if failed.is_passing() => {
                self.put_back(batch);
                Err(failed)
            }
            Err(failed) if is_queue_full(&failed) => {
                if let Some(target) = self.targets.get_mut(batch[0].target) {
                    target.brakes.hold(&failed.message, Some(QUEUE_FULL_PAUSE));
                }
                self.put_back(batch);
                Ok(())
            }
            Err(failed) if batch.len() == 1 => {
                self.failed_locally(&batch[0], &failed, began.elapsed());
                Ok(())
            }
            Err(_) => self.split(batch),
        }
    }

    fn split(&mut self, batch: &[LocalEvent]) -> Result<(), worker::Failed> {
        let (first, second) = batch.split_at(batch.len() / 2);
        let result = self.deliver_batch(first);
        if result.is_err() {
            self.put_back(second);
            return result;
        }
        self.deliver_batch(second)
    }

    fn write_messages(&mut self, batch: &[LocalEvent]) -> Result<(), worker::Failed> {
        let Some(target) = batch.first().and_then(|event| self.targets.get(event.target)) else {
            return Ok(());
        };
        let (delivery, name) = (&target.route.options.delivery, &target.name);
        let now = server::now();
        worker::set_option(c"synchronous_commit", c"on");
        let result = worker::transaction(|| {
            spi::connect(|session| {
                match delivery {
                    Delivery::Realtime(options) => broadcast(session, options, batch),
                    Delivery::Notify(options) => {
                        let channel = options.channel.as_deref().unwrap_or(name);
                        notify(session, batch, |_| channel.to_owned());
                    }
                    Delivery::Http(_) | Delivery::Pull => {}
                }
                let tids: Vec<Tid> = batch.iter().map(|event| event.tid).collect();
                let ids: Vec<[u8; 16]> = batch.iter().map(|event| event.id).collect();
                if events::complete(session, &tids, &ids, now) < ids.len() {
                    events::complete_by_id(session, &ids, now);
                }
            });
        });
        worker::set_option(c"synchronous_commit", c"off");
        result
    }

    fn delivered(&mut self, batch: &[LocalEvent], took: Duration) {
        for event in batch {
            self.came_back(event.seq);
            if let Some(target) = self.targets.get_mut(event.target) {
                target.fate.delivered += 1;
                target.fate.took(took);
                target.brakes.ended(true);
            }
            self.slot.counters.delivered.fetch_add(1, Ordering::Relaxed);
            self.finish_flight(event.seq);
        }
    }

    /// The event itself, or its topic or channel, is not acceptable; or the table has no room for today yet.
    fn failed_locally(&mut self, event: &LocalEvent, failed: &worker::Failed, took: Duration) {
        const MISSING_PARTITION: PgSqlErrorCode = PgSqlErrorCode::ERRCODE_CHECK_VIOLATION;
        let message = format!("the database refused the message: {}", failed.message);
        let verdict = if failed.is_of_the_row() && failed.code != MISSING_PARTITION {
            Verdict::Dead {
                error: ErrorType::Validation,
                message,
            }
        } else {
            Verdict::Retry {
                error: ErrorType::ExternalApi,
                message,
                not_before: None,
            }
        };
        self.came_back(event.seq);
        self.judge(event.seq, verdict, took);
    }

    fn put_back(&mut self, batch: &[LocalEvent]) {
        let keys: Vec<u64> = batch.iter().map(|event| event.seq).collect();
        self.forget(&keys);
    }
}

fn is_queue_full(failed: &worker::Failed) -> bool {
    failed.code == PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED && failed.message.contains("NOTIFY")
}

fn notify(session: &Session, batch: &[LocalEvent], channel: impl Fn(&LocalEvent) -> String) {
    let channels: Vec<_> = batch.iter().map(|event| Some(channel(event))).collect();
    let messages: Vec<_> = batch.iter().map(|event| Some(event.notification())).collect();
    messages::notify(session, &channels, &messages);
}

fn broadcast(session: &Session, options: &RealtimeOptions, batch: &[LocalEvent]) {
    let Some(owner) = messages::realtime_owner(session) else {
        return notify(session, batch, |event| event.topic(options));
    };
    for event in batch {
        let message = Broadcast {
            id: &event.id,
            topic: &event.topic(options),
            event: options.event.as_deref().unwrap_or(&event.event_type),
            payload: &event.payload,
            private: options.private,
        };
        messages::broadcast(session, owner, &message);
    }
}
