#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};

use super::*;
use crate::arbitrary::Source;
use crate::problem::Problem;
use crate::redact::arbitrary::{self, Extent};
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

#[test]
fn a_walk_with_the_matcher_gives_what_the_definitions_give() {
    let keys = Keys::current(HmacKey::new("k1", [7; KEY_LENGTH]).unwrap());
    let mut source = Source::new(44);
    let (mut hits, mut changed) = (0, 0);
    for _ in 0..2_500 {
        let rules = arbitrary::rules(&mut source, Extent::WITHOUT_KINDS);
        let matcher = Matcher::new(&rules);
        for _ in 0..4 {
            let document = arbitrary::document(&mut source, 5);
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
