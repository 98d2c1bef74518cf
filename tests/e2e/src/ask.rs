//! What tests say to a server in SQL, and what it answers.

use postgres::types::ToSql;
use postgres::{Client, Row};
use uuid::Uuid;

use crate::story::SOON;
use crate::wait::eventually;

/// Runs statements that return nothing of interest.
#[track_caller]
pub fn run(client: &mut Client, statements: &str) {
    if let Err(error) = client.batch_execute(statements) {
        panic!("{statements}: {error:?}");
    }
}

/// The rows of a statement.
#[track_caller]
pub fn rows(client: &mut Client, statement: &str) -> Vec<Row> {
    match client.query(statement, &[]) {
        Ok(rows) => rows,
        Err(error) => panic!("{statement}: {error:?}"),
    }
}

/// The ids that a statement returns.
#[track_caller]
pub fn ids(client: &mut Client, statement: &str) -> Vec<Uuid> {
    rows(client, statement).iter().map(|row| row.get(0)).collect()
}

/// The id that a statement returns.
#[track_caller]
pub fn id(client: &mut Client, statement: &str) -> Uuid {
    ids(client, statement)[0]
}

/// The number that a statement returns.
#[track_caller]
pub fn number(client: &mut Client, statement: &str) -> i64 {
    rows(client, statement)[0].get(0)
}

/// The text that a statement returns; empty for NULL.
#[track_caller]
pub fn text(client: &mut Client, statement: &str) -> String {
    text_for(client, statement, &[])
}

/// The text that a statement returns for these arguments; empty for NULL.
#[track_caller]
pub fn text_for(client: &mut Client, statement: &str, arguments: &[&(dyn ToSql + Sync)]) -> String {
    match client.query_one(statement, arguments) {
        Ok(row) => row.get::<_, Option<String>>(0).unwrap_or_default(),
        Err(error) => panic!("{statement}: {error:?}"),
    }
}

/// Waits until a statement returns this text.
#[track_caller]
pub fn becomes(client: &mut Client, statement: &str, arguments: &[&(dyn ToSql + Sync)], expected: &str) {
    eventually(&format!("{expected:?} of {statement}"), SOON, || {
        let seen = text_for(client, statement, arguments);
        if seen == expected { Ok(()) } else { Err(seen) }
    });
}

/// The letter of a dead event: kind of error, message, number of attempts, and whether it is dead for good.
#[track_caller]
pub fn letter(client: &mut Client, event: Uuid) -> (String, String, i32, bool) {
    let ask = "SELECT error_type, error_message, attempts, permanent FROM tms.dead_letter_queue \
               WHERE original_event_id = $1";
    let row = eventually("a letter", SOON, || {
        client.query_opt(ask, &[&event]).expect("letters")
    });
    (row.get(0), row.get(1), row.get(2), row.get(3))
}

/// What a server said against a statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE.
    pub code: String,
    /// What was wrong.
    pub message: String,
    /// DETAIL, or nothing.
    pub detail: String,
    /// HINT, or nothing.
    pub hint: String,
}

impl Refusal {
    /// Of an error; one that is not the server's has no code.
    pub fn of(error: &postgres::Error) -> Self {
        let told = error.as_db_error();
        Self {
            code: told.map_or_else(String::new, |told| told.code().code().to_owned()),
            message: told.map_or_else(|| error.to_string(), |told| told.message().to_owned()),
            detail: told.and_then(|told| told.detail()).unwrap_or_default().to_owned(),
            hint: told.and_then(|told| told.hint()).unwrap_or_default().to_owned(),
        }
    }
}

/// What the server says against a statement that must fail.
#[track_caller]
pub fn refusal(client: &mut Client, statement: &str) -> Refusal {
    match client.batch_execute(statement) {
        Ok(()) => panic!("{statement}: was not refused"),
        Err(error) => Refusal::of(&error),
    }
}
