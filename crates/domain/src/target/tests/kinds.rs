//! What each transport and each known name makes of the options.

use super::*;

fn set(name: &str, transport: Transport, options: Value) -> TargetOptions {
    parse(name, transport, &options).unwrap()
}

#[test]
fn known_names_bring_their_profile() {
    use Transport::{Http, Slack};
    for (name, transport, expected) in [
        ("n8n", Http, Profile::N8n),
        ("n8n-loads", Http, Profile::N8n),
        ("n8n.loads", Http, Profile::N8n),
        ("n8n_loads", Http, Profile::N8n),
        ("n8nloads", Http, Profile::Generic),
        ("my-n8n", Http, Profile::Generic),
        ("slack", Http, Profile::Slack),
        ("slack", Slack, Profile::Slack),
        ("ops", Slack, Profile::Slack),
        ("n8n", Slack, Profile::Slack),
        ("slack-ops", Http, Profile::Generic),
        ("realtime", Http, Profile::Generic),
    ] {
        let options = set(name, transport, json!({"url": "https://a.example/"}));
        assert_eq!(options.http().unwrap().profile, expected, "{name}");
    }
}

#[test]
fn slack_has_its_pace_and_retries_what_is_ambiguous() {
    let url = json!("https://hooks.slack.com/services/hush");
    let options = set("slack", Transport::Slack, json!({ "url": url }));
    assert_eq!(options.rate, Some(SLACK_RATE));
    assert_eq!(options.on_ambiguous, OnAmbiguous::Retry);
    assert_eq!(options.warnings(), []);
    assert!(!format!("{options:?}").contains("hush"));
    for (own, per_second, burst) in [
        (json!({"url": url, "rate_per_second": 2.5}), 2.5, 1),
        (json!({"url": url, "burst": 4}), 1.0, 4),
        (json!({"url": url, "rate_per_second": 9, "burst": 8}), 9.0, 8),
    ] {
        let rate = set("slack", Transport::Slack, own).rate;
        assert_eq!(rate, Some(Rate { per_second, burst }));
    }
    let other = parse("slack", Transport::Slack, &json!({"url": url, "method": "PUT"})).unwrap_err();
    assert_eq!(other.message, "unknown value of option \"method\": \"PUT\"");
    let missing = parse("slack", Transport::Slack, &json!({})).unwrap_err();
    assert_eq!(missing.message, "option \"url\" is missing");
}

#[test]
fn realtime_notify_and_pull_need_no_setting() {
    let realtime = RealtimeOptions {
        topic: None,
        event: None,
        private: true,
    };
    for (transport, delivery) in [
        (Transport::Realtime, Delivery::Realtime(realtime)),
        (
            Transport::Notify,
            Delivery::Notify(NotifyOptions { channel: None }),
        ),
        (Transport::Pull, Delivery::Pull),
    ] {
        let options = set("a", transport, json!({}));
        assert_eq!(options.delivery, delivery);
        assert_eq!((options.rate, options.breaker), (None, None));
        assert_eq!(options.retry, RetryPolicy::default());
        assert!(options.http().is_none() && options.warnings().is_empty());
    }
}

#[test]
fn realtime_and_notify_have_names_of_their_own() {
    let options = json!({"topic": "loads", "event": "moved", "private": false, "rate_per_second": 5});
    let expected = RealtimeOptions {
        topic: Some("loads".to_owned()),
        event: Some("moved".to_owned()),
        private: false,
    };
    let options = set("realtime", Transport::Realtime, options);
    assert_eq!(options.delivery, Delivery::Realtime(expected));
    assert_eq!(options.rate.unwrap().burst, 5);
    for (transport, name, limit) in [
        (Transport::Realtime, "topic", 255),
        (Transport::Realtime, "event", 255),
        (Transport::Notify, "channel", 63),
    ] {
        assert!(parse("a", transport, &json!({ name: "x".repeat(limit) })).is_ok());
        // In bytes, as PostgreSQL counts.
        for bad in [
            "".to_owned(),
            "x".repeat(limit + 1),
            "\u{e9}".repeat(limit / 2 + 1),
        ] {
            let problem = parse("a", transport, &json!({ name: bad })).unwrap_err();
            assert_eq!(
                problem.message,
                format!("option \"{name}\" is {} bytes long", bad.len())
            );
        }
        for bad in [json!(null), json!(1), json!(["a"])] {
            let problem = parse("a", transport, &json!({ name: bad })).unwrap_err();
            assert_eq!(
                problem.detail,
                Some(format!("Expected a string of 1 to {limit} bytes."))
            );
        }
    }
}

#[test]
fn options_without_a_use_are_refused_by_name() {
    use Transport::{Http, Notify, Pull, Realtime, Slack};
    for (transport, names) in [
        (Http, &["topic", "event", "private", "channel"][..]),
        (
            Slack,
            &["envelope", "signing", "secret", "gzip", "topic", "channel"],
        ),
        (
            Realtime,
            &[
                "url",
                "headers",
                "method",
                "timeout_ms",
                "max_concurrency",
                "breaker",
                "channel",
                "secret",
            ],
        ),
        (
            Notify,
            &[
                "url",
                "headers",
                "on_ambiguous",
                "allow_private_network",
                "topic",
                "private",
            ],
        ),
        (
            Pull,
            &[
                "url",
                "timeout_ms",
                "max_concurrency",
                "rate_per_second",
                "burst",
                "breaker",
                "topic",
            ],
        ),
    ] {
        for name in names {
            let problem = parse("a", transport, &json!({ *name: "hush" })).unwrap_err();
            let message = format!(
                "option \"{name}\" is of no use with transport {}",
                transport.as_str()
            );
            assert_eq!(problem.message, message);
            assert!(problem.detail.as_ref().unwrap().contains("retry"), "{problem:?}");
            assert!(
                problem.hint.as_ref().unwrap().starts_with("Leave it out"),
                "{problem:?}"
            );
            assert!(!format!("{problem:?}").contains("hush"), "{problem:?}");
        }
    }
}

#[test]
fn a_misspelling_is_reported_before_an_option_without_a_use() {
    let problem = parse("a", Transport::Notify, &json!({"url": "hush", "chanel": "x"})).unwrap_err();
    assert_eq!(problem.message, "unknown option \"chanel\"");
    assert_eq!(problem.hint.as_deref(), Some("Did you mean \"channel\"?"));
}
