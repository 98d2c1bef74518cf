//! What a receiver does with a request once it has read it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::http::Request;

/// A way to answer, or not to.
#[derive(Clone, Default)]
pub enum Behaviour {
    /// 200 with an empty body.
    #[default]
    Ok,
    /// This status, these headers, this body.
    Status(u16, Vec<(String, String)>, Vec<u8>),
    /// 200 after this time; other connections are served meanwhile.
    Delay(Duration),
    /// No answer, until the sender gives up.
    Hang,
    /// The connection is closed without an answer.
    Close,
    /// The connection is closed in the middle of the answer's body.
    CloseMidBody,
    /// 200, and then [`DRIP_BYTES`] bytes of body, one after each interval.
    DripBody(Duration),
    /// These bytes, whatever they are; then the connection is closed.
    Raw(Vec<u8>),
    /// Decided for each request. It runs on the receiver's only thread, after the request was recorded.
    Choose(Choice),
}

/// How long the body of [`Behaviour::DripBody`] is.
pub const DRIP_BYTES: usize = 64;

/// A decision per request.
pub type Choice = Arc<dyn Fn(&Request<'_>) -> Behaviour + Send + Sync>;

impl Behaviour {
    /// This status with an empty body.
    pub fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), Vec::new())
    }

    /// This status with one header.
    pub fn status_with(status: u16, name: &str, value: &str) -> Self {
        Self::Status(status, vec![(name.into(), value.into())], Vec::new())
    }

    /// A decision per request, for example by its `attempt` or its path.
    pub fn choose(choice: impl Fn(&Request<'_>) -> Behaviour + Send + Sync + 'static) -> Self {
        Self::Choose(Arc::new(choice))
    }

    /// From the body of a control request: `{"ok": true}`, `{"status": 503, "headers": {}, "body": ""}`,
    /// `{"delay_ms": 50}`, `{"hang": true}`, `{"close": true}`, `{"close_mid_body": true}` or `{"drip_ms": 100}`.
    pub fn from_json(value: &Value) -> Result<Self, String> {
        let millis = |key: &str| value.get(key).and_then(Value::as_u64).map(Duration::from_millis);
        let flag = |key: &str| value.get(key).and_then(Value::as_bool).unwrap_or(false);
        if let Some(status) = value.get("status") {
            return status_from_json(status, value);
        }
        if let Some(delay) = millis("delay_ms") {
            return Ok(Self::Delay(delay));
        }
        if let Some(interval) = millis("drip_ms") {
            return Ok(Self::DripBody(interval));
        }
        let flags = [
            ("ok", Self::Ok),
            ("hang", Self::Hang),
            ("close", Self::Close),
            ("close_mid_body", Self::CloseMidBody),
        ];
        flags
            .into_iter()
            .find_map(|(key, behaviour)| flag(key).then_some(behaviour))
            .ok_or_else(|| format!("no behaviour in {value}"))
    }
}

fn status_from_json(status: &Value, value: &Value) -> Result<Behaviour, String> {
    let status = status
        .as_u64()
        .and_then(|status| u16::try_from(status).ok())
        .filter(|status| (100..1000).contains(status))
        .ok_or_else(|| format!("no status: {status}"))?;
    let headers = value
        .get("headers")
        .and_then(Value::as_object)
        .into_iter()
        .flatten();
    let headers = headers
        .map(|(name, value)| match value {
            Value::String(text) => (name.clone(), text.clone()),
            other => (name.clone(), other.to_string()),
        })
        .collect();
    let body = value.get("body").and_then(Value::as_str).unwrap_or_default();
    Ok(Behaviour::Status(status, headers, body.as_bytes().to_vec()))
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => write!(f, "Ok"),
            Self::Status(status, ..) => write!(f, "Status({status})"),
            Self::Delay(time) => write!(f, "Delay({time:?})"),
            Self::Hang => write!(f, "Hang"),
            Self::Close => write!(f, "Close"),
            Self::CloseMidBody => write!(f, "CloseMidBody"),
            Self::DripBody(interval) => write!(f, "DripBody({interval:?})"),
            Self::Raw(bytes) => write!(f, "Raw({} bytes)", bytes.len()),
            Self::Choose(_) => write!(f, "Choose(..)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_behaviour_is_read_from_json() {
        let read = |text: &str| {
            Behaviour::from_json(&serde_json::from_str(text).unwrap()).map(|found| format!("{found:?}"))
        };
        assert_eq!(
            read(r#"{"status": 503, "headers": {"retry-after": 1}}"#).unwrap(),
            "Status(503)"
        );
        assert_eq!(read(r#"{"delay_ms": 50}"#).unwrap(), "Delay(50ms)");
        assert_eq!(read(r#"{"hang": true}"#).unwrap(), "Hang");
        assert_eq!(read(r#"{"ok": true}"#).unwrap(), "Ok");
        assert!(read(r#"{"hang": false}"#).is_err());
        assert!(read(r#"{"status": 70000}"#).is_err());
    }
}
