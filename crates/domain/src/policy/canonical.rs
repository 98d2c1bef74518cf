//! The form of a policy that is the same however it was written, and its digest.
//!
//! The form is a policy document of one agent in JSON, which [`super::document::parse`] reads back: keys sorted, no white
//! space, numbers and strings as RFC 8785 writes them. Lists are sorted too, since their order means nothing. It holds what
//! was given, not the defaults; a section or a list of rules that is empty says nothing and is left out.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::functions::FunctionSet;
use super::limits::{CircuitBreaker, CostGuardrails, RateLimits};
use super::{AgentPolicy, PiiRules};

#[cfg(test)]
mod tests;

/// JSON whose numbers are texts: an amount of money is written as exactly as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Form {
    Number(String),
    Text(String),
    List(Vec<String>),
    Mapping(BTreeMap<String, Form>),
}

/// The canonical form, a document of this one policy.
#[must_use]
pub fn text(policy: &AgentPolicy) -> String {
    let agents = BTreeMap::from([(policy.agent.clone(), form(policy))]);
    let document = BTreeMap::from([("agent_policies".to_owned(), Form::Mapping(agents))]);
    let mut text = String::new();
    Form::Mapping(document).write(&mut text);
    text
}

/// The SHA-256 of [`text`], in 64 hexadecimal digits.
#[must_use]
pub fn sha256(policy: &AgentPolicy) -> String {
    digest(&text(policy))
}

/// The SHA-256 of a text, in 64 hexadecimal digits: whether a canonical form is still the one that was digested.
#[must_use]
pub fn digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    digest.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing into a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The policy without the name of its agent.
pub(super) fn form(policy: &AgentPolicy) -> Form {
    Form::Mapping(members([
        (
            "mode",
            policy.mode.map(|mode| Form::Text(mode.as_str().to_owned())),
        ),
        ("push_to", policy.push_to.clone().map(Form::Text)),
        ("allowed_functions", rules(&policy.allowed_functions)),
        ("denied_functions", rules(&policy.denied_functions)),
        ("require_confirmation", rules(&policy.require_confirmation)),
        ("rate_limits", section(rate_limits(&policy.rate_limits))),
        ("pii_rules", section(pii_rules(&policy.pii_rules))),
        (
            "cost_guardrails",
            section(cost_guardrails(&policy.cost_guardrails)),
        ),
    ]))
}

type Members = BTreeMap<String, Form>;

/// What was given, by its key.
fn members<const N: usize>(given: [(&str, Option<Form>); N]) -> Members {
    given
        .into_iter()
        .filter_map(|(key, form)| Some((key.to_owned(), form?)))
        .collect()
}

fn section(members: Members) -> Option<Form> {
    (!members.is_empty()).then_some(Form::Mapping(members))
}

fn number<T: ToString>(value: Option<T>) -> Option<Form> {
    value.map(|value| Form::Number(value.to_string()))
}

fn rules(set: &FunctionSet) -> Option<Form> {
    let mut rules: Vec<String> = set.iter().map(str::to_owned).collect();
    rules.sort();
    (!rules.is_empty()).then_some(Form::List(rules))
}

fn rate_limits(limits: &RateLimits) -> Members {
    members([
        ("requests_per_minute", number(limits.requests_per_minute)),
        ("burst", number(limits.burst)),
        ("max_concurrent", number(limits.max_concurrent)),
    ])
}

fn pii_rules(rules: &PiiRules) -> Members {
    members([
        ("redact_fields", rules.redact_fields.clone().map(Form::List)),
        (
            "log_level",
            rules.log_level.map(|level| Form::Text(level.as_str().to_owned())),
        ),
    ])
}

fn cost_guardrails(costs: &CostGuardrails) -> Members {
    let mut members = members([
        ("max_tokens_per_task", number(costs.max_tokens_per_task)),
        ("max_api_calls_per_task", number(costs.max_api_calls_per_task)),
        ("max_cost_usd_per_task", number(costs.max_cost_usd_per_task)),
        ("max_cost_usd_per_day", number(costs.max_cost_usd_per_day)),
        ("max_tokens_per_day", number(costs.max_tokens_per_day)),
    ]);
    if let Some(breaker) = &costs.circuit_breaker {
        members.append(&mut circuit_breaker(breaker));
    }
    members
}

fn circuit_breaker(breaker: &CircuitBreaker) -> Members {
    members([
        (
            "circuit_breaker_threshold",
            Some(Form::Number(ratio(breaker.threshold))),
        ),
        ("circuit_breaker_window_seconds", number(breaker.window_seconds)),
        ("circuit_breaker_min_calls", number(breaker.min_calls)),
        (
            "circuit_breaker_cooldown_seconds",
            number(breaker.cooldown_seconds),
        ),
    ])
}

/// The shortest digits that are read back as the same number, with an exponent below a millionth: RFC 8785, section
/// 3.2.2.3, for numbers above 0 and at most 1.
fn ratio(value: f64) -> String {
    if value < 1e-6 {
        format!("{value:e}")
    } else {
        value.to_string()
    }
}

impl Form {
    fn write(&self, into: &mut String) {
        match self {
            Self::Number(text) => into.push_str(text),
            Self::Text(text) => write_text(text, into),
            Self::List(items) => separated(into, ['[', ']'], items, |item, into| write_text(item, into)),
            Self::Mapping(members) => separated(into, ['{', '}'], members, |(key, form), into| {
                write_text(key, into);
                into.push(':');
                form.write(into);
            }),
        }
    }
}

/// The escapes of serde_json are those of RFC 8785, section 3.2.2.2.
fn write_text(text: &str, into: &mut String) {
    into.push_str(&Value::from(text).to_string());
}

fn separated<T>(
    into: &mut String,
    [open, close]: [char; 2],
    items: impl IntoIterator<Item = T>,
    write: impl Fn(T, &mut String),
) {
    into.push(open);
    for (place, item) in items.into_iter().enumerate() {
        if place > 0 {
            into.push(',');
        }
        write(item, into);
    }
    into.push(close);
}
