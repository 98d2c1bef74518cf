//! The list of databases, read without SQL: the launcher is connected to none.

use pgrx::pg_sys;

/// OIDs of the databases that can have workers: connections allowed, and not a template, which must stay free to be copied.
/// Needs a transaction.
pub(crate) fn databases() -> Vec<u32> {
    let mut found = Vec::new();
    // SAFETY: a sequential scan of pg_database, as the autovacuum launcher does it; the tuple is read before the next is fetched,
    // and scan and relation are closed on the way out.
    unsafe {
        let relation = pg_sys::table_open(pg_sys::DatabaseRelationId, pg_sys::AccessShareLock as i32);
        let scan = pg_sys::table_beginscan_catalog(relation, 0, std::ptr::null_mut());
        loop {
            let tuple = pg_sys::heap_getnext(scan, pg_sys::ScanDirection::ForwardScanDirection);
            if tuple.is_null() {
                break;
            }
            let database = &*pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_database>();
            if database.datallowconn && !database.datistemplate {
                found.push(database.oid.to_u32());
            }
        }
        if let Some(end) = (*(*scan).rs_rd)
            .rd_tableam
            .as_ref()
            .and_then(|table| table.scan_end)
        {
            end(scan);
        }
        pg_sys::table_close(relation, pg_sys::AccessShareLock as i32);
    }
    found
}
