//! Redaction by the definitions: slow, plain, and without [`super::matcher`]. What a fast walker is held to.
//!
//! Each rule by itself says which places of the whole document it names; the strictest mode of each place is kept;
//! then the document is written anew.

use std::collections::{BTreeMap, BTreeSet};

use super::by_value::ByValue;
use super::json_text;
use super::key::canonical;
use super::mode::{Found, Mode, Put, Scalar};
use super::path::{Path, Segment};
use super::rules::{Rules, Target};
use super::token::Keys;
use crate::problem::{Kind, Problem};

#[cfg(test)]
mod tests;

/// A JSON value. Numbers are kept as they are written (as jsonb prints them, if tokens are to be those of jsonb), so
/// that 1e400, 0.10 and integers of 30 digits survive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Json {
    /// null
    Null,
    /// true or false
    Bool(bool),
    /// A number as it is written.
    Number(String),
    /// A string, without quotes and escapes.
    String(String),
    /// An array.
    Array(Vec<Json>),
    /// An object; no key comes twice.
    Object(Vec<(String, Json)>),
}

/// A step from a container to what it holds.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Child {
    Member(String),
    Element(usize),
}

/// A place in a document: the steps that lead to it.
type Place = Vec<Child>;

impl Json {
    /// The value as jsonb prints it, members in jsonb's order.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) {
        match self {
            Self::Null => text.push_str("null"),
            Self::Bool(true) => text.push_str("true"),
            Self::Bool(false) => text.push_str("false"),
            Self::Number(number) => text.push_str(number),
            Self::String(string) => json_text::push_string(string, text),
            Self::Array(elements) => {
                text.push('[');
                for (place, element) in elements.iter().enumerate() {
                    text.push_str(if place == 0 { "" } else { ", " });
                    element.write(text);
                }
                text.push(']');
            }
            Self::Object(members) => {
                let mut ordered: Vec<&(String, Self)> = members.iter().collect();
                ordered.sort_by(|(one, _), (other, _)| json_text::key_order(one, other));
                text.push('{');
                for (place, (key, value)) in ordered.into_iter().enumerate() {
                    text.push_str(if place == 0 { "" } else { ", " });
                    json_text::push_string(key, text);
                    text.push_str(": ");
                    value.write(text);
                }
                text.push('}');
            }
        }
    }

    /// What it holds, each with the step that leads there.
    fn children(&self) -> Vec<(Child, &Self)> {
        match self {
            Self::Null | Self::Bool(_) | Self::Number(_) | Self::String(_) => Vec::new(),
            Self::Array(elements) => (0..).map(Child::Element).zip(elements).collect(),
            Self::Object(members) => members
                .iter()
                .map(|(key, value)| (Child::Member(key.clone()), value))
                .collect(),
        }
    }
}

impl From<&Scalar> for Json {
    fn from(scalar: &Scalar) -> Self {
        match scalar {
            Scalar::Null => Self::Null,
            Scalar::Bool(value) => Self::Bool(*value),
            Scalar::Number(number) => Self::Number(number.clone()),
            Scalar::Text(text) => Self::String(text.clone()),
        }
    }
}

/// The document with every place that a rule names redacted, and elsewhere what is of the rules' kinds.
///
/// `depth_limit` is how many containers may be inside each other. The stack grows with the depth of the document up
/// to it: the caller knows how much there is.
///
/// # Errors
/// The document is nested deeper, or the rules make tokens and there is no key (also when this document needs none), or
/// they name a kind that is none.
pub fn redact(document: &Json, rules: &Rules, keys: &Keys, depth_limit: usize) -> Result<Json, Problem> {
    if is_deeper(document, depth_limit) {
        return Err(too_deep(depth_limit));
    }
    if rules.needs_key() {
        keys.for_tokens()?;
    }
    let mut modes: BTreeMap<Place, &Mode> = BTreeMap::new();
    for rule in rules.all() {
        for place in places(&rule.target, document) {
            let strictest = modes.entry(place).or_insert(&rule.mode);
            if rule.mode.is_stricter_than(strictest) {
                *strictest = &rule.mode;
            }
        }
    }
    let by_value = ByValue::new(rules)?;
    let how = How {
        modes,
        by_value: by_value.as_ref(),
        keys,
    };
    let written = write(document, &mut Vec::new(), &how)?;
    // No rule names the document itself, so it is not taken out.
    Ok(written.unwrap_or(Json::Null))
}

/// What is done where.
struct How<'a> {
    /// The strictest mode of each place that a rule names.
    modes: BTreeMap<Place, &'a Mode>,
    by_value: Option<&'a ByValue>,
    keys: &'a Keys,
}

/// A document is refused rather than passed on with its depths unread.
///
/// For every walker, so that all say the same.
#[must_use]
pub fn too_deep(depth_limit: usize) -> Problem {
    let message = format!("the document to be redacted is nested deeper than {depth_limit} levels");
    Problem::of(Kind::TooMuch, message)
    .detail(
        "Objects and arrays inside each other are counted; what is nested deeper is refused, never passed on \
             unread.",
    )
    .hint("Make it flatter, or redact its parts before they are put together.")
}

fn is_deeper(value: &Json, limit: usize) -> bool {
    match value {
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
        Json::Array(_) | Json::Object(_) => match limit.checked_sub(1) {
            None => true,
            Some(rest) => value.children().iter().any(|(_, child)| is_deeper(child, rest)),
        },
    }
}

fn places(target: &Target, document: &Json) -> BTreeSet<Place> {
    match target {
        Target::Field(name) => everything_below(document, &[])
            .into_keys()
            .filter(|place| matches!(place.last(), Some(Child::Member(key)) if canonical(key) == *name))
            .collect(),
        Target::Path(path) => selected(path, document),
    }
}

/// RFC 9535, section 2.1.2: each segment is applied to all nodes that the one before it has selected.
fn selected(path: &Path, document: &Json) -> BTreeSet<Place> {
    let mut nodes: BTreeMap<Place, &Json> = BTreeMap::from([(Vec::new(), document)]);
    for segment in path.segments() {
        let mut next = BTreeMap::new();
        for (place, node) in nodes {
            next.extend(children_selected(segment, node, &place));
            if segment.descendant {
                for (below, node) in everything_below(node, &place) {
                    next.extend(children_selected(segment, node, &below));
                }
            }
        }
        nodes = next;
    }
    nodes.into_keys().collect()
}

fn children_selected<'a>(segment: &Segment, node: &'a Json, place: &[Child]) -> Vec<(Place, &'a Json)> {
    let children = node.children();
    let length = children.len();
    children
        .into_iter()
        .filter(|(child, _)| match child {
            Child::Member(key) => segment.selector.selects_member(key),
            Child::Element(index) => segment.selector.selects_element(*index, length),
        })
        .map(|(child, value)| (with(place, child), value))
        .collect()
}

/// All places inside the node, at any depth, with what is there.
fn everything_below<'a>(node: &'a Json, place: &[Child]) -> BTreeMap<Place, &'a Json> {
    let mut all = BTreeMap::new();
    for (child, value) in node.children() {
        let place = with(place, child);
        all.extend(everything_below(value, &place));
        all.insert(place, value);
    }
    all
}

fn with(place: &[Child], child: Child) -> Place {
    let mut longer = place.to_vec();
    longer.push(child);
    longer
}

/// The value at this place, redacted; None if it is taken out.
fn write(value: &Json, place: &mut Place, how: &How<'_>) -> Result<Option<Json>, Problem> {
    if let Some(mode) = how.modes.get(place.as_slice()) {
        return put(mode, value, how.keys);
    }
    if let Some(by_value) = how.by_value {
        let put = match value {
            Json::String(text) => by_value.text(nearest_key(place), text, how.keys)?,
            Json::Number(number) => by_value.number(nearest_key(place), number, how.keys)?,
            _ => Put::Unchanged,
        };
        if put != Put::Unchanged {
            // What is found by value is not taken out of an object.
            return Ok(Some(given(put, value).unwrap_or(Json::Null)));
        }
    }
    let mut written = Vec::new();
    for (child, value) in value.children() {
        place.push(child.clone());
        written.push((child, write(value, place, how)?));
        place.pop();
    }
    Ok(Some(match value {
        Json::Object(_) => Json::Object(written.into_iter().filter_map(member).collect()),
        Json::Array(_) => array(written.into_iter().map(|(_, element)| element).collect()),
        scalar => scalar.clone(),
    }))
}

/// The key of the last member on the way to a place.
fn nearest_key(place: &[Child]) -> &str {
    let keys = place.iter().rev().filter_map(|child| match child {
        Child::Member(key) => Some(key.as_str()),
        Child::Element(_) => None,
    });
    keys.into_iter().next().unwrap_or_default()
}

fn member((child, value): (Child, Option<Json>)) -> Option<(String, Json)> {
    match (child, value) {
        (Child::Member(key), Some(value)) => Some((key, value)),
        _ => None,
    }
}

/// An element that is taken out leaves null, unless all are.
fn array(elements: Vec<Option<Json>>) -> Json {
    if elements.iter().all(Option::is_none) {
        return Json::Array(Vec::new());
    }
    Json::Array(
        elements
            .into_iter()
            .map(|element| element.unwrap_or(Json::Null))
            .collect(),
    )
}

/// What is put in the place of a value; `None` where it is removed.
pub(super) fn put(mode: &Mode, value: &Json, keys: &Keys) -> Result<Option<Json>, Problem> {
    let text = || value.to_text();
    let found = match value {
        Json::Null => Found::Null,
        Json::Bool(value) => Found::Bool(*value),
        Json::Number(number) => Found::Number(number),
        Json::String(text) => Found::Text(text),
        Json::Array(_) | Json::Object(_) => Found::Container(&text),
    };
    Ok(given(mode.put(found, keys)?, value))
}

fn given(put: Put<'_>, value: &Json) -> Option<Json> {
    match put {
        Put::Removed => None,
        Put::Unchanged => Some(value.clone()),
        Put::Given(replacement) => Some(Json::from(replacement)),
        Put::Text(text) => Some(Json::String(text.into_owned())),
    }
}
