//! What the limits of a policy say to a call that its lists allow.
//!
//! The seam to what has been used: until shared memory is asked, a call is held against the limits of one task by what it says
//! of itself alone.

use tms_domain::policy::limits::{CostGuardrails, Used};
use tms_domain::policy::usage::Usage;

use crate::store::policies::Company;
use crate::store::policies::known::Compiled;

/// A limit that stands in the way of a call.
pub(crate) struct Refusal {
    /// The rule, such as `rate_limits.requests_per_minute: 60`.
    pub(crate) rule: String,
    /// The reason, for people.
    pub(crate) reason: String,
    /// When it may go through; `None` where waiting does not help.
    pub(crate) retry_after_ms: Option<i64>,
}

/// What stands in the way of a call for this company now. Charges nothing.
pub(crate) fn peek(policy: &Compiled, _company: &Company, usage: &Usage) -> Option<Refusal> {
    let costs = CostGuardrails {
        // What a day has cost is not known here.
        max_cost_usd_per_day: None,
        ..policy.policy.cost_guardrails
    };
    let exceeded = costs.check(&Used::default(), &usage.asked()).err()?;
    Some(Refusal {
        rule: exceeded.limit.rule().to_owned(),
        reason: exceeded.to_string(),
        retry_after_ms: None,
    })
}
