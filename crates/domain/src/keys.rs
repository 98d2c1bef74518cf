//! Keys that producers give to events: what they may look like, and what the queue compares instead of an ordering key.

use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// Longest key, in bytes. It is stored with every event and in an index, and a key is a name, not a document.
pub const MAX_KEY_BYTES: usize = 512;

/// Checks an idempotency or ordering key; `what` is the argument's name.
///
/// # Errors
/// An empty key, one that is longer than [`MAX_KEY_BYTES`]. The key itself is not repeated: it may be long or personal.
pub fn check(what: &str, key: &str) -> Result<(), Problem> {
    if key.is_empty() {
        return Err(Problem::new(format!("{what} is empty"))
            .detail("A key names what it stands for, such as \"load-4711\".")
            .hint("Pass NULL for an event without a key."));
    }
    if key.len() > MAX_KEY_BYTES {
        return Err(Problem::new(format!("{what} of {} bytes is too long", key.len()))
            .detail(format!("A key has at most {MAX_KEY_BYTES} bytes."))
            .hint("Use an identifier, or a digest of what the key is made from."));
    }
    Ok(())
}

/// The number by which the queue and its locks know an ordering key of a company: 64 bits of SHA-256, so that nobody can choose
/// a key that meets another company's.
#[must_use]
pub fn ordering_hash(company: Option<&[u8; 16]>, key: &str) -> i64 {
    let mut digest = Sha256::new();
    // The platform is not the company of zeros.
    digest.update([u8::from(company.is_some())]);
    digest.update(company.unwrap_or(&[0; 16]));
    digest.update(key.as_bytes());
    let digest = digest.finalize();
    digest
        .iter()
        .take(8)
        .fold(0_i64, |number, byte| (number << 8) | i64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::{MAX_KEY_BYTES, check, ordering_hash};

    #[test]
    fn keys_have_a_length() {
        assert!(check("ordering_key", "load-4711").is_ok());
        assert!(check("ordering_key", &"k".repeat(MAX_KEY_BYTES)).is_ok());
        for (key, expected) in [
            (String::new(), "is empty"),
            ("k".repeat(MAX_KEY_BYTES + 1), "513 bytes"),
            ("k".repeat(10_240), "10240 bytes"),
        ] {
            let problem = check("ordering_key", &key).unwrap_err();
            assert!(problem.message.contains(expected), "{}", problem.message);
            assert!(!problem.message.contains("kkk"), "the key is not repeated");
        }
    }

    #[test]
    fn a_company_and_a_key_make_one_number() {
        let (a, b) = ([1; 16], [2; 16]);
        let number = ordering_hash(Some(&a), "load-1");
        assert_eq!(number, ordering_hash(Some(&a), "load-1"));
        for other in [
            ordering_hash(Some(&b), "load-1"),
            ordering_hash(Some(&a), "load-2"),
            ordering_hash(None, "load-1"),
            ordering_hash(Some(&[0; 16]), "load-1"),
        ] {
            assert_ne!(number, other);
        }
        assert_ne!(ordering_hash(None, "x"), ordering_hash(Some(&[0; 16]), "x"));
    }
}
