//! Decisions in shared memory on their way to `tms.policy_decisions`: [`Journal`] under a lock.
//!
//! What is put here stays whatever becomes of the transaction, and costs no write to a disk; the scheduler of the database writes
//! it down a moment later.

use std::sync::atomic::Ordering;

use tms_domain::policy::journal::{About, Block, Counts, Journal};

use super::region::{Lock, Table};
use super::{server, shmem};
use crate::settings;

static LOCK: Lock = Lock::new(c"tms_policy_journal");
static COUNTS: Table<Counts> = Table::new(c"tms policy journal");
static BLOCKS: Table<Block> = Table::new(c"tms policy decisions");

fn length() -> usize {
    settings::decision_buffer_bytes() / size_of::<Block>()
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
        BLOCKS.request(length());
    }
}

/// Fills it.
///
/// # Safety
/// For a hook on shmem_startup.
pub(super) unsafe fn set_up() {
    // SAFETY: by the caller; the length is the one that was asked for.
    unsafe {
        LOCK.set_up();
        COUNTS.set_up(1, Counts::empty);
        BLOCKS.set_up(length(), || Block::free(0));
        if let Some(mut journal) = journal() {
            journal.clear();
        }
    }
}

/// The buffer.
///
/// # Safety
/// Only under [`LOCK`], or before there is anybody else.
unsafe fn journal() -> Option<Journal<'static>> {
    // SAFETY: by the caller.
    unsafe {
        Some(Journal {
            counts: COUNTS.values().first_mut()?,
            blocks: BLOCKS.values(),
        })
    }
}

fn with<R>(work: impl FnOnce(&mut Journal<'_>) -> R) -> Option<R> {
    // SAFETY: under the lock.
    LOCK.with(|| unsafe { journal() }.map(|mut journal| work(&mut journal)))
        .flatten()
}

/// Puts a record of this database into the buffer; false when the library was not preloaded, so that there is none. What has to
/// go for want of room is counted.
pub(crate) fn put(company: Option<[u8; 16]>, is_denial: bool, record: &[u8]) -> bool {
    let database = server::database();
    let whose = company.map_or(0, |company| {
        let (high, low) = company.split_at(8);
        number(high) ^ number(low).rotate_left(17)
    });
    let about = About {
        database,
        // Mixed, so that companies whose ids differ in a few bits do not share a cell.
        company: (whose ^ u64::from(database)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32,
        is_denial,
    };
    let Some(is_urgent) = with(|journal| journal.put(&about, record, count_dropped)) else {
        return false;
    };
    if let Some(slot) = shmem::my_slot() {
        let was_urgent = is_urgent && slot.decisions.urgent.swap(true, Ordering::SeqCst);
        let was_noted = slot.decisions.noted.swap(true, Ordering::SeqCst);
        if !was_noted || (is_urgent && !was_urgent) {
            slot.scheduler.wake();
        }
    }
    true
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn count_dropped(about: &About) {
    let Some(slot) = shmem::shared().and_then(|shared| shared.slot(about.database)) else {
        return;
    };
    let counter = if about.is_denial {
        &slot.decisions.dropped_denials
    } else {
        &slot.decisions.dropped_others
    };
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The oldest records of this database, with their numbers; they stay until [`remove`] or [`put_back`] is called with those.
pub(crate) fn take(most: usize, bytes: usize) -> Vec<(u64, Vec<u8>)> {
    let mut found = Vec::new();
    let database = server::database();
    with(|journal| {
        journal.take(database, most, bytes, |number, record| {
            found.push((number, record));
        });
    });
    found
}

/// Takes records out that were written down.
pub(crate) fn remove(numbers: &[u64]) {
    with(|journal| journal.remove(numbers));
}

/// Leaves records to a later time; answers how many of them are lost, for they had to go meanwhile.
pub(crate) fn put_back(numbers: &[u64]) -> usize {
    with(|journal| journal.put_back(numbers)).unwrap_or(0)
}

/// Takes everything out that waits for a database which is gone.
pub(crate) fn forget(database: u32) {
    with(|journal| journal.forget(database));
}
