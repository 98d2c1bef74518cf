//! Targets: `tms_target_set`, `tms_target_rotate_secret`, `tms_target_pause`, `tms_target_resume`, `tms_target_test`.

use pgrx::prelude::*;
use serde_json::Value;
use tms_domain::problem::Problem;
use tms_domain::signature::Key;
use tms_domain::target::{self, TargetOptions, Transport};
use tms_domain::{names, nearest};

use crate::api::{outbox, tenancy};
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::server::PG_EPOCH_US;
use crate::pg::{cache, jsonb, server, spi};
use crate::store::targets::{self, Secrets, StoredKey, Switched};

/// Longest time an old signing key goes on beside the new one.
const LONGEST_OVERLAP_US: i64 = 30 * 24 * 3600 * 1_000_000;

/// `tms_target_set(name, transport, options, company_id)`: creates a target or replaces its options.
pub(crate) fn set(arguments: &Arguments) -> Result<()> {
    const NAME: &str = "tms_target_set";
    let company = arguments.uuid(3);
    if company.is_none() {
        tenancy::require_platform("set a target")?;
    }
    let name = arguments
        .text(0)
        .ok_or_else(|| errors::null_argument(NAME, "name"))?;
    let transport = arguments
        .text(1)
        .ok_or_else(|| errors::null_argument(NAME, "transport"))?;
    let options = arguments
        .datum(2)
        .ok_or_else(|| errors::null_argument(NAME, "options"))?;
    names::check_target_name(&name).map_err(errors::problem)?;
    let transport = Transport::parse(&transport).map_err(errors::problem)?;
    let options = jsonb::value(options).ok_or_else(|| errors::unreadable("options"))?;
    match company {
        None => set_for_all(&name, transport, &options),
        Some(_) => set_for_company(&name, transport, &options, company),
    }
}

fn set_for_all(name: &str, transport: Transport, options: &Value) -> Result<()> {
    let options = target::parse(name, transport, options).map_err(errors::problem)?;
    for warning in options.warnings() {
        errors::warn(warning);
    }
    let mut secrets = Secrets::default();
    let mut host = None;
    if let Some(http) = options.http() {
        host = Some(format!(
            "{}://{}",
            http.endpoint.scheme.as_str(),
            http.endpoint.authority
        ));
        secrets.url = Some(http.url.clone());
        secrets.headers = Some(object_of(&http.headers));
        if http.signing {
            secrets.keys = keys_for(name, http.secret.as_deref())?;
        }
    }
    targets::set(
        name,
        transport.as_str(),
        host.as_deref(),
        &options.public(),
        &secrets,
    );
    Ok(())
}

fn object_of(headers: &[(String, String)]) -> Value {
    headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.clone())))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// The key that was given; else those that are there; else a new one.
fn keys_for(name: &str, given: Option<&str>) -> Result<Vec<StoredKey>> {
    if let Some(secret) = given {
        let key = Key::parse(secret).map_err(errors::problem)?;
        return Ok(vec![current(&key)]);
    }
    let known = targets::secrets(name, None)
        .map(|known| known.keys)
        .unwrap_or_default();
    if known.is_empty() {
        Ok(vec![current(&generate()?)])
    } else {
        Ok(known)
    }
}

fn current(key: &Key) -> StoredKey {
    StoredKey {
        text: key.to_text(),
        until: None,
    }
}

fn generate() -> Result<Key> {
    let bytes = server::random_bytes::<32>().ok_or_else(errors::no_randomness)?;
    Key::from_bytes(&bytes).map_err(errors::problem)
}

/// Another path, other headers or another secret for one company, at the host that the platform allowed.
fn set_for_company(
    name: &str,
    transport: Transport,
    options: &Value,
    company: Option<[u8; 16]>,
) -> Result<()> {
    let company = tenancy::company_for(company)?.ok_or_else(errors::no_company)?;
    let base = base_of(name)?;
    if base.transport != transport.as_str() {
        return Err(errors::problem(
            Problem::new(format!("target \"{name}\" has the transport {}", base.transport))
                .detail("A company's version of a target travels as the target does.")
                .hint(format!("Call with '{}'.", base.transport)),
        ));
    }
    let own = target::parse_override(&base.options, options).map_err(errors::problem)?;
    let keys = match &own.secret {
        Some(secret) => vec![current(&Key::parse(secret).map_err(errors::problem)?)],
        None => Vec::new(),
    };
    let secrets = Secrets {
        url: own.url,
        headers: own.headers.as_deref().map(object_of),
        keys,
    };
    targets::set_override(name, &company, &secrets);
    Ok(())
}

struct Base {
    transport: String,
    options: TargetOptions,
    secrets: Secrets,
}

fn base_of(name: &str) -> Result<Base> {
    let (transport, public) = targets::find(name).ok_or_else(|| unknown(name))?;
    let secrets = targets::secrets(name, None).unwrap_or_default();
    let whole = target::merge(&public, secrets.url.as_deref(), secrets.headers.as_ref());
    let options = Transport::parse(&transport)
        .and_then(|transport| target::parse(name, transport, &whole))
        .map_err(errors::problem)?;
    Ok(Base {
        transport,
        options,
        secrets,
    })
}

fn unknown(name: &str) -> pgrx::pg_sys::panic::ErrorReport {
    let nearest = cache::with_targets(targets::names, |names| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        nearest::nearest(name, &names).map(str::to_owned)
    });
    errors::unknown_target(name, nearest.as_deref())
}

/// `tms_target_rotate_secret(name, overlap)`: a new signing key, which is returned this once.
pub(crate) fn rotate_secret(arguments: &Arguments) -> Result<String> {
    const NAME: &str = "tms_target_rotate_secret";
    tenancy::require_platform("rotate the secret of a target")?;
    let name = arguments
        .text(0)
        .ok_or_else(|| errors::null_argument(NAME, "name"))?;
    let overlap = arguments
        .interval_us(1)
        .ok_or_else(|| errors::null_argument(NAME, "overlap"))?;
    if !(0..=LONGEST_OVERLAP_US).contains(&overlap) {
        return Err(errors::out_of_range(
            "overlap",
            &format!("of {} seconds", overlap / 1_000_000),
            "0 to 30 days",
        ));
    }
    let base = base_of(&name)?;
    if !base.options.http().is_some_and(|http| http.signing) {
        return Err(errors::problem(
            Problem::new(format!("target \"{name}\" does not sign its requests"))
                .detail("Only http targets with the option signing have a secret.")
                .hint("Set the target with \"signing\": true first."),
        ));
    }
    let now = server::now().saturating_add(PG_EPOCH_US);
    let until = now.saturating_add(overlap) / 1_000_000;
    let key = generate()?;
    let mut keys = vec![current(&key)];
    for old in base.secrets.keys {
        let end = old.until.map_or(until, |end| end.min(until));
        if end > now / 1_000_000 {
            keys.push(StoredKey {
                until: Some(end),
                ..old
            });
        }
    }
    let secrets = Secrets { keys, ..base.secrets };
    spi::connect(|session| targets::set_secrets(session, &name, None, &secrets));
    Ok(key.to_text())
}

#[pg_extern(sql = false)]
fn tms_target_pause(name: Option<&str>) -> Result<bool> {
    switch("tms_target_pause", "pause a target", name, true)
}

#[pg_extern(sql = false)]
fn tms_target_resume(name: Option<&str>) -> Result<bool> {
    switch("tms_target_resume", "resume a target", name, false)
}

fn switch(function: &str, what: &str, name: Option<&str>, paused: bool) -> Result<bool> {
    tenancy::require_platform(what)?;
    let name = name.ok_or_else(|| errors::null_argument(function, "name"))?;
    match targets::set_paused(name, paused, None) {
        Switched::Changed => Ok(true),
        Switched::AsItWas => Ok(false),
        Switched::Unknown => Err(unknown(name)),
    }
}

/// `tms_target_test(name)`: an event that says where it comes from and is tried once.
#[pg_extern(sql = false)]
fn tms_target_test(name: Option<&str>) -> Result<pgrx::Uuid> {
    let name = name.ok_or_else(|| errors::null_argument("tms_target_test", "name"))?;
    outbox::enqueue_test(name).map(pgrx::Uuid::from_bytes)
}
