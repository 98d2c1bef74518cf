//! Reading typed values out of an object of options, with errors that name the option by its path.

use serde_json::{Map, Value};

use crate::nearest::{nearest, unknown_name};
use crate::problem::Problem;
use crate::shown::{kind_of, quoted};

/// An object of options; `prefix` is what its names begin with in messages, such as "retry.".
pub(super) struct Fields<'a> {
    object: &'a Map<String, Value>,
    prefix: &'static str,
}

impl<'a> Fields<'a> {
    pub(super) fn new(object: &'a Map<String, Value>, prefix: &'static str) -> Self {
        Self { object, prefix }
    }

    pub(super) fn get(&self, name: &str) -> Option<&'a Value> {
        self.object.get(name)
    }

    fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Refuses the first name that is not among the valid ones.
    pub(super) fn check_names(&self, valid: &[&str]) -> Result<(), Problem> {
        match self.object.keys().find(|name| !valid.contains(&name.as_str())) {
            Some(wrong) => Err(self.unknown(wrong, valid)),
            None => Ok(()),
        }
    }

    /// The problem of a name that is not among the valid ones. Its value is not repeated: under a misspelt name there
    /// may be a secret.
    pub(super) fn unknown(&self, wrong: &str, valid: &[&str]) -> Problem {
        let known: Vec<String> = valid.iter().map(|name| self.path(name)).collect();
        let problem = Problem::new(format!("unknown option {}", quoted(&self.path(wrong))))
            .detail(format!("Known options are {}.", known.join(", ")));
        match nearest(wrong, valid) {
            Some(name) => problem.hint(format!("Did you mean \"{}\"?", self.path(name))),
            None => problem,
        }
    }

    /// A string whose value must not be repeated, whatever it is.
    pub(super) fn secret_text(&self, name: &str) -> Result<Option<&'a str>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => {
                let message = format!("option \"{}\" is {}", self.path(name), kind_of(other));
                Err(Problem::new(message).detail("Expected a string."))
            }
        }
    }

    /// A string that names something, of 1 to `limit` bytes.
    pub(super) fn name(&self, name: &str, limit: usize) -> Result<Option<&'a str>, Problem> {
        let path = self.path(name);
        let expected = format!("a string of 1 to {limit} bytes");
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if (1..=limit).contains(&text.len()) => Ok(Some(text)),
            Some(Value::String(text)) => Err(Problem::new(format!(
                "option \"{path}\" is {} bytes long",
                text.len()
            ))
            .detail(format!("Expected {expected}."))
            .hint(if text.is_empty() {
                "Give it a name, or leave the option out to get its default."
            } else {
                "Shorten it, or leave the option out to get its default."
            })),
            Some(other) => Err(wrong_type(&path, other, &expected)),
        }
    }

    /// One of a fixed set of values, by its name.
    pub(super) fn one_of<T: Copy>(
        &self,
        name: &str,
        all: &[T],
        name_of: fn(T) -> &'static str,
    ) -> Result<Option<T>, Problem> {
        let path = self.path(name);
        let names: Vec<&str> = all.iter().map(|known| name_of(*known)).collect();
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => match all.iter().find(|known| name_of(**known) == text) {
                Some(known) => Ok(Some(*known)),
                None => Err(unknown_name(
                    &format!("value of option \"{path}\":"),
                    text,
                    &names,
                )),
            },
            Some(other) => {
                Err(wrong_type(&path, other, "a string")
                    .hint(format!("Valid values are {}.", names.join(", "))))
            }
        }
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Problem> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(other) => Err(wrong_type(&self.path(name), other, "true or false")),
        }
    }

    /// A whole number within its range, both ends included. 15.0 is a whole number, as it is in JSON Schema.
    pub(super) fn integer(&self, name: &str, low: u64, high: u64) -> Result<Option<u64>, Problem> {
        let expected = format!("a whole number from {low} to {high}");
        let Some(value) = self.number_value(name, &expected)? else {
            return Ok(None);
        };
        // Every limit is far below 2^53, so a float represents whatever passes exactly.
        if value.fract() != 0.0 || value < low as f64 || value > high as f64 {
            return Err(self.out_of_range(name, &expected));
        }
        Ok(Some(value as u64))
    }

    /// A number within its range, both ends included.
    pub(super) fn number(&self, name: &str, low: f64, high: f64) -> Result<Option<f64>, Problem> {
        let expected = format!("a number from {low} to {high}");
        match self.number_value(name, &expected)? {
            Some(value) if !(low..=high).contains(&value) => Err(self.out_of_range(name, &expected)),
            value => Ok(value),
        }
    }

    fn number_value(&self, name: &str, expected: &str) -> Result<Option<f64>, Problem> {
        let path = self.path(name);
        match self.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => match number.as_f64() {
                Some(value) => Ok(Some(value)),
                None => Err(self.out_of_range(name, expected)),
            },
            Some(text @ Value::String(_)) => {
                Err(wrong_type(&path, text, expected).hint("Write the number without quotes."))
            }
            Some(other) => Err(wrong_type(&path, other, expected)),
        }
    }

    fn out_of_range(&self, name: &str, expected: &str) -> Problem {
        let value = self.get(name).map(ToString::to_string).unwrap_or_default();
        Problem::new(format!("option \"{}\" is {value}", self.path(name)))
            .detail(format!("Expected {expected}."))
    }
}

/// A value of the wrong JSON type, for options whose values are no secrets.
pub(super) fn wrong_type(path: &str, value: &Value, expected: &str) -> Problem {
    let shown = match value {
        Value::String(text) => format!("the string {}", quoted(text)),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Array(_) | Value::Object(_) => kind_of(value).to_owned(),
    };
    let problem =
        Problem::new(format!("option \"{path}\" is {shown}")).detail(format!("Expected {expected}."));
    match value {
        Value::Null => problem.hint("Leave the option out to get its default."),
        _ => problem,
    }
}
