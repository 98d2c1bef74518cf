//! What a backend remembers of the extension's tables, and how it learns that it must forget.
//!
//! Writers of `tms.targets`, `tms.role_bindings` and the policies send a relcache invalidation at commit (a statement trigger); every
//! backend that receives it drops what it remembered. Caches are filled as the tables' owner with the latest snapshot, so
//! neither row-level security nor REPEATABLE READ can leave something stale or hidden in them.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pgrx::pg_sys;
use pgrx::prelude::*;

/// The tables a backend must know by OID.
#[derive(Debug, Clone, Copy)]
struct Tables {
    owner: pg_sys::Oid,
    targets: pg_sys::Oid,
    bindings: pg_sys::Oid,
    policies: pg_sys::Oid,
    policy_heads: pg_sys::Oid,
    outbox: pg_sys::Oid,
    order_numbers: pg_sys::Oid,
}

/// What a role is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binding {
    /// Neither bound nor enrolled.
    None,
    /// Acts for this company, always.
    Bound([u8; 16]),
    /// Acts for the company its request names.
    Enrolled,
}

thread_local! {
    static TABLES: Cell<Option<Tables>> = const { Cell::new(None) };
    static TARGETS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
    static BINDINGS: RefCell<Option<HashMap<u32, Binding>>> = const { RefCell::new(None) };
    // The callback may run while a cache is borrowed, so it only raises flags.
    static STALE_TABLES: Cell<bool> = const { Cell::new(false) };
    static STALE_TARGETS: Cell<bool> = const { Cell::new(false) };
    static STALE_BINDINGS: Cell<bool> = const { Cell::new(false) };
    static POLICY_CHANGES: Cell<u64> = const { Cell::new(0) };
}

/// Asks the server to tell us of invalidations.
pub(crate) fn register() {
    // SAFETY: the callback only sets flags of this thread.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_invalidation), pg_sys::Datum::from(0)) }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_invalidation(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    let known = TABLES.get();
    let is = |table: fn(&Tables) -> pg_sys::Oid| {
        relation == pg_sys::InvalidOid || known.is_none_or(|known| table(&known) == relation)
    };
    if is(|tables| tables.targets) {
        STALE_TARGETS.set(true);
        STALE_TABLES.set(true);
    }
    if is(|tables| tables.bindings) {
        STALE_BINDINGS.set(true);
        STALE_TABLES.set(true);
    }
    if is(|tables| tables.policies) || is(|tables| tables.policy_heads) {
        POLICY_CHANGES.set(POLICY_CHANGES.get().wrapping_add(1));
        STALE_TABLES.set(true);
    }
    if is(|tables| tables.outbox) {
        STALE_TABLES.set(true);
    }
}

fn tables() -> Option<Tables> {
    if STALE_TABLES.replace(false) {
        TABLES.set(None);
    }
    if TABLES.get().is_none() {
        TABLES.set(look_up());
    }
    TABLES.get()
}

fn look_up() -> Option<Tables> {
    // SAFETY: catalog look-ups by NUL-terminated names; the syscache tuple is released before the end.
    unsafe {
        let schema = pg_sys::get_namespace_oid(c"tms".as_ptr(), true);
        let oid = |name: &std::ffi::CStr| pg_sys::get_relname_relid(name.as_ptr(), schema);
        let outbox = oid(c"event_outbox");
        let tuple = pg_sys::SearchSysCache1(
            pg_sys::SysCacheIdentifier::RELOID as i32,
            pg_sys::Datum::from(outbox),
        );
        if tuple.is_null() {
            return None;
        }
        let form = pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_class>();
        let owner = (*form).relowner;
        pg_sys::ReleaseSysCache(tuple);
        Some(Tables {
            owner,
            targets: oid(c"targets"),
            bindings: oid(c"role_bindings"),
            policies: oid(c"policies"),
            policy_heads: oid(c"policy_heads"),
            outbox,
            order_numbers: oid(c"event_outbox_order_seq"),
        })
    }
}

/// How many changes of policies this backend has heard of; what has been committed by now is among them.
pub(crate) fn policy_changes_heard() -> u64 {
    accept_invalidations();
    POLICY_CHANGES.get()
}

/// Whether a relation has policies, of which the dispatcher knows nothing.
pub(crate) fn is_of_policies(relation: pg_sys::Oid) -> bool {
    tables().is_some_and(|tables| tables.policies == relation || tables.policy_heads == relation)
}

/// Whether a relation is the outbox: the trigger reads its columns by number.
pub(crate) fn is_outbox(relation: pg_sys::Oid) -> bool {
    tables().is_some_and(|tables| tables.outbox == relation)
}

/// The next number for an event with an ordering key.
pub(crate) fn next_order_number() -> i64 {
    let sequence = tables().map_or(pg_sys::InvalidOid, |tables| tables.order_numbers);
    // SAFETY: nextval_oid takes one regclass and returns a bigint; it raises for anything that is no sequence.
    let number = as_owner(|| unsafe {
        pgrx::direct_function_call::<i64>(pg_sys::nextval_oid, &[Some(pg_sys::Datum::from(sequence))])
    });
    number.unwrap_or(0)
}

/// Runs `work` with the rights of the extension's owner, whom row-level security does not bind.
///
/// The role of the caller stays visible as the outer user, which is what tenancy looks at. An error restores the rights with
/// the transaction's or subtransaction's abort.
pub(crate) fn as_owner<R>(work: impl FnOnce() -> R) -> R {
    let Some(tables) = tables() else {
        pgrx::error!("the tables of the tms extension are missing");
    };
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: saves and restores the current user around a closure that runs statements of ours only.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        pg_sys::SetUserIdAndSecContext(
            tables.owner,
            context | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32,
        );
        let result = work();
        pg_sys::SetUserIdAndSecContext(user, context);
        result
    }
}

/// Whether a target of this name exists; `fill` reads the names when they are not known.
///
/// News is asked for only when the name is not found: the lock of the INSERT has brought the rest.
pub(crate) fn has_target(name: &str, fill: fn() -> Vec<String>) -> bool {
    let is_known = |names: &[String]| names.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
    if with_targets(fill, is_known) {
        return true;
    }
    accept_invalidations();
    with_targets(fill, is_known)
}

/// Runs `look` on the sorted names of all targets.
pub(crate) fn with_targets<R>(fill: impl FnOnce() -> Vec<String>, look: impl FnOnce(&[String]) -> R) -> R {
    let stale = STALE_TARGETS.replace(false);
    if stale || TARGETS.with_borrow(Option::is_none) {
        let mut names = as_owner(fill);
        names.sort_unstable();
        TARGETS.set(Some(names));
    }
    TARGETS.with_borrow(|names| look(names.as_deref().unwrap_or(&[])))
}

/// What a role is bound to; `fill` reads one role's binding when it is not known.
pub(crate) fn binding(role: u32, fill: impl FnOnce(u32) -> Binding) -> Binding {
    accept_invalidations();
    if STALE_BINDINGS.replace(false) {
        BINDINGS.set(None);
    }
    let known = BINDINGS.with_borrow(|known| known.as_ref().and_then(|known| known.get(&role).copied()));
    known.unwrap_or_else(|| {
        let found = if tables().is_some() {
            as_owner(|| fill(role))
        } else {
            Binding::None
        };
        BINDINGS.with_borrow_mut(|known| known.get_or_insert_default().insert(role, found));
        found
    })
}

/// Hears what was committed meanwhile: inside a transaction PostgreSQL listens only when it takes a new lock.
fn accept_invalidations() {
    // SAFETY: every caller is inside a transaction, where invalidations may be processed at any time.
    unsafe { pg_sys::AcceptInvalidationMessages() }
}

/// Tells every backend, at commit, that a table's rows changed.
pub(crate) fn invalidate(relation: pg_sys::Oid) {
    // SAFETY: registers an invalidation message with the current transaction.
    unsafe { pg_sys::CacheInvalidateRelcacheByRelid(relation) }
}
