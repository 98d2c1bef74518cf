//! What SQL calls, by family: convert the arguments, call, convert the answer.

pub(crate) mod events;
pub(crate) mod installation;
pub(crate) mod landing;
pub(crate) mod letters;
pub(crate) mod logs;
pub(crate) mod outbox;
pub(crate) mod policy;
pub(crate) mod pull;
pub(crate) mod redaction;
pub(crate) mod redaction_rules;
pub(crate) mod status;
pub(crate) mod subscriptions;
pub(crate) mod targets;
pub(crate) mod tasks;
pub(crate) mod tenancy;
pub(crate) mod webhooks;
