//! What becomes of events when things stop in order, when a worker is sent away, and when a receiver fails.
//!
//! - `stops`: a server that stops, a dispatcher that is terminated     - `failures`: receivers that refuse
//! - `attempts`: what is on record of it                              - `stage`: the server and the receiver of a test

mod attempts;
mod failures;
mod stage;
mod stops;
