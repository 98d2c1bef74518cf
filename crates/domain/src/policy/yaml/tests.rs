#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;

use super::*;
use crate::arbitrary::Source;

/// The tree in one line: places as line:column, text in quotes, what else it stands for without.
fn shape(node: &Node) -> String {
    let Place { line, column } = node.place;
    let value = match &node.value {
        Value::Scalar(scalar) if scalar.kind() == Kind::Text => format!("{:?}", scalar.text),
        Value::Scalar(scalar) => format!("{:?} {}", scalar.kind(), scalar.text),
        Value::List(items) => format!("[{}]", items.iter().map(shape).collect::<Vec<_>>().join(", ")),
        Value::Mapping(entries) => {
            let mut text = String::new();
            for entry in entries {
                let Place { line, column } = entry.place;
                write!(text, "{}@{line}:{column}={};", entry.key, shape(&entry.value)).unwrap();
            }
            format!("{{{text}}}")
        }
    };
    format!("{value}@{line}:{column}")
}

#[test]
fn every_node_knows_its_place() {
    for (text, expected) in [
        ("a", "\"a\"@1:1"),
        ("# hi\n\na: 1\n", "{a@3:1=Number 1@3:4;}@3:1"),
        ("---\na: 'x'\n...\n", "{a@2:1=\"x\"@2:4;}@2:1"),
        (
            "a:\r\n  b: true\r\n",
            "{a@1:1={b@2:3=Boolean true@2:6;}@2:3;}@1:1",
        ),
        ("\u{feff}a: b", "{a@1:1=\"b\"@1:4;}@1:1"),
        ("a:\n- x\n- 'y'\n", "{a@1:1=[\"x\"@2:3, \"y\"@3:3]@2:3;}@1:1"),
        ("a: [x, \"1\"]", "{a@1:1=[\"x\"@1:5, \"1\"@1:8]@1:4;}@1:1"),
        (
            "{\"a\": {\"b\": 0.5}}",
            "{a@1:2={b@1:8=Number 0.5@1:13;}@1:7;}@1:1",
        ),
        ("ä: é", "{ä@1:1=\"é\"@1:4;}@1:1"),
        ("a: yes\nb: 12:30", "{a@1:1=\"yes\"@1:4;b@2:1=\"12:30\"@2:4;}@1:1"),
        ("a: |\n  x\n  y\n", "{a@1:1=\"x\\ny\\n\"@2:3;}@1:1"),
    ] {
        assert_eq!(shape(&read(text).unwrap()), expected, "{text:?}");
    }
}

#[test]
fn what_is_not_there_is_null_on_the_line_of_its_key() {
    for text in [
        "a:\n\n\nb: 1\n",
        "a: # later\n\nb: 1\n",
        "a: ~\nb: 1",
        "a: null\nb: 1",
    ] {
        let node = read(text).unwrap();
        let Value::Mapping(entries) = &node.value else {
            panic!("no mapping");
        };
        assert_eq!(entries[0].value.shown(), "empty", "{text:?}");
        assert_eq!(entries[0].value.place.line, 1, "{text:?}");
    }
}

#[test]
fn what_yaml_has_and_we_do_not_read_is_refused_by_its_line() {
    for (text, message) in [
        ("", "the document is empty"),
        ("# nothing\n", "the document is empty"),
        ("a: 1\nb: 2\na: 3\n", "a is given twice (line 3)"),
        ("a:\n  b: 1\n  \"b\": 2\n", "a.b is given twice (line 3)"),
        ("{a: 1,\n a: 2}", "a is given twice (line 2)"),
        ("a: &x 1\n", "a has an anchor or an alias (line 1)"),
        ("a: &x [1]\n", "a has an anchor or an alias (line 1)"),
        ("a:\n  &x b: 1\n", "a has an anchor or an alias (line 2)"),
        ("a: !!str 1\n", "a has a tag (line 1)"),
        ("a: !secret {b: 1}\n", "a has a tag (line 1)"),
        ("!x a: 1\n", "the document has a tag (line 1)"),
        ("a:\n  <<: {b: 1}\n", "a has a merge key \"<<\" (line 2)"),
        ("a: 1\n---\nb: 2\n", "a second document begins (line 2)"),
        ("a: 1\n...\n---\nb: 2\n", "a second document begins (line 3)"),
        ("1: a\n", "a key of the document is 1 (line 1)"),
        ("a:\n  true: b\n", "a key of a is true (line 2)"),
        ("a:\n  ~: b\n", "a key of a is empty (line 2)"),
        ("? [a]\n: b\n", "a key of the document is a list (line 1)"),
        ("? {a: 1}\n: b\n", "a key of the document is a mapping (line 1)"),
        (
            "a: 1\u{0}\nb: 2",
            "the document has the character U+0000 (line 1)",
        ),
        ("a: 1\nb: \u{7}", "the document has the character U+0007 (line 2)"),
    ] {
        let problem = read(text).unwrap_err();
        assert_eq!(problem.message, message, "{text:?}");
        assert!(problem.detail.is_some(), "{text:?}");
    }
    let duplicate = read("a: 1\nb: 2\na: 3\n").unwrap_err();
    assert!(duplicate.detail.unwrap().contains("on line 1"));
    assert!(read("a: '<<'\n'<<': 1\n").is_ok());
}

#[test]
fn what_is_no_yaml_is_refused_by_its_line() {
    for (text, line) in [
        ("a: [1, 2\nb: 3\n", None),
        ("a: 'x\n", None),
        ("a: 1\n b: 2\n", Some(2)),
        ("a:\n\t- b\n", Some(2)),
        ("a: *nowhere\n", Some(1)),
        ("a: @x\n", Some(1)),
        ("}", Some(1)),
        ("a: \"\\q\"\n", Some(1)),
    ] {
        let problem = read(text).unwrap_err();
        assert!(
            problem.message.starts_with("the document is not YAML (line "),
            "{text:?}: {problem}"
        );
        if let Some(line) = line {
            assert!(
                problem.message.contains(&format!("(line {line},")),
                "{text:?}: {problem}"
            );
        }
        assert!(problem.detail.is_some() && problem.hint.is_some());
    }
}

#[test]
fn a_billion_laughs_are_one_refusal() {
    let mut text = "a: &a [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for (name, previous) in ('b'..='i').zip('a'..) {
        let aliases = vec![format!("*{previous}"); 9].join(", ");
        writeln!(text, "{name}: &{name} [{aliases}]").unwrap();
    }
    assert_eq!(
        read(&text).unwrap_err().message,
        "a has an anchor or an alias (line 1)"
    );
}

#[test]
fn a_document_that_is_too_long_is_not_looked_at() {
    let long = format!("a: {}", "x".repeat(10_000_000));
    assert_eq!(
        read(&long).unwrap_err().message,
        "the document is 10000003 bytes long"
    );
    let fits = format!("a: {}", "x".repeat(SIZE_LIMIT - 3));
    assert!(read(&fits).is_ok());
    assert!(read(&format!("{fits}x")).is_err());
}

#[test]
fn sixteen_levels_are_read_and_no_more() {
    for (open, close) in [("[", "]"), ("{a: ", "}")] {
        let nested = |depth: usize| format!("{}x{}", open.repeat(depth), close.repeat(depth));
        assert!(read(&nested(16)).is_ok());
        assert!(
            read(&nested(17))
                .unwrap_err()
                .message
                .contains("nested too deeply (line 1)")
        );
        assert!(read(&nested(10_000)).is_err());
    }
    let mut by_lines = String::new();
    for depth in 0..1_000 {
        writeln!(by_lines, "{}a:", " ".repeat(depth)).unwrap();
    }
    assert_eq!(
        read(&by_lines).unwrap_err().message,
        "the document is nested too deeply (line 17)"
    );
    assert!(
        read(&"- ".repeat(10_000))
            .unwrap_err()
            .message
            .contains("nested too deeply")
    );
}

/// A fifth of a megabyte takes less than half a second without optimisation; what is quadratic takes minutes.
#[test]
fn evil_documents_cost_no_more_than_their_size() {
    let size = SIZE_LIMIT / 5;
    for piece in [
        "[",
        "]",
        "{",
        "}",
        "[a,",
        "{a: ",
        "{a: [",
        "? ",
        "- ",
        "-\n",
        ": ",
        "a: ",
        "a:\n",
        "a, ",
        "[a: b, ",
        "&a ",
        "*a ",
        "!a ",
        "%a\n",
        "---\n",
        "...\n",
        "\"",
        "'",
        "''",
        "\\",
        "|\n",
        ">\n ",
        "#",
        "# a\n",
        "\n",
        "\t",
        " ",
        "a",
        "a ",
        "a\n",
        "\u{1f600}",
        "?\n",
        "[[],",
        "\"a\": ",
        "&a [",
        "a:\n- ",
        "\r",
        "\u{85}",
    ] {
        let text = piece.repeat(size / piece.len());
        let flow = format!("[{}", piece.repeat(size / piece.len()));
        for document in [text.as_str(), flow.as_str()] {
            let before = std::time::Instant::now();
            if let Err(problem) = read(document) {
                assert!(problem.message.len() < 500, "{piece:?}");
            }
            let passed = before.elapsed();
            assert!(passed.as_secs() < 10, "{piece:?} took {passed:?}");
        }
    }
}

#[test]
fn a_mapping_with_many_keys_is_read_in_its_order() {
    let text: String = (0..50_000)
        .map(|number| format!("k{number}: {number}\n"))
        .collect();
    let Value::Mapping(entries) = read(&text).unwrap().value else {
        panic!("no mapping");
    };
    assert_eq!(entries.len(), 50_000);
    assert_eq!(
        (entries[49_999].key.as_str(), entries[49_999].place.line),
        ("k49999", 50_000)
    );
}

#[test]
fn no_text_panics_and_what_is_refused_is_short() {
    let pieces = [
        "a",
        ": ",
        "- ",
        "\n",
        "  ",
        "[",
        "]",
        "{",
        "}",
        ", ",
        "&x ",
        "*x",
        "!!str ",
        "'",
        "\"",
        "? ",
        "| ",
        ">",
        "#",
        "---\n",
        "...",
        "<<",
        "\t",
        "1",
        "~",
        "%YAML 1.2\n",
        "\\",
    ];
    let mut source = Source::new(35);
    let mut read_well = 0;
    for _ in 0..30_000 {
        let text = source.text(&pieces);
        match read(&text) {
            Ok(_) => read_well += 1,
            Err(problem) => assert!(
                problem.message.len() < 500 && !problem.message.contains('\n'),
                "{text:?}"
            ),
        }
    }
    assert!(read_well > 1_000, "{read_well}");
    let valid = include_str!("../../../../../configs/agents/policies/default.yml");
    for _ in 0..3_000 {
        let _ = read(&source.mutated(valid));
    }
}
