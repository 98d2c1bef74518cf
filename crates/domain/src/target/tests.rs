//! Options of HTTP targets that are accepted with their defaults; options that are refused in words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::arbitrary::Source;
use crate::endpoint;
use crate::problem::Kind;

mod kinds;
mod overrides;
mod round_trip;

/// A secret that is one, and says hush in every text that repeats it.
const SECRET: &str = "whsec_hushhushhushhushhushhushhushhush";

fn parse_http(options: &Value) -> Result<TargetOptions, Problem> {
    parse("billing", Transport::Http, options)
}

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
    let http = options.http().unwrap();
    assert_eq!(http.url, "https://a.example/hush");
    assert_eq!(http.endpoint, endpoint::parse(&http.url).unwrap());
    assert_eq!(http.method, "POST");
    assert_eq!(http.headers, []);
    assert_eq!(http.timeout_ms, 15_000);
    assert_eq!(http.max_concurrency, 32);
    assert!(!http.allow_private_network);
    assert_eq!(http.envelope, Envelope::Payload);
    assert!(!http.signing);
    assert_eq!((&http.secret, http.gzip_from_bytes), (&None, None));
    assert_eq!(http.profile, Profile::Generic);
    assert_eq!(options.retry, RetryPolicy::default());
    assert_eq!(options.rate, None);
    assert_eq!(options.breaker, Some(BreakerPolicy::default()));
    assert_eq!(options.on_ambiguous, OnAmbiguous::Retry);
    assert_eq!(options.on_dead, OnDead::Block);
    assert_eq!(options.warnings(), []);
}

#[test]
fn every_option_of_an_http_target_is_read() {
    let options = parse_http(&json!({
        "url": "http://n8n:5678/webhook/hush",
        "method": "PUT",
        "headers": {"X-Key": "hush"},
        "timeout_ms": 30_000.0,
        "max_concurrency": 4,
        "retry": {"base_ms": 10, "factor": 1.5, "max_ms": 20, "jitter": 1},
        "allow_private_network": true,
        "envelope": "cloudevents",
        "signing": true,
        "secret": SECRET,
        "gzip": 500,
        "rate_per_second": 0.5,
        "burst": 3,
        "breaker": {"failure_ratio": 0.05, "minimum_calls": 7, "window_ms": 1000, "open_ms": 500, "trials": 1},
        "on_ambiguous": "dead",
        "on_dead": "skip",
    }))
    .unwrap();
    let http = options.http().unwrap();
    assert_eq!(http.method, "PUT");
    assert_eq!(http.headers, [("x-key".to_owned(), "hush".to_owned())]);
    assert_eq!((http.timeout_ms, http.max_concurrency), (30_000, 4));
    assert!(http.allow_private_network && http.signing);
    assert_eq!(http.envelope, Envelope::Cloudevents);
    assert_eq!(http.secret.as_deref(), Some(SECRET));
    assert_eq!(http.gzip_from_bytes, Some(500));
    let retry = RetryPolicy {
        base_ms: 10,
        factor: 1.5,
        max_ms: 20,
        jitter: 1.0,
    };
    assert_eq!(options.retry, retry);
    let rate = Rate {
        per_second: 0.5,
        burst: 3,
    };
    assert_eq!(options.rate, Some(rate));
    let breaker = BreakerPolicy {
        failure_ratio: 0.05,
        minimum_calls: 7,
        window: Duration::from_secs(1),
        open_for: Duration::from_millis(500),
        trials: 1,
    };
    assert_eq!(options.breaker, Some(breaker));
    assert_eq!(options.on_ambiguous, OnAmbiguous::Dead);
    assert_eq!(options.on_dead, OnDead::Skip);
    assert!(!format!("{options:?}").contains("hush"));
    let partial = parse_http(&with("retry", json!({"factor": 3}))).unwrap().retry;
    assert_eq!((partial.base_ms, partial.factor), (1000, 3.0));
    let partial = parse_http(&with("breaker", json!({"trials": 9})))
        .unwrap()
        .breaker
        .unwrap();
    assert_eq!((partial.trials, partial.minimum_calls), (9, 20));
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
fn what_leaves_may_be_redacted() {
    let fields = json!(["customer_name", "$.stops[*].contact.phone"]);
    for transport in Transport::ALL {
        let mut options = json!({"redact_fields": fields});
        if matches!(transport, Transport::Http | Transport::Slack) {
            options["url"] = json!("https://host.example/path");
        }
        let parsed = parse("a", transport, &options);
        if transport == Transport::Pull {
            let problem = parsed.unwrap_err();
            assert!(problem.message.contains("of no use with transport pull"));
            continue;
        }
        let parsed = parsed.unwrap();
        assert_eq!(
            parsed
                .redaction
                .as_ref()
                .map(|redaction| redaction.rules.all().len()),
            Some(2)
        );
        assert_eq!(parsed.public()["redact_fields"], fields);
    }
    let none = parse_http(&with("redact_fields", json!([]))).unwrap();
    assert_eq!(none.redaction, None);
    assert!(none.public().get("redact_fields").is_none());
    for wrong in [
        json!("phone"),
        json!({"phone": true}),
        json!(["phone", 1]),
        json!([null]),
    ] {
        let problem = parse_http(&with("redact_fields", wrong)).unwrap_err();
        assert!(problem.message.contains("redact_fields"), "{}", problem.message);
    }
    let problem = parse_http(&with("redact_fields", json!(["phone", "$.a["]))).unwrap_err();
    assert!(
        problem.message.contains("redact_fields[2]"),
        "{}",
        problem.message
    );
}

#[test]
fn numbers_keep_to_their_ranges() {
    for (name, low, high) in [
        ("timeout_ms", 100, 300_000),
        ("max_concurrency", 1, 1_000),
        ("gzip", 1, 1 << 30),
    ] {
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
    for (breaker, message) in [
        (
            json!({"failure_ratio": 0}),
            "option \"breaker.failure_ratio\" is 0",
        ),
        (
            json!({"failure_ratio": 1.1}),
            "option \"breaker.failure_ratio\" is 1.1",
        ),
        (
            json!({"minimum_calls": 0}),
            "option \"breaker.minimum_calls\" is 0",
        ),
        (json!({"window_ms": 99}), "option \"breaker.window_ms\" is 99"),
        (
            json!({"open_ms": 3_600_001}),
            "option \"breaker.open_ms\" is 3600001",
        ),
        (json!({"trials": 0}), "option \"breaker.trials\" is 0"),
    ] {
        assert_eq!(refused("breaker", breaker).message, message);
    }
    for bad in [0.0, 0.0009, 100_000.1] {
        let problem = refused("rate_per_second", json!(bad));
        assert_eq!(
            problem.detail.as_deref(),
            Some("Expected a number from 0.001 to 100000.")
        );
    }
}

#[test]
fn a_burst_without_a_value_is_what_a_second_allows() {
    for (per_second, burst) in [
        (0.001, 1),
        (1.0, 1),
        (1.5, 2),
        (1_000.0, 1_000),
        (100_000.0, 100_000),
    ] {
        let rate = parse_http(&with("rate_per_second", json!(per_second)))
            .unwrap()
            .rate;
        assert_eq!(rate, Some(Rate { per_second, burst }));
    }
    let alone = refused("burst", json!(5));
    assert_eq!(
        alone.message,
        "option \"burst\" is given without \"rate_per_second\""
    );
}

#[test]
fn what_can_be_switched_can_be_switched() {
    for (value, expected) in [
        (json!(true), Some(8192)),
        (json!(false), None),
        (json!(1), Some(1)),
    ] {
        let options = parse_http(&with("gzip", value)).unwrap();
        assert_eq!(options.http().unwrap().gzip_from_bytes, expected);
    }
    for (value, expected) in [
        (json!(true), Some(BreakerPolicy::default())),
        (json!(false), None),
        (json!({}), Some(BreakerPolicy::default())),
    ] {
        assert_eq!(parse_http(&with("breaker", value)).unwrap().breaker, expected);
    }
}

#[test]
fn a_secret_means_signing() {
    let signed = parse_http(&with("secret", json!(SECRET))).unwrap();
    assert!(signed.http().unwrap().signing);
    let generated = parse_http(&with("signing", json!(true))).unwrap();
    assert_eq!(generated.http().unwrap().secret, None);
    let mut both = with("secret", json!(SECRET));
    both["signing"] = json!(false);
    for options in [
        both,
        with("secret", json!("whsec_hush")),
        with("secret", json!("hush hush")),
        with("secret", json!(["hush"])),
    ] {
        let problem = parse_http(&options).unwrap_err();
        assert!(problem.detail.is_some());
        assert!(!format!("{problem:?}").contains("hush"), "{problem:?}");
    }
}

#[test]
fn a_test_url_of_n8n_is_warned_of() {
    for (url, warned) in [
        ("https://n8n.example/webhook-test/hush", true),
        ("https://n8n.example/base/webhook-test/hush", true),
        ("https://n8n.example/webhook/hush", false),
        ("https://n8n.example/webhook/hush?next=/webhook-test/", false),
        ("https://webhook-test/hush", false),
    ] {
        let warnings = parse("n8n", Transport::Http, &json!({ "url": url }))
            .unwrap()
            .warnings();
        assert_eq!(!warnings.is_empty(), warned, "{url}");
        assert!(!format!("{warnings:?}").contains("hush"));
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
        ("gzip", json!("9"), "option \"gzip\" is the string \"9\""),
        ("breaker", json!(null), "option \"breaker\" is null"),
        ("breaker", json!(5), "option \"breaker\" is 5"),
        ("signing", json!("on"), "option \"signing\" is the string \"on\""),
        ("envelope", json!(1), "option \"envelope\" is 1"),
        (
            "envelope",
            json!("cloudevent"),
            "unknown value of option \"envelope\": \"cloudevent\"",
        ),
        ("on_dead", json!(false), "option \"on_dead\" is false"),
        (
            "on_ambiguous",
            json!("drop"),
            "unknown value of option \"on_ambiguous\": \"drop\"",
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
    let names = allowed::all();
    for round in 0..20_000 {
        let value = match source.below(5) {
            0 => json!(source.number()),
            1 => json!(source.unit() * 1e6),
            2 => json!(source.text(&["http://", "a", "\n", "POST"])),
            3 => json!({ names[source.below(names.len())]: source.number() as i64 }),
            _ => json!([null]),
        };
        let name = names[source.below(names.len())];
        let _ = parse("a", Transport::ALL[round % 5], &json!({ name: value.clone() }));
        let _ = parse_http(&with(name, value));
    }
}
