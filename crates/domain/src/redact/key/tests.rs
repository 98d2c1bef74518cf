#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

#[test]
fn spellings_of_one_key() {
    for (expected, spellings) in [
        (
            "customername",
            &[
                "customername",
                "customerName",
                "CustomerName",
                "customer_name",
                "Customer-Name",
                "CUSTOMER NAME",
                "CUSTOMER_NAME",
                "customer.name",
                "_customer__name_",
                "customer\tname",
                "customer\u{a0}name",
                "customer\u{2010}name",
                "customer\u{2011}name",
                "customer\u{2013}name",
                "customer\u{2212}name",
                "cust\u{200b}omer\u{feff}name",
                "cus\u{ad}tomername",
                "customername\u{fe0f}",
                "ｃｕｓｔｏｍｅｒＮａｍｅ",
                "customer＿name",
                "customer－name",
            ][..],
        ),
        ("pin", &["PIN", "Pin", "p.i.n."]),
        ("key", &["KEY", "\u{212a}ey"]),
        ("strasse", &["STRASSE", "Straße", "STRA\u{1e9e}E", "ſtrasse"]),
        ("οδοσ", &["ΟΔΟΣ", "οδος", "οδοσ"]),
        (
            "prénom",
            &["Prénom", "PRE\u{301}NOM", "pre\u{200b}\u{301}nom", "pr\u{e9}_nom"],
        ),
        ("телефон", &["Телефон", "ТЕЛЕФОН", "теле_фон"]),
        ("电话", &["电话", "电_话"]),
        ("office", &["o\u{fb03}ce", "OFFICE"]),
        ("line2", &["line_2", "Line2", "line\u{b2}"]),
        ("", &["", "_", " - ", "\u{200b}", ".\u{2014}.", "\u{3164}"]),
    ] {
        for spelling in spellings {
            assert_eq!(canonical(spelling), expected, "{spelling:?}");
        }
    }
}

#[test]
fn keys_that_are_not_the_same() {
    for (one, other) in [
        ("phone", "phone_number"),
        ("phone", "phones"),
        ("prénom", "prenom"),
        ("line1", "line2"),
        ("a/b", "ab"),
        ("a:b", "ab"),
        ("@email", "email"),
        ("e\0mail", "email"),
        // Cyrillic letters that look Latin are other letters.
        ("\u{440}\u{430}ss", "pass"),
        ("a", "\u{430}"),
    ] {
        assert_ne!(canonical(one), canonical(other), "{one} {other}");
    }
}

#[test]
fn the_canonical_form_is_its_own_canonical_form() {
    // Beyond the third plane are tags and private characters.
    for code in (0..0x3_2400).chain(0xe_0000..0xe_1000) {
        let Some(letter) = char::from_u32(code) else {
            continue;
        };
        let once = canonical(&letter.to_string());
        assert_eq!(canonical(&once), once, "U+{code:04X}");
    }
    let mut source = Source::new(41);
    for _ in 0..20_000 {
        let text = source.text(&[
            "a", "e", "I", "\u{301}", "\u{307}", "\u{345}", "ß", "ς", "_", "\u{200b}", "ﾞ", "か",
        ]);
        let once = canonical(&text);
        assert_eq!(canonical(&once), once, "{text:?}");
    }
}

#[test]
fn the_short_way_for_ascii_is_the_same_way() {
    for byte in 0..=127u8 {
        let letter = char::from(byte);
        let long: String = canonical(&format!("\u{200b}{letter}"));
        assert_eq!(canonical(&letter.to_string()), long, "{letter:?}");
    }
    assert_eq!(ascii(0xc3), NOT_ASCII);
}

#[test]
fn a_key_of_a_megabyte_is_read() {
    assert_eq!(canonical(&"aB_".repeat(400_000)).len(), 800_000);
    assert_eq!(canonical(&"é\u{301}".repeat(100_000)).chars().count(), 200_000);
}
