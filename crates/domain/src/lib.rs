//! Decisions of tms as plain functions.
//!
//! Nothing in here touches PostgreSQL, the network, the clock or a random number generator: time and
//! randomness are arguments, so every decision can be tested as a table and replayed.
//!
//! The rooms:
//!
//! | room | what it decides |
//! |---|---|
//! | [`failure`], [`outcome`] | what an answer, or the lack of one, means for the event |
//! | [`backoff`], [`retry_after`] | how long the next attempt waits |
//! | [`target`], [`endpoint`], [`headers`] | whether a target can be set as written |
//! | [`names`], [`capability`], [`nearest`] | whether a name is one of ours, and which one was probably meant |
//! | [`event_id`] | the bytes of an id that sorts by time |
//! | [`problem`], [`shown`] | how a user's mistake is put into words |
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tms_domain::backoff::RetryPolicy;
//! use tms_domain::outcome::{Answer, Step, classify, next_step};
//!
//! let answer = Answer { status: 503, retry_after: Some("30") };
//! let verdict = classify(Ok(answer), SystemTime::UNIX_EPOCH);
//! let step = next_step(verdict, 0, 3, &RetryPolicy::default(), Duration::from_secs(300), 0.5);
//! assert!(matches!(step, Step::Retry { delay, .. } if delay == Duration::from_secs(30)));
//! ```
#![forbid(unsafe_code)]

pub mod backoff;
pub mod capability;
pub mod endpoint;
pub mod event_id;
pub mod failure;
pub mod headers;
pub mod mask;
pub mod names;
pub mod nearest;
pub mod outcome;
pub mod problem;
pub mod retry_after;
pub mod shown;
pub mod target;

#[cfg(test)]
mod arbitrary;
