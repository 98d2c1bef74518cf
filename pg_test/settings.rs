//! Settings: what the server starts with, and that a misspelt one is refused.

use std::time::Duration;

use pgrx::prelude::*;

use crate::settings::{self, Dispatch, RecordAttempts};

#[pg_test]
fn settings_begin_with_the_documented_defaults() {
    assert_eq!(settings::dispatch(), Dispatch::On);
    assert_eq!(settings::record_attempts(), RecordAttempts::Failures);
    assert_eq!(settings::company_id(), None);
    assert_eq!(settings::max_payload_bytes(), 1 << 20);
    assert_eq!(settings::default_max_retries(), 3);
    let week = Some(Duration::from_secs(7 * 24 * 3_600));
    assert_eq!(settings::event_retention(), week);
    assert_eq!(settings::attempt_retention(), week);
    assert_eq!(
        settings::decision_retention(),
        Some(Duration::from_secs(30 * 24 * 3_600))
    );
    assert_eq!(settings::reservation_timeout(), Duration::from_secs(600));
    assert_eq!(
        (settings::max_policy_agents(), settings::max_reservations()),
        (4_096, 16_384)
    );
    assert_eq!(settings::decision_buffer_bytes(), 16 << 20);
    assert_eq!(settings::rescan_interval(), Duration::from_secs(5));
    assert_eq!(settings::shutdown_grace(), Duration::from_secs(5));
    assert_eq!(settings::idempotency_window(), Duration::from_secs(24 * 3_600));
    assert_eq!(settings::http_proxy(), None);
    assert_eq!(settings::no_proxy(), None);
    assert_eq!(settings::tls_ca_file(), None);
    assert_eq!(settings::tls_client_files(), None);
}

#[pg_test]
fn every_setting_says_what_it_does_and_why() {
    let silent = Spi::get_one::<String>(
        "SELECT string_agg(name, ', ') FROM pg_settings
          WHERE name LIKE 'tms.%' AND (coalesce(short_desc, '') = '' OR coalesce(extra_desc, '') = '')",
    );
    assert_eq!(silent.unwrap(), None);
}

#[pg_test]
fn an_empty_company_is_none() {
    Spi::run("SET LOCAL tms.company_id = ''").unwrap();
    assert_eq!(settings::company_id(), None);
    Spi::run("SET LOCAL tms.company_id = 'c'").unwrap();
    assert_eq!(settings::company_id().as_deref(), Some("c"));
}

#[pg_test(error = "invalid configuration parameter name \"tms.max_payload_byte\"")]
fn a_misspelt_setting_is_refused() {
    Spi::run("SET LOCAL tms.max_payload_byte = 1").unwrap();
}
