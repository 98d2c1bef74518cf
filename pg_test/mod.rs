//! Tests that run inside a server, one file per topic, each test in a transaction that is rolled back.
//!
//! `make pg_test` runs them. A test is `#[pg_test] fn tells_a_story()`; its name has at most 63 bytes and is unique
//! across topics, because it becomes the SQL function `tests.tells_a_story`. What needs commits, workers or crashes
//! belongs in tests/e2e.

// A test says what it expects by unwrap, expect and panic; clippy does not see that #[pg_test] is a test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ids;
mod jsonb;
mod redaction;
mod settings;
mod wake;

/// Called by pgrx-tests before the first test.
#[cfg(test)]
pub(crate) fn setup(_options: Vec<&str>) {}

/// What pgrx-tests writes into postgresql.conf.
#[cfg(test)]
#[must_use]
pub(crate) fn postgresql_conf_options() -> Vec<&'static str> {
    vec!["shared_preload_libraries = 'tms'"]
}
