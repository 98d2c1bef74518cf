//! The tables of the extension, all to one session: for DROP EXTENSION, which locks them one after the other in an order that is
//! not the one in which events are written, and would meet those who enqueue in a deadlock.

use pgrx::pg_sys;

use super::spi::{self, Arg, Statement};

/// Looks at all tables. Who waits for one has it next, so more than a few mean that something else goes on here.
const MOST_TRIES: usize = 100;

/// Locks every table of this extension until the end of the transaction. Holds none while it waits for one, so nobody who waits
/// for this session keeps it waiting. After many tries in vain it leaves the tables as they were: the statement that follows locks
/// them in its own way.
pub(crate) fn have_tables_of(extension: pg_sys::Oid) {
    let tables = tables_of(extension);
    let mut contended = None;
    for _ in 0..MOST_TRIES {
        match lock_all(&tables, contended) {
            Ok(()) => return,
            Err(table) => contended = Some(table),
        }
    }
}

fn tables_of(extension: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    static TABLES: Statement = Statement::new(
        c"SELECT c.oid FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid
           WHERE d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
             AND d.refobjid OPERATOR(pg_catalog.=) $1
             AND d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_class'::pg_catalog.regclass
             AND d.deptype OPERATOR(pg_catalog.=) 'e' AND c.relkind OPERATOR(pg_catalog.=) 'r'",
        &[pg_sys::OIDOID],
    );
    spi::connect(|session| {
        let rows = session.read_latest(&TABLES, &[Arg::Oid(extension.to_u32())]);
        rows.iter()
            .filter_map(|row| row.datum(1))
            .map(|datum| pg_sys::Oid::from(datum.value() as u32))
            .collect()
    })
}

const MODE: pg_sys::LOCKMODE = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;

/// Waits for one table and locks the others at once; or locks none, and says which one somebody has.
fn lock_all(tables: &[pg_sys::Oid], contended: Option<pg_sys::Oid>) -> Result<(), pg_sys::Oid> {
    // SAFETY: locks are counted and taken on OIDs, which need no tables. What is let go again was taken here, and nothing was done
    // under it; on a cancel the transaction's abort lets go.
    unsafe {
        if let Some(table) = contended {
            pg_sys::LockRelationOid(table, MODE);
        }
        for (index, table) in tables.iter().enumerate() {
            if !pg_sys::ConditionalLockRelationOid(*table, MODE) {
                for taken in tables[..index].iter().chain(&contended) {
                    pg_sys::UnlockRelationOid(*taken, MODE);
                }
                return Err(*table);
            }
        }
    }
    Ok(())
}
