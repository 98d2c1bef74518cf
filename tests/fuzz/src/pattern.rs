//! Patterns of subscriptions: the first line is the pattern, the second an event type.

use tms_domain::pattern::Pattern;

use crate::text;

/// Patterns with types that they are about, or nearly.
pub const SEEDS: &[&[u8]] = &[
    b"load.assigned\nload.assigned",
    b"*\nload.stop.added",
    b"load.*\nload.stop.added",
    b"load.*.added\nload.stop.added",
    b"*.*.*\na.b.c.d",
    b"a.*.c.*\na.b.c.d",
    b"load.**\nload",
    b"load.\nload..x",
];

/// Matching is what the rules say; answers whether the pattern is one and matches.
pub fn check(data: &[u8]) -> bool {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let written = text(lines.next().unwrap_or_default());
    let event_type = text(lines.next().unwrap_or_default());

    let wanted: Vec<&str> = written.split('.').collect();
    let sound = wanted
        .iter()
        .all(|segment| *segment == "*" || !(segment.is_empty() || segment.contains('*')));
    let ascii = written.bytes().all(|byte| byte.is_ascii_graphic()) && written.len() <= 255;

    match Pattern::parse(&written) {
        Ok(pattern) => {
            assert!(sound && ascii, "{written:?} is taken");
            assert_eq!(pattern.as_str(), written);
            let given: Vec<&str> = event_type.split('.').collect();
            let matched = pattern.matches(&event_type);
            assert_eq!(matched, told(&wanted, &given), "{written:?} {event_type:?}");
            matched
        }
        Err(problem) => {
            assert!(!(sound && ascii), "{written:?} is refused: {problem}");
            assert!(problem.message.chars().count() < 1_000, "{problem}");
            false
        }
    }
}

/// The rules as they are told: a last `*` is one segment or more, any other `*` is one.
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
