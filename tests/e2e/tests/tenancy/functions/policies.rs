//! Cases for policies.

use super::{AGENTS, Function, May, OPERATORS, POLICY_READERS};

pub(super) const FUNCTIONS: [Function; 8] = [
    Function {
        name: "tms_policy_load",
        may: OPERATORS,
        call: "SELECT {f}.tms_policy_load('agent_policies: {new_agent: {}}')",
        foreign: &[(
            "SELECT {f}.tms_policy_load('agent_policies: {rates_agent: {}}', '{a}')",
            "SELECT {f}.tms_policy_load('agent_policies: {rates_agent: {}}', '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_policy_rollback",
        may: OPERATORS,
        call: "SELECT {f}.tms_policy_rollback('rates_agent', 1)",
        foreign: &[(
            "SELECT {f}.tms_policy_rollback('rates_agent', 1, '{a}')",
            "SELECT {f}.tms_policy_rollback('rates_agent', 1, '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_policy_backtest",
        may: OPERATORS,
        call: "SELECT {f}.tms_policy_backtest('agent_policies: {rates_agent: {}}', '1 hour')",
        foreign: &[(
            "SELECT {f}.tms_policy_backtest('agent_policies: {rates_agent: {}}', '1 hour', '{a}')",
            "SELECT {f}.tms_policy_backtest('agent_policies: {rates_agent: {}}', '1 hour', '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_policy_check",
        may: May::Those(&["agent", "operator"]),
        call: "SELECT {f}.tms_policy_check('rates_agent', 'rates.price')",
        foreign: &[(
            "SELECT {f}.tms_policy_check('rates_agent', 'rates.price', company_id => '{a}')",
            "SELECT {f}.tms_policy_check('rates_agent', 'rates.price', company_id => '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_policy_enforce",
        may: AGENTS,
        call: "SELECT {f}.tms_policy_enforce('rates_agent', 'rates.price')",
        foreign: &[(
            "SELECT {f}.tms_policy_enforce('rates_agent', 'rates.price', company_id => '{a}')",
            "SELECT {f}.tms_policy_enforce('rates_agent', 'rates.price', company_id => '{unknown}')",
        )],
        by_id: false,
    },
    // That an id of another company's is unknown shows tests/limits: ids are not known beforehand.
    Function {
        name: "tms_policy_release",
        may: AGENTS,
        call: "SELECT {f}.tms_policy_release('{unknown}', 'success')",
        foreign: &[],
        by_id: false,
    },
    Function {
        name: "tms_policy_allowed",
        may: POLICY_READERS,
        call: "SELECT {f}.tms_policy_allowed('rates_agent')",
        foreign: &[(
            "SELECT {f}.tms_policy_allowed('rates_agent', '{a}')",
            "SELECT {f}.tms_policy_allowed('rates_agent', '{unknown}')",
        )],
        by_id: false,
    },
    Function {
        name: "tms_policy_explain",
        may: POLICY_READERS,
        call: "SELECT {f}.tms_policy_explain('rates_agent')",
        foreign: &[(
            "SELECT {f}.tms_policy_explain('rates_agent', '{a}')",
            "SELECT {f}.tms_policy_explain('rates_agent', '{unknown}')",
        )],
        by_id: false,
    },
];
