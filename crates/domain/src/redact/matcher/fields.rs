//! Finding a key among the fields without building its canonical form.
//!
//! Most keys of a document are no field, so most are told by their first or last letter, and the others are folded into
//! a buffer on the stack and hashed once. Keys with characters beyond ASCII take the long way through [`canonical`].

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::Rank;
use crate::redact::key::{NOT_ASCII, SEPARATOR, ascii, canonical};

/// Longer keys are rare, and take the long way too.
const BUFFER: usize = 64;

/// Which folded bytes something may begin or end with.
type Letters = [bool; 256];

/// The canonical names of all fields, each with the rank of its rule.
///
/// The hash is a fast one that can be fooled: names are few and come from whoever writes the rules, and keys of
/// documents are looked up but never stored.
#[derive(Debug, Clone)]
pub(super) struct Fields {
    ranks: HashMap<Box<[u8]>, Rank, FxBuildHasher>,
    begins: Letters,
    ends: Letters,
    /// The length of the shortest name in bytes.
    shortest: usize,
}

impl Fields {
    /// Each name in its canonical form, with the rank of its rule.
    pub(super) fn new(names: &[(&str, Rank)]) -> Self {
        let mut fields = Self {
            ranks: HashMap::default(),
            begins: open(),
            ends: open(),
            shortest: usize::MAX,
        };
        for (name, rank) in names {
            let bytes = name.as_bytes();
            let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else {
                continue;
            };
            fields.shortest = fields.shortest.min(bytes.len());
            allow(&mut fields.begins, *first);
            allow(&mut fields.ends, *last);
            if !first.is_ascii() {
                // An accent may follow the first letter as a character of its own, as in "e\u{301}".
                fields.begins = [true; 256];
            }
            fields.ranks.insert((*bytes).into(), *rank);
        }
        fields
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.ranks.is_empty()
    }

    /// The rank of the field that this key is, in whatever spelling.
    #[inline]
    pub(super) fn rank(&self, key: &str) -> Option<Rank> {
        if !self.may_be(key.as_bytes()) {
            return None;
        }
        self.find(key)
    }

    /// Whether a key may be a field, as far as its ends tell; its bytes may be of any encoding that ASCII is a part of.
    #[inline]
    pub(super) fn may_be(&self, key: &[u8]) -> bool {
        let (Some(first), Some(last)) = (key.first(), key.last()) else {
            return false;
        };
        // That a letter is missing here says that no field begins or ends with it. An accent behind the last letter
        // would be the last character itself.
        self.begins[usize::from(ascii(*first))] && self.ends[usize::from(ascii(*last))] && !self.is_empty()
    }

    fn find(&self, key: &str) -> Option<Rank> {
        // Beyond ASCII a key may be shorter than its name: a ligature stands for three letters.
        if key.len() < self.shortest && key.is_ascii() {
            return None;
        }
        let mut folded = [0; BUFFER];
        let mut length = 0;
        for byte in key.bytes() {
            match (ascii(byte), folded.get_mut(length)) {
                (SEPARATOR, _) => {}
                (NOT_ASCII, _) | (_, None) => return self.ranks.get(canonical(key).as_bytes()).copied(),
                (letter, Some(place)) => {
                    *place = letter;
                    length += 1;
                }
            }
        }
        self.ranks.get(folded.get(..length)?).copied()
    }
}

/// Nothing but what says too little: a separator, and a character beyond ASCII.
fn open() -> Letters {
    let mut letters = [false; 256];
    letters[usize::from(SEPARATOR)] = true;
    letters[usize::from(NOT_ASCII)] = true;
    letters
}

fn allow(letters: &mut Letters, letter: u8) {
    letters[usize::from(letter)] = true;
}

#[cfg(test)]
mod tests {
    use unicode_normalization::UnicodeNormalization;

    use super::*;
    use crate::arbitrary::Source;
    use crate::redact::rules::FIELD_LIMIT;

    #[test]
    fn a_key_is_found_in_every_spelling() {
        let names = ["customername", "phone", "prénom", "éa", "ss", "x"];
        let ranked: Vec<(&str, Rank)> = names.into_iter().zip(0..).collect();
        let fields = Fields::new(&ranked);
        for (key, expected) in [
            ("customerName", Some(0)),
            ("_customer_name_", Some(0)),
            ("-Customer.Name", Some(0)),
            ("\u{200b}customerName", Some(0)),
            ("ｃustomerName", Some(0)),
            ("PHONE", Some(1)),
            ("phone\u{2013}", Some(1)),
            ("Pre\u{301}nom", Some(2)),
            ("E\u{301}A", Some(3)),
            ("ß", Some(4)),
            ("X", Some(5)),
            ("phones", None),
            ("hone", None),
            ("prenom", None),
            ("", None),
            ("_", None),
            ("\u{200b}", None),
        ] {
            assert_eq!(fields.rank(key), expected, "{key:?}");
        }
        let long = "x".repeat(FIELD_LIMIT);
        let fields = Fields::new(&[(&long, 7)]);
        assert_eq!(fields.rank(&long.to_uppercase()), Some(7));
        assert_eq!(fields.rank(&format!("{}_{}", &long[1..], "x")), Some(7));
        assert_eq!(fields.rank(&format!("{long}x")), None);
        assert_eq!(fields.rank(&"x_".repeat(1_000_000)), None);
        for length in [BUFFER - 1, BUFFER, BUFFER + 1] {
            let name = "x".repeat(length);
            assert_eq!(
                Fields::new(&[(&name, 7)]).rank(&name.to_uppercase()),
                Some(7),
                "{length}"
            );
            assert_eq!(
                Fields::new(&[(&name, 7)]).rank(&format!("{name}x")),
                None,
                "{length}"
            );
        }
    }

    /// What the short ways say is what the definition says.
    #[test]
    fn a_key_is_found_when_its_canonical_form_is_a_field() {
        let mut source = Source::new(43);
        let pieces = [
            "a", "b", "I", "J", "e", "s", "_", "-", " ", "\u{301}", "\u{30c}", "\u{307}", "é", "ǰ", "ß", "ŉ",
            "\u{200b}", "ﬃ", "\u{212a}", "\u{345}",
        ];
        let mut found = 0;
        for _ in 0..2_000 {
            let mut names: Vec<String> = (0..4).map(|_| canonical(&source.text(&pieces))).collect();
            names.retain(|name| !name.is_empty() && name.len() <= FIELD_LIMIT);
            names.sort();
            names.dedup();
            let ranked: Vec<(&str, Rank)> = names.iter().map(String::as_str).zip(0..).collect();
            let fields = Fields::new(&ranked);
            for round in 0..40 {
                let mut key = source.text(&pieces);
                if round % 2 == 0
                    && let Some(name) = names.get(source.below(names.len().max(1)))
                {
                    key = respelt(&mut source, name);
                }
                let form = canonical(&key);
                let expected = names.iter().position(|name| *name == form);
                found += usize::from(expected.is_some());
                assert_eq!(fields.rank(&key), expected, "{key:?} {names:?}");
            }
        }
        assert!(
            (5_000..75_000).contains(&found),
            "{found}: too one-sided to mean anything"
        );
    }

    /// Perhaps another spelling of a key: capitals, separators, accents taken apart.
    fn respelt(source: &mut Source, name: &str) -> String {
        let mut key = String::new();
        for letter in name.chars() {
            match source.below(4) {
                0 => key.extend(letter.to_uppercase()),
                1 => key.extend(['_', letter]),
                2 => key.extend(['\u{200b}', letter]),
                _ => key.push(letter),
            }
        }
        if source.below(2) == 0 {
            key.nfd().collect()
        } else {
            key
        }
    }
}
