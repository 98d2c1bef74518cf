//! A text as the scanners read it: what only looks different is made equal, and every place leads back to the original.
//!
//! Read as nothing: zero-width characters, soft hyphens, direction marks. Read as their ASCII equal: full-width forms,
//! the digits of NFKC and of the scripts phones are written in, spaces that do not break, hyphens and minus signs.
//! The em dash stays: it separates words rather than the parts of a number.

use std::ops::Range;

/// What a place that has been claimed by a kind holds afterwards; no scanner takes it for anything.
const CLAIMED: u8 = 0;

/// The text, and the way back.
pub(super) struct Plain {
    bytes: Vec<u8>,
    runs: Vec<Run>,
}

/// From its place on, until the next run, the text goes in step with the original.
struct Run {
    plain: usize,
    original: usize,
    /// The bytes of the original that a single byte stands for; None where the text is the original's.
    stands_for: Option<usize>,
}

enum Reading {
    Itself,
    As(u8),
    Nothing,
}

impl Plain {
    pub(super) fn read(text: &str) -> Self {
        let mut plain = Self {
            bytes: Vec::with_capacity(text.len()),
            runs: vec![Run {
                plain: 0,
                original: 0,
                stands_for: None,
            }],
        };
        if text.is_ascii() {
            plain.bytes.extend_from_slice(text.as_bytes());
        } else {
            plain.read_letters(text);
        }
        plain
    }

    fn read_letters(&mut self, text: &str) {
        let mut in_step = true;
        for (original, letter) in text.char_indices() {
            match reading(letter) {
                Reading::Itself => {
                    if !in_step {
                        self.begin_run(original, None);
                        in_step = true;
                    }
                    let mut room = [0; 4];
                    self.bytes
                        .extend_from_slice(letter.encode_utf8(&mut room).as_bytes());
                }
                Reading::As(byte) => {
                    self.begin_run(original, Some(letter.len_utf8()));
                    self.bytes.push(byte);
                    in_step = false;
                }
                Reading::Nothing => in_step = false,
            }
        }
    }

    fn begin_run(&mut self, original: usize, stands_for: Option<usize>) {
        self.runs.push(Run {
            plain: self.bytes.len(),
            original,
            stands_for,
        });
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The byte at a place; 0 outside of the text.
    pub(super) fn at(&self, place: usize) -> u8 {
        self.bytes.get(place).copied().unwrap_or(0)
    }

    /// The byte `back` places before a place; 0 outside of the text.
    pub(super) fn before(&self, place: usize, back: usize) -> u8 {
        place.checked_sub(back).map_or(0, |place| self.at(place))
    }

    /// The bytes of a range, as many of them as there are.
    pub(super) fn slice(&self, range: Range<usize>) -> &[u8] {
        let end = range.end.min(self.bytes.len());
        self.bytes.get(range.start.min(end)..end).unwrap_or_default()
    }

    /// Whether the text goes on with these bytes.
    pub(super) fn has(&self, place: usize, expected: &[u8]) -> bool {
        self.bytes
            .get(place..)
            .is_some_and(|rest| rest.starts_with(expected))
    }

    /// Where the bytes from `place` on that are accepted end.
    pub(super) fn end_of(&self, place: usize, accepted: impl Fn(u8) -> bool) -> usize {
        let rest = self.bytes.get(place..).unwrap_or_default();
        place + rest.iter().take_while(|byte| accepted(**byte)).count()
    }

    /// Takes a range out of the later scanners' sight.
    pub(super) fn claim(&mut self, range: Range<usize>) {
        if let Some(taken) = self.bytes.get_mut(range) {
            taken.fill(CLAIMED);
        }
    }

    /// The bytes of the original that a range stands for, without what was read as nothing on either side.
    pub(super) fn original(&self, range: &Range<usize>) -> Range<usize> {
        let first = self.run_of(range.start);
        let last = self.run_of(range.end.saturating_sub(1));
        let end = match last.stands_for {
            Some(width) => last.original + width,
            None => last.original + (range.end - last.plain),
        };
        first.original + (range.start - first.plain)..end
    }

    fn run_of(&self, place: usize) -> &Run {
        const FIRST: &Run = &Run {
            plain: 0,
            original: 0,
            stands_for: None,
        };
        let later = self.runs.partition_point(|run| run.plain <= place);
        self.runs.get(later.saturating_sub(1)).unwrap_or(FIRST)
    }
}

fn reading(letter: char) -> Reading {
    match letter {
        '\u{ad}'
        | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}'
        | '\u{feff}' => Reading::Nothing,
        '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' => Reading::As(b' '),
        '\u{2010}'..='\u{2013}' | '\u{2212}' | '\u{fe63}' => Reading::As(b'-'),
        '\u{ff01}'..='\u{ff5e}' => Reading::As(b'!' + steps(letter, '\u{ff01}')),
        '\u{660}'..='\u{669}' => digit(letter, '\u{660}'),
        '\u{6f0}'..='\u{6f9}' => digit(letter, '\u{6f0}'),
        '\u{966}'..='\u{96f}' => digit(letter, '\u{966}'),
        '\u{1d7ce}'..='\u{1d7ff}' => digit(letter, '\u{1d7ce}'),
        _ => Reading::Itself,
    }
}

/// A letter's distance from the first of its block, none of which has more than 94 of them.
fn steps(letter: char, first: char) -> u8 {
    u8::try_from(u32::from(letter) - u32::from(first)).unwrap_or(0)
}

/// The mathematical digits come in several sets of ten, one after the other.
fn digit(letter: char, zero: char) -> Reading {
    Reading::As(b'0' + steps(letter, zero) % 10)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::arbitrary::Source;

    fn plain_text(text: &str) -> String {
        String::from_utf8(Plain::read(text).bytes().to_vec()).unwrap()
    }

    #[test]
    fn what_only_looks_different_is_made_equal() {
        for (text, expected) in [
            ("", ""),
            ("a@b.c", "a@b.c"),
            ("４１５－５５５", "415-555"),
            ("ａ＠ｂ．ｃ＋Ｚ", "a@b.c+Z"),
            ("4\u{200b}1\u{200c}1\u{200d}1\u{2060}\u{feff}\u{ad}!", "4111!"),
            (
                "+49\u{a0}30\u{202f}1\u{2011}2\u{2013}3\u{2212}4",
                "+49 30 1-2-3-4",
            ),
            ("٤١٥ ۴۱۵ ४१५ 𝟒𝟙𝟻", "415 415 415 415"),
            ("Müller — 電話", "Müller — 電話"),
        ] {
            assert_eq!(plain_text(text), expected);
        }
    }

    #[test]
    fn a_range_leads_back_to_the_original() {
        for (text, wanted, original) in [
            ("a 12 b", "12", "12"),
            ("é 12 é", "12", "12"),
            ("é\u{200b}1\u{200b}2\u{200b}é", "12", "1\u{200b}2"),
            ("１２３", "2", "２"),
            ("１２３", "23", "２３"),
            ("x１\u{ad}2y", "12", "１\u{ad}2"),
            ("\u{feff}12", "12", "12"),
        ] {
            let plain = Plain::read(text);
            let read = plain_text(text);
            let start = read.find(wanted).unwrap();
            let range = plain.original(&(start..start + wanted.len()));
            assert_eq!(&text[range], original, "{text:?}");
        }
    }

    #[test]
    fn every_letter_leads_back_to_a_letter() {
        let mut source = Source::new(41);
        for _ in 0..2_000 {
            let text = source.text(&["１", "\u{200b}", "é", "12", "𝟒", " ", "\u{a0}"]);
            let read = plain_text(&text);
            let plain = Plain::read(&text);
            for (start, letter) in read.char_indices() {
                let range = plain.original(&(start..start + letter.len_utf8()));
                assert_eq!(text.get(range).unwrap().chars().count(), 1, "{text:?}");
            }
        }
    }

    #[test]
    fn nothing_outside_of_the_text_is_read() {
        let mut plain = Plain::read("abc");
        assert_eq!(
            (plain.at(2), plain.at(3), plain.before(1, 1), plain.before(1, 2)),
            (b'c', 0, b'a', 0)
        );
        assert_eq!(plain.slice(2..9), b"c");
        assert_eq!(plain.slice(7..9), b"");
        assert_eq!(plain.end_of(9, |_| true), 9);
        plain.claim(1..2);
        assert_eq!(plain.bytes(), b"a\0c");
        plain.claim(1..9);
        assert_eq!(plain.bytes(), b"a\0c");
    }
}
