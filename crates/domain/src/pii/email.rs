//! E-mail addresses: RFC 5321 as people write them, with quoted names, tags, address literals and international names.
//!
//! Not addresses, although parts of them would be: two `@`, two dots in a row, a dot at either end of the name, the user of
//! a URL. A file name with a resolution (`logo@2x.png`) is told by its ending.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;
use std::str::FromStr;

use super::plain::Plain;

/// RFC 5321, section 4.5.3.1.
const LOCAL_LIMIT: usize = 64;
const DOMAIN_LIMIT: usize = 255;
const LABEL_LIMIT: usize = 63;
/// The longest top-level domain in ASCII letters has 18 of them; those of other scripts begin with `xn--`.
const TOP_LIMIT: usize = 24;
/// The longest address, its `IPv6:` and the bracket.
const LITERAL_LIMIT: usize = 51;
/// Endings of files, none of which is a top-level domain.
const FILES: &[&str] = &[
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "bmp", "tiff", "css", "scss", "js", "mjs",
    "jsx", "tsx", "json", "html", "htm", "xml", "yml", "yaml", "txt", "pdf", "csv", "log", "exe", "dll",
    "tar", "gz",
];

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let mut free = 0;
    for (at, byte) in plain.bytes().iter().enumerate() {
        if *byte != b'@' {
            continue;
        }
        let Some(end) = domain(plain, at + 1) else {
            continue;
        };
        let Some(start) = local(plain, at).filter(|start| *start >= free) else {
            continue;
        };
        free = end;
        found.push(start..end);
    }
    found
}

fn local(plain: &Plain, at: usize) -> Option<usize> {
    if plain.before(at, 1) == b'"' {
        return quoted(plain, at - 1);
    }
    let window = at.saturating_sub(LOCAL_LIMIT + 1)..at;
    // What is cut off at the front is replaced, and no letter of an address.
    let text = String::from_utf8_lossy(plain.slice(window));
    let may_be_wide = text.chars().next_back().is_some_and(is_wide);
    let accepted = |letter: char| match letter {
        '.' => true,
        _ if letter.is_ascii() => is_atom(letter),
        _ => letter.is_alphabetic() && (may_be_wide || !is_wide(letter)),
    };
    let tail = text
        .char_indices()
        .rev()
        .take_while(|(_, letter)| accepted(*letter))
        .last();
    let name = tail.and_then(|(first, _)| text.get(first..)).unwrap_or_default();
    let name = without_context(name);
    if name.is_empty()
        || name.len() > LOCAL_LIMIT
        || name.starts_with('.')
        || name.ends_with('.')
        || name.contains("..")
    {
        return None;
    }
    let start = at - name.len();
    (!is_user_of_url(plain, start) && plain.before(start, 1) != b'@').then_some(start)
}

/// `?mail=joe@`, `'joe@`, `/joe@` and `...joe@` hold more than the name, though the grammar would take it all.
fn without_context(name: &str) -> &str {
    let name = name
        .rsplit(['/', '?', '&', '`', '|', '{', '}'])
        .next()
        .unwrap_or(name);
    let mut name = name;
    while let Some((key, value)) = name.split_once('=')
        && key
            .chars()
            .all(|letter| letter.is_alphanumeric() || matches!(letter, '_' | '-'))
    {
        name = value;
    }
    // An ellipsis ends a sentence.
    let name = name.rsplit("...").next().unwrap_or(name);
    name.trim_start_matches(['\'', '*', '#', '$', '%', '^', '!', '~', '-'])
}

/// `https://user:password@host` and `ssh://git@host`
fn is_user_of_url(plain: &Plain, start: usize) -> bool {
    let window = plain.slice(start.saturating_sub(LOCAL_LIMIT)..start);
    let word = window
        .rsplit(|byte| byte.is_ascii_whitespace())
        .next()
        .unwrap_or(window);
    let Some(scheme) = word.windows(3).rposition(|part| part == b"://") else {
        return false;
    };
    // The path of a URL may hold an address; its authority does not.
    word.iter()
        .skip(scheme + 3)
        .all(|byte| !matches!(byte, b'/' | b'?' | b'#' | b',' | b';' | b'<' | b'>' | b'(' | b'"'))
}

/// Where the quotes that end before `@` begin.
fn quoted(plain: &Plain, close: usize) -> Option<usize> {
    let first = close.saturating_sub(LOCAL_LIMIT - 1);
    let mut place = close;
    let mut has_letters = false;
    while place > first {
        place -= 1;
        match plain.at(place) {
            // Between the strings of a list there are commas only.
            b'"' if plain.before(place, 1) != b'\\' => return has_letters.then_some(place),
            letter if letter.is_ascii_alphanumeric() => has_letters = true,
            b'\n' | b'\r' | 0 => return None,
            _ => {}
        }
    }
    None
}

/// The letters of an atom, RFC 5322.
fn is_atom(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(letter)
}

/// Scripts without spaces between words: an address of ASCII letters begins where such text ends.
fn is_wide(letter: char) -> bool {
    letter >= '\u{2e80}'
}

fn domain(plain: &Plain, start: usize) -> Option<usize> {
    if plain.at(start) == b'[' {
        return literal(plain, start);
    }
    let text = String::from_utf8_lossy(plain.slice(start..start + DOMAIN_LIMIT + 4));
    let is_ascii_first = text.chars().next().is_some_and(|letter| letter.is_ascii());
    let accepted = |letter: char| match letter {
        '.' | '-' => true,
        _ if letter.is_ascii() => letter.is_ascii_alphanumeric(),
        _ => {
            letter != char::REPLACEMENT_CHARACTER
                && letter.is_alphanumeric()
                && !(is_ascii_first && is_wide(letter))
        }
    };
    let length = text.find(|letter| !accepted(letter)).unwrap_or(text.len());
    let mut name = text.get(..length)?;
    if length > DOMAIN_LIMIT || text.get(length..).is_some_and(|rest| rest.starts_with('@')) {
        return None;
    }
    // What follows the domain may look like one more label of it: the end of a sentence, a number.
    loop {
        name = name.trim_end_matches(['.', '-']);
        let (rest, top) = name.rsplit_once('.')?;
        if is_top(top) {
            return rest.split('.').all(is_label).then_some(start + name.len());
        }
        name = rest;
    }
}

fn is_label(label: &str) -> bool {
    (1..=LABEL_LIMIT).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
}

fn is_top(label: &str) -> bool {
    if label
        .get(..4)
        .is_some_and(|begin| begin.eq_ignore_ascii_case("xn--"))
    {
        return is_label(label) && label.len() > 4;
    }
    if !label.is_ascii() {
        return label.chars().all(char::is_alphabetic);
    }
    (2..=TOP_LIMIT).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphabetic())
        && !FILES.iter().any(|file| label.eq_ignore_ascii_case(file))
}

/// `[192.0.2.1]` and `[IPv6:2001:db8::1]`
fn literal(plain: &Plain, start: usize) -> Option<usize> {
    let longest = plain.slice(start + 1..start + 1 + LITERAL_LIMIT);
    let length = longest.iter().position(|byte| *byte == b']')?;
    let window = std::str::from_utf8(longest.get(..length)?).ok()?;
    let is_address = match window.strip_prefix("IPv6:") {
        Some(address) => Ipv6Addr::from_str(address).is_ok(),
        None => Ipv4Addr::from_str(window).is_ok(),
    };
    is_address.then_some(start + length + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::found_by;

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    #[test]
    fn addresses_of_every_form() {
        for address in [
            "joe@example.com",
            "joe.doe@example.com",
            "joe+tag@example.co.uk",
            "j@x.io",
            "joe_doe-1@mail.sub.example.museum",
            "JOE@EXAMPLE.COM",
            "1234567890@example.com",
            "joe@ex-ample.com",
            "joe@123.com",
            "o'brien@example.ie",
            "joe@münchen.de",
            "jürgen@example.de",
            "joe@xn--mnchen-3ya.de",
            "joe@example.xn--p1ai",
            "用户@例子.公司",
            "дима@пример.рф",
            "\"joe doe\"@example.com",
            "\"joe@home\"@example.com",
            "joe@[192.0.2.1]",
            "joe@[IPv6:2001:db8::1]",
            "bounce+joe=example.org@lists.example.com",
            "joe@example.travelersinsurance",
        ] {
            for text in [
                address.to_owned(),
                format!("<{address}>"),
                format!("write to {address}."),
                format!("mailto:{address}?subject=x"),
                format!("({address}, later)"),
                format!("mail={address};"),
                format!("https://example.com/u/{address}/edit"),
            ] {
                assert_eq!(found(&text), [address], "{text}");
            }
        }
        assert_eq!(
            found("a@example.com,b@example.org;c@example.net"),
            ["a@example.com", "b@example.org", "c@example.net"]
        );
        assert_eq!(found("ask...joe@example.com"), ["joe@example.com"]);
        assert_eq!(found("see joe@example.com.2 of them"), ["joe@example.com"]);
        assert_eq!(found("写信到joe@example.com吧"), ["joe@example.com"]);
        assert_eq!(found("'joe@example.com'"), ["joe@example.com"]);
    }

    #[test]
    fn near_misses() {
        let long = format!("{}@example.com", "a".repeat(65));
        for text in [
            "joe@example",
            "joe@",
            "@example.com",
            "joe@@example.com",
            "joe@a.com@b.com",
            "joe..doe@example.com",
            ".joe@example.com",
            "joe.@example.com",
            "joe@example.c",
            "joe@-example.com",
            "joe@example-.com",
            "joe@.com",
            "joe@example..com",
            "joe@192.0.2.1",
            "joe@[300.0.2.1]",
            "logo@2x.png",
            "app@1.2.3.js",
            "joe @example.com",
            "joe@ example.com",
            "joe at example.com",
            "https://joe:secret@example.com/",
            "ssh://git@example.com/a",
            "pkg@1.0.0",
            "@media",
            "[\"a\", \"@example.com\"]",
            long.as_str(),
            "@",
            "",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
