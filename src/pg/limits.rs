//! The limits of agents in shared memory: [`Ledger`] under a lock, and what happens to a session's reservations when it ends.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use pgrx::pg_sys;
use pgrx::prelude::*;
use tms_domain::policy::ledger::{
    Account, Accounts, Claim, Counts, Entry, Ledger, Limits, Refusal, Reservation, Scope, key,
};

use super::region::{Lock, Table};
use super::{budgets, server};
use crate::settings;

static LOCK: Lock = Lock::new(c"tms_policy_limits");
static COUNTS: Table<Counts> = Table::new(c"tms policy limits");
static HEADS: Table<u32> = Table::new(c"tms policy buckets");
static ENTRIES: Table<Entry> = Table::new(c"tms policy agents");
static RESERVATIONS: Table<Reservation> = Table::new(c"tms policy reservations");
static ACCOUNT_HEADS: Table<u32> = Table::new(c"tms policy account buckets");
static ACCOUNTS: Table<Account> = Table::new(c"tms policy accounts");

/// Reservations a session remembers before it looks which of them are over.
const FEW: usize = 64;

thread_local! {
    // What this session took, to give it back when it ends; some of it may be over.
    static TAKEN: RefCell<Vec<[u8; 16]>> = const { RefCell::new(Vec::new()) };
    static LOOK_AT: Cell<usize> = const { Cell::new(FEW) };
    static IS_REGISTERED: Cell<bool> = const { Cell::new(false) };
}

/// Around midnight an agent has calls of two days.
fn max_accounts() -> usize {
    2 * settings::max_policy_agents()
}

/// Asks for shared memory.
///
/// # Safety
/// For a hook on shmem_request.
pub(super) unsafe fn request() {
    // SAFETY: by the caller.
    unsafe {
        LOCK.request();
        COUNTS.request(1);
        HEADS.request(settings::max_policy_agents());
        ENTRIES.request(settings::max_policy_agents());
        RESERVATIONS.request(settings::max_reservations());
        ACCOUNT_HEADS.request(max_accounts());
        ACCOUNTS.request(max_accounts());
    }
}

/// Fills it; also after a crash, which is when everything is given back.
///
/// # Safety
/// For a hook on shmem_startup.
pub(super) unsafe fn set_up() {
    // SAFETY: by the caller; the lengths are those that were asked for, which change with a new server only.
    unsafe {
        LOCK.set_up();
        COUNTS.set_up(1, || Counts::EMPTY);
        HEADS.set_up(settings::max_policy_agents(), || 0);
        ENTRIES.set_up(settings::max_policy_agents(), || Entry::free(0));
        RESERVATIONS.set_up(settings::max_reservations(), || Reservation::free(0));
        ACCOUNT_HEADS.set_up(max_accounts(), || 0);
        ACCOUNTS.set_up(max_accounts(), Account::free);
        if let Some(mut ledger) = ledger() {
            ledger.clear();
        }
    }
}

/// The tables.
///
/// # Safety
/// Only under [`LOCK`], or before there is anybody else.
unsafe fn ledger() -> Option<Ledger<'static>> {
    // SAFETY: by the caller.
    unsafe {
        Some(Ledger {
            counts: COUNTS.values().first_mut()?,
            heads: HEADS.values(),
            entries: ENTRIES.values(),
            reservations: RESERVATIONS.values(),
            accounts: Accounts {
                heads: ACCOUNT_HEADS.values(),
                list: ACCOUNTS.values(),
            },
        })
    }
}

/// Runs `work` on the tables while nobody else does; `None` when the library was not preloaded.
pub(super) fn with<R>(work: impl FnOnce(&mut Ledger<'_>) -> R) -> Option<R> {
    // SAFETY: under the lock.
    LOCK.with(|| unsafe { ledger() }.map(|mut ledger| work(&mut ledger)))
        .flatten()
}

/// Whether the library was preloaded.
pub(crate) fn is_there() -> bool {
    LOCK.is_there()
}

/// An agent of a company, or of the platform, in this database.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Agent<'a> {
    /// Whose agent it is.
    pub(crate) company: Option<[u8; 16]>,
    /// What it is called.
    pub(crate) name: &'a str,
}

pub(super) fn scope(company: Option<[u8; 16]>) -> Scope {
    Scope {
        database: server::database(),
        company,
    }
}

/// Whether a call would be let through now; `None` when the library was not preloaded.
pub(crate) fn peek(agent: &Agent<'_>, limits: &Limits) -> Option<Result<(), Refusal>> {
    let key = key(&scope(agent.company), agent.name);
    let now = server::steady_nanos();
    with(|ledger| ledger.peek(&key, limits, now))
}

/// Lets a call through and answers the id of its reservation, or charges nothing; `None` when the library was not preloaded.
/// `secret` are random bytes for the id.
pub(crate) fn reserve(
    agent: &Agent<'_>,
    limits: &Limits,
    secret: [u8; 12],
    time_to_live: Duration,
) -> Option<Result<[u8; 16], Refusal>> {
    let claim = claim(agent, secret, time_to_live);
    let now = server::steady_nanos();
    let reserved = with(|ledger| ledger.reserve(&claim, limits, now))?;
    if let Ok(id) = reserved {
        remember(id);
    }
    Some(reserved)
}

/// Who asks: this session, which gives back at its end what it was given.
pub(super) fn claim(agent: &Agent<'_>, secret: [u8; 12], time_to_live: Duration) -> Claim {
    give_back_at_exit();
    let scope = scope(agent.company);
    Claim {
        key: key(&scope, agent.name),
        scope,
        owner: server::pid(),
        secret,
        time_to_live: u64::try_from(time_to_live.as_nanos()).unwrap_or(u64::MAX),
    }
}

/// A reservation has ended: it is not this session's any more.
pub(super) fn forget(id: &[u8; 16]) {
    TAKEN.with_borrow_mut(|taken| taken.retain(|held| held != id));
}

/// Gives back what has run out, and what sessions held that are gone.
pub(crate) fn sweep() {
    let now = server::steady_nanos();
    with(|ledger| ledger.sweep(now, server::is_live_backend));
}

pub(super) fn remember(id: [u8; 16]) {
    TAKEN.with_borrow_mut(|taken| {
        taken.push(id);
        if taken.len() >= LOOK_AT.get() {
            // Others may have ended some: a session that lives long must not remember them for ever.
            with(|ledger| taken.retain(|id| ledger.is_held(id)));
            LOOK_AT.set(FEW.max(2 * taken.len()));
        }
    });
}

fn give_back_at_exit() {
    if !IS_REGISTERED.replace(true) {
        // SAFETY: the callback is a static function without an argument.
        unsafe { pg_sys::before_shmem_exit(Some(on_exit), pg_sys::Datum::from(0)) }
    }
}

/// The session ends, by itself or by pg_terminate_backend. One that is killed takes the whole of shared memory with it.
#[pg_guard]
unsafe extern "C-unwind" fn on_exit(_code: i32, _argument: pg_sys::Datum) {
    let (owner, now) = (server::pid(), server::steady_nanos());
    let taken = TAKEN.take();
    let was_killed = server::was_killed();
    with(|ledger| {
        for id in &taken {
            // Who says goodbye has made its calls, and they have cost what was reserved for them.
            if was_killed {
                ledger.forgive(id, owner, now);
            }
            ledger.abandon(id, owner, now);
        }
    });
    if !taken.is_empty() {
        budgets::note_changes();
    }
}
