//! What the policy in force says to a call by its lists. Check and enforcement both begin here; limits come after.

use std::rc::Rc;

use tms_domain::nearest;
use tms_domain::policy::check_agent_name;
use tms_domain::policy::decide::{Decision, Ruling};
use tms_domain::shown::quoted;

use crate::store::policies::Company;
use crate::store::policies::known::{self, Compiled, Known};

/// The rules that are named where no policy decides.
const AGENT_NAME: &str = "agent name";
const NO_POLICY: &str = "default: deny";
const UNREADABLE: &str = "policy: unreadable";
/// As many names a misspelt one is held against.
const MOST_NAMES: i64 = 1_000;

/// A decision about a call, and the policy that made it.
pub(crate) struct Judged {
    pub(crate) decision: Decision,
    /// The rule that decided.
    pub(crate) rule: String,
    /// The reason, for people.
    pub(crate) reason: String,
    /// How long to wait before asking again; `None` where waiting does not help.
    pub(crate) retry_after_ms: Option<i64>,
    /// `None`: the agent has none that can be read.
    pub(crate) policy: Option<Rc<Compiled>>,
}

/// What the lists of the policy that holds for a company's calls say.
pub(crate) fn by_lists(agent: &str, function: &str, company: &Company) -> Judged {
    if let Err(problem) = check_agent_name(agent) {
        return denied(AGENT_NAME, problem.message);
    }
    match known::in_force(agent, company) {
        Known::Policy(policy) => by_policy(policy, function),
        Known::Nothing => denied(NO_POLICY, no_policy(agent, company)),
        Known::Unreadable => denied(
            UNREADABLE,
            format!("the stored policy of agent {} cannot be read", quoted(agent)),
        ),
    }
}

fn by_policy(compiled: Rc<Compiled>, function: &str) -> Judged {
    let Ruling {
        decision,
        rule,
        mut reason,
    } = compiled.policy.admits(function);
    if decision == Decision::Deny
        && let Some(nearest) = compiled.meant(function)
    {
        reason.push_str(&did_you_mean(&nearest));
    }
    Judged {
        decision,
        rule,
        reason,
        retry_after_ms: None,
        policy: Some(compiled),
    }
}

fn denied(rule: &str, reason: String) -> Judged {
    Judged {
        decision: Decision::Deny,
        rule: rule.to_owned(),
        reason,
        retry_after_ms: None,
        policy: None,
    }
}

fn no_policy(agent: &str, company: &Company) -> String {
    let meant = nearest_agent(agent, company).map_or_else(String::new, |name| did_you_mean(&name));
    format!("agent {} has no policy{meant}", quoted(agent))
}

fn did_you_mean(name: &str) -> String {
    format!("; did you mean \"{name}\"?")
}

/// The agent with a policy that was probably meant.
pub(crate) fn nearest_agent(agent: &str, company: &Company) -> Option<String> {
    let names = known::agents(company, MOST_NAMES);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    nearest::nearest(agent, &names).map(str::to_owned)
}
