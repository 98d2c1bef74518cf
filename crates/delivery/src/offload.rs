//! Computations that would keep an I/O thread from its other connections, on a thread of their own.

use tms_domain::failure::{Failure, Phase};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

/// Up to this many bytes, signing costs less than going elsewhere for it disturbs.
pub(crate) const SIGN_HERE: usize = 64 * 1024;
/// The same for compressing, which takes twenty times as long.
pub(crate) const COMPRESS_HERE: usize = 4 * 1024;

/// Runs `work` elsewhere, and waits for it until `until`.
pub(crate) async fn offload<T: Send + 'static>(
    until: Instant,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    match timeout_at(until, spawn_blocking(work)).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(_)) => Err(Failure::Connect("the request could not be prepared".into())),
        // Nothing has been sent; of the phases that says it best.
        Err(_) => Err(Failure::Timeout(Phase::Connect)),
    }
}
