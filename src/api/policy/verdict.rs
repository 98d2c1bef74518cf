//! The answer to a call: `{decision, reason, rule, mode, policy_version, policy_sha256, payload, retry_after_ms, reservation_id}`.

use pgrx::pg_sys;
use tms_domain::jsonb::{Object, TooLarge};
use tms_domain::policy::Mode;
use uuid::Uuid;

use super::judge::Judged;
use crate::errors;
use crate::pg::{array, call, jsonb};

/// The verdict as jsonb, in memory of the caller's context. Every key is always there; what there is nothing to say of is null.
///
/// Built as bytes, without a call of the server for each key: a check is asked many times a second.
/// `shown` is what may be seen of the payload.
pub(crate) fn of(judged: &Judged, shown: Option<pg_sys::Datum>, reservation: Option<Uuid>) -> pg_sys::Datum {
    let built = match shown {
        Some(shown) => jsonb::with_root(shown, |root| build(judged, Some(root), reservation)),
        None => build(judged, None, reservation),
    };
    match built {
        Ok(root) => jsonb::of_root(&root),
        Err(_) => call::raise(errors::payload_too_large(shown.map_or(0, jsonb::size), LARGEST)),
    }
}

/// What a jsonb can be.
const LARGEST: usize = 0x0fff_ffff;

fn build(judged: &Judged, payload: Option<&[u8]>, reservation: Option<Uuid>) -> Result<Vec<u8>, TooLarge> {
    let policy = judged.policy.as_deref();
    // Where no policy says otherwise, a denial is one.
    let mode = policy.map_or(Mode::Enforce, |compiled| compiled.policy.effective_mode());
    let mut verdict = Object::default();
    verdict.text("decision", judged.decision.as_str().as_bytes());
    verdict.text("reason", array::server_bytes(&judged.reason));
    verdict.text("rule", array::server_bytes(&judged.rule));
    verdict.text("mode", mode.as_str().as_bytes());
    match policy {
        Some(compiled) => {
            verdict.number("policy_version", u64::try_from(compiled.version).unwrap_or(0));
            verdict.text("policy_sha256", compiled.sha256.as_bytes());
        }
        None => {
            verdict.null("policy_version");
            verdict.null("policy_sha256");
        }
    }
    match payload {
        Some(root) => verdict.document("payload", root),
        None => verdict.null("payload"),
    }
    match judged.retry_after_ms.and_then(|wait| u64::try_from(wait).ok()) {
        Some(wait) => verdict.number("retry_after_ms", wait),
        None => verdict.null("retry_after_ms"),
    }
    match reservation {
        Some(id) => verdict.text("reservation_id", id.to_string().into_bytes()),
        None => verdict.null("reservation_id"),
    }
    verdict.finish()
}
