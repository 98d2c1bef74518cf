#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::Value;

use super::text;
use crate::arbitrary::Source;

#[test]
fn the_examples_of_the_rfc() {
    // RFC 8785, 3.2.3: the order of keys is that of UTF-16 code units.
    let sorted = text(
        "{\"\u{20ac}\": 1, \"\\r\": 2, \"\u{fb33}\": 3, \"1\": 4, \"\u{1f600}\": 5, \"\u{80}\": 6, \"\u{f6}\": 7}",
    );
    assert_eq!(
        sorted,
        "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
    );
    // Appendix B and 3.2.2.3.
    for (given, canonical) in [
        ("333333333.33333329", "333333333.33333329"),
        ("1E30", "1e+30"),
        ("4.50", "4.5"),
        ("2e-3", "0.002"),
        ("0.000000000000000000000000001", "1e-27"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("-0", "0"),
        ("0.000001", "0.000001"),
        ("0.0000001", "1e-7"),
        ("100000000000000000000", "100000000000000000000"),
        ("1000000000000000000000", "1e+21"),
        ("-1234.5600", "-1234.56"),
    ] {
        assert_eq!(text(given), canonical, "{given}");
    }
}

#[test]
fn numbers_beyond_doubles_keep_what_tells_them_apart() {
    let long = "12345678901234567890.123456789";
    assert_eq!(text(long), long);
    assert_eq!(text(&format!("1{}", "0".repeat(400))), "1e+400");
    assert_ne!(text("9007199254740993"), text("9007199254740992"));
}

#[test]
fn nesting_and_space_make_no_difference() {
    assert_eq!(
        text("{\"b\": [1, {\"z\": {}, \"a\": []}], \"a\": {\"aa\": null, \"b\": \"x, \\\"y\\\": {\"}}"),
        r#"{"a":{"aa":null,"b":"x, \"y\": {"},"b":[1,{"a":[],"z":{}}]}"#
    );
    for same in ["null", "true", "\"\"", "[]", "{}", "\"a b\""] {
        assert_eq!(text(same), same);
    }
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(text(&deep), deep);
}

#[test]
fn members_in_any_order_have_one_text_that_means_the_same() {
    let mut source = Source::new(8785);
    for _ in 0..2_000 {
        let mut members: Vec<String> = (0..1 + source.below(6))
            .map(|number| {
                let key = serde_json::to_string(&format!("{}{number}", source.text(&["a", "\u{e9}", "😀"])))
                    .unwrap();
                let value = Value::from(source.text(&["{", "\"", ",", ":", "}"]));
                format!("{key}: {{\"y\": {value}, \"x\": [{number}]}}")
            })
            .collect();
        let one = format!("{{{}}}", members.join(", "));
        members.reverse();
        let other = format!("{{{}}}", members.join(" ,\n"));
        assert_eq!(text(&one), text(&other));
        let (given, canonical) = (
            serde_json::from_str::<Value>(&one),
            serde_json::from_str::<Value>(&text(&one)),
        );
        assert_eq!(given.unwrap(), canonical.unwrap());
        assert_eq!(text(&text(&one)), text(&one));
    }
}

#[test]
fn what_is_no_json_does_no_harm() {
    let mut source = Source::new(99);
    for _ in 0..20_000 {
        let _ = text(&source.text(&["{", "}", "[", "]", "\"a\"", ":", ",", "1e", "-", "\\", "\"", " "]));
    }
}
