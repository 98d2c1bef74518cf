//! Reading the headers of a message that somebody sent us.

use serde_json::{Map, Value};

/// Ids are filed in an index; Standard Webhooks asks for short ones.
const ID_LIMIT: usize = 256;

/// What the headers of a Standard Webhooks message say. Nothing of it is believed before the signature is checked.
pub(super) struct Message {
    pub(super) id: String,
    /// Unix seconds.
    pub(super) timestamp: i64,
    pub(super) signature: String,
}

impl Message {
    /// Reads an object of header names, in any case, and values. The error is a reason for whoever looks into it; it repeats
    /// nothing of what was sent.
    pub(super) fn read(headers: &Value) -> Result<Self, String> {
        let Value::Object(headers) = headers else {
            return Err("the headers are not an object".to_owned());
        };
        let id = find(headers, "id")?;
        if id.len() > ID_LIMIT {
            return Err(format!("the id of the message is longer than {ID_LIMIT} bytes"));
        }
        let timestamp = find(headers, "timestamp")?;
        let signature = find(headers, "signature")?;
        Ok(Self {
            id: id.to_owned(),
            timestamp: unix_seconds(timestamp)
                .ok_or("the timestamp of the message is not a whole number of seconds")?,
            signature: signature.to_owned(),
        })
    }
}

/// The value of `webhook-NAME`, or of `svix-NAME` as the senders write that the standard came from.
fn find<'a>(headers: &'a Map<String, Value>, name: &str) -> Result<&'a str, String> {
    for prefix in ["webhook", "svix"] {
        let wanted = format!("{prefix}-{name}");
        let mut found = headers
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(&wanted));
        match (found.next(), found.next()) {
            (None, _) => {}
            // Which of them the signature is about is not for the receiver to guess.
            (Some(_), Some(_)) => return Err(format!("header {wanted} comes twice")),
            (Some((_, value)), None) => {
                return text(value).ok_or_else(|| format!("header {wanted} is not one text"));
            }
        }
    }
    Err(format!("header webhook-{name} is missing"))
}

/// Some servers hand each header on as the list of its values.
fn text(value: &Value) -> Option<&str> {
    let one = match value {
        Value::Array(values) => match values.as_slice() {
            [one] => one,
            _ => return None,
        },
        value => value,
    };
    one.as_str().map(|text| text.trim_matches([' ', '\t']))
}

/// Digits alone: with a sign it would be another text than the one that was signed.
fn unix_seconds(text: &str) -> Option<i64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}
