//! `tms_log`: a line of an agent, in the caller's transaction.

use tms_domain::nearest::unknown_name;

use crate::api::{outbox, tenancy};
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::store::logs::{self, Line};

const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];

/// `tms_log(level, message, meta, agent_name, task_id)`: writes a line for the caller's company and returns its id. It is redacted by
/// the table's trigger, as every row is.
pub(crate) fn log(arguments: &Arguments) -> Result<[u8; 16]> {
    const NAME: &str = "tms_log";
    let missing = |argument| errors::null_argument(NAME, argument);
    let level = arguments.text(0).ok_or_else(|| missing("level"))?;
    if !LEVELS.contains(&level.as_str()) {
        return Err(errors::problem(unknown_name("level", &level, &LEVELS)));
    }
    let line = Line {
        id: outbox::new_id(),
        company: tenancy::company_for(None)?,
        agent: arguments.text(3),
        task: arguments.uuid(4),
        level,
        message: arguments.text(1).ok_or_else(|| missing("message"))?,
        meta: arguments.datum(2).ok_or_else(|| missing("meta"))?,
    };
    logs::insert(&line);
    Ok(line.id)
}
