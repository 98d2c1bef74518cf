//! Cases for tasks of agents.

use super::{AGENTS, Function, May, OPERATORS};

/// A function that names a task.
const fn by_id(
    name: &'static str,
    may: May,
    call: &'static str,
    foreign: &'static [(&'static str, &'static str)],
) -> Function {
    Function {
        name,
        may,
        call,
        foreign,
        by_id: true,
    }
}

pub(super) const FUNCTIONS: [Function; 9] = [
    Function {
        name: "tms_task_submit",
        may: May::Those(&["producer", "agent"]),
        call: "SELECT {f}.tms_task_submit('rates_agent', 'rates.price')",
        foreign: &[(
            "SELECT {f}.tms_task_submit('rates_agent', 'rates.price', company_id => '{a}')",
            "SELECT {f}.tms_task_submit('rates_agent', 'rates.price', company_id => '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_task_claim",
        may: AGENTS,
        call: "SELECT * FROM {f}.tms_task_claim('rates_agent', 'w')",
        foreign: &[],
        by_id: false,
    },
    by_id(
        "tms_task_heartbeat",
        AGENTS,
        "SELECT {f}.tms_task_heartbeat('{b task}', '{b lease}')",
        &[(
            "SELECT {f}.tms_task_heartbeat('{a task}', '{a lease}')",
            "SELECT {f}.tms_task_heartbeat('{unknown task}', '{unknown lease}')",
        )],
    ),
    by_id(
        "tms_task_charge",
        AGENTS,
        "SELECT {f}.tms_task_charge('{b task}', '{b lease}', 1)",
        &[(
            "SELECT {f}.tms_task_charge('{a task}', '{a lease}', 1)",
            "SELECT {f}.tms_task_charge('{unknown task}', '{unknown lease}', 1)",
        )],
    ),
    by_id(
        "tms_task_complete",
        AGENTS,
        "SELECT {f}.tms_task_complete('{b task}', '{b lease}')",
        &[(
            "SELECT {f}.tms_task_complete('{a task}', '{a lease}')",
            "SELECT {f}.tms_task_complete('{unknown task}', '{unknown lease}')",
        )],
    ),
    by_id(
        "tms_task_fail",
        AGENTS,
        "SELECT {f}.tms_task_fail('{b task}', '{b lease}', 'timeout', NULL)",
        &[(
            "SELECT {f}.tms_task_fail('{a task}', '{a lease}', 'timeout', NULL)",
            "SELECT {f}.tms_task_fail('{unknown task}', '{unknown lease}', 'timeout', NULL)",
        )],
    ),
    by_id(
        "tms_task_confirm",
        May::Those(&["approver"]),
        "SELECT {f}.tms_task_confirm('{b asked}', true)",
        &[(
            "SELECT {f}.tms_task_confirm('{a asked}', true)",
            "SELECT {f}.tms_task_confirm('{unknown asked}', true)",
        )],
    ),
    by_id(
        "tms_task_cancel",
        OPERATORS,
        "SELECT {f}.tms_task_cancel('{b task}', 'not needed')",
        &[(
            "SELECT {f}.tms_task_cancel('{a task}', 'not needed')",
            "SELECT {f}.tms_task_cancel('{unknown task}', 'not needed')",
        )],
    ),
    Function {
        name: "task_held_by",
        may: May::Those(&["producer", "agent", "approver", "operator", "auditor"]),
        call: "SELECT tms.task_held_by('rates_agent', '{b}')",
        foreign: &[],
        by_id: false,
    },
];
