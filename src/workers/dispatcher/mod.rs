//! The dispatcher: from the outbox to the receivers and back.
//!
//! Only this process delivers in its database, so an event is not claimed: what is in flight is remembered here, and an event is
//! written once, when its outcome is known. A crash forgets, and delivers again. No transaction is open while a request is on
//! the wire.
//!
//! - [`queue`]: how far each target's queue was walked, and when to look again. - [`fetch`]: due events to jobs.
//! - [`outcomes`]: answers to rows. - [`targets`]: the targets as the HTTP engine wants them.

mod fetch;
mod outcomes;
mod queue;
mod targets;

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_delivery::{Completion, Engine, EngineConfig};

use crate::pg::shmem::{NEVER, Slot, State};
use crate::pg::spi::Tid;
use crate::pg::{server, wake, worker};
use crate::{settings, store, workers};
use outcomes::Outcomes;
use targets::Targets;

/// How often pg_stat_activity is told, at most: writing it is not free.
const SHOW_INTERVAL: Duration = Duration::from_millis(500);
/// How long a dispatcher that is held sleeps at a time.
const HELD_INTERVAL: Duration = Duration::from_secs(60);
/// Pause after a statement of ours had to give way to somebody's lock.
const LOCK_PAUSE: Duration = Duration::from_millis(200);

/// An event between its reading and the writing of its outcome.
pub(crate) struct Flight {
    tid: Tid,
    id: [u8; 16],
    target: u32,
    company: Option<[u8; 16]>,
    retry_count: i32,
    max_retries: i32,
    bytes: usize,
    /// The I/O thread has it; afterwards its outcome waits to be written.
    on_its_way: bool,
}

/// Everything the dispatcher holds.
struct Dispatcher {
    slot: &'static Slot,
    engine: Engine,
    /// What the engine was started with, in words: it cannot be changed while it runs.
    engine_made_from: String,
    targets: Targets,
    flights: HashMap<u64, Flight, queue::Numbers>,
    /// Bodies in flight.
    bytes: usize,
    /// Events the I/O thread has.
    on_their_way: usize,
    outcomes: Outcomes,
    completions: Vec<Completion>,
    rescan_due: Instant,
    locked_until: Option<Instant>,
    /// A lock is being waited for, and the log says so.
    gave_way: bool,
    shown: Option<Shown>,
}

/// What pg_stat_activity was told last.
struct Shown {
    at: Instant,
    text: String,
    busy: bool,
}

/// Why the loop ended.
enum End {
    Asked,
    Failed(worker::Failed),
    EngineDied,
}

/// Entry of the worker.
pub(crate) fn run(database: u32) {
    let Some(slot) = workers::enter(database, |slot| &slot.dispatcher) else {
        return;
    };
    wake::ignore_own_changes();
    store::events::pin_plans();
    // A user's lock on one row must not stall the others.
    worker::set_option(c"lock_timeout", c"500ms");
    let engine = match Engine::start(engine_config()) {
        Ok(engine) => engine,
        Err(error) => {
            log!("tms: the dispatcher could not start its I/O thread: {error}");
            slot.last_error.store(1, Ordering::SeqCst);
            return;
        }
    };
    let mut dispatcher = Dispatcher {
        slot,
        engine,
        engine_made_from: format!("{:?}", engine_config()),
        targets: Targets::default(),
        flights: HashMap::default(),
        bytes: 0,
        on_their_way: 0,
        outcomes: Outcomes::default(),
        completions: Vec::new(),
        rescan_due: Instant::now(),
        locked_until: None,
        gave_way: false,
        shown: None,
    };
    slot.targets_changed.store(true, Ordering::SeqCst);
    let end = dispatcher.deliver();
    dispatcher.finish(&end);
}

fn engine_config() -> EngineConfig {
    EngineConfig {
        threads: settings::io_threads(),
        response_body_limit: settings::response_excerpt_bytes(),
        idle_timeout: settings::idle_connection_timeout(),
        connect_timeout: settings::connect_timeout(),
        completion_batch: 256,
        ..EngineConfig::default()
    }
}

/// Says in the log why a worker ends, with what to do about it.
pub(crate) fn report_failure(kind: &str, failed: &worker::Failed) {
    let hint = match failed.code {
        PgSqlErrorCode::ERRCODE_UNDEFINED_TABLE
        | PgSqlErrorCode::ERRCODE_UNDEFINED_COLUMN
        | PgSqlErrorCode::ERRCODE_UNDEFINED_FUNCTION => {
            "Something the extension needs was dropped or renamed: put it back, or DROP and CREATE EXTENSION tms."
        }
        _ => "The worker starts again after a pause that doubles up to a minute; events are kept meanwhile.",
    };
    ErrorReport::new(
        failed.code,
        format!("tms: the {kind} ends: {}", failed.message),
        "tms",
    )
    .set_hint(hint)
    .report(PgLogLevel::LOG);
}

impl Dispatcher {
    /// The loop: take answers, hand out work, write outcomes, wait.
    fn deliver(&mut self) -> End {
        loop {
            if worker::stopping() || self.slot.must_leave() {
                return End::Asked;
            }
            if !self.engine.is_alive() {
                return End::EngineDied;
            }
            if worker::reload_if_asked() {
                // The launcher looks up this database's own tms.dispatch and tells by the slot's state.
                self.rescan_due = Instant::now();
                if self.engine_made_from != format!("{:?}", engine_config()) {
                    // The launcher starts a dispatcher with the new settings at once.
                    return End::Asked;
                }
            }
            self.slot.counters.wakeups.fetch_add(1, Ordering::Relaxed);
            let result = self.step();
            match result {
                Ok(()) => {}
                Err(failed) if failed.is_passing() => self.give_way(&failed),
                Err(failed) => return End::Failed(failed),
            }
            self.show();
            worker::wait(Some(self.engine.event_fd()), Some(self.pause()));
        }
    }

    fn step(&mut self) -> Result<(), worker::Failed> {
        self.take_answers();
        if self.slot.targets_changed.swap(false, Ordering::SeqCst) {
            self.reload_targets()?;
        }
        // While held, notes are left where they are: commits see that and wake nobody.
        if self.slot.state() == State::Serving {
            self.take_notes();
        }
        if self.locked_until.is_none_or(|until| Instant::now() >= until) {
            self.locked_until = None;
            let held_up = self.gave_way;
            if self.slot.state() == State::Serving {
                self.hand_out()?;
            } else {
                self.withdraw_all();
            }
            self.write_outcomes()?;
            if held_up {
                self.gave_way = false;
                log!("tms: the dispatcher goes on");
            }
        }
        Ok(())
    }

    fn reload_targets(&mut self) -> Result<(), worker::Failed> {
        let loaded = worker::transaction(store::targets::all).inspect_err(|_| {
            self.slot.targets_changed.store(true, Ordering::SeqCst);
        })?;
        let withdrawn = self.targets.load(&self.engine, loaded);
        self.targets.publish(self.slot);
        self.forget(&withdrawn);
        Ok(())
    }

    fn withdraw_all(&mut self) {
        if self.on_their_way > 0 {
            let keys = self.engine.withdraw(None);
            self.forget(&keys);
        }
    }

    /// Jobs that the I/O thread gave back unsent: their rows are as they were.
    fn forget(&mut self, keys: &[u64]) {
        for key in keys {
            if let Some(flight) = self.flights.remove(key) {
                self.on_their_way -= 1;
                self.bytes -= flight.bytes;
                self.targets.gave_back(flight.target);
            }
        }
    }

    /// What commits have told since the last look, and what the clock says.
    fn take_notes(&mut self) {
        let now = server::now();
        if self.slot.rescan.swap(false, Ordering::SeqCst) || Instant::now() >= self.rescan_due {
            self.rescan_due = Instant::now() + settings::rescan_interval();
            self.targets.rescan();
            self.retry_refused();
        }
        if self.slot.special.swap(false, Ordering::SeqCst) {
            self.targets.look_for_special();
        }
        if self.slot.due_noted.swap(false, Ordering::SeqCst) {
            for (bucket, noted) in self.slot.due_from.iter().enumerate() {
                if noted.load(Ordering::Relaxed) != NEVER {
                    let from = noted.swap(NEVER, Ordering::SeqCst);
                    self.targets.noted(bucket, from, now);
                }
            }
        }
        self.targets.clock(now);
    }

    fn pause(&self) -> Duration {
        let mut pause = self.rescan_due.saturating_duration_since(Instant::now());
        if self.slot.state() != State::Serving {
            // Nothing is looked for; a change of state sets the latch.
            pause = HELD_INTERVAL;
        } else if let Some(due) = self.targets.next_due() {
            pause = pause.min(Duration::from_micros(
                u64::try_from(due - server::now()).unwrap_or(0),
            ));
        }
        if let Some(until) = self.locked_until {
            return pause
                .max(until.saturating_duration_since(Instant::now()))
                .min(LOCK_PAUSE);
        }
        if self.outcomes.wait_for_lock() {
            pause.min(LOCK_PAUSE)
        } else {
            pause
        }
    }

    fn give_way(&mut self, failed: &worker::Failed) {
        if !self.gave_way {
            self.gave_way = true;
            log!("tms: the dispatcher gives way: {}", failed.message);
        }
        self.outcomes.careful();
        self.locked_until = Some(Instant::now() + LOCK_PAUSE);
    }

    fn show(&mut self) {
        self.slot
            .counters
            .in_flight
            .store(self.on_their_way as u64, Ordering::Relaxed);
        let text = if self.slot.state() == State::Hold {
            "held by tms.dispatch".to_owned()
        } else if self.on_their_way > 0 {
            format!("delivering: {} events in flight", self.on_their_way)
        } else {
            "waiting for events".to_owned()
        };
        let busy = self.on_their_way > 0;
        let stale = self.shown.as_ref().is_none_or(|shown| {
            // Going to sleep is told at once: the next chance may be minutes away.
            shown.text != text && (shown.busy != busy || shown.at.elapsed() >= SHOW_INTERVAL)
        });
        if stale {
            if busy {
                worker::show_busy(&text)
            } else {
                worker::show_idle(&text)
            }
            self.shown = Some(Shown {
                at: Instant::now(),
                text,
                busy,
            });
        }
    }

    /// No new work, bounded time for what is in flight, outcomes written.
    fn finish(mut self, end: &End) {
        self.withdraw_all();
        let deadline = Instant::now() + settings::shutdown_grace();
        worker::show_busy("stopping: waiting for answers");
        loop {
            self.take_answers();
            if !matches!(end, End::Failed(_)) {
                let _ = self.write_outcomes();
            }
            let waiting = self.on_their_way > 0 && self.engine.is_alive() && !matches!(end, End::Failed(_));
            let left = deadline.saturating_duration_since(Instant::now());
            if !waiting || left.is_zero() {
                break;
            }
            worker::wait(Some(self.engine.event_fd()), Some(left));
        }
        match end {
            End::Asked => {}
            End::Failed(failed) => {
                self.slot.last_error.store(failed.code as i32, Ordering::SeqCst);
                report_failure("dispatcher", failed);
            }
            End::EngineDied => {
                self.slot.last_error.store(1, Ordering::SeqCst);
                log!("tms: the dispatcher ends: its I/O thread died; events in flight are delivered again");
            }
        }
        self.engine.shutdown();
    }
}
