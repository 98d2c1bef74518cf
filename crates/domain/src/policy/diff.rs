//! What changed from one policy to another, in words.

use std::collections::BTreeMap;
use std::fmt;

use super::AgentPolicy;
use super::canonical::{Form, form};
use crate::shown::one_line;

/// The longest value that is shown whole, in characters.
const SHOWN_LIMIT: usize = 256;

/// One difference. In lists each element is a difference of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where, such as `rate_limits.burst` or `allowed_functions`.
    pub path: String,
    /// What it was; None where it was not given.
    pub before: Option<String>,
    /// What it is; None where it is not given any more.
    pub after: Option<String>,
}

/// For example `rate_limits.burst: 5 became 10`, `allowed_functions: rates.* was added`.
impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |value: &str| one_line(value, SHOWN_LIMIT);
        write!(f, "{}: ", self.path)?;
        match (self.before.as_deref(), self.after.as_deref()) {
            (Some(before), Some(after)) => write!(f, "{} became {}", shown(before), shown(after)),
            (Some(before), None) => write!(f, "{} was removed", shown(before)),
            (None, Some(after)) => write!(f, "{} was added", shown(after)),
            (None, None) => f.write_str("nothing changed"),
        }
    }
}

/// The changes from one policy to the next, sorted by path. There are none exactly when the canonical forms of the two are
/// the same but for the agent's name.
#[must_use]
pub fn changes(before: &AgentPolicy, after: &AgentPolicy) -> Vec<Change> {
    let mut pairs: BTreeMap<Leaf, (Option<String>, Option<String>)> = BTreeMap::new();
    for (leaf, value) in leaves(before) {
        pairs.entry(leaf).or_default().0 = Some(value);
    }
    for (leaf, value) in leaves(after) {
        pairs.entry(leaf).or_default().1 = Some(value);
    }
    pairs
        .into_iter()
        .filter(|(_, (before, after))| before != after)
        .map(|((path, _), (before, after))| Change { path, before, after })
        .collect()
}

/// A path, and the element where the path leads to a list.
type Leaf = (String, Option<String>);

fn leaves(policy: &AgentPolicy) -> Vec<(Leaf, String)> {
    let mut found = Vec::new();
    collect(String::new(), form(policy), &mut found);
    found
}

fn collect(path: String, form: Form, into: &mut Vec<(Leaf, String)>) {
    match form {
        Form::Number(text) | Form::Text(text) => into.push(((path, None), text)),
        // An empty list says something that no list at all does not.
        Form::List(items) if items.is_empty() => into.push(((path, None), "[]".to_owned())),
        Form::List(items) => {
            let elements = items.into_iter();
            into.extend(elements.map(|item| ((path.clone(), Some(item.clone())), item)));
        }
        Form::Mapping(members) => {
            for (key, member) in members {
                let below = if path.is_empty() {
                    key
                } else {
                    format!("{path}.{key}")
                };
                collect(below, member, into);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::policy::document;

    fn policy(body: &str) -> AgentPolicy {
        let document = format!("agent_policies: {{a: {{{body}}}}}");
        document::parse(&document).unwrap().remove(0)
    }

    #[test]
    fn changes_are_told_in_words() {
        for (before, after, expected) in [
            ("", "", &[][..]),
            (
                "mode: enforce",
                "mode: evaluate_only",
                &["mode: enforce became evaluate_only"],
            ),
            ("", "mode: enforce", &["mode: enforce was added"]),
            (
                "allowed_functions: [rates.price, loads.search]",
                "allowed_functions: [loads.search, rates.*]",
                &[
                    "allowed_functions: rates.* was added",
                    "allowed_functions: rates.price was removed",
                ],
            ),
            (
                "allowed_functions: [a, b]",
                "allowed_functions: [b, a], rate_limits: {}",
                &[],
            ),
            (
                "rate_limits: {requests_per_minute: 60, burst: 5}",
                "rate_limits: {requests_per_minute: 60, burst: 10, max_concurrent: 2}",
                &[
                    "rate_limits.burst: 5 became 10",
                    "rate_limits.max_concurrent: 2 was added",
                ],
            ),
            (
                "cost_guardrails: {max_cost_usd_per_day: 5.00, max_openai_tokens_per_task: 5}",
                "cost_guardrails: {max_cost_usd_per_day: 12.50, max_tokens_per_task: 5}",
                &["cost_guardrails.max_cost_usd_per_day: 5 became 12.5"],
            ),
            (
                "cost_guardrails: {max_tokens_per_day: 1000}",
                "cost_guardrails: {max_tokens_per_day: 2000}",
                &["cost_guardrails.max_tokens_per_day: 1000 became 2000"],
            ),
            (
                "cost_guardrails: {circuit_breaker_threshold: 0.05}",
                "",
                &["cost_guardrails.circuit_breaker_threshold: 0.05 was removed"],
            ),
            (
                "pii_rules: {redact_fields: [phone]}",
                "pii_rules: {redact_fields: [], log_level: 'off'}",
                &[
                    "pii_rules.log_level: off was added",
                    "pii_rules.redact_fields: [] was added",
                    "pii_rules.redact_fields: phone was removed",
                ],
            ),
        ] {
            let told: Vec<String> = changes(&policy(before), &policy(after))
                .iter()
                .map(ToString::to_string)
                .collect();
            assert_eq!(told, expected, "{before} -> {after}");
        }
    }

    #[test]
    fn turning_the_two_around_turns_the_changes_around() {
        let one = policy("mode: enforce, allowed_functions: [a, b], rate_limits: {requests_per_minute: 6}");
        let other =
            policy("denied_functions: [b], allowed_functions: [b], rate_limits: {requests_per_minute: 7}");
        let there = changes(&one, &other);
        assert_eq!(there.len(), 4);
        let back: Vec<Change> = changes(&other, &one)
            .into_iter()
            .map(|Change { path, before, after }| Change {
                path,
                before: after,
                after: before,
            })
            .collect();
        assert_eq!(there, back);
        assert_eq!(changes(&one, &one), []);
    }
}
