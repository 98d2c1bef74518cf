//! The one place where a mistake becomes an error with SQLSTATE, message, DETAIL and HINT.

use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;
use tms_domain::problem::{Kind, Problem};
use tms_domain::shown::quoted;

/// What every fallible function of the extension returns; pgrx keeps SQLSTATE, DETAIL and HINT of it.
pub(crate) type Result<T> = std::result::Result<T, ErrorReport>;

/// What to do where shared memory or workers are missing.
pub(crate) const PRELOAD_HINT: &str = "Add tms to shared_preload_libraries and restart the server.";

fn report(code: PgSqlErrorCode, message: String) -> ErrorReport {
    ErrorReport::new(code, message, "tms")
}

/// A value the domain crate refused: 22023, or 0A000 for what this release does not do yet, 54000 for what is larger or deeper
/// than is taken on, XX001 for damaged data.
pub(crate) fn problem(problem: Problem) -> ErrorReport {
    let code = match problem.kind {
        Kind::Invalid => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        Kind::NotAvailable => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
        Kind::TooMuch => PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        Kind::Damaged => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
    };
    let mut error = report(code, problem.message);
    if let Some(detail) = problem.detail {
        error = error.set_detail(detail);
    }
    error.set_hint(
        problem
            .hint
            .unwrap_or_else(|| "Correct the value and call again.".to_owned()),
    )
}

/// A WARNING for something that is accepted and probably not meant.
pub(crate) fn warn(problem: Problem) {
    let mut warning = report(PgSqlErrorCode::ERRCODE_WARNING, problem.message);
    if let Some(detail) = problem.detail {
        warning = warning.set_detail(detail);
    }
    if let Some(hint) = problem.hint {
        warning = warning.set_hint(hint);
    }
    warning.report(pgrx::PgLogLevel::WARNING);
}

/// A line at a level below an error, for the server's log.
pub(crate) fn tell(level: pgrx::PgLogLevel, message: String) {
    report(PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION, message).report(level);
}

/// F0000: what is in force for an agent is not what was loaded, so nobody knows what it hides.
pub(crate) fn unreadable_policy(agent: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
        format!("the policy of agent {} cannot be read", quoted(agent)),
    )
    .set_detail("Its row in tms.policies is not what tms_policy_load wrote, or a later release wrote it.")
    .set_hint("Load the policy again with tms_policy_load.")
}

/// F0000: a master key that is no base64.
pub(crate) fn unreadable_key(id: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_CONFIG_FILE_ERROR,
        format!("the redaction key {} cannot be read", quoted(id)),
    )
    .set_detail("Its row in tms.redaction_keys is not what tms_redaction_rotate_key wrote.")
    .set_hint("Make a new one: SELECT tms_redaction_rotate_key().")
}

/// 42501: tokens are asked for without the right to.
pub(crate) fn no_right_to_tokens() -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "the mode \"hmac\" needs the capability pseudonymizer".to_owned(),
    )
    .set_detail("Who can have tokens made can try values against the tokens that are there.")
    .set_hint("Have the platform call tms_grant(role, 'pseudonymizer'), or use the mode \"replace\".")
}

/// 58000: the operating system gave no random bytes.
pub(crate) fn no_randomness() -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_SYSTEM_ERROR,
        "the server has no random bytes to make a secret of".to_owned(),
    )
    .set_detail("The operating system's generator did not answer.")
    .set_hint("Call again; see the server's log if it happens again.")
}

/// 55000: what lives in shared memory, on a server without it.
pub(crate) fn not_preloaded(what: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("{what} need shared memory, which tms does not have on this server"),
    )
    .set_detail("The library is not in shared_preload_libraries.")
    .set_hint(PRELOAD_HINT)
}

/// 22004: an argument that must have a value has none.
pub(crate) fn null_argument(function: &str, argument: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        format!("{argument} of {function} must not be NULL"),
    )
    .set_detail("Only arguments with a default may be NULL.")
    .set_hint(format!("Pass a value for {argument}."))
}

/// 22004: an array with a NULL in it.
pub(crate) fn null_element(function: &str, argument: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        format!("{argument} of {function} must not have NULL elements"),
    )
    .set_detail("Each element names something; NULL names nothing.")
    .set_hint(format!("Leave it out: array_remove({argument}, NULL)."))
}

/// 54000: rules that are larger than any that could be meant.
pub(crate) fn rules_too_large(what: &str, size: usize, limit: usize) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("{what} of {size} bytes are too large"),
    )
    .set_detail(format!("The limit is {limit} bytes in the server's own form."))
    .set_hint("Name fewer places: the document is the first argument, the rules are the second.")
}

/// 22023: a jsonb that cannot be read as options or headers.
pub(crate) fn unreadable(what: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{what} cannot be read"),
    )
    .set_detail("A number in it is beyond double precision, or it is nested more than 100 levels deep.")
    .set_hint("Pass a flat object with ordinary numbers.")
}

/// 22023: a value out of its range.
pub(crate) fn out_of_range(what: &str, value: &str, expected: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{what} {value} is out of range"),
    )
    .set_detail(format!("Expected {expected}."))
    .set_hint(format!("Correct {what} and call again."))
}

/// 54000: a payload larger than the server's limit.
pub(crate) fn payload_too_large(size: usize, limit: usize) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
        format!("payload of {size} bytes is larger than tms.max_payload_bytes"),
    )
    .set_detail(format!(
        "The limit is {limit} bytes, counted in jsonb's own form."
    ))
    .set_hint("Send a reference to the data instead of the data, or raise tms.max_payload_bytes.")
}

/// 23505: a plain INSERT with an idempotency key that stands for another event. The caller may see that event: it is its own.
pub(crate) fn key_used(first: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_UNIQUE_VIOLATION,
        "this idempotency_key was used before".to_owned(),
    )
    .set_detail(format!(
        "It stands for event {first} of the same company and target."
    ))
    .set_hint("Treat the event as enqueued; tms_enqueue returns that id instead of an error.")
}

/// 42704: no target of this name; names the nearest one.
pub(crate) fn unknown_target(name: &str, nearest: Option<&str>) -> ErrorReport {
    let hint = match nearest {
        Some(nearest) => format!("Did you mean \"{nearest}\"? Targets are created by tms_target_set."),
        None => {
            "Create it first: SELECT tms_target_set(name, 'http', '{\"url\": \"https://...\"}').".to_owned()
        }
    };
    report(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("target {} does not exist", quoted(name)),
    )
    .set_detail("The targets of this database are the rows of tms.targets.")
    .set_hint(hint)
}

/// 42704: no source of this name in the caller's company. The answer is the same where another company has one.
pub(crate) fn unknown_source(name: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("webhook source {} does not exist", quoted(name)),
    )
    .set_detail("A source belongs to the company that set it, or to the platform.")
    .set_hint("Set it first: SELECT tms_webhook_source_set(name, '{\"secret\": \"whsec_...\"}').")
}

/// 22023: a text that should be a time.
pub(crate) fn no_time(what: &str, text: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        format!("{what} is {}, which is no time", quoted(text)),
    )
    .set_detail("Expected a timestamp as PostgreSQL reads it.")
    .set_hint("For example \"2026-01-31 08:00+00\", or what to_jsonb(now() - interval '1 hour') gives.")
}

/// 42704: no dead letter of this id. The same words where it is another company's.
pub(crate) fn unknown_letter(id: &[u8; 16]) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("dead letter {} does not exist", uuid::Uuid::from_bytes(*id)),
    )
    .set_detail("Closed letters are kept for tms.dead_letter_retention; those of other companies are not shown.")
    .set_hint("Take the id of a letter, not of its event: SELECT id FROM tms.dead_letters WHERE original_event_id = ...")
}

/// 55000: an act on a letter that is over.
pub(crate) fn letter_is_closed(id: &[u8; 16], how: &str, at: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("dead letter {} is closed", uuid::Uuid::from_bytes(*id)),
    )
    .set_detail(format!("It was {how} at {at}."))
    .set_hint("What is over is not begun again: enqueue a new event with tms_enqueue.")
}

/// 55000: another payload for what may be on the wire at this moment.
pub(crate) fn letter_is_out(id: &[u8; 16]) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("dead letter {} is out for delivery", uuid::Uuid::from_bytes(*id)),
    )
    .set_detail("An attempt with the payload as it is may be on the wire.")
    .set_hint("Wait until it is delivered or has failed again; pausing the target keeps it from coming back.")
}

/// 42704: no role of this name.
pub(crate) fn unknown_role(name: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
        format!("role {} does not exist", quoted(name)),
    )
    .set_detail("Companies and capabilities are given to roles that exist.")
    .set_hint("Create the role first, or correct its name.")
}

/// 42501: the caller may not do this for the platform.
pub(crate) fn platform_only(what: &str) -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("permission denied to {what}"),
    )
    .set_detail("This is a right of the platform: of superusers and of roles with BYPASSRLS.")
    .set_hint("Ask the owner of the database.")
}

/// 42501: the caller acts for no company.
pub(crate) fn no_company() -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "the current role acts for no company".to_owned(),
    )
    .set_detail("Only a role that bypasses row-level security acts for the platform.")
    .set_hint("Bind the role with tms_bind_role(role, company_id), or enrol it and set its claims or tms.company_id.")
}

/// 42501: the caller named a company that is not its own. The answer is the same whether that company exists or not.
pub(crate) fn foreign_company() -> ErrorReport {
    report(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        "company_id is not the company of the current role".to_owned(),
    )
    .set_detail("A role acts for its own company only.")
    .set_hint("Leave company_id out, or call as a role of that company.")
}
