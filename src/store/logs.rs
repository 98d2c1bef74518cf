//! `tms.agent_logs`: what agents log.

use pgrx::pg_sys::{self, JSONBOID, TEXTOID, UUIDOID};

use crate::pg::spi::{self, Arg, Statement};

/// A line to write.
pub(crate) struct Line {
    pub(crate) id: [u8; 16],
    pub(crate) company: Option<[u8; 16]>,
    pub(crate) agent: Option<String>,
    pub(crate) task: Option<[u8; 16]>,
    pub(crate) level: String,
    pub(crate) message: String,
    pub(crate) meta: pg_sys::Datum,
}

/// Writes it.
pub(crate) fn insert(line: &Line) {
    static INSERT: Statement = Statement::new(
        c"INSERT INTO tms.agent_logs (id, company_id, agent_name, task_id, level, message, meta)
          VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &[UUIDOID, UUIDOID, TEXTOID, UUIDOID, TEXTOID, TEXTOID, JSONBOID],
    );
    spi::connect(|session| {
        session.run(
            &INSERT,
            &[
                Arg::Uuid(&line.id),
                line.company.as_ref().map_or(Arg::Null, Arg::Uuid),
                line.agent.as_deref().map_or(Arg::Null, Arg::Text),
                line.task.as_ref().map_or(Arg::Null, Arg::Uuid),
                Arg::Text(&line.level),
                Arg::Text(&line.message),
                Arg::Datum(line.meta),
            ],
            0,
        );
    });
}
