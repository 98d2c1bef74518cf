//! Which valid name was probably meant.

use crate::problem::Problem;
use crate::shown::quoted;

/// Longer input is no misspelling of any name of ours, and the distance costs time in proportion to it.
const LONGEST_MISSPELLING: usize = 128;

/// A shorter beginning fits too many names.
const SHORTEST_PREFIX: usize = 3;

/// Case and separators are what people remember least of a name.
fn folded(name: &str) -> String {
    name.chars()
        .filter(|letter| !matches!(letter, '_' | '-'))
        .flat_map(char::to_lowercase)
        .collect()
}

/// The valid name closest to the wrong one, ignoring case and separators; `None` when nothing is close.
///
/// Close means at most a third of the letters differ (Damerau-Levenshtein distance, at least one is allowed), or the
/// wrong name is the beginning of the valid one. Of equally close names the first wins.
#[must_use]
pub fn nearest<'a>(wrong: &str, valid: &[&'a str]) -> Option<&'a str> {
    if wrong.is_empty() || wrong.len() > LONGEST_MISSPELLING {
        return None;
    }
    let wrong = folded(wrong);
    valid
        .iter()
        .filter_map(|name| {
            let lower = folded(name);
            let distance = strsim::damerau_levenshtein(&wrong, &lower);
            let longest = wrong.chars().count().max(lower.chars().count());
            let begins = wrong.len() >= SHORTEST_PREFIX && lower.starts_with(&wrong);
            (begins || distance <= (longest / 3).max(1)).then_some((distance, *name))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// The problem of a name that is not one of a fixed set: DETAIL lists the set, HINT names the nearest.
///
/// `what` is the singular noun for one of the set, such as "transport".
#[must_use]
pub fn unknown_name(what: &str, wrong: &str, valid: &[&str]) -> Problem {
    let problem = Problem::new(format!("unknown {what} {}", quoted(wrong)))
        .detail(format!("Valid values are {}.", valid.join(", ")));
    match nearest(wrong, valid) {
        Some(name) => problem.hint(format!("Did you mean \"{name}\"?")),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: &[&str] = &["url", "method", "timeout_ms", "max_concurrency", "base_ms"];

    #[test]
    fn misspellings_are_recognised_and_strangers_are_not() {
        for (wrong, expected) in [
            ("base_sm", Some("base_ms")),
            ("base", Some("base_ms")),
            ("URL", Some("url")),
            ("uri", Some("url")),
            ("Methd", Some("method")),
            ("timeout", Some("timeout_ms")),
            ("maxConcurrency", Some("max_concurrency")),
            ("concurrency", Some("max_concurrency")),
            ("webhook", None),
            ("m", None),
            ("", None),
        ] {
            assert_eq!(nearest(wrong, OPTIONS), expected, "{wrong}");
        }
        assert_eq!(nearest(&"x".repeat(1_000_000), OPTIONS), None);
        assert_eq!(nearest("url", &[]), None);
    }

    #[test]
    fn an_unknown_name_is_told_the_set_and_the_nearest() {
        let problem = unknown_name("transport", "htpp", &["http", "slack"]);
        assert_eq!(problem.message, "unknown transport \"htpp\"");
        assert_eq!(problem.detail.as_deref(), Some("Valid values are http, slack."));
        assert_eq!(problem.hint.as_deref(), Some("Did you mean \"http\"?"));
        assert_eq!(unknown_name("transport", "kafka", &["http"]).hint, None);
    }
}
