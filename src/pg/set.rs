//! A function's answer of many rows, put there as a statement returned them: without a look into their values.

use pgrx::pg_sys;

/// The rows a set-returning function answers with, kept by PostgreSQL until the caller has read them.
pub(crate) struct AnswerSet {
    rows: *mut pg_sys::Tuplestorestate,
    columns: pg_sys::TupleDesc,
}

impl AnswerSet {
    /// Begins the answer of a function that was declared to return a table; raises where a set cannot be taken.
    ///
    /// # Safety
    /// `fcinfo` must be what PostgreSQL passed to the function.
    pub(super) unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: by the caller; InitMaterializedSRF checks that resultinfo is a ReturnSetInfo and sets its setResult and
        // setDesc, which live in the memory of the query.
        unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, 0);
            let answer = (*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>();
            Self {
                rows: (*answer).setResult,
                columns: (*answer).setDesc,
            }
        }
    }

    /// Adds a row; the store copies it.
    ///
    /// # Safety
    /// The tuple must be valid, with the columns that the function declares, in their order and of their types.
    pub(super) unsafe fn put(&self, tuple: pg_sys::HeapTuple) {
        // SAFETY: the store is open for as long as the function runs; the tuple by the caller.
        unsafe { pg_sys::tuplestore_puttuple(self.rows, tuple) }
    }

    /// Adds a row of texts to an answer that was declared with two columns of text.
    pub(crate) fn put_texts(&self, row: [&str; 2]) {
        let mut values = row.map(super::array::text);
        let mut nulls = [false; 2];
        // SAFETY: the function declares two columns of text; the store copies them, and then they are freed.
        unsafe {
            pg_sys::tuplestore_putvalues(self.rows, self.columns, values.as_mut_ptr(), nulls.as_mut_ptr());
            for value in values {
                pg_sys::pfree(value.cast_mut_ptr());
            }
        }
    }
}
