//! Targets that are set, paused or removed while the dispatcher works.
//!
//! A setting that somebody saw done holds for what is enqueued from then on. A commit says first that the targets are others, and
//! its session hears that it is done after that; so whoever has read an event only has to look whether something was said.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::Dispatcher;
use super::fetch::Handed;
use super::lanes::Company;
use crate::pg::{server, worker};
use crate::store;

/// The targets, and the installation that this is.
fn stored_targets() -> (Vec<store::targets::Target>, String) {
    (store::targets::all(), store::installation::stamp())
}

impl Dispatcher {
    /// Reads the targets if they are not what they were.
    pub(super) fn reread_targets(&mut self) -> Result<(), worker::Failed> {
        if self.targets_changed() {
            let (rows, stamp) = worker::transaction(stored_targets)?;
            self.take_over(rows, &stamp);
        }
        Ok(())
    }

    /// To be said when events were read, before any of them is handed out: they may have been committed after a target was set, and
    /// must not go by what it was before. Answers which targets are others, if any setting was changed.
    pub(super) fn follow_settings(&mut self, handed: &mut Handed) -> Option<HashSet<u32>> {
        if !self.targets_changed() {
            return None;
        }
        let (rows, stamp) = stored_targets();
        let changed = self.take_over(rows, &stamp);
        self.forget(&handed.drop_of(&changed));
        self.is_behind = true;
        Some(changed)
    }

    /// The lane of an event that was read before the targets were read again; `None` if it is another target's now, or this one
    /// was changed.
    pub(super) fn lane_now(&mut self, id: u32, company: Company, changed: &HashSet<u32>) -> Option<usize> {
        if changed.contains(&id) || !self.targets.serves(id, company) {
            return None;
        }
        Some(self.targets.get_mut(id)?.lanes.of(company))
    }

    /// Whether the targets must be read again.
    fn targets_changed(&mut self) -> bool {
        self.targets_stale |= self.slot.targets_changed.swap(false, Ordering::SeqCst);
        self.targets_stale |= self.targets.has_ended_key(server::now());
        self.targets_stale
    }

    /// Goes by what was just read of the targets; answers which of them are others now.
    fn take_over(&mut self, rows: Vec<store::targets::Target>, stamp: &str) -> HashSet<u32> {
        let loaded = self.targets.load(&self.engine, rows, stamp);
        self.targets_stale = false;
        self.targets.publish(self.slot);
        self.told.stale();
        self.forget(&loaded.withdrawn);
        loaded.changed
    }
}
