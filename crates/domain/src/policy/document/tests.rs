//! Documents that load, and documents that are refused in words.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;
use crate::policy::canonical;

mod refused;

/// The roadmap's document, word for word.
const DEFAULT: &str = include_str!("../../../../../configs/agents/policies/default.yml");

fn rules(set: &FunctionSet) -> Vec<&str> {
    set.iter().collect()
}

#[test]
fn the_roadmaps_document_loads() {
    let policies = parse(DEFAULT).unwrap();
    let [load_matching, rates] = policies.as_slice() else {
        panic!("{policies:?}");
    };
    assert_eq!(load_matching.agent, "load_matching_agent");
    assert_eq!(
        rules(&load_matching.allowed_functions),
        ["carriers.find", "loads.search"]
    );
    assert_eq!(load_matching.rate_limits.requests_per_minute, Some(30));
    assert_eq!(load_matching.cost_guardrails.max_tokens_per_task, Some(5_000));
    assert_eq!(load_matching.pii_rules, PiiRules::default());
    assert_eq!(rates.agent, "rates_agent");
    assert_eq!(
        rules(&rates.allowed_functions),
        ["rates.bulk_price", "rates.price_one"]
    );
    assert_eq!(rates.rate_limits.max_concurrent, Some(5));
    let fields: Vec<&str> = rates
        .pii_rules
        .redact_fields
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, ["address", "customer_name", "phone"]);
    assert_eq!(rates.pii_rules.log_level, Some(LogLevel::Warn));
    assert_eq!(rates.cost_guardrails.max_api_calls_per_task, Some(10));
    let breaker = rates.cost_guardrails.circuit_breaker.unwrap();
    assert_eq!((breaker.threshold, breaker.window_seconds), (0.05, None));
    assert_eq!(rates.mode, None);
    assert_eq!(rates.effective_mode(), Mode::Enforce);
}

#[test]
fn everything_that_can_be_said_is_read() {
    let policies = parse(
        "
agent_policies:
  rates_agent:
    mode: evaluate_only
    allowed_functions: [rates.*, '*', loads.search]
    denied_functions:
    - rates.delete
    require_confirmation: [rates.publish]
    rate_limits: {requests_per_minute: 60, burst: 0, max_concurrent: 1}
    pii_rules: {redact_fields: ['$.stops[*].phone', \"true\"], log_level: 'off'}
    cost_guardrails:
      max_tokens_per_task: 1000000000000
      max_api_calls_per_task: 0
      max_cost_usd_per_task: 0.000001
      max_cost_usd_per_day: 1000000000
      max_tokens_per_day: 1000000000000
      circuit_breaker_threshold: 1
      circuit_breaker_window_seconds: 86400
      circuit_breaker_min_calls: 1
      circuit_breaker_cooldown_seconds: 5
",
    )
    .unwrap();
    let policy = &policies[0];
    assert_eq!(policy.effective_mode(), Mode::EvaluateOnly);
    assert_eq!(rules(&policy.allowed_functions), ["loads.search", "*", "rates.*"]);
    assert_eq!(rules(&policy.denied_functions), ["rates.delete"]);
    assert_eq!(rules(&policy.require_confirmation), ["rates.publish"]);
    let rates = RateLimits {
        requests_per_minute: Some(60),
        burst: Some(0),
        max_concurrent: Some(1),
    };
    assert_eq!(policy.rate_limits, rates);
    let fields = vec!["$.stops[*].phone".to_owned(), "true".to_owned()];
    assert_eq!(policy.pii_rules.redact_fields, Some(fields));
    assert_eq!(policy.pii_rules.log_level, Some(LogLevel::Off));
    let costs = CostGuardrails {
        max_tokens_per_task: Some(1_000_000_000_000),
        max_api_calls_per_task: Some(0),
        max_cost_usd_per_task: Some(MicroUsd::from_micros(1)),
        max_cost_usd_per_day: Some(MicroUsd::from_micros(1_000_000_000_000_000)),
        max_tokens_per_day: Some(1_000_000_000_000),
        circuit_breaker: Some(CircuitBreaker {
            threshold: 1.0,
            window_seconds: Some(86_400),
            min_calls: Some(1),
            cooldown_seconds: Some(5),
        }),
    };
    assert_eq!(policy.cost_guardrails, costs);
}

#[test]
fn an_agent_of_which_nothing_is_said_may_nothing() {
    for text in [
        "agent_policies: {a: {}}",
        "{\"agent_policies\": {\"a\": {}}}",
        "agent_policies:\n  a: {}\n",
        "agent_policies: {a: {allowed_functions: [], rate_limits: {}, pii_rules: {}, cost_guardrails: {}}}",
    ] {
        let policies = parse(text).unwrap();
        assert_eq!((policies.len(), policies[0].agent.as_str()), (1, "a"));
        assert!(policies[0].allowed_functions.is_empty());
        assert_eq!(policies[0].rate_limits, RateLimits::default());
        assert_eq!(policies[0].cost_guardrails, CostGuardrails::default());
    }
}

#[test]
fn agents_come_in_the_order_of_their_names() {
    let policies = parse("agent_policies: {b: {}, a: {}, C: {}}").unwrap();
    let agents: Vec<&str> = policies.iter().map(|policy| policy.agent.as_str()).collect();
    assert_eq!(agents, ["C", "a", "b"]);
}

#[test]
fn a_hundred_agents_with_fifty_rules_each_are_read() {
    use std::fmt::Write;
    let mut text = "agent_policies:\n".to_owned();
    for agent in 0..100 {
        writeln!(text, "  agent_{agent}:\n    allowed_functions:").unwrap();
        for rule in 0..50 {
            writeln!(text, "      - family_{rule}.function_{agent}").unwrap();
        }
    }
    let policies = parse(&text).unwrap();
    assert_eq!(policies.len(), 100);
    assert!(
        policies
            .iter()
            .all(|policy| policy.allowed_functions.iter().count() == 50)
    );
}

/// A policy of random settings, as a document.
fn arbitrary(source: &mut Source) -> String {
    let mut settings = Vec::new();
    let mut maybe = |settings: &mut Vec<String>, key: &str, value: String| {
        if source.below(2) == 0 {
            settings.push(format!("{key}: {value}"));
        }
        source.number()
    };
    let seed = maybe(&mut settings, "mode", "evaluate_only".to_owned());
    let names = ["rates.*", "'*'", "loads.search", "a.*.b", "\"b\""];
    let some = |bits: u64| {
        let chosen = names
            .iter()
            .enumerate()
            .filter(|(place, _)| bits >> place & 1 == 1);
        let chosen: Vec<&str> = chosen.map(|(_, name)| *name).collect();
        format!("[{}]", chosen.join(", "))
    };
    let seed = maybe(&mut settings, "allowed_functions", some(seed));
    let seed = maybe(&mut settings, "denied_functions", some(seed));
    let seed = maybe(&mut settings, "require_confirmation", some(seed));
    let rates = format!(
        "{{requests_per_minute: {}, burst: {}}}",
        1 + seed % 6_000_000,
        seed % 1_000
    );
    let seed = maybe(&mut settings, "rate_limits", rates);
    let pii = format!("{{redact_fields: {}, log_level: info}}", some(seed));
    let seed = maybe(&mut settings, "pii_rules", pii);
    let costs = format!(
        "{{max_tokens_per_task: {}, max_cost_usd_per_day: {}, circuit_breaker_threshold: 0.{}}}",
        seed % 1_000_000_000_000,
        MicroUsd::from_micros(seed % 1_000_000_000_000_000),
        1 + seed
    );
    maybe(&mut settings, "cost_guardrails", costs);
    if source.below(2) == 0 {
        settings.reverse();
    }
    format!("agent_policies: {{some_agent: {{{}}}}}", settings.join(", "))
}

#[test]
fn the_canonical_form_of_every_policy_says_the_same() {
    let mut source = Source::new(36);
    for _ in 0..2_000 {
        let document = arbitrary(&mut source);
        let policies = parse(&document).unwrap_or_else(|problem| panic!("{document}: {problem:?}"));
        let form = canonical::text(&policies[0]);
        let again = parse(&form).unwrap();
        assert_eq!(canonical::text(&again[0]), form, "{document}");
        assert_eq!(again[0].rate_limits, policies[0].rate_limits);
        assert_eq!(again[0].cost_guardrails, policies[0].cost_guardrails);
        assert_eq!(again, policies);
    }
}

#[test]
fn no_document_panics_and_what_is_refused_is_short() {
    let mut source = Source::new(37);
    let mut refused = 0;
    for _ in 0..10_000 {
        let once = source.mutated(DEFAULT);
        let text = if source.below(2) == 0 {
            source.mutated(&once)
        } else {
            once
        };
        if let Err(problem) = parse(&text) {
            refused += 1;
            assert!(
                problem.message.len() < 500 && !problem.message.contains('\n'),
                "{text}"
            );
            assert!(problem.detail.is_some(), "{text}: {problem}");
        }
    }
    assert!(
        (1_000..9_900).contains(&refused),
        "{refused}: too one-sided to mean anything"
    );
}
