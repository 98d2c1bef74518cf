//! Which company the caller is, and what roles may do: `tms_current_company`, `tms_bind_role`, `tms_grant`, `tms_revoke`.

use std::ffi::{CStr, CString};

use pgrx::prelude::*;
use tms_domain::capability::Capability;
use uuid::Uuid;

use crate::errors::{self, Result};
use crate::pg::cache::Binding;
use crate::pg::{roles, server, spi};
use crate::{settings, store};

/// The company the calling role acts for.
///
/// The calling role is the outer user. Where the role that logged in is bound to a company, no SET ROLE leads to another one:
/// the answer is then none.
pub(crate) fn current_company() -> Option<[u8; 16]> {
    let (outer, session) = (roles::outer_user(), roles::session_user());
    let company = match store::roles::binding(outer) {
        Binding::Bound(company) => Some(company),
        Binding::Enrolled => requested_company(),
        Binding::None => None,
    };
    if outer == session {
        return company;
    }
    match store::roles::binding(session) {
        Binding::Bound(own) => company.filter(|company| *company == own),
        _ => company,
    }
}

/// What the request of an enrolled role names: only the claims a server signed, never what a user may edit.
fn requested_company() -> Option<[u8; 16]> {
    let text = match claimed_company() {
        Claim::Company(text) => Some(text),
        Claim::Nothing => settings::company_id(),
        Claim::Unreadable => None,
    };
    text.and_then(|text| Uuid::try_parse(&text).ok())
        .map(Uuid::into_bytes)
}

/// What `request.jwt.claims -> app_metadata -> company_id` says.
enum Claim {
    /// No claims, or none of a company: the setting may speak.
    Nothing,
    /// This text.
    Company(String),
    /// There are claims and they are no JSON, or the company is no text: nothing else may speak instead.
    Unreadable,
}

fn claimed_company() -> Claim {
    let Some(claims) = server::setting(c"request.jwt.claims").filter(|text| !text.is_empty()) else {
        return Claim::Nothing;
    };
    let Ok(claims) = serde_json::from_str::<serde_json::Value>(&claims) else {
        return Claim::Unreadable;
    };
    match claims.get("app_metadata").and_then(|data| data.get("company_id")) {
        None | Some(serde_json::Value::Null) => Claim::Nothing,
        Some(serde_json::Value::String(text)) if text.is_empty() => Claim::Nothing,
        Some(serde_json::Value::String(text)) => Claim::Company(text.clone()),
        Some(_) => Claim::Unreadable,
    }
}

/// The company an event is enqueued for: the caller's own, or for the platform any, or none.
pub(crate) fn company_for(asked: Option<[u8; 16]>) -> Result<Option<[u8; 16]>> {
    let own = current_company();
    match asked {
        None if own.is_some() => Ok(own),
        None if roles::is_platform() => Ok(None),
        None => Err(errors::no_company()),
        Some(_) if asked == own => Ok(asked),
        Some(_) if roles::is_platform() => Ok(asked),
        Some(_) if own.is_none() => Err(errors::no_company()),
        Some(_) => Err(errors::foreign_company()),
    }
}

/// Raises 42501 unless the caller has the rights of the platform.
pub(crate) fn require_platform(what: &str) -> Result<()> {
    if roles::is_platform() {
        Ok(())
    } else {
        Err(errors::platform_only(what))
    }
}

#[pg_extern(sql = false)]
fn tms_current_company() -> Option<pgrx::Uuid> {
    current_company().map(pgrx::Uuid::from_bytes)
}

#[pg_extern(sql = false)]
fn tms_uuid_v7() -> pgrx::Uuid {
    pgrx::Uuid::from_bytes(super::outbox::new_id())
}

#[pg_extern(sql = false)]
fn tms_bind_role(role: Option<&CStr>, company_id: Option<pgrx::Uuid>) -> Result<()> {
    require_platform("bind a role to a company")?;
    let (oid, _) = role_named("tms_bind_role", role)?;
    store::roles::bind(oid, company_id.map(|company| *company.as_bytes()));
    Ok(())
}

#[pg_extern(sql = false)]
fn tms_unbind_role(role: &CStr) -> Result<bool> {
    require_platform("unbind a role")?;
    let (oid, _) = role_named("tms_unbind_role", Some(role))?;
    Ok(store::roles::unbind(oid))
}

#[pg_extern(sql = false)]
fn tms_grant(role: Option<&CStr>, capability: Option<&str>) -> Result<()> {
    require_platform("grant a capability")?;
    let (oid, name, capability) = role_and_capability("tms_grant", role, capability)?;
    store::roles::add_capability(oid, capability.as_str());
    run(grants_of(capability), "GRANT", "TO", &name);
    Ok(())
}

#[pg_extern(sql = false)]
fn tms_revoke(role: Option<&CStr>, capability: Option<&str>) -> Result<()> {
    require_platform("revoke a capability")?;
    let (oid, name, capability) = role_and_capability("tms_revoke", role, capability)?;
    store::roles::remove_capability(oid, capability.as_str());
    let kept: Vec<Grant> = store::roles::capabilities(oid)
        .iter()
        .filter_map(|held| Capability::parse(held).ok())
        .flat_map(grants_of)
        .collect();
    let taken = grants_of(capability)
        .into_iter()
        .filter(|grant| !kept.contains(grant))
        .collect();
    run(taken, "REVOKE", "FROM", &name);
    Ok(())
}

// PostgreSQL's type `name` is a C string in 64 bytes.
fn role_named(function: &str, role: Option<&CStr>) -> Result<(u32, String)> {
    let role = role
        .ok_or_else(|| errors::null_argument(function, "role"))?
        .to_string_lossy();
    let oid = roles::oid_of(&role).ok_or_else(|| errors::unknown_role(&role))?;
    Ok((oid, role.into_owned()))
}

fn role_and_capability(
    function: &str,
    role: Option<&CStr>,
    capability: Option<&str>,
) -> Result<(u32, String, Capability)> {
    let capability = capability.ok_or_else(|| errors::null_argument(function, "capability"))?;
    let capability = Capability::parse(capability).map_err(errors::problem)?;
    let (oid, name) = role_named(function, role)?;
    Ok((oid, name, capability))
}

/// What is granted: privilege and object, as GRANT wants them. `{f}` stands for the functions' schema.
type Grant = (&'static str, &'static str);

const READ_STATUS: &[Grant] = &[
    ("SELECT", "TABLE tms.event_outbox"),
    ("SELECT", "TABLE tms.dead_letter_queue"),
    ("SELECT", "TABLE tms.dead_letter_acts"),
    ("SELECT", "TABLE tms.dead_letters"),
    ("SELECT", "TABLE tms.event_history"),
    ("SELECT", "TABLE tms.task_history"),
    ("SELECT", "TABLE tms.delivery_attempts"),
    ("SELECT", "TABLE tms.targets"),
    ("SELECT", "TABLE tms.outbox_status"),
    ("SELECT", "TABLE tms.target_status"),
    ("SELECT", "TABLE tms.target_overrides"),
    ("SELECT", "TABLE tms.target_health"),
    ("SELECT", "TABLE tms.target_load"),
    ("SELECT", "TABLE tms.subscriptions"),
    ("SELECT", "TABLE tms.webhook_sources"),
    ("SELECT", "TABLE tms.policies"),
    ("SELECT", "TABLE tms.policy_heads"),
    ("SELECT", "TABLE tms.policy_changes"),
    ("SELECT", "TABLE tms.policy_decisions"),
    ("SELECT", "TABLE tms.policy_spending"),
    ("SELECT", "TABLE tms.policy_budgets"),
    ("SELECT", "TABLE tms.agent_logs"),
    ("SELECT", "TABLE tms.redaction_rules"),
    ("SELECT", "TABLE tms.agent_tasks"),
    ("SELECT", "TABLE tms.task_status"),
    ("EXECUTE", "FUNCTION tms.task_held_by(text, uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_health()"),
    ("EXECUTE", "FUNCTION {f}.tms_worker_status()"),
    ("EXECUTE", "FUNCTION {f}.tms_event_explain(uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_policy_allowed(text, uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_policy_explain(text, uuid)"),
];

/// What an auditor's pg_dump reads beside: every other table and sequence that is dumped, but for tms.target_secrets. Where a
/// table has no policy, all it reads is that there are no rows.
const READ_DUMP: &[Grant] = &[
    ("SELECT", "TABLE tms.role_bindings"),
    ("SELECT", "TABLE tms.role_capabilities"),
    ("SELECT", "TABLE tms.idempotency_keys"),
    ("SELECT", "TABLE tms.webhook_source_secrets"),
    ("SELECT", "TABLE tms.webhook_receipts"),
    ("SELECT", "TABLE tms.redaction_keys"),
    ("SELECT", "SEQUENCE tms.event_outbox_seq"),
    ("SELECT", "SEQUENCE tms.event_outbox_order_seq"),
    ("SELECT", "SEQUENCE tms.delivery_attempts_id"),
];

const PRODUCE: &[Grant] = &[
    (
        "EXECUTE",
        "FUNCTION {f}.tms_enqueue(text, jsonb, text, uuid, text, text, timestamptz, integer, integer, jsonb)",
    ),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_enqueue_batch(text, jsonb[], text, uuid, text[])",
    ),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_publish(text, jsonb, uuid, text, text, timestamptz, integer, integer, jsonb)",
    ),
    ("EXECUTE", "FUNCTION {f}.tms_event_explain(uuid)"),
    ("SELECT", "TABLE tms.event_outbox"),
    // Plain INSERT: everything an application may say of an event, and nothing the dispatcher writes. The id is not among them:
    // choosing it would tell, by a conflict, which ids other companies have.
    (
        "INSERT (event_type, payload, target_system, company_id, priority, available_at, max_retries, idempotency_key, ordering_key, headers)",
        "TABLE tms.event_outbox",
    ),
    // What the defaults of a plain INSERT call in the name of the role.
    ("EXECUTE", "FUNCTION tms.uuid_v7()"),
    ("USAGE", "SEQUENCE tms.event_outbox_seq"),
];

/// Tasks go in here for agents, and everybody who submits them may follow them.
const SUBMIT: &[Grant] = &[
    (
        "EXECUTE",
        "FUNCTION {f}.tms_task_submit(text, text, jsonb, uuid, text, integer, timestamptz)",
    ),
    ("SELECT", "TABLE tms.agent_tasks"),
    ("SELECT", "TABLE tms.task_status"),
    ("EXECUTE", "FUNCTION tms.task_held_by(text, uuid)"),
];

/// What an agent does with its tasks.
const WORK: &[Grant] = &[
    (
        "EXECUTE",
        "FUNCTION {f}.tms_task_claim(text, text, integer, interval, interval)",
    ),
    ("EXECUTE", "FUNCTION {f}.tms_task_heartbeat(uuid, uuid, interval)"),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_task_charge(uuid, uuid, bigint, integer, text)",
    ),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_task_complete(uuid, uuid, jsonb, jsonb)",
    ),
    ("EXECUTE", "FUNCTION {f}.tms_task_fail(uuid, uuid, text, text)"),
];

/// What a person decides about the tasks of others.
const APPROVE: &[Grant] = &[
    ("EXECUTE", "FUNCTION {f}.tms_task_confirm(uuid, boolean, text)"),
    ("SELECT", "TABLE tms.agent_tasks"),
    ("SELECT", "TABLE tms.task_status"),
    ("EXECUTE", "FUNCTION tms.task_held_by(text, uuid)"),
];

/// What an operator may change of its company's, beside what it may read.
const OPERATE: &[Grant] = &[
    // Its company's own version of a target: without company_id the call is the platform's.
    ("EXECUTE", "FUNCTION {f}.tms_target_set(text, text, jsonb, uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_target_test(text)"),
    ("EXECUTE", "FUNCTION {f}.tms_event_cancel(uuid, text)"),
    ("EXECUTE", "FUNCTION {f}.tms_task_cancel(uuid, text)"),
    ("EXECUTE", "FUNCTION {f}.tms_dlq_retry(uuid, jsonb)"),
    ("EXECUTE", "FUNCTION {f}.tms_dlq_edit(uuid, jsonb)"),
    ("EXECUTE", "FUNCTION {f}.tms_dlq_snooze(uuid, timestamptz)"),
    ("EXECUTE", "FUNCTION {f}.tms_dlq_discard(uuid, text)"),
    ("EXECUTE", "FUNCTION {f}.tms_dlq_replay(jsonb, boolean)"),
    ("EXECUTE", "FUNCTION {f}.tms_dlq_requeue_due()"),
    // Its company's rules: without company_id a company's role means its own.
    ("EXECUTE", "FUNCTION {f}.tms_redaction_set(jsonb, uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_subscribe(text, text, uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_unsubscribe(text, text, uuid)"),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_webhook_source_set(text, jsonb, uuid)",
    ),
    // Its company's own policies; the platform's are in reach of none but the platform.
    ("EXECUTE", "FUNCTION {f}.tms_policy_load(text, uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_policy_rollback(text, integer, uuid)"),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_policy_backtest(text, interval, uuid)",
    ),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_policy_check(text, text, jsonb, jsonb, uuid)",
    ),
];

/// What an agent may ask of the policies it works under.
const ACT: &[Grant] = &[
    (
        "EXECUTE",
        "FUNCTION {f}.tms_policy_enforce(text, text, jsonb, jsonb, uuid)",
    ),
    ("EXECUTE", "FUNCTION {f}.tms_policy_release(uuid, text, jsonb)"),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_policy_check(text, text, jsonb, jsonb, uuid)",
    ),
    ("EXECUTE", "FUNCTION {f}.tms_policy_allowed(text, uuid)"),
    ("EXECUTE", "FUNCTION {f}.tms_policy_explain(text, uuid)"),
];

/// What an agent writes of its own accord.
const LOG: &[Grant] = &[
    ("EXECUTE", "FUNCTION {f}.tms_log(text, text, jsonb, text, uuid)"),
    // Plain INSERT: everything but id and time.
    (
        "INSERT (company_id, agent_name, task_id, level, message, meta)",
        "TABLE tms.agent_logs",
    ),
    // What the default of the id calls in the name of the role.
    ("EXECUTE", "FUNCTION tms.uuid_v7()"),
];

const PSEUDONYMIZE: &[Grant] = &[("EXECUTE", "FUNCTION tms.use_redaction_key()")];

const CONSUME: &[Grant] = &[
    (
        "EXECUTE",
        "FUNCTION {f}.tms_outbox_claim(text, integer, interval)",
    ),
    ("EXECUTE", "FUNCTION {f}.tms_outbox_ack(uuid[])"),
    ("EXECUTE", "FUNCTION {f}.tms_outbox_nack(uuid, text, text)"),
    (
        "EXECUTE",
        "FUNCTION {f}.tms_webhook_verify(text, jsonb, text, uuid)",
    ),
];

/// What every capability gives: functions that read nothing but their arguments, and cost time.
const REDACT: &[Grant] = &[
    ("EXECUTE", "FUNCTION {f}.tms_redact(jsonb, text[])"),
    ("EXECUTE", "FUNCTION {f}.tms_redact_rules(jsonb, jsonb)"),
    ("EXECUTE", "FUNCTION {f}.tms_redact_text(text, text[])"),
    ("EXECUTE", "FUNCTION {f}.tms_detect_pii(jsonb)"),
    ("EXECUTE", "FUNCTION {f}.tms_classify_error(text, text)"),
];

fn grants_of(capability: Capability) -> Vec<Grant> {
    let own: &[&[Grant]] = match capability {
        Capability::Producer => &[PRODUCE, SUBMIT],
        Capability::Auditor => &[READ_STATUS, READ_DUMP],
        Capability::Operator => &[READ_STATUS, OPERATE],
        Capability::Consumer => &[CONSUME],
        Capability::Agent => &[ACT, LOG, SUBMIT, WORK],
        Capability::Pseudonymizer => &[PSEUDONYMIZE],
        Capability::Approver => &[APPROVE],
    };
    [own.concat().as_slice(), REDACT].concat()
}

fn run(grants: Vec<Grant>, verb: &str, preposition: &str, role: &str) {
    let role = pgrx::spi::quote_identifier(role);
    let schema = pgrx::spi::quote_identifier(store::catalog::extension_schema().unwrap_or_default());
    spi::connect(|session| {
        for (privilege, object) in grants {
            let object = object.replace("{f}", &schema);
            let statement = format!("{verb} {privilege} ON {object} {preposition} {role}");
            // An identifier cannot contain NUL: role and schema exist.
            if let Ok(statement) = CString::new(statement) {
                session.run_once(&statement);
            }
        }
    });
}
