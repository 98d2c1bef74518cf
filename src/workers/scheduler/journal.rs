//! Decisions from shared memory into their table, half a second after they were made, or sooner when there are many.
//!
//! A record stays in the buffer until the transaction that wrote it down is on disk; it is known by its id, so one that is met
//! again after a crash of the worker is not written twice.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::pg::journal;
use crate::pg::shmem::Slot;
use crate::pg::worker::{self, Failed};
use crate::store::decisions;

/// How long a record waits for others to be written with; with the time the write takes, below the second a crash may lose.
const PATIENCE: Duration = Duration::from_millis(500);
/// Records of one transaction, and their bytes: the lock on the buffer is held while they are copied out of it.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 512 * 1024;

/// When the buffer is emptied next.
pub(super) struct Flush {
    due: Option<Instant>,
}

impl Flush {
    /// The first time is at once: an earlier worker may have left something.
    pub(super) fn new() -> Self {
        Self {
            due: Some(Instant::now()),
        }
    }

    /// Takes in what was noted; answers whether it is time to write.
    pub(super) fn is_due(&mut self, slot: &Slot) -> bool {
        if slot.decisions.noted.swap(false, Ordering::SeqCst) {
            self.due.get_or_insert_with(|| Instant::now() + PATIENCE);
        }
        if slot.decisions.urgent.swap(false, Ordering::SeqCst) {
            self.due = Some(Instant::now());
        }
        self.due.is_some_and(|due| due <= Instant::now())
    }

    /// When it is time, if nothing else is noted.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Writes everything down. What somebody's lock keeps from being written is left for a little later.
    pub(super) fn write(&mut self, slot: &Slot) -> Result<(), Failed> {
        self.due = None;
        loop {
            let records = journal::take(BATCH, BATCH_BYTES);
            if records.is_empty() {
                return Ok(());
            }
            let numbers: Vec<u64> = records.iter().map(|(number, _)| *number).collect();
            let written = match write(&records) {
                Err(failed) if failed.is_of_the_row() => write_one_by_one(slot, &records),
                written => written,
            };
            let Err(failed) = written else {
                journal::remove(&numbers);
                continue;
            };
            let lost = journal::put_back(&numbers) as u64;
            slot.decisions.dropped_others.fetch_add(lost, Ordering::Relaxed);
            self.due = Some(Instant::now() + PATIENCE);
            return if failed.is_passing() { Ok(()) } else { Err(failed) };
        }
    }
}

fn write(records: &[(u64, Vec<u8>)]) -> Result<(), Failed> {
    let texts = records
        .iter()
        .map(|(_, bytes)| Some(String::from_utf8_lossy(bytes).into_owned()))
        .collect();
    // Unlike what this worker removes, what it adds must not be lost in a crash: the buffer forgets it next.
    worker::durable_transaction(|| decisions::write(texts))
}

/// One of the records cannot be written: a trigger or a constraint of somebody's is against it. It alone is lost, and counted.
fn write_one_by_one(slot: &Slot, records: &[(u64, Vec<u8>)]) -> Result<(), Failed> {
    for record in records {
        match write(std::slice::from_ref(record)) {
            Ok(()) => {}
            Err(failed) if failed.is_of_the_row() => {
                slot.decisions.dropped_others.fetch_add(1, Ordering::Relaxed);
            }
            Err(failed) => return Err(failed),
        }
    }
    Ok(())
}
