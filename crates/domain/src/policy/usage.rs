//! What a call says it uses: `{"tokens": 1200, "api_calls": 1, "cost_usd": 0.03, "model": "gpt-4o"}`.
//!
//! Strict, as the documents are: a misspelt `token` would be a call that costs nothing.

use serde_json::Value;

use super::MicroUsd;
use super::limits::Asked;
use crate::jsonb::{Member, members};
use crate::nearest::nearest;
use crate::problem::Problem;
use crate::shown::{kind_of, quoted};

const KEYS: [&str; 4] = ["tokens", "api_calls", "cost_usd", "model"];
/// In bytes, as names of models elsewhere.
const MODEL_LIMIT: usize = 255;

/// What a call uses, as its caller says. What is not given is None, or 0.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens, in and out; None where the caller does not say.
    pub tokens: Option<u64>,
    /// Calls of models and of other services that cost money.
    pub api_calls: u64,
    /// Money; None where the caller does not know.
    pub cost: Option<MicroUsd>,
    /// The model the tokens are of.
    pub model: Option<String>,
}

impl Usage {
    /// Reads a usage; `{}` is one that uses nothing.
    ///
    /// # Errors
    /// Anything but an object of `tokens`, `api_calls` (whole numbers from 0), `cost_usd` (dollars from 0 with at most six
    /// decimals) and `model` (a text); null is the same as leaving a key out.
    pub fn read(value: &Value) -> Result<Self, Problem> {
        let Value::Object(members) = value else {
            return Err(Problem::new(format!("usage is {}", kind_of(value)))
                .detail("Expected an object of tokens, api_calls, cost_usd and model.")
                .hint("Pass for example '{\"tokens\": 1200, \"cost_usd\": 0.03}', or '{}'."));
        };
        let mut usage = Self::default();
        for (key, value) in members {
            match key.as_str() {
                _ if !KEYS.contains(&key.as_str()) => return Err(unknown(key)),
                _ if value.is_null() => {}
                "tokens" => usage.tokens = Some(whole(key, value)?),
                "api_calls" => usage.api_calls = whole(key, value)?,
                "cost_usd" => usage.cost = Some(money(value)?),
                _ => usage.model = Some(model(value)?),
            }
        }
        Ok(usage)
    }

    /// Reads the root of a jsonb that says nothing unusual; None for one that [`Usage::read`] must look at, which also says
    /// what is wrong with it. Their answers are the same.
    #[must_use]
    pub fn read_plain(root: &[u8]) -> Option<Self> {
        let mut usage = Self::default();
        for (key, value) in members(root)? {
            match (key, value) {
                (b"tokens", Member::Number(number)) => usage.tokens = Some(number.whole()?),
                (b"api_calls", Member::Number(number)) => usage.api_calls = number.whole()?,
                (b"cost_usd", Member::Number(number)) => {
                    usage.cost = Some(MicroUsd::from_micros(number.micros()?));
                }
                _ => return None,
            }
        }
        Some(usage)
    }

    /// What is asked of the cost guardrails. A call that uses nothing costs nothing; the price of one that uses something and
    /// does not say what it costs is not known, which no budget can be held against. Budgets of a day take nothing but what was
    /// said.
    #[must_use]
    pub fn asked(&self) -> Asked {
        let tokens = self.tokens.unwrap_or(0);
        let is_free = tokens == 0 && self.api_calls == 0;
        Asked {
            tokens,
            api_calls: self.api_calls,
            cost: self.cost.or(is_free.then_some(MicroUsd::default())),
            said_cost: self.cost,
            said_tokens: self.tokens,
        }
    }
}

fn unknown(key: &str) -> Problem {
    let hint = nearest(key, &KEYS).map_or_else(
        || format!("Leave {} out.", quoted(key)),
        |name| format!("Did you mean \"{name}\"?"),
    );
    Problem::new(format!("usage has the unknown key {}", quoted(key)))
        .detail("The keys of usage are tokens, api_calls, cost_usd and model.")
        .hint(hint)
}

fn whole(key: &str, value: &Value) -> Result<u64, Problem> {
    value
        .as_u64()
        .ok_or_else(|| wrong(key, value, "a whole number from 0"))
}

fn money(value: &Value) -> Result<MicroUsd, Problem> {
    // Rust writes a float without an exponent, in as many digits as are read back as the same number.
    let text = match value.as_u64() {
        Some(whole) => Some(whole.to_string()),
        None => value.as_f64().map(|number| number.to_string()),
    };
    text.and_then(|text| MicroUsd::parse(&text)).ok_or_else(|| {
        wrong(
            "cost_usd",
            value,
            "a number of dollars from 0 with at most six decimals",
        )
    })
}

fn model(value: &Value) -> Result<String, Problem> {
    let fits = |text: &&str| !text.is_empty() && text.len() <= MODEL_LIMIT;
    value
        .as_str()
        .filter(fits)
        .map(str::to_owned)
        .ok_or_else(|| wrong("model", value, "the name of a model in 1 to 255 bytes"))
}

fn wrong(key: &str, value: &Value, expected: &str) -> Problem {
    let shown = match value {
        Value::Number(number) => number.to_string(),
        other => kind_of(other).to_owned(),
    };
    Problem::new(format!("{key} of usage is {shown}"))
        .detail(format!("Expected {expected}."))
        .hint(format!("Correct {key}, or leave it out."))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use serde_json::json;

    use super::*;
    use crate::jsonb::Object;

    #[test]
    fn what_is_given_is_read_and_null_is_not_given() {
        assert_eq!(Usage::read(&json!({})), Ok(Usage::default()));
        let whole = json!({"tokens": 1200, "api_calls": 2, "cost_usd": 0.03, "model": "m"});
        let usage = Usage::read(&whole).unwrap();
        assert_eq!((usage.tokens, usage.api_calls), (Some(1200), 2));
        assert_eq!(usage.cost, Some(MicroUsd::from_micros(30_000)));
        assert_eq!(usage.model.as_deref(), Some("m"));
        let nulls = json!({"tokens": null, "api_calls": null, "cost_usd": null, "model": null});
        assert_eq!(Usage::read(&nulls), Ok(Usage::default()));
        let whole_dollars = Usage::read(&json!({"cost_usd": 3.0})).unwrap();
        assert_eq!(whole_dollars.cost, Some(MicroUsd::from_micros(3_000_000)));
    }

    #[test]
    fn a_price_that_is_not_known_is_not_nothing() {
        let cost = |usage| Usage::read(&usage).unwrap().asked().cost.map(MicroUsd::micros);
        assert_eq!(cost(json!({})), Some(0));
        assert_eq!(cost(json!({"model": "m", "tokens": 0})), Some(0));
        assert_eq!(cost(json!({"tokens": 1})), None);
        assert_eq!(cost(json!({"api_calls": 1})), None);
        assert_eq!(cost(json!({"tokens": 1, "cost_usd": 0.000_001})), Some(1));
    }

    #[test]
    fn the_quick_way_reads_the_same() {
        let mut object = Object::default();
        assert_eq!(
            Usage::read_plain(&Object::default().finish().unwrap()),
            Some(Usage::default())
        );
        object.number("tokens", 1200);
        object.number("cost_usd", 3);
        object.number("api_calls", 2);
        let whole = json!({"tokens": 1200, "api_calls": 2, "cost_usd": 3});
        assert_eq!(
            Usage::read_plain(&object.finish().unwrap()),
            Usage::read(&whole).ok()
        );
        for key in ["token", "model"] {
            let mut object = Object::default();
            object.number(key, 1);
            assert_eq!(Usage::read_plain(&object.finish().unwrap()), None);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (usage, message, hint) in [
            (json!([]), "usage is an array", "Pass for example"),
            (
                json!({"token": 1}),
                "usage has the unknown key \"token\"",
                "Did you mean \"tokens\"?",
            ),
            (
                json!({"zebra": null}),
                "usage has the unknown key \"zebra\"",
                "Leave \"zebra\" out.",
            ),
            (json!({"tokens": -1}), "tokens of usage is -1", "Correct tokens"),
            (json!({"tokens": 1.5}), "tokens of usage is 1.5", "Correct tokens"),
            (
                json!({"api_calls": "1"}),
                "api_calls of usage is a string",
                "Correct api_calls",
            ),
            (
                json!({"cost_usd": -0.1}),
                "cost_usd of usage is -0.1",
                "Correct cost_usd",
            ),
            (
                json!({"cost_usd": 1e-9}),
                "cost_usd of usage is 1e-9",
                "Correct cost_usd",
            ),
            (
                json!({"cost_usd": "1"}),
                "cost_usd of usage is a string",
                "Correct cost_usd",
            ),
            (
                json!({"model": ""}),
                "model of usage is a string",
                "Correct model",
            ),
            (json!({"model": 4}), "model of usage is 4", "Correct model"),
        ] {
            let problem = Usage::read(&usage).unwrap_err();
            assert_eq!(problem.message, message, "{usage}");
            assert!(
                problem.hint.as_deref().is_some_and(|told| told.starts_with(hint)),
                "{problem:?}"
            );
            assert!(problem.detail.is_some());
        }
    }
}
