#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::redact::token::{HmacKey, KEY_LENGTH};

/// Numbers that serde_json reads exactly.
fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(number) => Json::Number(number.to_string()),
        Value::String(text) => Json::String(text.clone()),
        Value::Array(elements) => Json::Array(elements.iter().map(json).collect()),
        Value::Object(members) => Json::Object(
            members
                .iter()
                .map(|(key, value)| (key.clone(), json(value)))
                .collect(),
        ),
    }
}

fn rules(document: &Value) -> Rules {
    Rules::parse(document, &|_| Ok(())).unwrap()
}

fn keys() -> Keys {
    Keys::current(HmacKey::new("k1", [7; KEY_LENGTH]).unwrap())
}

fn token(text: &str) -> String {
    keys().for_tokens().unwrap().token(text)
}

/// Redacts, and again: what is redacted stays as it is.
fn redacted(document: &Value, with: &Value) -> Json {
    let rules = rules(with);
    let once = redact(&json(document), &rules, &keys(), 100).unwrap();
    assert_eq!(
        redact(&once, &rules, &keys(), 100).as_ref(),
        Ok(&once),
        "{document} {with}"
    );
    once
}

#[test]
fn fields_are_found_at_any_depth_and_in_every_spelling() {
    let document = json!({
        "customerName": "Ada",
        "load": {"stops": [{"Customer-Name": "Bob", "zip": 1}, [{"CUSTOMER NAME": null}]]},
        "customer": {"name": "Cid"},
        "customer_names": ["Dan"],
        "customer_name": {"first": "Eve", "customer_name": "x"},
    });
    let expected = json!({
        "customerName": "[REDACTED]",
        "load": {"stops": [{"Customer-Name": "[REDACTED]", "zip": 1}, [{"CUSTOMER NAME": "[REDACTED]"}]]},
        "customer": {"name": "Cid"},
        "customer_names": ["Dan"],
        "customer_name": "[REDACTED]",
    });
    assert_eq!(
        redacted(&document, &json!({"fields": ["customer_name"]})),
        json(&expected)
    );
}

#[test]
fn paths_select_what_rfc_9535_says() {
    let document = json!({
        "a": {"b": "1", "B": "2", "a": {"b": "3"}},
        "list": ["4", {"b": "5"}, ["6", "7"]],
        "b": "8",
    });
    for (path, expected) in [
        ("$.b", &["8"][..]),
        ("$.a.b", &["1"]),
        ("$['a']['B']", &["2"]),
        ("$..b", &["1", "3", "5", "8"]),
        ("$.a..b", &["1", "3"]),
        ("$..a.b", &["1", "3"]),
        ("$..a..b", &["1", "3"]),
        ("$.list[0]", &["4"]),
        ("$.list[-1]", &["6", "7"]),
        ("$.list[-1][1]", &["7"]),
        ("$.list[3]", &[]),
        ("$.list[-4]", &[]),
        ("$.list.*", &["4", "5", "6", "7"]),
        ("$.list[*].b", &["5"]),
        ("$.list[*][*]", &["5", "6", "7"]),
        ("$..[0]", &["4", "6"]),
        ("$..[-1]", &["6", "7"]),
        ("$.*.b", &["1"]),
        ("$.*.*.b", &["3", "5"]),
        ("$.*", &["1", "2", "3", "4", "5", "6", "7", "8"]),
        ("$..*", &["1", "2", "3", "4", "5", "6", "7", "8"]),
        ("$..*..*", &["1", "2", "3", "4", "5", "6", "7"]),
        ("$.a[0]", &[]),
        ("$.list.b", &[]),
        ("$.b.b", &[]),
        ("$[0]", &[]),
    ] {
        let text = redacted(&document, &json!({"paths": [path], "mode": "remove"})).to_text();
        let gone: Vec<String> = (1..=8)
            .map(|number| number.to_string())
            .filter(|value| !text.contains(&format!("\"{value}\"")))
            .collect();
        assert_eq!(gone, expected, "{path}: {text}");
    }
}

#[test]
fn what_is_put_in_a_place() {
    let gone = "[REDACTED]";
    let document =
        json!({"a": "4111111111111111", "n": 12345678, "o": {"x": [1, null]}, "t": true, "z": null, "k": 1});
    for (mode, expected) in [
        (
            json!("replace"),
            json!({"a": gone, "n": gone, "o": gone, "t": gone, "z": gone, "k": 1}),
        ),
        (
            json!({"mode": "replace", "with": 0}),
            json!({"a": 0, "n": 0, "o": 0, "t": 0, "z": 0, "k": 1}),
        ),
        (json!("remove"), json!({"k": 1})),
        (
            json!("partial"),
            json!({"a": "************1111", "n": "****5678", "o": gone, "t": gone, "z": gone, "k": 1}),
        ),
        (
            json!("hmac"),
            json!({
                "a": token("\"4111111111111111\""), "n": token("12345678"), "o": token("{\"x\": [1, null]}"),
                "t": token("true"), "z": token("null"), "k": 1
            }),
        ),
    ] {
        let rules = json!({"fields": ["a", "n", "o", "t", "z"], "mode": mode});
        assert_eq!(redacted(&document, &rules), json(&expected), "{mode}");
    }
}

#[test]
fn the_stricter_rule_wins_and_among_equals_the_first() {
    for (rules, expected) in [
        (
            json!({"fields": ["a"], "mode": "partial", "rules": [{"path": "$.a", "mode": "hmac"}]}),
            Some(token("\"secret\"")),
        ),
        (
            json!({"fields": ["a"], "mode": "hmac", "rules": [{"path": "$.a", "mode": "partial"}]}),
            Some(token("\"secret\"")),
        ),
        (
            json!({"fields": ["a"], "mode": "hmac", "rules": [{"path": "$.a", "mode": "replace"}]}),
            Some("[REDACTED]".to_owned()),
        ),
        (
            json!({"fields": ["a"], "rules": [{"path": "$.a", "mode": "remove"}]}),
            None,
        ),
        (
            json!({"paths": ["$.*"], "mode": "remove", "rules": [{"path": "$..a", "mode": "replace"}]}),
            None,
        ),
        (
            json!({
                "paths": ["$.a"],
                "mode": "partial",
                "rules": [{"path": "$..a", "mode": {"mode": "partial", "keep_last": 1}}],
            }),
            Some("*****t".to_owned()),
        ),
        (
            json!({"rules": [
                {"path": "$.a", "mode": {"mode": "replace", "with": "one"}},
                {"field": "a", "mode": {"mode": "replace", "with": "two"}},
            ]}),
            Some("one".to_owned()),
        ),
        (
            json!({"fields": ["a"], "rules": [{"path": "$.a", "mode": {"mode": "replace", "with": "two"}}]}),
            Some("[REDACTED]".to_owned()),
        ),
    ] {
        let members = expected.map(|text| ("a".to_owned(), Json::String(text)));
        let expected = Json::Object(members.into_iter().collect());
        assert_eq!(redacted(&json!({"a": "secret"}), &rules), expected, "{rules}");
    }
}

#[test]
fn a_container_goes_as_a_whole_whatever_is_said_of_what_it_holds() {
    let rules =
        json!({"fields": ["outer"], "mode": "partial", "rules": [{"field": "inner", "mode": "remove"}]});
    let document = json!({"outer": {"inner": 1, "other": 2}, "free": {"inner": 1, "other": 2}});
    let expected = json!({"outer": "[REDACTED]", "free": {"other": 2}});
    assert_eq!(redacted(&document, &rules), json(&expected));
}

#[test]
fn elements_that_are_taken_out_keep_the_places_of_the_others() {
    for (path, document, expected) in [
        ("$[0]", json!([1, 2, 3]), json!([null, 2, 3])),
        ("$[-1]", json!([1, 2, 3]), json!([1, 2, null])),
        ("$[*].a", json!([{"a": 1}, {"b": 2}]), json!([{}, {"b": 2}])),
        ("$[*]", json!([1, [2], {"a": 3}]), json!([])),
        ("$.a[*]", json!({"a": [1, 2], "b": []}), json!({"a": [], "b": []})),
        ("$[0]", json!([1]), json!([])),
        ("$[0]", json!([]), json!([])),
        ("$[0]", json!([[1]]), json!([])),
        ("$[0][0]", json!([[1], [2]]), json!([[], [2]])),
    ] {
        let rules = json!({"paths": [path], "mode": "remove"});
        assert_eq!(redacted(&document, &rules), json(&expected), "{path} {document}");
    }
}

#[test]
fn what_no_rule_names_stays_to_the_last_digit() {
    let number = |text: &str| Json::Number(text.to_owned());
    let text = |text: &str| Json::String(text.to_owned());
    let document = Json::Object(vec![
        ("zz".to_owned(), number("1e400")),
        ("b".to_owned(), number("0.10")),
        ("a".to_owned(), number("123456789012345678901234567890")),
        ("".to_owned(), text("\u{1f600}\\ \" \u{1} é")),
        ("o".to_owned(), Json::Object(Vec::new())),
        (
            "l".to_owned(),
            Json::Array(vec![Json::Array(Vec::new()), Json::Null, Json::Bool(false)]),
        ),
    ]);
    let with = json!({"fields": ["phone"], "paths": ["$..x", "$[3]"]});
    assert_eq!(redact(&document, &rules(&with), &keys(), 3), Ok(document.clone()));
    for scalar in [Json::Null, number("1e400"), text("")] {
        let with = json!({"fields": ["phone"], "paths": ["$.*", "$..*"]});
        assert_eq!(redact(&scalar, &rules(&with), &keys(), 0), Ok(scalar.clone()));
    }
}

#[test]
fn a_document_that_is_too_deep_is_refused() {
    let nested = |levels: usize| -> Json {
        (0..levels).fold(Json::Null, |inner, level| match level % 2 {
            0 => Json::Array(vec![inner]),
            _ => Json::Object(vec![("phone".to_owned(), inner)]),
        })
    };
    let rules = rules(&json!({"paths": ["$.x"]}));
    for levels in [0, 1, 2, 100] {
        assert_eq!(
            redact(&nested(levels), &rules, &keys(), levels),
            Ok(nested(levels))
        );
    }
    for (levels, limit) in [(1, 0), (101, 100), (2_000, 100)] {
        let problem = redact(&nested(levels), &rules, &keys(), limit).unwrap_err();
        assert!(
            problem.message.contains(&format!("deeper than {limit} levels")),
            "{problem}"
        );
        assert!(problem.detail.is_some() && problem.hint.is_some());
    }
}

#[test]
fn rules_that_make_tokens_need_a_key_whatever_the_document() {
    let rules = rules(&json!({"fields": ["a"], "mode": "hmac"}));
    assert!(redact(&json(&json!({"b": 1})), &rules, &Keys::none(), 9).is_err());
}

#[test]
fn equal_values_stay_joinable_and_old_tokens_stay() {
    let old = HmacKey::new("k0", [1; KEY_LENGTH]).unwrap().token("\"x\"");
    let document = json!({"a": "x", "b": {"a": "x"}, "c": [{"A": "y"}, {"a": old}]});
    let rules = json!({"fields": ["a"], "mode": "hmac"});
    let (x, y) = (token("\"x\""), token("\"y\""));
    let expected = json!({"a": x, "b": {"a": x}, "c": [{"A": y}, {"a": old}]});
    assert_eq!(redacted(&document, &rules), json(&expected));
}

/// As `'{"bb": 1, "a": [true, {}], "c": "x\"y"}'::jsonb::text` gives it.
#[test]
fn text_is_written_as_jsonb_writes_it() {
    let document = json(&json!({"bb": 1, "c": "x\"y", "a": [true, {}, [], null]}));
    assert_eq!(
        document.to_text(),
        r#"{"a": [true, {}, [], null], "c": "x\"y", "bb": 1}"#
    );
}
