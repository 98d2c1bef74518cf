//! Policies: `tms_policy_load`, `tms_policy_rollback`, `tms_policy_allowed`, `tms_policy_explain`, `tms_policy_check`.
//!
//! - [`enforce`]: a call that is let through or stopped, and its end    - [`record`]: what was decided, for the table
//! - [`judge`]: what lists say to a call        - [`limits`]: what limits say to it
//! - [`check`]: a call that is asked about       - [`verdict`]: the answer, as jsonb
//! - [`redaction`]: the payload of the answer    - [`story`]: a policy in words
//! - [`backtest`]: a candidate against what was decided before   - [`budgets`]: what is left of a day

use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use tms_domain::policy::{AgentPolicy, document};
use tms_domain::shown::quoted;

use crate::api::{outbox, tenancy};
use crate::errors::{self, Result};
use crate::pg::{roles, server, task_acts};
use crate::store::policies::{self, Company, RolledBack, Version};

mod backtest;
pub(crate) mod budgets;
pub(crate) mod check;
pub(crate) mod enforce;
pub(crate) mod judge;
pub(crate) mod limits;
pub(crate) mod record;
pub(crate) mod redaction;
mod story;
pub(crate) mod verdict;

type VersionRow = (
    name!(agent_name, String),
    name!(version, i32),
    name!(sha256, String),
);

/// `tms_policy_load(document, company_id)`: puts every policy of a document in force.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // pgrx reads the columns off the signature, so it cannot be a type of its own
fn tms_policy_load(
    document: Option<&str>,
    company_id: Option<pgrx::Uuid>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(agent_name, String),
            name!(version, i32),
            name!(sha256, String),
        ),
    >,
> {
    let document = document.ok_or_else(|| errors::null_argument("tms_policy_load", "document"))?;
    let company = tenancy::company_for(company_id.map(|company| *company.as_bytes()))?;
    let loaded = document::parse(document).map_err(errors::problem)?;
    for target in loaded.iter().filter_map(|policy| policy.push_to.as_deref()) {
        outbox::check_target(target)?;
    }
    let role = roles::outer_user();
    // In the order of their names, which is the order they are locked in: two loads wait for each other, and not in a circle.
    let versions: Vec<VersionRow> = loaded
        .iter()
        .map(|policy| row(&policy.agent, policies::put(policy, &company, role)))
        .collect();
    // Tasks in a line may be sent now, or run.
    task_acts::due(server::now());
    Ok(TableIterator::new(versions))
}

/// `tms_policy_rollback(agent_name, version, company_id)`: puts a version in force again.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // as above
fn tms_policy_rollback(
    agent_name: Option<&str>,
    version: Option<i32>,
    company_id: Option<pgrx::Uuid>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(agent_name, String),
            name!(version, i32),
            name!(sha256, String),
        ),
    >,
> {
    const NAME: &str = "tms_policy_rollback";
    let agent = agent_name.ok_or_else(|| errors::null_argument(NAME, "agent_name"))?;
    let number = version.ok_or_else(|| errors::null_argument(NAME, "version"))?;
    let company = tenancy::company_for(company_id.map(|company| *company.as_bytes()))?;
    match policies::roll_back(agent, number, &company, roles::outer_user()) {
        RolledBack::To(version) => {
            task_acts::due(server::now());
            Ok(TableIterator::once(row(agent, version)))
        }
        RolledBack::UnknownAgent => Err(no_policy_of_its_own(agent, &company)),
        RolledBack::UnknownVersion => Err(unknown_version(agent, number)),
    }
}

fn row(agent: &str, version: Version) -> VersionRow {
    (agent.to_owned(), version.number, version.sha256)
}

/// `tms_policy_allowed(agent_name, company_id)`: the rules in force, with what becomes of a call they are about.
#[pg_extern(sql = false)]
#[allow(clippy::type_complexity)] // as above
fn tms_policy_allowed(
    agent_name: Option<&str>,
    company_id: Option<pgrx::Uuid>,
) -> Result<TableIterator<'static, (name!(fn_name, String), name!(decision, String))>> {
    let agent = agent_name.ok_or_else(|| errors::null_argument("tms_policy_allowed", "agent_name"))?;
    let company = tenancy::company_for(company_id.map(|company| *company.as_bytes()))?;
    let (standing, _) = in_force(agent, &company)?;
    let policy = read(agent, &standing.document)?;
    let listed: Vec<(String, String)> = policy
        .listed()
        .into_iter()
        .map(|(rule, decision)| (rule.to_owned(), decision.as_str().to_owned()))
        .collect();
    Ok(TableIterator::new(listed))
}

/// `tms_policy_explain(agent_name, company_id)`: what is in force, what it says, and how it came to be.
#[pg_extern(sql = false)]
fn tms_policy_explain(agent_name: Option<&str>, company_id: Option<pgrx::Uuid>) -> Result<String> {
    let agent = agent_name.ok_or_else(|| errors::null_argument("tms_policy_explain", "agent_name"))?;
    let company = tenancy::company_for(company_id.map(|company| *company.as_bytes()))?;
    let (standing, owner) = in_force(agent, &company)?;
    let policy = read(agent, &standing.document)?;
    let before = standing
        .previous
        .and_then(|number| policies::document(agent, &owner, number));
    let before = before.map(|text| read(agent, &text)).transpose()?;
    let changes = policies::changes(agent, &owner, story::MOST_CHANGES);
    Ok(story::tell(&policy, &owner, &standing, before.as_ref(), &changes).join("\n"))
}

/// What is in force for a company's calls, and whose it is.
fn in_force(agent: &str, company: &Company) -> Result<(policies::Standing, Company)> {
    let own = policies::standing(agent, company).map(|standing| (standing, *company));
    own.or_else(|| Some((policies::standing(agent, &None)?, None)))
        .ok_or_else(|| unknown_agent(agent, company))
}

/// A version as it was stored.
fn read(agent: &str, text: &str) -> Result<AgentPolicy> {
    let read = document::parse(text).ok().and_then(|mut policies| policies.pop());
    read.ok_or_else(|| {
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("the stored policy of agent {} cannot be read", quoted(agent)),
            "tms",
        )
        .set_detail("Its row in tms.policies is not what tms_policy_load wrote, or a later release wrote it.")
        .set_hint("Load the policy again. Until then the agent's calls are denied.")
    })
}

fn unknown_agent(agent: &str, company: &Company) -> ErrorReport {
    let hint = judge::nearest_agent(agent, company).map_or_else(
        || "Load one with tms_policy_load.".to_owned(),
        |nearest| format!("Did you mean \"{nearest}\"?"),
    );
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("agent {} has no policy", quoted(agent)),
        "tms",
    )
    .set_detail("Neither the company nor the platform has loaded one; its calls are denied.")
    .set_hint(hint)
}

fn no_policy_of_its_own(agent: &str, company: &Company) -> ErrorReport {
    match company {
        Some(_) if policies::standing(agent, &None).is_some() => ErrorReport::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("the company has no policy of its own for agent {}", quoted(agent)),
            "tms",
        )
        .set_detail("The platform's is in force, which the platform alone rolls back.")
        .set_hint("Load a policy for the company with tms_policy_load."),
        _ => unknown_agent(agent, company),
    }
}

fn unknown_version(agent: &str, number: i32) -> ErrorReport {
    ErrorReport::new(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("the policy of agent {} has no version {number}", quoted(agent)),
        "tms",
    )
    .set_detail("Versions count from 1 for each agent of a company, and of the platform.")
    .set_hint("Choose one of tms.policies.")
}
