//! What of a call's payload its verdict and its record show.

use pgrx::pg_sys;

use super::check::Call;
use super::judge::Judged;
use crate::api::landing::Landing;
use crate::errors::Result;

fn landing(call: &Call) -> Landing<'_> {
    Landing::new(
        "policy_decisions".to_owned(),
        call.company,
        Some(call.agent.as_str().into()),
    )
}

/// The payload as the agent's policy lets it be seen, for the verdict; `None` where there is no policy to say so.
///
/// # Errors
/// The policy hides something, and the payload is too deep or too large to be looked through.
pub(super) fn shown(judged: &Judged, call: &Call) -> Result<Option<pg_sys::Datum>> {
    let Some(compiled) = &judged.policy else {
        return Ok(None);
    };
    let fields = compiled.policy.pii_rules.redact_fields.as_deref();
    if fields.is_none_or(<[String]>::is_empty) {
        return Ok(Some(call.payload));
    }
    landing(call).by_policy(call.payload).map(Some)
}

/// The payload as it lands on record, by the company's rules and the policy's; `None` where it cannot be looked through.
pub(super) fn kept(call: &Call) -> Option<pg_sys::Datum> {
    landing(call).whole(call.payload).ok()
}
