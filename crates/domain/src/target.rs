//! Reading what `tms_target_set` is given: the transport and its options.
//!
//! Strict on purpose: an option that is misspelt and silently ignored shows up as a target that behaves oddly in
//! production. JSON null is refused like any other wrong value; an option that is to have its default is left out.

use serde_json::Value;

use crate::backoff::RetryPolicy;
use crate::problem::Problem;
use crate::shown::kind_of;

mod allowed;
mod fields;
mod http;
mod in_database;
mod overrides;
mod policies;
mod public;
mod redaction;
mod transport;

pub use crate::breaker::Policy as BreakerPolicy;
pub use crate::envelope::Envelope;
use fields::Fields;
pub use http::{HttpOptions, Profile};
pub use in_database::{NotifyOptions, RealtimeOptions};
pub use overrides::{Override, parse_override};
pub use policies::{OnAmbiguous, OnDead, Rate};
pub use public::merge;
pub use redaction::Redaction;
pub use transport::Transport;

/// What Slack asks for: one message a second for each webhook.
const SLACK_RATE: Rate = Rate {
    per_second: 1.0,
    burst: 1,
};

/// The options of a target, checked and with their defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct TargetOptions {
    /// How events get there.
    pub delivery: Delivery,
    /// The waits between attempts.
    pub retry: RetryPolicy,
    /// The pace it is sent events at; None for as fast as it takes them.
    pub rate: Option<Rate>,
    /// When it is given a rest; None for never, as with every target in the database.
    pub breaker: Option<BreakerPolicy>,
    /// What is done with an event whose request was sent and never answered. Slack's default is [`OnAmbiguous::Retry`] too,
    /// although it cannot recognise a duplicate: a message that comes twice is noticed, one that never comes is not.
    pub on_ambiguous: OnAmbiguous,
    /// What a dead letter does to the later events of its ordering key.
    pub on_dead: OnDead,
    /// What is left out of what leaves; None for nothing.
    pub redaction: Option<Redaction>,
}

/// How a target's events get there, with what only this way has.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// A request for each event; Slack's webhooks are [`Profile::Slack`].
    Http(HttpOptions),
    /// A message of Supabase Realtime.
    Realtime(RealtimeOptions),
    /// A notification.
    Notify(NotifyOptions),
    /// Consumers claim events themselves.
    Pull,
}

impl TargetOptions {
    /// What only HTTP and Slack targets have.
    #[must_use]
    pub fn http(&self) -> Option<&HttpOptions> {
        match &self.delivery {
            Delivery::Http(http) => Some(http),
            Delivery::Realtime(_) | Delivery::Notify(_) | Delivery::Pull => None,
        }
    }

    /// What is accepted and probably not meant. The texts hold no secret.
    #[must_use]
    pub fn warnings(&self) -> Vec<Problem> {
        self.http().map(HttpOptions::warnings).unwrap_or_default()
    }
}

/// Reads the options of the target `name`.
///
/// Known names give defaults: an `http` target named `n8n`, or `n8n` and something after `-`, `_` or `.` (n8n has a
/// URL for each workflow), has [`Profile::N8n`]; one named `slack` is a Slack target. A Slack target sends one message a
/// second unless `rate_per_second` says otherwise.
///
/// # Errors
/// Anything but an object, an unknown option (HINT has the nearest), an option the transport has no use for,
/// a missing url, and a value of the wrong type or out of its
/// range. Texts repeat neither the URL's path and query nor a header's value nor a secret.
pub fn parse(name: &str, transport: Transport, options: &Value) -> Result<TargetOptions, Problem> {
    let transport = match (transport, name) {
        (Transport::Http, "slack") => Transport::Slack,
        _ => transport,
    };
    let Value::Object(object) = options else {
        return Err(Problem::new(format!("the options are {}", kind_of(options)))
            .detail("Expected a JSON object such as {\"url\": \"https://host.example/path\"}."));
    };
    allowed::check(object, transport)?;
    let fields = Fields::new(object, "");
    let is_remote = matches!(transport, Transport::Http | Transport::Slack);
    let default_rate = (transport == Transport::Slack).then_some(SLACK_RATE);
    Ok(TargetOptions {
        delivery: match transport {
            Transport::Http if is_of_n8n(name) => Delivery::Http(http::read(&fields, Profile::N8n)?),
            Transport::Http => Delivery::Http(http::read(&fields, Profile::Generic)?),
            Transport::Slack => Delivery::Http(http::read(&fields, Profile::Slack)?),
            Transport::Realtime => Delivery::Realtime(RealtimeOptions::read(&fields)?),
            Transport::Notify => Delivery::Notify(NotifyOptions::read(&fields)?),
            Transport::Pull => Delivery::Pull,
        },
        retry: policies::retry(&fields)?,
        rate: policies::rate(&fields, default_rate)?,
        breaker: if is_remote {
            policies::breaker(&fields)?
        } else {
            None
        },
        on_ambiguous: policies::on_ambiguous(&fields)?,
        on_dead: policies::on_dead(&fields)?,
        redaction: redaction::read(&fields)?,
    })
}

fn is_of_n8n(name: &str) -> bool {
    name.strip_prefix("n8n")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_', '.']))
}

#[cfg(test)]
mod tests;
