//! Policies of agents: what one may call, how often, at what cost, and what is hidden of what it says.
//!
//! A policy document is YAML, read as a whole or not at all ([`document`]). Each agent's policy is known by the digest of
//! its canonical form ([`canonical`]) and differs from another in a list of changes ([`diff`]). What it decides is split by
//! what the decision needs to know: the function's name alone ([`decide`]), what has been used ([`limits`]), or a moment
//! in shared memory ([`gcra`], [`ledger`]), or what is left of a day's money ([`budget`]). Breakers are [`crate::breaker`]'s. What was decided waits in [`journal`] until it is
//! written down.

use crate::problem::Problem;
use crate::shown::quoted;

mod amount;
pub mod budget;
pub mod canonical;
mod core_schema;
pub mod decide;
pub mod diff;
pub mod document;
pub mod functions;
pub mod gcra;
pub mod journal;
pub mod ledger;
pub mod limits;
pub mod replay;
mod section;
pub mod usage;
mod words;
mod yaml;

pub use amount::MicroUsd;
use functions::FunctionSet;
use limits::{CostGuardrails, RateLimits};

const AGENT_NAME_LIMIT: usize = 63;

/// The policy of one agent, as it was given: what is not given has its default where it is asked for, so that a later
/// default reaches policies that are loaded already.
#[derive(Debug, Clone, PartialEq)]
pub struct AgentPolicy {
    /// The agent.
    pub agent: String,
    /// Whether a denial stops the call; None for [`Mode::Enforce`].
    pub mode: Option<Mode>,
    /// The target that the agent's tasks are sent to; None: the agent claims them.
    pub push_to: Option<String>,
    /// What it may call. Nothing else.
    pub allowed_functions: FunctionSet,
    /// What it may not call, although it is allowed.
    pub denied_functions: FunctionSet,
    /// What it may call once a person has agreed, if it is allowed.
    pub require_confirmation: FunctionSet,
    /// How often it may call.
    pub rate_limits: RateLimits,
    /// What is hidden in what it reads and writes.
    pub pii_rules: PiiRules,
    /// What it may use up.
    pub cost_guardrails: CostGuardrails,
}

impl AgentPolicy {
    /// Whether a denial stops the call.
    #[must_use]
    pub fn effective_mode(&self) -> Mode {
        self.mode.unwrap_or_default()
    }
}

/// Whether a denial stops the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// It does.
    #[default]
    Enforce,
    /// It is computed and recorded, and the call goes through.
    EvaluateOnly,
}

impl Mode {
    /// Every mode, in the order of the documentation.
    pub const ALL: [Self; 2] = [Self::Enforce, Self::EvaluateOnly];

    /// The name in documents and in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::EvaluateOnly => "evaluate_only",
        }
    }
}

/// What is hidden of an agent's payloads and logs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PiiRules {
    /// Keys or paths whose values are hidden, sorted and without duplicates; None where nothing was said, which is not
    /// the same as an empty list.
    pub redact_fields: Option<Vec<String>>,
    /// The level at which it is logged what was found where; None where nothing was said.
    pub log_level: Option<LogLevel>,
}

/// The level of a log line about a redaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogLevel {
    /// For following one task.
    Debug,
    /// For the record.
    Info,
    /// For somebody to look at.
    Warn,
    /// For somebody to act on.
    Error,
    /// Nothing is logged.
    Off,
}

impl LogLevel {
    /// Every level, from the most talkative to silence.
    pub const ALL: [Self; 5] = [Self::Debug, Self::Info, Self::Warn, Self::Error, Self::Off];

    /// The name in documents and in SQL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
            Self::Off => "off",
        }
    }
}

/// Checks the name of an agent: 1 to 63 characters of a-z, A-Z, 0-9, `_`, `.` and `-`, beginning with a letter or a digit.
///
/// # Errors
/// Names the value and the first character that does not belong.
pub fn check_agent_name(name: &str) -> Result<(), Problem> {
    let wrong = |message: String| {
        Problem::new(message)
            .detail(
                "An agent name has 1 to 63 characters of a-z, A-Z, 0-9, \"_\", \".\" and \"-\" and begins with a letter \
                 or a digit.",
            )
            .hint("Name the agent as its tasks do, such as \"rates_agent\".")
    };
    if name.is_empty() {
        return Err(wrong("the agent name is empty".to_owned()));
    }
    if name.len() > AGENT_NAME_LIMIT {
        return Err(wrong(format!(
            "the agent name {} is {} bytes long",
            quoted(name),
            name.len()
        )));
    }
    let misplaced = name.chars().position(|letter| !is_name_letter(letter));
    let begins_badly = name.starts_with(['_', '.', '-']).then_some(0);
    if let Some(place) = begins_badly.or(misplaced) {
        return Err(wrong(format!(
            "character {} of the agent name {} is not allowed",
            place + 1,
            quoted(name)
        )));
    }
    Ok(())
}

fn is_name_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '.' | '-')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;

    #[test]
    fn agent_names() {
        let longest = "a".repeat(63);
        for good in ["rates_agent", "A", "9", "load-matching.v2", &longest] {
            assert_eq!(check_agent_name(good), Ok(()), "{good}");
        }
        let too_long = "a".repeat(64);
        for (bad, message) in [
            ("", "the agent name is empty"),
            ("_a", "character 1 of the agent name \"_a\" is not allowed"),
            (
                "rates agent",
                "character 6 of the agent name \"rates agent\" is not allowed",
            ),
            ("räte", "character 2 of the agent name \"räte\" is not allowed"),
            ("a\n", "character 2 of the agent name \"a\\n\" is not allowed"),
            ("a:b", "character 2 of the agent name \"a:b\" is not allowed"),
        ] {
            let problem = check_agent_name(bad).unwrap_err();
            assert_eq!(problem.message, message);
            assert!(problem.detail.is_some() && problem.hint.is_some());
        }
        assert!(
            check_agent_name(&too_long)
                .unwrap_err()
                .message
                .contains("64 bytes")
        );
    }

    #[test]
    fn every_mode_and_level_has_a_name_of_its_own() {
        assert_eq!(Mode::ALL.map(Mode::as_str), ["enforce", "evaluate_only"]);
        assert_eq!(
            LogLevel::ALL.map(LogLevel::as_str),
            ["debug", "info", "warn", "error", "off"]
        );
    }
}
