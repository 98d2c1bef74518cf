//! The HTTP engine of tms: requests go in as batches of [`Job`]s, outcomes come back as [`Completion`]s.
//!
//! It runs on threads of its own beside the PostgreSQL thread of the dispatcher, knows nothing of PostgreSQL, and
//! may not panic, log, or put a URL, a header value or a body into an error text. The owner never blocks: it
//! submits, waits for [`Engine::event_fd`] together with its latch, and drains.
//!
//! | room | what happens there |
//! |---|---|
//! | [`engine`](Engine) | the owner's side: targets, submit, drain, withdraw, shutdown |
//! | `config`, `job` | the words of the interface |
//! | `reactor` | one I/O thread: its runtime, its inbox, its end |
//! | `target` | the queue of one target and the places its connections may take |
//! | `slot` | one place: takes jobs, keeps one connection, parks when idle |
//! | `connection` | one HTTP/1.1 exchange over one connection, with its limits |
//! | `connect`, `resolve`, `tls` | from a host name to a connection |
//! | [`guard`] | which addresses may be dialled |
//! | `request` | what is computed once per target, and a request from it |
//! | `completions` | outcomes on their way back, and when the owner is woken for them |
//! | `deadline`, `fair` | a timer that is rarely touched; a stream that gives others their turn |
//! | `failures`, `sync`, `os` | texts of failures; locks; eventfd and signal mask |
#![forbid(unsafe_code)]

mod completions;
mod config;
mod connect;
mod connection;
mod deadline;
mod engine;
mod failures;
mod fair;
pub mod guard;
mod job;
mod os;
mod reactor;
mod request;
mod resolve;
mod slot;
mod sync;
mod target;
mod tls;

pub use config::{EngineConfig, Scheme, TargetId, TargetSpec};
pub use engine::Engine;
pub use http::HeaderName;
pub use job::{Completion, HeaderKey, Job, Response};
pub use tms_domain::failure::{Failure, Phase};
