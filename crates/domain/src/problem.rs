//! A user's mistake in words: what was wrong and with which value, what was expected, what to do.
//!
//! The three parts become MESSAGE, DETAIL and HINT of a PostgreSQL error; [`Kind`] chooses its SQLSTATE.

use std::error::Error;
use std::fmt;

/// What sort of refusal a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The value is wrong and will be wrong in every release.
    Invalid,
    /// The value is part of the documented surface, but this release does not implement it yet.
    NotAvailable,
    /// The value is larger or deeper than anything that is taken on.
    TooMuch,
    /// The value is none: what is stored of it is damaged.
    Damaged,
}

/// A refusal that a person can act on. Its texts never hold a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// What sort of refusal it is.
    pub kind: Kind,
    /// What was wrong, and with which value.
    pub message: String,
    /// What was expected.
    pub detail: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A value that is wrong ([`Kind::Invalid`]).
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self::of(Kind::Invalid, message)
    }

    /// A refusal of another sort.
    #[must_use]
    pub fn of(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            detail: None,
            hint: None,
        }
    }

    /// Something documented that this release does not implement yet ([`Kind::NotAvailable`]).
    #[must_use]
    pub fn not_available(message: impl Into<String>) -> Self {
        Self::of(Kind::NotAvailable, message)
    }

    /// Says what was expected.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// The message alone: detail and hint have lines of their own wherever a problem is shown.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_is_built_from_its_three_parts() {
        let problem = Problem::new("too hot").detail("At most 40.").hint("Wait.");
        assert_eq!(problem.kind, Kind::Invalid);
        assert_eq!(problem.to_string(), "too hot");
        assert_eq!(problem.detail.as_deref(), Some("At most 40."));
        assert_eq!(problem.hint.as_deref(), Some("Wait."));
        assert_eq!(Problem::not_available("later").kind, Kind::NotAvailable);
    }
}
