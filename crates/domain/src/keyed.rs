//! HMAC-SHA256 that has taken in its key: half the work for a short message, and nothing of it can fail.

use hmac::{Hmac, KeyInit};
use sha2::{Digest, Sha256};

/// The block of SHA-256.
const BLOCK: usize = 64;

/// HMAC-SHA256 with a key of any length: as RFC 2104 has it, one longer than the block is hashed first.
pub(crate) fn keyed(key: &[u8]) -> Hmac<Sha256> {
    let mut block = [0; BLOCK];
    let hashed: [u8; 32];
    let key = if key.len() > BLOCK {
        hashed = Sha256::digest(key).into();
        hashed.as_slice()
    } else {
        key
    };
    for (place, byte) in block.iter_mut().zip(key) {
        *place = *byte;
    }
    Hmac::new(&block.into())
}
