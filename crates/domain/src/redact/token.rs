//! Tokens that stand for values: equal values get equal tokens, and nobody without the key can try values against them.
//!
//! A token is `hmac:<key id>:<tag>`, where the tag is the base64url (RFC 4648, no padding) of the first 128 bits of
//! HMAC-SHA256 over the value's text as jsonb prints it ([`super::json_text`]): `"1"` with its quotes and `1` without
//! are different texts, and so are different values; objects are printed with their members in jsonb's order, so equal
//! ones are equal. Numbers keep the digits they were written with, as jsonb does: `1` and `1.0` get different tokens.
//! 128 bits are enough to tell values apart (RFC 2104, section 5 allows half of the output).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::keyed::keyed;
use crate::problem::Problem;
use crate::shown::quoted;

#[cfg(test)]
mod tests;

/// The length of a key in bytes: as long as the digest, which RFC 2104 asks for at least.
pub const KEY_LENGTH: usize = 32;
/// The longest id of a key, in characters.
pub const ID_LIMIT: usize = 16;

const PREFIX: &str = "hmac:";
const TAG: usize = 16;
const TAG_TEXT: GeneralPurpose = URL_SAFE_NO_PAD;

/// A key for tokens, with the id that its tokens name.
#[derive(Clone)]
pub struct HmacKey {
    id: String,
    bytes: [u8; KEY_LENGTH],
    /// The HMAC that has taken in the key already: half the work for a short value.
    keyed: Hmac<Sha256>,
}

impl HmacKey {
    /// A key of random or derived bytes; the id has 1 to [`ID_LIMIT`] characters of a-z and 0-9.
    ///
    /// # Errors
    /// Names an id that is not of this form. Never repeats the bytes.
    pub fn new(id: &str, bytes: [u8; KEY_LENGTH]) -> Result<Self, Problem> {
        if !is_id(id) {
            return Err(
                Problem::new(format!("the id of the redaction key is {}", quoted(id)))
                    .detail(format!("An id has 1 to {ID_LIMIT} characters of a-z and 0-9."))
                    .hint("Count the keys: \"k1\", \"k2\"."),
            );
        }
        Ok(Self {
            id: id.to_owned(),
            bytes,
            keyed: keyed(&bytes),
        })
    }

    /// What the tokens of this key name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The token of the value with this text, as jsonb prints it.
    #[must_use]
    pub fn token(&self, json_text: &str) -> String {
        let mut mac = self.keyed.clone();
        mac.update(json_text.as_bytes());
        let tag: [u8; 32] = mac.finalize().into_bytes().into();
        let mut token = format!("{PREFIX}{}:", self.id);
        let (tag, _) = tag.split_at(TAG);
        TAG_TEXT.encode_string(tag, &mut token);
        token
    }
}

/// Shows the id and nothing of the key.
impl fmt::Debug for HmacKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HmacKey({}, ...)", self.id)
    }
}

impl PartialEq for HmacKey {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id && self.bytes.ct_eq(&other.bytes).into()
    }
}

impl Eq for HmacKey {}

/// The keys a redaction may use. Tokens are made with the current one; tokens of any other are left as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    current: Option<HmacKey>,
}

impl Keys {
    /// Without a key, rules that make tokens are refused.
    #[must_use]
    pub fn none() -> Self {
        Self { current: None }
    }

    /// With the key that tokens are made with.
    #[must_use]
    pub fn current(key: HmacKey) -> Self {
        Self { current: Some(key) }
    }

    /// The key that tokens are made with.
    ///
    /// # Errors
    /// There is none.
    pub fn for_tokens(&self) -> Result<&HmacKey, Problem> {
        self.current.as_ref().ok_or_else(|| {
            Problem::new("the redaction mode \"hmac\" needs a key, and there is none")
                .detail("Tokens are made with a key of the company that is derived from one master key.")
                .hint("Make one: SELECT tms_redaction_rotate_key(), or use the mode \"replace\".")
        })
    }
}

/// Whether the text has the form of a token of any key, such as of one that has been replaced since.
///
/// A value that somebody writes in this form is taken for a token and stays: 16 bytes that cannot be told from a tag.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let Some((id, tag)) = text.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':')) else {
        return false;
    };
    // Base64 gives four letters for three bytes; a long text need not be decoded to be refused.
    is_id(id) && tag.len() == TAG.div_ceil(3) * 4 - 2 && TAG_TEXT.decode(tag).is_ok()
}

fn is_id(id: &str) -> bool {
    (1..=ID_LIMIT).contains(&id.len())
        && id
            .bytes()
            .all(|letter| matches!(letter, b'a'..=b'z' | b'0'..=b'9'))
}
