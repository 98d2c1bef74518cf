//! Every setting has a unit, a range and a description, and is taken over at SIGHUP.

use postgres::error::SqlState;
use tms_e2e::cluster::Cluster;
use tms_e2e::wait::eventually_eq;

use crate::stage::{SOON, Stage, count, enqueue, is_written, run};

/// Settings that are names, and have no range.
const TEXTS: [&str; 6] = [
    "tms.company_id",
    "tms.http_proxy",
    "tms.no_proxy",
    "tms.tls_ca_file",
    "tms.tls_certificate_file",
    "tms.tls_key_file",
];
/// Numbers that count things, and so have no unit.
const PLAIN: [&str; 10] = [
    "tms.dead_letter_in_flight",
    "tms.dead_letter_jitter",
    "tms.dead_letter_rate",
    "tms.dead_letter_rounds",
    "tms.default_max_retries",
    "tms.io_threads",
    "tms.max_in_flight",
    "tms.max_policy_agents",
    "tms.max_reservations",
    "tms.task_lost_leases",
];

#[test]
fn each_setting_has_a_description_and_a_range() {
    let stage = Stage::start();
    let rows = stage
        .client()
        .query(
            "SELECT name, vartype, unit, min_val, max_val, enumvals, short_desc, extra_desc, boot_val, reset_val
               FROM pg_settings WHERE name LIKE 'tms.%' ORDER BY name",
            &[],
        )
        .unwrap();
    assert!(rows.len() >= 23, "{} settings", rows.len());
    for row in rows {
        let name: String = row.get("name");
        let said = |column: &str| row.get::<_, Option<String>>(column).unwrap_or_default();
        assert!(
            said("short_desc").ends_with('.'),
            "{name}: {}",
            said("short_desc")
        );
        assert!(said("extra_desc").len() > 20, "{name}: {}", said("extra_desc"));
        match said("vartype").as_str() {
            "integer" => {
                let has_unit = !said("unit").is_empty();
                assert_ne!(has_unit, PLAIN.contains(&name.as_str()), "{name} and its unit");
                let [low, high]: [i64; 2] =
                    ["min_val", "max_val"].map(|column| said(column).parse().unwrap());
                let default: i64 = said("boot_val").parse().unwrap();
                assert!(low < high && (low..=high).contains(&default), "{name}: {default}");
                assert!(high < i64::from(i32::MAX), "{name} has no range");
            }
            "bool" => {}
            "enum" => assert!(row.get::<_, Option<Vec<String>>>("enumvals").is_some(), "{name}"),
            "string" => assert!(TEXTS.contains(&name.as_str()), "{name} is a text"),
            other => panic!("{name} is of type {other}"),
        }
    }
}

#[test]
fn a_value_out_of_range_and_a_misspelt_name_are_refused() {
    let stage = Stage::start();
    let mut client = stage.client();
    for (statement, code) in [
        (
            "ALTER SYSTEM SET tms.rescan_interval = '1ms'",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        (
            "ALTER SYSTEM SET tms.max_in_flight = 0",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        (
            "ALTER SYSTEM SET tms.dispatch = perhaps",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        (
            "ALTER SYSTEM SET tms.event_retention = -2",
            SqlState::INVALID_PARAMETER_VALUE,
        ),
        ("SET tms.max_payload_byte = 5", SqlState::INVALID_NAME),
        (
            "SET tms.rescan_interval = '5s'",
            SqlState::CANT_CHANGE_RUNTIME_PARAM,
        ),
    ] {
        let error = client.batch_execute(statement).unwrap_err();
        assert_eq!(error.code(), Some(&code), "{statement}: {error:?}");
    }
}

#[test]
fn a_misspelt_name_in_the_file_is_reported() {
    let stage = Stage::bare(Cluster::builder().conf("tms.dipatch", "hold"));
    let mark = stage.cluster.log_mark();
    let log = stage.cluster.log();
    assert!(
        log.contains("invalid configuration parameter name \"tms.dipatch\""),
        "{log}"
    );
    stage.cluster.set("tms.rescan_intervall", "7s");
    stage.cluster.wait_for_log(mark, "tms.rescan_intervall", SOON);
}

#[test]
fn workers_and_sessions_take_new_values_at_a_reload() {
    let stage = Stage::start();
    let mut client = stage.client();
    const ATTEMPTS: &str = "SELECT count(*) FROM tms.delivery_attempts";
    let id = enqueue(&mut client);
    is_written(&mut client, id);
    assert_eq!(
        count(&mut client, ATTEMPTS),
        0,
        "successes are not recorded unless asked for"
    );
    stage.cluster.set("tms.record_attempts", "all");
    eventually_eq("an attempt on record", SOON, true, || {
        // A worker reads its configuration in its own time.
        let id = enqueue(&mut client);
        is_written(&mut client, id);
        count(&mut client, ATTEMPTS) > 0
    });

    let large = format!(
        "SELECT tms_enqueue('load.large', jsonb_build_object('text', '{}'), 'hook')",
        "x".repeat(3_000)
    );
    run(&mut client, &large);
    stage.cluster.set("tms.max_payload_bytes", "2kB");
    eventually_eq(
        "the new limit",
        SOON,
        Some(SqlState::PROGRAM_LIMIT_EXCEEDED),
        || {
            client
                .batch_execute(&large)
                .err()
                .and_then(|error| error.code().cloned())
        },
    );
    stage.cluster.set("tms.max_payload_bytes", "4kB");
    eventually_eq("the newest limit", SOON, None, || {
        client
            .batch_execute(&large)
            .err()
            .and_then(|error| error.code().cloned())
    });
}

#[test]
fn a_new_rescan_interval_and_scheduler_interval_take_effect_at_once() {
    let stage = Stage::with(
        Cluster::builder()
            .conf("tms.rescan_interval", "600s")
            .conf("tms.scheduler_interval", "3600s"),
    );
    let mut client = stage.client();
    let before = ["dispatcher", "scheduler"].map(|component| crate::stage::wakeups(&mut client, component));
    stage.cluster.set("tms.rescan_interval", "1s");
    stage.cluster.set("tms.scheduler_interval", "1s");
    for (component, before) in ["dispatcher", "scheduler"].iter().zip(before) {
        eventually_eq(&format!("five rounds of the {component}"), SOON, true, || {
            crate::stage::wakeups(&mut client, component) >= before + 5
        });
    }
}
