//! Names of functions, and rules about them.
//!
//! Names are segments between dots, like event types, and rules are patterns of [`crate::pattern`]: `rates.price_one`,
//! `rates.*`, `*`. Letters are compared as they are.

use crate::pattern::Pattern;
use crate::problem::Problem;
use crate::shown::quoted;

/// As long as the longest pattern.
const LENGTH_LIMIT: usize = 255;
const ANY: char = '*';

/// A set of rules. Equal sets are equal whatever order they were written in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FunctionSet {
    /// Sorted, so that a name is found without asking every rule.
    names: Vec<String>,
    /// Sorted, so that of several rules the same one is named each time.
    wildcards: Vec<Pattern>,
}

impl FunctionSet {
    pub(super) fn new(rules: impl IntoIterator<Item = Pattern>) -> Self {
        let (mut wildcards, exact): (Vec<Pattern>, Vec<Pattern>) =
            rules.into_iter().partition(|rule| rule.as_str().contains(ANY));
        wildcards.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        wildcards.dedup();
        let mut names: Vec<String> = exact.iter().map(|rule| rule.as_str().to_owned()).collect();
        names.sort();
        names.dedup();
        Self { names, wildcards }
    }

    /// The rule that is about this function: its name if that is a rule, otherwise the first pattern in alphabetical order.
    #[must_use]
    pub fn find(&self, function: &str) -> Option<&str> {
        if let Ok(place) = self.names.binary_search_by(|name| name.as_str().cmp(function)) {
            return self.names.get(place).map(String::as_str);
        }
        let wildcard = self.wildcards.iter().find(|rule| rule.matches(function));
        wildcard.map(Pattern::as_str)
    }

    /// Every rule: the names, then the patterns with a wildcard, both in alphabetical order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        let names = self.names.iter().map(String::as_str);
        names.chain(self.wildcards.iter().map(Pattern::as_str))
    }

    /// The rules that are names, in alphabetical order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// Whether there is no rule.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.wildcards.is_empty()
    }
}

/// Checks the name of a function that somebody wants to call: 1 to 255 visible ASCII characters, no empty segment, no `*`.
///
/// A name that were let through with a `*` or an empty segment could be taken for something else by what calls it.
///
/// # Errors
/// Names the function and what is wrong with it.
pub fn check_function_name(name: &str) -> Result<(), Problem> {
    let wrong = |message: String| {
        Problem::new(message)
            .detail(
                "A function name is 1 to 255 visible ASCII characters with segments between dots, such as \
                 \"rates.price_one\".",
            )
            .hint("Name one function; \"*\" is for the rules of a policy.")
    };
    if name.is_empty() {
        return Err(wrong("the function name is empty".to_owned()));
    }
    let shown = quoted(name);
    if name.len() > LENGTH_LIMIT {
        return Err(wrong(format!(
            "the function name {shown} is {} bytes long",
            name.len()
        )));
    }
    let misplaced = name
        .chars()
        .position(|letter| !letter.is_ascii_graphic() || letter == ANY);
    if let Some(place) = misplaced {
        let message = format!(
            "character {} of the function name {shown} is not allowed",
            place + 1
        );
        return Err(wrong(message));
    }
    if name.split('.').any(str::is_empty) {
        return Err(wrong(format!("the function name {shown} has an empty segment")));
    }
    Ok(())
}

/// Reads a rule about functions.
///
/// # Errors
/// Those of [`Pattern::parse`], in the words of policies.
pub(super) fn parse_rule(text: &str) -> Result<Pattern, Problem> {
    Pattern::parse(text).map_err(|problem| {
        Problem::new(problem.message)
            .detail(
                "A rule is the name of a function, 1 to 255 visible ASCII characters, in which whole segments between \
                 dots may be \"*\".",
            )
            .hint("Write \"rates.price_one\" for one function, \"rates.*\" for all of a family, \"*\" for every one.")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::arbitrary::Source;

    fn set(rules: &[&str]) -> FunctionSet {
        FunctionSet::new(rules.iter().map(|rule| parse_rule(rule).unwrap()))
    }

    #[test]
    fn a_name_is_found_before_a_wildcard_and_wildcards_in_order() {
        let rules = set(&["rates.*", "*.price", "rates.price", "loads.search", "a.*.c"]);
        for (function, rule) in [
            ("rates.price", Some("rates.price")),
            ("rates.bulk", Some("rates.*")),
            ("rates.bulk.price", Some("rates.*")),
            ("loads.price", Some("*.price")),
            ("loads.search", Some("loads.search")),
            ("a.b.c", Some("a.*.c")),
            ("a.b.b.c", None),
            ("rates", None),
            ("Rates.price_one", None),
            ("rates.price ", Some("rates.*")),
            ("loads.searchx", None),
            ("loads.searc", None),
            ("", None),
        ] {
            assert_eq!(rules.find(function), rule, "{function}");
        }
        assert!(!rules.is_empty());
        assert!(FunctionSet::default().is_empty());
        assert_eq!(FunctionSet::default().find("rates.price"), None);
    }

    #[test]
    fn the_order_and_number_of_times_a_rule_is_written_do_not_matter() {
        let one = set(&["b", "a.*", "a", "*"]);
        let other = set(&["*", "a", "b", "a.*", "b", "*"]);
        assert_eq!(one, other);
        assert_eq!(one.iter().collect::<Vec<_>>(), ["a", "b", "*", "a.*"]);
        assert_eq!(one.names().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn finding_agrees_with_asking_every_rule() {
        let mut source = Source::new(32);
        let pieces = ["a", "b", "c", "*"];
        let mut found = 0;
        for _ in 0..3_000 {
            let mut name = |choices: usize| {
                let count = 1 + source.below(3);
                let segments: Vec<&str> = (0..count).map(|_| pieces[source.below(choices)]).collect();
                segments.join(".")
            };
            let rules: Vec<String> = (0..4).map(|_| name(4)).collect();
            let function = name(3);
            let set = set(&rules.iter().map(String::as_str).collect::<Vec<_>>());
            let expected = rules
                .iter()
                .any(|rule| parse_rule(rule).unwrap().matches(&function));
            assert_eq!(set.find(&function).is_some(), expected, "{function} {rules:?}");
            if let Some(rule) = set.find(&function) {
                found += 1;
                assert!(rules.iter().any(|given| given == rule));
                assert!(parse_rule(rule).unwrap().matches(&function));
            }
        }
        assert!(
            (300..2_700).contains(&found),
            "{found}: too one-sided to mean anything"
        );
    }

    #[test]
    fn names_that_can_be_asked_for() {
        let longest = "f".repeat(255);
        for good in ["rates.price_one", "a", "mcp:search/find-1", "A.b.C", &longest] {
            assert_eq!(check_function_name(good), Ok(()), "{good}");
        }
        let too_long = "f".repeat(256);
        for (bad, reason) in [
            ("", "is empty"),
            ("rates.", "empty segment"),
            (".price", "empty segment"),
            ("rates..price", "empty segment"),
            ("rates.*", "character 7"),
            ("*", "character 1"),
            ("rates price", "character 6"),
            ("rates.price\0", "character 12"),
            ("rates.pr\u{456}ce", "character 9"),
            ("rates.price\n", "character 12"),
            (&too_long, "256 bytes"),
        ] {
            let problem = check_function_name(bad).unwrap_err();
            assert!(problem.message.contains(reason), "{bad:?}: {problem}");
            assert!(problem.message.len() < 200 && problem.detail.is_some());
        }
    }

    #[test]
    fn a_bad_rule_is_refused_in_the_words_of_policies() {
        for bad in ["", "rates.", "rates.pri*", "rates price", "rates.**"] {
            let problem = parse_rule(bad).unwrap_err();
            assert!(
                problem
                    .detail
                    .unwrap()
                    .starts_with("A rule is the name of a function")
            );
            assert!(!problem.hint.unwrap().contains("event"));
        }
    }
}
