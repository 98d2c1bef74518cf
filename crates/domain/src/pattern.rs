//! Which event types a subscription is about.
//!
//! Types are read as segments between dots. A pattern is a type in which whole segments may be `*`:
//!
//! | pattern | matches |
//! |---|---|
//! | `load.assigned` | that type |
//! | `*` | every type |
//! | `load.*` | every type below `load`, at any depth: `load.assigned`, `load.stop.added`; not `load` |
//! | `load.*.added` | exactly one segment in the place of `*`: `load.stop.added` |
//!
//! There are no other wildcards. Letters are compared as they are.

use std::fmt;

use crate::problem::Problem;
use crate::shown::quoted;

#[cfg(test)]
mod tests;

/// As long as the longest event type.
const LENGTH_LIMIT: usize = 255;
const ANY: &str = "*";

/// A pattern that is known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// Reads a pattern: 1 to 255 visible ASCII characters, no empty segment, `*` only as a whole segment.
    ///
    /// # Errors
    /// Names the pattern and what is wrong in it.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Err(expected("the pattern is empty".to_owned()).hint("Use \"*\" for every event type."));
        }
        let shown = quoted(text);
        if let Some(place) = text.chars().position(|letter| !letter.is_ascii_graphic()) {
            let message = format!("character {} of the pattern {shown} is not allowed", place + 1);
            return Err(expected(message));
        }
        if text.len() > LENGTH_LIMIT {
            let message = format!("the pattern {shown} is {} characters long", text.len());
            return Err(expected(message));
        }
        for segment in text.split('.') {
            if segment.is_empty() {
                return Err(expected(format!("the pattern {shown} has an empty segment"))
                    .hint("Write \"load.*\" for every type below \"load\"."));
            }
            if segment.contains('*') && segment != ANY {
                let message = format!("the pattern {shown} has \"*\" beside other characters in a segment");
                return Err(expected(message).hint("\"*\" stands for whole segments between dots."));
            }
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether events of this type are meant.
    #[must_use]
    pub fn matches(&self, event_type: &str) -> bool {
        let mut wanted = self.0.split('.').peekable();
        let mut given = event_type.split('.');
        while let Some(segment) = wanted.next() {
            match given.next() {
                None => return false,
                // The last one stands for all that follows.
                Some(_) if segment == ANY && wanted.peek().is_none() => return true,
                Some(found) if segment != ANY && segment != found => return false,
                Some(_) => {}
            }
        }
        given.next().is_none()
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn expected(message: String) -> Problem {
    Problem::new(message).detail(
        "A pattern is an event type of 1 to 255 visible ASCII characters in which whole segments between dots \
         may be \"*\", such as \"load.*\".",
    )
}
