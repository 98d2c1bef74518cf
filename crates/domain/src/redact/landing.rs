//! What is redacted in rows that land: the rules a company begins with, and what is said of a redaction afterwards.

use serde_json::Value;

use super::path::push_name;

/// What is replaced for a company that has set no rules: the fields of the roadmap.
pub const FIRST_FIELDS: [&str; 3] = ["customer_name", "address", "phone"];

/// Places that are told of one redaction; more are counted.
const TOLD: usize = 10;

/// Where two documents differ, of which the second is the first one redacted: paths and no values, the first few of them.
/// Empty when they do not.
#[must_use]
pub fn places(before: &Value, after: &Value) -> String {
    let mut found = Vec::new();
    compare(before, after, "$", &mut found);
    let more = found.len().saturating_sub(TOLD);
    found.truncate(TOLD);
    let mut told = found.join(", ");
    if more > 0 {
        told.push_str(&format!(" and {more} more"));
    }
    told
}

fn compare(before: &Value, after: &Value, path: &str, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (key, value) in before {
                let mut path = path.to_owned();
                push_name(key, &mut path);
                match after.get(key) {
                    Some(other) => compare(value, other, &path, found),
                    None => found.push(path),
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (index, (value, other)) in before.iter().zip(after).enumerate() {
                compare(value, other, &format!("{path}[{index}]"), found);
            }
        }
        (before, after) if before == after => {}
        _ => found.push(path.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn places_are_named_and_values_are_not() {
        let before = json!({"customer_name": "Ada", "stops": [{"phone": "1", "city": "Kiel"}, {"phone": "2"}], "a b": 1});
        let after = json!({"customer_name": "[REDACTED]", "stops": [{"phone": "x", "city": "Kiel"}, {}]});
        assert_eq!(
            places(&before, &after),
            "$['a b'], $.customer_name, $.stops[0].phone, $.stops[1].phone"
        );
        assert_eq!(places(&before, &before), "");
        assert_eq!(places(&json!("Ada"), &json!("[REDACTED]")), "$");
        assert_eq!(places(&json!([1, 2]), &json!([])), "$");
    }

    #[test]
    fn many_places_are_counted() {
        let before: Value = (0..14).collect::<Vec<i32>>().into();
        let after: Value = vec![Value::Null; 14].into();
        let told = places(&before, &after);
        assert!(told.starts_with("$[0], $[1], "), "{told}");
        assert!(told.ends_with("$[9] and 4 more"), "{told}");
    }
}
