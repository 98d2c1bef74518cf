//! What a target may reach, on a real database: addresses in every notation, and certificates.
//!
//! - `addresses`: private addresses are refused however they are written - `certificates`: TLS with authorities of the test
//! - `authority`: those authorities, and a receiver that speaks TLS - `stage`: the server

mod addresses;
#[path = "../common/authority.rs"]
mod authority;
mod certificates;
mod secure;
mod stage;
