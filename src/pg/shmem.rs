//! What all processes share: one slot a database, with the notes that wake its dispatcher and what its workers say of themselves.
//!
//! Everything in here is an atomic, so that commit callbacks can write it without a lock that could fail. The launcher alone
//! gives slots to databases and takes them back.

use std::sync::atomic::{
    AtomicBool, AtomicI32, AtomicI64, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering,
};

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::lanes::Lanes;

/// Databases with the extension that one server can serve.
pub(crate) const DATABASES: usize = 64;
/// Targets are noted by a hash of their name; two targets in one bucket only cost a look too many.
pub(crate) const BUCKETS: usize = 256;
/// "Nothing noted" in a bucket.
pub(crate) const NEVER: i64 = i64::MAX;

/// A process that can be woken: its pid, and its latch in shared memory.
#[derive(Default)]
pub(crate) struct Process {
    pid: AtomicI32,
    latch: AtomicUsize,
}

impl Process {
    /// This process takes the place.
    pub(crate) fn enter(&self) {
        // SAFETY: reads a variable of this process; the latch of a backend lives in shared memory.
        self.latch
            .store(unsafe { pg_sys::MyLatch } as usize, Ordering::SeqCst);
        self.pid.store(super::server::pid(), Ordering::SeqCst);
    }

    /// The place is empty again; safe to call at exit, when it may already belong to a successor.
    pub(crate) fn leave(&self) {
        let mine = super::server::pid();
        if self
            .pid
            .compare_exchange(mine, 0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            self.latch.store(0, Ordering::SeqCst);
        }
    }

    /// Process id; 0 when nobody is there.
    pub(crate) fn pid(&self) -> i32 {
        self.pid.load(Ordering::SeqCst)
    }

    /// Sets the latch, if somebody is there. A process that left in between is woken for nothing, as in PostgreSQL itself.
    pub(crate) fn wake(&self) {
        let latch = self.latch.load(Ordering::SeqCst);
        if latch != 0 {
            // SAFETY: the address is that of a latch in shared memory, which stays mapped at the same address in every process
            // of this server (tms does not support EXEC_BACKEND) for as long as the server lives.
            unsafe { pg_sys::SetLatch(latch as *mut pg_sys::Latch) }
        }
    }
}

/// What the launcher knows of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum State {
    /// Not looked at yet.
    Unknown = 0,
    /// The extension is not there.
    Absent = 1,
    /// Workers run, or are about to.
    Serving = 2,
    /// tms.dispatch is hold: workers run, nothing is sent.
    Hold = 3,
    /// tms.dispatch is off: no workers.
    Off = 4,
    /// Library and SQL have different versions: no workers.
    VersionMismatch = 5,
    /// max_worker_processes leaves no room: waiting for a turn.
    NoSlot = 6,
    /// A worker ended with an error: waiting before the next try.
    Failing = 7,
    /// Somebody drops, renames, moves or copies the database, or changes the extension.
    Leaving = 8,
    /// The server began as a copy of another one, and nobody has adopted the database here: no workers.
    Restored = 9,
}

impl State {
    /// The state a number stands for.
    pub(crate) fn of(number: u8) -> State {
        [
            State::Unknown,
            State::Absent,
            State::Serving,
            State::Hold,
            State::Off,
            State::VersionMismatch,
            State::NoSlot,
            State::Failing,
            State::Leaving,
            State::Restored,
        ]
        .into_iter()
        .find(|state| *state as u8 == number)
        .unwrap_or(State::Unknown)
    }
}

/// Counters of a dispatcher since the server started.
#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) delivered: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) dead: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) wakeups: AtomicU64,
}

/// Decisions of agents' policies that wait for the scheduler to write them down.
#[derive(Default)]
pub(crate) struct Decisions {
    /// There are some. Set by whoever puts the first one there, which wakes the scheduler.
    pub(crate) noted: AtomicBool,
    /// There are many: they should not wait.
    pub(crate) urgent: AtomicBool,
    /// Denials that were lost for want of room since the server started.
    pub(crate) dropped_denials: AtomicU64,
    /// The same of calls that were allowed or asked about.
    pub(crate) dropped_others: AtomicU64,
}

/// Budgets of agents that wait for the scheduler.
#[derive(Default)]
pub(crate) struct Budgets {
    /// A session waits for a part of one.
    pub(crate) asked: AtomicBool,
    /// There are figures to write down.
    pub(crate) noted: AtomicBool,
}

/// One database.
pub(crate) struct Slot {
    /// OID of the database; 0: the slot is free.
    pub(crate) database: AtomicU32,
    /// A [`State`].
    state: AtomicU8,
    /// Set by whoever changes something the launcher must look at.
    pub(crate) probe_wanted: AtomicBool,
    /// The backend that asked the workers to leave; 0: nobody.
    pub(crate) leave_for: AtomicI32,
    pub(crate) dispatcher: Process,
    pub(crate) scheduler: Process,
    /// Which lanes got something since the dispatcher looked.
    pub(crate) lanes: Lanes,
    /// For lanes that found no place in `lanes`: the earliest available_at of a bucket's targets.
    pub(crate) due_from: [AtomicI64; BUCKETS],
    /// Whether a bucket has a target that is served. Commits for the others wake nobody: when such a target is resumed or
    /// created, its queue is looked through anyway.
    pub(crate) served: [AtomicBool; BUCKETS],
    /// Something is in `lanes` or in `due_from`.
    pub(crate) due_noted: AtomicBool,
    /// Something in `due_from` is not [`NEVER`]: lanes must be looked for in the table.
    pub(crate) lanes_missed: AtomicBool,
    /// The queue was changed by hand or by COMMIT PREPARED: look at all of it.
    pub(crate) rescan: AtomicBool,
    /// A target changed.
    pub(crate) targets_changed: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) scheduler_wakeups: AtomicU64,
    pub(crate) decisions: Decisions,
    /// When the scheduler looks at tasks next: it sets it, and commits that know of something earlier lower it.
    pub(crate) tasks_due: AtomicI64,
    /// Tasks came into a line since those who LISTEN were told.
    pub(crate) tasks_news: AtomicBool,
    pub(crate) budgets: Budgets,
    /// How often a worker of this database ended with an error since it last ran for a minute.
    pub(crate) failures: AtomicU32,
    /// The log says that library and extension do not fit.
    pub(crate) mismatch_told: AtomicBool,
    /// SQLSTATE of the last such error in PostgreSQL's packed form; 0: none.
    pub(crate) last_error: AtomicI32,
}

impl Slot {
    /// The state as it was last set.
    pub(crate) fn state(&self) -> State {
        State::of(self.state.load(Ordering::SeqCst))
    }

    /// Sets the state.
    pub(crate) fn set_state(&self, state: State) {
        self.state.store(state as u8, Ordering::SeqCst);
    }

    /// Whether the workers must go: asked to, or not to be there at all.
    pub(crate) fn must_leave(&self) -> bool {
        self.leave_for.load(Ordering::SeqCst) != 0 || !matches!(self.state(), State::Serving | State::Hold)
    }

    /// Whether both workers have gone.
    pub(crate) fn is_empty(&self) -> bool {
        self.dispatcher.pid() == 0 && self.scheduler.pid() == 0
    }

    /// Wakes both workers.
    pub(crate) fn wake_workers(&self) {
        self.dispatcher.wake();
        self.scheduler.wake();
    }

    /// Gives the slot to a database, with nothing noted.
    pub(crate) fn assign(&self, database: u32) {
        for bucket in &self.due_from {
            bucket.store(NEVER, Ordering::SeqCst);
        }
        self.lanes.take(|_| {});
        self.lanes_missed.store(false, Ordering::SeqCst);
        self.due_noted.store(false, Ordering::SeqCst);
        self.rescan.store(false, Ordering::SeqCst);
        self.leave_for.store(0, Ordering::SeqCst);
        self.failures.store(0, Ordering::SeqCst);
        self.last_error.store(0, Ordering::SeqCst);
        self.mismatch_told.store(false, Ordering::SeqCst);
        for counter in [
            &self.counters.delivered,
            &self.counters.failed,
            &self.counters.dead,
            &self.counters.in_flight,
            &self.decisions.dropped_denials,
            &self.decisions.dropped_others,
        ] {
            counter.store(0, Ordering::SeqCst);
        }
        self.set_state(State::Unknown);
        self.probe_wanted.store(true, Ordering::SeqCst);
        self.database.store(database, Ordering::SeqCst);
    }

    /// Gives the slot back: the database is gone, or the extension in it.
    pub(crate) fn release(&self) {
        let database = self.database.swap(0, Ordering::SeqCst);
        super::journal::forget(database);
        super::budgets::forget(database);
        self.set_state(State::Unknown);
    }
}

/// The whole of it.
pub(crate) struct Shared {
    pub(crate) launcher: Process,
    /// A database was created or dropped, or an extension: the launcher looks at the list.
    pub(crate) list_changed: AtomicBool,
    /// An extension came or went in a database without a slot: those known not to have ours are looked into again.
    pub(crate) look_everywhere: AtomicBool,
    pub(crate) launcher_wakeups: AtomicU64,
    /// Databases found with the extension for which there was no slot.
    pub(crate) databases_without_slot: AtomicU32,
    /// Sessions that wait for a task, of all databases.
    pub(crate) waiting_agents: AtomicU32,
    pub(crate) slots: [Slot; DATABASES],
}

impl Shared {
    /// The slot of a database.
    pub(crate) fn slot(&self, database: u32) -> Option<&Slot> {
        (database != 0)
            .then(|| {
                self.slots
                    .iter()
                    .find(|slot| slot.database.load(Ordering::SeqCst) == database)
            })
            .flatten()
    }

    /// Has the launcher look at a database again.
    pub(crate) fn ask_for_probe(&self, database: u32) {
        match self.slot(database) {
            Some(slot) => slot.probe_wanted.store(true, Ordering::SeqCst),
            None => self.look_everywhere.store(true, Ordering::SeqCst),
        }
        self.list_changed.store(true, Ordering::SeqCst);
        self.launcher.wake();
    }
}

static SHARED: AtomicPtr<Shared> = AtomicPtr::new(std::ptr::null_mut());
static PREVIOUS_REQUEST: Hook<unsafe extern "C-unwind" fn()> = Hook::new();
static PREVIOUS_STARTUP: Hook<unsafe extern "C-unwind" fn()> = Hook::new();

/// The hook that was installed before ours; written once, by the process that installs hooks.
pub(crate) struct Hook<F>(std::sync::OnceLock<Option<F>>);

impl<F: Copy> Hook<F> {
    pub(crate) const fn new() -> Self {
        Self(std::sync::OnceLock::new())
    }
    pub(crate) fn keep(&self, previous: Option<F>) {
        self.0.get_or_init(|| previous);
    }
    pub(crate) fn previous(&self) -> Option<F> {
        self.0.get().copied().flatten()
    }
}

/// Shared memory, or `None` when the library was not preloaded.
pub(crate) fn shared() -> Option<&'static Shared> {
    // SAFETY: the pointer is NULL or that of the structure set up by `on_startup`, which lives as long as the server.
    unsafe { SHARED.load(Ordering::SeqCst).as_ref() }
}

/// The slot of this process's database.
pub(crate) fn my_slot() -> Option<&'static Slot> {
    shared()?.slot(super::server::database())
}

/// Installs the hooks that ask for shared memory and set it up.
pub(crate) fn register() {
    // SAFETY: hooks are plain globals, changed by the postmaster while it loads libraries.
    unsafe {
        PREVIOUS_REQUEST.keep(pg_sys::shmem_request_hook);
        pg_sys::shmem_request_hook = Some(on_request);
        PREVIOUS_STARTUP.keep(pg_sys::shmem_startup_hook);
        pg_sys::shmem_startup_hook = Some(on_startup);
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_request() {
    // SAFETY: the previous hook is called as PostgreSQL would have called it.
    unsafe {
        if let Some(previous) = PREVIOUS_REQUEST.previous() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        pg_sys::RequestAddinShmemSpace(size_of::<Shared>());
        super::limits::request();
        super::budgets::request();
        super::journal::request();
        super::task_waiters::request();
    }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_startup() {
    // SAFETY: the postmaster runs this alone, before any child exists, also after a crash; so no lock is needed, and the region is
    // of the size that was asked for. All-zero bytes are a valid Shared: every field is an atomic integer or boolean.
    unsafe {
        if let Some(previous) = PREVIOUS_STARTUP.previous() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous());
        }
        let mut found = false;
        let region =
            pg_sys::ShmemInitStruct(c"tms".as_ptr(), size_of::<Shared>(), &raw mut found).cast::<Shared>();
        if !found {
            region.write_bytes(0, 1);
        }
        SHARED.store(region, Ordering::SeqCst);
        super::limits::set_up();
        super::budgets::set_up();
        super::journal::set_up();
        super::task_waiters::set_up();
    }
}
