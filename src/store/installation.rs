//! `tms.installation`, and the stamp on every target: which server and database this is, and what it knows of being a copy.

use pgrx::pg_sys::TEXTOID;

use crate::pg::spi::{self, Arg, Statement};
use crate::pg::{recovery, server};

/// What tells this database from every other, its copies included: the server's identifier and the database's OID.
pub(crate) fn stamp() -> String {
    format!("{}-{}", recovery::system_identifier(), server::database())
}

/// Whether this database has acknowledged the restore that this token stands for.
pub(crate) fn has_acknowledged(token: &str) -> bool {
    static KNOWN: Statement = Statement::new(
        c"SELECT 1 FROM tms.installation i WHERE i.recovery OPERATOR(pg_catalog.=) $1",
        &[TEXTOID],
    );
    spi::connect(|session| session.run(&KNOWN, &[Arg::Text(token)], 1).count() > 0)
}

/// Remembers that this database goes on after that restore.
pub(crate) fn acknowledge(token: &str) {
    static REMEMBER: Statement = Statement::new(
        c"INSERT INTO tms.installation (recovery) VALUES ($1) ON CONFLICT DO NOTHING",
        &[TEXTOID],
    );
    spi::connect(|session| session.run(&REMEMBER, &[Arg::Text(token)], 0).count());
}

/// Puts this installation's stamp on every target that has another; how many those were.
pub(crate) fn adopt_targets() -> usize {
    static ADOPT: Statement = Statement::new(
        c"UPDATE tms.targets t SET installation = $1 WHERE t.installation OPERATOR(pg_catalog.<>) $1",
        &[TEXTOID],
    );
    spi::connect(|session| session.run(&ADOPT, &[Arg::Text(&stamp())], 0).count())
}

/// Whether this database has targets that another installation set.
pub(crate) fn is_copy() -> bool {
    static FOREIGN: Statement = Statement::new(
        c"SELECT 1 FROM tms.targets t WHERE t.installation OPERATOR(pg_catalog.<>) $1 LIMIT 1",
        &[TEXTOID],
    );
    spi::connect(|session| session.run(&FOREIGN, &[Arg::Text(&stamp())], 1).count() > 0)
}
