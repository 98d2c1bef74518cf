//! Options that are accepted with their defaults; options that are refused in words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;
use crate::arbitrary::Source;
use crate::problem::Kind;

/// Valid options with one member added or replaced.
fn with(name: &str, value: Value) -> Value {
    let mut options = json!({"url": "https://a.example/hush"});
    options[name] = value;
    options
}

fn refused(name: &str, value: Value) -> Problem {
    parse_http(&with(name, value)).unwrap_err()
}

#[test]
fn a_url_is_all_that_is_needed() {
    let options = parse_http(&json!({"url": "https://a.example/hush"})).unwrap();
    assert_eq!(options.url, "https://a.example/hush");
    assert_eq!(options.endpoint, endpoint::parse(&options.url).unwrap());
    assert_eq!(options.method, "POST");
    assert_eq!(options.headers, []);
    assert_eq!(options.timeout_ms, 15_000);
    assert_eq!(options.max_concurrency, 32);
    assert_eq!(options.retry, RetryPolicy::default());
    assert!(!options.allow_private_network);
}

#[test]
fn every_option_of_this_release_is_read() {
    let options = parse_http(&json!({
        "url": "http://n8n:5678/webhook/hush",
        "method": "PUT",
        "headers": {"X-Key": "hush"},
        "timeout_ms": 30_000.0,
        "max_concurrency": 4,
        "retry": {"base_ms": 10, "factor": 1.5, "max_ms": 20, "jitter": 1},
        "allow_private_network": true,
    }))
    .unwrap();
    assert_eq!(options.method, "PUT");
    assert_eq!(options.headers, [("x-key".to_owned(), "hush".to_owned())]);
    assert_eq!(options.timeout_ms, 30_000);
    assert_eq!(options.max_concurrency, 4);
    let retry = RetryPolicy {
        base_ms: 10,
        factor: 1.5,
        max_ms: 20,
        jitter: 1.0,
    };
    assert_eq!(options.retry, retry);
    assert!(options.allow_private_network);
    assert!(!format!("{options:?}").contains("hush"));
    let partial = parse_http(&with("retry", json!({"factor": 3}))).unwrap().retry;
    assert_eq!((partial.base_ms, partial.factor), (1000, 3.0));
}

#[test]
fn the_options_must_be_an_object_with_a_url() {
    for options in [json!(null), json!([]), json!("https://a.example/hush"), json!(1)] {
        let problem = parse_http(&options).unwrap_err();
        assert!(problem.message.starts_with("the options are "));
        assert!(!format!("{problem:?}").contains("hush"));
    }
    let missing = parse_http(&json!({})).unwrap_err();
    assert_eq!(missing.message, "option \"url\" is missing");
    for (url, message) in [
        (json!(null), "option \"url\" is null"),
        (json!(["hush"]), "option \"url\" is an array"),
        (json!(5), "option \"url\" is a number"),
        (
            json!("a.example/hush"),
            "the URL does not begin with http:// or https://",
        ),
    ] {
        let problem = refused("url", url);
        assert_eq!(problem.message, message);
        assert!(!format!("{problem:?}").contains("hush"));
    }
}

#[test]
fn unknown_options_are_named_by_path_with_the_nearest() {
    for (options, path, hint) in [
        (with("timeout", json!(1)), "timeout", Some("timeout_ms")),
        (with("Headers", json!({})), "Headers", Some("headers")),
        (with("secert", json!("hush")), "secert", Some("secret")),
        (with("queue", json!("hush")), "queue", None),
        (
            with("retry", json!({"base_sm": 1})),
            "retry.base_sm",
            Some("retry.base_ms"),
        ),
        (
            with("retry", json!({"max": 1})),
            "retry.max",
            Some("retry.max_ms"),
        ),
    ] {
        let problem = parse_http(&options).unwrap_err();
        assert_eq!(problem.kind, Kind::Invalid);
        assert_eq!(problem.message, format!("unknown option \"{path}\""));
        assert_eq!(problem.hint, hint.map(|name| format!("Did you mean \"{name}\"?")));
        assert!(!format!("{problem:?}").contains("hush"));
    }
}

#[test]
fn options_of_later_releases_are_told_apart() {
    for name in LATER_OPTIONS {
        let problem = refused(name, json!("hush"));
        assert_eq!(problem.kind, Kind::NotAvailable);
        assert_eq!(
            problem.message,
            format!("option \"{name}\" is not available in this release")
        );
        assert!(!format!("{problem:?}").contains("hush"));
    }
}

#[test]
fn numbers_keep_to_their_ranges() {
    for (name, low, high) in [("timeout_ms", 100, 300_000), ("max_concurrency", 1, 1_000)] {
        for good in [low, high] {
            assert!(parse_http(&with(name, json!(good))).is_ok(), "{name} {good}");
        }
        for bad in [
            json!(low - 1),
            json!(high + 1),
            json!(-1),
            json!(15.5),
            json!(u64::MAX),
            json!(1e300),
        ] {
            let problem = refused(name, bad.clone());
            assert_eq!(problem.message, format!("option \"{name}\" is {bad}"));
            let expected = format!("Expected a whole number from {low} to {high}.");
            assert_eq!(problem.detail, Some(expected));
        }
    }
    for (retry, message) in [
        (json!({"base_ms": 0}), "option \"retry.base_ms\" is 0"),
        (
            json!({"base_ms": 86_400_001}),
            "option \"retry.base_ms\" is 86400001",
        ),
        (
            json!({"max_ms": 86_400_001}),
            "option \"retry.max_ms\" is 86400001",
        ),
        (json!({"factor": 0.99}), "option \"retry.factor\" is 0.99"),
        (json!({"factor": 10.01}), "option \"retry.factor\" is 10.01"),
        (json!({"jitter": -0.1}), "option \"retry.jitter\" is -0.1"),
        (json!({"jitter": 1.1}), "option \"retry.jitter\" is 1.1"),
    ] {
        assert_eq!(refused("retry", retry).message, message);
    }
}

#[test]
fn the_longest_wait_is_not_shorter_than_the_first() {
    let message = refused("retry", json!({"base_ms": 10, "max_ms": 9})).message;
    assert_eq!(
        message,
        "option \"retry.max_ms\" is 9, less than \"retry.base_ms\" with 10"
    );
    // Against the default of the one that was left out.
    assert!(refused("retry", json!({"base_ms": 600_000})).hint.is_some());
    assert!(refused("retry", json!({"max_ms": 999})).hint.is_some());
    assert!(parse_http(&with("retry", json!({"base_ms": 7, "max_ms": 7}))).is_ok());
}

#[test]
fn values_of_the_wrong_type_are_shown() {
    for (name, value, message) in [
        (
            "timeout_ms",
            json!("15000"),
            "option \"timeout_ms\" is the string \"15000\"",
        ),
        ("timeout_ms", json!(null), "option \"timeout_ms\" is null"),
        ("timeout_ms", json!([1]), "option \"timeout_ms\" is an array"),
        ("timeout_ms", json!(true), "option \"timeout_ms\" is true"),
        (
            "allow_private_network",
            json!("yes"),
            "option \"allow_private_network\" is the string \"yes\"",
        ),
        (
            "allow_private_network",
            json!(1),
            "option \"allow_private_network\" is 1",
        ),
        ("method", json!(7), "option \"method\" is 7"),
        (
            "method",
            json!("GET"),
            "unknown value of option \"method\": \"GET\"",
        ),
        ("retry", json!(null), "option \"retry\" is null"),
        ("retry", json!(3), "option \"retry\" is 3"),
        ("headers", json!("x: hush"), "option \"headers\" is a string"),
    ] {
        let problem = refused(name, value);
        assert_eq!(problem.message, message);
        assert!(problem.detail.is_some(), "{message}");
        assert!(!format!("{problem:?}").contains("hush"));
    }
    assert_eq!(
        refused("method", json!("post")).hint.as_deref(),
        Some("Did you mean \"POST\"?")
    );
    let unquote = refused("timeout_ms", json!("15000")).hint;
    assert_eq!(unquote.as_deref(), Some("Write the number without quotes."));
}

#[test]
fn no_options_panic() {
    let mut source = Source::new(6);
    let names = [OPTIONS, LATER_OPTIONS, RETRY_OPTIONS].concat();
    for _ in 0..20_000 {
        let value = match source.below(5) {
            0 => json!(source.number()),
            1 => json!(source.unit() * 1e6),
            2 => json!(source.text(&["http://", "a", "\n", "POST"])),
            3 => json!({ names[source.below(names.len())]: source.number() as i64 }),
            _ => json!([null]),
        };
        let _ = parse_http(&with(names[source.below(names.len())], value));
    }
}
