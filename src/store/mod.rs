//! The SQL statements of the extension, one file a table. Every name is qualified, every value a parameter.

pub(crate) mod attempts;
pub(crate) mod catalog;
pub(crate) mod events;
pub(crate) mod letters;
pub(crate) mod retention;
pub(crate) mod roles;
pub(crate) mod targets;
