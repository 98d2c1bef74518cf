//! A function's answer of many rows, put there as a statement returned them: without a look into their values.

use pgrx::pg_sys;

/// The rows a set-returning function answers with, kept by PostgreSQL until the caller has read them.
pub(crate) struct AnswerSet(*mut pg_sys::Tuplestorestate);

impl AnswerSet {
    /// Begins the answer of a function that was declared to return a table; raises where a set cannot be taken.
    ///
    /// # Safety
    /// `fcinfo` must be what PostgreSQL passed to the function.
    pub(super) unsafe fn begin(fcinfo: pg_sys::FunctionCallInfo) -> Self {
        // SAFETY: by the caller; InitMaterializedSRF checks that resultinfo is a ReturnSetInfo and sets its setResult, which lives
        // in the memory of the query.
        unsafe {
            pg_sys::InitMaterializedSRF(fcinfo, 0);
            Self((*(*fcinfo).resultinfo.cast::<pg_sys::ReturnSetInfo>()).setResult)
        }
    }

    /// Adds a row; the store copies it.
    ///
    /// # Safety
    /// The tuple must be valid, with the columns that the function declares, in their order and of their types.
    pub(super) unsafe fn put(&self, tuple: pg_sys::HeapTuple) {
        // SAFETY: the store is open for as long as the function runs; the tuple by the caller.
        unsafe { pg_sys::tuplestore_puttuple(self.0, tuple) }
    }
}
