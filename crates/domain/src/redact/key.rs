//! When two spellings are one key.
//!
//! Producers write `customerName`, `customer_name`, `Customer-Name` and `CUSTOMER NAME` and mean one thing. Two keys
//! are the same when their canonical forms are. The rule:
//!
//! 1. Characters that are not seen (Unicode's Default_Ignorable_Code_Point: zero-width ones, soft hyphens, variation
//!    selectors) are left out, and what looks the same is made the same (NFKC): full-width letters, ligatures, accents
//!    that are characters of their own.
//! 2. Case is folded; `ß` becomes `ss`, the two small sigmas become one. There is no language: `I` becomes `i`.
//! 3. Separators are left out: `-`, `_`, `.`, white space, and Unicode's other hyphens and dashes. Humps of camel case
//!    need no step of their own once case is gone.
//!
//! All else counts: letters of every script, accents, digits, other punctuation. Words are not looked at: `is_sold` and
//! `iss_old` are one key, and `phone` is not `phone_number`.

use unicode_normalization::UnicodeNormalization;

#[cfg(test)]
mod tests;

/// The key in the form in which equal keys are equal texts. Empty when it has nothing but separators.
#[must_use]
pub fn canonical(key: &str) -> String {
    if key.is_ascii() {
        let letters = key.bytes().map(ascii).filter(|letter| *letter != SEPARATOR);
        return letters.map(char::from).collect();
    }
    // Leaving out and folding can put an accent behind another letter than before, hence NFKC at both ends.
    key.chars()
        .filter(|letter| !is_ignorable(*letter))
        .nfkc()
        .flat_map(folded)
        .filter(|letter| !is_ignorable(*letter) && !is_separator(*letter))
        .nfkc()
        .collect()
}

/// What [`ascii`] gives for a separator: itself a separator, so no canonical form has it.
pub(super) const SEPARATOR: u8 = b' ';
/// What [`ascii`] gives for a byte of a character that is not ASCII.
pub(super) const NOT_ASCII: u8 = 0x80;

/// What becomes of each byte of a key that is ASCII: a table, since walkers ask for every byte of every key.
#[inline]
pub(super) fn ascii(byte: u8) -> u8 {
    ASCII.get(usize::from(byte)).copied().unwrap_or(NOT_ASCII)
}

static ASCII: [u8; 128] = {
    let mut table = [0; 128];
    let mut byte: u8 = 0;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'-' | b'_' | b'.' | b' ' | b'\t'..=b'\r' => SEPARATOR,
            letter => letter.to_ascii_lowercase(),
        };
        byte += 1;
    }
    table
};

/// Full case folding, near enough (ß, both sigmas, the Kelvin sign), from what the standard library has: capitals of
/// the small letter tell which small letters are the same. The first step is for capitals without a capital, such as
/// U+1E9E.
fn folded(letter: char) -> impl Iterator<Item = char> {
    letter
        .to_lowercase()
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
}

fn is_separator(letter: char) -> bool {
    matches!(letter, '-' | '_' | '.' | '\u{2010}'..='\u{2015}' | '\u{2212}') || letter.is_whitespace()
}

/// Default_Ignorable_Code_Point of Unicode 17 (DerivedCoreProperties.txt).
fn is_ignorable(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}
