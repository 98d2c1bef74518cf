//! Which places of a JSON document are redacted, and what is put there.
//!
//! A rule names places: a field, which is every member with that key at any depth, or a path. Its mode says what is put
//! there. Whatever no rule names stays as it is, to the last digit.
//!
//! | room | what it holds |
//! |---|---|
//! | [`key`] | when two spellings are one key: `customerName`, `customer_name`, `Customer-Name` |
//! | [`path`] | paths such as `$.stops[*].contact.phone`, a subset of RFC 9535 |
//! | [`mode`] | what is put in a place: a replacement, nothing, a masked value, a token |
//! | [`token`], [`mod@derive`] | tokens that keep equal values joinable, and the keys they are made with |
//! | [`rules`] | reading a rules document |
//! | [`matcher`] | the rules compiled for a walker that sees one place after the other |
//! | [`by_value`] | what a text or number gives away itself, wherever it stands |
//! | [`jsonb`] | a walker over jsonb as it lies in memory |
//! | [`mod@reference`] | the same by the definitions, slow and plain: what a fast walker is held to |
//! | [`landing`] | what holds where rows land before anybody set rules, and what is said of a redaction |
//! | [`json_text`] | JSON as jsonb prints it, which is what tokens are made from |
//!
//! What holds for every walker:
//!
//! - **The stricter rule wins** where several name one place: remove, then replace, then hmac, then partial. Among
//!   equals
//!   it is the one that comes first in the document: `fields`, then `paths`, then `rules`; of two partial ones it is the
//!   one that keeps less.
//! - **An object or array that is redacted goes as a whole**; nothing is looked for inside it.
//! - **Doing it again changes nothing**: the same rules leave what they have redacted as it is.
//! - **A removed member is gone. A removed array element leaves null**, so that the others keep their places and the
//!   next
//!   run does not take another; only when every element of an array is removed, the array is empty.
//! - The document itself (`$`) is no place that a rule can name.
//!
//! ```
//! use tms_domain::redact::reference::{Json, redact};
//! use tms_domain::redact::rules::Rules;
//! use tms_domain::redact::token::Keys;
//!
//! let rules = Rules::from_fields(&["customer_name".to_owned()]).unwrap();
//! let name = |text: &str| Json::String(text.to_owned());
//! let document = |value: Json| {
//!     Json::Array(vec![Json::Object(vec![
//!         ("customerName".to_owned(), value),
//!         ("rate".to_owned(), Json::Number("1e400".to_owned())),
//!     ])])
//! };
//! let redacted = redact(&document(name("Ada")), &rules, &Keys::none(), 100);
//! assert_eq!(redacted, Ok(document(name("[REDACTED]"))));
//! ```

#[cfg(any(test, feature = "arbitrary"))]
pub mod arbitrary;
pub mod by_value;
pub mod derive;
pub mod json_text;
pub mod jsonb;
pub mod key;
pub mod landing;
pub mod matcher;
pub mod mode;
pub mod path;
pub mod reference;
pub mod rules;
pub mod token;
