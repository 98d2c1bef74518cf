//! Tables of plain data in shared memory, each under a lock of its own: for what is more than an atomic can hold.

use std::ffi::CStr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use pgrx::pg_sys;

/// A lock among all processes of the server, held for microseconds.
pub(crate) struct Lock {
    name: &'static CStr,
    lock: AtomicPtr<pg_sys::LWLock>,
}

impl Lock {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            lock: AtomicPtr::new(std::ptr::null_mut()),
        }
    }

    /// Asks the server for the lock.
    ///
    /// # Safety
    /// For a hook on shmem_request.
    pub(super) unsafe fn request(&self) {
        // SAFETY: by the caller; the name is NUL-terminated.
        unsafe { pg_sys::RequestNamedLWLockTranche(self.name.as_ptr(), 1) }
    }

    /// Finds the lock that was asked for.
    ///
    /// # Safety
    /// For a hook on shmem_startup, after [`Lock::request`].
    pub(super) unsafe fn set_up(&self) {
        // SAFETY: by the caller; the tranche was requested with one lock.
        let lock = unsafe { &raw mut (*pg_sys::GetNamedLWLockTranche(self.name.as_ptr())).lock };
        self.lock.store(lock, Ordering::SeqCst);
    }

    /// Whether there is shared memory at all.
    pub(super) fn is_there(&self) -> bool {
        !self.lock.load(Ordering::SeqCst).is_null()
    }

    /// Runs `work` while nobody else runs any under this lock; `None` when the library was not preloaded. After an error in
    /// `work` the transaction's abort lets go of the lock.
    pub(super) fn with<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        let lock = self.lock.load(Ordering::SeqCst);
        if lock.is_null() {
            return None;
        }
        // SAFETY: the lock lives in shared memory for as long as the server does.
        unsafe {
            pg_sys::LWLockAcquire(lock, pg_sys::LWLockMode::LW_EXCLUSIVE);
            let result = work();
            pg_sys::LWLockRelease(lock);
            Some(result)
        }
    }
}

/// A table of a size that is fixed when the server starts.
pub(crate) struct Table<T> {
    name: &'static CStr,
    first: AtomicPtr<T>,
    length: AtomicUsize,
}

impl<T> Table<T> {
    pub(crate) const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            first: AtomicPtr::new(std::ptr::null_mut()),
            length: AtomicUsize::new(0),
        }
    }

    /// Asks the server for room.
    ///
    /// # Safety
    /// For a hook on shmem_request.
    pub(super) unsafe fn request(&self, length: usize) {
        // The server hands rooms out at the borders of its cache lines, and counts them by that.
        let size = (size_of::<T>() * length).next_multiple_of(pg_sys::PG_CACHE_LINE_SIZE as usize);
        // SAFETY: by the caller.
        unsafe { pg_sys::RequestAddinShmemSpace(size) }
    }

    /// Fills the room that was asked for.
    ///
    /// # Safety
    /// For a hook on shmem_startup, after [`Table::request`] with the same length. The type has no pointer into a process.
    pub(super) unsafe fn set_up(&self, length: usize, blank: impl Fn() -> T) {
        const { assert!(align_of::<T>() <= pg_sys::PG_CACHE_LINE_SIZE as usize) };
        let mut found = false;
        // SAFETY: the postmaster runs this alone, before any child exists; the room is of the size and has the alignment of so
        // many values, each of which is written before it is read.
        unsafe {
            let first = pg_sys::ShmemInitStruct(self.name.as_ptr(), size_of::<T>() * length, &raw mut found)
                .cast::<T>();
            for index in 0..length {
                first.add(index).write(blank());
            }
            self.first.store(first, Ordering::SeqCst);
        }
        self.length.store(length, Ordering::SeqCst);
    }

    /// The values.
    ///
    /// # Safety
    /// Only under the lock of this table, once at a time, after [`Table::set_up`].
    #[allow(clippy::mut_from_ref)] // the lock is what makes it the only reference
    pub(super) unsafe fn values(&self) -> &mut [T] {
        // SAFETY: the room holds so many values for as long as the server lives; by the caller nobody else refers to them.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.first.load(Ordering::SeqCst),
                self.length.load(Ordering::SeqCst),
            )
        }
    }
}
