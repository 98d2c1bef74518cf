//! Work that is undone when it was for nothing: within a savepoint of its own.

use pgrx::pg_sys;

/// Runs `work` in a subtransaction. Where it answers that it did nothing worth keeping, the subtransaction is rolled back, and with
/// it the row locks it took. After an error the transaction's abort ends both.
pub(crate) fn attempt<R>(work: impl FnOnce() -> (bool, R)) -> R {
    // SAFETY: as PL/pgSQL does it for a block with an EXCEPTION clause: context and resource owner are those of before afterwards.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let owner = pg_sys::CurrentResourceOwner;
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::CurrentMemoryContext = context;
        let (is_kept, result) = work();
        if is_kept {
            pg_sys::ReleaseCurrentSubTransaction();
        } else {
            pg_sys::RollbackAndReleaseCurrentSubTransaction();
        }
        pg_sys::CurrentMemoryContext = context;
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}
