//! Whether the rules and keys of redaction were changed since this backend read them.
//!
//! Their tables send a relcache invalidation at commit, as those of [`super::cache`] do; what is counted here tells a reader
//! that what it compiled is old.

use std::cell::Cell;

use pgrx::pg_sys;
use pgrx::prelude::*;

thread_local! {
    // Both tables by OID; unknown before the first reading, and when one of them is made anew.
    static TABLES: Cell<Option<[pg_sys::Oid; 2]>> = const { Cell::new(None) };
    static HEARD: Cell<u64> = const { Cell::new(0) };
}

/// Asks the server to tell us of invalidations.
pub(crate) fn register() {
    // SAFETY: the callback only changes cells of this thread.
    unsafe { pg_sys::CacheRegisterRelcacheCallback(Some(on_invalidation), pg_sys::Datum::from(0)) }
}

#[pg_guard]
unsafe extern "C-unwind" fn on_invalidation(_arg: pg_sys::Datum, relation: pg_sys::Oid) {
    let concerns = TABLES
        .get()
        .is_none_or(|tables| relation == pg_sys::InvalidOid || tables.contains(&relation));
    if concerns {
        TABLES.set(None);
        HEARD.set(HEARD.get().wrapping_add(1));
    }
}

/// How many changes this backend has heard of; what has been committed by now is among them.
pub(crate) fn heard() -> u64 {
    // SAFETY: every caller is inside a transaction, where invalidations may be processed and the catalog may be read.
    unsafe {
        pg_sys::AcceptInvalidationMessages();
        if TABLES.get().is_none() {
            let schema = pg_sys::get_namespace_oid(c"tms".as_ptr(), true);
            let oid = |name: &std::ffi::CStr| pg_sys::get_relname_relid(name.as_ptr(), schema);
            TABLES.set(Some([oid(c"redaction_rules"), oid(c"redaction_keys")]));
        }
    }
    HEARD.get()
}

/// Whether a relation is one of the two.
pub(crate) fn is_of_redaction(relation: pg_sys::Oid) -> bool {
    heard();
    TABLES.get().is_some_and(|tables| tables.contains(&relation))
}
