//! Country codes and the lengths of the numbers behind them: ITU-T E.164 and the national numbering plans listed with it.

use super::national::is_north_american;
use crate::pii::digits::number;

/// E.164 with its code; shorter numbers are local to islands.
const SHORTEST: usize = 7;

/// Whether the digits are a country's code and as many digits as its numbers have.
pub(super) fn is_assigned(digits: &[u8]) -> bool {
    // No code begins with 0.
    if digits.len() < SHORTEST || digits.first() == Some(&0) {
        return false;
    }
    (1..=3).any(|width| {
        let (code, national) = digits.split_at(width);
        let code = number(code);
        lengths(code).is_some_and(|(shortest, longest)| fits(code, national, shortest, longest))
    })
}

fn fits(code: u32, national: &[u8], shortest: usize, longest: usize) -> bool {
    let national = match national {
        // The zero of `+44 020` is not dialled from abroad, and written all the same. Italy's is part of the number.
        [0, rest @ ..] if !matches!(code, 39 | 225 | 241 | 242 | 378) => rest,
        _ => national,
    };
    let begins_well = match (code, national.first()) {
        (1, _) => is_north_american(national),
        (39 | 225 | 241 | 242 | 378, first) => first.is_some(),
        (_, first) => first.is_some_and(|digit| *digit != 0),
    };
    begins_well && (shortest..=longest).contains(&national.len())
}

/// The shortest and the longest national number of a country's code; None for codes that are not in use.
fn lengths(code: u32) -> Option<(usize, usize)> {
    let range = match code {
        1 | 7 | 30 | 57 | 58 | 90 | 91 | 98 => (10, 10),
        27 | 31 | 33 | 34 | 40 | 41 | 48 | 56 | 93 | 94 => (9, 9),
        45 | 47 | 65 => (8, 8),
        20 | 60 | 62 | 63 | 64 | 82 | 84 => (8, 10),
        32 | 36 | 51 | 66 => (8, 9),
        39 | 49 => (6, 11),
        43 => (7, 13),
        44 | 81 | 92 | 61 => (9, 10),
        46 | 95 => (7, 10),
        52 | 54 | 55 | 86 => (10, 11),
        53 => (6, 8),
        _ => return of_three_digits(code),
    };
    Some(range)
}

fn of_three_digits(code: u32) -> Option<(usize, usize)> {
    let range = match code {
        // Africa
        211 | 212 | 218 | 221 | 224 | 233 | 240 | 242..=244 | 249..=252 | 254..=256 | 260..=263 => (9, 9),
        213 | 237 | 258 | 264 => (8, 9),
        216 | 222 | 223 | 226..=228 | 232 | 235 | 236 | 241 | 253 | 257 | 266 | 268 => (8, 8),
        220 | 238 | 239 | 245..=248 | 269 | 297 => (7, 7),
        225 | 229 | 234 => (8, 10),
        230 | 231 | 265 | 267 => (7, 9),
        290 | 291 | 298 | 299 => (5, 7),
        // Europe
        350 | 354 | 356 | 357 | 359 | 370..=374 | 382 | 383 | 386 | 387 | 389 => (7, 9),
        351 | 355 | 375 | 377 | 380 | 381 | 385 | 420 | 421 => (8, 9),
        352 | 376 | 378 => (6, 11),
        353 | 423 => (7, 9),
        358 => (6, 11),
        // The Americas
        501 | 592 | 597 => (6, 7),
        502..=507 | 509 | 591 | 593 | 598 => (8, 9),
        500 | 508 => (5, 6),
        590 | 594 | 596 => (9, 9),
        595 => (7, 9),
        599 => (7, 8),
        // The Pacific
        670 | 673..=680 | 685..=689 | 691 | 692 => (5, 8),
        672 | 681 => (6, 6),
        682 | 683 | 690 => (5, 5),
        // Asia
        850 | 856 | 880 => (8, 10),
        852 | 853 | 965 | 968 | 973 | 974 | 976 | 993 => (8, 8),
        855 | 886 | 961..=963 | 966 | 967 | 970..=972 => (7, 9),
        960 => (7, 7),
        964 | 977 => (8, 10),
        975 => (7, 8),
        992 | 994..=996 | 998 => (9, 9),
        // Of no country: freephone, shared cost, satellites
        800 | 808 => (8, 8),
        870 | 878 | 881..=883 => (8, 12),
        _ => return None,
    };
    Some(range)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn is_one(text: &str) -> bool {
        is_assigned(&text.bytes().map(|byte| byte - b'0').collect::<Vec<_>>())
    }

    #[test]
    fn a_number_has_its_country_s_length() {
        for text in [
            "14155550132",
            "442079460958",
            "4402079460958",
            "33123456789",
            "4930901820",
            "390612345678",
            "3581234567",
            "6561234567",
            "861381234567",
            "8613812345678",
            "919876543210",
            "5511912345678",
            "97297625400",
            "2348012345678",
            "35312345678",
            "80012345678",
        ] {
            assert!(is_one(text), "{text}");
        }
        for text in [
            "1415555013",
            "141555501322",
            "11155550132",
            "19115550132",
            "14151550132",
            "3312345678",
            "331234567890",
            "331234",
            "21012345678",
            "9991234567",
            "44",
            "",
            "0000000000",
            "4900123456",
            "65612345678",
        ] {
            assert!(!is_one(text), "{text}");
        }
    }
}
