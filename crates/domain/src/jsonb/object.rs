//! Writes an object.

use std::borrow::Cow;
use std::fmt;

use super::{
    CONTAINER, COUNT, HAS_END, IS_OBJECT, IS_SCALAR, KIND, LENGTH, NULL, NUMBER, STRIDE, TEXT, WORD, number,
    word,
};

/// A value on its way into an object.
enum Value<'a> {
    Null,
    Text(Cow<'a, [u8]>),
    Number(Vec<u8>),
    /// Data of this kind, as it lies in a document.
    Data(u32, &'a [u8]),
}

/// The object would have more than 256 MB, which no jsonb has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLarge;

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the object is larger than a jsonb can be")
    }
}

impl std::error::Error for TooLarge {}

/// An object that is built key by key. A key is given once.
pub struct Object<'a>(Vec<(&'static str, Value<'a>)>);

impl Default for Object<'_> {
    /// With room for as many keys as a small object has.
    fn default() -> Self {
        Self(Vec::with_capacity(16))
    }
}

impl<'a> Object<'a> {
    /// A text, in the server's encoding.
    pub fn text(&mut self, key: &'static str, value: impl Into<Cow<'a, [u8]>>) {
        self.0.push((key, Value::Text(value.into())));
    }

    /// A whole number.
    pub fn number(&mut self, key: &'static str, value: u64) {
        self.0.push((key, Value::Number(number(value))));
    }

    /// JSON's null.
    pub fn null(&mut self, key: &'static str) {
        self.0.push((key, Value::Null));
    }

    /// A whole document, to the last digit; null for bytes that are none.
    pub fn document(&mut self, key: &'static str, root: &'a [u8]) {
        let value = match word(root, 0) {
            Some(header) if header & IS_SCALAR == 0 => Value::Data(CONTAINER, root),
            // Alone in an array: its word, and its data.
            Some(_) => word(root, WORD).map_or(Value::Null, |entry| {
                Value::Data(entry & KIND, root.get(2 * WORD..).unwrap_or_default())
            }),
            None => Value::Null,
        };
        self.0.push((key, value));
    }

    /// The root container of a document with this object.
    ///
    /// # Errors
    /// When it is larger than a jsonb can be.
    pub fn finish(mut self) -> Result<Vec<u8>, TooLarge> {
        // PostgreSQL's order of keys: shorter ones first.
        self.0.sort_by_key(|(key, _)| (key.len(), *key));
        let count = self.0.len();
        let words = WORD * (1 + 2 * count);
        let mut bytes = Vec::with_capacity(
            words
                + self
                    .0
                    .iter()
                    .map(|(key, value)| key.len() + value.room())
                    .sum::<usize>(),
        );
        bytes.extend_from_slice(
            &(IS_OBJECT | (u32::try_from(count).unwrap_or(u32::MAX) & COUNT)).to_ne_bytes(),
        );
        bytes.resize(words, 0);
        for (index, (key, _)) in self.0.iter().enumerate() {
            bytes.extend_from_slice(key.as_bytes());
            describe(&mut bytes, words, index, TEXT, key.len())?;
        }
        for (index, (_, value)) in self.0.iter().enumerate() {
            let begin = bytes.len();
            let kind = value.write(&mut bytes);
            let length = bytes.len() - begin;
            describe(&mut bytes, words, count + index, kind, length)?;
        }
        Ok(bytes)
    }
}

impl Value<'_> {
    /// No fewer bytes than it takes.
    fn room(&self) -> usize {
        match self {
            Self::Null => 0,
            Self::Text(text) => text.len(),
            Self::Number(data) => WORD + data.len(),
            Self::Data(_, data) => WORD + data.len(),
        }
    }

    /// Appends the data, and returns its kind.
    fn write(&self, into: &mut Vec<u8>) -> u32 {
        let (kind, data) = match self {
            Self::Null => (NULL, &[][..]),
            Self::Text(text) => (TEXT, &text[..]),
            Self::Number(data) => (NUMBER, &data[..]),
            Self::Data(kind, data) => (*kind, *data),
        };
        if matches!(kind, NUMBER | CONTAINER) {
            into.resize(into.len().next_multiple_of(WORD), 0);
        }
        into.extend_from_slice(data);
        kind
    }
}

/// Fills in the word of the key or value that was written last.
fn describe(bytes: &mut [u8], words: usize, index: usize, kind: u32, length: usize) -> Result<(), TooLarge> {
    let end = bytes.len() - words;
    let (mark, said) = if index.is_multiple_of(STRIDE) {
        (HAS_END, end)
    } else {
        (0, length)
    };
    let said = u32::try_from(said)
        .ok()
        .filter(|said| *said <= LENGTH)
        .ok_or(TooLarge)?;
    let place = WORD * (1 + index);
    if let Some(word) = bytes.get_mut(place..place + WORD) {
        word.copy_from_slice(&(mark | kind | said).to_ne_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_ne_bytes()).collect()
    }

    #[test]
    fn an_object_lies_as_postgresql_lays_it() {
        // {"b": null, "aa": "text", "ab": [true]}
        let list = words(&[0x4000_0001, 0xb000_0000]);
        let mut object = Object::default();
        object.document("ab", &list);
        object.text("aa", &b"text"[..]);
        object.null("b");
        let mut expected = words(&[
            0x2000_0003,
            0x8000_0001, // "b" ends at 1
            2,
            2,
            0x4000_0000,
            4,
            0x5000_0000 | 11, // three bytes to a multiple of four, and eight
        ]);
        expected.extend_from_slice(b"baaabtext\0\0\0");
        expected.extend_from_slice(&list);
        assert_eq!(object.finish().unwrap(), expected);
    }

    #[test]
    fn a_document_that_is_no_container_is_taken_out_of_its_array() {
        let mut alone = words(&[0x5000_0001, 0x8000_0000 | 4]);
        alone.extend_from_slice(b"text");
        let mut object = Object::default();
        object.document("a", &alone);
        object.number("b", 7);
        object.document("c", &[]);
        let mut expected = words(&[
            0x2000_0003,
            0x8000_0001,
            1,
            1,
            4,
            0x1000_0000 | (1 + 8),
            0x4000_0000,
        ]);
        expected.extend_from_slice(b"abctext\0");
        expected.extend_from_slice(&number(7));
        assert_eq!(object.finish().unwrap(), expected);
    }
}
