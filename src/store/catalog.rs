//! PostgreSQL's own catalog: what it says of the extension.

use crate::pg::spi::{self, Statement};

/// Version of the SQL side in this database; `None` when the extension is not there.
pub(crate) fn extension_version() -> Option<String> {
    static QUERY: Statement = Statement::new(
        c"SELECT e.extversion FROM pg_catalog.pg_extension e WHERE e.extname OPERATOR(pg_catalog.=) 'tms'",
        &[],
    );
    spi::connect(|session| session.run(&QUERY, &[], 1).first().and_then(|row| row.text(1)))
}

/// The schema the extension's functions live in.
pub(crate) fn extension_schema() -> Option<String> {
    static QUERY: Statement = Statement::new(
        c"SELECT n.nspname::pg_catalog.text FROM pg_catalog.pg_extension e
            JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace
           WHERE e.extname OPERATOR(pg_catalog.=) 'tms'",
        &[],
    );
    spi::connect(|session| session.run(&QUERY, &[], 1).first().and_then(|row| row.text(1)))
}
