//! The answer to a call: `{decision, reason, rule, mode, policy_version, policy_sha256, payload, retry_after_ms, reservation_id}`.

use pgrx::pg_sys;
use tms_domain::policy::Mode;
use uuid::Uuid;

use super::judge::Judged;
use super::redaction;
use crate::pg::jsonb::Object;

/// The verdict as jsonb, in memory of the caller's context. Every key is always there; what there is nothing to say of is null.
pub(crate) fn of(judged: &Judged, payload: pg_sys::Datum, reservation: Option<Uuid>) -> pg_sys::Datum {
    let policy = judged.policy.as_deref();
    // Where no policy says otherwise, a denial is one.
    let mode = policy.map_or(Mode::Enforce, |compiled| compiled.policy.effective_mode());
    let mut verdict = Object::begin();
    verdict.text(c"decision", judged.decision.as_str());
    verdict.text(c"reason", &judged.reason);
    verdict.text(c"rule", &judged.rule);
    verdict.text(c"mode", mode.as_str());
    verdict.integer(c"policy_version", policy.map(|compiled| compiled.version.into()));
    match policy {
        Some(compiled) => verdict.text(c"policy_sha256", &compiled.sha256),
        None => verdict.null(c"policy_sha256"),
    }
    match redaction::shown(policy, payload) {
        Some(shown) => verdict.jsonb(c"payload", shown),
        None => verdict.null(c"payload"),
    }
    verdict.integer(c"retry_after_ms", judged.retry_after_ms);
    match reservation {
        Some(id) => verdict.text(c"reservation_id", &id.to_string()),
        None => verdict.null(c"reservation_id"),
    }
    verdict.finish()
}
