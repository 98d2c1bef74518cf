//! What SQL calls, by family: convert the arguments, call, convert the answer.

pub(crate) mod outbox;
pub(crate) mod status;
pub(crate) mod targets;
pub(crate) mod tenancy;
