//! The launcher: finds the databases that have the extension and keeps a dispatcher and a scheduler alive in each.
//!
//! It is connected to no database. It is told of CREATE and DROP of extensions and databases by hooks, and looks at the list of
//! databases once a minute all the same. A database whose workers fail is tried again after a pause that doubles.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use crate::pg::shmem::{self, Shared, Slot, State};
use crate::pg::worker::{self, Life, Started};
use crate::pg::{catalog, server};
use crate::workers;

/// How often the list of databases is read without being told to.
const LIST_INTERVAL: Duration = Duration::from_secs(60);
/// How often something that is under way (a probe, a start, a leave) is looked at.
const BUSY_INTERVAL: Duration = Duration::from_millis(100);
/// A worker that ran this long is taken to be healthy.
const HEALTHY_AFTER: Duration = Duration::from_secs(60);
/// Longest pause before a failing database is tried again.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// How long a database keeps its workers when others wait for a place.
const TURN: Duration = Duration::from_secs(30);

/// What the launcher holds of one database; the rest is in shared memory.
#[derive(Default)]
struct Database {
    probe: Option<Started>,
    dispatcher: Option<(Started, Instant)>,
    scheduler: Option<(Started, Instant)>,
    /// Not before this time: a pause after a failure, or another database's turn.
    not_before: Option<Instant>,
    /// The last complaint that was logged, so that it is logged once.
    complained_of: Option<State>,
}

impl Database {
    /// Nothing of it runs.
    fn is_idle(&self) -> bool {
        self.probe.is_none() && self.dispatcher.is_none() && self.scheduler.is_none()
    }
}

/// Entry of the worker.
pub(crate) fn run() {
    worker::attach(0);
    let Some(shared) = shmem::shared() else { return };
    worker::occupy(&shared.launcher);
    log!("tms {}: launcher started", crate::VERSION);
    // Whatever an earlier launcher knew is gone with it.
    for slot in used(shared) {
        slot.probe_wanted.store(true, Ordering::SeqCst);
    }
    let mut databases: HashMap<u32, Database> = HashMap::new();
    let mut absent: HashSet<u32> = HashSet::new();
    let mut list_due = Instant::now();
    while !worker::stopping() {
        if worker::reload_if_asked() {
            // tms.dispatch may have another value in any database.
            for slot in used(shared) {
                slot.probe_wanted.store(true, Ordering::SeqCst);
            }
        }
        if shared.list_changed.swap(false, Ordering::SeqCst) || Instant::now() >= list_due {
            if shared.look_everywhere.swap(false, Ordering::SeqCst) {
                absent.clear();
            }
            read_list(shared, &mut databases, &mut absent);
            list_due = Instant::now() + LIST_INTERVAL;
        }
        let mut next = list_due.saturating_duration_since(Instant::now());
        for slot in used(shared) {
            let database = databases.entry(slot.database.load(Ordering::SeqCst)).or_default();
            next = next.min(tend(slot, database));
        }
        if release_absent(shared, &mut databases, &mut absent) {
            // Another database may have waited for a slot.
            shared.list_changed.store(true, Ordering::SeqCst);
            next = Duration::ZERO;
        }
        take_turns(shared, &mut databases);
        show(shared);
        shared.launcher_wakeups.fetch_add(1, Ordering::Relaxed);
        worker::wait(None, Some(next));
    }
    // Not 0: that would tell the postmaster that the launcher is not wanted any more.
    worker::exit(1)
}

fn used(shared: &'static Shared) -> impl Iterator<Item = &'static Slot> {
    shared
        .slots
        .iter()
        .filter(|slot| slot.database.load(Ordering::SeqCst) != 0)
}

/// A slot is for a database that has the extension; the others are only remembered. True when that lets another one in.
fn release_absent(
    shared: &'static Shared,
    databases: &mut HashMap<u32, Database>,
    absent: &mut HashSet<u32>,
) -> bool {
    let mut released = false;
    for slot in used(shared).filter(|slot| slot.state() == State::Absent && slot.is_empty()) {
        let oid = slot.database.load(Ordering::SeqCst);
        let looked_into = !slot.probe_wanted.load(Ordering::SeqCst);
        if looked_into && databases.get(&oid).is_some_and(Database::is_idle) {
            absent.insert(oid);
            databases.remove(&oid);
            slot.release();
            released = true;
        }
    }
    released && shared.databases_without_slot.load(Ordering::SeqCst) > 0
}

/// Gives new databases a slot, and takes back those of databases that are gone.
fn read_list(shared: &'static Shared, databases: &mut HashMap<u32, Database>, absent: &mut HashSet<u32>) {
    let Ok(present) = worker::transaction(catalog::databases) else {
        return;
    };
    absent.retain(|oid| present.contains(oid));
    for slot in used(shared) {
        let oid = slot.database.load(Ordering::SeqCst);
        if present.contains(&oid) {
            continue;
        }
        if slot.is_empty() {
            slot.release();
            databases.remove(&oid);
        } else {
            // It became a template, or closed to connections.
            slot.set_state(State::Absent);
            slot.wake_workers();
        }
    }
    let mut without_slot = 0;
    for oid in present {
        if absent.contains(&oid) || shared.slot(oid).is_some() {
            continue;
        }
        match shared
            .slots
            .iter()
            .find(|slot| slot.database.load(Ordering::SeqCst) == 0)
        {
            Some(slot) => slot.assign(oid),
            None => without_slot += 1,
        }
    }
    if shared.databases_without_slot.swap(without_slot, Ordering::SeqCst) == 0 && without_slot > 0 {
        log!(
            "tms: {without_slot} databases more than the {} that one server's launcher looks after",
            shmem::DATABASES
        );
    }
}

/// Moves one database a step on; answers when it wants to be looked at again.
fn tend(slot: &Slot, database: &mut Database) -> Duration {
    let wait = step(slot, database);
    // What was asked for in the meantime must not wait for the next look at the list.
    let unfinished =
        slot.probe_wanted.load(Ordering::SeqCst) || matches!(slot.state(), State::Leaving | State::NoSlot);
    if unfinished {
        wait.min(BUSY_INTERVAL.max(pause(database).unwrap_or_default()))
    } else {
        wait
    }
}

fn step(slot: &Slot, database: &mut Database) -> Duration {
    note_ends(slot, database);
    if gone_asker(slot) {
        slot.leave_for.store(0, Ordering::SeqCst);
        slot.probe_wanted.store(true, Ordering::SeqCst);
    }
    if slot.leave_for.load(Ordering::SeqCst) != 0 {
        slot.set_state(State::Leaving);
        slot.wake_workers();
        return BUSY_INTERVAL;
    }
    if has_orphans(slot, database) {
        slot.set_state(State::Leaving);
        slot.wake_workers();
        return BUSY_INTERVAL;
    }
    if let Some(wait) = pause(database) {
        return wait;
    }
    if let Some(probe) = &database.probe {
        if probe.life() != Life::Ended {
            return BUSY_INTERVAL;
        }
        database.probe = None;
        if slot.state() == State::Unknown {
            // The look ended without an answer: the database went away, or refuses connections.
            slot.set_state(State::Failing);
            if let Some(shared) = shmem::shared() {
                shared.list_changed.store(true, Ordering::SeqCst);
            }
        }
        slot.wake_workers();
    } else if slot.probe_wanted.swap(false, Ordering::SeqCst)
        || matches!(slot.state(), State::Leaving | State::NoSlot)
    {
        return send_probe(slot, database);
    }
    complain(slot, database);
    match slot.state() {
        State::Serving | State::Hold => keep_alive(slot, database),
        State::Failing => fail(slot, database),
        _ => LIST_INTERVAL,
    }
}

/// Workers that an earlier launcher started: two dispatchers would deliver everything twice, so these go first.
fn has_orphans(slot: &Slot, database: &Database) -> bool {
    let orphan = |ours: bool, place: &shmem::Process| {
        let pid = place.pid();
        !ours && pid != 0 && server::is_live_backend(pid)
    };
    orphan(database.dispatcher.is_some(), &slot.dispatcher)
        || orphan(database.scheduler.is_some(), &slot.scheduler)
}

fn gone_asker(slot: &Slot) -> bool {
    let asker = slot.leave_for.load(Ordering::SeqCst);
    asker != 0 && !server::is_live_backend(asker)
}

fn pause(database: &mut Database) -> Option<Duration> {
    let until = database.not_before?;
    let wait = until.saturating_duration_since(Instant::now());
    if wait.is_zero() {
        database.not_before = None;
        return None;
    }
    Some(wait)
}

fn send_probe(slot: &Slot, database: &mut Database) -> Duration {
    if slot.is_empty() {
        slot.set_state(State::Unknown);
    }
    database.probe = worker::start(
        workers::PROBE,
        "tms_probe_main",
        slot.database.load(Ordering::SeqCst),
    );
    if database.probe.is_none() && slot.is_empty() {
        no_slot(slot, database);
    } else if database.probe.is_none() {
        // Workers that run need no slot: they stay, and the look comes when there is room for it.
        slot.probe_wanted.store(true, Ordering::SeqCst);
        database.not_before = Some(Instant::now() + Duration::from_secs(1));
    }
    BUSY_INTERVAL
}

fn no_slot(slot: &Slot, database: &mut Database) {
    slot.set_state(State::NoSlot);
    database.not_before = Some(Instant::now() + Duration::from_secs(1));
    complain(slot, database);
}

/// Starts what does not run.
fn keep_alive(slot: &Slot, database: &mut Database) -> Duration {
    let oid = slot.database.load(Ordering::SeqCst);
    if database.dispatcher.is_none() {
        database.dispatcher = worker::start(workers::DISPATCHER, "tms_dispatcher_main", oid)
            .map(|started| (started, Instant::now()));
    }
    if database.dispatcher.is_some() && database.scheduler.is_none() {
        database.scheduler = worker::start(workers::SCHEDULER, "tms_scheduler_main", oid)
            .map(|started| (started, Instant::now()));
    }
    if database.dispatcher.is_none() {
        no_slot(slot, database);
        return BUSY_INTERVAL;
    }
    if database.scheduler.is_none() {
        Duration::from_secs(1)
    } else {
        LIST_INTERVAL
    }
}

/// Takes note of workers that ended. Whatever the reason, the database is looked into before they are started again.
fn note_ends(slot: &Slot, database: &mut Database) {
    let mut ended = Vec::new();
    let delivered = database.dispatcher.is_some();
    for worker in [&mut database.dispatcher, &mut database.scheduler] {
        if let Some((_, since)) = worker.take_if(|(started, _)| started.life() == Life::Ended) {
            ended.push(since);
        }
    }
    let Some(since) = ended.into_iter().min() else {
        return;
    };
    slot.probe_wanted.store(true, Ordering::SeqCst);
    if slot.last_error.load(Ordering::SeqCst) == 0 {
        return;
    }
    slot.last_error.store(0, Ordering::SeqCst);
    if since.elapsed() >= HEALTHY_AFTER {
        slot.failures.store(0, Ordering::SeqCst);
    }
    if delivered && database.dispatcher.is_none() {
        // The scheduler alone is worth a pause, not an end of deliveries.
        slot.set_state(State::Failing);
    }
    fail(slot, database);
}

/// The pause before the next try: 1 s, doubled with each failure.
fn fail(slot: &Slot, database: &mut Database) -> Duration {
    let failures = slot.failures.fetch_add(1, Ordering::SeqCst);
    let pause = Duration::from_secs(1 << failures.min(6)).min(LONGEST_PAUSE);
    database.not_before = Some(Instant::now() + pause);
    slot.probe_wanted.store(true, Ordering::SeqCst);
    pause
}

/// When a database waits for a worker slot, the one that has had its workers longest makes room.
fn take_turns(shared: &'static Shared, databases: &mut HashMap<u32, Database>) {
    if !used(shared).any(|slot| slot.state() == State::NoSlot) {
        return;
    }
    let longest = databases
        .iter_mut()
        .filter_map(|(oid, database)| {
            let since = database.dispatcher.as_ref()?.1;
            (since.elapsed() >= TURN).then_some((since, *oid, database))
        })
        .min_by_key(|(since, _, _)| *since);
    let Some((_, oid, database)) = longest else { return };
    if let Some(slot) = shared.slot(oid) {
        slot.set_state(State::NoSlot);
        slot.wake_workers();
        // Long enough for the one that waits to start before this one asks again.
        database.not_before = Some(Instant::now() + Duration::from_secs(5));
    }
}

fn complain(slot: &Slot, database: &mut Database) {
    let state = slot.state();
    if database.complained_of == Some(state) {
        return;
    }
    database.complained_of = Some(state);
    match state {
        State::NoSlot => complain_of_no_slot(slot),
        State::Restored => complain_of_a_copy(slot),
        _ => {}
    }
}

fn complain_of_no_slot(slot: &Slot) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        format!("tms: no worker slot is free for {}", name_of(slot)),
        "tms",
    )
    .set_hint("Raise max_worker_processes: each database with tms needs two, tms itself two more, PostgreSQL one. Until then databases take turns.")
    .report(PgLogLevel::LOG);
}

fn complain_of_a_copy(slot: &Slot) {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("tms: this server began from a backup; nothing is delivered from {}", name_of(slot)),
        "tms",
    )
    .set_hint("If this server takes the place of the original, call SELECT tms_adopt() in that database. If it is a copy beside it, leave it so.")
    .report(PgLogLevel::LOG);
}

/// How the log calls a database.
fn name_of(slot: &Slot) -> String {
    let oid = slot.database.load(Ordering::SeqCst);
    match worker::transaction(|| server::database_name(oid)) {
        Ok(Some(name)) => format!("database \"{name}\""),
        _ => format!("the database with OID {oid}"),
    }
}

fn show(shared: &'static Shared) {
    let serving = used(shared)
        .filter(|slot| matches!(slot.state(), State::Serving | State::Hold))
        .count();
    worker::show_idle(&format!(
        "looking after {serving} of {} databases",
        used(shared).count()
    ));
}
