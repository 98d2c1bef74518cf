#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

fn name(text: &str) -> Selector {
    Selector::Name(text.to_owned())
}

fn child(selector: Selector) -> Segment {
    Segment {
        descendant: false,
        selector,
    }
}

fn below(selector: Selector) -> Segment {
    Segment {
        descendant: true,
        selector,
    }
}

#[test]
fn what_is_a_path() {
    use Selector::{Index, Wildcard};
    for (text, expected) in [
        ("$.a", vec![child(name("a"))]),
        (
            "$.stops[*].contact.phone",
            vec![
                child(name("stops")),
                child(Wildcard),
                child(name("contact")),
                child(name("phone")),
            ],
        ),
        ("$..email", vec![below(name("email"))]),
        ("$..*", vec![below(Wildcard)]),
        ("$..[*]", vec![below(Wildcard)]),
        ("$..[0]", vec![below(Index(0))]),
        ("$..['a b']", vec![below(name("a b"))]),
        (
            "$.a..b[-1]",
            vec![child(name("a")), below(name("b")), child(Index(-1))],
        ),
        ("$..a..a", vec![below(name("a")), below(name("a"))]),
        ("$.*.*", vec![child(Wildcard), child(Wildcard)]),
        ("$['a b']", vec![child(name("a b"))]),
        ("$[\"a b\"]", vec![child(name("a b"))]),
        ("$['']", vec![child(name(""))]),
        ("$[ 'a' ]", vec![child(name("a"))]),
        ("$[\t\n\r*  ]", vec![child(Wildcard)]),
        ("$['$.a[0]']", vec![child(name("$.a[0]"))]),
        ("$['it\\'s \"so\"']", vec![child(name("it's \"so\""))]),
        ("$[\"it's \\\"so\\\"\"]", vec![child(name("it's \"so\""))]),
        (
            "$['\\b\\f\\n\\r\\t\\/\\\\']",
            vec![child(name("\u{8}\u{c}\n\r\t/\\"))],
        ),
        ("$['\\u00e9\\u00E9']", vec![child(name("éé"))]),
        ("$['\\ud83d\\uDE00']", vec![child(name("\u{1f600}"))]),
        ("$['\u{7f}']", vec![child(name("\u{7f}"))]),
        ("$.prénom", vec![child(name("prénom"))]),
        ("$.\u{1f600}", vec![child(name("\u{1f600}"))]),
        ("$._a1", vec![child(name("_a1"))]),
        // Names are names, whatever they mean elsewhere.
        ("$.true.null", vec![child(name("true")), child(name("null"))]),
        (
            "$[0][10][-10]",
            vec![child(Index(0)), child(Index(10)), child(Index(-10))],
        ),
        ("$[9007199254740991]", vec![child(Index(9_007_199_254_740_991))]),
        ("$[-9007199254740991]", vec![child(Index(-9_007_199_254_740_991))]),
    ] {
        assert_eq!(Path::parse(text).unwrap().segments(), expected, "{text}");
    }
}

#[test]
fn what_is_no_path_is_told_where_it_goes_wrong() {
    for (text, place) in [
        ("", 1),
        ("a", 1),
        (".a", 1),
        (" $.a", 1),
        ("@.a", 1),
        ("$a", 2),
        ("$ .a", 2),
        ("$.", 3),
        ("$.a.", 5),
        ("$..", 4),
        ("$...a", 4),
        ("$.1a", 3),
        ("$.-a", 3),
        ("$.a-b", 4),
        ("$.a b", 4),
        ("$.a ", 4),
        ("$.a/b", 4),
        ("$.['a']", 3),
        ("$.'a'", 3),
        ("$.[0]", 3),
        ("$.$", 3),
        ("$**", 2),
        ("$.**", 4),
        ("$.a*", 4),
        ("$[", 3),
        ("$[]", 3),
        ("$[a]", 3),
        ("$['a'", 6),
        ("$['a", 3),
        ("$['a\"]", 3),
        ("$['a' 'b']", 7),
        ("$[*", 4),
        ("$[**]", 4),
        ("$[0", 4),
        ("$[0x1]", 4),
        ("$[1.5]", 4),
        ("$[+1]", 3),
        ("$[01]", 3),
        ("$[-0]", 3),
        ("$[-]", 3),
        ("$[-01]", 3),
        ("$[- 1]", 3),
        ("$[9007199254740992]", 3),
        ("$[-9007199254740992]", 3),
        ("$[99999999999999999999999999999999]", 3),
        ("$]", 2),
        ("$[0]]", 5),
        ("$['a\nb']", 5),
        ("$['\0']", 4),
        ("$['\\x']", 4),
        ("$['\\\"']", 4),
        ("$[\"\\'\"]", 4),
        ("$['\\", 4),
        ("$['\\u12']", 4),
        ("$['\\u12g4']", 4),
        ("$['\\u+123']", 4),
        ("$['\\ud83d']", 4),
        ("$['\\ud83d\\u0041']", 4),
        ("$['\\ud83d\\n']", 4),
        ("$['\\ude00']", 4),
        ("$['\\ude00\\ud83d']", 4),
        ("$.é[é]", 5),
    ] {
        let problem = Path::parse(text).unwrap_err();
        assert!(
            problem.message.contains(&format!("character {place} "))
                || problem.message.ends_with(&format!("character {place}")),
            "{text:?}: {problem}"
        );
        assert!(problem.detail.unwrap().starts_with("Expected "), "{text:?}");
    }
}

#[test]
fn what_the_subset_leaves_out_is_named() {
    for (text, what) in [
        ("$[?@.a]", "filters"),
        ("$[?(@.price < 10)]", "filters"),
        ("$[1:2]", "slices"),
        ("$[:2]", "slices"),
        ("$[::-1]", "slices"),
        ("$[0,1]", "lists of selectors"),
        ("$['a','b']", "lists of selectors"),
        ("$[*,0]", "lists of selectors"),
    ] {
        let problem = Path::parse(text).unwrap_err();
        assert!(problem.message.contains(what), "{text}: {problem}");
        assert!(problem.detail.is_some() && problem.hint.is_some());
    }
    let whole = Path::parse("$").unwrap_err();
    assert_eq!(whole.message, "the path \"$\" selects the whole document");
}

#[test]
fn paths_are_bounded() {
    let longest = format!("$.{}", "x".repeat(LENGTH_LIMIT - 2));
    assert!(Path::parse(&longest).is_ok());
    let problem = Path::parse(&format!("{longest}x")).unwrap_err();
    assert!(problem.message.contains("1025 bytes"), "{problem}");
    assert!(problem.message.len() < 200);
    assert!(Path::parse(&format!("${}", ".a".repeat(SEGMENT_LIMIT))).is_ok());
    let problem = Path::parse(&format!("${}", ".a".repeat(SEGMENT_LIMIT + 1))).unwrap_err();
    assert!(problem.message.contains("more than 64 segments"), "{problem}");
    assert!(Path::parse(&"[".repeat(10_000_000)).is_err());
}

#[test]
fn selectors_select_children_of_their_kind() {
    for (selector, members, elements) in [
        (name("a"), &["a"][..], &[][..]),
        (name("A"), &[], &[]),
        (name("0"), &["0"], &[]),
        (Selector::Wildcard, &["a", "0", ""], &[0, 1, 2]),
        (Selector::Index(0), &[], &[0]),
        (Selector::Index(2), &[], &[2]),
        (Selector::Index(3), &[], &[]),
        (Selector::Index(-1), &[], &[2]),
        (Selector::Index(-3), &[], &[0]),
        (Selector::Index(-4), &[], &[]),
        (Selector::Index(i64::MIN), &[], &[]),
        (Selector::Index(i64::MAX), &[], &[]),
    ] {
        let of = |all: &[&'static str]| -> Vec<&str> {
            all.iter()
                .copied()
                .filter(|key| selector.selects_member(key))
                .collect()
        };
        assert_eq!(of(&["a", "0", ""]), members, "{selector:?}");
        let found: Vec<usize> = (0..3)
            .filter(|index| selector.selects_element(*index, 3))
            .collect();
        assert_eq!(found, elements, "{selector:?}");
    }
}

/// A path written from its segments, in brackets throughout.
fn written(path: &Path) -> String {
    let mut text = "$".to_owned();
    for segment in path.segments() {
        text.push_str(if segment.descendant { ".." } else { "" });
        text.push_str(&match &segment.selector {
            Selector::Name(name) => format!("[{}]", crate::redact::json_text::string(name)),
            Selector::Index(index) => format!("[{index}]"),
            Selector::Wildcard => "[*]".to_owned(),
        });
    }
    text
}

#[test]
fn no_text_panics_and_what_is_read_can_be_written() {
    let pieces = [
        "$", ".", "..", "a", "['", "']", "[\"", "\"]", "[", "]", "*", "-1", "0", "\\u", "d83d", "\\", " ",
    ];
    let mut source = Source::new(42);
    let mut read = 0;
    for round in 0..40_000 {
        let text = if round % 2 == 0 {
            format!("$.a{}", source.text(&pieces))
        } else {
            source.mutated("$.a['b\\u00e9\\\\c'][-12]..*[\"d\"]")
        };
        if let Ok(path) = Path::parse(&text) {
            read += 1;
            assert_eq!(Path::parse(&written(&path)), Ok(path), "{text}");
        }
    }
    assert!(
        (1_000..39_000).contains(&read),
        "{read}: too one-sided to mean anything"
    );
}
