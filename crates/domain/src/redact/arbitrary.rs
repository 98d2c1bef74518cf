//! Documents and rules for tests that hold a walker equal to [`super::reference`].
//!
//! Few keys and many rules, so that most documents are redacted somewhere; numbers are as jsonb prints them.

use serde_json::{Value, json};

use super::reference::Json;
use super::rules::Rules;
use crate::arbitrary::Source;
use crate::pii::Kind;

/// What rules may say.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Make tokens, for which a key is needed.
    pub tokens: bool,
    /// Name kinds of personal data.
    pub kinds: bool,
}

impl Extent {
    /// What a matcher can do.
    pub const WITHOUT_KINDS: Self = Self {
        tokens: true,
        kinds: false,
    };
}

const KEYS: &[&str] = &[
    "a",
    "b",
    "phone",
    "Phone",
    "customer_name",
    "customerName",
    "é",
    "E\u{301}",
    "",
];

/// Texts that personal data is found in, that it was, and that look like it.
const TEXTS: &[&str] = &[
    "[REDACTED]",
    "****1234",
    "hmac:k0:d2GxzCUiffygvW2XKsxSqw",
    "",
    "ada@example.com",
    "card 4111 1111 1111 1111, ada@example.com.",
    "4155550132",
    "{\"phone\": 4155550132, \"b\": [\"ada\\u0040example.com\", 1e400, {\"a\": \"x\"}], \"n\": 1.0}",
    "[\"{\\\"mail\\\": \\\"ada@example.com\\\"}\"]",
    "{\"phone\": 4155550132",
    "\u{1f600} ada\u{200b}@example.com \u{ff14}111111111111111",
];

fn pick<'a, T: ?Sized>(source: &mut Source, choices: &[&'a T]) -> &'a T {
    choices[source.below(choices.len())]
}

/// A document whose containers are at most `depth` levels inside each other.
pub fn document(source: &mut Source, depth: usize) -> Json {
    let scalars = 7;
    match source.below(if depth == 0 { scalars } else { scalars + 16 }) {
        0 => Json::Null,
        1 => Json::Bool(source.below(2) == 0),
        2 => Json::Number(number(source)),
        3 => Json::String(pick(source, TEXTS).to_owned()),
        4..7 => Json::String(
            source
                .text(&["a", "4111", "\u{1f600}", "\n", "\\", "\""])
                .replace('\0', ""),
        ),
        7..12 => Json::Array(
            (0..count(source, 4, depth))
                .map(|_| document(source, depth - 1))
                .collect(),
        ),
        _ => object(source, depth),
    }
}

fn object(source: &mut Source, depth: usize) -> Json {
    let mut members: Vec<(String, Json)> = Vec::new();
    for place in 0..count(source, 6, depth) {
        let key = match source.below(8) {
            // Keys that no rule names, of all lengths.
            0 | 1 => "x".repeat(place + 1),
            _ => pick(source, KEYS).to_owned(),
        };
        if members.iter().all(|(known, _)| *known != key) {
            members.push((key, document(source, depth - 1)));
        }
    }
    Json::Object(members)
}

/// Mostly few; where not much is inside of them, sometimes more than share one run of lengths in jsonb.
fn count(source: &mut Source, usual: usize, depth: usize) -> usize {
    match source.below(12) {
        0 if depth < 2 => 20 + source.below(60),
        _ => source.below(usual),
    }
}

fn number(source: &mut Source) -> String {
    match source.below(8) {
        0 => format!("1{}", "0".repeat(400)),
        1 => "4111111111111111".to_owned(),
        2 => "4155550132".to_owned(),
        _ => pick(source, &["0", "0.10", "-123456789012345678901234567890", "7"]).to_owned(),
    }
}

fn path(source: &mut Source) -> String {
    let mut path = "$".to_owned();
    for _ in 0..1 + source.below(4) {
        path.push_str(pick(source, &["", "", ".."]));
        path.push_str(&match source.below(5) {
            0 => format!("[{}]", source.below(4)),
            1 => format!("[-{}]", 1 + source.below(3)),
            2 => "[*]".to_owned(),
            _ => format!("['{}']", pick(source, KEYS)),
        });
    }
    path
}

fn mode(source: &mut Source, extent: Extent) -> Value {
    match source.below(6) {
        0 => json!("remove"),
        1 => json!("replace"),
        2 => {
            let replacements = [
                json!(null),
                json!(0),
                json!("x"),
                json!(true),
                json!(4111111111111111_u64),
            ];
            json!({"mode": "replace", "with": replacements[source.below(replacements.len())]})
        }
        3 if extent.tokens => json!("hmac"),
        _ => json!({"mode": "partial", "keep_last": source.below(20)}),
    }
}

/// A document of rules that can be parsed.
pub fn rules_document(source: &mut Source, extent: Extent) -> Value {
    loop {
        let rules: Vec<Value> = (0..1 + source.below(5))
            .map(|_| match source.below(3) {
                0 => json!({"field": pick(source, KEYS), "mode": mode(source, extent)}),
                _ => json!({"path": path(source), "mode": mode(source, extent)}),
            })
            .collect();
        let mut document = json!({ "rules": rules });
        if extent.kinds && source.below(2) == 0 {
            let kinds = Kind::ALL.iter().filter(|_| source.below(2) == 0);
            document["kinds"] = kinds.map(|kind| kind.as_str()).collect();
            document["mode"] = mode(source, extent);
        }
        // Some name a place twice, or a field without a letter.
        if Rules::parse(&document, &|_| Ok(())).is_ok() {
            return document;
        }
    }
}

/// The same, parsed.
pub fn rules(source: &mut Source, extent: Extent) -> Rules {
    loop {
        let document = rules_document(source, extent);
        if let Ok(rules) = Rules::parse(&document, &|_| Ok(())) {
            return rules;
        }
    }
}
