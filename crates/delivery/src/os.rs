//! The two things needed of the operating system beside sockets: an eventfd and the signal mask. Through nix, so
//! that no unsafe code is ours.

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::signal::{SigSet, SigmaskHow};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// A file descriptor that is readable between [`Event::raise`] and [`Event::lower`].
pub(crate) struct Event(pub(crate) EventFd);

impl Event {
    pub(crate) fn new() -> io::Result<Event> {
        Ok(Event(EventFd::from_flags(
            EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK,
        )?))
    }

    pub(crate) fn raise(&self) {
        // The only other error is EAGAIN at 2^64 - 2 unread raises: readable already.
        while self.0.write(1) == Err(Errno::EINTR) {}
    }

    pub(crate) fn lower(&self) {
        // EAGAIN means that it is lowered already.
        while self.0.read() == Err(Errno::EINTR) {}
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }

    pub(crate) fn borrowed_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Runs `spawn` with every signal blocked, and restores the mask of the caller. Threads inherit the mask of the
/// thread that spawns them: no PostgreSQL signal handler may ever run on a thread of ours.
pub(crate) fn with_signals_blocked<T>(spawn: impl FnOnce() -> T) -> io::Result<T> {
    let before = SigSet::all().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
    let result = spawn();
    before.thread_set_mask()?;
    Ok(result)
}
