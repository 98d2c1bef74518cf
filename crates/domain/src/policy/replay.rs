//! A candidate held against calls that were decided before, in the order they came: what it would have said to each.
//!
//! What lists say is exact. Rates and costs are replayed from the moments and usages on record and are approximate: calls that
//! were denied might have come again or not at all, a usage on record is what its caller expected, and tasks are not told
//! apart. What needs the end of a call, `max_concurrent` and the circuit breaker, is not replayed.

use std::collections::HashMap;

use super::AgentPolicy;
use super::decide::{Decision, Ruling};
use super::gcra;
use super::limits::{CostGuardrails, RateLimits, Used};
use super::usage::Usage;

/// Whose limits: a company's, or the platform's own.
pub type Company = Option<[u8; 16]>;

const DAY_US: i64 = 86_400_000_000;
/// The replayed clock begins here, so that the first call finds the limits unused.
const ORIGIN_NS: u64 = 1 << 62;

/// A call on record.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// Who called.
    pub company: Company,
    /// The agent.
    pub agent: &'a str,
    /// What it wanted to call.
    pub function: &'a str,
    /// When, in microseconds since any midnight UTC.
    pub at_us: i64,
    /// What it said it would use.
    pub usage: &'a Usage,
}

/// What the candidate would have said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The decision and why.
    pub ruling: Ruling,
    /// Whether limits had a say in it.
    pub is_approximate: bool,
}

/// What the candidate has let through so far, for one agent of one company.
#[derive(Debug, Default)]
struct Spent {
    tat: u64,
    day: i64,
    used: Used,
}

/// A candidate, and where the calls so far have brought its limits.
#[derive(Debug)]
pub struct Replay {
    policies: HashMap<String, AgentPolicy>,
    spent: HashMap<(Company, String), Spent>,
    /// Moment of the first call.
    began_us: Option<i64>,
}

impl Replay {
    /// Begins with limits that nobody has used.
    #[must_use]
    pub fn new(candidates: Vec<AgentPolicy>) -> Self {
        let by_name = |policy: AgentPolicy| (policy.agent.clone(), policy);
        Self {
            policies: candidates.into_iter().map(by_name).collect(),
            spent: HashMap::new(),
            began_us: None,
        }
    }

    /// What the candidate would have said to the next call; None when it says nothing about the agent. Calls come in the order
    /// of their moments; one that comes late counts as one of the latest moment.
    pub fn next(&mut self, call: &Call<'_>) -> Option<Replayed> {
        let policy = self.policies.get(call.agent)?;
        let ruling = policy.admits(call.function);
        let (rates, costs) = (&policy.rate_limits, &policy.cost_guardrails);
        if ruling.decision != Decision::Allow || !has_limits(rates, costs) {
            return Some(Replayed {
                ruling,
                is_approximate: false,
            });
        }
        let began_us = *self.began_us.get_or_insert(call.at_us);
        let since = u64::try_from(call.at_us.saturating_sub(began_us)).unwrap_or(0);
        let now = ORIGIN_NS.saturating_add(since.saturating_mul(1_000));
        let spent = self
            .spent
            .entry((call.company, call.agent.to_owned()))
            .or_default();
        let refused = spent.charge(rates, costs, now, call);
        Some(Replayed {
            ruling: refused.unwrap_or(ruling),
            is_approximate: true,
        })
    }
}

fn has_limits(rates: &RateLimits, costs: &CostGuardrails) -> bool {
    *rates != RateLimits::default() || *costs != CostGuardrails::default()
}

impl Spent {
    /// Charges a call that fits, or says which limit it does not fit.
    fn charge(
        &mut self,
        rates: &RateLimits,
        costs: &CostGuardrails,
        now: u64,
        call: &Call<'_>,
    ) -> Option<Ruling> {
        let day = call.at_us.div_euclid(DAY_US);
        if self.day != day {
            (self.day, self.used) = (day, Used::default());
        }
        let mut tat = self.tat;
        if let Some(pace) = rates.pace() {
            let outcome = gcra::check(self.tat, now, pace.interval, pace.burst, 1);
            if outcome.limited {
                let per_minute = rates.requests_per_minute.unwrap_or(0);
                return Some(denial(
                    "rate_limits.requests_per_minute",
                    format!("more than {per_minute} requests a minute"),
                ));
            }
            tat = outcome.new_tat;
        }
        let asked = call.usage.asked();
        if let Err(exceeded) = costs.check(&self.used, &asked) {
            return Some(denial(exceeded.limit.rule(), exceeded.to_string()));
        }
        self.tat = tat;
        let cost = asked.cost.unwrap_or_default().micros();
        let day_cost = self.used.day_cost.micros().saturating_add(cost);
        self.used.day_cost = super::MicroUsd::from_micros(day_cost);
        self.used.day_tokens = self.used.day_tokens.saturating_add(asked.tokens);
        None
    }
}

fn denial(rule: &str, reason: String) -> Ruling {
    Ruling {
        decision: Decision::Deny,
        rule: rule.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::policy::{MicroUsd, document};

    const SECOND: i64 = 1_000_000;

    fn replay(body: &str) -> Replay {
        Replay::new(document::parse(&format!("agent_policies: {{a: {{{body}}}}}")).unwrap())
    }

    fn said(
        replay: &mut Replay,
        company: Company,
        function: &str,
        at_us: i64,
        usage: &Usage,
    ) -> (Decision, bool) {
        let call = Call {
            company,
            agent: "a",
            function,
            at_us,
            usage,
        };
        let replayed = replay.next(&call).unwrap();
        (replayed.ruling.decision, replayed.is_approximate)
    }

    #[test]
    fn lists_are_exact_and_other_agents_are_not_spoken_of() {
        let mut replay =
            replay("allowed_functions: [x.*], denied_functions: [x.y], require_confirmation: [x.z]");
        let free = Usage::default();
        for (function, decision) in [
            ("x.a", Decision::Allow),
            ("x.y", Decision::Deny),
            ("x.z", Decision::Confirm),
            ("b.c", Decision::Deny),
        ] {
            assert_eq!(said(&mut replay, None, function, 0, &free), (decision, false));
        }
        let other = Call {
            company: None,
            agent: "b",
            function: "x.a",
            at_us: 0,
            usage: &free,
        };
        assert_eq!(replay.next(&other), None);
    }

    #[test]
    fn rates_are_replayed_by_company_and_what_is_denied_is_not_charged() {
        let mut replay = replay("allowed_functions: [x], rate_limits: {requests_per_minute: 60, burst: 1}");
        let (free, other) = (Usage::default(), Some([7; 16]));
        let mut at = |company, at_us| said(&mut replay, company, "x", at_us, &free);
        assert_eq!(at(None, 5 * SECOND), (Decision::Allow, true));
        assert_eq!(at(None, 5 * SECOND), (Decision::Allow, true));
        assert_eq!(at(None, 5 * SECOND), (Decision::Deny, true));
        assert_eq!(at(other, 5 * SECOND), (Decision::Allow, true));
        assert_eq!(at(None, 6 * SECOND), (Decision::Allow, true));
        assert_eq!(at(None, 6 * SECOND), (Decision::Deny, true));
        // Late by a moment, and no way back to an unused limit.
        assert_eq!(at(None, 0), (Decision::Deny, true));
    }

    #[test]
    fn a_days_budget_begins_anew_with_the_day() {
        let mut replay = replay(
            "allowed_functions: [x], cost_guardrails: {max_cost_usd_per_day: 1, max_cost_usd_per_task: 0.70}",
        );
        let dollars = |micros| Usage {
            cost: Some(MicroUsd::from_micros(micros)),
            ..Usage::default()
        };
        let day = 20_000 * DAY_US;
        for (at_us, micros, decision) in [
            (day, 600_000, Decision::Allow),
            (day + 1, 800_000, Decision::Deny),
            (day + 2, 500_000, Decision::Deny),
            (day + 3, 400_000, Decision::Allow),
            (day + DAY_US, 600_000, Decision::Allow),
        ] {
            assert_eq!(
                said(&mut replay, None, "x", at_us, &dollars(micros)),
                (decision, true),
                "{at_us}"
            );
        }
    }

    #[test]
    fn a_days_tokens_are_replayed_and_must_have_been_said() {
        let mut replay = replay("allowed_functions: [x], cost_guardrails: {max_tokens_per_day: 100}");
        let tokens = |tokens| Usage {
            tokens,
            ..Usage::default()
        };
        for (at_us, used, decision) in [
            (0, Some(60), Decision::Allow),
            (1, None, Decision::Deny),
            (2, Some(41), Decision::Deny),
            (3, Some(40), Decision::Allow),
            (DAY_US, Some(100), Decision::Allow),
        ] {
            let answer = said(&mut replay, None, "x", at_us, &tokens(used));
            assert_eq!(answer, (decision, true), "{at_us}");
        }
    }
}
