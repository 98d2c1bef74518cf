//! From a policy and its history to sentences. No statement is run in here.

use tms_domain::policy::{AgentPolicy, diff};
use tms_domain::shown::one_line;

use crate::store::policies::{Change, Company, Standing};

/// How many changes are told, newest first.
pub(super) const MOST_CHANGES: i64 = 10;
/// Longest name of a role, in characters.
const NAME_LIMIT: usize = 64;

/// The story of what is in force, line by line. `before`: the version that was in force before it.
pub(super) fn tell(
    policy: &AgentPolicy,
    owner: &Company,
    standing: &Standing,
    before: Option<&AgentPolicy>,
    changes: &[Change],
) -> Vec<String> {
    let whose = match owner {
        Some(_) => "the company's own policy",
        None => "the platform's policy",
    };
    let mut lines = vec![
        format!(
            "Agent {}: version {} of {whose} is in force since {}, by {}.",
            policy.agent,
            standing.number,
            standing.changed_at,
            one_line(&standing.changed_by, NAME_LIMIT)
        ),
        format!("SHA-256: {}", standing.sha256),
    ];
    lines.extend(policy.in_words());
    if let (Some(before), Some(number)) = (before, standing.previous) {
        lines.push(format!("Changed from version {number}:"));
        let changes = diff::changes(before, policy);
        lines.extend(changes.iter().map(|change| format!("  {change}")));
    }
    lines.push("History:".to_owned());
    lines.extend(changes.iter().map(told));
    lines
}

fn told(change: &Change) -> String {
    let from = change
        .previous
        .map_or_else(String::new, |number| format!(" from version {number}"));
    format!(
        "  {}: {} to version {}{from}, by {}",
        change.changed_at,
        change.action,
        change.number,
        one_line(&change.changed_by, NAME_LIMIT)
    )
}
