//! What is put in a place that is redacted.
//!
//! | mode | a string or number | true, false, null | an object or array |
//! |---|---|---|---|
//! | replace | the replacement | the replacement | the replacement |
//! | remove | nothing | nothing | nothing |
//! | hmac | a token | a token | a token |
//! | partial | `*` for all but its last characters | `[REDACTED]` | `[REDACTED]` |
//!
//! Each mode leaves what it has made as it is: a masked text has its length already, a token is known by its form, and
//! hmac and partial leave `[REDACTED]` alone, behind which there is nothing to protect.

use std::borrow::Cow;

use super::json_text;
use super::token::{Keys, is_token};
use crate::problem::Problem;

#[cfg(test)]
mod tests;

/// What stands in a redacted place when the rule names nothing else.
pub const REDACTED: &str = "[REDACTED]";

/// What the mode partial keeps when the rule does not say: the last four, as on a receipt.
pub const KEEP_LAST: u32 = 4;

const MASK: char = '*';

/// What a rule does with a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mode {
    /// The member is taken out; for an element see [`super`].
    Remove,
    /// This stands in its place.
    Replace(Scalar),
    /// A token stands in its place: see [`super::token`].
    Hmac,
    /// Its last characters stay, never more than half of them, and each other becomes `*`. Characters are those of
    /// Unicode, not what is seen as one.
    Partial {
        /// How many characters stay at most.
        keep_last: u32,
    },
}

/// A JSON value that holds no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scalar {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// A number as it is written.
    Number(String),
    /// A string, without quotes and escapes.
    Text(String),
}

impl Scalar {
    /// The value as jsonb prints it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Bool(value) => value.to_string(),
            Self::Number(number) => number.clone(),
            Self::Text(text) => json_text::string(text),
        }
    }
}

/// A value that is to be redacted.
#[derive(Clone, Copy)]
pub enum Found<'a> {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// A number, as jsonb prints it.
    Number(&'a str),
    /// A string, without quotes and escapes.
    Text(&'a str),
    /// An object or array; the function gives its text as jsonb prints it, which only hmac asks for.
    Container(&'a dyn Fn() -> String),
}

/// What becomes of a place.
#[derive(Debug, PartialEq, Eq)]
pub enum Put<'a> {
    /// Nothing: it is taken out.
    Removed,
    /// The value that is there stays: it is redacted already.
    Unchanged,
    /// The rule's own replacement.
    Given(&'a Scalar),
    /// A string.
    Text(Cow<'static, str>),
}

impl Default for Mode {
    fn default() -> Self {
        Self::Replace(Scalar::Text(REDACTED.to_owned()))
    }
}

impl Mode {
    /// Whether this mode wins over the other where rules of both name one place: the one that leaves less of the value.
    /// Of equals neither does.
    #[must_use]
    pub fn is_stricter_than(&self, other: &Self) -> bool {
        self.laxity() < other.laxity()
    }

    /// The less the stricter: first by the mode, then by what it keeps.
    pub(super) fn laxity(&self) -> (u8, u32) {
        match self {
            Self::Remove => (0, 0),
            Self::Replace(_) => (1, 0),
            Self::Hmac => (2, 0),
            Self::Partial { keep_last } => (3, *keep_last),
        }
    }

    /// What is put where that value was found.
    ///
    /// # Errors
    /// A token is needed and there is no key.
    pub fn put(&self, found: Found<'_>, keys: &Keys) -> Result<Put<'_>, Problem> {
        Ok(match self {
            Self::Remove => Put::Removed,
            Self::Replace(replacement) => Put::Given(replacement),
            Self::Hmac => hmac(found, keys)?,
            Self::Partial { keep_last } => partial(found, *keep_last),
        })
    }
}

fn hmac(found: Found<'_>, keys: &Keys) -> Result<Put<'static>, Problem> {
    let key = keys.for_tokens()?;
    let token = match found {
        Found::Text(text) if text == REDACTED || is_token(text) => return Ok(Put::Unchanged),
        Found::Text(text) => key.token(&json_text::string(text)),
        Found::Null => key.token("null"),
        Found::Bool(true) => key.token("true"),
        Found::Bool(false) => key.token("false"),
        Found::Number(number) => key.token(number),
        Found::Container(text) => key.token(&text()),
    };
    Ok(Put::Text(Cow::Owned(token)))
}

fn partial(found: Found<'_>, keep_last: u32) -> Put<'static> {
    match found {
        Found::Text(REDACTED) => Put::Unchanged,
        Found::Text(text) | Found::Number(text) => Put::Text(Cow::Owned(masked(text, keep_last))),
        // Half of "true" would tell it from "false", and a part of an object is a part of every value in it.
        Found::Null | Found::Bool(_) | Found::Container(_) => Put::Text(Cow::Borrowed(REDACTED)),
    }
}

fn masked(text: &str, keep_last: u32) -> String {
    let length = text.chars().count();
    let kept = usize::try_from(keep_last).unwrap_or(usize::MAX).min(length / 2);
    let hidden = length - kept;
    let mut masked = String::with_capacity(text.len());
    masked.extend(std::iter::repeat_n(MASK, hidden));
    masked.extend(text.chars().skip(hidden));
    masked
}
