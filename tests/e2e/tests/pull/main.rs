//! Pull targets: consumers claim events under leases, give them back or acknowledge them, and never hold two of one ordering key.

mod claims;
mod consumers;
mod keys;
mod leases;
mod stage;
