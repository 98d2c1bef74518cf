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
//! | [`classify`] | which kind of error it is, by what a client says of it |
//! | [`dead_letter`] | when a dead letter comes back, how many do, and which ones a person means |
//! | [`backoff`], [`retry_after`] | how long the next attempt waits |
//! | [`breaker`], [`rate`] | when a target is called, and when it is left alone |
//! | [`fair`] | who gets the places that are free |
//! | [`pattern`] | which event types a subscription is about |
//! | [`envelope`], [`signature`] | what is sent for an event, and whether a message is what its sender signed |
//! | [`target`], [`endpoint`], [`headers`] | whether a target can be set as written |
//! | [`keys`] | what a producer's keys may look like, and the number an ordering key is known by |
//! | [`canonical_json`] | the one text that equal JSON is digested by |
//! | [`names`], [`capability`], [`nearest`] | whether a name is one of ours, and which one was probably meant |
//! | [`event_id`] | the bytes of an id that sorts by time |
//! | [`slack`] | what Slack is sent for an event |
//! | [`jsonb`] | how small objects lie in memory as PostgreSQL keeps them |
//! | [`policy`] | what an agent's policy document says, and what it decides |
//! | [`pii`], [`redact`] | which parts of a text are personal data; which places of a document are redacted, and what is put there |
//! | [`task`] | a task's place in line, and what a person agrees to |
//! | [`problem`], [`shown`] | how a user's mistake is put into words |
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use tms_domain::backoff::RetryPolicy;
//! use tms_domain::outcome::{Answer, Step, classify, next_step};
//! use tms_domain::target::{OnAmbiguous, Profile};
//!
//! let answer = Answer { status: 503, retry_after: Some("30"), body: None };
//! let verdict = classify(Profile::Generic, OnAmbiguous::Retry, true, Ok(answer), SystemTime::UNIX_EPOCH);
//! let step = next_step(verdict, 0, 3, &RetryPolicy::default(), Duration::from_secs(300), 0.5);
//! assert!(matches!(step, Step::Retry { delay, .. } if delay == Duration::from_secs(30)));
//! ```
#![forbid(unsafe_code)]

pub mod backoff;
pub mod breaker;
pub mod canonical_json;
pub mod capability;
pub mod classify;
pub mod dead_letter;
pub mod endpoint;
pub mod envelope;
pub mod event_id;
pub mod failure;
pub mod fair;
pub mod headers;
pub mod jsonb;
mod keyed;
pub mod keys;
pub mod mask;
pub mod names;
pub mod nearest;
pub mod outcome;
pub mod pattern;
pub mod pii;
pub mod policy;
pub mod problem;
pub mod rate;
pub mod redact;
pub mod retry_after;
pub mod shown;
pub mod signature;
pub mod slack;
mod steady;
pub mod target;
pub mod task;

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
