//! Reading a mode: its name, or an object with its name and its option.

use serde_json::{Map, Value};

use super::collect::at;
use super::document::{check_keys, wrong_type};
use super::{KEEP_LIMIT, REPLACEMENT_LIMIT};
use crate::nearest::unknown_name;
use crate::problem::Problem;
use crate::redact::mode::{KEEP_LAST, Mode, Scalar};

const NAMES: &[&str] = &["replace", "remove", "hmac", "partial"];
const KEYS: &[&str] = &["mode", "with", "keep_last"];
/// What may stand beside the name, each for one mode.
pub(super) const OPTIONS: &[&str] = &["with", "keep_last"];

pub(super) fn read(place: &str, value: &Value) -> Result<Mode, Problem> {
    match value {
        Value::String(name) => named(place, name, &Map::new()),
        Value::Object(object) => {
            check_keys(object, &format!("{place}."), KEYS)?;
            let inner = format!("{place}.mode");
            match object.get("mode") {
                Some(Value::String(name)) => named(place, name, object),
                Some(other) => Err(wrong_type(&inner, other, "the name of a mode")),
                None => Err(
                    Problem::new(format!("\"{inner}\" of the redaction rules is missing"))
                        .detail(format!("Valid values are {}.", NAMES.join(", ")))
                        .hint("A mode with an option is written {\"mode\": \"partial\", \"keep_last\": 4}."),
                ),
            }
        }
        other => Err(wrong_type(
            place,
            other,
            "the name of a mode, or an object that has it in \"mode\"",
        )),
    }
}

fn named(place: &str, name: &str, options: &Map<String, Value>) -> Result<Mode, Problem> {
    let (mode, option) = match name {
        "replace" => (replace(place, options)?, Some("with")),
        "remove" => (Mode::Remove, None),
        "hmac" => (Mode::Hmac, None),
        "partial" => (partial(place, options)?, Some("keep_last")),
        _ => return Err(at(place, unknown_name("redaction mode", name, NAMES))),
    };
    let has_no_use = |other: &&&str| Some(**other) != option && options.contains_key(**other);
    match OPTIONS.iter().find(has_no_use) {
        None => Ok(mode),
        Some(other) => {
            let message =
                format!("\"{place}.{other}\" of the redaction rules has no use with the mode \"{name}\"");
            Err(Problem::new(message)
                .detail("\"with\" is for the mode replace, \"keep_last\" for the mode partial.")
                .hint("Leave it out."))
        }
    }
}

fn replace(place: &str, options: &Map<String, Value>) -> Result<Mode, Problem> {
    let place = format!("{place}.with");
    let replacement = match options.get("with") {
        None => return Ok(Mode::default()),
        Some(Value::Null) => Scalar::Null,
        Some(Value::Bool(value)) => Scalar::Bool(*value),
        Some(Value::Number(number)) => Scalar::Number(number.to_string()),
        Some(Value::String(text)) if text.len() <= REPLACEMENT_LIMIT => Scalar::Text(text.clone()),
        Some(Value::String(text)) => {
            let message = format!("\"{place}\" of the redaction rules is {} bytes long", text.len());
            return Err(Problem::new(message).detail(format!("Expected at most {REPLACEMENT_LIMIT} bytes.")));
        }
        Some(other @ (Value::Array(_) | Value::Object(_))) => {
            return Err(wrong_type(
                &place,
                other,
                "a string, a number, true, false or null",
            ));
        }
    };
    Ok(Mode::Replace(replacement))
}

fn partial(place: &str, options: &Map<String, Value>) -> Result<Mode, Problem> {
    let place = format!("{place}.keep_last");
    let expected = format!("a whole number from 0 to {KEEP_LIMIT}");
    let number = match options.get("keep_last") {
        None => return Ok(Mode::Partial { keep_last: KEEP_LAST }),
        Some(Value::Number(number)) => number,
        Some(other) => return Err(wrong_type(&place, other, &expected)),
    };
    // 4.0 is a whole number, as it is in JSON Schema.
    let kept = number
        .as_f64()
        .and_then(|wanted| (0..=KEEP_LIMIT).find(|kept| f64::from(*kept) == wanted));
    match kept {
        Some(keep_last) => Ok(Mode::Partial { keep_last }),
        None => Err(
            Problem::new(format!("\"{place}\" of the redaction rules is {number}"))
                .detail(format!("Expected {expected}.")),
        ),
    }
}
