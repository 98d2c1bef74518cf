//! Budgets of a day, between shared memory and their table: what calls wait for is set aside at once, and what was used is
//! written down a moment later.
//!
//! Nothing is put into shared memory before it is on disk, and nothing is taken out of the table before it is out of shared
//! memory: whatever ends this worker, or the server, in between, the table says no less than what calls were let through with.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tms_domain::policy::budget::Day;
use tms_domain::policy::ledger::{BudgetEntry, Line};

use crate::pg::server::{self, PG_EPOCH_US};
use crate::pg::shmem::Slot;
use crate::pg::worker::{self, Failed};
use crate::pg::{budgets, spi};
use crate::store::spending::{self, Place};

/// How long figures wait for others to be written with.
const PATIENCE: Duration = Duration::from_secs(1);

/// When figures are written down next.
pub(super) struct Spending {
    due: Option<Instant>,
}

impl Spending {
    /// Takes over from an earlier worker, of which nobody knows how far it came.
    pub(super) fn begin(slot: &Slot) -> Self {
        budgets::take_over();
        // Who asked before there was anybody to ask waits still.
        slot.budgets.asked.store(true, Ordering::SeqCst);
        Self {
            due: Some(Instant::now()),
        }
    }

    /// When it is time, if nothing else happens.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Sets aside what sessions wait for, if any do.
    pub(super) fn serve(&mut self, slot: &Slot) -> Result<(), Failed> {
        if !slot.budgets.asked.swap(false, Ordering::SeqCst) {
            return Ok(());
        }
        worker::show_busy("budgets");
        // Whoever waits is told by its patience's end that nothing came; it does not ask again before.
        self.write(budgets::asked())
    }

    /// Writes down what has changed, if it is time, or `is_round` comes: then also what nobody told, such as calls whose time
    /// ran out and agents that went quiet.
    pub(super) fn flush(&mut self, slot: &Slot, is_round: bool) -> Result<(), Failed> {
        // The note stays until it is acted on: whoever finds it there wakes nobody.
        if self.due.is_none() && slot.budgets.noted.load(Ordering::SeqCst) {
            self.due = Some(Instant::now() + PATIENCE);
        }
        if is_round || self.due.is_some_and(|due| due <= Instant::now()) {
            self.due = None;
            slot.budgets.noted.store(false, Ordering::SeqCst);
            return self.write(budgets::changed(today(), false));
        }
        Ok(())
    }

    /// Gives back what nobody will use while no scheduler is there. What cannot be written stays spent.
    pub(super) fn end(mut self) {
        drop(self.write(budgets::changed(today(), true)));
    }

    fn write(&mut self, lines: Vec<Line>) -> Result<(), Failed> {
        if lines.is_empty() {
            return Ok(());
        }
        let written = worker::durable_transaction(|| {
            spi::connect(|session| {
                let entries = lines.iter().map(|line| {
                    let place = Place {
                        agent: line.agent(),
                        company: line.company(),
                        day: line.day(),
                    };
                    let entry = line.entry(spending::read(session, &place));
                    spending::write(session, &place, &entry.row);
                    entry
                });
                entries.collect::<Vec<BudgetEntry>>()
            })
        });
        match written {
            Ok(entries) => {
                let lines: Vec<_> = lines.into_iter().zip(entries).collect();
                budgets::written(&lines);
                Ok(())
            }
            Err(failed) => {
                budgets::unwritten(&lines);
                self.due = Some(Instant::now() + PATIENCE);
                // A trigger or a constraint of somebody's is against it: calls are refused until it is gone, and nothing else
                // that this worker does has to wait for that.
                if failed.is_passing() || failed.is_of_the_row() {
                    Ok(())
                } else {
                    Err(failed)
                }
            }
        }
    }
}

/// Days since 1970.
pub(super) fn today() -> i64 {
    Day::of(server::now().saturating_add(PG_EPOCH_US)).number
}
