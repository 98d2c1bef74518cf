#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::redact::jsonb::DEPTH_LIMIT;
use crate::redact::token::{HmacKey, KEY_LENGTH};

fn keys() -> Keys {
    Keys::current(HmacKey::new("k1", [7; KEY_LENGTH]).unwrap())
}

fn token(text: &str) -> String {
    keys().for_tokens().unwrap().token(text)
}

fn by_value(mode: &Value) -> ByValue {
    let kinds: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    let rules = Rules::parse(&json!({"kinds": kinds, "mode": mode}), &|_| Ok(())).unwrap();
    ByValue::new(&rules).unwrap().unwrap()
}

/// Redacts a text, and again.
fn text_with(by_value: &ByValue, key: &str, text: &str) -> String {
    let once = match by_value.text(key, text, &keys()).unwrap() {
        Put::Unchanged => return text.to_owned(),
        Put::Text(text) => text.into_owned(),
        put => panic!("{put:?} is no text"),
    };
    let again = by_value.text(key, &once, &keys()).unwrap();
    assert_eq!(again, Put::Unchanged, "not idempotent: {text}");
    once
}

fn replaced_text(key: &str, value: &str) -> String {
    text_with(&ByValue::replacing(Kinds::all()), key, value)
}

#[test]
fn only_the_piece_goes() {
    assert_eq!(
        replaced_text("", "Ask ada@example.com, or call +49 30 901820."),
        "Ask [REDACTED], or call [REDACTED]."
    );
    assert_eq!(replaced_text("", "load 4521, dock 7"), "load 4521, dock 7");
    assert_eq!(replaced_text("", ""), "");
}

#[test]
fn only_the_kinds_that_are_named() {
    let emails = ByValue::replacing([Kind::Email].into_iter().collect());
    assert_eq!(
        text_with(&emails, "", "ada@example.com +49 30 901820"),
        "[REDACTED] +49 30 901820"
    );
}

#[test]
fn a_key_says_what_a_number_is() {
    let all = ByValue::replacing(Kinds::all());
    for (key, is_one) in [
        ("phone", true),
        ("driverPhone", true),
        ("Customer-Phone", true),
        ("load", false),
        ("", false),
        ("x", false),
    ] {
        assert_eq!(replaced_text(key, "4155550132") == "[REDACTED]", is_one, "{key}");
        let put = all.number(key, "4155550132", &keys()).unwrap();
        assert_eq!(put != Put::Unchanged, is_one, "{key}");
    }
    // A key that holds personal data itself is no value.
    assert_eq!(replaced_text("ada@example.com", "x"), "x");
    assert_eq!(replaced_text("v", "10.20.30.40"), "[REDACTED]");
}

#[test]
fn every_mode_by_value() {
    let mail = "to ada@example.com!";
    for (mode, expected) in [
        (json!("replace"), "to [REDACTED]!".to_owned()),
        (json!({"mode": "replace", "with": "me"}), "to me!".to_owned()),
        (json!({"mode": "replace", "with": null}), "to null!".to_owned()),
        (json!("remove"), "to !".to_owned()),
        (json!("partial"), "to ***********.com!".to_owned()),
        (json!("hmac"), format!("to {}!", token("\"ada@example.com\""))),
    ] {
        assert_eq!(text_with(&by_value(&mode), "", mail), expected, "{mode}");
    }
    let null = by_value(&json!({"mode": "replace", "with": null}));
    assert_eq!(
        null.text("", "ada@example.com", &keys()),
        Ok(Put::Given(&Scalar::Null))
    );
    let card = "4111111111111111";
    for (mode, expected) in [
        (json!("remove"), Put::Removed),
        (json!("partial"), Put::Text(Cow::Borrowed("************1111"))),
        (json!("hmac"), Put::Text(Cow::Owned(token(card)))),
    ] {
        assert_eq!(by_value(&mode).number("", card, &keys()), Ok(expected), "{mode}");
    }
}

#[test]
fn what_is_still_found_goes_too() {
    // Half of the address is an address, and the replacement is one.
    let partial = by_value(&json!({"mode": "partial", "keep_last": 64}));
    let text = text_with(&partial, "", "first.second.third.fourth@b.co");
    assert!(!text.contains("@b.co"), "{text}");
    let with = by_value(&json!({"mode": "replace", "with": "mail bob@example.com"}));
    assert_eq!(text_with(&with, "", "to ada@example.com"), "to mail [REDACTED]");
}

#[test]
fn json_in_a_text_stays_json() {
    for (text, expected) in [
        (
            r#"{"to": "ada@example.com", "n": 1e400}"#,
            r#"{"to": "[REDACTED]", "n": 1e400}"#,
        ),
        (r#"{"to": "ada\u0040example.com"}"#, r#"{"to": "[REDACTED]"}"#),
        (
            r#" [ "say \"ada@example.com\"" ] "#,
            r#" [ "say \"[REDACTED]\"" ] "#,
        ),
        (r#"{"card": 4111111111111111 }"#, r#"{"card": "[REDACTED]" }"#),
        (
            r#"{"phone": ["4155550132", {"load": 4155550132}, 4155550132]}"#,
            r#"{"phone": ["[REDACTED]", {"load": 4155550132}, "[REDACTED]"]}"#,
        ),
        (
            r#"{"raw": "{\"to\": \"ada@example.com\"}"}"#,
            r#"{"raw": "{\"to\": \"[REDACTED]\"}"}"#,
        ),
        (r#""ada@example.com""#, r#""[REDACTED]""#),
        // Keys stay, and so does half of a surrogate pair.
        (r#"{"ada@example.com": 1}"#, r#"{"ada@example.com": 1}"#),
        (r#"["\ud800 ada@example.com"]"#, r#"["\\ud800 [REDACTED]"]"#),
        // No JSON after all.
        (r#"{"to": "ada@example.com""#, r#"{"to": "[REDACTED]""#),
        ("[see] ada@example.com", "[see] [REDACTED]"),
    ] {
        assert_eq!(replaced_text("", text), expected);
    }
    let removing = by_value(&json!("remove"));
    assert_eq!(
        text_with(&removing, "", r#"{"card": 4111111111111111}"#),
        r#"{"card": null}"#
    );
    let quoting = by_value(&json!({"mode": "replace", "with": "\"\\"}));
    assert_eq!(text_with(&quoting, "", r#"["ada@example.com"]"#), r#"["\"\\"]"#);
}

#[test]
fn json_in_a_text_may_not_be_too_deep() {
    let nested = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    assert_eq!(replaced_text("", &nested(DEPTH_LIMIT)), nested(DEPTH_LIMIT));
    let all = ByValue::replacing(Kinds::all());
    assert!(all.text("", &nested(DEPTH_LIMIT + 1), &keys()).is_err());
    assert!(all.look_into_text("", &nested(100_000), &mut |_| {}).is_err());
    // Each level doubles the backslashes of the one inside: few fit into a document.
    let mut inside = "ada@example.com".to_owned();
    for _ in 0..16 {
        inside = json!([inside]).to_string();
    }
    assert!(!replaced_text("", &inside).contains("ada@example.com"));
}

#[test]
fn a_text_may_not_be_too_large() {
    let all = ByValue::replacing(Kinds::all());
    let text = " ".repeat(TEXT_LIMIT + 1);
    let problem = all.text("", &text, &keys()).unwrap_err();
    assert_eq!(problem.kind, problem::Kind::TooMuch);
    assert_eq!(all.look_into_text("", &text, &mut |_| {}), Err(problem));
}

#[test]
fn looking_tells_each_kind() {
    let mut seen = Vec::new();
    let all = ByValue::replacing(Kinds::all());
    all.look_into_text(
        "note",
        r#"{"a": "ada@example.com 4111111111111111", "phone": 4155550132}"#,
        &mut |kind| seen.push(kind),
    )
    .unwrap();
    all.look_into_number("phone", "4155550132", &mut |kind| seen.push(kind));
    assert_eq!(seen, [Kind::Email, Kind::PaymentCard, Kind::Phone, Kind::Phone]);
}

#[test]
fn unknown_kinds_are_an_error_and_none_is_nothing() {
    let rules = Rules::parse(&json!({"kinds": ["passport"]}), &|_| Ok(())).unwrap();
    assert!(ByValue::new(&rules).is_err());
    assert_eq!(ByValue::new(&Rules::default()), Ok(None));
}
