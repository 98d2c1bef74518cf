//! What is stored of a target is what was set.

use super::*;

/// Options of one transport, each there or not, all valid.
fn arbitrary(source: &mut Source, transport: Transport) -> Value {
    let mut options = serde_json::Map::new();
    for name in allowed::of(transport) {
        let value = match name {
            "url" => json!(format!("https://a.example/{}", source.number())),
            // With one that must be there, as most others must not.
            _ if source.below(2) == 0 => continue,
            "method" if transport == Transport::Slack => json!("POST"),
            "method" => json!(["POST", "PUT", "PATCH"][source.below(3)]),
            "headers" => json!({"x-a": source.number().to_string(), "x-b": ""}),
            "timeout_ms" => json!(100 + source.below(299_901)),
            "max_concurrency" => json!(1 + source.below(1_000)),
            "allow_private_network" | "private" => json!(source.below(2) == 0),
            "envelope" => json!(Envelope::ALL[source.below(3)].as_str()),
            "signing" => json!(true),
            "secret" => json!(SECRET),
            "gzip" => [json!(true), json!(false), json!(1 + source.below(1 << 30))][source.below(3)].clone(),
            "breaker" => [
                json!(false),
                json!({"trials": 1 + source.below(9), "failure_ratio": 0.25}),
            ][source.below(2)]
            .clone(),
            "on_ambiguous" => json!(["retry", "dead"][source.below(2)]),
            "on_dead" => json!(["block", "skip"][source.below(2)]),
            "topic" | "event" | "channel" => json!("x".repeat(1 + source.below(63))),
            "rate_per_second" => json!(1.0 + source.below(400) as f64 / 4.0),
            "burst" => json!(1 + source.below(50)),
            "retry" => json!({"base_ms": 1 + source.below(1_000), "jitter": source.below(9) as f64 / 8.0}),
            "redact_fields" => [json!([]), json!(["customer_name", "$..phone"])][source.below(2)].clone(),
            other => panic!("no values for {other}"),
        };
        options.insert(name.to_owned(), value);
    }
    if transport != Transport::Slack && !options.contains_key("rate_per_second") {
        options.remove("burst");
    }
    Value::Object(options)
}

#[test]
fn what_is_public_and_what_is_secret_make_the_whole() {
    let mut source = Source::new(11);
    for round in 0..20_000 {
        let transport = Transport::ALL[round % 5];
        let name = ["a", "n8n", "slack", "realtime"][source.below(4)];
        // Under the name slack a target has Slack's options, whatever the transport.
        let kind = if name == "slack" && transport == Transport::Http {
            Transport::Slack
        } else {
            transport
        };
        let options = parse(name, transport, &arbitrary(&mut source, kind)).unwrap();
        let public = options.public();
        for hidden in ["url", "headers", "secret"] {
            assert!(public.get(hidden).is_none(), "{public}");
        }
        // As it comes back from a jsonb column.
        let stored: Value = serde_json::from_str(&public.to_string()).unwrap();
        let mut whole = match options.http() {
            None => merge(&stored, None, None),
            Some(http) => {
                let headers: serde_json::Map<_, _> = http
                    .headers
                    .iter()
                    .map(|(name, value)| (name.clone(), json!(value)))
                    .collect();
                merge(&stored, Some(&http.url), Some(&Value::Object(headers)))
            }
        };
        if let Some(secret) = options.http().and_then(|http| http.secret.as_ref()) {
            whole["secret"] = json!(secret);
        }
        assert_eq!(parse(name, transport, &whole), Ok(options));
    }
}

#[test]
fn defaults_are_shown() {
    let options = parse_http(&json!({"url": "https://a.example/hush", "headers": {"a": "hush"}})).unwrap();
    let expected = json!({
        "method": "POST",
        "timeout_ms": 15_000,
        "max_concurrency": 32,
        "allow_private_network": false,
        "envelope": "payload",
        "signing": false,
        "gzip": false,
        "breaker": {
            "failure_ratio": 0.5, "minimum_calls": 20, "window_ms": 60_000, "open_ms": 5_000, "trials": 3
        },
        "on_ambiguous": "retry",
        "retry": {"base_ms": 1000, "factor": 2.0, "max_ms": 300_000, "jitter": 0.2},
        "on_dead": "block",
    });
    assert_eq!(options.public(), expected);
}

#[test]
fn what_is_no_object_is_left_for_parse_to_refuse() {
    assert_eq!(merge(&json!([]), Some("https://a.example"), None), json!([]));
}
