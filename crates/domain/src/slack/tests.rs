//! Messages that are passed on, messages that are made, and Slack's limits.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::arbitrary::Source;

fn section_texts(message: &Value) -> Vec<&str> {
    let blocks = message["blocks"].as_array().unwrap();
    blocks
        .iter()
        .map(|block| {
            assert_eq!(block["type"], "section");
            assert_eq!(block["text"]["type"], "mrkdwn");
            block["text"]["text"].as_str().unwrap()
        })
        .collect()
}

#[test]
fn a_message_is_passed_on_with_what_slack_knows() {
    let blocks = json!([{"type": "divider"}]);
    for (payload, expected) in [
        (json!({"text": "a <b> & c"}), json!({"text": "a <b> & c"})),
        (
            json!({"text": "t", "blocks": blocks, "thread_ts": "1.2", "company": "hush", "mrkdwn": false}),
            json!({"text": "t", "blocks": blocks, "thread_ts": "1.2", "mrkdwn": false}),
        ),
        (
            json!({"blocks": blocks, "username": "tms"}),
            json!({"text": "load.&lt;x&gt;", "blocks": blocks, "username": "tms"}),
        ),
        (
            json!({"text": 5, "blocks": blocks}),
            json!({"text": "load.&lt;x&gt;", "blocks": blocks}),
        ),
    ] {
        assert_eq!(body("load.<x>", &payload), expected);
    }
    let all: Map<String, Value> = KNOWN
        .iter()
        .map(|name| ((*name).to_owned(), json!("x")))
        .collect();
    let all = Value::Object(all);
    assert_eq!(body("a", &all), all);
}

#[test]
fn other_payloads_become_a_message_of_their_scalar_fields() {
    let payload = json!({
        "load_id": 4711,
        "carrier": "Fast & <Furious>",
        "late": true,
        "note": null,
        "stops": [1, 2],
        "contact": {"phone": "1"},
    });
    let message = body("load.assigned", &payload);
    let expected =
        "*load.assigned*\n*carrier:* Fast &amp; &lt;Furious&gt;\n*late:* true\n*load_id:* 4711\n*note:* null";
    assert_eq!(message["text"], expected);
    assert_eq!(section_texts(&message), [expected]);
    for (payload, expected) in [
        (json!("<!channel>"), "*a*\n&lt;!channel&gt;"),
        (json!(7), "*a*\n7"),
        (json!([1]), "*a*"),
        (json!({}), "*a*"),
        (json!({"text": "", "blocks": []}), "*a*\n*text:* "),
        (json!({"text": 5}), "*a*\n*text:* 5"),
        (json!({"blocks": "x"}), "*a*\n*blocks:* x"),
    ] {
        assert_eq!(body("a", &payload)["text"], expected);
    }
}

#[test]
fn many_fields_fill_the_blocks_and_the_rest_is_counted() {
    let fields = |count: usize| {
        let entries = (0..count).map(|number| (format!("f{number:03}"), json!("x".repeat(2_000))));
        Value::Object(entries.collect())
    };
    // One section for each field, the type with the first.
    let fits = body("a", &fields(50));
    assert_eq!(section_texts(&fits).len(), 50);
    assert!(section_texts(&fits)[49].starts_with("*f049:* x"));
    let over = body("a", &fields(53));
    assert_eq!(section_texts(&over).len(), 50);
    assert_eq!(section_texts(&over)[49], "_and 4 more fields_");
}

#[test]
fn a_long_value_is_cut_between_characters() {
    for (text, limit, expected) in [
        ("abcdef", 6, "abcdef"),
        ("abcdefg", 6, "abc..."),
        ("a&b", 7, "a&amp;b"),
        ("a&bc", 7, "a..."),
        ("&&", 5, "..."),
        ("\u{1f600}\u{1f600}", 4, "\u{1f600}\u{1f600}"),
        ("\u{1f600}\u{1f600}x", 4, "..."),
    ] {
        assert_eq!(escaped(text, limit), expected, "{text}");
        assert!(units(&escaped(text, limit)) <= limit);
    }
}

/// Whether every `&` begins one of the three entities, and there is no `<` or `>`.
fn is_escaped(text: &str) -> bool {
    let bare = text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "");
    !bare.contains(['&', '<', '>'])
}

#[test]
fn no_event_makes_a_message_beyond_the_limits() {
    let mut source = Source::new(12);
    let pieces = ["<!here>", "&", "\u{1f600}", "plain text ", "\n"];
    for round in 0..300 {
        let text = |source: &mut Source| source.text(&pieces).repeat(1 + source.below(1 + round % 150));
        let entries = (0..source.below(1 + round % 120)).map(|number| {
            let value = match source.below(4) {
                0 => json!(source.number()),
                1 => json!(null),
                _ => json!(text(&mut source)),
            };
            (format!("{number}{}", text(&mut source)), value)
        });
        let payload = Value::Object(entries.collect());
        let message = body(&text(&mut source), &payload);
        let whole = message["text"].as_str().unwrap();
        assert!(units(whole) <= TEXT_LIMIT && is_escaped(whole));
        let sections = section_texts(&message);
        assert!((1..=BLOCKS_LIMIT).contains(&sections.len()));
        for section in sections {
            assert!(units(section) <= SECTION_LIMIT && is_escaped(section) && !section.is_empty());
        }
    }
}
