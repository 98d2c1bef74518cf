//! How long rows are kept, and how often the scheduler looks after them.

use std::time::Duration;

use pgrx::guc::{GucFlags, GucSetting};

use super::{int, millis, minutes};

static EVENT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 60);
static ATTEMPT_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(7 * 24 * 60);
static IDEMPOTENCY_WINDOW: GucSetting<i32> = GucSetting::<i32>::new(24 * 60);
static SCHEDULER_INTERVAL: GucSetting<i32> = GucSetting::<i32>::new(10_000);

/// `tms.event_retention`; `None`: kept for ever.
pub(crate) fn event_retention() -> Option<Duration> {
    minutes(EVENT_RETENTION.get())
}
/// `tms.attempt_retention`; `None`: kept for ever.
pub(crate) fn attempt_retention() -> Option<Duration> {
    minutes(ATTEMPT_RETENTION.get())
}
/// `tms.idempotency_window`.
pub(crate) fn idempotency_window() -> Duration {
    minutes(IDEMPOTENCY_WINDOW.get()).unwrap_or_default()
}
/// `tms.scheduler_interval`.
pub(crate) fn scheduler_interval() -> Duration {
    millis(SCHEDULER_INTERVAL.get())
}

pub(super) fn define() {
    int(
        c"tms.idempotency_window",
        c"How long an idempotency key stands for its first event.",
        c"A day: longer than a producer retries, short enough for keys that are used again by mistake.",
        &IDEMPOTENCY_WINDOW,
        (1, 365 * 24 * 60),
        GucFlags::UNIT_MIN,
    );
    int(
        c"tms.event_retention",
        c"How long delivered events are kept; -1: for ever.",
        c"A week, as the roadmap's readers expect. An event with a dead letter stays as long as the letter.",
        &EVENT_RETENTION,
        (-1, 10 * 365 * 24 * 60),
        GucFlags::UNIT_MIN,
    );
    int(
        c"tms.attempt_retention",
        c"How long attempts are kept; -1: for ever.",
        c"As long as the events they belong to.",
        &ATTEMPT_RETENTION,
        (-1, 10 * 365 * 24 * 60),
        GucFlags::UNIT_MIN,
    );
    int(
        c"tms.scheduler_interval",
        c"How often the scheduler looks for work.",
        c"Retention needs no precision; each round that finds work is followed by the next one at once.",
        &SCHEDULER_INTERVAL,
        (1_000, 3_600_000),
        GucFlags::UNIT_MS,
    );
}
