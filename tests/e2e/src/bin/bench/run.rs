//! One queue that was filled and delivered: how long it took, and who used the CPU.

use std::time::Duration;

use crate::cpu::Snapshot;
use crate::ground::{Ground, Mixture};
use crate::report::Detail;

pub struct Run {
    events: usize,
    took: Duration,
    before: Snapshot,
    after: Snapshot,
}

impl Run {
    /// Events whose bodies have so many bytes.
    pub fn of(ground: &mut Ground, events: usize, bytes: usize) -> Self {
        Self::with(ground, events, |ground| ground.fill(events, bytes))
    }

    /// Events that are not all of one kind.
    pub fn of_mixture(ground: &mut Ground, events: usize, mixture: &Mixture<'_>) -> Self {
        Self::with(ground, events, |ground| ground.insert(events, mixture))
    }

    /// Events for all the targets there are, whose pause ends together.
    pub fn of_all_targets(ground: &mut Ground, events: usize, mixture: &Mixture<'_>) -> Self {
        ground.command("UPDATE tms.targets SET paused_at = now()");
        ground.empty();
        ground.insert(events, mixture);
        Self::watch(ground, events, |ground| {
            ground.time(events, "true", |ground| {
                ground.command("UPDATE tms.targets SET paused_at = NULL");
            })
        })
    }

    fn with(ground: &mut Ground, events: usize, fill: impl FnOnce(&mut Ground)) -> Self {
        ground.pause();
        ground.empty();
        fill(ground);
        Self::watch(ground, events, |ground| ground.time_delivery(events))
    }

    fn watch(ground: &mut Ground, events: usize, deliver: impl FnOnce(&mut Ground) -> Duration) -> Self {
        let watched = ground.watched();
        let before = Snapshot::take(&watched);
        let took = deliver(ground);
        Self {
            events,
            took,
            before,
            after: Snapshot::take(&watched),
        }
    }

    /// Events a second.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }

    pub fn cpu(&self, what: &str) -> Detail {
        let title = format!("{what}: CPU at {:.0} events/s", self.rate());
        self.after.per_event(&self.before, self.events, title)
    }
}
