//! Agents that wait for a task inside `tms_task_claim`: a list in shared memory, so that a commit wakes as many of them as it has
//! tasks for, and no more.
//!
//! Of those who wait for the same line the one who came first is at its front: it is woken first, and it alone looks at the clock.
//! Whoever leaves the front wakes the next, so nothing that was meant for somebody who went away is lost.

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::region::{Lock, Table};
use super::{server, shmem, wake};

/// Sessions that can wait at one time, of all databases.
const MOST: usize = 2_048;

static LOCK: Lock = Lock::new(c"tms_task_waiters");
static HEAD: Table<Head> = Table::new(c"tms task waiters head");
static WAITERS: Table<Waiter> = Table::new(c"tms task waiters");

struct Head {
    /// How many there are: those at the beginning of the table.
    count: u32,
    next_ticket: u64,
}

/// A line of tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Line {
    database: u32,
    /// [`wake::hash`] of the agent's name.
    agent: u64,
    company: Option<[u8; 16]>,
}

impl Line {
    /// The line of an agent for a company, or for the platform, in this database.
    pub(crate) fn of(agent: &str, company: Option<[u8; 16]>) -> Self {
        Self {
            database: server::database(),
            agent: wake::hash(agent),
            company,
        }
    }
}

/// Which lines somebody waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum For {
    /// One.
    One(Line),
    /// Those of every company for the agent of this one.
    All(Line),
}

impl For {
    fn takes(&self, line: &Line) -> bool {
        match self {
            For::One(own) => own == line,
            For::All(any) => any.database == line.database && any.agent == line.agent,
        }
    }

    /// A line it would be woken for.
    fn line(&self) -> &Line {
        match self {
            For::One(line) | For::All(line) => line,
        }
    }
}

#[derive(Clone, Copy)]
struct Waiter {
    pid: i32,
    latch: usize,
    ticket: u64,
    wants: Option<For>,
    is_woken: bool,
}

const NOBODY: Waiter = Waiter {
    pid: 0,
    latch: 0,
    ticket: 0,
    wants: None,
    is_woken: false,
};

thread_local! {
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
    static IS_WAITING: Cell<bool> = const { Cell::new(false) };
}

/// Asks for shared memory.
///
/// # Safety
/// For a hook on shmem_request.
pub(super) unsafe fn request() {
    // SAFETY: by the caller.
    unsafe {
        LOCK.request();
        HEAD.request(1);
        WAITERS.request(MOST);
    }
}

/// Fills it.
///
/// # Safety
/// For a hook on shmem_startup.
pub(super) unsafe fn set_up() {
    // SAFETY: by the caller; the lengths are those that were asked for.
    unsafe {
        LOCK.set_up();
        HEAD.set_up(1, || Head {
            count: 0,
            next_ticket: 0,
        });
        WAITERS.set_up(MOST, || NOBODY);
    }
}

/// The list under its lock.
struct List<'a> {
    head: &'a mut Head,
    places: &'a mut [Waiter],
}

impl List<'_> {
    fn waiters(&mut self) -> &mut [Waiter] {
        let count = (self.head.count as usize).min(self.places.len());
        &mut self.places[..count]
    }

    /// Also where commits see it that need not take the lock.
    fn set_count(&mut self, count: u32) {
        self.head.count = count;
        if let Some(shared) = shmem::shared() {
            shared.waiting_agents.store(count, Ordering::SeqCst);
        }
    }

    fn add(&mut self, wants: For) -> bool {
        let count = self.head.count;
        let Some(place) = self.places.get_mut(count as usize) else {
            return false;
        };
        self.head.next_ticket += 1;
        *place = Waiter {
            pid: server::pid(),
            // SAFETY: reads a variable of this process; the latch of a backend lives in shared memory.
            latch: unsafe { pg_sys::MyLatch } as usize,
            ticket: self.head.next_ticket,
            wants: Some(wants),
            is_woken: false,
        };
        self.set_count(count + 1);
        true
    }

    /// Takes a process out; answers what it waited for if it was woken, or stood at the front.
    fn remove(&mut self, pid: i32) -> Option<For> {
        let place = self.waiters().iter().position(|waiter| waiter.pid == pid)?;
        let gone = self.places[place];
        let passes_on = gone.is_woken || self.is_front(&gone);
        let last = self.head.count - 1;
        self.places[place] = self.places[last as usize];
        self.places[last as usize] = NOBODY;
        self.set_count(last);
        gone.wants.filter(|_| passes_on)
    }

    fn is_front(&mut self, one: &Waiter) -> bool {
        self.waiters()
            .iter()
            .all(|other| other.wants != one.wants || other.ticket >= one.ticket)
    }

    /// Wakes those who came first, `count` of them, among those whom a task of this line serves.
    fn wake(&mut self, line: &Line, count: u32) {
        for _ in 0..count {
            let first = self
                .waiters()
                .iter_mut()
                .filter(|waiter| !waiter.is_woken && waiter.wants.is_some_and(|wants| wants.takes(line)))
                .min_by_key(|waiter| waiter.ticket);
            let Some(first) = first else { return };
            first.is_woken = true;
            // SAFETY: the latch of a backend stays mapped at the same address in every process for as long as the server lives.
            unsafe { pg_sys::SetLatch(first.latch as *mut pg_sys::Latch) }
        }
    }
}

fn with<R>(work: impl FnOnce(&mut List<'_>) -> R) -> Option<R> {
    // SAFETY: under the lock, once at a time.
    LOCK.with(|| unsafe {
        let head = HEAD.values().first_mut()?;
        Some(work(&mut List {
            head,
            places: WAITERS.values(),
        }))
    })
    .flatten()
}

/// So many tasks came into a line.
pub(super) fn wake(line: &Line, count: u32) {
    let is_anybody_there = |shared: &shmem::Shared| shared.waiting_agents.load(Ordering::SeqCst) > 0;
    if shmem::shared().is_some_and(is_anybody_there) {
        with(|list| list.wake(line, count));
    }
}

/// A place among those who wait; whoever lets go of it has left.
pub(crate) struct Waiting {
    wants: For,
}

impl Waiting {
    /// Takes a place; `None` where there is none, or no shared memory. From now on nothing that is committed is missed.
    pub(crate) fn begin(wants: For) -> Option<Self> {
        leave_at_exit();
        let is_in = with(|list| list.add(wants)).unwrap_or(false);
        IS_WAITING.set(is_in);
        is_in.then_some(Self { wants })
    }

    /// Before it looks for tasks again: what is committed from now on wakes it anew.
    pub(crate) fn look(&self) {
        with(|list| {
            let mine = server::pid();
            if let Some(waiter) = list.waiters().iter_mut().find(|waiter| waiter.pid == mine) {
                waiter.is_woken = false;
            }
        });
    }

    /// Whether it is woken already, and whether it is at the front.
    fn standing(&self) -> (bool, bool) {
        with(|list| {
            let mine = server::pid();
            let own = list.waiters().iter().find(|waiter| waiter.pid == mine).copied();
            own.map_or((true, true), |own| (own.is_woken, list.is_front(&own)))
        })
        .unwrap_or((true, true))
    }

    /// Sleeps until it is woken, or for `most`; at the front of those who wait for the same, not longer than `front` either.
    /// Returns when it is worth looking, and lets a cancel or a timeout of the statement through.
    pub(crate) fn sleep(&self, most: Duration, front: Option<Duration>) {
        let end = std::time::Instant::now() + most;
        let early = front.map(|front| std::time::Instant::now() + front);
        loop {
            // SAFETY: resets and waits on this backend's own latch; interrupts are taken in between.
            unsafe { pg_sys::ResetLatch(pg_sys::MyLatch) };
            pgrx::check_for_interrupts!();
            let (is_woken, is_front) = self.standing();
            let now = std::time::Instant::now();
            let until = early.filter(|_| is_front).map_or(end, |early| early.min(end));
            if is_woken || now >= until {
                return;
            }
            let milliseconds = (until - now).as_micros().div_ceil(1000);
            // SAFETY: as above.
            unsafe {
                pg_sys::WaitLatch(
                    pg_sys::MyLatch,
                    (pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH) as i32,
                    i64::try_from(milliseconds).unwrap_or(i64::MAX),
                    pg_sys::PG_WAIT_EXTENSION,
                );
            }
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        debug_assert_eq!(self.wants.line().database, server::database());
        leave();
    }
}

fn leave() {
    if !IS_WAITING.replace(false) {
        return;
    }
    with(|list| {
        if let Some(wanted) = list.remove(server::pid()) {
            list.pass_on(&wanted);
        }
    });
}

impl List<'_> {
    /// What woke somebody who left may be for another one.
    fn pass_on(&mut self, wanted: &For) {
        let next = self
            .waiters()
            .iter_mut()
            .filter(|waiter| !waiter.is_woken && waiter.wants.is_some_and(|wants| overlap(&wants, wanted)))
            .min_by_key(|waiter| waiter.ticket);
        if let Some(next) = next {
            next.is_woken = true;
            // SAFETY: as in wake.
            unsafe { pg_sys::SetLatch(next.latch as *mut pg_sys::Latch) }
        }
    }
}

/// Whether a task may serve both.
fn overlap(one: &For, other: &For) -> bool {
    one.takes(other.line()) || other.takes(one.line())
}

fn leave_at_exit() {
    if !IS_REGISTERED.replace(true) {
        // SAFETY: the callback is a static function without an argument.
        unsafe { pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0)) }
    }
}

/// A session that is terminated while it waits does not unwind.
#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: pg_sys::Datum) {
    leave();
}
