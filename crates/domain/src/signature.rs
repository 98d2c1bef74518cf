//! Signatures of webhooks (Standard Webhooks 1.0.0, symmetric): made for what is sent, checked for what arrives.
//!
//! What is signed is `{id}.{timestamp}.{body}`, with HMAC-SHA256. No text in here repeats a key, and nothing that is
//! compared with a secret is compared byte by byte until the first difference.

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::keyed::keyed;
use crate::problem::Problem;

#[cfg(test)]
mod tests;

/// The lengths of a key in bytes.
const KEY_LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
const TAG: usize = 32;
const PREFIX: &str = "whsec_";
const VERSION: &str = "v1";

/// Keys are copied by hand between systems, and some of these drop the `=` at the end.
const KEY_TEXT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const TAG_TEXT: GeneralPurpose = general_purpose::STANDARD;

/// A signing key.
#[derive(Clone)]
pub struct Key {
    bytes: Vec<u8>,
    /// The HMAC that has taken in the key already: half the work of signing a small body.
    keyed: Hmac<Sha256>,
}

impl Key {
    /// Reads `whsec_` and the base64 of 24 to 64 bytes; the prefix may be missing.
    ///
    /// # Errors
    /// Says what is wrong without repeating any of it.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = KEY_TEXT.decode(encoded).map_err(|_| {
            // The decoder's own text would name a byte of the secret.
            expected(Problem::new("the secret is not base64"))
        })?;
        Self::from_bytes(&bytes)
    }

    /// A key of 24 to 64 bytes, such as a random number generator gives.
    ///
    /// # Errors
    /// Names the length.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Problem> {
        if !KEY_LENGTHS.contains(&bytes.len()) {
            let message = format!("the secret is {} bytes long", bytes.len());
            return Err(expected(Problem::new(message)));
        }
        Ok(Self {
            bytes: bytes.to_vec(),
            keyed: keyed(bytes),
        })
    }

    /// The key as [`Key::parse`] reads it, with the prefix. A secret: for the receiver and the secrets' own table.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = PREFIX.to_owned();
        KEY_TEXT.encode_string(&self.bytes, &mut text);
        text
    }

    /// `head` is what is signed before the body.
    fn tag(&self, head: &str, body: &[u8]) -> [u8; TAG] {
        let mut mac = self.keyed.clone();
        mac.update(head.as_bytes());
        mac.update(body);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(...)")
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.bytes.ct_eq(&other.bytes).into()
    }
}

impl Eq for Key {}

fn expected(problem: Problem) -> Problem {
    problem
        .detail("A signing secret is \"whsec_\" followed by the base64 of 24 to 64 random bytes.")
        .hint("Make one with: openssl rand -base64 32. Without one, a target that signs gets a secret of its own.")
}

/// The value of the `webhook-signature` header: one `v1,` signature for each key, separated by spaces.
///
/// `body` is exactly what is sent; `id` holds no dot, as no UUID does. Without keys the value is empty.
#[must_use]
pub fn sign(keys: &[Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    // A version, a comma, 44 letters and a space.
    let mut header = String::with_capacity(keys.len() * 48);
    let head = head(id, timestamp);
    for key in keys {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str(VERSION);
        header.push(',');
        TAG_TEXT.encode_string(key.tag(&head, body), &mut header);
    }
    header
}

fn head(id: &str, timestamp: i64) -> String {
    format!("{id}.{timestamp}.")
}

/// Why a signed message was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The header holds no signature of version `v1`.
    NoSignature,
    /// No `v1` signature is the base64 of 32 bytes, or the id holds a dot or is empty.
    Malformed,
    /// Signed longer ago than the tolerance.
    TooOld,
    /// Signed further in the future than the tolerance.
    TooNew,
    /// No signature belongs to this message under any of the keys.
    Mismatch,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoSignature => "the message carries no signature of version v1",
            Self::Malformed => "the signature or the id of the message is malformed",
            Self::TooOld => "the message was signed too long ago",
            Self::TooNew => "the message was signed in the future",
            Self::Mismatch => "the signature does not belong to this message",
        })
    }
}

impl std::error::Error for Refusal {}

/// Accepts a message when any `v1` signature of the header belongs to it under any of the keys and it was signed at
/// most `tolerance` seconds before or after `now`. Signatures of other versions are ignored.
///
/// An id with a dot is refused: its end could be read as a timestamp and the timestamp as the body's beginning, so
/// that one signature would cover two messages.
///
/// # Errors
/// The first reason found, in the order id, header, time, signature.
pub fn verify(
    keys: &[Key],
    id: &str,
    timestamp: i64,
    body: &[u8],
    header: &str,
    now: i64,
    tolerance: i64,
) -> Result<(), Refusal> {
    if id.is_empty() || id.contains('.') {
        return Err(Refusal::Malformed);
    }
    let offered = signatures(header)?;
    if now.saturating_sub(timestamp) > tolerance {
        return Err(Refusal::TooOld);
    }
    if timestamp.saturating_sub(now) > tolerance {
        return Err(Refusal::TooNew);
    }
    let head = head(id, timestamp);
    let mut found = Choice::from(0);
    for key in keys {
        let tag = key.tag(&head, body);
        for signature in &offered {
            found |= tag.ct_eq(signature);
        }
    }
    if found.into() {
        Ok(())
    } else {
        Err(Refusal::Mismatch)
    }
}

/// The signatures of our version. One that is malformed does not spoil the others.
fn signatures(header: &str) -> Result<Vec<[u8; TAG]>, Refusal> {
    let mut reason = Refusal::NoSignature;
    let mut found = Vec::new();
    for entry in header.split_ascii_whitespace() {
        let Some((VERSION, encoded)) = entry.split_once(',') else {
            continue;
        };
        match decode(encoded) {
            Some(signature) => found.push(signature),
            None => reason = Refusal::Malformed,
        }
    }
    if found.is_empty() { Err(reason) } else { Ok(found) }
}

fn decode(encoded: &str) -> Option<[u8; TAG]> {
    TAG_TEXT.decode(encoded).ok()?.try_into().ok()
}
