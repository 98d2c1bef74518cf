//! Keys that were looked up before: documents of one kind have the same few, and telling whether a key is a field in some
//! spelling costs more than finding it here.

use std::cell::RefCell;

/// How many keys are remembered: each has one place, and the last one there stays.
const PLACES: usize = 64;
/// Longer keys are rare, and looked up each time.
const LONGEST: usize = 48;

/// The rule of each key, if it is a field.
#[derive(Debug, Clone, Default)]
pub(super) struct Known(RefCell<Vec<Place>>);

#[derive(Debug, Clone, Default)]
struct Place {
    key: Vec<u8>,
    rule: Option<usize>,
}

impl Known {
    /// The rule of a key, which has at least one byte; `look_up` finds it the first time.
    #[inline]
    pub(super) fn rule(&self, key: &[u8], look_up: impl FnOnce() -> Option<usize>) -> Option<usize> {
        let Ok(mut places) = self.0.try_borrow_mut() else {
            return look_up();
        };
        if places.is_empty() {
            places.resize(PLACES, Place::default());
        }
        let Some(place) = places.get_mut(place_of(key)).filter(|_| key.len() <= LONGEST) else {
            return look_up();
        };
        if *place.key != *key {
            place.rule = look_up();
            place.key.clear();
            place.key.extend_from_slice(key);
        }
        place.rule
    }
}

/// Few keys of one document share length, first, middle and last letter.
#[inline]
fn place_of(key: &[u8]) -> usize {
    let letter = |place: usize| usize::from(key.get(place).copied().unwrap_or_default());
    let length = key.len();
    let mixed =
        letter(0) ^ (letter(length / 2) << 1) ^ (letter(length.saturating_sub(1)) << 2) ^ (length << 3);
    (mixed ^ (mixed >> 6)) % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_looked_up_once_while_its_place_is_its_own() {
        let known = Known::default();
        let keys = ["phone", "email", "Phone", "customerName", "x", "phony"];
        for round in 0..3 {
            for (rule, key) in keys.iter().enumerate() {
                let mut asked = false;
                let found = known.rule(key.as_bytes(), || {
                    asked = true;
                    Some(rule)
                });
                assert_eq!(found, Some(rule), "{key}");
                assert!(asked || round > 0, "{key} was never looked up");
            }
        }
        assert_eq!(known.rule(b"none", || None), None);
        assert_eq!(known.rule(b"none", || Some(1)), None);
    }

    #[test]
    fn keys_that_share_a_place_are_told_apart() {
        let known = Known::default();
        let keys: Vec<String> = (0..1_000).map(|number| format!("key{number}")).collect();
        for _ in 0..2 {
            for (rule, key) in keys.iter().enumerate() {
                assert_eq!(known.rule(key.as_bytes(), || Some(rule)), Some(rule));
            }
        }
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(known.rule(long.as_bytes(), || Some(1)), Some(1));
        assert_eq!(known.rule(long.as_bytes(), || Some(2)), Some(2));
    }
}
