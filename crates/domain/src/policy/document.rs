//! Policy documents: from YAML to the policies of agents, as a whole or not at all.
//!
//! Strict on purpose: a misspelt rule that is ignored is a rule that is not there. What is wrong is named by its path and
//! line, with what was expected and the key that was probably meant.

use super::functions::{FunctionSet, parse_rule};
use super::limits::{CircuitBreaker, CostGuardrails, RateLimits};
use super::section::{Range, Section};
use super::yaml::{self, Entry, join};
use super::{AgentPolicy, LogLevel, MicroUsd, Mode, PiiRules, check_agent_name};
use crate::names::check_target_name;
use crate::problem::Problem;
use crate::redact::rules::Rules;
use crate::shown::quoted;

#[cfg(test)]
mod tests;

const ROOT: &str = "agent_policies";

const POLICY_KEYS: &[&str] = &[
    "mode",
    "push_to",
    "allowed_functions",
    "denied_functions",
    "require_confirmation",
    "rate_limits",
    "pii_rules",
    "cost_guardrails",
];
const RATE_KEYS: &[&str] = &["requests_per_minute", "burst", "max_concurrent"];
const PII_KEYS: &[&str] = &["redact_fields", "log_level"];
const COST_KEYS: &[&str] = &[
    "max_tokens_per_task",
    "max_openai_tokens_per_task",
    "max_api_calls_per_task",
    "max_cost_usd_per_task",
    "max_cost_usd_per_day",
    "max_tokens_per_day",
    "circuit_breaker_threshold",
    "circuit_breaker_window_seconds",
    "circuit_breaker_min_calls",
    "circuit_breaker_cooldown_seconds",
];

/// 100,000 a second.
const MOST_REQUESTS: u64 = 6_000_000;
const MOST_AT_ONCE: u64 = 1_000_000;
const MOST_TOKENS: u64 = 1_000_000_000_000;
const MOST_CALLS: u64 = 1_000_000_000;
const MOST_MONEY: MicroUsd = MicroUsd::from_micros(1_000_000_000_000_000);
const DAY_SECONDS: u64 = 86_400;
/// In bytes, of a key or path to redact.
const FIELD_LIMIT: usize = 255;

/// The policies of the document, in the order of their agents' names.
///
/// # Errors
/// Anything that is not a policy document. The message has path, value and line, the detail what was expected, the hint
/// what was probably meant. Also what contradicts itself: a limit under both of its names, a burst without a rate, a window
/// without a threshold.
pub fn parse(text: &str) -> Result<Vec<AgentPolicy>, Problem> {
    let document = yaml::read(text)?;
    let root = Section::root(&document)?;
    root.check_keys(&[ROOT], |key| {
        POLICY_KEYS
            .contains(&key)
            .then_some("to an agent below agent_policies")
    })?;
    let expected = "a mapping of agents to their policies";
    let Some(agents) = root.section(ROOT, expected)? else {
        return Err(Problem::new(format!("{ROOT} is missing"))
            .detail(format!("Expected the key \"{ROOT}\" with {expected}."))
            .hint("Begin with \"agent_policies:\" and put the agents below it, indented."));
    };
    if agents.entries().is_empty() {
        return Err(Problem::new(format!("{ROOT} is empty"))
            .detail(format!("Expected {expected}."))
            .hint("Name an agent; \"{}\" is the policy of one that may call nothing."));
    }
    let mut policies = agents
        .entries()
        .iter()
        .map(|entry| read_policy(&agents, entry))
        .collect::<Result<Vec<_>, _>>()?;
    policies.sort_by(|a, b| a.agent.cmp(&b.agent));
    Ok(policies)
}

fn read_policy<'a>(agents: &Section<'a>, entry: &'a Entry) -> Result<AgentPolicy, Problem> {
    check_agent_name(&entry.key).map_err(|problem| Problem {
        message: format!(
            "{}: {} (line {})",
            join(ROOT, &entry.key),
            problem.message,
            entry.place.line
        ),
        ..problem
    })?;
    let policy = agents.below(entry, "a mapping, \"{}\" for an agent that may call nothing")?;
    policy.check_keys(POLICY_KEYS, home_of)?;
    Ok(AgentPolicy {
        agent: entry.key.clone(),
        mode: policy.one_of("mode", &Mode::ALL, Mode::as_str)?,
        push_to: policy.name("push_to", "the name of a target", check_target_name)?,
        allowed_functions: functions(&policy, "allowed_functions")?,
        denied_functions: functions(&policy, "denied_functions")?,
        require_confirmation: functions(&policy, "require_confirmation")?,
        rate_limits: rate_limits(&policy)?,
        pii_rules: pii_rules(&policy)?,
        cost_guardrails: cost_guardrails(&policy)?,
    })
}

/// Where a key belongs that is known, but not here.
fn home_of(key: &str) -> Option<&'static str> {
    [
        (RATE_KEYS, "under rate_limits"),
        (PII_KEYS, "under pii_rules"),
        (COST_KEYS, "under cost_guardrails"),
        (POLICY_KEYS, "to the agent itself"),
    ]
    .into_iter()
    .find(|(keys, _)| keys.contains(&key))
    .map(|(_, home)| home)
}

fn functions(policy: &Section<'_>, key: &str) -> Result<FunctionSet, Problem> {
    let items = policy.texts(key)?.unwrap_or_default();
    let rules = items
        .iter()
        .map(|item| parse_rule(item.text).map_err(|problem| item.wrong(problem)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(FunctionSet::new(rules))
}

/// A whole number that fits its type, since its range does.
fn count<T: TryFrom<u64>>(
    section: &Section<'_>,
    key: &str,
    low: u64,
    high: u64,
    unit: &'static str,
) -> Result<Option<T>, Problem> {
    let number = section.whole(key, &Range { low, high, unit })?;
    Ok(number.and_then(|number| T::try_from(number).ok()))
}

fn rate_limits(policy: &Section<'_>) -> Result<RateLimits, Problem> {
    let Some(section) = policy.section("rate_limits", "a mapping of limits")? else {
        return Ok(RateLimits::default());
    };
    section.check_keys(RATE_KEYS, home_of)?;
    let limits = RateLimits {
        requests_per_minute: count(
            &section,
            "requests_per_minute",
            1,
            MOST_REQUESTS,
            "requests a minute",
        )?,
        burst: count(&section, "burst", 0, MOST_AT_ONCE, "requests")?,
        max_concurrent: count(&section, "max_concurrent", 1, MOST_AT_ONCE, "requests at once")?,
    };
    if limits.requests_per_minute.is_none() {
        needs(&section, &["burst"], "requests_per_minute")?;
    }
    Ok(limits)
}

/// Refuses keys that say nothing without another one.
fn needs(section: &Section<'_>, keys: &[&str], missing: &str) -> Result<(), Problem> {
    let Some(entry) = keys.iter().find_map(|key| section.get(key)) else {
        return Ok(());
    };
    Err(Problem::new(format!(
        "{} is given without {missing} (line {})",
        join(&section.path, &entry.key),
        entry.place.line
    ))
    .detail(format!("Without {missing} it limits nothing."))
    .hint(format!("Add \"{missing}\", or leave \"{}\" out.", entry.key)))
}

fn pii_rules(policy: &Section<'_>) -> Result<PiiRules, Problem> {
    let Some(section) = policy.section("pii_rules", "a mapping of rules")? else {
        return Ok(PiiRules::default());
    };
    section.check_keys(PII_KEYS, home_of)?;
    let mut redact_fields = None;
    if let Some(items) = section.texts("redact_fields")? {
        let mut fields = Vec::with_capacity(items.len());
        for item in items {
            check_field(item.text).map_err(|problem| item.wrong(problem))?;
            let field = item.text.to_owned();
            Rules::from_places(std::slice::from_ref(&field)).map_err(|problem| item.wrong(problem))?;
            fields.push(field);
        }
        // Together they have limits of their own.
        Rules::from_places(&fields)?;
        fields.sort();
        redact_fields = Some(fields);
    }
    Ok(PiiRules {
        redact_fields,
        log_level: section.one_of("log_level", &LogLevel::ALL, LogLevel::as_str)?,
    })
}

fn check_field(field: &str) -> Result<(), Problem> {
    let expected =
        format!("A field is a key or a path of 1 to {FIELD_LIMIT} bytes without control characters.");
    let message = if field.trim().is_empty() {
        "the field is empty".to_owned()
    } else if field.len() > FIELD_LIMIT {
        format!("the field {} is {} bytes long", quoted(field), field.len())
    } else if field.contains(char::is_control) {
        format!("the field {} has a control character", quoted(field))
    } else {
        return Ok(());
    };
    Err(Problem::new(message)
        .detail(expected)
        .hint("Write the key as it is in the data, such as \"customer_name\"."))
}

fn cost_guardrails(policy: &Section<'_>) -> Result<CostGuardrails, Problem> {
    let Some(section) = policy.section("cost_guardrails", "a mapping of limits")? else {
        return Ok(CostGuardrails::default());
    };
    section.check_keys(COST_KEYS, home_of)?;
    Ok(CostGuardrails {
        max_tokens_per_task: tokens(&section)?,
        max_api_calls_per_task: count(&section, "max_api_calls_per_task", 0, MOST_CALLS, "calls")?,
        max_cost_usd_per_task: section.money("max_cost_usd_per_task", MOST_MONEY)?,
        max_cost_usd_per_day: section.money("max_cost_usd_per_day", MOST_MONEY)?,
        max_tokens_per_day: count(&section, "max_tokens_per_day", 0, MOST_TOKENS, "tokens")?,
        circuit_breaker: circuit_breaker(&section)?,
    })
}

/// One limit under two names: the roadmap's, and one that says what is counted.
fn tokens(section: &Section<'_>) -> Result<Option<u64>, Problem> {
    let (name, old_name) = ("max_tokens_per_task", "max_openai_tokens_per_task");
    if let (Some(first), Some(second)) = (section.get(name), section.get(old_name)) {
        return Err(Problem::new(format!(
            "{} is given twice, as {name} (line {}) and as {old_name} (line {})",
            join(&section.path, name),
            first.place.line,
            second.place.line
        ))
        .detail("Both are names of the same limit, the tokens of a task at any provider.")
        .hint(format!("Keep \"{name}\".")));
    }
    let given = |key| count(section, key, 0, MOST_TOKENS, "tokens");
    Ok(given(name)?.or(given(old_name)?))
}

fn circuit_breaker(section: &Section<'_>) -> Result<Option<CircuitBreaker>, Problem> {
    let (window, calls, cooldown) = (
        "circuit_breaker_window_seconds",
        "circuit_breaker_min_calls",
        "circuit_breaker_cooldown_seconds",
    );
    let threshold = section.ratio("circuit_breaker_threshold")?;
    let window_seconds = count(section, window, 1, DAY_SECONDS, "seconds")?;
    let min_calls = count(section, calls, 1, MOST_AT_ONCE, "calls")?;
    let cooldown_seconds = count(section, cooldown, 1, DAY_SECONDS, "seconds")?;
    let Some(threshold) = threshold else {
        needs(section, &[window, calls, cooldown], "circuit_breaker_threshold")?;
        return Ok(None);
    };
    Ok(Some(CircuitBreaker {
        threshold,
        window_seconds,
        min_calls,
        cooldown_seconds,
    }))
}
