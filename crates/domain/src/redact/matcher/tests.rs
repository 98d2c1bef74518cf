#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::arbitrary::Source;
use crate::problem::Problem;
use crate::redact::reference::{Json, put, redact};
use crate::redact::token::{HmacKey, KEY_LENGTH, Keys};

fn matcher(document: &Value) -> Matcher {
    Matcher::new(&Rules::parse(document, &|_| Ok(())).unwrap())
}

#[test]
fn a_walker_learns_step_by_step_what_to_do() {
    let matcher =
        matcher(&json!({"fields": ["phone"], "paths": ["$.stops[-1].name", "$.stops[0]"], "mode": "remove"}));
    let root = matcher.root();
    let other = matcher.enter_member(&root, "other");
    assert!(other.action.is_none() && other.state.is_spent() && !matcher.is_blind(&other.state));
    assert_eq!(
        matcher.enter_member(&other.state, "Phone").action,
        Some(&Mode::Remove)
    );
    assert!(matcher.enter_element(&other.state, 0, 1).action.is_none());

    let stops = matcher.enter_member(&root, "stops");
    assert!(stops.action.is_none() && !stops.state.is_spent());
    assert_eq!(
        matcher.enter_element(&stops.state, 0, 3).action,
        Some(&Mode::Remove)
    );
    assert!(matcher.enter_element(&stops.state, 1, 3).state.is_spent());
    let last = matcher.enter_element(&stops.state, 2, 3);
    assert!(last.action.is_none());
    assert_eq!(
        matcher.enter_member(&last.state, "name").action,
        Some(&Mode::Remove)
    );
    // A path is about names as they are written.
    assert!(matcher.enter_member(&last.state, "Name").action.is_none());
    assert!(matcher.enter_member(&root, "Stops").state.is_spent());
}

#[test]
fn a_walker_learns_where_nothing_can_come() {
    for (rules, root, inside) in [
        (json!({}), true, true),
        (json!({"kinds": ["iban"]}), true, true),
        (json!({"fields": ["x"]}), false, false),
        (json!({"paths": ["$.a.b"]}), false, true),
        (json!({"paths": ["$..b"]}), false, false),
        (json!({"paths": ["$.*.b"]}), false, false),
    ] {
        let matcher = matcher(&rules);
        assert_eq!(matcher.is_blind(&matcher.root()), root, "{rules}");
        let step = matcher.enter_member(&matcher.root(), "other");
        assert_eq!(matcher.is_blind(&step.state), inside, "{rules}");
    }
}

#[test]
fn the_end_of_a_path_does_not_run_into_the_next_one() {
    let matcher = matcher(&json!({"paths": ["$.a", "$.b"]}));
    let step = matcher.enter_member(&matcher.root(), "a");
    assert!(step.action.is_some() && step.state.is_spent());
}

#[test]
fn as_many_paths_as_rules_may_have() {
    let paths: Vec<String> = (0..128)
        .map(|number| format!("$.a..b[{number}].p{number}"))
        .collect();
    let matcher = matcher(&json!({ "paths": paths }));
    for number in [0, 15, 16, 63, 64, 127] {
        let a = matcher.enter_member(&matcher.root(), "a");
        let deep = matcher.enter_member(&matcher.enter_member(&a.state, "x").state, "b");
        let element = matcher.enter_element(&deep.state, number, 128);
        for other in 0..128 {
            let step = matcher.enter_member(&element.state, &format!("p{other}"));
            assert_eq!(step.action.is_some(), other == number);
        }
    }
}

/// A walk over a tree, as simple as a walker can be.
struct Walk<'a> {
    matcher: &'a Matcher,
    keys: &'a Keys,
    /// How many places were redacted.
    hits: usize,
}

impl Walk<'_> {
    fn inside(&mut self, value: &Json, state: &State) -> Result<Json, Problem> {
        if self.matcher.is_blind(state) {
            return Ok(value.clone());
        }
        let matcher = self.matcher;
        match value {
            Json::Object(members) => {
                let mut kept = Vec::new();
                for (key, member) in members {
                    let written = self.child(member, matcher.enter_member(state, key))?;
                    kept.extend(written.map(|written| (key.clone(), written)));
                }
                Ok(Json::Object(kept))
            }
            Json::Array(elements) => {
                let mut kept = Vec::new();
                let mut removed = 0;
                for (index, element) in elements.iter().enumerate() {
                    let step = matcher.enter_element(state, index, elements.len());
                    assert!(!state.is_spent() || (step.action.is_none() && step.state.is_spent()));
                    let written = self.child(element, step)?;
                    removed += usize::from(written.is_none());
                    kept.push(written.unwrap_or(Json::Null));
                }
                if removed == elements.len() {
                    kept.clear();
                }
                Ok(Json::Array(kept))
            }
            scalar => Ok(scalar.clone()),
        }
    }

    fn child(&mut self, value: &Json, step: Step<'_>) -> Result<Option<Json>, Problem> {
        let Some(mode) = step.action else {
            return self.inside(value, &step.state).map(Some);
        };
        self.hits += 1;
        put(mode, value, self.keys)
    }
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

fn pick<'a, T: ?Sized>(source: &mut Source, choices: &[&'a T]) -> &'a T {
    choices[source.below(choices.len())]
}

fn arbitrary_json(source: &mut Source, depth: usize) -> Json {
    let scalars = 6;
    match source.below(if depth == 0 { scalars } else { scalars + 15 }) {
        0 => Json::Null,
        1 => Json::Bool(source.below(2) == 0),
        2 => {
            Json::Number(pick(source, &["0", "1e400", "0.10", "-123456789012345678901234567890"]).to_owned())
        }
        3 => Json::String(
            pick(
                source,
                &["[REDACTED]", "****1234", "hmac:k0:d2GxzCUiffygvW2XKsxSqw", ""],
            )
            .to_owned(),
        ),
        4 | 5 => Json::String(source.text(&["a", "4111", "\u{1f600}", "\n"])),
        6..11 => Json::Array(
            (0..source.below(4))
                .map(|_| arbitrary_json(source, depth - 1))
                .collect(),
        ),
        _ => {
            let mut members: Vec<(String, Json)> = Vec::new();
            for _ in 0..source.below(6) {
                let key = pick(source, KEYS);
                if members.iter().all(|(known, _)| known != key) {
                    members.push((key.to_owned(), arbitrary_json(source, depth - 1)));
                }
            }
            Json::Object(members)
        }
    }
}

fn arbitrary_path(source: &mut Source) -> String {
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

fn arbitrary_mode(source: &mut Source) -> Value {
    match source.below(6) {
        0 => json!("remove"),
        1 => json!("replace"),
        2 => {
            let replacements = [json!(null), json!(0), json!("x")];
            json!({"mode": "replace", "with": replacements[source.below(3)]})
        }
        3 => json!("hmac"),
        _ => json!({"mode": "partial", "keep_last": source.below(5)}),
    }
}

fn arbitrary_rules(source: &mut Source) -> Rules {
    loop {
        let rules: Vec<Value> = (0..1 + source.below(5))
            .map(|_| match source.below(3) {
                0 => json!({"field": pick(source, KEYS), "mode": arbitrary_mode(source)}),
                _ => json!({"path": arbitrary_path(source), "mode": arbitrary_mode(source)}),
            })
            .collect();
        // Some name a place twice, or a field without a letter.
        if let Ok(rules) = Rules::parse(&json!({ "rules": rules }), &|_| Ok(())) {
            return rules;
        }
    }
}

#[test]
fn a_walk_with_the_matcher_gives_what_the_definitions_give() {
    let keys = Keys::current(HmacKey::new("k1", [7; KEY_LENGTH]).unwrap());
    let mut source = Source::new(44);
    let (mut hits, mut changed) = (0, 0);
    for _ in 0..2_500 {
        let rules = arbitrary_rules(&mut source);
        let matcher = Matcher::new(&rules);
        for _ in 0..4 {
            let document = arbitrary_json(&mut source, 5);
            let expected = redact(&document, &rules, &keys, 5).unwrap();
            let mut walk = Walk {
                matcher: &matcher,
                keys: &keys,
                hits: 0,
            };
            let walked = walk.inside(&document, &matcher.root()).unwrap();
            hits += walk.hits;
            assert_eq!(walked, expected, "{document:?} {rules:?}");
            let again = redact(&expected, &rules, &keys, 5).unwrap();
            assert_eq!(again, expected, "not idempotent: {document:?} {rules:?}");
            changed += usize::from(expected != document);
        }
    }
    assert!(
        hits > 8_000 && (2_500..7_500).contains(&changed),
        "{hits} {changed}: too one-sided to mean anything"
    );
}
