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
//! | `target`, `lanes` | the places that the connections of one target may take, and whose job is next |
//! | `slot` | one place: takes jobs, keeps one connection, parks when idle |
//! | `connection` | one HTTP/1.1 exchange over one connection, with its limits |
//! | `connect`, `resolve`, `network`, `tls` | from a host name to a connection |
//! | `proxy`, `no_proxy` | the way through a proxy, and who is reached without it |
//! | [`guard`], `literal` | which addresses may be dialled, and which host texts are addresses |
//! | `request`, `stamp`, `compress` | what is computed once per target, and a request from it: stamped, signed, gzip |
//! | `completions` | outcomes on their way back, and when the owner is woken for them |
//! | `deadline`, `wire` | a timer that is rarely touched; a stream that gives others their turn |
//! | `failures`, `sync`, `os`, `offload` | texts of failures; locks; eventfd and signal mask; long computations |
#![forbid(unsafe_code)]

mod completions;
mod compress;
mod config;
mod connect;
mod connection;
mod deadline;
mod engine;
mod failures;
pub mod guard;
mod job;
mod lanes;
mod literal;
mod network;
mod no_proxy;
mod offload;
mod os;
mod proxy;
mod reactor;
mod request;
mod resolve;
mod slot;
mod stamp;
mod sync;
mod target;
mod tls;
mod wire;

pub use config::{EngineConfig, ProxySpec, Scheme, TargetId, TargetSpec};
pub use engine::Engine;
pub use http::HeaderName;
pub use job::{Completion, HeaderKey, Job, Response};
pub use tms_domain::failure::{Failure, Phase};
pub use tms_domain::signature::Key;
