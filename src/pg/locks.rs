//! Locks of a transaction on an ordering key: who has it numbers its event, and lets go after the commit is visible.
//!
//! Commits of one key are therefore in the order of their numbers. Advisory locks of a class of our own: users' advisory locks
//! have the classes 1 and 2, and cannot meet these.

use std::cell::{Cell, RefCell};
use std::collections::HashSet;

use pgrx::pg_sys;

/// Keys a transaction locks one by one. Past that it locks the target: the server's table of locks is finite.
const MOST_KEYS: usize = 500;

const KEY_CLASS: u16 = 3;
const TARGET_CLASS: u16 = 4;
const ADVISORY_METHOD: u8 = 2;

thread_local! {
    // What this transaction holds, by the number of the lock: taking one twice costs nothing and counts once.
    static HELD: RefCell<HashSet<u64>> = RefCell::default();
    // Keys locked in this transaction; too high after a savepoint's rollback, which is harmless.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

/// The transaction is over, and its locks with it.
pub(crate) fn forget() {
    if TAKEN.replace(0) > 0 {
        HELD.take();
    }
}

/// A savepoint was rolled back, and with it locks that were taken since: which ones is not known here.
pub(crate) fn forget_some() {
    HELD.take();
}

/// This transaction will lock these keys: when they are too many, the target is locked at once, before a key is.
pub(crate) fn expect(target: u64, hashes: &[i64]) {
    let new = HELD.with_borrow(|held| {
        let numbers = hashes.iter().map(|hash| number(target, *hash));
        numbers.filter(|number| !held.contains(number)).count()
    });
    if TAKEN.get() + new > MOST_KEYS {
        TAKEN.set(MOST_KEYS + 1);
        acquire(target, TARGET_CLASS, pg_sys::ExclusiveLock);
    }
}

/// Locks a key of a target until the end of the transaction, waiting for whoever has it.
pub(crate) fn ordering_key(target: u64, hash: i64) {
    let number = number(target, hash);
    if HELD.with_borrow(|held| held.contains(&number)) {
        return;
    }
    if TAKEN.get() >= MOST_KEYS {
        TAKEN.set(MOST_KEYS + 1);
        acquire(target, TARGET_CLASS, pg_sys::ExclusiveLock);
        return;
    }
    TAKEN.set(TAKEN.get() + 1);
    // Shared among those that lock keys, so that one who locks the target waits for all of them.
    acquire(target, TARGET_CLASS, pg_sys::ShareLock);
    acquire(number, KEY_CLASS, pg_sys::ExclusiveLock);
    HELD.with_borrow_mut(|held| held.insert(number));
}

fn number(target: u64, hash: i64) -> u64 {
    target ^ hash.cast_unsigned()
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
