//! What a target is not to be told: fields and paths that are redacted in every payload that leaves for it.

use serde_json::Value;

use super::fields::{self, Fields};
use crate::problem::Problem;
use crate::redact::rules::Rules;

/// The option `redact_fields`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redaction {
    /// As it was given.
    pub fields: Vec<String>,
    /// What that means.
    pub rules: Rules,
}

/// Reads `redact_fields`: an array of fields, and of paths, which begin with `$`. An empty one is none.
pub(super) fn read(fields: &Fields<'_>) -> Result<Option<Redaction>, Problem> {
    let Some(value) = fields.get("redact_fields") else {
        return Ok(None);
    };
    let wrong = || {
        fields::wrong_type("redact_fields", value, "an array of strings")
            .hint("For example [\"customer_name\", \"$.stops[*].contact.phone\"].")
    };
    let Value::Array(items) = value else {
        return Err(wrong());
    };
    let names = items.iter().map(|item| item.as_str().map(str::to_owned));
    let fields = names.collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    if fields.is_empty() {
        return Ok(None);
    }
    let rules = Rules::from_places(&fields)?;
    Ok(Some(Redaction { fields, rules }))
}
