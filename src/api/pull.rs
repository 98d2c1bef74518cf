//! Pull consumers: `tms_outbox_claim`, `tms_outbox_ack`, `tms_outbox_nack`.

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_domain::backoff::RetryPolicy;
use tms_domain::nearest::{nearest, unknown_name};
use tms_domain::outcome::ErrorType;
use tms_domain::problem::Problem;
use tms_domain::shown::quoted;
use tms_domain::target::{self, OnDead, TargetOptions, Transport};

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::set::AnswerSet;
use crate::pg::spi::{self, Session};
use crate::pg::{cache, roles, server, wake};
use crate::settings::{self, RecordAttempts};
use crate::store;
use crate::store::attempts::{self, Attempts};
use crate::store::letters::{self, Letters};
use crate::store::pull::Query;
use crate::store::pull::held::{self, Held, Scope};

mod claim;
mod memory;

/// Most events of one claim: enough for any batch, and a claim stays one short transaction.
const MOST_EVENTS: i32 = 10_000;
/// Longest lease: a consumer that dies holds its events back no longer than this.
const LONGEST_LEASE_US: i64 = 7 * 24 * 3600 * 1_000_000;
/// Longest text of a nack, in characters.
const LONGEST_MESSAGE: usize = 1_000;

/// `tms_outbox_claim(target_system, max_events, lease)`: due events of a pull target, each under a lease of its own.
pub(crate) fn claim(arguments: &Arguments, answer: &AnswerSet) -> Result<()> {
    const NAME: &str = "tms_outbox_claim";
    let name = arguments
        .text(0)
        .ok_or_else(|| errors::null_argument(NAME, "target_system"))?;
    let events = arguments
        .int4(1)
        .ok_or_else(|| errors::null_argument(NAME, "max_events"))?;
    let lease_us = arguments
        .interval_us(2)
        .ok_or_else(|| errors::null_argument(NAME, "lease"))?;
    if !(1..=MOST_EVENTS).contains(&events) {
        return Err(errors::out_of_range(
            "max_events",
            &events.to_string(),
            "a number from 1 to 10000",
        ));
    }
    if !(1..=LONGEST_LEASE_US).contains(&lease_us) {
        return Err(errors::out_of_range(
            "lease",
            "of this length",
            "an interval above 0 and up to 7 days",
        ));
    }
    let scope = scope()?;
    let Some(options) = served(&name)? else {
        return Ok(());
    };
    let now = server::now();
    let order = claim::Order {
        query: Query {
            target: &name,
            now,
            skips_dead: options.on_dead == OnDead::Skip,
        },
        scope,
        events: usize::try_from(events).unwrap_or(0),
        until: now.saturating_add(lease_us),
    };
    wake::without_rescan(|| spi::connect(|session| claim::run(session, &order, answer)))
}

/// `tms_outbox_ack(lease_tokens)`: these events are done; how many still were in the hands of the caller.
#[pg_extern(sql = false)]
fn tms_outbox_ack(lease_tokens: Option<pgrx::Array<'_, pgrx::Uuid>>) -> Result<i32> {
    let tokens = lease_tokens.ok_or_else(|| errors::null_argument("tms_outbox_ack", "lease_tokens"))?;
    let tokens: Vec<[u8; 16]> = tokens.iter().flatten().map(|token| *token.as_bytes()).collect();
    let scope = scope()?;
    if tokens.is_empty() {
        return Ok(0);
    }
    let now = server::now();
    let done = wake::without_rescan(|| {
        spi::connect(|session| {
            if settings::record_attempts() == RecordAttempts::All {
                let mut rows = Attempts::default();
                for held in held::lock(session, &tokens, scope) {
                    record(&mut rows, &held, now, "delivered", None);
                }
                attempts::insert(session, &rows);
            }
            held::complete(session, &tokens, scope, now)
        })
    });
    Ok(i32::try_from(done).unwrap_or(i32::MAX))
}

/// `tms_outbox_nack(lease_token, error_type, error_message)`: this event failed; what becomes of it.
#[pg_extern(sql = false)]
fn tms_outbox_nack(
    lease_token: Option<pgrx::Uuid>,
    error_type: Option<&str>,
    error_message: Option<&str>,
) -> Result<Option<String>> {
    const NAME: &str = "tms_outbox_nack";
    let token = lease_token.ok_or_else(|| errors::null_argument(NAME, "lease_token"))?;
    let error_type = error_type.ok_or_else(|| errors::null_argument(NAME, "error_type"))?;
    let error = Failure {
        error_type: read_error_type(error_type)?,
        message: error_message.map(|text| text.chars().take(LONGEST_MESSAGE).collect()),
    };
    let scope = scope()?;
    wake::without_rescan(|| {
        spi::connect(|session| {
            held::lock(session, &[*token.as_bytes()], scope)
                .first()
                .map(|held| fail(session, held, &error))
                .transpose()
        })
    })
}

/// Why a consumer gave an event back.
struct Failure {
    error_type: ErrorType,
    message: Option<String>,
}

/// Schedules the next attempt, or hands the event to a dead letter.
fn fail(session: &Session, held: &Held, error: &Failure) -> Result<String> {
    let now = server::now();
    let is_permanent = error.error_type == ErrorType::Validation;
    let is_dead = is_permanent || held.retry_count >= held.max_retries;
    let outcome = if is_dead { "dead" } else { "retry" };
    let kind = error.error_type.as_str();
    if settings::record_attempts() != RecordAttempts::None {
        let mut rows = Attempts::default();
        record(&mut rows, held, now, outcome, Some((kind, error.message.clone())));
        attempts::insert(session, &rows);
    }
    if is_dead {
        let letter = Letters {
            events: vec![held.id],
            error_types: vec![Some(kind.to_owned())],
            messages: vec![error.message.clone()],
            attempts: vec![held.retry_count.saturating_add(1)],
            permanent: vec![is_permanent],
        };
        letters::bury(session, &letter, now);
        held::give_back(session, &held.id, i64::MAX, held.retry_count, now);
    } else {
        let delay =
            retry_policy(&held.target).delay(u32::try_from(held.retry_count).unwrap_or(0), server::chance());
        let delay_us = i64::try_from(delay.as_micros()).unwrap_or(i64::MAX);
        let retries = held.retry_count.saturating_add(1);
        held::give_back(session, &held.id, now.saturating_add(delay_us), retries, now);
    }
    Ok(outcome.to_owned())
}

/// A line of the record of attempts; a consumer's began with its claim.
fn record(
    rows: &mut Attempts,
    held: &Held,
    ended: i64,
    outcome: &str,
    error: Option<(&'static str, Option<String>)>,
) {
    let (kind, message) = match error {
        Some((kind, message)) => (Some(kind.to_owned()), message),
        None => (None, None),
    };
    rows.events.push(held.id);
    rows.companies.push(held.company);
    rows.targets.push(Some(held.target.clone()));
    rows.numbers.push(held.retry_count.saturating_add(1));
    rows.started.push(held.leased_at);
    rows.durations
        .push(ended.saturating_sub(held.leased_at).max(0) as f64 / 1000.0);
    rows.statuses.push(None);
    rows.outcomes.push(Some(outcome.to_owned()));
    rows.error_types.push(kind);
    rows.messages.push(message);
    rows.excerpts.push(None);
}

/// Whose events the caller may have: its company's, or as a role of the platform all.
fn scope() -> Result<Scope> {
    match tenancy::current_company() {
        Some(company) => Ok(Scope::Company(company)),
        None if roles::is_platform() => Ok(Scope::Everything),
        None => Err(errors::no_company()),
    }
}

/// Options of a pull target; `None` while it is paused, or held because another installation set it.
fn served(name: &str) -> Result<Option<TargetOptions>> {
    let Some(target) = store::pull::target(name) else {
        return Err(unknown(name));
    };
    if target.transport != Transport::Pull.as_str() {
        return Err(errors::problem(
            Problem::new(format!(
                "target {} has the transport {}",
                quoted(name),
                target.transport
            ))
            .detail("Consumers claim events of targets with the transport pull; the dispatcher delivers the others.")
            .hint("Create a target for consumers: SELECT tms_target_set(name, 'pull')."),
        ));
    }
    if target.is_paused || target.installation != store::installation::stamp() {
        return Ok(None);
    }
    target::parse(name, Transport::Pull, &target.options)
        .map(Some)
        .map_err(errors::problem)
}

fn unknown(name: &str) -> ErrorReport {
    let near = cache::with_targets(store::targets::names, |names| {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        nearest(name, &names).map(str::to_owned)
    });
    errors::unknown_target(name, near.as_deref())
}

/// The waits between a target's attempts; the usual ones when the target is gone or is no pull target any more.
fn retry_policy(name: &str) -> RetryPolicy {
    store::pull::target(name)
        .and_then(|target| target::parse(name, Transport::Pull, &target.options).ok())
        .map(|options| options.retry)
        .unwrap_or_default()
}

fn read_error_type(name: &str) -> Result<ErrorType> {
    ErrorType::ALL
        .into_iter()
        .find(|kind| kind.as_str() == name)
        .ok_or_else(|| {
            errors::problem(unknown_name(
                "error type",
                name,
                &ErrorType::ALL.map(ErrorType::as_str),
            ))
        })
}
