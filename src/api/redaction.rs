//! Redaction and detection: `tms_redact`, `tms_redact_rules`, `tms_redact_text`, `tms_detect_pii`.

use std::cell::Cell;

use pgrx::pg_sys;
use tms_domain::pii::{Kind, Kinds};
use tms_domain::redact::by_value::ByValue;
use tms_domain::redact::jsonb::{Redactor, check_size, detect::detect as detect_in};
use tms_domain::redact::mode::Put;
use tms_domain::redact::rules::Rules;
use tms_domain::redact::token::Keys;

use super::redaction_rules;
use crate::errors::{self, Result};
use crate::pg::call::Arguments;
use crate::pg::plain::{self, Plain};
use crate::pg::redaction::Server;
use crate::pg::set::AnswerSet;
use crate::pg::{array, jsonb};

mod compiled;

use compiled::Source;

/// The most that rules may take, in the server's own form: more than all limits of the domain together.
const RULES_LIMIT: usize = 1024 * 1024;
/// What a backend keeps for the next document; a larger one gives its memory back.
const KEPT: usize = 1024 * 1024;

thread_local! {
    /// Where documents are written, before the answer is allocated in its size.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// `tms_redact(data, fields)`: the document with every member of these fields replaced; NULL for NULL.
pub(crate) fn by_fields(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    const NAME: &str = "tms_redact";
    let Some(document) = document(arguments)? else {
        return Ok(None);
    };
    let fields = rules(arguments, NAME, "fields")?;
    compiled::with(
        Source::Fields,
        fields.bytes(),
        || compile_fields(NAME, &fields),
        |redactor| redacted(redactor, document),
    )
    .map(Some)
}

/// `tms_redact_rules(data, rules)`: the document redacted by a document of rules; NULL for NULL.
pub(crate) fn by_rules(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    const NAME: &str = "tms_redact_rules";
    let Some(document) = document(arguments)? else {
        return Ok(None);
    };
    let rules = rules(arguments, NAME, "rules")?;
    compiled::with(
        Source::Rules,
        rules.bytes(),
        || compile_rules(&rules),
        |redactor| redacted(redactor, document),
    )
    .map(Some)
}

/// `tms_redact_text(value, kinds)`: the text with personal data of these kinds, by default of all, replaced; NULL for NULL.
pub(crate) fn text(arguments: &Arguments) -> Result<Option<pg_sys::Datum>> {
    const NAME: &str = "tms_redact_text";
    let Some(value) = Plain::of(arguments, 0, check)? else {
        return Ok(None);
    };
    let kinds = match rules_or_null(arguments, 1, "kinds")? {
        None => Kinds::all(),
        Some(names) => kinds(NAME, &names)?,
    };
    let text = array::text_of(value.datum());
    let rules = ByValue::replacing(kinds);
    let put = rules.text("", &text, &Keys::none()).map_err(errors::problem)?;
    Ok(Some(match put {
        Put::Text(text) => array::text(&text),
        // Nothing was found: the default mode gives texts.
        Put::Unchanged | Put::Removed | Put::Given(_) => value.into_answer(),
    }))
}

/// `tms_detect_pii(data)`: the path and kind of personal data that is found by value; no row for NULL.
pub(crate) fn detect(arguments: &Arguments, answer: &AnswerSet) -> Result<()> {
    let Some(document) = document(arguments)? else {
        return Ok(());
    };
    let mut tell = |path: &str, kind: Kind| answer.put_texts([path, kind.as_str()]);
    detect_in(document.bytes(), &Server, &mut tell).map_err(errors::problem)
}

fn redacted(redactor: &Redactor, document: Plain<'_>) -> Result<pg_sys::Datum> {
    let keys = if redactor.needs_key() {
        redaction_rules::keys_for_caller()?
    } else {
        Keys::none()
    };
    // An error leaves an empty scratch behind.
    let mut out = SCRATCH.take();
    let is_changed = redactor
        .redact(document.bytes(), &keys, &Server, &mut out)
        .map_err(errors::problem)?;
    let answer = if is_changed {
        plain::varlena(&out)
    } else {
        document.into_answer()
    };
    if out.capacity() <= KEPT {
        SCRATCH.set(out);
    }
    Ok(answer)
}

/// The first argument of all that take a document.
fn document(arguments: &Arguments) -> Result<Option<Plain<'_>>> {
    Plain::of(arguments, 0, check)
}

fn check(size: usize) -> Result<()> {
    check_size(size).map_err(errors::problem)
}

/// The second argument, where it must be there.
fn rules<'a>(arguments: &'a Arguments, function: &str, name: &str) -> Result<Plain<'a>> {
    rules_or_null(arguments, 1, name)?.ok_or_else(|| errors::null_argument(function, name))
}

fn rules_or_null<'a>(arguments: &'a Arguments, index: usize, name: &str) -> Result<Option<Plain<'a>>> {
    Plain::of(arguments, index, |size| {
        if size <= RULES_LIMIT {
            Ok(())
        } else {
            Err(errors::rules_too_large(name, size, RULES_LIMIT))
        }
    })
}

fn compile_fields(function: &str, fields: &Plain<'_>) -> Result<Redactor> {
    let fields = names(function, "fields", fields)?;
    Rules::from_fields(&fields)
        .and_then(|rules| Redactor::new(&rules))
        .map_err(errors::problem)
}

fn compile_rules(rules: &Plain<'_>) -> Result<Redactor> {
    let rules = jsonb::value(rules.datum()).ok_or_else(|| errors::unreadable("rules"))?;
    Rules::parse(&rules, &|name| Kind::parse(name).map(drop))
        .and_then(|rules| Redactor::new(&rules))
        .map_err(errors::problem)
}

fn kinds(function: &str, given: &Plain<'_>) -> Result<Kinds> {
    let names = names(function, "kinds", given)?;
    let kinds: std::result::Result<Kinds, _> = names.iter().map(|name| Kind::parse(name)).collect();
    kinds.map_err(errors::problem)
}

fn names(function: &str, argument: &str, given: &Plain<'_>) -> Result<Vec<String>> {
    let names = array::texts_of(given.datum());
    let names: Option<Vec<String>> = names.into_iter().collect();
    names.ok_or_else(|| errors::null_element(function, argument))
}
