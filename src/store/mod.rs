//! The SQL statements of the extension, one file a table. Every name is qualified, every value a parameter.

pub(crate) mod attempts;
pub(crate) mod catalog;
pub(crate) mod decisions;
pub(crate) mod events;
pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod installation;
pub(crate) mod keys;
pub(crate) mod letters;
pub(crate) mod logs;
pub(crate) mod messages;
pub(crate) mod new_events;
pub(crate) mod policies;
pub(crate) mod pull;
pub(crate) mod redaction;
pub(crate) mod retention;
pub(crate) mod roles;
pub(crate) mod spending;
pub(crate) mod subscriptions;
pub(crate) mod targets;
pub(crate) mod tasks;
pub(crate) mod webhooks;
