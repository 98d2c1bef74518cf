#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

mod labelled;

const SAMPLES: [(Kind, &str); 10] = [
    (Kind::Email, "joe.doe+tag@mail.example.com"),
    (Kind::Phone, "+1 (415) 555-0132"),
    (Kind::PaymentCard, "4111 1111 1111 1111"),
    (Kind::Iban, "DE89 3704 0044 0532 0130 00"),
    (Kind::UsSsn, "536-90-4399"),
    (Kind::Ip, "2001:db8::1"),
    (Kind::Mac, "00:1a:2b:3c:4d:5e"),
    (Kind::Jwt, "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"),
    (
        Kind::PrivateKey,
        "-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----",
    ),
    (Kind::ApiKey, "AKIAIOSFODNN7EXAMPLE"),
];

/// What one scanner alone finds in a text without hidden letters.
pub(super) fn found_by(scan: Scanner, text: &str) -> Vec<&str> {
    let found = scan(&Plain::read(text)).into_iter();
    found.map(|range| &text[range]).collect()
}

fn shown(text: &str, kinds: Kinds) -> Vec<(Kind, &str)> {
    let pieces = find(text, kinds).into_iter();
    pieces
        .map(|one| (one.kind, text.get(one.range).unwrap()))
        .collect()
}

#[test]
fn one_text_holds_every_kind() {
    let parts: Vec<&str> = SAMPLES.iter().map(|(_, value)| *value).collect();
    for glue in ["\n", " ; ", "\" | \"", "、"] {
        assert_eq!(shown(&parts.join(glue), Kinds::all()), SAMPLES);
    }
}

#[test]
fn only_what_is_asked_for_is_found() {
    let parts: Vec<&str> = SAMPLES.iter().map(|(_, value)| *value).collect();
    let text = parts.join("\n");
    for sample in SAMPLES {
        assert_eq!(shown(&text, [sample.0].into_iter().collect()), [sample]);
    }
    assert!(find(&text, Kinds::default()).is_empty());
}

#[test]
fn what_is_one_kind_is_not_another_for_being_asked_for() {
    let phones: Kinds = [Kind::Phone].into_iter().collect();
    for text in [
        "phone 4111111111111111",
        "tel DE89 3704 0044 0532 0130 00",
        "call 536-90-4399",
        "phone 415-555-0132@example.com",
        "tel 12-34-56-78-90-12",
        "call 192.168.100.200",
    ] {
        assert!(shown(text, phones).is_empty(), "{text}");
    }
}

#[test]
fn invisible_and_full_width_letters_do_not_hide_a_value() {
    for (kind, value) in SAMPLES.into_iter().filter(|(kind, _)| *kind != Kind::PrivateKey) {
        for mark in ["\u{200b}", "\u{200d}", "\u{2060}", "\u{feff}", "\u{ad}"] {
            let hidden: Vec<String> = value.chars().map(String::from).collect();
            let hidden = hidden.join(mark);
            let text = format!("{mark}é {mark}{hidden}{mark} é");
            assert_eq!(shown(&text, Kinds::all()), [(kind, hidden.as_str())]);
        }
        let wide: String = value.chars().map(widened).collect();
        assert_eq!(
            shown(&format!("「{wide}」"), Kinds::all()),
            [(kind, wide.as_str())]
        );
    }
}

fn widened(letter: char) -> char {
    match letter {
        ' ' => '\u{3000}',
        '!'..='~' => char::from_u32(u32::from(letter) + 0xfee0).unwrap(),
        _ => letter,
    }
}

#[test]
fn what_is_found_is_gone_when_it_is_taken_out() {
    for (_, value) in SAMPLES {
        let text = format!("before {value}, behind");
        let mut left = text.clone();
        for one in find(&text, Kinds::all()).into_iter().rev() {
            left.replace_range(one.range, "[gone]");
        }
        assert_eq!(left, "before [gone], behind");
        assert!(find(&left, Kinds::all()).is_empty());
    }
}

#[test]
fn no_text_panics_and_every_range_is_one_of_the_text() {
    let mut source = Source::new(10);
    let pieces = [
        "@",
        ".",
        "-",
        "+",
        "(",
        ")",
        " ",
        "0",
        "00",
        "415",
        "5550132",
        "１２",
        "\u{200b}",
        "eyJ",
        "://",
        "::",
        ":",
        "-----BEGIN ",
        "PRIVATE KEY-----",
        "\"",
        "\\n",
        "AKIA",
        "sk-",
        "é",
        "電話",
        "x",
        "DE89",
        "4111",
        "PuTTY-User-Key-File-2: ",
        "\n",
        "ext",
        "#",
        "=",
    ];
    for round in 0..30_000 {
        let text = match round % 3 {
            0 => source.text(&pieces),
            1 => {
                let sample = source.below(SAMPLES.len());
                source.mutated(SAMPLES[sample].1)
            }
            _ => {
                let count = source.below(30);
                (0..count).map(|_| pieces[source.below(pieces.len())]).collect()
            }
        };
        let mut last = 0;
        for one in find(&text, Kinds::all()) {
            assert!(one.range.start >= last && !one.range.is_empty(), "{text:?}");
            assert!(text.get(one.range.clone()).is_some(), "{text:?}");
            last = one.range.end;
        }
    }
}

/// Each of these makes a scanner that looks back or ahead without a limit take the square of the length.
#[test]
fn time_is_linear_in_the_worst_texts() {
    for piece in [
        "a",
        "1",
        " ",
        "-",
        "@",
        ".",
        ":",
        "+",
        "(",
        "0",
        "a@",
        "1 ",
        "1-",
        "1.",
        "a.",
        "a:",
        "1:",
        "::",
        "eyJ.",
        "eyJ",
        "ya29.",
        "hvs.1",
        "sk-1",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN ",
        "---- ",
        "PuTTY-User-Key-File-2: a\n",
        "PuTTY-User-Key-File-",
        "DE89 ",
        "DE",
        "4111 ",
        "4111-",
        "415 555 ",
        "+49",
        "phone 1 ",
        "\"@",
        "a@a.",
        "x@1.",
        "電",
        "１",
        "\u{200b}",
        "SG.",
        "key-",
        "://a@b.c",
        "=a",
    ] {
        let text = piece.repeat(50_000 / piece.len());
        // Linear time is a fraction of a second, also without optimisation; the square of it would not end here.
        for found in find(&text, Kinds::all()) {
            assert!(found.range.end <= text.len());
        }
    }
}
