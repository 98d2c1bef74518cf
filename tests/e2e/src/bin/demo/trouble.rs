//! Errors in words for the person in front of the screen.

use std::fmt;
use std::io;

/// Why the demo cannot go on.
#[derive(Debug)]
pub struct Trouble(String);

/// What may fail for a reason that can be told.
pub type Fallible<T> = Result<T, Trouble>;

impl Trouble {
    pub fn new(words: impl Into<String>) -> Self {
        Self(words.into())
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<postgres::Error> for Trouble {
    fn from(error: postgres::Error) -> Self {
        let Some(said) = error.as_db_error() else {
            return Self(format!("the connection to the server failed: {error}"));
        };
        let mut words = format!("the server said {}: {}", said.code().code(), said.message());
        for more in [said.detail(), said.hint()].into_iter().flatten() {
            words.push_str("\n       ");
            words.push_str(more);
        }
        Self(words)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}
