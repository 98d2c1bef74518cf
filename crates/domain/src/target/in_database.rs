//! What a target has whose events are written by the dispatcher's own transaction: `realtime` and `notify`.

use serde_json::{Map, Value, json};

use super::fields::Fields;
use crate::problem::Problem;

/// Far above what topics are, far below what a message can hold.
const TOPIC_LIMIT: usize = 255;
/// PostgreSQL's limit of a channel (NAMEDATALEN - 1).
const CHANNEL_LIMIT: usize = 63;

/// The options of a Realtime target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealtimeOptions {
    /// The topic of its messages, if it is the same for all.
    pub topic: Option<String>,
    /// The event name of its messages, if it is the same for all.
    pub event: Option<String>,
    /// Whether only clients that the policies of `realtime.messages` admit get them. On by default.
    pub private: bool,
}

/// The options of a NOTIFY target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotifyOptions {
    /// The channel, if it is not named like the target.
    pub channel: Option<String>,
}

impl RealtimeOptions {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        Ok(Self {
            topic: fields.name("topic", TOPIC_LIMIT)?.map(str::to_owned),
            event: fields.name("event", TOPIC_LIMIT)?.map(str::to_owned),
            private: fields.boolean("private")?.unwrap_or(true),
        })
    }

    pub(super) fn write(&self, into: &mut Map<String, Value>) {
        write_name("topic", self.topic.as_ref(), into);
        write_name("event", self.event.as_ref(), into);
        into.insert("private".to_owned(), json!(self.private));
    }
}

impl NotifyOptions {
    pub(super) fn read(fields: &Fields<'_>) -> Result<Self, Problem> {
        Ok(Self {
            channel: fields.name("channel", CHANNEL_LIMIT)?.map(str::to_owned),
        })
    }

    pub(super) fn write(&self, into: &mut Map<String, Value>) {
        write_name("channel", self.channel.as_ref(), into);
    }
}

fn write_name(name: &str, value: Option<&String>, into: &mut Map<String, Value>) {
    if let Some(value) = value {
        into.insert(name.to_owned(), json!(value));
    }
}
