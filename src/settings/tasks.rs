//! Settings of agent tasks.

use std::time::Duration;

use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting};

static TASK_RETENTION: GucSetting<i32> = GucSetting::<i32>::new(30 * 24 * 60);
static TASK_PUSH_LEASE: GucSetting<i32> = GucSetting::<i32>::new(15 * 60);
static TASK_NOTIFY: GucSetting<bool> = GucSetting::<bool>::new(true);
static TASK_LOST_LEASES: GucSetting<i32> = GucSetting::<i32>::new(3);

/// `tms.task_retention`; `None`: kept for ever.
pub(crate) fn task_retention() -> Option<Duration> {
    super::minutes(TASK_RETENTION.get())
}

/// `tms.task_push_lease`.
pub(crate) fn task_push_lease() -> Duration {
    Duration::from_secs(super::unsigned(TASK_PUSH_LEASE.get()) as u64)
}

/// `tms.task_notify`.
pub(crate) fn task_notify() -> bool {
    TASK_NOTIFY.get()
}

/// `tms.task_lost_leases`.
pub(crate) fn task_lost_leases() -> i32 {
    TASK_LOST_LEASES.get()
}

pub(super) fn define() {
    super::int(
        c"tms.task_retention",
        c"How long finished tasks are kept in tms.agent_tasks; -1: for ever.",
        c"A month: what an agent did is asked about for longer than what was delivered. A task with a dead letter is kept as long as the letter.",
        &TASK_RETENTION,
        (-1, 10 * 365 * 24 * 60),
        GucFlags::UNIT_MIN,
    );
    super::int(
        c"tms.task_push_lease",
        c"The lease of a task that is sent to the target its agent's policy names.",
        c"The way to the receiver and back is in it, retries too. Who needs longer prolongs it with tms_task_heartbeat.",
        &TASK_PUSH_LEASE,
        (1, 24 * 3_600),
        GucFlags::UNIT_S,
    );
    super::int(
        c"tms.task_lost_leases",
        c"How often the lease of a task may run out before it is given to a dead letter.",
        c"An agent that is stopped loses one; a task that kills whoever takes it would go round for ever.",
        &TASK_LOST_LEASES,
        (0, 1_000),
        GucFlags::default(),
    );
    GucRegistry::define_bool_guc(
        c"tms.task_notify",
        c"Whether the scheduler tells those who LISTEN on tms_tasks which agents have tasks.",
        c"At most ten times a second, and only after tasks came in; an agent that waits inside tms_task_claim needs none of it.",
        &TASK_NOTIFY,
        GucContext::Sighup,
        GucFlags::default(),
    );
}
