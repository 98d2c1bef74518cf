//! `tms_policy_check`: asks, charges nothing.

use std::time::Instant;

use pgrx::pg_sys;
use tms_domain::policy::decide::Decision;
use tms_domain::policy::usage::Usage;

use super::judge::{self, Judged};
use super::{limits, record, redaction, verdict};
use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::jsonb;
use crate::settings;
use crate::store::policies::Company;

/// Largest usage, in jsonb's own form: four keys and the name of a model.
const LARGEST_USAGE: usize = 4_096;

/// A call as it is given to `tms_policy_check`, checked.
pub(crate) struct Call {
    pub(crate) agent: String,
    pub(crate) function: String,
    pub(crate) payload: pg_sys::Datum,
    pub(crate) usage: Usage,
    pub(crate) company: Company,
}

impl Call {
    /// Reads `(agent_name, fn_name, payload, usage, company_id)`; `name` is the function's, for errors.
    pub(crate) fn read(name: &str, arguments: &Arguments) -> Result<Self> {
        let missing = |argument| move || errors::null_argument(name, argument);
        let agent = arguments.text(0).ok_or_else(missing("agent_name"))?;
        let function = arguments.text(1).ok_or_else(missing("fn_name"))?;
        let payload = arguments.datum(2).ok_or_else(missing("payload"))?;
        let usage = arguments.datum(3).ok_or_else(missing("usage"))?;
        let company = tenancy::company_for(arguments.uuid(4))?;
        let (size, limit) = (jsonb::size(payload), settings::max_payload_bytes());
        if size > limit {
            return Err(errors::payload_too_large(size, limit));
        }
        Ok(Self {
            agent,
            function,
            payload,
            usage: read_usage(usage)?,
            company,
        })
    }
}

/// What a call says it uses.
pub(crate) fn read_usage(usage: pg_sys::Datum) -> Result<Usage> {
    let size = jsonb::size(usage);
    if size > LARGEST_USAGE {
        return Err(errors::out_of_range(
            "usage",
            &format!("of {size} bytes"),
            "an object of tokens, api_calls, cost_usd and model",
        ));
    }
    if let Some(usage) = jsonb::with_root(usage, Usage::read_plain) {
        return Ok(usage);
    }
    let usage = jsonb::value(usage).ok_or_else(|| errors::unreadable("usage"))?;
    Usage::read(&usage).map_err(errors::problem)
}

/// `tms_policy_check(agent_name, fn_name, payload, usage, company_id)`: what would become of the call.
pub(crate) fn check(arguments: &Arguments) -> Result<pg_sys::Datum> {
    let begin = Instant::now();
    let call = Call::read("tms_policy_check", arguments)?;
    let judged = judge(&call)?;
    let shown = redaction::shown(&judged, &call)?;
    record::asked(&call, &judged, begin.elapsed());
    Ok(verdict::of(&judged, shown, None))
}

/// Limits are asked about what would run now: what waits for a person is judged again when it does.
fn judge(call: &Call) -> Result<Judged> {
    let judged = judge::by_lists(&call.agent, &call.function, &call.company);
    let (Decision::Allow, Some(policy)) = (judged.decision, judged.policy.as_deref()) else {
        return Ok(judged);
    };
    Ok(match limits::peek(policy, call)? {
        None => judged,
        Some(refusal) => refusal.of(judged),
    })
}
