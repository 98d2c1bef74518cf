//! `tms_policy_backtest`: which decisions on record a candidate would flip.

use pgrx::datum::{Interval, TimestampWithTimeZone};
use pgrx::prelude::*;
use tms_domain::policy::document;
use tms_domain::policy::replay::{Call, Replay};

use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::server;
use crate::store::policies::recorded::{self, Recorded};

/// `tms_policy_backtest(document, since, company_id)`: the flipped decisions, in the order they were made.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx reads the columns off the signature, so it cannot be a type of its own
fn tms_policy_backtest(
    document: Option<&str>,
    since: Option<Interval>,
    company_id: Option<pgrx::Uuid>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(id, pgrx::Uuid),
            name!(decided_at, Option<TimestampWithTimeZone>),
            name!(company_id, Option<pgrx::Uuid>),
            name!(agent_name, String),
            name!(fn_name, String),
            name!(decision, String),
            name!(candidate, String),
            name!(rule, String),
            name!(reason, String),
            name!(approximate, bool),
        ),
    >,
> {
    const NAME: &str = "tms_policy_backtest";
    let document = document.ok_or_else(|| errors::null_argument(NAME, "document"))?;
    let since = since.ok_or_else(|| errors::null_argument(NAME, "since"))?;
    let company = tenancy::company_for(company_id.map(|company| *company.as_bytes()))?;
    let candidates = document::parse(document).map_err(errors::problem)?;
    let age = i64::try_from(since.as_micros()).unwrap_or(i64::MAX);
    if age < 0 {
        return Err(errors::out_of_range(
            "since",
            &format!("of {} seconds", age / 1_000_000),
            "an interval from 0",
        ));
    }
    let agents: Vec<Option<String>> = candidates
        .iter()
        .map(|policy| Some(policy.agent.clone()))
        .collect();
    let mut replay = Replay::new(candidates);
    let mut flipped = Vec::new();
    recorded::each(server::now().saturating_sub(age), &agents, &company, |recorded| {
        flipped.extend(flip(&mut replay, recorded));
    });
    Ok(TableIterator::new(flipped))
}

type Flipped = (
    pgrx::Uuid,
    Option<TimestampWithTimeZone>,
    Option<pgrx::Uuid>,
    String,
    String,
    String,
    String,
    String,
    String,
    bool,
);

/// The row of a decision that the candidate would have made otherwise.
fn flip(replay: &mut Replay, recorded: Recorded) -> Option<Flipped> {
    let replayed = replay.next(&Call {
        company: recorded.company,
        agent: &recorded.agent,
        function: &recorded.function,
        at_us: recorded.at,
        usage: &recorded.usage,
    })?;
    let candidate = replayed.ruling.decision.as_str();
    (candidate != recorded.decision).then(|| {
        (
            pgrx::Uuid::from_bytes(recorded.id),
            TimestampWithTimeZone::try_from(recorded.at).ok(),
            recorded.company.map(pgrx::Uuid::from_bytes),
            recorded.agent,
            recorded.function,
            recorded.decision,
            candidate.to_owned(),
            replayed.ruling.rule,
            replayed.ruling.reason,
            replayed.is_approximate,
        )
    })
}
