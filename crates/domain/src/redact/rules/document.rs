//! Reading a rules document.

use serde_json::{Map, Value};

use super::collect::{Collected, at, too_many};
use super::{KIND_LIMIT, Rules, modes};
use crate::nearest::nearest;
use crate::problem::Problem;
use crate::redact::mode::Mode;
use crate::shown::{kind_of, quoted};

const KEYS: &[&str] = &["fields", "paths", "kinds", "mode", "rules"];
const RULE_KEYS: &[&str] = &["field", "path", "mode"];

type CheckKind<'a> = &'a dyn Fn(&str) -> Result<(), Problem>;

pub(super) fn parse(document: &Value, check_kind: CheckKind<'_>) -> Result<Rules, Problem> {
    let Value::Object(object) = document else {
        return Err(
            Problem::new(format!("the redaction rules are {}", kind_of(document)))
                .detail("Expected a JSON object such as {\"fields\": [\"phone\"], \"mode\": \"replace\"}."),
        );
    };
    check_keys(object, "", KEYS)?;
    let mode = mode_of(object, "mode", &Mode::default())?;
    let mut collected = Collected::default();
    for (place, value) in list(object, "fields")? {
        collected.field(&place, text(&place, value)?, mode.clone())?;
    }
    for (place, value) in list(object, "paths")? {
        collected.path(&place, text(&place, value)?, mode.clone())?;
    }
    for (place, value) in list(object, "rules")? {
        rule(&place, value, &mode, &mut collected)?;
    }
    let kinds = kinds(object, check_kind)?;
    Ok(Rules {
        rules: collected.into_rules(),
        kinds,
        mode,
    })
}

fn rule(place: &str, value: &Value, default: &Mode, collected: &mut Collected) -> Result<(), Problem> {
    let Value::Object(object) = value else {
        return Err(wrong_type(
            place,
            value,
            "an object such as {\"field\": \"phone\", \"mode\": \"remove\"}",
        ));
    };
    check_keys(object, &format!("{place}."), RULE_KEYS)?;
    let mode = mode_of(object, &format!("{place}.mode"), default)?;
    match (object.get("field"), object.get("path")) {
        (Some(field), None) => {
            let place = format!("{place}.field");
            collected.field(&place, text(&place, field)?, mode)
        }
        (None, Some(path)) => {
            let place = format!("{place}.path");
            collected.path(&place, text(&place, path)?, mode)
        }
        (field, _) => {
            let found = if field.is_some() {
                "a field and a path"
            } else {
                "no place"
            };
            Err(
                Problem::new(format!("\"{place}\" of the redaction rules names {found}"))
                    .detail("A rule has either \"field\" or \"path\", and may have \"mode\".")
                    .hint("Write one rule for each."),
            )
        }
    }
}

fn mode_of(object: &Map<String, Value>, place: &str, default: &Mode) -> Result<Mode, Problem> {
    match object.get("mode") {
        Some(value) => modes::read(place, value),
        None => Ok(default.clone()),
    }
}

fn kinds(object: &Map<String, Value>, check_kind: CheckKind<'_>) -> Result<Vec<String>, Problem> {
    let mut kinds: Vec<String> = Vec::new();
    for (place, value) in list(object, "kinds")? {
        if kinds.len() == KIND_LIMIT {
            return Err(too_many("kinds", KIND_LIMIT));
        }
        let kind = text(&place, value)?;
        check_kind(kind).map_err(|problem| at(&place, problem))?;
        if kinds.iter().any(|known| known == kind) {
            let message = format!(
                "\"{place}\" of the redaction rules is there already: {}",
                quoted(kind)
            );
            return Err(Problem::new(message)
                .detail("Each kind is named once.")
                .hint("Leave one of them out."));
        }
        kinds.push(kind.to_owned());
    }
    Ok(kinds)
}

/// The elements of a list that may be missing, each with its place, such as `fields[0]`.
fn list<'a>(
    object: &'a Map<String, Value>,
    name: &'static str,
) -> Result<impl Iterator<Item = (String, &'a Value)>, Problem> {
    let values: &[Value] = match object.get(name) {
        None => &[],
        Some(Value::Array(values)) => values.as_slice(),
        Some(other) => return Err(wrong_type(name, other, "a list")),
    };
    let placed = values.iter().enumerate();
    Ok(placed.map(move |(place, value)| (format!("{name}[{place}]"), value)))
}

fn text<'a>(place: &str, value: &'a Value) -> Result<&'a str, Problem> {
    value.as_str().ok_or_else(|| wrong_type(place, value, "a string"))
}

/// Refuses the first key that is not among the valid ones. Its value is not repeated: nobody knows what it is.
pub(super) fn check_keys(object: &Map<String, Value>, prefix: &str, valid: &[&str]) -> Result<(), Problem> {
    let Some(wrong) = object.keys().find(|key| !valid.contains(&key.as_str())) else {
        return Ok(());
    };
    let message = format!(
        "unknown key {} in the redaction rules",
        quoted(&format!("{prefix}{wrong}"))
    );
    let problem = Problem::new(message).detail(format!("Known keys are {}.", valid.join(", ")));
    Err(match nearest(wrong, valid) {
        Some(name) => problem.hint(format!("Did you mean \"{prefix}{name}\"?")),
        None if modes::OPTIONS.contains(&wrong.as_str()) => problem
            .hint("Write it beside the mode's name: {\"mode\": \"partial\", \"keep_last\": 4} is one mode."),
        None => problem,
    })
}

/// The value is not repeated: a document that is taken for rules by mistake may be one to be redacted.
pub(super) fn wrong_type(place: &str, value: &Value, expected: &str) -> Problem {
    Problem::new(format!(
        "\"{place}\" of the redaction rules is {}",
        kind_of(value)
    ))
    .detail(format!("Expected {expected}."))
}
