#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::policy::document;

const FULL: &str = r#"
# The same policy is written in other ways below.
agent_policies:
  rates_agent:
    mode: evaluate_only
    allowed_functions:
      - rates.price_one
      - rates.*
    denied_functions: [rates.delete]
    require_confirmation: [rates.publish]
    rate_limits:
      requests_per_minute: 60
      burst: 5
      max_concurrent: 3
    pii_rules:
      redact_fields: ["phone", "$.stops[*].email", "quo\"te"]
      log_level: "warn"
    cost_guardrails:
      max_openai_tokens_per_task: 10000
      max_api_calls_per_task: 10
      max_cost_usd_per_task: 0.50
      max_cost_usd_per_day: 12.345678
      max_tokens_per_day: 250000
      circuit_breaker_threshold: 0.05 # 5%
      circuit_breaker_window_seconds: 60
      circuit_breaker_min_calls: 20
      circuit_breaker_cooldown_seconds: 30
"#;

const FULL_FORM: &str = concat!(
    r#"{"agent_policies":{"rates_agent":{"allowed_functions":["rates.*","rates.price_one"],"#,
    r#""cost_guardrails":{"circuit_breaker_cooldown_seconds":30,"circuit_breaker_min_calls":20,"#,
    r#""circuit_breaker_threshold":0.05,"circuit_breaker_window_seconds":60,"max_api_calls_per_task":10,"#,
    r#""max_cost_usd_per_day":12.345678,"max_cost_usd_per_task":0.5,"max_tokens_per_day":250000,"max_tokens_per_task":10000},"#,
    r#""denied_functions":["rates.delete"],"mode":"evaluate_only","#,
    r#""pii_rules":{"log_level":"warn","redact_fields":["$.stops[*].email","phone","quo\"te"]},"#,
    r#""rate_limits":{"burst":5,"max_concurrent":3,"requests_per_minute":60},"#,
    r#""require_confirmation":["rates.publish"]}}}"#,
);

fn policy(document: &str) -> AgentPolicy {
    document::parse(document).unwrap().remove(0)
}

#[test]
fn the_form_is_sorted_json() {
    assert_eq!(text(&policy(FULL)), FULL_FORM);
    // What serde_json makes of it is what it says: it is JSON.
    let value: Value = serde_json::from_str(FULL_FORM).unwrap();
    assert_eq!(value["agent_policies"]["rates_agent"]["rate_limits"]["burst"], 5);
}

#[test]
fn the_digest_is_the_sha256_of_the_form() {
    // printf '{"agent_policies":{"a":{}}}' | sha256sum
    assert_eq!(
        text(&policy("agent_policies: {a: {}}")),
        r#"{"agent_policies":{"a":{}}}"#
    );
    assert_eq!(sha256(&policy("agent_policies: {a: {}}")), EMPTY_SHA256);
}

const EMPTY_SHA256: &str = "6c0484e4a8c3eb84e6812a7eae1506c1dd12ff02ab7d99fc45ec9093c44f4414";

#[test]
fn order_comments_quotes_and_spelling_do_not_change_the_digest() {
    let full = sha256(&policy(FULL));
    assert_eq!(full.len(), 64);
    let reordered = r#"
agent_policies:
  rates_agent:
    cost_guardrails:
      circuit_breaker_cooldown_seconds: 30
      circuit_breaker_min_calls: 20
      circuit_breaker_window_seconds: 60
      circuit_breaker_threshold: 5e-2
      max_cost_usd_per_day: 12.345678
      max_cost_usd_per_task: 0.5
      max_tokens_per_day: 250000
      max_api_calls_per_task: 10
      max_tokens_per_task: 10000
    pii_rules: {log_level: warn, redact_fields: ['$.stops[*].email', 'quo"te', phone]}
    rate_limits: {max_concurrent: 3, burst: 5, requests_per_minute: 60}
    require_confirmation:
    - rates.publish
    denied_functions: ['rates.delete']
    allowed_functions: [rates.*, rates.price_one]
    mode: evaluate_only
"#;
    assert_eq!(sha256(&policy(reordered)), full);
    assert_eq!(sha256(&policy(FULL_FORM)), full);
}

#[test]
fn what_is_said_is_told_from_what_is_not() {
    let digest = |body: &str| sha256(&policy(&format!("agent_policies: {{a: {{{body}}}}}")));
    let nothing = digest("");
    for same in [
        "allowed_functions: []",
        "rate_limits: {}",
        "pii_rules: {}, cost_guardrails: {}",
    ] {
        assert_eq!(digest(same), nothing, "{same}");
    }
    let mut seen = vec![nothing, sha256(&policy("agent_policies: {b: {}}"))];
    for body in [
        "mode: enforce",
        "mode: evaluate_only",
        "allowed_functions: [a]",
        "allowed_functions: [A]",
        "denied_functions: [a]",
        "require_confirmation: [a]",
        "allowed_functions: [a, b]",
        "allowed_functions: [a.b]",
        "rate_limits: {requests_per_minute: 60}",
        "rate_limits: {requests_per_minute: 61}",
        "rate_limits: {requests_per_minute: 60, burst: 0}",
        "rate_limits: {max_concurrent: 60}",
        "pii_rules: {redact_fields: []}",
        "pii_rules: {redact_fields: [a]}",
        "pii_rules: {log_level: warn}",
        "cost_guardrails: {max_tokens_per_task: 0}",
        "cost_guardrails: {max_api_calls_per_task: 0}",
        "cost_guardrails: {max_cost_usd_per_task: 0}",
        "cost_guardrails: {max_cost_usd_per_day: 0.000001}",
        "cost_guardrails: {max_tokens_per_day: 0}",
        "cost_guardrails: {circuit_breaker_threshold: 0.05}",
        "cost_guardrails: {circuit_breaker_threshold: 0.0500000000000001}",
        "cost_guardrails: {circuit_breaker_threshold: 0.05, circuit_breaker_min_calls: 20}",
    ] {
        let digest = digest(body);
        assert!(!seen.contains(&digest), "{body}");
        seen.push(digest);
    }
}

#[test]
fn ratios_are_written_as_rfc_8785_does() {
    for (written, expected) in [
        ("1", "1"),
        ("1.0", "1"),
        ("0.50", "0.5"),
        ("5e-2", "0.05"),
        ("0.000001", "0.000001"),
        ("0.0000015", "0.0000015"),
        ("0.0000001", "1e-7"),
        ("1.5e-7", "1.5e-7"),
        ("0.1e-300", "1e-301"),
        ("0.333333333333333333333", "0.3333333333333333"),
    ] {
        let document =
            format!("agent_policies: {{a: {{cost_guardrails: {{circuit_breaker_threshold: {written}}}}}}}");
        let form = text(&policy(&document));
        let found = form.split("threshold\":").nth(1).unwrap().trim_end_matches('}');
        assert_eq!(found, expected, "{written}");
        assert_eq!(text(&policy(&form)), form);
    }
}

#[test]
fn the_form_of_a_large_policy_is_read_back() {
    let functions: Vec<String> = (0..5_000)
        .map(|number| format!("family_{number}.function_{number}"))
        .collect();
    let document = format!(
        "agent_policies:\n  a:\n    allowed_functions: [{}]\n",
        functions.join(", ")
    );
    let large = policy(&document);
    let read_back = policy(&text(&large));
    assert_eq!(read_back, large);
    assert_eq!(sha256(&read_back), sha256(&large));
}
