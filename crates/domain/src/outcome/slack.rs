//! What Slack's answers to an incoming webhook mean: a status and one word of plain text.

use std::time::SystemTime;

use serde_json::Value;

use super::{Answer, ErrorType, Verdict, status};

/// The errors that Slack names and that the same message meets again at every attempt.
const PERMANENT: &[&str] = &[
    "action_prohibited",
    "channel_is_archived",
    "channel_not_found",
    "invalid_blocks",
    "invalid_payload",
    "invalid_token",
    "no_active_hooks",
    "no_service",
    "no_team",
    "no_text",
    "posting_to_general_channel_denied",
    "team_disabled",
    "too_many_attachments",
    "user_not_found",
];
/// The errors that Slack names and that pass.
const TEMPORARY: &[&str] = &["rate_limited", "ratelimited", "rollup_error"];

/// What a body says. Only words of the two lists are ever repeated: the rest of an answer is anybody's text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Ok,
    Permanent(&'static str),
    Temporary(&'static str),
    Other,
}

pub(super) fn classify(answer: Answer<'_>, now: SystemTime) -> Verdict {
    // Where nothing of the body was kept, the status is all there is to go by.
    let body = match answer.body {
        Some(body) => read(body),
        None if (200..=299).contains(&answer.status) => Body::Ok,
        None => Body::Other,
    };
    let note = match body {
        Body::Permanent(word) | Body::Temporary(word) => format!("Slack says {word}"),
        Body::Ok | Body::Other => String::new(),
    };
    let not_taken = |why| Verdict::Retry {
        error: ErrorType::ExternalApi,
        message: status::describe(answer.status, why),
        not_before: status::wait_asked_for(answer, now),
    };
    match (answer.status, body) {
        (200..=299, Body::Ok) => Verdict::Delivered,
        (200..=299, Body::Permanent(_)) => Verdict::Dead {
            error: ErrorType::Validation,
            message: status::describe(answer.status, &note),
        },
        (200..=299, Body::Temporary(_)) => not_taken(&note),
        (200..=299, Body::Other) => not_taken("the body is not Slack's \"ok\""),
        (410, _) => Verdict::Dead {
            error: ErrorType::Validation,
            message: status::describe(410, &note),
        },
        _ => status::classify(answer, &note, now),
    }
}

/// Incoming webhooks answer in plain text; workflow triggers and the Web API answer `{"ok": ..., "error": ...}`.
fn read(body: &[u8]) -> Body {
    let Ok(text) = std::str::from_utf8(body) else {
        return Body::Other;
    };
    let text = text.trim();
    if text.starts_with('{') {
        return match serde_json::from_str::<Value>(text) {
            Ok(object) if object["ok"] == Value::Bool(true) => Body::Ok,
            Ok(object) => object["error"].as_str().map_or(Body::Other, known),
            Err(_) => Body::Other,
        };
    }
    if text == "ok" { Body::Ok } else { known(text) }
}

fn known(word: &str) -> Body {
    let in_list = |list: &[&'static str]| list.iter().copied().find(|known| *known == word);
    in_list(PERMANENT)
        .map(Body::Permanent)
        .or_else(|| in_list(TEMPORARY).map(Body::Temporary))
        .unwrap_or(Body::Other)
}
