//! Rules: which places are redacted, each with its mode.
//!
//! As a document:
//!
//! ```json
//! {
//!   "fields": ["customer_name", "phone"],
//!   "paths": ["$..contact.email"],
//!   "kinds": ["iban"],
//!   "mode": "replace",
//!   "rules": [
//!     {"field": "card_number", "mode": {"mode": "partial", "keep_last": 4}},
//!     {"path": "$.stops[*].note", "mode": "remove"}
//!   ]
//! }
//! ```
//!
//! Every key may be left out. `mode` is for all that have none of their own: `replace`, `remove`, `hmac`, `partial`,
//! or an object with its name in `mode` and `with` (what replaces; else `[REDACTED]`) or `keep_last` (else 4) beside
//! it. `kinds` are kinds of personal data that are found by value, in whatever place ([`super::by_value`]); `mode` is what
//! is done with them.
//!
//! Strict, since a rule that is misspelt and silently ignored shows up as personal data where nobody expects it: an
//! unknown key, a wrong type and a place named twice are errors.

use serde_json::Value;

use super::mode::Mode;
use super::path::Path;
use crate::problem::Problem;

mod collect;
mod document;
mod modes;
#[cfg(test)]
mod tests;

/// How many fields and paths one document may name together.
pub const RULE_LIMIT: usize = 1_000;
/// How many segments all paths of one document may have together.
pub const SEGMENTS_LIMIT: usize = 512;
/// The longest name of a field, in bytes, as written and in its canonical form.
pub const FIELD_LIMIT: usize = 255;
/// The longest text that may be put in a redacted place, in bytes.
pub const REPLACEMENT_LIMIT: usize = 1_024;
/// How many kinds one document may name.
pub const KIND_LIMIT: usize = 64;
/// The most characters that the mode partial may keep.
pub const KEEP_LIMIT: u32 = 64;

/// Rules that are known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rules {
    rules: Vec<Rule>,
    kinds: Vec<String>,
    mode: Mode,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The places it names.
    pub target: Target,
    /// What it does with them.
    pub mode: Mode,
}

/// Which places a rule names.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Every member at any depth whose key has this canonical form ([`super::key`]).
    Field(String),
    /// The places of a path.
    Path(Path),
}

impl Rules {
    /// Reads a rules document. `check_kind` says whether a kind is known.
    ///
    /// # Errors
    /// Names what is wrong by its path in the document, such as `rules[2].mode`, and the nearest valid name.
    pub fn parse(
        document: &Value,
        check_kind: &dyn Fn(&str) -> Result<(), Problem>,
    ) -> Result<Self, Problem> {
        document::parse(document, check_kind)
    }

    /// Each of the fields is replaced by `[REDACTED]`. A field may be named more than once, as happens where lists are
    /// put together.
    ///
    /// # Errors
    /// Names the first that cannot be a field, counted from 1 as SQL counts.
    pub fn from_fields(fields: &[String]) -> Result<Self, Problem> {
        collect::fields(fields).map(|rules| Self {
            rules,
            ..Self::default()
        })
    }

    /// Each of the places is replaced by `[REDACTED]`: a field, or a path, which begins with `$`. This is what policies and
    /// targets have under `redact_fields`. A place may be named more than once.
    ///
    /// # Errors
    /// Names the first that is neither, counted from 1.
    pub fn from_places(places: &[String]) -> Result<Self, Problem> {
        collect::places(places).map(|rules| Self {
            rules,
            ..Self::default()
        })
    }

    /// All rules, in the order in which the first of equally strict ones wins.
    #[must_use]
    pub fn all(&self) -> &[Rule] {
        &self.rules
    }

    /// The kinds of personal data that are to be found by value, in the order of the document, none twice.
    #[must_use]
    pub fn kinds(&self) -> &[String] {
        &self.kinds
    }

    /// What is done with values of [`Rules::kinds`].
    #[must_use]
    pub fn kinds_mode(&self) -> &Mode {
        &self.mode
    }

    /// Whether a token may have to be made, for which there must be a key.
    #[must_use]
    pub fn needs_key(&self) -> bool {
        let by_value = !self.kinds.is_empty() && self.mode == Mode::Hmac;
        by_value || self.rules.iter().any(|rule| rule.mode == Mode::Hmac)
    }
}
