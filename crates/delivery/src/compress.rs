//! Large bodies as gzip.

use crate::offload::{COMPRESS_HERE, offload};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use tms_domain::failure::Failure;
use tokio::time::Instant;

/// The body as gzip, or a failure when `until` has come.
pub(crate) async fn gzip(body: Vec<u8>, until: Instant) -> Result<Vec<u8>, Failure> {
    let done = if body.len() <= COMPRESS_HERE {
        compressed(&body)
    } else {
        offload(until, move || compressed(&body)).await?
    };
    done.ok_or_else(|| Failure::InvalidRequest("the body could not be compressed".into()))
}

/// The fastest level: on JSON it is within a few percent of the slow ones. `None` cannot happen, since memory takes
/// what is written.
fn compressed(body: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4 + 64), Compression::fast());
    encoder.write_all(body).ok()?;
    encoder.finish().ok()
}
