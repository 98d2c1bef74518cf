//! A policy in words, and its rules as a list: what people ask for before they change one.

use std::collections::BTreeMap;

use super::decide::Decision;
use super::functions::FunctionSet;
use super::limits::CircuitBreaker;
use super::{AgentPolicy, Mode};

impl AgentPolicy {
    /// Every rule once, in alphabetical order, with what becomes of a call that it is about. Of a name that is the verdict
    /// of [`AgentPolicy::admits`]; of a pattern it is what the pattern's own list says, and rules about some of its names may
    /// say otherwise.
    #[must_use]
    pub fn listed(&self) -> Vec<(&str, Decision)> {
        let lists = [
            (&self.allowed_functions, Decision::Allow),
            (&self.require_confirmation, Decision::Confirm),
            (&self.denied_functions, Decision::Deny),
        ];
        // The stricter list comes later and has the last word.
        let said: BTreeMap<&str, Decision> = lists
            .into_iter()
            .flat_map(|(list, decision)| list.iter().map(move |rule| (rule, decision)))
            .collect();
        let judged = said.into_iter().map(|(rule, decision)| {
            if rule.contains('*') {
                (rule, decision)
            } else {
                (rule, self.admits(rule).decision)
            }
        });
        judged.collect()
    }

    /// What the policy says, a sentence a line. What it does not limit is not spoken of.
    #[must_use]
    pub fn in_words(&self) -> Vec<String> {
        let mut lines = vec![match self.effective_mode() {
            Mode::Enforce => "Mode: enforce.".to_owned(),
            Mode::EvaluateOnly => {
                "Mode: evaluate_only: what would be denied is recorded and goes through.".to_owned()
            }
        }];
        if let Some(target) = &self.push_to {
            lines.push(format!("Its tasks are sent to the target {target}."));
        }
        lines.extend(self.functions_in_words());
        lines.extend(self.limits_in_words());
        if let Some(fields) = self
            .pii_rules
            .redact_fields
            .as_deref()
            .filter(|fields| !fields.is_empty())
        {
            lines.push(format!("Redacts: {}.", fields.join(", ")));
        }
        if let Some(level) = self.pii_rules.log_level {
            lines.push(format!("Logs redactions at level: {}.", level.as_str()));
        }
        lines
    }

    fn functions_in_words(&self) -> Vec<String> {
        let list = |what: &str, set: &FunctionSet| {
            let rules: Vec<&str> = set.iter().collect();
            (!rules.is_empty()).then(|| format!("{what}: {}.", rules.join(", ")))
        };
        let allowed = list("May call", &self.allowed_functions);
        let mut lines = vec![allowed.unwrap_or_else(|| "May call nothing.".to_owned())];
        lines.extend(list("May not call", &self.denied_functions));
        lines.extend(list(
            "Needs a person's confirmation for",
            &self.require_confirmation,
        ));
        lines
    }

    fn limits_in_words(&self) -> Vec<String> {
        let (rates, costs) = (&self.rate_limits, &self.cost_guardrails);
        let rate = rates.requests_per_minute.zip(rates.pace()).map(|(rate, pace)| {
            let at_once = pace.burst.saturating_add(1);
            format!("Rate: {rate} a minute, after a pause up to {at_once} at once.")
        });
        let most = |what: &str, limit: Option<String>| limit.map(|limit| format!("{what}: at most {limit}."));
        let count = |limit: Option<u64>| limit.map(|limit| limit.to_string());
        let dollars = |limit: Option<super::MicroUsd>| limit.map(|limit| format!("{limit} USD"));
        [
            rate,
            most(
                "Running at the same time",
                rates.max_concurrent.map(|limit| limit.to_string()),
            ),
            most("Tokens of a task", count(costs.max_tokens_per_task)),
            most("Calls of a task", count(costs.max_api_calls_per_task)),
            most("Cost of a task", dollars(costs.max_cost_usd_per_task)),
            most("Cost of a day", dollars(costs.max_cost_usd_per_day)),
            most("Tokens of a day", count(costs.max_tokens_per_day)),
            costs.circuit_breaker.as_ref().map(breaker_in_words),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn breaker_in_words(breaker: &CircuitBreaker) -> String {
    let policy = breaker.policy();
    format!(
        "Circuit breaker: opens for {} s when {}% of at least {} calls within {} s failed.",
        policy.open_for.as_secs(),
        // Rounded to what was written: 0.07 * 100.0 is 7.000000000000001.
        (breaker.threshold * 1e8).round() / 1e6,
        policy.minimum_calls,
        policy.window.as_secs()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::policy::document;

    fn policy(body: &str) -> AgentPolicy {
        document::parse(&format!("agent_policies: {{a: {{{body}}}}}"))
            .unwrap()
            .remove(0)
    }

    #[test]
    fn every_rule_is_listed_once_by_what_becomes_of_it() {
        let policy = policy(
            "allowed_functions: [rates.*, loads.search, rates.drop, rates.publish],
             denied_functions: [rates.drop, rates.admin.*],
             require_confirmation: [rates.publish, billing.pay, rates.bulk.*]",
        );
        assert_eq!(
            policy.listed(),
            [
                // To confirm what is not allowed would not help.
                ("billing.pay", Decision::Deny),
                ("loads.search", Decision::Allow),
                ("rates.*", Decision::Allow),
                ("rates.admin.*", Decision::Deny),
                ("rates.bulk.*", Decision::Confirm),
                ("rates.drop", Decision::Deny),
                ("rates.publish", Decision::Confirm),
            ]
        );
    }

    #[test]
    fn a_policy_is_told_in_words() {
        let whole = policy(
            "mode: evaluate_only, allowed_functions: [a.b, 'c.*'], denied_functions: [c.d], require_confirmation: [c.e],
             rate_limits: {requests_per_minute: 60, burst: 4, max_concurrent: 5},
             pii_rules: {redact_fields: [phone, address], log_level: warn},
             cost_guardrails: {max_tokens_per_task: 10, max_api_calls_per_task: 2, max_cost_usd_per_task: 0.50,
                               max_cost_usd_per_day: 5, max_tokens_per_day: 90, circuit_breaker_threshold: 0.07}",
        );
        assert_eq!(
            whole.in_words(),
            [
                "Mode: evaluate_only: what would be denied is recorded and goes through.",
                "May call: a.b, c.*.",
                "May not call: c.d.",
                "Needs a person's confirmation for: c.e.",
                "Rate: 60 a minute, after a pause up to 5 at once.",
                "Running at the same time: at most 5.",
                "Tokens of a task: at most 10.",
                "Calls of a task: at most 2.",
                "Cost of a task: at most 0.5 USD.",
                "Cost of a day: at most 5 USD.",
                "Tokens of a day: at most 90.",
                "Circuit breaker: opens for 30 s when 7% of at least 20 calls within 300 s failed.",
                "Redacts: address, phone.",
                "Logs redactions at level: warn.",
            ]
        );
        assert_eq!(policy("").in_words(), ["Mode: enforce.", "May call nothing."]);
    }
}
