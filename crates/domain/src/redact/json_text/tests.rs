use super::*;

/// Each taken from `select to_jsonb(...)::text` of PostgreSQL.
#[test]
fn strings_are_written_as_postgresql_does() {
    for (text, expected) in [
        ("", r#""""#),
        ("it's a/b", r#""it's a/b""#),
        ("\"\\", r#""\"\\""#),
        ("\u{8}\u{c}\n\r\t", r#""\b\f\n\r\t""#),
        ("\u{1}\u{1f}\u{7f}", "\"\\u0001\\u001f\u{7f}\""),
        ("é\u{1f600}\u{2028}", "\"é\u{1f600}\u{2028}\""),
    ] {
        assert_eq!(string(text), expected, "{text:?}");
    }
}

#[test]
fn shorter_keys_come_first() {
    let mut keys = ["b", "aa", "", "a", "é", "ab", "Z"];
    keys.sort_by(|one, other| key_order(one, other));
    assert_eq!(keys, ["", "Z", "a", "b", "aa", "ab", "é"]);
}
