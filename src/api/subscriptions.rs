//! Fan-out: `tms_subscribe`, `tms_unsubscribe`, `tms_publish`.

use std::collections::BTreeSet;

use pgrx::prelude::*;
use tms_domain::names;
use tms_domain::pattern::Pattern;

use crate::api::outbox::{self, Draft};
use crate::api::tenancy;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::{array, cache};
use crate::store::subscriptions;

#[pg_extern(sql = false)]
fn tms_subscribe(
    event_type_pattern: Option<&str>,
    target_system: Option<&str>,
    company_id: Option<pgrx::Uuid>,
) -> Result<bool> {
    let wanted = Subscription::read("tms_subscribe", event_type_pattern, target_system, company_id)?;
    outbox::check_target(wanted.target)?;
    Ok(subscriptions::add(wanted.pattern, wanted.target, wanted.company))
}

#[pg_extern(sql = false)]
fn tms_unsubscribe(
    event_type_pattern: Option<&str>,
    target_system: Option<&str>,
    company_id: Option<pgrx::Uuid>,
) -> Result<bool> {
    let wanted = Subscription::read("tms_unsubscribe", event_type_pattern, target_system, company_id)?;
    Ok(subscriptions::remove(
        wanted.pattern,
        wanted.target,
        wanted.company,
    ))
}

/// What both functions are given, checked.
struct Subscription<'a> {
    pattern: &'a str,
    target: &'a str,
    company: Option<[u8; 16]>,
}

impl<'a> Subscription<'a> {
    fn read(
        function: &str,
        pattern: Option<&'a str>,
        target: Option<&'a str>,
        company: Option<pgrx::Uuid>,
    ) -> Result<Self> {
        let pattern = pattern.ok_or_else(|| errors::null_argument(function, "event_type_pattern"))?;
        let target = target.ok_or_else(|| errors::null_argument(function, "target_system"))?;
        let company = tenancy::company_for(company.map(|company| *company.as_bytes()))?;
        Pattern::parse(pattern).map_err(errors::problem)?;
        Ok(Self {
            pattern,
            target,
            company,
        })
    }
}

/// `tms_publish(event_type, payload, company_id, idempotency_key, ordering_key, available_at, max_retries, priority, headers)`:
/// one event for each target that is subscribed to its type, in the order of their names.
pub(crate) fn publish(arguments: &Arguments) -> Result<Vec<[u8; 16]>> {
    const NAME: &str = "tms_publish";
    let given = |index, name| {
        arguments
            .datum(index)
            .ok_or_else(|| errors::null_argument(NAME, name))
    };
    let event_type = given(0, "event_type")?;
    let payload = given(1, "payload")?;
    let company = tenancy::company_for(arguments.uuid(2))?;
    let type_text = array::text_of(event_type);
    // Also where nobody subscribed, so that no row's trigger would look.
    names::check_event_type(&type_text).map_err(errors::problem)?;
    let idempotency_key = arguments.text(3);
    // Sorted: the ids come in a stable order, and sessions that publish with the same ordering key lock in the same one.
    subscribed(&type_text, company)
        .iter()
        .map(|target| {
            outbox::enqueue_one(&Draft {
                event_type,
                payload,
                target: array::text(target),
                company,
                idempotency_key: idempotency_key.as_deref(),
                ordering_key: arguments.datum(4),
                available_at: arguments.timestamp(5),
                max_retries: arguments.int4(6),
                priority: arguments.int4(7).unwrap_or(0),
                headers: arguments.datum(8),
            })
        })
        .collect()
}

/// The targets an event of a company goes to, each once however many patterns lead to it.
fn subscribed(event_type: &str, company: Option<[u8; 16]>) -> BTreeSet<String> {
    // As the owner: the platform's subscriptions concern a company's events without being shown to it.
    cache::as_owner(|| subscriptions::candidates(company))
        .into_iter()
        // A pattern was parsed when it was subscribed; a row that somebody wrote by hand and that is none matches nothing.
        .filter(|candidate| {
            Pattern::parse(&candidate.pattern).is_ok_and(|pattern| pattern.matches(event_type))
        })
        .map(|candidate| candidate.target)
        .collect()
}
