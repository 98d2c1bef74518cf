//! Redacting jsonb as it lies in memory: the bytes are copied, and the places that the rules name are replaced.
//!
//! No text and no tree is made of the document, so what is not redacted stays as it is to the last bit, and a document
//! in which nothing is redacted is not even copied. What only a server can do (its encoding, its numbers) is asked of a
//! [`Host`].
//!
//! | room | what it holds |
//! |---|---|
//! | [`layout`] | headers and entries |
//! | [`copy`] | the copy that is being written |
//! | [`known`] | keys that were looked up before |
//! | [`walk`] | the way through the document |
//! | [`detect`] | the same way, only looking |

use std::borrow::Cow;

use super::by_value::ByValue;
use super::matcher::Matcher;
use super::mode::Mode;
use super::rules::Rules;
use super::token::Keys;
use crate::problem::{Kind, Problem};

mod copy;
pub mod detect;
mod known;
mod layout;
#[cfg(test)]
mod tests;
mod walk;

/// How many objects and arrays may be inside each other where rules may look.
pub const DEPTH_LIMIT: usize = 500;
/// The largest document that is redacted, in bytes of its own form.
pub const SIZE_LIMIT: usize = 64 * 1024 * 1024;

/// What a document is read with: the server, or in tests something simpler.
pub trait Host {
    /// A text of the document in UTF-8.
    fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str>;
    /// A text as documents hold it.
    fn encoded<'a>(&self, text: &'a str) -> Cow<'a, [u8]>;
    /// A number as it is printed, from its bytes.
    fn number_text(&self, number: &[u8]) -> Result<String, Problem>;
    /// The bytes of a number, from how it is printed.
    fn number(&self, text: &str) -> Result<Vec<u8>, Problem>;
    /// The text of an object or array, which begins at a multiple of four from where the document does.
    fn container_text(&self, container: &[u8]) -> String;
    /// Called now and then; does not come back when the work is to be given up.
    fn breathe(&self);
}

/// Rules, ready for documents.
#[derive(Debug, Clone)]
pub struct Redactor {
    matcher: Matcher,
    by_value: Option<ByValue>,
    may_remove: bool,
    needs_key: bool,
    known: known::Known,
}

impl Redactor {
    /// Compiles the rules.
    ///
    /// # Errors
    /// They name a kind that is none.
    pub fn new(rules: &Rules) -> Result<Self, Problem> {
        Ok(Self {
            matcher: Matcher::new(rules),
            by_value: ByValue::new(rules)?,
            may_remove: rules.all().iter().any(|rule| rule.mode == Mode::Remove),
            needs_key: rules.needs_key(),
            known: known::Known::default(),
        })
    }

    /// Whether a token may have to be made.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        self.needs_key
    }

    /// Writes the redacted document into `out`, and answers true; false if there is nothing to redact, and then `out` is
    /// empty. The document is what follows jsonb's length word.
    ///
    /// # Errors
    /// The document is too deep, too large or damaged, or a token is needed and there is no key.
    pub fn redact(
        &self,
        document: &[u8],
        keys: &Keys,
        host: &impl Host,
        out: &mut Vec<u8>,
    ) -> Result<bool, Problem> {
        check_size(document.len())?;
        if self.needs_key {
            keys.for_tokens()?;
        }
        walk::redact(self, document, keys, host, out)
    }
}

/// Refuses a document that is larger than [`SIZE_LIMIT`]. For callers that know the size before they have the document.
///
/// # Errors
/// It is.
pub fn check_size(size: usize) -> Result<(), Problem> {
    if size <= SIZE_LIMIT {
        return Ok(());
    }
    Err(Problem::of(
        Kind::TooMuch,
        format!("a value of {size} bytes is too large to be redacted"),
    )
    .detail(format!(
        "The limit is {SIZE_LIMIT} bytes; what is larger is refused, never passed on unread."
    ))
    .hint("Redact its parts, or keep the data elsewhere and send a reference to it."))
}

fn too_large() -> Problem {
    Problem::of(Kind::TooMuch, "the redacted document is too large for jsonb")
        .detail(format!(
            "With what is put in its places it has more than {} bytes, or the server is out of memory.",
            layout::LARGEST
        ))
        .hint("Use a shorter replacement, or redact its parts.")
}

/// What is said of bytes that are no jsonb.
#[must_use]
pub fn damaged() -> Problem {
    Problem::of(Kind::Damaged, "the document to be redacted is damaged")
        .detail("Its bytes are not those of a jsonb: a length or a kind in it cannot be.")
        .hint("Look for damaged data: SELECT the value as text, or check the table with amcheck.")
}
