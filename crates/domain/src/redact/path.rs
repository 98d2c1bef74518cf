//! Paths to places in a JSON document: a subset of RFC 9535 (JSONPath).
//!
//! | written | selects of each node it is applied to |
//! |---|---|
//! | `$` | begins every path: the document |
//! | `.name`, `['a name']`, `["a name"]` | the member with that key, if the node is an object |
//! | `[0]`, `[-1]` | the first, the last element, if the node is an array |
//! | `.*`, `[*]` | every member or element |
//! | `..name`, `..['a name']`, `..[0]`, `..*` | the same, of the node and of everything below it |
//!
//! Names are compared exactly as RFC 9535 has it, not in the canonical form of [`super::key`]: who writes a path
//! means one place in one shape of document; who means every spelling names a field. A name without brackets has
//! letters, digits and `_` and does not begin with a digit; every character beyond ASCII is a letter. In brackets,
//! names are quoted and take the escapes of JSON; blanks may stand inside the brackets.
//!
//! Slices, filters and lists of selectors are refused, as is `$` alone.

use crate::problem::Problem;

mod parser;
#[cfg(test)]
mod tests;

/// The longest path, in bytes.
pub const LENGTH_LIMIT: usize = 1_024;
/// The longest path, in segments.
pub const SEGMENT_LIMIT: usize = 64;

/// A path that is known to be well formed; it has at least one segment. Equal paths select the same places; the reverse
/// does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    segments: Vec<Segment>,
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Segment {
    /// Whether the selector is applied to everything below the node as well (`..`).
    pub descendant: bool,
    /// What is selected.
    pub selector: Selector,
}

/// Which children of a node are selected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selector {
    /// The member with this key, character by character.
    Name(String),
    /// The element at this index; a negative one counts from the end, -1 being the last.
    Index(i64),
    /// Every member or element.
    Wildcard,
}

/// Appends the segment that selects the member with this key: `.name`, or `['a name']` where it must be.
pub fn push_name(name: &str, path: &mut String) {
    let mut letters = name.chars();
    let is_bare = letters.next().is_some_and(parser::begins_bare) && letters.all(parser::continues_bare);
    if is_bare {
        path.push('.');
        path.push_str(name);
        return;
    }
    path.push_str("['");
    for letter in name.chars() {
        match letter {
            '\'' | '\\' => path.extend(['\\', letter]),
            '\0'..='\u{1f}' => path.push_str(&format!("\\u{:04x}", u32::from(letter))),
            _ => path.push(letter),
        }
    }
    path.push_str("']");
}

impl Path {
    /// Reads a path of at most [`LENGTH_LIMIT`] bytes and [`SEGMENT_LIMIT`] segments.
    ///
    /// # Errors
    /// Names the path and the first character, counted from 1, that does not belong; says what would.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        parser::parse(text).map(|segments| Self { segments })
    }

    /// The steps from the document to the places.
    #[must_use]
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl Selector {
    /// Whether this is the member with that key.
    #[must_use]
    pub fn selects_member(&self, key: &str) -> bool {
        match self {
            Self::Name(name) => name == key,
            Self::Index(_) => false,
            Self::Wildcard => true,
        }
    }

    /// Whether this is the element at that index (from 0) of an array of that length.
    #[must_use]
    pub fn selects_element(&self, index: usize, length: usize) -> bool {
        match self {
            Self::Name(_) => false,
            Self::Index(wanted) => match usize::try_from(*wanted) {
                Ok(wanted) => wanted == index,
                Err(_) => usize::try_from(wanted.unsigned_abs())
                    .is_ok_and(|from_end| length.checked_sub(from_end) == Some(index)),
            },
            Self::Wildcard => true,
        }
    }
}
