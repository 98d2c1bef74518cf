//! Locks of a transaction on an ordering key: who has it numbers its event, and lets go after the commit is visible.
//!
//! Commits of one key are therefore in the order of their numbers. Advisory locks of a class of our own: users' advisory locks
//! have the classes 1 and 2, and cannot meet these.

use std::cell::Cell;

use pgrx::pg_sys;

/// Keys a transaction locks one by one. Past that it locks the target: the server's table of locks is finite.
const MOST_KEYS: u32 = 500;

const KEY_CLASS: u16 = 3;
const TARGET_CLASS: u16 = 4;
const ADVISORY_METHOD: u8 = 2;

thread_local! {
    // Locks taken in this transaction; too high after a savepoint's rollback, which is harmless.
    static TAKEN: Cell<u32> = const { Cell::new(0) };
}

/// The transaction is over, and its locks with it.
pub(crate) fn forget() {
    TAKEN.set(0);
}

/// This transaction will lock so many keys more: when they are too many, the target is locked at once, before a key is.
pub(crate) fn expect(target: u64, keys: usize) {
    let keys = u32::try_from(keys).unwrap_or(u32::MAX);
    if TAKEN.get().saturating_add(keys) > MOST_KEYS {
        TAKEN.set(MOST_KEYS + 1);
        acquire(target, TARGET_CLASS, pg_sys::ExclusiveLock);
    }
}

/// Locks a key of a target until the end of the transaction, waiting for whoever has it.
pub(crate) fn ordering_key(target: u64, hash: i64) {
    if TAKEN.get() > MOST_KEYS {
        acquire(target, TARGET_CLASS, pg_sys::ExclusiveLock);
        return;
    }
    TAKEN.set(TAKEN.get() + 1);
    if TAKEN.get() > MOST_KEYS {
        acquire(target, TARGET_CLASS, pg_sys::ExclusiveLock);
        return;
    }
    // Shared among those that lock keys, so that one who locks the target waits for all of them.
    acquire(target, TARGET_CLASS, pg_sys::ShareLock);
    acquire(target ^ hash.cast_unsigned(), KEY_CLASS, pg_sys::ExclusiveLock);
}

fn acquire(number: u64, class: u16, mode: u32) {
    let tag = pg_sys::LOCKTAG {
        locktag_field1: super::server::database(),
        locktag_field2: (number >> 32) as u32,
        locktag_field3: number as u32,
        locktag_field4: class,
        locktag_type: pg_sys::LockTagType::LOCKTAG_ADVISORY as u8,
        locktag_lockmethodid: ADVISORY_METHOD,
    };
    // SAFETY: the tag is copied; the lock belongs to the transaction and is released with it, whatever becomes of it. One that
    // is held already is only counted.
    unsafe {
        pg_sys::LockAcquire(&raw const tag, mode as pg_sys::LOCKMODE, false, false);
    }
}
