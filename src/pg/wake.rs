//! From a transaction to the dispatcher: what a transaction changed is noted while it runs, and told at its commit.
//!
//! One permanent transaction callback serves all transactions of a process; a rollback, of a savepoint too, drops the notes.
//! The callback runs where an error would bring the server down, so it only stores atomics and sets latches.

use std::cell::{Cell, RefCell};
use std::sync::atomic::Ordering;

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::lanes::Noted;
use super::shmem::{self, BUCKETS, Slot};
use super::{locks, server};

/// Something a transaction did that others must hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Note {
    /// Events for a lane, the earliest due at this time.
    Due(Noted),
    /// The queue was changed by hand.
    Rescan,
    /// A target changed.
    Targets,
    /// The extension was created, dropped or updated here, or the list of databases changed.
    Extension,
}

thread_local! {
    // Each note with the nesting level of the subtransaction it belongs to.
    static NOTES: RefCell<Vec<(i32, Note)>> = const { RefCell::new(Vec::new()) };
    static LEAVING: Cell<u32> = const { Cell::new(0) };
    static IS_WORKER: Cell<bool> = const { Cell::new(false) };
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Registers the callbacks of this process.
pub(crate) fn register() {
    // SAFETY: the callbacks are static functions that only touch this process's notes and atomics.
    unsafe {
        pg_sys::RegisterXactCallback(Some(on_transaction), std::ptr::null_mut());
        pg_sys::RegisterSubXactCallback(Some(on_subtransaction), std::ptr::null_mut());
    }
}

/// The dispatcher knows what it changes itself.
pub(crate) fn ignore_own_changes() {
    IS_WORKER.set(true);
}

/// Runs changes of rows that no dispatcher delivers: it need not look through its queues for them.
pub(crate) fn without_rescan<R>(work: impl FnOnce() -> R) -> R {
    // An error in between leaves it set: the transaction's end resets it.
    let before = QUIET.replace(true);
    let result = work();
    QUIET.set(before);
    result
}

/// The number a target's name is known by in shared memory and in locks: FNV-1a.
pub(crate) fn hash(target: &str) -> u64 {
    target.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The bucket of a target.
pub(crate) fn bucket(hash: u64) -> usize {
    usize::try_from(hash % BUCKETS as u64).unwrap_or(0)
}

/// An event was inserted.
pub(crate) fn note_event(event: Noted) {
    if shmem::shared().is_some() {
        note(Note::Due(event));
    }
}

/// The queue was changed by hand, or a prepared transaction was committed.
pub(crate) fn note_rescan() {
    if !IS_WORKER.get() && !QUIET.get() {
        note(Note::Rescan);
    }
}

/// A worker that is not the dispatcher has brought events back, maybe to the front of their queues and ordering keys.
pub(crate) fn note_brought_back() {
    note(Note::Rescan);
}

/// A target changed.
pub(crate) fn note_targets() {
    note(Note::Targets);
}

/// The extension was created, dropped or updated, or a database was created or dropped.
pub(crate) fn note_extension() {
    note(Note::Extension);
}

/// This transaction asked a database's workers to leave; they may come back when it ends.
pub(crate) fn note_leaving(database: u32) {
    LEAVING.set(database);
}

fn note(new: Note) {
    // SAFETY: reads a variable of this process.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    NOTES.with_borrow_mut(|notes| {
        for (of, known) in notes.iter_mut().rev().take(8).filter(|(of, _)| *of == level) {
            debug_assert_eq!(*of, level);
            match (known, new) {
                (Note::Due(known), Note::Due(new))
                    if known.target == new.target && known.company == new.company =>
                {
                    known.from = known.from.min(new.from);
                    known.is_special |= new.is_special;
                    return;
                }
                (known, new) if *known == new => return,
                _ => {}
            }
        }
        notes.push((level, new));
    });
}

#[pg_guard]
unsafe extern "C-unwind" fn on_transaction(event: pg_sys::XactEvent::Type, _arg: *mut std::ffi::c_void) {
    use pg_sys::XactEvent::{XACT_EVENT_ABORT, XACT_EVENT_COMMIT, XACT_EVENT_PREPARE};
    match event {
        XACT_EVENT_COMMIT => {
            end_of_transaction();
            publish();
            return_workers();
        }
        // A prepared transaction's notes are dropped: COMMIT PREPARED, in whatever session, has the queue looked through.
        XACT_EVENT_ABORT | XACT_EVENT_PREPARE => {
            super::hooks::handle_secrets(false);
            end_of_transaction();
            NOTES.with_borrow_mut(Vec::clear);
            return_workers();
        }
        _ => {}
    }
}

fn end_of_transaction() {
    QUIET.set(false);
    locks::forget();
}

#[pg_guard]
unsafe extern "C-unwind" fn on_subtransaction(
    event: pg_sys::SubXactEvent::Type,
    _mine: pg_sys::SubTransactionId,
    _parent: pg_sys::SubTransactionId,
    _arg: *mut std::ffi::c_void,
) {
    use pg_sys::SubXactEvent::{SUBXACT_EVENT_ABORT_SUB, SUBXACT_EVENT_COMMIT_SUB};
    // SAFETY: reads a variable of this process.
    let level = unsafe { pg_sys::GetCurrentTransactionNestLevel() };
    NOTES.with_borrow_mut(|notes| match event {
        SUBXACT_EVENT_ABORT_SUB => {
            super::hooks::handle_secrets(false);
            QUIET.set(false);
            locks::forget_some();
            notes.retain(|(of, _)| *of < level);
        }
        SUBXACT_EVENT_COMMIT_SUB => {
            for (of, _) in notes.iter_mut().rev().take_while(|(of, _)| *of >= level) {
                *of = level - 1;
            }
        }
        _ => {}
    });
}

fn publish() {
    let notes = NOTES.with_borrow_mut(|notes| {
        if notes.is_empty() {
            return None;
        }
        // The capacity is kept for the next transaction, unless this one was exceptional.
        Some(std::mem::take(notes))
    });
    let (Some(mut notes), Some(shared)) = (notes, shmem::shared()) else {
        return;
    };
    let slot = shmem::my_slot();
    let mut news = false;
    for (_, note) in &notes {
        match (note, slot) {
            (Note::Due(lane), Some(slot)) => news |= publish_lane(slot, lane),
            (Note::Rescan, Some(slot)) => news |= !slot.rescan.swap(true, Ordering::SeqCst),
            (Note::Targets, Some(slot)) => {
                news |= !slot.targets_changed.swap(true, Ordering::SeqCst);
                // Tasks may wait for a target that takes something again.
                slot.tasks_due.store(0, Ordering::SeqCst);
                slot.scheduler.wake();
            }
            (Note::Extension, _) => shared.ask_for_probe(server::database()),
            (_, None) => {}
        }
    }
    if let (true, Some(slot)) = (news, slot) {
        slot.dispatcher.wake();
    }
    if notes.capacity() <= 64 {
        notes.clear();
        NOTES.set(notes);
    }
}

/// Tells of a lane; true when the dispatcher is to be woken.
fn publish_lane(slot: &Slot, lane: &Noted) -> bool {
    let bucket = bucket(lane.target);
    if !slot.served[bucket].load(Ordering::SeqCst) {
        return false;
    }
    if !slot.lanes.note(lane) {
        slot.due_from[bucket].fetch_min(lane.from, Ordering::SeqCst);
        slot.lanes_missed.store(true, Ordering::SeqCst);
    }
    // If it was true the dispatcher has been woken, and has not looked yet: it will find this too.
    !slot.due_noted.swap(true, Ordering::SeqCst)
}

fn return_workers() {
    let database = LEAVING.replace(0);
    let (true, Some(shared)) = (database != 0, shmem::shared()) else {
        return;
    };
    if let Some(slot) = shared.slot(database) {
        let mine = server::pid();
        // Another session may have asked too; then it is for that one to give the workers back.
        if slot
            .leave_for
            .compare_exchange(mine, 0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
        {
            slot.probe_wanted.store(true, Ordering::SeqCst);
        }
    }
    shared.list_changed.store(true, Ordering::SeqCst);
    shared.launcher.wake();
}
