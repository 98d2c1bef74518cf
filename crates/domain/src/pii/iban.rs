//! International bank account numbers: ISO 13616, the registry kept by SWIFT.

use std::ops::Range;

use super::digits::is_word;
use super::plain::Plain;

/// The lengths of the registry, by country.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HN", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// An account number is printed in groups of this many letters.
const GROUP: usize = 4;

pub(super) fn scan(plain: &Plain) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < plain.len() {
        // A country's two letters and two check digits.
        let begins = plain.at(place).is_ascii_alphabetic()
            && plain.at(place + 2).is_ascii_digit()
            && !is_word(plain.before(place, 1));
        let end = if begins { account(plain, place) } else { None };
        found.extend(end.map(|end| place..end));
        place = end.unwrap_or(place + 1);
    }
    found
}

fn account(plain: &Plain, start: usize) -> Option<usize> {
    let country = [plain.at(start), plain.at(start + 1)].map(|letter| letter.to_ascii_uppercase());
    let (_, length) = LENGTHS.iter().find(|(name, _)| **name == country)?;
    if !plain.at(start + 3).is_ascii_digit() {
        return None;
    }
    let separator = match plain.at(start + GROUP) {
        between @ (b' ' | b'-') => Some(between),
        _ => None,
    };
    let mut letters = Vec::with_capacity(*length);
    let mut place = start;
    while letters.len() < *length {
        if let Some(between) = separator
            && !letters.is_empty()
            && letters.len().is_multiple_of(GROUP)
        {
            if plain.at(place) != between {
                return None;
            }
            place += 1;
        }
        let letter = plain.at(place);
        if !letter.is_ascii_alphanumeric() {
            return None;
        }
        letters.push(letter);
        place += 1;
    }
    (!is_word(plain.at(place)) && is_consistent(&letters)).then_some(place)
}

/// ISO 7064 MOD 97-10 over the account with its first four letters at the end, where A is 10 and Z is 35.
fn is_consistent(letters: &[u8]) -> bool {
    let (head, account) = letters.split_at(GROUP.min(letters.len()));
    let mut rest = 0;
    for letter in account.iter().chain(head) {
        let value = u32::from(match letter {
            b'0'..=b'9' => letter - b'0',
            _ => letter.to_ascii_uppercase() - b'A' + 10,
        });
        rest = (rest * if value < 10 { 10 } else { 100 } + value) % 97;
    }
    // 00, 01 and 99 leave the same rest as 97, 98 and 02, and are never given out.
    rest == 1 && !matches!(head.get(2..), Some(b"00" | b"01" | b"99"))
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::pii::tests::found_by;

    fn found(text: &str) -> Vec<&str> {
        found_by(scan, text)
    }

    /// An account of the country with check digits as ISO 13616 computes them.
    pub(in crate::pii) fn made(country: &str, account: &str) -> String {
        (2..=98)
            .map(|check| format!("{country}{check:02}{account}"))
            .find(|text| is_consistent(text.as_bytes()))
            .unwrap()
    }

    pub(in crate::pii) fn countries() -> impl Iterator<Item = (String, usize)> {
        LENGTHS
            .iter()
            .map(|(name, length)| (String::from_utf8(name.to_vec()).unwrap(), *length))
    }

    pub(in crate::pii) fn in_groups(account: &str, separator: &str) -> String {
        let groups: Vec<_> = account
            .as_bytes()
            .chunks(4)
            .map(|group| std::str::from_utf8(group).unwrap())
            .collect();
        groups.join(separator)
    }

    #[test]
    fn the_registry_s_own_examples() {
        for account in [
            "GB29NWBK60161331926819",
            "DE89370400440532013000",
            "FR1420041010050500013M02606",
            "NL91ABNA0417164300",
            "CH9300762011623852957",
            "BE68539007547034",
            "ES9121000418450200051332",
            "IT60X0542811101000000123456",
            "AT611904300234573201",
            "NO9386011117947",
            "MT84MALT011000012345MTLCAST001S",
            "BR1800360305000010009795493C1",
            "SA0380000000608010167519",
            "AE070331234567890123456",
            "PL61109010140000071219812874",
        ] {
            for written in [
                account.to_owned(),
                account.to_lowercase(),
                in_groups(account, " "),
                in_groups(account, "-"),
            ] {
                let text = format!("pay to {written}, please");
                assert_eq!(found(&text), [written.as_str()]);
                assert_eq!(found(&written), [written.as_str()]);
            }
        }
    }

    #[test]
    fn every_country_has_its_own_length() {
        for (country, length) in countries() {
            let right = made(&country, &"0123456789".repeat(4)[..length - 4]);
            assert_eq!(found(&right), [right.as_str()]);
            for other in [length - 1, length + 1] {
                let wrong = made(&country, &"0123456789".repeat(4)[..other - 4]);
                assert_eq!(found(&wrong), [""; 0], "{wrong}");
            }
        }
    }

    #[test]
    fn near_misses() {
        for text in [
            "GB29NWBK60161331926818",
            "DE89370400440532013001",
            "DE98370400440532013000",
            "XX89370400440532013000",
            "DE8937040044053201300",
            "DE893704004405320130000",
            "XDE89370400440532013000",
            "DE89 3704 0044 0532 0130 0",
            "DE89 37040044 0532 0130 00",
            "DE89 3704-0044 0532 0130 00",
            "DE893704004405320130.00",
            "DE89",
            "at 12",
            "",
        ] {
            assert_eq!(found(text), [""; 0], "{text}");
        }
    }
}
