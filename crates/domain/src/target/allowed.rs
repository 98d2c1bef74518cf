//! Which options each kind of target has, and what is said about the others.

use serde_json::{Map, Value};

use super::Transport;
use super::fields::Fields;
use crate::problem::Problem;

/// What both kinds of HTTP target have.
const REQUEST: &[&str] = &[
    "url",
    "method",
    "headers",
    "timeout_ms",
    "max_concurrency",
    "allow_private_network",
];
/// What Slack decides for itself: it takes JSON of its own form and looks at no signature.
const BODY: &[&str] = &["envelope", "signing", "secret", "gzip"];
/// What makes sense of a receiver that can fail apart from the database.
const REMOTE: &[&str] = &["breaker", "on_ambiguous"];
const REALTIME: &[&str] = &["topic", "event", "private"];
const NOTIFY: &[&str] = &["channel"];
/// What leaves in a request or a message. Consumers of a pull target read the event itself.
const LEAVING: &[&str] = &["redact_fields"];
/// Consumers that claim events set their own pace.
const PACE: &[&str] = &["rate_per_second", "burst"];
const COMMON: &[&str] = &["retry", "on_dead"];

/// Every documented option.
pub(super) fn all() -> Vec<&'static str> {
    [REQUEST, BODY, REMOTE, REALTIME, NOTIFY, PACE, COMMON, LEAVING].concat()
}

/// The options of one kind of target.
pub(super) fn of(transport: Transport) -> Vec<&'static str> {
    match transport {
        Transport::Http => [REQUEST, BODY, REMOTE, PACE, LEAVING, COMMON].concat(),
        Transport::Slack => [REQUEST, REMOTE, PACE, LEAVING, COMMON].concat(),
        Transport::Realtime => [REALTIME, PACE, LEAVING, COMMON].concat(),
        Transport::Notify => [NOTIFY, PACE, LEAVING, COMMON].concat(),
        Transport::Pull => COMMON.to_vec(),
    }
}

/// Refuses the names that are not among a target's options. Misspellings are reported first: they are certainly a mistake.
pub(super) fn check(object: &Map<String, Value>, transport: Transport) -> Result<(), Problem> {
    let (documented, own) = (all(), of(transport));
    let first = |wanted: &dyn Fn(&str) -> bool| object.keys().map(String::as_str).find(|name| wanted(name));
    if let Some(unknown) = first(&|name| !documented.contains(&name)) {
        return Err(Fields::new(object, "").unknown(unknown, &own));
    }
    let available = || format!("Available options are {}.", own.join(", "));
    if let Some(foreign) = first(&|name| !own.contains(&name)) {
        let message = format!(
            "option \"{foreign}\" is of no use with transport {}",
            transport.as_str()
        );
        return Err(Problem::new(message)
            .detail(available())
            .hint(instead(foreign, transport)));
    }
    Ok(())
}

/// What to do about an option of another kind of target.
fn instead(option: &str, transport: Transport) -> String {
    let why = match transport {
        Transport::Slack if BODY.contains(&option) => {
            "Leave it out: Slack takes messages of its own form, and its URL is the credential."
        }
        Transport::Realtime | Transport::Notify if REMOTE.contains(&option) => {
            "Leave it out: the message is written by the transaction that completes the event."
        }
        Transport::Pull if LEAVING.contains(&option) => {
            "Leave it out: consumers claim the event itself, so enqueue what they may see."
        }
        Transport::Pull if PACE.contains(&option) => "Leave it out: the consumers set the pace.",
        _ => return elsewhere(option),
    };
    why.to_owned()
}

fn elsewhere(option: &str) -> String {
    let owners: Vec<&str> = Transport::ALL
        .into_iter()
        .filter(|transport| of(*transport).contains(&option))
        .map(Transport::as_str)
        .collect();
    format!("Leave it out; it belongs to transport {}.", owners.join(", "))
}
