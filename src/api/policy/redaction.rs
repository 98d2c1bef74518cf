//! What of a call's payload its verdict shows.

use pgrx::pg_sys;

use crate::store::policies::known::Compiled;

/// The payload as the policy lets it be seen; `None` where nothing may be.
///
/// The seam to redaction: a policy that names fields shows nothing until they can be hidden in place. Without a policy there
/// are no rules to hide by, and nothing is shown either.
pub(crate) fn shown(policy: Option<&Compiled>, payload: pg_sys::Datum) -> Option<pg_sys::Datum> {
    let fields = policy?.policy.pii_rules.redact_fields.as_deref();
    fields.is_none_or(<[String]>::is_empty).then_some(payload)
}
