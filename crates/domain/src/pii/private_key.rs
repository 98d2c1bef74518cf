//! Private keys in armour: PEM (RFC 7468), OpenPGP (RFC 9580), SSH2 (RFC 4716) and `PuTTY` files.
//!
//! The key reaches from its first line to its last; where the last is missing, to the end of the base64. A first line alone is
//! reported too: what follows may have been cut off or written in a form we do not know.

use std::ops::Range;

use super::plain::Plain;

const BEGIN: &[u8] = b"BEGIN ";
const END: &[u8] = b"END ";
const PRIVATE: &[u8] = b"PRIVATE KEY";
const BLOCK: &[u8] = b" BLOCK";
const PUTTY: &[u8] = b"PuTTY-User-Key-File-";
/// The longest word before "PRIVATE KEY" in use is "SSH2 ENCRYPTED ".
const TYPE_LIMIT: usize = 32;
/// Lines of armour are 64 or 76 letters long; a shorter one is the last.
const LONG_LINE: usize = 40;

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < plain.len() {
        let range = match plain.at(place) {
            b'-' => armoured(plain, place),
            b'P' => putty(plain, place),
            _ => None,
        };
        place = range.as_ref().map_or(place + 1, |range| range.end);
        found.extend(range);
    }
    found
}

fn armoured(plain: &Plain, start: usize) -> Option<Range<usize>> {
    let body = label(plain, start, BEGIN)?;
    Some(start..closed(plain, body).unwrap_or_else(|| end_of_base64(plain, body)))
}

/// The end of `-----BEGIN X PRIVATE KEY-----`; RFC 4716 has four dashes and a space.
fn label(plain: &Plain, start: usize, word: &[u8]) -> Option<usize> {
    // Tried from the first dash only: a long row of them is looked at once.
    if plain.before(start, 1) == b'-' {
        return None;
    }
    let dashes = plain.end_of(start, |byte| byte == b'-');
    if dashes - start < 4 {
        return None;
    }
    let name = dashes + usize::from(plain.at(dashes) == b' ');
    if !plain.has(name, word) {
        return None;
    }
    let window = plain.slice(name..name + word.len() + TYPE_LIMIT + PRIVATE.len());
    let found = window.windows(PRIVATE.len()).position(|part| part == PRIVATE)?;
    let is_type = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == b' ';
    if !window.iter().take(found).all(is_type) {
        return None;
    }
    let mut end = name + found + PRIVATE.len();
    if plain.has(end, BLOCK) {
        end += BLOCK.len();
    }
    let gap = end + usize::from(plain.at(end) == b' ');
    let close = plain.end_of(gap, |byte| byte == b'-');
    // Without the dashes at its end it is prose about a key.
    (close - gap >= 4).then_some(close)
}

/// The end of the last line, when the next row of dashes belongs to it.
fn closed(plain: &Plain, body: usize) -> Option<usize> {
    let mut place = body;
    while place < plain.len() {
        if plain.at(place) != b'-' {
            place += 1;
            continue;
        }
        let dashes = plain.end_of(place, |byte| byte == b'-');
        if dashes - place >= 4 {
            return label(plain, place, END);
        }
        place = dashes;
    }
    None
}

fn end_of_base64(plain: &Plain, body: usize) -> usize {
    let mut end = body;
    let mut place = skip_breaks(plain, body);
    loop {
        let line = plain.end_of(place, is_base64);
        let is_last = line - place < LONG_LINE;
        // One short line ends the key, when there were long ones before it.
        if line == place || (is_last && end == body) || (is_last && !ends_line(plain, line)) {
            return end;
        }
        end = line;
        place = skip_breaks(plain, line);
        if is_last {
            return end;
        }
    }
}

fn ends_line(plain: &Plain, place: usize) -> bool {
    place == plain.len()
        || plain.at(place).is_ascii_control()
        || matches!(plain.at(place), b'\\' | b'"' | b'\'')
}

/// White space, also where a JSON string has it as `\n`.
fn skip_breaks(plain: &Plain, start: usize) -> usize {
    let mut place = start;
    loop {
        place = plain.end_of(place, |byte| byte.is_ascii_whitespace());
        if plain.at(place) == b'\\' && matches!(plain.at(place + 1), b'n' | b'r') {
            place += 2;
        } else {
            return place;
        }
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}

/// A file of lines that are either `name: value` or base64.
fn putty(plain: &Plain, start: usize) -> Option<Range<usize>> {
    if !plain.has(start, PUTTY) {
        return None;
    }
    let end_of_line = |place| plain.end_of(place, |byte| byte != b'\n');
    let mut end = end_of_line(start);
    while end < plain.len() {
        let next = end_of_line(end + 1);
        let line = plain.slice(end + 1..next).trim_ascii();
        let is_entry = line.windows(2).any(|pair| pair == b": ") && !line.starts_with(PUTTY);
        let is_key = !line.is_empty() && line.iter().all(|byte| is_base64(*byte));
        if !is_entry && !is_key {
            break;
        }
        end = next;
    }
    Some(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::found_by;

    const LINE: &str = "MIIEpAIBAAKCAQEA0Z3VS5JJcds3xfn/ygWyF8PbnGy0AHB7MhgwMbRvI0MBZhpX";

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    #[test]
    fn a_key_reaches_from_its_first_line_to_its_last() {
        for kind in ["RSA ", "EC ", "DSA ", "OPENSSH ", "ENCRYPTED ", ""] {
            let key =
                format!("-----BEGIN {kind}PRIVATE KEY-----\n{LINE}\nAB==\n-----END {kind}PRIVATE KEY-----");
            assert_eq!(found(&format!("key: {key}\nbye")), [key.as_str()]);
            let escaped = key.replace('\n', "\\n");
            assert_eq!(found(&format!("{{\"key\":\"{escaped}\"}}")), [escaped.as_str()]);
        }
        for key in [
            format!(
                "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: GnuPG v2\n\n{LINE}\n=abcd\n-----END PGP PRIVATE KEY BLOCK-----"
            ),
            format!(
                "---- BEGIN SSH2 ENCRYPTED PRIVATE KEY ----\nComment: \"x\"\n{LINE}\n---- END SSH2 ENCRYPTED PRIVATE KEY ----"
            ),
            format!(
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n{LINE}\n-----END RSA PRIVATE KEY-----"
            ),
            format!(
                "PuTTY-User-Key-File-2: ssh-rsa\nEncryption: none\nPrivate-Lines: 1\n{LINE}\nPrivate-MAC: 0123456789abcdef"
            ),
        ] {
            assert_eq!(found(&format!("{key}\n\nbye")), [key.as_str()]);
        }
    }

    #[test]
    fn a_key_without_a_last_line_ends_with_its_base64() {
        let head = "-----BEGIN RSA PRIVATE KEY-----";
        for (text, expected) in [
            (
                format!("{head}\n{LINE}\n{LINE}\nand then"),
                format!("{head}\n{LINE}\n{LINE}"),
            ),
            (
                format!("{head}\n{LINE}\nABCD==\nand then"),
                format!("{head}\n{LINE}\nABCD=="),
            ),
            (format!("{head} and more text"), head.to_owned()),
            (head.to_owned(), head.to_owned()),
        ] {
            assert_eq!(found(&text), [expected.as_str()], "{text}");
        }
        let twice = format!("{head}\n{LINE}\n{head}\n{LINE}\n");
        assert_eq!(found(&twice).len(), 2);
    }

    #[test]
    fn other_armour_and_prose_are_no_keys() {
        for text in [
            "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
            "-----BEGIN SSH2 PUBLIC KEY-----",
            "--BEGIN RSA PRIVATE KEY--",
            "BEGIN the day with a PRIVATE KEY",
            "-----BEGIN RSA PRIVATE KEY is how it starts",
            "-----END RSA PRIVATE KEY-----",
            "PuTTY is a program",
            "--------------------------------",
            "",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
