//! Finding personal data by its value, wherever in a text it stands.
//!
//! A pattern proposes; a checksum, a table of what is assigned, or the words beside it decide. Every scanner is written by
//! hand over bytes and looks at most a fixed distance ahead or moves past what it has looked at, so the time is linear in the
//! text, whatever the text.
//!
//! | kind | decided by |
//! |---|---|
//! | `private_key` | the armour of PEM, SSH2 and `PuTTY` keys |
//! | `jwt` | a header that is a JSON object with `alg` |
//! | `api_key` | prefix, alphabet and length of well-known services |
//! | `email` | the grammar of RFC 5321 as people write it |
//! | `iban` | the country's length, and the checksum of ISO 7064 |
//! | `payment_card` | the issuer's range and lengths, and the Luhn checksum |
//! | `mac`, `ip` | their grammar, whole: a longer row of the same parts is something else |
//! | `us_ssn` | the areas, groups and serials that are given out; bare digits only where a word says so |
//! | `phone` | the country's length or a national form; words beside it where the form alone could be a freight number |
//!
//! The table is also the order of precedence: what one kind has taken, a later one no longer sees, whether or not the first
//! was asked for. A card number is not a phone number when only phones are wanted.
//!
//! ```
//! use tms_domain::pii::{find, Kind, Kinds};
//!
//! let text = "Call +49 30 901820 or write to dispatch@example.com";
//! let found = find(text, Kinds::all());
//! assert_eq!(found[0].kind, Kind::Phone);
//! assert_eq!(&text[found[1].range.clone()], "dispatch@example.com");
//! ```

use std::ops::Range;

mod api_key;
mod digits;
mod email;
mod iban;
mod ip;
mod jwt;
mod kind;
mod mac;
mod payment_card;
mod phone;
mod plain;
mod private_key;
mod us_ssn;
mod words;

pub use kind::{Kind, Kinds};
use plain::Plain;

#[cfg(test)]
mod tests;

/// A piece of personal data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: Kind,
    /// Its bytes in the text as it was given; both ends lie between characters.
    pub range: Range<usize>,
}

type Scanner = fn(&Plain) -> Vec<Range<usize>>;

/// The most specific first.
const SCANNERS: [(Kind, Scanner); 10] = [
    (Kind::PrivateKey, private_key::scan),
    (Kind::Jwt, jwt::scan),
    (Kind::ApiKey, api_key::scan),
    (Kind::Email, email::scan),
    (Kind::Iban, iban::scan),
    (Kind::PaymentCard, payment_card::scan),
    (Kind::Mac, mac::scan),
    (Kind::Ip, ip::scan),
    (Kind::UsSsn, us_ssn::scan),
    (Kind::Phone, phone::scan),
];

/// Finds personal data of the given kinds, in the order of the text and without overlaps.
///
/// Zero-width characters inside a value are overlooked and full-width forms are read as ASCII; the ranges are those of the
/// original text. What is found may hold secrets: the caller logs kinds and places, never the text.
#[must_use]
pub fn find(text: &str, kinds: Kinds) -> Vec<Found> {
    let Some(last) = SCANNERS.iter().rposition(|(kind, _)| kinds.contains(*kind)) else {
        return Vec::new();
    };
    let mut plain = Plain::read(text);
    let mut found = Vec::new();
    for (kind, scan) in SCANNERS.iter().take(last + 1) {
        for range in scan(&plain) {
            if kinds.contains(*kind) {
                found.push(Found {
                    kind: *kind,
                    range: plain.original(&range),
                });
            }
            plain.claim(range);
        }
    }
    // Stable, and linear on a few sorted runs.
    found.sort_by_key(|one| one.range.start);
    found
}
