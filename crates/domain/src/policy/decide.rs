//! Whether an agent may call a function, going by its name alone.
//!
//! Deny by default: what no rule allows is denied, and a denial beats whatever allows. A confirmation is asked for what is
//! allowed; to ask a person about something that is not allowed anyway would turn the list of questions into a second
//! list of permissions.

use super::AgentPolicy;
use super::functions::check_function_name;
use crate::nearest::nearest;
use crate::shown::quoted;

/// The rule that is named where no rule is about the function.
const DEFAULT_RULE: &str = "default: deny";

/// What is done with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decision {
    /// It goes through.
    Allow,
    /// It does not.
    Deny,
    /// It waits until a person has agreed.
    Confirm,
}

impl Decision {
    /// The name in verdicts and tables.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Deny => "deny",
            Self::Confirm => "confirm",
        }
    }
}

/// A decision and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What is done.
    pub decision: Decision,
    /// The rule that decided, such as `denied_functions: rates.*`.
    pub rule: String,
    /// The reason, for people.
    pub reason: String,
}

impl AgentPolicy {
    /// Whether the agent may call this function. [`super::Mode`] is not looked at: it decides what a denial does.
    #[must_use]
    pub fn admits(&self, function: &str) -> Ruling {
        let agent = quoted(&self.agent);
        if let Err(problem) = check_function_name(function) {
            return ruling(Decision::Deny, "function name", problem.message);
        }
        let shown = quoted(function);
        if let Some(rule) = self.denied_functions.find(function) {
            let reason = format!("function {shown} is denied to agent {agent}");
            return ruling(Decision::Deny, format!("denied_functions: {rule}"), reason);
        }
        let confirm = self.require_confirmation.find(function);
        match (self.allowed_functions.find(function), confirm) {
            (Some(_), Some(rule)) => {
                let reason = format!("function {shown} of agent {agent} needs the confirmation of a person");
                ruling(Decision::Confirm, format!("require_confirmation: {rule}"), reason)
            }
            (Some(rule), None) => {
                let reason = format!("function {shown} is allowed to agent {agent}");
                ruling(Decision::Allow, format!("allowed_functions: {rule}"), reason)
            }
            (None, Some(_)) => {
                let reason = format!(
                    "function {shown} is in require_confirmation and not in allowed_functions of agent {agent}: \
                     what needs confirmation must be allowed as well"
                );
                ruling(Decision::Deny, DEFAULT_RULE, reason)
            }
            (None, None) => {
                let reason = format!("function {shown} is not in allowed_functions of agent {agent}");
                ruling(Decision::Deny, DEFAULT_RULE, reason)
            }
        }
    }

    /// The allowed function that was probably meant by one that no rule is about, for the HINT of a denial; None when
    /// nothing is close. It compares with each name and is no part of [`AgentPolicy::admits`] for its cost.
    #[must_use]
    pub fn nearest_allowed(&self, function: &str) -> Option<&str> {
        let usable: Vec<&str> = self
            .allowed_functions
            .names()
            .filter(|name| self.denied_functions.find(name).is_none())
            .collect();
        nearest(function, &usable)
    }
}

fn ruling(decision: Decision, rule: impl Into<String>, reason: String) -> Ruling {
    Ruling {
        decision,
        rule: rule.into(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::Decision::{Allow, Confirm, Deny};
    use super::*;
    use crate::arbitrary::Source;
    use crate::policy::document;

    const DOCUMENT: &str = "
agent_policies:
  rates_agent:
    allowed_functions: [rates.*, loads.search, carriers.find]
    denied_functions: [rates.delete, rates.admin.*, carriers.find]
    require_confirmation: [rates.publish, rates.delete, billing.*, '*.bulk']
  idle_agent: {}
  any_agent:
    allowed_functions: ['*']
    denied_functions: [secrets.*]
";

    fn policy(agent: &str) -> AgentPolicy {
        let policies = document::parse(DOCUMENT).unwrap();
        policies.into_iter().find(|policy| policy.agent == agent).unwrap()
    }

    #[test]
    fn deny_beats_allow_and_what_no_rule_names_is_denied() {
        for (agent, function, decision, rule) in [
            ("rates_agent", "rates.price", Allow, "allowed_functions: rates.*"),
            (
                "rates_agent",
                "rates.deep.down",
                Allow,
                "allowed_functions: rates.*",
            ),
            (
                "rates_agent",
                "loads.search",
                Allow,
                "allowed_functions: loads.search",
            ),
            (
                "rates_agent",
                "rates.publish",
                Confirm,
                "require_confirmation: rates.publish",
            ),
            (
                "rates_agent",
                "rates.bulk",
                Confirm,
                "require_confirmation: *.bulk",
            ),
            (
                "rates_agent",
                "rates.delete",
                Deny,
                "denied_functions: rates.delete",
            ),
            (
                "rates_agent",
                "rates.admin.reset",
                Deny,
                "denied_functions: rates.admin.*",
            ),
            ("rates_agent", "rates.admin", Allow, "allowed_functions: rates.*"),
            (
                "rates_agent",
                "carriers.find",
                Deny,
                "denied_functions: carriers.find",
            ),
            ("rates_agent", "rates", Deny, "default: deny"),
            ("rates_agent", "Rates.price", Deny, "default: deny"),
            ("rates_agent", "loads.search.all", Deny, "default: deny"),
            ("rates_agent", "billing.pay", Deny, "default: deny"),
            ("rates_agent", "rates.*", Deny, "function name"),
            ("rates_agent", "rates.", Deny, "function name"),
            ("rates_agent", "rates..price", Deny, "function name"),
            ("rates_agent", "rates.price ", Deny, "function name"),
            ("rates_agent", "", Deny, "function name"),
            ("idle_agent", "rates.price", Deny, "default: deny"),
            ("any_agent", "rates.price", Allow, "allowed_functions: *"),
            ("any_agent", "secrets.read", Deny, "denied_functions: secrets.*"),
            ("any_agent", "*", Deny, "function name"),
        ] {
            let ruling = policy(agent).admits(function);
            assert_eq!(
                (ruling.decision, ruling.rule.as_str()),
                (decision, rule),
                "{agent} {function:?}"
            );
            assert!(!ruling.reason.is_empty());
        }
    }

    #[test]
    fn the_reason_names_the_function_and_the_agent() {
        for (function, reason) in [
            (
                "rates.price",
                "function \"rates.price\" is allowed to agent \"rates_agent\"",
            ),
            (
                "rates.delete",
                "function \"rates.delete\" is denied to agent \"rates_agent\"",
            ),
            (
                "rates.publish",
                "function \"rates.publish\" of agent \"rates_agent\" needs the confirmation of a person",
            ),
            (
                "loads.drop",
                "function \"loads.drop\" is not in allowed_functions of agent \"rates_agent\"",
            ),
            (
                "billing.pay",
                "function \"billing.pay\" is in require_confirmation and not in allowed_functions of agent \
                 \"rates_agent\": what needs confirmation must be allowed as well",
            ),
            (
                "rates.*",
                "character 7 of the function name \"rates.*\" is not allowed",
            ),
        ] {
            assert_eq!(policy("rates_agent").admits(function).reason, reason);
        }
    }

    #[test]
    fn a_misspelt_function_is_told_the_one_that_was_meant() {
        for (agent, function, meant) in [
            ("rates_agent", "loads.serach", Some("loads.search")),
            ("rates_agent", "Loads.Search", Some("loads.search")),
            ("rates_agent", "billing.pay", None),
            // It would be denied as well.
            ("rates_agent", "carrier.find", None),
            ("idle_agent", "loads.search", None),
        ] {
            assert_eq!(policy(agent).nearest_allowed(function), meant, "{function}");
        }
        assert_eq!(
            policy("rates_agent").nearest_allowed(&"x".repeat(1_000_000)),
            None
        );
    }

    #[test]
    fn no_name_panics_or_forges_a_line() {
        let policy = policy("any_agent");
        let mut source = Source::new(34);
        for _ in 0..3_000 {
            let name = source.text(&["rates", ".", "*", "secrets", "\n", "\u{202e}"]);
            let ruling = policy.admits(&name);
            assert!(ruling.reason.len() < 1_000 && !ruling.reason.contains(['\n', '\u{202e}']));
            assert_eq!(
                ruling.decision == Deny && name.starts_with("secrets."),
                name.starts_with("secrets.")
            );
        }
        assert!(policy.admits(&"x".repeat(100_000_000)).reason.len() < 200);
    }

    #[test]
    fn decisions_have_the_names_of_verdicts() {
        assert_eq!(
            [Allow, Deny, Confirm].map(Decision::as_str),
            ["allow", "deny", "confirm"]
        );
    }
}
