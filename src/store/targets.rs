//! `tms.targets`, `tms.target_secrets` and `tms.target_overrides`: receivers, and what must not be shown of them.

use pgrx::pg_sys::{TEXTOID, UUIDOID};
use serde_json::{Value, json};

use crate::pg::jsonb;
use crate::pg::spi::{self, Arg, Session, Statement};

/// A signing key as it is stored.
#[derive(Clone, PartialEq)]
pub(crate) struct StoredKey {
    /// As `tms_domain::signature::Key::parse` reads it.
    pub(crate) text: String,
    /// End of its overlap in Unix seconds; `None`: it is the current one.
    pub(crate) until: Option<i64>,
}

/// What must not be shown of a target.
#[derive(Clone, PartialEq, Default)]
pub(crate) struct Secrets {
    pub(crate) url: Option<String>,
    pub(crate) headers: Option<Value>,
    pub(crate) keys: Vec<StoredKey>,
}

/// A target, or a company's own version of one, as it is stored.
#[derive(Clone, PartialEq)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) transport: String,
    /// All that is not secret.
    pub(crate) options: Value,
    pub(crate) is_paused: bool,
    /// Who set it: see [`super::installation::stamp`].
    pub(crate) installation: String,
    /// Whose own version it is; `None`: the target itself.
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) secrets: Secrets,
}

/// Every target that the dispatcher serves, with its secrets; versions of companies come after all targets.
pub(crate) fn all() -> Vec<Target> {
    static ALL: Statement = Statement::new(
        c"SELECT t.name, t.transport, t.options, t.paused_at IS NOT NULL, t.installation, s.company_id, s.url, s.headers,
                 s.signing_keys
            FROM tms.targets t LEFT JOIN tms.target_secrets s ON s.target OPERATOR(pg_catalog.=) t.name
           WHERE t.transport OPERATOR(pg_catalog.<>) 'pull'",
        &[],
    );
    let mut all: Vec<Target> = spi::connect(|session| {
        let rows = session.run(&ALL, &[], 0);
        rows.iter()
            .filter_map(|row| {
                Some(Target {
                    name: row.text(1)?,
                    transport: row.text(2)?,
                    options: jsonb::value(row.datum(3)?)?,
                    is_paused: row.bool(4)?,
                    installation: row.text(5)?,
                    company: row.uuid(6),
                    secrets: Secrets {
                        url: row.text(7),
                        headers: row.datum(8).and_then(jsonb::value),
                        keys: row
                            .datum(9)
                            .and_then(jsonb::value)
                            .as_ref()
                            .map(keys_of)
                            .unwrap_or_default(),
                    },
                })
            })
            .collect()
    });
    all.sort_by(|a, b| a.company.cmp(&b.company).then_with(|| a.name.cmp(&b.name)));
    all
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

/// Transport and public options of a target, locked until the transaction ends.
pub(crate) fn find(name: &str) -> Option<(String, Value)> {
    static FIND: Statement = Statement::new(
        c"SELECT t.transport, t.options FROM tms.targets t WHERE t.name OPERATOR(pg_catalog.=) $1 FOR UPDATE",
        &[TEXTOID],
    );
    spi::connect(|session| {
        let rows = session.run(&FIND, &[Arg::Text(name)], 0);
        let row = rows.first()?;
        Some((row.text(1)?, jsonb::value(row.datum(2)?)?))
    })
}

/// Secrets of a target, or of a company's version of it.
pub(crate) fn secrets(name: &str, company: Option<&[u8; 16]>) -> Option<Secrets> {
    static SECRETS: Statement = Statement::new(
        c"SELECT s.url, s.headers, s.signing_keys FROM tms.target_secrets s
           WHERE s.target OPERATOR(pg_catalog.=) $1
             AND (s.company_id OPERATOR(pg_catalog.=) $2 OR (s.company_id IS NULL AND $2 IS NULL))",
        &[TEXTOID, UUIDOID],
    );
    spi::connect(|session| {
        let rows = session.run(
            &SECRETS,
            &[Arg::Text(name), company.map_or(Arg::Null, Arg::Uuid)],
            0,
        );
        let row = rows.first()?;
        Some(Secrets {
            url: row.text(1),
            headers: row.datum(2).and_then(jsonb::value),
            keys: keys_of(&jsonb::value(row.datum(3)?)?),
        })
    })
}

fn keys_of(stored: &Value) -> Vec<StoredKey> {
    let read = |key: &Value| {
        Some(StoredKey {
            text: key.get("key")?.as_str()?.to_owned(),
            until: key.get("until").and_then(Value::as_i64),
        })
    };
    stored
        .as_array()
        .map(|keys| keys.iter().filter_map(read).collect())
        .unwrap_or_default()
}

/// Creates a target, or replaces its options. Whether it is paused stays as it is.
pub(crate) fn set(name: &str, transport: &str, host: Option<&str>, options: &Value, secrets: &Secrets) {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.targets (name, transport, host, options, installation)
          VALUES ($1, $2, $3, $4::pg_catalog.jsonb, $5)
          ON CONFLICT (name) DO UPDATE SET
              transport = EXCLUDED.transport, host = EXCLUDED.host, options = EXCLUDED.options,
              installation = EXCLUDED.installation, updated_at = pg_catalog.now()",
        &[TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID],
    );
    spi::connect(|session| {
        session.run(
            &SET,
            &[
                Arg::Text(name),
                Arg::Text(transport),
                host.map_or(Arg::Null, Arg::Text),
                Arg::Text(&options.to_string()),
                Arg::Text(&super::installation::stamp()),
            ],
            0,
        );
        set_secrets(session, name, None, secrets);
    });
}

/// Creates or replaces a company's own version of a target.
pub(crate) fn set_override(name: &str, company: &[u8; 16], secrets: &Secrets) {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.target_overrides (target, company_id) VALUES ($1, $2)
          ON CONFLICT (target, company_id) DO UPDATE SET updated_at = pg_catalog.now()",
        &[TEXTOID, UUIDOID],
    );
    spi::connect(|session| {
        session.run(&SET, &[Arg::Text(name), Arg::Uuid(company)], 0);
        set_secrets(session, name, Some(company), secrets);
    });
}

/// Writes the secrets of a target or of a company's version of it.
pub(crate) fn set_secrets(session: &Session, name: &str, company: Option<&[u8; 16]>, secrets: &Secrets) {
    static SET: Statement = Statement::new(
        c"INSERT INTO tms.target_secrets (target, company_id, url, headers, signing_keys)
          VALUES ($1, $2, $3, $4::pg_catalog.jsonb, $5::pg_catalog.jsonb)
          ON CONFLICT (target, company_id) DO UPDATE SET
              url = EXCLUDED.url, headers = EXCLUDED.headers, signing_keys = EXCLUDED.signing_keys",
        &[TEXTOID, UUIDOID, TEXTOID, TEXTOID, TEXTOID],
    );
    let headers = secrets.headers.as_ref().map(Value::to_string);
    let keys: Vec<Value> = secrets
        .keys
        .iter()
        .map(|key| json!({"key": key.text, "until": key.until}))
        .collect();
    session.run(
        &SET,
        &[
            Arg::Text(name),
            company.map_or(Arg::Null, Arg::Uuid),
            secrets.url.as_deref().map_or(Arg::Null, Arg::Text),
            headers.as_deref().map_or(Arg::Null, Arg::Text),
            Arg::Text(&Value::from(keys).to_string()),
        ],
        0,
    );
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

/// Pauses or resumes a target; a reason is given when it is not a person who does it.
pub(crate) fn set_paused(name: &str, paused: bool, reason: Option<&str>) -> Switched {
    static SET: Statement = Statement::new(
        c"UPDATE tms.targets t
             SET paused_at = CASE WHEN $2 THEN pg_catalog.now() END, pause_reason = $3, updated_at = pg_catalog.now()
           WHERE t.name OPERATOR(pg_catalog.=) $1 AND (t.paused_at IS NOT NULL) OPERATOR(pg_catalog.<>) $2",
        &[TEXTOID, pgrx::pg_sys::BOOLOID, TEXTOID],
    );
    static EXISTS: Statement = Statement::new(
        c"SELECT 1 FROM tms.targets t WHERE t.name OPERATOR(pg_catalog.=) $1",
        &[TEXTOID],
    );
    spi::connect(|session| {
        let args = [
            Arg::Text(name),
            Arg::Bool(paused),
            reason.map_or(Arg::Null, Arg::Text),
        ];
        if session.run(&SET, &args, 0).count() > 0 {
            Switched::Changed
        } else if session.run(&EXISTS, &[Arg::Text(name)], 0).count() > 0 {
            Switched::AsItWas
        } else {
            Switched::Unknown
        }
    })
}
