//! Dead letters: when they come back, how many at one time, and how long they are kept.

use std::time::Duration;

use pgrx::guc::{GucFlags, GucSetting};
use tms_domain::dead_letter::{Pace, Waits};

use super::{int, millis, minutes, scheduler_interval, unsigned};

static BACKOFF: GucSetting<i32> = GucSetting::<i32>::new(60_000);
static BACKOFF_CAP: GucSetting<i32> = GucSetting::<i32>::new(24 * 3_600);
static JITTER: GucSetting<i32> = GucSetting::<i32>::new(20);
static ROUNDS: GucSetting<i32> = GucSetting::<i32>::new(5);
static RATE: GucSetting<i32> = GucSetting::<i32>::new(20);
static IN_FLIGHT: GucSetting<i32> = GucSetting::<i32>::new(200);
static RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 60);

/// `tms.dead_letter_backoff`, `tms.dead_letter_backoff_cap` and `tms.dead_letter_jitter`.
pub(crate) fn dead_letter_waits() -> Waits {
    Waits {
        base: millis(BACKOFF.get()),
        cap: Duration::from_secs(unsigned(BACKOFF_CAP.get()) as u64),
        jitter: f64::from(JITTER.get()) / 100.0,
    }
}
/// `tms.dead_letter_rounds`.
pub(crate) fn dead_letter_rounds() -> i32 {
    ROUNDS.get()
}
/// `tms.dead_letter_rate`, a second and target.
pub(crate) fn dead_letter_rate() -> f64 {
    f64::from(RATE.get())
}
/// `tms.dead_letter_rate` and `tms.dead_letter_in_flight` from one round of the scheduler to the next.
pub(crate) fn dead_letter_pace() -> Pace {
    Pace {
        per_second: dead_letter_rate(),
        interval: scheduler_interval(),
        most_out: unsigned(IN_FLIGHT.get()),
    }
}
/// `tms.dead_letter_retention`; `None`: kept for ever.
pub(crate) fn dead_letter_retention() -> Option<Duration> {
    minutes(RETENTION.get())
}

pub(super) fn define() {
    int(
        c"tms.dead_letter_backoff",
        c"How long a dead letter waits before its first round; each further wait is twice as long.",
        c"The roadmap's minute: what fast retries could not wait for (a restart, a deployment, a full queue) is often over by then.",
        &BACKOFF,
        (1, 24 * 3_600_000),
        GucFlags::UNIT_MS,
    );
    int(
        c"tms.dead_letter_backoff_cap",
        c"Longest wait of a dead letter between two rounds.",
        c"A day: five rounds end long before it; with more rounds a repaired receiver is noticed within a day.",
        &BACKOFF_CAP,
        (1, 30 * 24 * 3_600),
        GucFlags::UNIT_S,
    );
    int(
        c"tms.dead_letter_jitter",
        c"The part of a dead letter's wait that chance may take away, in percent.",
        c"A fifth, as between fast attempts: what died together does not come back together.",
        &JITTER,
        (0, 100),
        GucFlags::default(),
    );
    int(
        c"tms.dead_letter_rounds",
        c"Times a dead letter comes back by itself before it is at rest; for letters that are written from now on.",
        c"The roadmap's 5, about half an hour: an outage that lasts longer is known to a person. 0: every letter rests at once.",
        &ROUNDS,
        (0, 30),
        GucFlags::default(),
    );
    int(
        c"tms.dead_letter_rate",
        c"Dead letters that come back to one target in a second, by themselves or by tms_dlq_replay without a rate of its own.",
        c"A receiver that has just recovered gets its work back in a trickle beside what is new; 1,200 a minute empties any usual outage.",
        &RATE,
        (1, 10_000),
        GucFlags::default(),
    );
    int(
        c"tms.dead_letter_in_flight",
        c"Dead letters of one target that are out for delivery at one time by themselves.",
        c"Ten seconds at the usual rate: a receiver that has slowed down is not sent more on top.",
        &IN_FLIGHT,
        (1, 100_000),
        GucFlags::default(),
    );
    int(
        c"tms.dead_letter_retention",
        c"How long closed dead letters are kept, with what was done with them; -1: for ever. Open ones are never removed.",
        c"A month: longer than events, since what went wrong is asked about later than what went well.",
        &RETENTION,
        (-1, 10 * 365 * 24 * 60),
        GucFlags::UNIT_MIN,
    );
}
