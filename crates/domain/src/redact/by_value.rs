//! Redacting by value: what a text or number itself gives away ([`crate::pii`]), in whatever place it stands.
//!
//! - Only the pieces that were found are replaced; the rest of a text stays. A number goes as a whole.
//! - The key of the nearest member is read as the words before a value: `{"phone": "4155550132"}` is a phone, and
//!   `{"load": "4155550132"}` is none.
//! - A text that is JSON itself is read as such, with its escapes, however often one is inside the other, and stays
//!   JSON. Keys stay, there and elsewhere.
//! - `remove` cuts the piece out of the text; a number becomes null.
//! - What is left is looked at again, and what is still found, such as half of a long address, becomes `[REDACTED]`: so
//!   doing it again changes nothing.

use std::borrow::Cow;
use std::ops::Range;

use super::json_text;
use super::mode::{Found, Mode, Put, REDACTED, Scalar};
use super::rules::Rules;
use super::token::Keys;
use crate::pii::{self, Kind, Kinds};
use crate::problem::{self, Problem};

mod embedded;
#[cfg(test)]
mod tests;

/// The largest text that is looked into, in bytes: that takes seconds, in which nobody can stop it.
pub const TEXT_LIMIT: usize = 4 * 1024 * 1024;

/// How often what is left is looked at before all of it goes.
const LOOKS: usize = 4;
/// A longer key says nothing: words are looked for in fewer bytes.
const LONGEST_KEY: usize = 64;
/// A shorter one neither: `v` is as often a value as a version.
const SHORTEST_KEY: usize = 2;

/// Kinds of personal data, and what is done with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByValue {
    kinds: Kinds,
    mode: Mode,
}

impl ByValue {
    /// What the rules say of kinds; None if they name none.
    ///
    /// # Errors
    /// They name one that is none.
    pub fn new(rules: &Rules) -> Result<Option<Self>, Problem> {
        let kinds = rules.kinds().iter().map(|name| Kind::parse(name));
        let kinds: Kinds = kinds.collect::<Result<Vec<_>, _>>()?.into_iter().collect();
        Ok((!kinds.is_empty()).then(|| Self {
            kinds,
            mode: rules.kinds_mode().clone(),
        }))
    }

    /// Each piece of these kinds is replaced by `[REDACTED]`.
    #[must_use]
    pub fn replacing(kinds: Kinds) -> Self {
        Self {
            kinds,
            mode: Mode::default(),
        }
    }

    /// What becomes of a text under a key; never [`Put::Removed`].
    ///
    /// # Errors
    /// A token is needed and there is no key, or the text is larger than [`TEXT_LIMIT`] or JSON that is nested too deep.
    pub fn text(&self, key: &str, text: &str, keys: &Keys) -> Result<Put<'_>, Problem> {
        check_length(text)?;
        if !embedded::is_json(text) {
            return self.plain(key, text, keys);
        }
        let changed = embedded::changed(key, text, &mut |key, found| {
            let put = match found {
                embedded::Found::Text(text) => self.text(key, text, keys)?,
                embedded::Found::Number(number) => self.number(key, number, keys)?,
            };
            Ok(match put {
                Put::Unchanged => None,
                Put::Removed => Some("null".to_owned()),
                Put::Given(scalar) => Some(scalar.to_text()),
                Put::Text(text) => Some(json_text::string(&text)),
            })
        })?;
        Ok(changed.map_or(Put::Unchanged, |text| Put::Text(Cow::Owned(text))))
    }

    /// What becomes of a number, as jsonb prints it, under a key.
    ///
    /// # Errors
    /// A token is needed and there is no key.
    pub fn number(&self, key: &str, number: &str, keys: &Keys) -> Result<Put<'_>, Problem> {
        if self.find(key, number).is_empty() {
            return Ok(Put::Unchanged);
        }
        Ok(match self.mode.put(Found::Number(number), keys)? {
            Put::Text(text) => Put::Text(Cow::Owned(self.settled(key, text.into_owned()))),
            put => put,
        })
    }

    /// Tells which kinds are found in a text, each as often as it is found.
    ///
    /// # Errors
    /// The text is larger than [`TEXT_LIMIT`], or JSON that is nested too deep.
    pub fn look_into_text(&self, key: &str, text: &str, see: &mut dyn FnMut(Kind)) -> Result<(), Problem> {
        check_length(text)?;
        if !embedded::is_json(text) {
            self.look(key, text, see);
            return Ok(());
        }
        let unchanged = embedded::changed(key, text, &mut |key, found| {
            match found {
                embedded::Found::Text(text) => self.look_into_text(key, text, see)?,
                embedded::Found::Number(number) => self.look(key, number, see),
            }
            Ok(None)
        });
        unchanged.map(drop)
    }

    /// The same for a number, as jsonb prints it.
    pub fn look_into_number(&self, key: &str, number: &str, see: &mut dyn FnMut(Kind)) {
        self.look(key, number, see);
    }

    fn look(&self, key: &str, text: &str, see: &mut dyn FnMut(Kind)) {
        for (kind, _) in self.find(key, text) {
            see(kind);
        }
    }

    /// A text that is no JSON.
    fn plain(&self, key: &str, text: &str, keys: &Keys) -> Result<Put<'_>, Problem> {
        let found = self.find(key, text);
        if found.is_empty() {
            return Ok(Put::Unchanged);
        }
        if let (Mode::Replace(scalar), [(_, all)]) = (&self.mode, found.as_slice())
            && *all == (0..text.len())
            && !matches!(scalar, Scalar::Text(_))
        {
            return Ok(Put::Given(scalar));
        }
        let written = replaced(text, &found, |piece| self.piece(piece, keys))?;
        Ok(Put::Text(Cow::Owned(self.settled(key, written))))
    }

    /// What is put where a piece of a text was.
    fn piece(&self, piece: &str, keys: &Keys) -> Result<Cow<'_, str>, Problem> {
        Ok(match self.mode.put(Found::Text(piece), keys)? {
            Put::Removed => Cow::Borrowed(""),
            Put::Unchanged => Cow::Owned(piece.to_owned()),
            Put::Given(Scalar::Text(text)) => Cow::Borrowed(text),
            Put::Given(scalar) => Cow::Owned(scalar.to_text()),
            Put::Text(text) => text,
        })
    }

    /// What was written, without what can still be found in it.
    fn settled(&self, key: &str, mut written: String) -> String {
        for _ in 0..LOOKS {
            let found = self.find(key, &written);
            if found.is_empty() {
                return written;
            }
            let redacted = replaced(&written, &found, |_| Ok(Cow::Borrowed(REDACTED)));
            written = redacted.unwrap_or_default();
        }
        REDACTED.to_owned()
    }

    fn find(&self, key: &str, text: &str) -> Vec<(Kind, Range<usize>)> {
        if !(SHORTEST_KEY..=LONGEST_KEY).contains(&key.len()) {
            let found = pii::find(text, self.kinds).into_iter();
            return found.map(|found| (found.kind, found.range)).collect();
        }
        let before = key.len() + 2;
        pii::find(&format!("{key}: {text}"), self.kinds)
            .into_iter()
            .filter(|found| found.range.end > before)
            .map(|found| {
                let begin = found.range.start.max(before) - before;
                (found.kind, begin..found.range.end - before)
            })
            .collect()
    }
}

fn check_length(text: &str) -> Result<(), Problem> {
    if text.len() <= TEXT_LIMIT {
        return Ok(());
    }
    let message = format!(
        "a text of {} bytes is too large to be searched for personal data",
        text.len()
    );
    Err(Problem::of(problem::Kind::TooMuch, message)
        .detail(format!(
            "The limit is {TEXT_LIMIT} bytes; what is larger is refused, never passed on unread."
        ))
        .hint("Redact its parts, or name the field it stands in."))
}

/// The text with something else in the place of each piece.
fn replaced<'a>(
    text: &str,
    found: &[(Kind, Range<usize>)],
    mut by: impl FnMut(&str) -> Result<Cow<'a, str>, Problem>,
) -> Result<String, Problem> {
    let mut written = String::with_capacity(text.len());
    let mut done = 0;
    for (_, range) in found {
        written.push_str(text.get(done..range.start).unwrap_or_default());
        written.push_str(&by(text.get(range.clone()).unwrap_or_default())?);
        done = range.end;
    }
    written.push_str(text.get(done..).unwrap_or_default());
    Ok(written)
}
