//! The dispatcher: from the outbox to the receivers and back.
//!
//! Only this process delivers in its database, so an event is not claimed: what is in flight is remembered here, and an event is
//! written once, when its outcome is known. A crash forgets, and delivers again. No transaction is open while a request is on
//! the wire.
//!
//! - [`targets`], [`target`], [`route`], [`reread`]: who is sent to, and how.
//! - [`lanes`], [`queue`]: a target's queues, one a company, and how far each was walked.
//! - [`brakes`]: rate, circuit breaker, being held. - [`order`]: whose turn it is within an ordering key.
//! - [`fetch`], [`jobs`]: due events to requests. - [`local`]: due events to messages in the database.
//! - [`judging`]: what answers mean. - [`outcomes`]: outcomes to rows. - [`health`]: what people are shown.

mod brakes;
mod fetch;
mod health;
mod jobs;
mod judging;
mod lanes;
mod local;
mod order;
mod outcomes;
mod queue;
mod reread;
mod route;
mod target;
mod targets;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_delivery::{Completion, Engine, EngineConfig, ProxySpec};

use crate::pg::shmem::{Slot, State};
use crate::pg::spi::Tid;
use crate::pg::{server, spi, wake, worker};
use crate::store::events;
use crate::{settings, store, workers};
use outcomes::Outcomes;
use targets::Targets;

/// Bytes of an answer that its meaning may depend on.
const ENOUGH_TO_JUDGE: usize = 256;
/// How often pg_stat_activity is told, at most: writing it is not free.
const SHOW_INTERVAL: Duration = Duration::from_millis(500);
/// How long a dispatcher that is held sleeps at a time.
const HELD_INTERVAL: Duration = Duration::from_secs(60);
/// Of so many parts of the time, looking through everything takes one at most.
const RESCAN_SHARE: u32 = 1000;
/// But it comes at least so often.
const LONGEST_RESCAN_INTERVAL: Duration = Duration::from_secs(60);
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
    /// Its ordering key.
    key: Option<order::Key>,
    bytes: usize,
    /// The I/O thread has it; afterwards its outcome waits to be written.
    on_its_way: bool,
}

/// Everything the dispatcher holds.
struct Dispatcher {
    slot: &'static Slot,
    engine: Engine,
    /// What the engine was started with: it cannot be changed while it runs.
    engine_made_from: EngineConfig,
    targets: Targets,
    /// They were changed since they were read.
    targets_stale: bool,
    keys: order::Keys,
    /// What events of this database say they come from.
    source: String,
    /// Targets that have something and may not be sent it now.
    braked: Vec<u32>,
    /// How many places each of the targets that have something to send has, if all have as many.
    share: usize,
    /// More rows were due than one look is to see.
    is_behind: bool,
    /// Targets to pause, with the reason.
    to_pause: Vec<(std::sync::Arc<str>, String)>,
    told: health::Shown,
    flights: HashMap<u64, Flight, queue::Numbers>,
    /// Bodies in flight.
    bytes: usize,
    /// Events the I/O thread has.
    on_their_way: usize,
    outcomes: Outcomes,
    completions: Vec<Completion>,
    rescan_due: Instant,
    rescan_began: Option<Instant>,
    rescan_took: Duration,
    /// What the clock said last, and the latest it ever said.
    last_now: i64,
    latest_now: i64,
    /// The clock was set back, or may have been while nobody looked.
    clock_is_back: bool,
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
            report_engine(error);
            slot.last_error.store(1, Ordering::SeqCst);
            return;
        }
    };
    let mut dispatcher = Dispatcher {
        slot,
        engine,
        engine_made_from: engine_config(),
        targets: Targets::default(),
        targets_stale: true,
        keys: order::Keys::default(),
        source: worker::transaction(jobs::source).unwrap_or_default(),
        braked: Vec::new(),
        share: 0,
        is_behind: false,
        to_pause: Vec::new(),
        told: health::Shown::default(),
        flights: HashMap::default(),
        bytes: 0,
        on_their_way: 0,
        outcomes: Outcomes::default(),
        completions: Vec::new(),
        rescan_due: Instant::now(),
        rescan_began: None,
        rescan_took: Duration::ZERO,
        last_now: i64::MIN,
        latest_now: i64::MIN,
        clock_is_back: true,
        locked_until: None,
        gave_way: false,
        shown: None,
    };
    let end = dispatcher.deliver();
    dispatcher.finish(&end);
}

/// Says in the log why the I/O threads cannot start.
fn report_engine(problem: tms_domain::problem::Problem) {
    let mut report = ErrorReport::new(
        PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
        format!(
            "tms: the dispatcher cannot start its I/O threads: {}",
            problem.message
        ),
        "tms",
    );
    if let Some(detail) = problem.detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = problem.hint {
        report = report.set_hint(hint);
    }
    report.report(PgLogLevel::LOG);
}

fn engine_config() -> EngineConfig {
    EngineConfig {
        threads: settings::io_threads(),
        // What Slack and n8n say in a few words decides what an answer means, whatever is recorded of it.
        response_body_limit: settings::response_excerpt_bytes().max(ENOUGH_TO_JUDGE),
        idle_timeout: settings::idle_connection_timeout(),
        connect_timeout: settings::connect_timeout(),
        completion_batch: 256,
        proxy: settings::http_proxy().map(|url| ProxySpec {
            url,
            no_proxy: settings::no_proxy()
                .map(|list| list.split(',').map(|entry| entry.trim().to_owned()).collect())
                .unwrap_or_default(),
        }),
        ca_file: settings::tls_ca_file(),
        client_certificate: settings::tls_client_files(),
        dns_cache: settings::dns_cache(),
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
                if self.engine_made_from != engine_config() {
                    // The launcher starts a dispatcher with the new settings at once.
                    return End::Asked;
                }
            }
            self.slot.counters.wakeups.fetch_add(1, Ordering::Relaxed);
            match self.step() {
                Ok(()) => {}
                Err(failed) if failed.is_passing() => self.give_way(&failed),
                Err(failed) => return End::Failed(failed),
            }
            self.show();
            self.show_targets();
            worker::wait(Some(self.engine.event_fd()), Some(self.pause()));
        }
    }

    fn step(&mut self) -> Result<(), worker::Failed> {
        self.take_answers();
        self.reread_targets()?;
        // While held, notes are left where they are: commits see that and wake nobody.
        if self.slot.state() == State::Serving {
            self.take_notes();
        }
        if self.locked_until.is_none_or(|until| Instant::now() >= until) {
            self.locked_until = None;
            let held_up = self.gave_way;
            self.braked.clear();
            self.is_behind = false;
            if self.slot.state() == State::Serving {
                self.catch_up_with_clock()?;
                self.hand_out()?;
                self.note_rescan_end();
            } else {
                self.withdraw_all();
            }
            self.write_outcomes()?;
            self.pause_gone()?;
            if self.slot.state() == State::Serving && self.keys.has_ready() {
                self.hand_out()?;
            }
            if held_up {
                self.gave_way = false;
                log!("tms: the dispatcher goes on");
            }
        }
        Ok(())
    }

    fn withdraw_all(&mut self) {
        if self.on_their_way > 0 {
            let keys = self.engine.withdraw(None);
            self.forget(&keys);
        }
    }

    /// Jobs that the I/O thread gave back unsent: their rows are as they were, where a walk has passed them.
    fn forget(&mut self, keys: &[u64]) {
        let mut passed = HashSet::new();
        for key in keys {
            if let Some(flight) = self.flights.remove(key) {
                self.on_their_way -= 1;
                self.bytes -= flight.bytes;
                passed.insert(flight.target);
                if let Some(target) = self.targets.get_mut(flight.target) {
                    target.gave_back(flight.company);
                }
                if let Some(of) = flight.key {
                    self.keys.gave_back(of, key.cast_signed());
                }
            }
        }
        for id in passed {
            if let Some(target) = self.targets.get_mut(id) {
                target.rescan();
            }
        }
    }

    /// What commits have told since the last look, and what the clock says.
    fn take_notes(&mut self) {
        let now = server::now();
        let is_back = now < self.last_now;
        self.last_now = now;
        self.latest_now = self.latest_now.max(now);
        self.clock_is_back |= is_back;
        // One that the clock asks for does not cut short the one that is under way.
        let is_time = self.rescan_began.is_none() && Instant::now() >= self.rescan_due;
        if self.slot.rescan.swap(false, Ordering::SeqCst) || is_back || is_time {
            self.rescan_due = Instant::now() + self.rescan_interval();
            self.rescan_began = Some(Instant::now());
            self.targets.rescan();
            self.keys.forget();
            self.retry_refused();
        }
        if self.slot.due_noted.swap(false, Ordering::SeqCst) {
            let targets = &mut self.targets;
            let is_back = &mut self.clock_is_back;
            let is_behind = now < self.latest_now;
            self.slot.lanes.take(|lane| {
                // Due when it was enqueued, and not yet due: its transaction began before the clock was set back. Of a special
                // one that is not known, but only while the clock has not come again to where it was.
                *is_back |= lane.from > now && (is_behind || !lane.is_special);
                targets.noted(&lane, now);
            });
            if self.slot.lanes_missed.swap(false, Ordering::SeqCst) {
                targets.missed(self.slot, now);
            }
        }
        self.targets.clock(now);
    }

    /// What was due at once before the clock was set back is due at once.
    fn catch_up_with_clock(&mut self) -> Result<(), worker::Failed> {
        if !self.clock_is_back {
            return Ok(());
        }
        let now = server::now();
        let moved =
            worker::transaction(|| spi::connect(|session| events::catch_up_with_clock(session, now)))?;
        self.clock_is_back = false;
        if moved > 0 {
            log!("tms: the clock was set back: {moved} events that were due are due now");
            self.targets.rescan();
        }
        Ok(())
    }

    /// A look through everything has come to its end, unless more is due than one look is to see.
    fn note_rescan_end(&mut self) {
        if let (false, Some(began)) = (self.is_behind, self.rescan_began) {
            self.rescan_began = None;
            self.rescan_took = began.elapsed();
            self.rescan_due = self.rescan_due.max(Instant::now() + self.rescan_interval());
        }
    }

    /// Looking through everything must not take more than a small share of the time: rows that are finished and cannot be vacuumed
    /// make it slow.
    fn rescan_interval(&self) -> Duration {
        let wanted = settings::rescan_interval();
        (self.rescan_took * RESCAN_SHARE).clamp(wanted, wanted.max(LONGEST_RESCAN_INTERVAL))
    }

    fn pause(&mut self) -> Duration {
        let mut pause = self.rescan_due.saturating_duration_since(Instant::now());
        if self.slot.state() != State::Serving {
            // Nothing is looked for; a change of state sets the latch.
            pause = HELD_INTERVAL;
        } else if self.is_behind {
            pause = Duration::ZERO;
        } else if let Some(due) = self.targets.next_due() {
            pause = pause.min(Duration::from_micros(
                u64::try_from(due - server::now()).unwrap_or(0),
            ));
        }
        for id in &self.braked {
            let target = self.targets.get_mut(*id);
            if let Some(change) = target.and_then(|target| target.brakes.next_change()) {
                pause = pause.min(change.saturating_duration_since(Instant::now()));
            }
        }
        if let Some(due) = self.told.due_in() {
            pause = pause.min(due);
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
