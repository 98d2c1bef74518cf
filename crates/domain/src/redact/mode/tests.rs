#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::redact::token::{HmacKey, KEY_LENGTH};

fn keys() -> Keys {
    Keys::current(HmacKey::new("k1", [7; KEY_LENGTH]).unwrap())
}

fn text(put: Put<'_>) -> String {
    match put {
        Put::Text(text) => text.into_owned(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn partial_keeps_the_end_and_never_more_than_half() {
    for (value, keep_last, expected) in [
        ("4111111111111111", 4, "************1111"),
        ("4111111111111111", 0, "****************"),
        ("4111111111111111", u32::MAX, "********11111111"),
        ("12345678", 4, "****5678"),
        ("1234567", 4, "****567"),
        ("12", 4, "*2"),
        ("1", 4, "*"),
        ("", 4, ""),
        ("Zoë", 4, "**ë"),
        ("\u{1f600}\u{1f600}ab", 2, "**ab"),
        ("****5678", 4, "****5678"),
        ("****", 4, "****"),
    ] {
        let mode = Mode::Partial { keep_last };
        let once = text(mode.put(Found::Text(value), &Keys::none()).unwrap());
        assert_eq!(once, expected, "{value}");
        let twice = text(mode.put(Found::Text(&once), &Keys::none()).unwrap());
        assert_eq!(twice, once);
        // A number is masked like its text, and becomes one.
        let number = mode.put(Found::Number(value), &Keys::none()).unwrap();
        assert_eq!(text(number), expected);
    }
}

#[test]
fn partial_replaces_what_has_no_end() {
    let mode = Mode::Partial { keep_last: 4 };
    let container = || -> String { panic!("the text is not needed") };
    for found in [
        Found::Null,
        Found::Bool(true),
        Found::Bool(false),
        Found::Container(&container),
    ] {
        assert_eq!(text(mode.put(found, &Keys::none()).unwrap()), REDACTED);
    }
    assert_eq!(mode.put(Found::Text(REDACTED), &Keys::none()), Ok(Put::Unchanged));
}

#[test]
fn a_token_is_made_from_the_text_that_jsonb_prints() {
    let container = || "{\"a\": [1, 2]}".to_owned();
    let mut tokens = Vec::new();
    for (found, json_text) in [
        (Found::Null, "null"),
        (Found::Bool(true), "true"),
        (Found::Bool(false), "false"),
        (Found::Number("1"), "1"),
        (Found::Number("1.0"), "1.0"),
        (Found::Text("1"), "\"1\""),
        (Found::Text("null"), "\"null\""),
        (Found::Text("a\n\"é"), "\"a\\n\\\"é\""),
        (Found::Container(&container), "{\"a\": [1, 2]}"),
        (Found::Text("{\"a\": [1, 2]}"), "\"{\\\"a\\\": [1, 2]}\""),
    ] {
        let token = text(Mode::Hmac.put(found, &keys()).unwrap());
        assert_eq!(token, keys().for_tokens().unwrap().token(json_text));
        assert_eq!(Mode::Hmac.put(Found::Text(&token), &keys()), Ok(Put::Unchanged));
        tokens.push(token);
    }
    let count = tokens.len();
    tokens.sort();
    tokens.dedup();
    assert_eq!(tokens.len(), count, "different values, different tokens");
    assert_eq!(Mode::Hmac.put(Found::Text(REDACTED), &keys()), Ok(Put::Unchanged));
    assert!(Mode::Hmac.put(Found::Null, &Keys::none()).is_err());
}

#[test]
fn replace_and_remove_do_not_look_at_the_value() {
    let container = || -> String { panic!("the text is not needed") };
    let number = Scalar::Number("0".to_owned());
    for found in [
        Found::Null,
        Found::Bool(true),
        Found::Number("1"),
        Found::Text("a"),
        Found::Container(&container),
    ] {
        assert_eq!(Mode::Remove.put(found, &Keys::none()), Ok(Put::Removed));
        let expected = Scalar::Text("[REDACTED]".to_owned());
        assert_eq!(
            Mode::default().put(found, &Keys::none()),
            Ok(Put::Given(&expected))
        );
        let mode = Mode::Replace(number.clone());
        assert_eq!(mode.put(found, &Keys::none()), Ok(Put::Given(&number)));
    }
}

#[test]
fn the_mode_that_leaves_less_is_stricter() {
    let ordered = [
        Mode::Remove,
        Mode::default(),
        Mode::Hmac,
        Mode::Partial { keep_last: 0 },
        Mode::Partial { keep_last: 4 },
    ];
    for (place, mode) in ordered.iter().enumerate() {
        for (other_place, other) in ordered.iter().enumerate() {
            assert_eq!(
                mode.is_stricter_than(other),
                place < other_place,
                "{mode:?} {other:?}"
            );
        }
    }
    assert!(!Mode::Replace(Scalar::Null).is_stricter_than(&Mode::default()));
}
