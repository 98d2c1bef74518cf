//! Keys for tokens, derived from one master key: a key of its own for each company and each id.
//!
//! HKDF-SHA256 (RFC 5869) without a salt, as its section 3.1 allows: the master key is random already. The info is
//! `tms redaction hmac v1`, then a byte 1 and the 16 bytes of the company's id, or a byte 0 for the platform, then the
//! key's id: no two keys share one. A new key for the same master key needs only a new id.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

use super::token::{HmacKey, KEY_LENGTH};
use crate::keyed::keyed;
use crate::problem::Problem;

#[cfg(test)]
mod tests;

/// The lengths of a master key in bytes.
const MASTER_LENGTHS: std::ops::RangeInclusive<usize> = 32..=64;
const PURPOSE: &[u8] = b"tms redaction hmac v1";
/// What one HMAC-SHA256 gives, in bytes.
const DIGEST: usize = 32;

/// The key of a company (the bytes of its UUID), or without one the platform's, under this id.
///
/// # Errors
/// The master key has fewer than 32 or more than 64 bytes, or the id is none that [`HmacKey::new`] takes. Never
/// repeats the key.
pub fn derive(master: &[u8], company: Option<[u8; 16]>, id: &str) -> Result<HmacKey, Problem> {
    if !MASTER_LENGTHS.contains(&master.len()) {
        let message = format!("the master key for redaction is {} bytes long", master.len());
        return Err(Problem::new(message)
            .detail("A master key has 32 to 64 random bytes.")
            .hint("Make one with: openssl rand -base64 32."));
    }
    let mut info = PURPOSE.to_vec();
    match company {
        Some(company) => {
            info.push(1);
            info.extend_from_slice(&company);
        }
        None => info.push(0),
    }
    info.extend_from_slice(id.as_bytes());
    HmacKey::new(id, hkdf::<KEY_LENGTH>(&[], master, &info))
}

/// The same from a master key as it is stored ([`master_text`]).
///
/// # Errors
/// The text is no base64, or [`derive`] refuses what it stands for. Never repeats the text.
pub fn derive_from_text(master: &str, company: Option<[u8; 16]>, id: &str) -> Result<HmacKey, Problem> {
    let bytes = STANDARD
        .decode(master)
        .map_err(|_| Problem::new("the master key for redaction is no base64"))?;
    derive(&bytes, company, id)
}

/// A master key as it is stored: base64.
#[must_use]
pub fn master_text(master: &[u8]) -> String {
    STANDARD.encode(master)
}

/// HKDF-SHA256 with an output of `N` bytes, at most 255 times the digest.
fn hkdf<const N: usize>(salt: &[u8], master: &[u8], info: &[u8]) -> [u8; N] {
    const { assert!(N <= 255 * DIGEST) };
    let extracted: [u8; DIGEST] = keyed(salt).chain_update(master).finalize().into_bytes().into();
    let expanding = keyed(&extracted);
    let mut output = [0; N];
    let mut block = Vec::new();
    for (counter, place) in (1..=255u8).zip(output.chunks_mut(DIGEST)) {
        let mac = expanding.clone().chain_update(&block).chain_update(info);
        let digest: [u8; DIGEST] = mac.chain_update([counter]).finalize().into_bytes().into();
        block = digest.to_vec();
        for (to, from) in place.iter_mut().zip(&block) {
            *to = *from;
        }
    }
    output
}
