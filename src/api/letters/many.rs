//! Many letters at a time: `tms_dlq_replay`, `tms_dlq_requeue_due`.

use pgrx::prelude::*;
use serde_json::json;
use tms_domain::dead_letter::filter::Filter;

use crate::api::events::reach;
use crate::api::tasks::standing;
use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::{roles, server, spi};
use crate::settings;
use crate::store::letters::acts::{self, Act, Deed};
use crate::store::letters::many::{self, Times};
use crate::store::letters::{due, tasks};
use crate::store::pull::held::Scope;

/// `tms_dlq_replay(filter, dry_run)`: brings back the letters that are like the filter; how many those are.
#[pg_extern(sql = false)]
fn tms_dlq_replay(filter: Option<pgrx::JsonB>, dry_run: Option<bool>) -> Result<i64> {
    const NAME: &str = "tms_dlq_replay";
    let pgrx::JsonB(document) = filter.ok_or_else(|| errors::null_argument(NAME, "filter"))?;
    let dry_run = dry_run.ok_or_else(|| errors::null_argument(NAME, "dry_run"))?;
    let filter = Filter::parse(&document).map_err(errors::problem)?;
    let times = Times {
        after: time("created_after", filter.created_after.as_deref())?,
        before: time("created_before", filter.created_before.as_deref())?,
    };
    let company = match (reach()?, filter.company) {
        (Scope::Everything, company) => company,
        (Scope::Company(_), asked) => tenancy::company_for(asked)?,
    };
    let (actor, now) = (roles::outer_user(), server::now());
    let count = spi::connect(|session| {
        let found = many::find(session, &filter, &times, company.as_ref(), now);
        if dry_run || found.is_empty() {
            return found.len();
        }
        let rate = filter.rate_per_second.unwrap_or_else(settings::dead_letter_rate);
        let back = many::bring_back(session, &found, rate, actor, now);
        let deed = Deed {
            act: Act::Replay,
            actor,
            reason: None,
            detail: Some(shown(document)),
        };
        acts::note(session, &back, &deed);
        back.len()
    });
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// The filter as the record has it: a row for each letter needs no list of all of them.
fn shown(mut document: serde_json::Value) -> serde_json::Value {
    if let Some(ids) = document.get_mut("ids") {
        let count = ids.as_array().map_or(0, Vec::len);
        *ids = json!(format!("{count} ids"));
    }
    json!({ "filter": document })
}

fn time(key: &str, text: Option<&str>) -> Result<Option<i64>> {
    let Some(text) = text else { return Ok(None) };
    server::timestamp_of(text)
        .map(Some)
        .ok_or_else(|| errors::no_time(&format!("filter key \"{key}\""), text))
}

/// `tms_dlq_requeue_due()`: begins the rounds that are due, as the scheduler does.
#[pg_extern(sql = false)]
fn tms_dlq_requeue_due() -> Result<i64> {
    let scope = reach()?;
    let (pace, now) = (settings::dead_letter_pace(), server::now());
    let count = spi::connect(|session| {
        tasks::requeue(session, scope, &pace, now, standing::gate) + due::requeue(session, scope, &pace, now)
    });
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}
