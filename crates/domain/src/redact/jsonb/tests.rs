#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::cell::Cell;

use serde_json::{Value, json};

use super::layout::{Entry, Kind as Shape, STRIDE, Shape as Around, WORD, aligned};
use super::*;
use crate::arbitrary::Source;
use crate::pii::Kind as Pii;
use crate::redact::arbitrary::{self, Extent};
use crate::redact::json_text::key_order;
use crate::redact::reference::{self, Json};
use crate::redact::token::{HmacKey, KEY_LENGTH};

/// A server whose numbers are their text behind a length word, and whose encoding is UTF-8.
#[derive(Default)]
struct Plain {
    breaths: Cell<usize>,
}

impl Host for Plain {
    fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        String::from_utf8_lossy(bytes)
    }

    fn encoded<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        Cow::Borrowed(text.as_bytes())
    }

    fn number_text(&self, number: &[u8]) -> Result<String, Problem> {
        let (length, text) = number.split_first_chunk::<WORD>().ok_or_else(damaged)?;
        if u32::from_ne_bytes(*length) as usize != number.len() {
            return Err(damaged());
        }
        String::from_utf8(text.to_vec()).map_err(|_| damaged())
    }

    fn number(&self, text: &str) -> Result<Vec<u8>, Problem> {
        let length = (text.len() + WORD) as u32;
        Ok([length.to_ne_bytes().as_slice(), text.as_bytes()].concat())
    }

    fn container_text(&self, container: &[u8]) -> String {
        decoded(container).to_text()
    }

    fn breathe(&self) {
        self.breaths.set(self.breaths.get() + 1);
    }
}

/// A document as PostgreSQL's convertToJsonb lays it out.
fn encoded(value: &Json) -> Vec<u8> {
    let mut out = Vec::new();
    match value {
        Json::Object(_) | Json::Array(_) => drop(encode(value, &mut out)),
        scalar => container(Around::Scalar, 1, &[Part::Value(scalar)], &mut out),
    }
    out
}

enum Part<'a> {
    Key(&'a str),
    Value(&'a Json),
}

fn container(shape: Around, count: usize, parts: &[Part<'_>], out: &mut Vec<u8>) {
    out.extend(shape.header(count));
    let entries = out.len();
    out.resize(entries + parts.len() * WORD, 0);
    let data = out.len();
    for (place, part) in parts.iter().enumerate() {
        let begin = out.len();
        let kind = match part {
            Part::Key(key) => {
                out.extend(key.bytes());
                Shape::Text
            }
            Part::Value(value) => encode(value, out),
        };
        let entry = if place % STRIDE == 0 {
            Entry::with_end(kind, out.len() - data)
        } else {
            Entry::with_length(kind, out.len() - begin)
        };
        out[entries + place * WORD..][..WORD].copy_from_slice(&entry.bytes());
    }
}

fn encode(value: &Json, out: &mut Vec<u8>) -> Shape {
    match value {
        Json::Null => Shape::Null,
        Json::Bool(false) => Shape::False,
        Json::Bool(true) => Shape::True,
        Json::Number(number) => {
            out.resize(aligned(out.len()), 0);
            out.extend(Plain::default().number(number).unwrap());
            Shape::Number
        }
        Json::String(text) => {
            out.extend(text.bytes());
            Shape::Text
        }
        Json::Array(elements) => {
            out.resize(aligned(out.len()), 0);
            let parts: Vec<_> = elements.iter().map(Part::Value).collect();
            container(Around::Array, elements.len(), &parts, out);
            Shape::Container
        }
        Json::Object(members) => {
            out.resize(aligned(out.len()), 0);
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|(one, _), (other, _)| key_order(one, other));
            let keys = members.iter().map(|(key, _)| Part::Key(key));
            let values = members.iter().map(|(_, value)| Part::Value(value));
            let parts: Vec<_> = keys.chain(values).collect();
            container(Around::Object, members.len(), &parts, out);
            Shape::Container
        }
    }
}

/// Reads what [`encoded`] wrote.
fn decoded(document: &[u8]) -> Json {
    let container = layout::Container::read(document, 0, document.len()).unwrap();
    let mut at = container.data;
    let (keys, values) = container.keys_and_values();
    let mut parts = Vec::new();
    for bytes in keys.iter().chain(values) {
        let entry = layout::entry(*bytes);
        let end = container.end_of(entry, at).unwrap();
        let begin = if entry.kind().unwrap().is_aligned() {
            aligned(at)
        } else {
            at
        };
        let data = &document[begin..end];
        parts.push(match entry.kind().unwrap() {
            Shape::Text => Json::String(String::from_utf8(data.to_vec()).unwrap()),
            Shape::Number => Json::Number(Plain::default().number_text(data).unwrap()),
            Shape::False => Json::Bool(false),
            Shape::True => Json::Bool(true),
            Shape::Null => Json::Null,
            Shape::Container => decoded(data),
        });
        at = end;
    }
    match container.shape {
        Around::Object => {
            let values = parts.split_off(container.count);
            let keys = parts.into_iter().map(|key| match key {
                Json::String(key) => key,
                other => panic!("{other:?} is no key"),
            });
            Json::Object(keys.zip(values).collect())
        }
        Around::Array => Json::Array(parts),
        Around::Scalar => parts.remove(0),
    }
}

fn keys() -> Keys {
    Keys::current(HmacKey::new("k1", [7; KEY_LENGTH]).unwrap())
}

fn redactor(rules: &Value) -> Redactor {
    Redactor::new(&Rules::parse(rules, &|_| Ok(())).unwrap()).unwrap()
}

/// The redacted bytes; None where there is nothing to redact.
fn walked(redactor: &Redactor, document: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
    let mut out = b"left behind".to_vec();
    let changed = redactor.redact(document, &keys(), &Plain::default(), &mut out)?;
    assert!(changed || out.is_empty());
    Ok(changed.then_some(out))
}

fn nested(levels: usize) -> Json {
    (0..levels).fold(Json::Null, |inner, level| match level % 2 {
        0 => Json::Array(vec![inner]),
        _ => Json::Object(vec![("other".to_owned(), inner)]),
    })
}

/// Byte by byte: lengths, ends, alignment, order.
#[test]
fn the_bytes_are_those_of_the_document_that_the_definitions_give() {
    let extent = Extent {
        tokens: true,
        kinds: true,
    };
    let mut source = Source::new(45);
    let mut changed = 0;
    for _ in 0..600 {
        let rules = arbitrary::rules(&mut source, extent);
        let redactor = Redactor::new(&rules).unwrap();
        for _ in 0..4 {
            let document = arbitrary::document(&mut source, 5);
            let bytes = encoded(&document);
            assert_eq!(decoded(&bytes).to_text(), document.to_text());
            let expected = reference::redact(&document, &rules, &keys(), 5).unwrap();
            let found = walked(&redactor, &bytes).unwrap();
            changed += usize::from(found.is_some());
            let found = found.unwrap_or_else(|| bytes.clone());
            assert!(
                found == encoded(&expected),
                "{rules:?}\n{}\nexpected {}\nfound    {}",
                document.to_text(),
                expected.to_text(),
                decoded(&found).to_text()
            );
            let again = walked(&redactor, &found).unwrap();
            assert!(
                again.is_none_or(|again| again == found),
                "not idempotent: {rules:?} {}",
                document.to_text()
            );
        }
    }
    assert!(
        (700..2_250).contains(&changed),
        "{changed}: too one-sided to mean anything"
    );
}

#[test]
fn what_is_not_redacted_is_not_copied() {
    let document = encoded(&Json::Object(vec![
        ("rate".to_owned(), Json::Number("0.10".to_owned())),
        ("stops".to_owned(), Json::Array(vec![nested(3)])),
    ]));
    for rules in [
        json!({}),
        json!({"fields": ["phone"]}),
        json!({"paths": ["$.stops[3]"]}),
        json!({"kinds": ["email"]}),
    ] {
        assert_eq!(walked(&redactor(&rules), &document), Ok(None), "{rules}");
    }
}

#[test]
fn a_scalar_is_no_place_but_has_a_value() {
    let email = encoded(&Json::String("ada@example.com".to_owned()));
    for rules in [
        json!({"paths": ["$[0]", "$.*", "$..*"]}),
        json!({"fields": ["a"]}),
    ] {
        assert_eq!(walked(&redactor(&rules), &email), Ok(None), "{rules}");
    }
    let found = walked(&redactor(&json!({"kinds": ["email"]})), &email).unwrap();
    assert_eq!(found, Some(encoded(&Json::String("[REDACTED]".to_owned()))));
}

#[test]
fn what_is_too_deep_is_refused_and_a_walker_breathes_on_its_way() {
    // Without optimization a level takes more of the stack than a test's thread has.
    let deep = std::thread::Builder::new().stack_size(64 * 1024 * 1024);
    deep.spawn(refuse_what_is_too_deep).unwrap().join().unwrap();
    let redactor = redactor(&json!({"fields": ["phone"]}));
    let host = Plain::default();
    let document = encoded(&Json::Array(vec![Json::Null; 100_000]));
    let mut out = Vec::new();
    redactor.redact(&document, &keys(), &host, &mut out).unwrap();
    assert!(host.breaths.get() > 0);
}

fn refuse_what_is_too_deep() {
    let redactor = redactor(&json!({"fields": ["phone"]}));
    assert_eq!(walked(&redactor, &encoded(&nested(DEPTH_LIMIT))), Ok(None));
    for levels in [DEPTH_LIMIT + 1, 2 * DEPTH_LIMIT] {
        let problem = walked(&redactor, &encoded(&nested(levels))).unwrap_err();
        assert_eq!(problem, reference::too_deep(DEPTH_LIMIT));
        assert_eq!(problem.kind, Kind::TooMuch);
    }
}

#[test]
fn what_is_too_large_is_refused() {
    let document = vec![0; SIZE_LIMIT + 1];
    let problem = walked(&redactor(&json!({"fields": ["a"]})), &document).unwrap_err();
    assert_eq!(problem.kind, Kind::TooMuch);
    // A million zeros that become a kilobyte each.
    let zeros = encoded(&Json::Array(vec![Json::Number("0".to_owned()); 1_000_000]));
    let rules = json!({"paths": ["$[*]"], "mode": {"mode": "replace", "with": "x".repeat(1_000)}});
    let problem = walked(&redactor(&rules), &zeros).unwrap_err();
    assert_eq!(problem.kind, Kind::TooMuch);
    assert!(problem.detail.is_some() && problem.hint.is_some());
}

#[test]
fn damaged_bytes_are_an_error_and_no_crash() {
    let extent = Extent {
        tokens: true,
        kinds: true,
    };
    let mut source = Source::new(46);
    let (mut refused, mut read) = (0, 0);
    for _ in 0..4_000 {
        let redactor = Redactor::new(&arbitrary::rules(&mut source, extent)).unwrap();
        let mut bytes = encoded(&arbitrary::document(&mut source, 3));
        for _ in 0..1 + source.below(4) {
            let place = source.below(bytes.len());
            match source.below(3) {
                0 => bytes[place] ^= 1 << source.below(8),
                1 => bytes[place] = source.number() as u8,
                _ => bytes.truncate(place.max(1)),
            }
        }
        // A token of a damaged part is made of whatever the server reads there.
        if redactor.needs_key() {
            continue;
        }
        match walked(&redactor, &bytes) {
            Ok(_) => read += 1,
            Err(problem) => refused += usize::from(problem.kind == Kind::Damaged),
        }
        let _ = detect::detect(&bytes, &Plain::default(), &mut |_, _| {});
    }
    assert!(refused > 200 && read > 200, "{refused} {read}");
}

#[test]
fn detection_tells_paths_that_rules_take() {
    let text = |text: &str| Json::String(text.to_owned());
    let document = Json::Object(vec![
        ("mail".to_owned(), text("ada@example.com or bob@example.com")),
        (
            "stops".to_owned(),
            Json::Array(vec![
                Json::Null,
                Json::Object(vec![(
                    "a 'b' \\ \u{1}".to_owned(),
                    text("4111111111111111 ada@example.com"),
                )]),
            ]),
        ),
        ("phone".to_owned(), Json::Number("4155550132".to_owned())),
        ("load".to_owned(), Json::Number("4155550132".to_owned())),
        (
            "raw".to_owned(),
            text("{\"x\": [\"ada\\u0040example.com\"], \"phone\": 4155550132}"),
        ),
    ]);
    let mut found = Vec::new();
    detect::detect(&encoded(&document), &Plain::default(), &mut |path, kind| {
        found.push((path.to_owned(), kind));
    })
    .unwrap();
    let odd = "$.stops[1]['a \\'b\\' \\\\ \\u0001']".to_owned();
    let expected = [
        ("$.raw".to_owned(), Pii::Email),
        ("$.raw".to_owned(), Pii::Phone),
        ("$.mail".to_owned(), Pii::Email),
        ("$.phone".to_owned(), Pii::Phone),
        (odd.clone(), Pii::PaymentCard),
        (odd, Pii::Email),
    ];
    assert_eq!(found, expected);
    let paths: Vec<&String> = found.iter().map(|(path, _)| path).collect();
    let mut unique = paths.clone();
    unique.dedup();
    let cleaned = walked(
        &redactor(&json!({"paths": unique, "mode": "remove"})),
        &encoded(&document),
    );
    let left = decoded(&cleaned.unwrap().unwrap());
    assert_eq!(left.to_text(), "{\"load\": 4155550132, \"stops\": [null, {}]}");
}

#[test]
fn detection_of_a_document_that_is_a_text_tells_the_root() {
    let mut found = Vec::new();
    let document = encoded(&Json::String("ada@example.com".to_owned()));
    detect::detect(&document, &Plain::default(), &mut |path, kind| {
        found.push((path.to_owned(), kind));
    })
    .unwrap();
    assert_eq!(found, [("$".to_owned(), Pii::Email)]);
}
