#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::json;

use super::*;
use crate::nearest::unknown_name;
use crate::redact::mode::Scalar;

fn check_kind(kind: &str) -> Result<(), Problem> {
    const KINDS: &[&str] = &["email", "iban"];
    if KINDS.contains(&kind) {
        return Ok(());
    }
    Err(unknown_name("kind of personal data", kind, KINDS))
}

fn parse(document: &Value) -> Result<Rules, Problem> {
    Rules::parse(document, &check_kind)
}

fn field(name: &str, mode: Mode) -> Rule {
    Rule {
        target: Target::Field(name.to_owned()),
        mode,
    }
}

fn path(text: &str, mode: Mode) -> Rule {
    Rule {
        target: Target::Path(Path::parse(text).unwrap()),
        mode,
    }
}

fn replace(with: Scalar) -> Mode {
    Mode::Replace(with)
}

#[test]
fn a_whole_document() {
    let rules = parse(&json!({
        "fields": ["customer_name", "Phone"],
        "paths": ["$..email"],
        "kinds": ["iban", "email"],
        "mode": "hmac",
        "rules": [
            {"field": "card-number", "mode": {"mode": "partial", "keep_last": 2}},
            {"path": "$.a[0]", "mode": "remove"},
            {"path": "$.b"},
        ],
    }))
    .unwrap();
    let expected = [
        field("customername", Mode::Hmac),
        field("phone", Mode::Hmac),
        path("$..email", Mode::Hmac),
        field("cardnumber", Mode::Partial { keep_last: 2 }),
        path("$.a[0]", Mode::Remove),
        path("$.b", Mode::Hmac),
    ];
    assert_eq!(rules.all(), expected);
    assert_eq!(rules.kinds(), ["iban", "email"]);
    assert_eq!(rules.kinds_mode(), &Mode::Hmac);
    assert!(rules.needs_key());
}

#[test]
fn everything_may_be_left_out() {
    for document in [
        json!({}),
        json!({"fields": [], "paths": [], "kinds": [], "rules": []}),
    ] {
        let rules = parse(&document).unwrap();
        assert_eq!(rules, Rules::default());
        assert!(rules.all().is_empty() && rules.kinds().is_empty() && !rules.needs_key());
    }
    let rules = parse(&json!({"fields": ["a"]})).unwrap();
    assert_eq!(rules.all(), [field("a", Mode::default())]);
}

#[test]
fn a_key_is_needed_where_a_token_may_be_made() {
    for (document, expected) in [
        (json!({"mode": "hmac"}), false),
        (json!({"mode": "hmac", "fields": ["a"]}), true),
        (json!({"mode": "hmac", "kinds": ["iban"]}), true),
        (
            json!({"mode": "hmac", "rules": [{"field": "a", "mode": "remove"}]}),
            false,
        ),
        (
            json!({"fields": ["b"], "rules": [{"path": "$.a", "mode": "hmac"}]}),
            true,
        ),
    ] {
        assert_eq!(parse(&document).unwrap().needs_key(), expected, "{document}");
    }
}

#[test]
fn modes_as_they_may_be_written() {
    for (mode, expected) in [
        (json!("replace"), Mode::default()),
        (json!("remove"), Mode::Remove),
        (json!("hmac"), Mode::Hmac),
        (json!("partial"), Mode::Partial { keep_last: 4 }),
        (json!({"mode": "replace"}), Mode::default()),
        (json!({"mode": "remove"}), Mode::Remove),
        (json!({"mode": "hmac"}), Mode::Hmac),
        (json!({"mode": "partial"}), Mode::Partial { keep_last: 4 }),
        (
            json!({"mode": "partial", "keep_last": 0}),
            Mode::Partial { keep_last: 0 },
        ),
        (
            json!({"mode": "partial", "keep_last": 64}),
            Mode::Partial { keep_last: 64 },
        ),
        (
            json!({"mode": "partial", "keep_last": 3.0}),
            Mode::Partial { keep_last: 3 },
        ),
        (json!({"mode": "replace", "with": null}), replace(Scalar::Null)),
        (
            json!({"mode": "replace", "with": false}),
            replace(Scalar::Bool(false)),
        ),
        (
            json!({"mode": "replace", "with": 0}),
            replace(Scalar::Number("0".to_owned())),
        ),
        (
            json!({"mode": "replace", "with": -1.5}),
            replace(Scalar::Number("-1.5".to_owned())),
        ),
        (
            json!({"mode": "replace", "with": ""}),
            replace(Scalar::Text(String::new())),
        ),
        (
            json!({"mode": "replace", "with": "x".repeat(1_024)}),
            replace(Scalar::Text("x".repeat(1_024))),
        ),
    ] {
        let of_all = parse(&json!({"fields": ["a"], "mode": mode})).unwrap();
        assert_eq!(of_all.all(), [field("a", expected.clone())], "{mode}");
        let of_one = parse(&json!({"rules": [{"field": "a", "mode": mode}]})).unwrap();
        assert_eq!(of_one.all(), [field("a", expected)], "{mode}");
    }
}

/// Message, and a part of the detail or hint.
#[test]
fn what_is_wrong_is_named_by_its_place() {
    for (document, message, more) in [
        (json!([]), "the redaction rules are an array", "a JSON object"),
        (
            json!("phone"),
            "the redaction rules are a string",
            "a JSON object",
        ),
        (json!(null), "the redaction rules are null", "a JSON object"),
        (
            json!({"fileds": []}),
            "unknown key \"fileds\" in the redaction rules",
            "Did you mean \"fields\"?",
        ),
        (
            json!({"field": []}),
            "unknown key \"field\" in the redaction rules",
            "Did you mean \"fields\"?",
        ),
        (
            json!({"Fields": []}),
            "unknown key \"Fields\" in the redaction rules",
            "Did you mean \"fields\"?",
        ),
        (
            json!({"zzz": []}),
            "unknown key \"zzz\" in the redaction rules",
            "fields, paths, kinds, mode, rules",
        ),
        (
            json!({"fields": "phone"}),
            "\"fields\" of the redaction rules is a string",
            "Expected a list.",
        ),
        (
            json!({"fields": null}),
            "\"fields\" of the redaction rules is null",
            "Expected a list.",
        ),
        (
            json!({"fields": ["a", 7]}),
            "\"fields[1]\" of the redaction rules is a number",
            "Expected a string.",
        ),
        (
            json!({"fields": ["a", null]}),
            "\"fields[1]\" of the redaction rules is null",
            "Expected a string.",
        ),
        (
            json!({"fields": ["_-"]}),
            "\"fields[0]\" of the redaction rules names no key: \"_-\"",
            "1 to 255 bytes",
        ),
        (
            json!({"fields": [""]}),
            "\"fields[0]\" of the redaction rules names no key: \"\"",
            "$..['_']",
        ),
        (
            json!({"fields": ["x".repeat(256)]}),
            "\"fields[0]\" of the redaction rules is 256 bytes long",
            "255",
        ),
        (
            json!({"fields": ["\u{fdfa}".repeat(30)]}),
            "\"fields[0]\" of the redaction rules is 900 bytes long in its canonical form",
            "255",
        ),
        (
            json!({"fields": ["customer_name", "a", "customerName"]}),
            "\"fields[2]\" of the redaction rules repeats \"fields[0]\"",
            "Both name the key \"customername\"",
        ),
        (
            json!({"fields": ["a"], "rules": [{"field": "A", "mode": "remove"}]}),
            "\"rules[0].field\" of the redaction rules repeats \"fields[0]\"",
            "Leave one of them out.",
        ),
        (
            json!({"paths": ["$.a", "$['a']"]}),
            "\"paths[1]\" of the redaction rules repeats \"paths[0]\"",
            "how names are quoted",
        ),
        (
            json!({"paths": ["$.a", "$.b["]}),
            "\"paths[1]\" of the redaction rules: the path \"$.b[\" ends before its character 5",
            "a name in quotes",
        ),
        (
            json!({"paths": ["$"]}),
            "\"paths[0]\" of the redaction rules: the path \"$\" selects the whole document",
            "$.*",
        ),
        (
            json!({"paths": [{}]}),
            "\"paths[0]\" of the redaction rules is an object",
            "Expected a string.",
        ),
        (
            json!({"kinds": ["email", "ibn"]}),
            "\"kinds[1]\" of the redaction rules: unknown kind of personal data \"ibn\"",
            "Did you mean \"iban\"?",
        ),
        (
            json!({"kinds": ["email", "email"]}),
            "\"kinds[1]\" of the redaction rules is there already: \"email\"",
            "once",
        ),
        (
            json!({"kinds": "email"}),
            "\"kinds\" of the redaction rules is a string",
            "Expected a list.",
        ),
        (
            json!({"mode": "replac"}),
            "\"mode\" of the redaction rules: unknown redaction mode \"replac\"",
            "Did you mean \"replace\"?",
        ),
        (
            json!({"mode": 4}),
            "\"mode\" of the redaction rules is a number",
            "the name of a mode",
        ),
        (
            json!({"mode": null}),
            "\"mode\" of the redaction rules is null",
            "the name of a mode",
        ),
        (
            json!({"mode": {}}),
            "\"mode.mode\" of the redaction rules is missing",
            "replace, remove, hmac, partial",
        ),
        (
            json!({"mode": {"mode": 1}}),
            "\"mode.mode\" of the redaction rules is a number",
            "the name of a mode",
        ),
        (
            json!({"mode": {"mode": "partial", "keeplast": 4}}),
            "unknown key \"mode.keeplast\" in the redaction rules",
            "Did you mean \"mode.keep_last\"?",
        ),
        (
            json!({"mode": {"mode": "remove", "keep_last": 4}}),
            "\"mode.keep_last\" of the redaction rules has no use with the mode \"remove\"",
            "Leave it out.",
        ),
        (
            json!({"mode": {"mode": "partial", "with": "x"}}),
            "\"mode.with\" of the redaction rules has no use with the mode \"partial\"",
            "for the mode replace",
        ),
        (
            json!({"mode": {"mode": "partial", "keep_last": -1}}),
            "\"mode.keep_last\" of the redaction rules is -1",
            "0 to 64",
        ),
        (
            json!({"mode": {"mode": "partial", "keep_last": 65}}),
            "\"mode.keep_last\" of the redaction rules is 65",
            "0 to 64",
        ),
        (
            json!({"mode": {"mode": "partial", "keep_last": 1.5}}),
            "\"mode.keep_last\" of the redaction rules is 1.5",
            "0 to 64",
        ),
        (
            json!({"mode": {"mode": "partial", "keep_last": "4"}}),
            "\"mode.keep_last\" of the redaction rules is a string",
            "0 to 64",
        ),
        (
            json!({"mode": {"mode": "replace", "with": []}}),
            "\"mode.with\" of the redaction rules is an array",
            "a string, a number",
        ),
        (
            json!({"mode": {"mode": "replace", "with": "x".repeat(1_025)}}),
            "\"mode.with\" of the redaction rules is 1025 bytes long",
            "1024",
        ),
        (
            json!({"rules": {"field": "a"}}),
            "\"rules\" of the redaction rules is an object",
            "Expected a list.",
        ),
        (
            json!({"rules": ["a"]}),
            "\"rules[0]\" of the redaction rules is a string",
            "an object such as",
        ),
        (
            json!({"rules": [{}]}),
            "\"rules[0]\" of the redaction rules names no place",
            "either",
        ),
        (
            json!({"rules": [{"mode": "remove"}]}),
            "\"rules[0]\" of the redaction rules names no place",
            "either \"field\" or \"path\"",
        ),
        (
            json!({"rules": [{"field": "b"}, {"field": "a", "path": "$.a"}]}),
            "\"rules[1]\" of the redaction rules names a field and a path",
            "one rule for each",
        ),
        (
            json!({"rules": [{"feild": "a"}]}),
            "unknown key \"rules[0].feild\" in the redaction rules",
            "Did you mean \"rules[0].field\"?",
        ),
        (
            json!({"rules": [{"field": "a", "mode": "partial", "keep_last": 4}]}),
            "unknown key \"rules[0].keep_last\" in the redaction rules",
            "{\"mode\": \"partial\", \"keep_last\": 4} is one mode.",
        ),
        (
            json!({"rules": [{"field": true}]}),
            "\"rules[0].field\" of the redaction rules is a boolean",
            "Expected a string.",
        ),
        (
            json!({"rules": [{"path": "a"}]}),
            "\"rules[0].path\" of the redaction rules: character 1 of the path \"a\" is wrong: a",
            "which begins every path",
        ),
        (
            json!({"rules": [{"path": "$.a", "mode": {"mode": "hash"}}]}),
            "\"rules[0].mode\" of the redaction rules: unknown redaction mode \"hash\"",
            "replace, remove, hmac, partial",
        ),
    ] {
        let problem = parse(&document).unwrap_err();
        assert_eq!(problem.message, message, "{document}");
        let detail = problem.detail.expect("every problem says what was expected");
        let hint = problem.hint.unwrap_or_default();
        assert!(
            detail.contains(more) || hint.contains(more),
            "{document}: {detail} {hint}"
        );
    }
}

/// What is taken for rules may be the document that was to be redacted.
#[test]
fn no_value_of_a_wrong_document_is_repeated() {
    for document in [
        json!({"phone": "hush"}),
        json!({"fields": "hush"}),
        json!({"fields": {"phone": "hush"}}),
        json!({"rules": ["hush"]}),
        json!({"rules": [{"phone": "hush"}]}),
        json!({"mode": {"mode": "replace", "with": ["hush"]}}),
        json!({"mode": {"mode": "replace", "with": "hush".repeat(1_000)}}),
        json!({"mode": {"mode": "partial", "keep_last": "hush"}}),
    ] {
        let problem = parse(&document).unwrap_err();
        assert!(!format!("{problem:?}").contains("hush"), "{problem:?}");
    }
}

#[test]
fn documents_are_bounded() {
    let names = |count: usize| -> Vec<String> { (0..count).map(|number| format!("f{number}")).collect() };
    assert_eq!(
        parse(&json!({"fields": names(1_000)})).unwrap().all().len(),
        1_000
    );
    for document in [
        json!({"fields": names(1_001)}),
        json!({"fields": names(1_000), "rules": [{"field": "x"}]}),
    ] {
        let problem = parse(&document).unwrap_err();
        assert_eq!(
            problem.message,
            "there are more than 1000 rules in the redaction rules"
        );
    }
    let paths =
        |count: usize| -> Vec<String> { (0..count).map(|number| format!("$.a.b.c.p{number}")).collect() };
    assert!(parse(&json!({"paths": paths(128)})).is_ok());
    let problem = parse(&json!({"paths": paths(129)})).unwrap_err();
    assert_eq!(
        problem.message,
        "the paths up to \"paths[128]\" have 516 segments together"
    );
    let any = |_: &str| Ok(());
    assert!(Rules::parse(&json!({"kinds": names(64)}), &any).is_ok());
    let problem = Rules::parse(&json!({"kinds": names(65)}), &any).unwrap_err();
    assert_eq!(
        problem.message,
        "there are more than 64 kinds in the redaction rules"
    );
}

#[test]
fn places_are_fields_and_paths() {
    let places = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let rules = Rules::from_places(&places(&[
        "customer_name",
        "$..phone",
        "customerName",
        "$..['phone']",
    ]))
    .unwrap();
    let expected = [
        field("customername", Mode::default()),
        path("$..phone", Mode::default()),
    ];
    assert_eq!(rules.all(), expected);
    assert_eq!(Rules::from_places(&[]), Ok(Rules::default()));
    for (wrong, place) in [("$..", "redact_fields[2]"), ("", "redact_fields[2]")] {
        let problem = Rules::from_places(&places(&["a", wrong])).unwrap_err();
        assert!(problem.message.contains(place), "{}", problem.message);
    }
    let many: Vec<String> = (0..1_001).map(|number| format!("f{number}")).collect();
    assert!(Rules::from_places(&many).is_err());
    let long: Vec<String> = (0..257).map(|number| format!("$.a.b{number}")).collect();
    assert!(Rules::from_places(&long).is_err());
}

#[test]
fn a_list_of_fields_is_a_set() {
    let fields = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
    let rules = Rules::from_fields(&fields(&["customer_name", "phone", "customerName", "phone"])).unwrap();
    let expected = [
        field("customername", Mode::default()),
        field("phone", Mode::default()),
    ];
    assert_eq!(rules.all(), expected);
    assert_eq!(Rules::from_fields(&[]), Ok(Rules::default()));
    // As SQL counts.
    let problem = Rules::from_fields(&fields(&["a", " "])).unwrap_err();
    assert_eq!(
        problem.message,
        "\"fields[2]\" of the redaction rules names no key: \" \""
    );
    let many: Vec<String> = (0..1_001).map(|number| format!("f{number}")).collect();
    assert!(Rules::from_fields(&many).is_err());
    assert!(Rules::from_fields(&many[1..]).is_ok());
}

#[test]
fn a_path_among_fields_is_told_and_not_taken_for_a_key() {
    let fields = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for path in ["$.a.b", "$..email", "$[0]", "$..["] {
        let problem = Rules::from_fields(&fields(&["phone", path])).unwrap_err();
        assert!(
            problem
                .message
                .starts_with("\"fields[2]\" of the redaction rules is a path"),
            "{problem:?}"
        );
        assert!(
            problem
                .hint
                .as_deref()
                .is_some_and(|hint| hint.contains("\"paths\""))
        );
        let document = json!({ "fields": [path] });
        assert!(Rules::parse(&document, &|_| Ok(())).is_err(), "{path}");
    }
    assert!(Rules::from_fields(&fields(&["$oid", "$"])).is_ok());
}
