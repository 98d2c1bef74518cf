//! Companies kept apart: every object of the extension, by its entry in the catalog, and whose company a session is.

mod catalog;
mod company;
mod functions;
mod pooled;
mod sessions;
mod stage;
mod status;
mod tables;
