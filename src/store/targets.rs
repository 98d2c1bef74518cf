//! `tms.targets` and `tms.target_secrets`: receivers, and what must not be shown of them.

use pgrx::pg_sys::{BOOLOID, FLOAT8OID, INT4OID, INT8OID, TEXTOID};
use tms_domain::backoff::RetryPolicy;
use tms_domain::target::TargetOptions;

use crate::pg::spi::{self, Arg, Statement};

/// A target as the dispatcher needs it.
#[derive(PartialEq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) headers: serde_json::Value,
    pub(crate) method: String,
    pub(crate) timeout_ms: u64,
    pub(crate) max_concurrency: u32,
    pub(crate) retry: RetryPolicy,
    pub(crate) allow_private_network: bool,
    pub(crate) paused: bool,
}

/// Every HTTP target with its secrets; for the dispatcher alone.
pub(crate) fn all() -> Vec<Target> {
    static ALL: Statement = Statement::new(
        c"SELECT t.name, s.url, s.headers, t.method, t.timeout_ms, t.max_concurrency, t.retry_base_ms, t.retry_factor,
                 t.retry_max_ms, t.retry_jitter, t.allow_private_network, t.paused_at IS NOT NULL
            FROM tms.targets t JOIN tms.target_secrets s ON s.target OPERATOR(pg_catalog.=) t.name
           WHERE t.transport OPERATOR(pg_catalog.=) 'http'",
        &[],
    );
    spi::connect(|session| {
        let rows = session.run(&ALL, &[], 0);
        rows.iter()
            .filter_map(|row| {
                Some(Target {
                    name: row.text(1)?,
                    url: row.text(2)?,
                    headers: crate::pg::jsonb::value(row.datum(3)?)?,
                    method: row.text(4)?,
                    timeout_ms: u64::try_from(row.int4(5)?).ok()?,
                    max_concurrency: u32::try_from(row.int4(6)?).ok()?,
                    retry: RetryPolicy {
                        base_ms: u64::try_from(row.int8(7)?).ok()?,
                        factor: row.float8(8)?,
                        max_ms: u64::try_from(row.int8(9)?).ok()?,
                        jitter: row.float8(10)?,
                    },
                    allow_private_network: row.bool(11)?,
                    paused: row.bool(12)?,
                })
            })
            .collect()
    })
}

/// Names of all targets, as they are committed now.
pub(crate) fn names() -> Vec<String> {
    static NAMES: Statement = Statement::new(c"SELECT t.name FROM tms.targets t", &[]);
    spi::connect(|session| {
        session
            .read_latest(&NAMES, &[])
            .iter()
            .filter_map(|row| row.text(1))
            .collect()
    })
}

/// Creates an HTTP target, or replaces its options. Whether it is paused stays as it is.
pub(crate) fn set_http(name: &str, options: &TargetOptions) {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.targets (name, transport, host, method, timeout_ms, max_concurrency, retry_base_ms, retry_factor,
                                   retry_max_ms, retry_jitter, allow_private_network)
          VALUES ($1, 'http', $2, $3, $4, $5, $6, $7, $8, $9, $10)
          ON CONFLICT (name) DO UPDATE SET
              transport = EXCLUDED.transport, host = EXCLUDED.host, method = EXCLUDED.method, timeout_ms = EXCLUDED.timeout_ms,
              max_concurrency = EXCLUDED.max_concurrency, retry_base_ms = EXCLUDED.retry_base_ms,
              retry_factor = EXCLUDED.retry_factor, retry_max_ms = EXCLUDED.retry_max_ms, retry_jitter = EXCLUDED.retry_jitter,
              allow_private_network = EXCLUDED.allow_private_network, updated_at = pg_catalog.now()",
        &[TEXTOID, TEXTOID, TEXTOID, INT4OID, INT4OID, INT8OID, FLOAT8OID, INT8OID, FLOAT8OID, BOOLOID],
    );
    static SET_SECRETS: Statement = Statement::new(
        c"INSERT INTO tms.target_secrets (target, url, headers) VALUES ($1, $2, $3::pg_catalog.jsonb)
          ON CONFLICT (target) DO UPDATE SET url = EXCLUDED.url, headers = EXCLUDED.headers",
        &[TEXTOID, TEXTOID, TEXTOID],
    );
    let headers: serde_json::Map<_, _> = options
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), serde_json::Value::from(value.clone())))
        .collect();
    let shown = format!(
        "{}://{}",
        options.endpoint.scheme.as_str(),
        options.endpoint.authority
    );
    spi::connect(|session| {
        session.run(
            &SET,
            &[
                Arg::Text(name),
                Arg::Text(&shown),
                Arg::Text(&options.method),
                Arg::Int4(i32::try_from(options.timeout_ms).unwrap_or(i32::MAX)),
                Arg::Int4(i32::try_from(options.max_concurrency).unwrap_or(i32::MAX)),
                Arg::Int8(i64::try_from(options.retry.base_ms).unwrap_or(i64::MAX)),
                Arg::Float8(options.retry.factor),
                Arg::Int8(i64::try_from(options.retry.max_ms).unwrap_or(i64::MAX)),
                Arg::Float8(options.retry.jitter),
                Arg::Bool(options.allow_private_network),
            ],
            0,
        );
        session.run(
            &SET_SECRETS,
            &[
                Arg::Text(name),
                Arg::Text(&options.url),
                Arg::Text(&serde_json::Value::from(headers).to_string()),
            ],
            0,
        );
    });
}

/// What a pause or a resume found.
pub(crate) enum Switched {
    /// It was the other way before.
    Changed,
    /// It was so already.
    AsItWas,
    /// No target of this name.
    Unknown,
}

/// Pauses or resumes a target.
pub(crate) fn set_paused(name: &str, paused: bool) -> Switched {
    static SET: Statement = Statement::new(
        c"UPDATE tms.targets t
             SET paused_at = CASE WHEN $2 THEN pg_catalog.now() END, updated_at = pg_catalog.now()
           WHERE t.name OPERATOR(pg_catalog.=) $1 AND (t.paused_at IS NOT NULL) OPERATOR(pg_catalog.<>) $2",
        &[TEXTOID, BOOLOID],
    );
    static EXISTS: Statement = Statement::new(
        c"SELECT 1 FROM tms.targets t WHERE t.name OPERATOR(pg_catalog.=) $1",
        &[TEXTOID],
    );
    spi::connect(|session| {
        if session
            .run(&SET, &[Arg::Text(name), Arg::Bool(paused)], 0)
            .count()
            > 0
        {
            Switched::Changed
        } else if session.run(&EXISTS, &[Arg::Text(name)], 0).count() > 0 {
            Switched::AsItWas
        } else {
            Switched::Unknown
        }
    })
}
