//! Paths of redaction rules: the first line is the path, the second a key.

use tms_domain::redact::path::{LENGTH_LIMIT, Path, SEGMENT_LIMIT, Selector, push_name};

use crate::text;

/// Paths of every form, and some that are none.
pub const SEEDS: &[&[u8]] = &[
    b"$.stops[*].contact.phone\nphone",
    b"$..email\nemail",
    b"$['a name'][0][-1]\na name",
    b"$[\"\\u00e4\\ud83d\\ude9a\\\"\"]\n\"",
    b"$..['x']..*..[12]\n2nd",
    b"$.*.a_1.\xc3\xa4\n\xc3\xa4",
    b"$[ 'x' ] \n'",
    b"$",
    b"$.a[1:2]",
    b"$.a[?(@.b)]",
    b"$.a['b','c']",
    b"$.a[01]",
    b"$['\\ud800']\n\\",
    b"a.b",
];

/// What is read again from what was read is the same; any key can be written as a path. Answers whether it is a path.
pub fn check(data: &[u8]) -> bool {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let written = text(lines.next().unwrap_or_default());
    let key = text(lines.next().unwrap_or_default());
    check_name(&key);
    match Path::parse(&written) {
        Ok(path) => {
            assert!(
                written.len() <= LENGTH_LIMIT && written.starts_with('$'),
                "{written:?}"
            );
            assert!(
                (1..=SEGMENT_LIMIT).contains(&path.segments().len()),
                "{written:?}"
            );
            let again = Path::parse(&normal(&path));
            if let Ok(again) = again {
                assert_eq!(again, path, "{written:?}");
            } else {
                // Only escapes make it longer.
                assert!(normal(&path).len() > LENGTH_LIMIT, "{written:?}: {again:?}");
            }
            true
        }
        Err(problem) => {
            assert!(problem.message.chars().count() < 1_000, "{problem}");
            assert!(problem.detail.is_some() || problem.hint.is_some(), "{problem}");
            false
        }
    }
}

fn check_name(key: &str) {
    let mut path = "$".to_owned();
    push_name(key, &mut path);
    if path.len() > LENGTH_LIMIT {
        return;
    }
    let segments = Path::parse(&path).map(|path| path.segments().to_vec());
    match segments.as_deref() {
        Ok([only]) => {
            assert!(!only.descendant);
            assert_eq!(only.selector, Selector::Name(key.to_owned()), "{path:?}");
            assert!(only.selector.selects_member(key));
        }
        other => panic!("{key:?} is written {path:?}: {other:?}"),
    }
}

/// The path in the one form that each path has.
fn normal(path: &Path) -> String {
    let mut written = "$".to_owned();
    for segment in path.segments() {
        let mut one = String::new();
        match &segment.selector {
            Selector::Name(name) => push_name(name, &mut one),
            Selector::Index(index) => one = format!("[{index}]"),
            Selector::Wildcard => "[*]".clone_into(&mut one),
        }
        match (segment.descendant, one.starts_with('.')) {
            (true, true) => written.push('.'),
            (true, false) => written.push_str(".."),
            (false, _) => {}
        }
        written.push_str(&one);
    }
    written
}
