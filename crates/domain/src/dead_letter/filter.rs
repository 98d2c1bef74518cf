//! Which letters a person means: the filter of `tms_dlq_replay`, read strictly. A key that is misspelt must not replay everything.

use serde_json::{Map, Value};

use crate::nearest::{nearest, unknown_name};
use crate::outcome::ErrorType;
use crate::problem::Problem;
use crate::shown::{kind_of, quoted};

/// Letters of one call, unless it says otherwise: a transaction of a size that nobody waits for.
const USUAL_LIMIT: u64 = 10_000;
const MOST: u64 = 1_000_000;
const MOST_IDS: usize = 100_000;
const SLOWEST: f64 = 0.01;
const FASTEST: f64 = 100_000.0;

const KEYS: &[&str] = &[
    "ids",
    "company_id",
    "error_type",
    "target_system",
    "event_type",
    "agent_name",
    "created_after",
    "created_before",
    "limit",
    "rate_per_second",
];

/// What a letter must be like; `None` and an empty list: anything.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// Letters by their ids. Only these may be snoozed.
    pub ids: Option<Vec<[u8; 16]>>,
    /// Of this company.
    pub company: Option<[u8; 16]>,
    /// With this kind of error.
    pub error_type: Option<ErrorType>,
    /// Of events for this target.
    pub target: Option<String>,
    /// Of events of this type.
    pub event_type: Option<String>,
    /// Of tasks of this agent.
    pub agent: Option<String>,
    /// Died at this time or later, as it was written: what a time is, the server knows.
    pub created_after: Option<String>,
    /// Died before this time, as it was written.
    pub created_before: Option<String>,
    /// At most so many, the oldest first.
    pub limit: u64,
    /// How many a second come back; `None`: at the usual pace.
    pub rate_per_second: Option<f64>,
}

impl Filter {
    /// Reads a filter.
    ///
    /// # Errors
    /// What is wrong with it, in words for the person who wrote it.
    pub fn parse(document: &Value) -> Result<Filter, Problem> {
        let Value::Object(object) = document else {
            return Err(Problem::new(format!("filter is {}", kind_of(document)))
                .detail(format!("Expected an object with any of {}.", KEYS.join(", ")))
                .hint("{} means every open letter that is not snoozed or out already; try it with dry_run => true."));
        };
        let object = Keys(object);
        object.check_names()?;
        Ok(Filter {
            ids: object.ids()?,
            company: object.one_id("company_id")?,
            error_type: object.error_type()?,
            target: object.text("target_system")?,
            event_type: object.text("event_type")?,
            agent: object.text("agent_name")?,
            created_after: object.text("created_after")?,
            created_before: object.text("created_before")?,
            limit: object.limit()?,
            rate_per_second: object.rate()?,
        })
    }
}

struct Keys<'a>(&'a Map<String, Value>);

impl Keys<'_> {
    fn check_names(&self) -> Result<(), Problem> {
        let Some(wrong) = self.0.keys().find(|key| !KEYS.contains(&key.as_str())) else {
            return Ok(());
        };
        let problem = Problem::new(format!("unknown filter key {}", quoted(wrong)))
            .detail(format!("Known keys are {}.", KEYS.join(", ")));
        Err(match nearest(wrong, KEYS) {
            Some(name) => problem.hint(format!("Did you mean \"{name}\"?")),
            None => problem.hint("Leave it out."),
        })
    }

    fn wrong(&self, key: &str, value: &Value, expected: &str) -> Problem {
        let shown = match value {
            Value::String(text) => quoted(text),
            Value::Number(number) => number.to_string(),
            other => kind_of(other).to_owned(),
        };
        Problem::new(format!("filter key \"{key}\" is {shown}"))
            .detail(format!("Expected {expected}."))
            .hint("Correct it, or leave the key out.")
    }

    fn text(&self, key: &str) -> Result<Option<String>, Problem> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
            Some(other) => Err(self.wrong(key, other, "a text that is not empty")),
        }
    }

    fn one_id(&self, key: &str) -> Result<Option<[u8; 16]>, Problem> {
        let Some(value) = self.0.get(key) else {
            return Ok(None);
        };
        match value.as_str().and_then(id) {
            Some(id) => Ok(Some(id)),
            None => Err(self.wrong(key, value, "a UUID")),
        }
    }

    fn ids(&self) -> Result<Option<Vec<[u8; 16]>>, Problem> {
        const EXPECTED: &str = "an array of the ids of dead letters, 1 to 100,000 of them";
        match self.0.get("ids") {
            None => Ok(None),
            Some(Value::Array(values)) if (1..=MOST_IDS).contains(&values.len()) => values
                .iter()
                .map(|value| {
                    value
                        .as_str()
                        .and_then(id)
                        .ok_or_else(|| self.wrong("ids", value, EXPECTED))
                })
                .collect::<Result<_, _>>()
                .map(Some),
            Some(Value::Array(values)) => Err(Problem::new(format!(
                "filter key \"ids\" has {} elements",
                values.len()
            ))
            .detail(format!("Expected {EXPECTED}."))
            .hint("Leave the key out to mean letters by what they are like.")),
            Some(other) => Err(self.wrong("ids", other, EXPECTED)),
        }
    }

    fn error_type(&self) -> Result<Option<ErrorType>, Problem> {
        let Some(name) = self.text("error_type")? else {
            return Ok(None);
        };
        let known = ErrorType::ALL.into_iter().find(|kind| kind.as_str() == name);
        known
            .map(Some)
            .ok_or_else(|| unknown_name("error type", &name, &ErrorType::ALL.map(ErrorType::as_str)))
    }

    fn limit(&self) -> Result<u64, Problem> {
        let Some(value) = self.0.get("limit") else {
            return Ok(USUAL_LIMIT);
        };
        value
            .as_f64()
            .filter(|number| number.fract() == 0.0 && (1.0..=MOST as f64).contains(number))
            .map(|number| number as u64)
            .ok_or_else(|| self.wrong("limit", value, "a whole number from 1 to 1,000,000"))
    }

    fn rate(&self) -> Result<Option<f64>, Problem> {
        let Some(value) = self.0.get("rate_per_second") else {
            return Ok(None);
        };
        value
            .as_f64()
            .filter(|rate| (SLOWEST..=FASTEST).contains(rate))
            .map(Some)
            .ok_or_else(|| self.wrong("rate_per_second", value, "a number from 0.01 to 100,000"))
    }
}

/// A UUID in its usual form, 8-4-4-4-12, or without hyphens.
fn id(text: &str) -> Option<[u8; 16]> {
    let plain: Vec<u8> = match text.len() {
        36 => {
            let is_usual = text
                .bytes()
                .enumerate()
                .all(|(place, letter)| (letter == b'-') == matches!(place, 8 | 13 | 18 | 23));
            if !is_usual {
                return None;
            }
            text.bytes().filter(|letter| *letter != b'-').collect()
        }
        32 => text.bytes().collect(),
        _ => return None,
    };
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(plain.chunks_exact(2)) {
        let digit = |letter: u8| char::from(letter).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::arbitrary::Source;

    const ID: &str = "0191d7a0-0000-7000-8000-00000000abCD";

    #[test]
    fn nothing_means_everything_up_to_a_limit() {
        let filter = Filter::parse(&json!({})).unwrap();
        assert_eq!(
            (filter.limit, filter.rate_per_second, filter.ids),
            (10_000, None, None)
        );
    }

    #[test]
    fn every_key_is_read() {
        let filter = Filter::parse(&json!({
            "ids": [ID], "company_id": ID, "error_type": "timeout", "target_system": "n8n", "event_type": "load.moved",
            "agent_name": "rates_agent", "created_after": "2026-01-01", "created_before": "tomorrow", "limit": 5.0,
            "rate_per_second": 0.5,
        }))
        .unwrap();
        let bytes = filter.company.unwrap();
        assert_eq!((bytes[0], bytes[15]), (0x01, 0xcd));
        assert_eq!(filter.ids, Some(vec![bytes]));
        assert_eq!(filter.error_type, Some(ErrorType::Timeout));
        assert_eq!(filter.agent.as_deref(), Some("rates_agent"));
        assert_eq!((filter.limit, filter.rate_per_second), (5, Some(0.5)));
    }

    #[test]
    fn mistakes_are_told_with_the_value_what_was_expected_and_what_to_do() {
        for (document, message) in [
            (json!([]), "filter is an array"),
            (json!(null), "filter is null"),
            (json!({ "target": "n8n" }), "unknown filter key \"target\""),
            (json!({ "limit": 0 }), "filter key \"limit\" is 0"),
            (json!({ "limit": -3 }), "filter key \"limit\" is -3"),
            (json!({ "limit": 1.5 }), "filter key \"limit\" is 1.5"),
            (json!({ "limit": 1e9 }), "filter key \"limit\" is 1000000000.0"),
            (json!({ "limit": "10" }), "filter key \"limit\" is \"10\""),
            (
                json!({ "rate_per_second": 0 }),
                "filter key \"rate_per_second\" is 0",
            ),
            (
                json!({ "rate_per_second": -1 }),
                "filter key \"rate_per_second\" is -1",
            ),
            (
                json!({ "company_id": "acme" }),
                "filter key \"company_id\" is \"acme\"",
            ),
            (json!({ "company_id": null }), "filter key \"company_id\" is null"),
            (json!({ "ids": [] }), "filter key \"ids\" has 0 elements"),
            (json!({ "ids": [7] }), "filter key \"ids\" is 7"),
            (json!({ "ids": ID }), &format!("filter key \"ids\" is \"{ID}\"")),
            (json!({ "error_type": "timeot" }), "unknown error type \"timeot\""),
            (json!({ "event_type": "" }), "filter key \"event_type\" is \"\""),
        ] {
            let problem = Filter::parse(&document).unwrap_err();
            assert_eq!(problem.message, message);
            assert!(problem.detail.is_some() && problem.hint.is_some(), "{problem:?}");
        }
        let hint = |document| Filter::parse(&document).unwrap_err().hint.unwrap();
        assert_eq!(
            hint(json!({ "target": "n8n" })),
            "Did you mean \"target_system\"?"
        );
        assert_eq!(hint(json!({ "compnay_id": ID })), "Did you mean \"company_id\"?");
        assert_eq!(
            hint(json!({ "error_type": "timeot" })),
            "Did you mean \"timeout\"?"
        );
    }

    #[test]
    fn ids_are_read_in_their_usual_forms_alone() {
        assert!(id(&ID.replace('-', "")).is_some());
        for wrong in [
            "",
            "0191d7a0",
            "0191d7a0-0000-7000-8000-00000000abCX",
            "0191d7a00-000-7000-8000-00000000abCD",
        ] {
            assert_eq!(id(wrong), None, "{wrong}");
        }
        let mut source = Source::new(5);
        for _ in 0..5_000 {
            let _ = id(&source.mutated(ID));
        }
    }
}
