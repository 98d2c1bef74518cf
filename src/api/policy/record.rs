//! The record of a decision, on its way to `tms.policy_decisions` by way of shared memory.

use std::time::Duration;

use pgrx::pg_sys;
use serde_json::Value;
use tms_domain::canonical_json;
use tms_domain::policy::canonical;
use tms_domain::policy::decide::Decision;
use uuid::Uuid;

use super::check::Call;
use super::judge::Judged;
use super::redaction;
use crate::api::outbox;
use crate::pg::server::{self, PG_EPOCH_US};
use crate::pg::{journal, jsonb};
use crate::settings::{self, RecordDecisions};

/// Longest text of an input that is kept, in bytes; a longer one is cut, beside the digest of the whole.
const LONGEST_INPUT: usize = 8_192;
/// Longest name that is kept, in characters: a longer one names nothing.
const LONGEST_NAME: usize = 256;
/// Longest rule or reason, in characters.
const LONGEST_REASON: usize = 1_000;

/// Puts a decision that was acted on on record, whatever becomes of the transaction.
pub(crate) fn enforced(call: &Call, judged: &Judged, effective: Decision, took: Duration) {
    put(call, judged, effective, took, false);
}

/// Puts one that was asked for on record, where that is wanted. On a standby nobody would write it down.
pub(crate) fn asked(call: &Call, judged: &Judged, took: Duration) {
    if settings::record_decisions() == RecordDecisions::All && !server::is_in_recovery() {
        put(call, judged, judged.decision, took, true);
    }
}

fn put(call: &Call, judged: &Judged, effective: Decision, took: Duration, is_asked: bool) {
    let record = text(call, judged, effective, took, is_asked);
    journal::put(
        call.company,
        judged.decision != Decision::Allow,
        record.as_bytes(),
    );
}

/// A JSON object with the columns of the table, as [`crate::store::decisions::write`] reads it. Payloads are put together as
/// text: a number in them may be more than serde's.
fn text(call: &Call, judged: &Judged, effective: Decision, took: Duration, is_asked: bool) -> String {
    let policy = judged.policy.as_deref();
    let mut payload = Vec::new();
    jsonb::write_text(call.payload, &mut payload);
    let payload = String::from_utf8_lossy(&payload);
    let mut record = Record::begin();
    record.string("id", Some(&Uuid::from_bytes(outbox::new_id()).to_string()));
    record.json(
        "decided_us",
        &server::now().saturating_add(PG_EPOCH_US).to_string(),
    );
    let company = call.company.map(|company| Uuid::from_bytes(company).to_string());
    record.string("company_id", company.as_deref());
    record.string("agent_name", Some(beginning(&call.agent, LONGEST_NAME)));
    record.string("fn_name", Some(beginning(&call.function, LONGEST_NAME)));
    record.string("decision", Some(judged.decision.as_str()));
    record.string("effective", Some(effective.as_str()));
    record.json("asked", if is_asked { "true" } else { "false" });
    record.string("reason", Some(beginning(&judged.reason, LONGEST_REASON)));
    record.string("rule", Some(beginning(&judged.rule, LONGEST_REASON)));
    record.string(
        "mode",
        policy.map(|compiled| compiled.policy.effective_mode().as_str()),
    );
    if let Some(compiled) = policy {
        record.json("policy_version", &compiled.version.to_string());
        record.string("policy_sha256", Some(&compiled.sha256));
    }
    record.string(
        "input_sha256",
        Some(&canonical::digest(&canonical_json::text(&payload))),
    );
    if let Some(shown) = redaction::kept(call) {
        record.json("input", &kept(shown, call.payload, &payload));
    }
    record.json("usage", &usage(call));
    let micros = i32::try_from(took.as_micros()).unwrap_or(i32::MAX);
    record.json("latency_us", &micros.to_string());
    record.finish()
}

/// The input as it is kept: whole, or its beginning as a text.
fn kept(shown: pg_sys::Datum, payload: pg_sys::Datum, text: &str) -> String {
    let mut redacted = Vec::new();
    let text = if shown.value() == payload.value() {
        text.into()
    } else {
        jsonb::write_text(shown, &mut redacted);
        String::from_utf8_lossy(&redacted)
    };
    if text.len() <= LONGEST_INPUT {
        return text.into_owned();
    }
    let cut = &text[..text.floor_char_boundary(LONGEST_INPUT)];
    format!("{{\"cut\": {}, \"bytes\": {}}}", Value::from(cut), text.len())
}

fn usage(call: &Call) -> String {
    let usage = &call.usage;
    let mut said = Record::begin();
    if let Some(tokens) = usage.tokens {
        said.json("tokens", &tokens.to_string());
    }
    said.json("api_calls", &usage.api_calls.to_string());
    if let Some(cost) = usage.cost {
        // The text of an amount is a number of dollars.
        said.json("cost_usd", &cost.to_string());
    }
    said.string("model", usage.model.as_deref());
    said.finish()
}

/// The first so many characters.
fn beginning(text: &str, most: usize) -> &str {
    let end = text.char_indices().nth(most).map_or(text.len(), |(end, _)| end);
    &text[..end]
}

/// A JSON object that is written key by key.
struct Record(String);

impl Record {
    fn begin() -> Self {
        Self("{".to_owned())
    }

    /// A value that is JSON already.
    fn json(&mut self, key: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        self.0.push('"');
        self.0.push_str(key);
        self.0.push_str("\":");
        self.0.push_str(value);
    }

    /// A text; nothing for `None`.
    fn string(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.json(key, &Value::from(value).to_string());
        }
    }

    fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}
