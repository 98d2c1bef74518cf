//! The test bench of tms: real postmasters, real receivers, and a ledger between them.
//!
//! ```no_run
//! use std::{sync::Arc, time::Duration};
//! use tms_e2e::{cluster::Cluster, ledger::Ledger, load::Load, receiver::Receiver};
//!
//! let cluster = Cluster::builder().preload(true).start();
//! let receiver = Receiver::start();
//! let ledger = Arc::new(Ledger::default());
//! let load = Load::on(cluster.config("postgres", "postgres")).rate(2_500.0).start(ledger.clone());
//! receiver.wait_for("1,000 deliveries", Duration::from_secs(10), |seen| seen.distinct() >= 1_000);
//! load.stop();
//! ```
//!
//! The rooms:
//! - [`cluster`]: a private postmaster that can be stopped, killed and started again
//! - [`receiver`]: an HTTP server that records what reaches it and misbehaves on request
//! - [`peer`]: a receiver of bytes, for what no HTTP server would do
//! - [`load`]: producers that commit events at a steady rate and survive crashes of the server
//! - [`ledger`]: what was committed, what was rolled back, what arrived, and whether these agree
//! - [`latency`]: commit to receiver, measured from a time the payload carries
//! - [`wait`]: waiting for a condition that only polling can see
//! - [`story`]: what a story about the queue begins with
//! - [`keys`]: ordering keys held against what arrived
//! - [`chance`]: chance that can be repeated
//! - [`port`]: ports that stay free while their owner is down
//!
//! The environment says which server is meant; see [`cluster::Installation`].

pub mod ask;
pub mod chance;
pub mod cluster;
pub mod foreign;
pub mod keys;
pub mod latency;
pub mod ledger;
pub mod load;
pub mod peer;
pub mod port;
pub mod receiver;
pub mod story;
pub mod wait;
