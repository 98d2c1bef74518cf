#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

#[test]
fn what_is_matched() {
    for (pattern, matched, other) in [
        (
            "load.assigned",
            &["load.assigned"][..],
            &["load", "load.assigned.late", "Load.assigned", "load.assigne"][..],
        ),
        ("*", &["load", "load.assigned", "a.b.c.d"], &[]),
        (
            "load.*",
            &["load.assigned", "load.stop.added", "load.*", "load."],
            &["load", "loads.assigned", "a.load.b", "payload.x"],
        ),
        (
            "load.*.added",
            &["load.stop.added", "load..added"],
            &["load.added", "load.stop.stop.added", "load.stop.added.late"],
        ),
        (
            "*.created",
            &["load.created"],
            &["created", "a.b.created", "load"],
        ),
        ("*.*", &["a.b", "a.b.c"], &["a"]),
        ("*.*.*", &["a.b.c", "a.b.c.d"], &["a", "a.b"]),
        (
            "a.*.c.*",
            &["a.b.c.d", "a.b.c.d.e"],
            &["a.b.c", "a.c.d", "a.b.b.c.d"],
        ),
    ] {
        let read = Pattern::parse(pattern).unwrap();
        for event_type in matched {
            assert!(read.matches(event_type), "{pattern} {event_type}");
        }
        for event_type in other {
            assert!(!read.matches(event_type), "{pattern} {event_type}");
        }
        assert_eq!(read.as_str(), pattern);
        assert_eq!(read.to_string(), pattern);
    }
}

#[test]
fn what_is_no_pattern() {
    let too_long = "x".repeat(256);
    for (pattern, reason) in [
        ("", "empty"),
        ("load.", "empty segment"),
        (".load", "empty segment"),
        ("load..x", "empty segment"),
        (".", "empty segment"),
        ("load.*ed", "beside"),
        ("lo*", "beside"),
        ("**", "beside"),
        ("load.**", "beside"),
        ("load assigned", "character 5"),
        ("lo\u{e4}d", "character 3"),
        ("load\n", "character 5"),
        (&too_long, "256 characters"),
    ] {
        let problem = Pattern::parse(pattern).unwrap_err();
        assert!(problem.message.contains(reason), "{pattern:?}: {problem}");
        assert!(problem.detail.is_some());
        assert!(problem.message.len() < 200);
    }
    assert!(Pattern::parse(&"x".repeat(255)).is_ok());
}

/// The rules as they are told, tried in every way: slow and plain.
fn told(pattern: &[&str], event_type: &[&str]) -> bool {
    match (pattern, event_type) {
        ([], []) => true,
        (["*"], rest) => !rest.is_empty(),
        ([first, pattern @ ..], [found, event_type @ ..]) => {
            (*first == "*" || first == found) && told(pattern, event_type)
        }
        _ => false,
    }
}

#[test]
fn matching_agrees_with_the_rules_as_told() {
    let mut source = Source::new(9);
    let mut matched = 0;
    for _ in 0..20_000 {
        let mut segments = |choices: &[&'static str]| -> Vec<&'static str> {
            let count = 1 + source.below(4);
            (0..count).map(|_| choices[source.below(choices.len())]).collect()
        };
        let wanted = segments(&["*", "a", "b", "*"]);
        let given = segments(&["a", "b", "", "*"]);
        let pattern = Pattern::parse(&wanted.join(".")).unwrap();
        let expected = told(&wanted, &given);
        matched += usize::from(expected);
        assert_eq!(
            pattern.matches(&given.join(".")),
            expected,
            "{wanted:?} {given:?}"
        );
    }
    assert!(
        (2_000..18_000).contains(&matched),
        "{matched}: too one-sided to mean anything"
    );
}

#[test]
fn no_text_panics_and_every_pattern_without_a_star_matches_itself() {
    let mut source = Source::new(10);
    for _ in 0..5_000 {
        let text = source.text(&["load", ".", "*", "assigned", " "]);
        if let Ok(pattern) = Pattern::parse(&text) {
            // A type that is spelled like a pattern is one that the pattern is about.
            assert!(pattern.matches(&text), "{text}");
        }
    }
}
