//! Reads one YAML document into a tree that knows the place of each of its nodes.
//!
//! It takes less than YAML offers: no anchors and aliases, since a few lines of them can stand for gigabytes; no tags, no
//! merge keys, no second document, and a key once. Whatever it refuses, it refuses by its line.
//!
//! Time and memory are in proportion to the size of the document. The scanner holds back the tokens of a flow collection
//! until it is closed, and a value of one letter is a node: a document of 1 MB written to be costly takes up to 175 MB while
//! it is read (measured), one of policies a few times its size.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError, StrInput};

use super::core_schema::{Kind, kind_of_plain};
use crate::problem::Problem;
use crate::shown::{one_line, quoted};

#[cfg(test)]
mod tests;

/// In bytes. A policy of 50 rules has about 2 kB.
const SIZE_LIMIT: usize = 1_000_000;
/// Collections inside one another. A policy document has five.
const DEPTH_LIMIT: usize = 16;
/// How much of a key or of the parser's own words is repeated.
const SHOWN_LIMIT: usize = 64;

/// A value and where it begins.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// Counted from 1; columns are characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

#[derive(Debug)]
pub(super) enum Value {
    Scalar(Scalar),
    List(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// Text, and whether it was written without quotes: only then it may stand for something else.
#[derive(Debug)]
pub(super) struct Scalar {
    pub(super) text: String,
    is_plain: bool,
}

/// A key of a mapping with its value; each key is there once.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) place: Place,
    pub(super) value: Node,
}

impl Scalar {
    pub(super) fn kind(&self) -> Kind {
        if self.is_plain {
            kind_of_plain(&self.text)
        } else {
            Kind::Text
        }
    }
}

impl Node {
    /// What it is, in words that follow "is".
    pub(super) fn shown(&self) -> String {
        match &self.value {
            Value::List(_) => "a list".to_owned(),
            Value::Mapping(_) => "a mapping".to_owned(),
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Null => "empty".to_owned(),
                Kind::Boolean | Kind::Number => one_line(&scalar.text, SHOWN_LIMIT),
                Kind::Text => format!("the text {}", quoted(&scalar.text)),
            },
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.kind() == Kind::Null)
    }
}

/// Names in a path, on one line and none of them too long.
pub(super) fn join(path: &str, key: &str) -> String {
    let key = one_line(key, SHOWN_LIMIT);
    if path.is_empty() {
        key
    } else {
        format!("{path}.{key}")
    }
}

/// Reads the only document of the text.
///
/// # Errors
/// A text that is too long or no YAML, what is refused above, and nesting deeper than 16; each names its line.
pub(super) fn read(text: &str) -> Result<Node, Problem> {
    if text.len() > SIZE_LIMIT {
        return Err(Problem::new(format!("the document is {} bytes long", text.len()))
            .detail(format!(
                "A policy document has at most {SIZE_LIMIT} bytes (1 MB)."
            ))
            .hint("Load the policies of some agents at a time: each agent's is a version of its own."));
    }
    check_characters(text)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    Reader {
        events: Parser::new_from_str(text),
        path: Vec::new(),
    }
    .document()
}

/// The parser takes a NUL for the end of the text: what follows would be ignored in silence.
fn check_characters(text: &str) -> Result<(), Problem> {
    let Some(at) = text.find(|letter| !is_printable(letter)) else {
        return Ok(());
    };
    let (before, from) = text.split_at(at);
    let line = before.matches('\n').count() + 1;
    let code = from.chars().next().map_or(0, u32::from);
    Err(Problem::new(format!(
        "the document has the character U+{code:04X} (line {line})"
    ))
    .detail("YAML is made of printable characters, tabs and line breaks.")
    .hint("Write it as an escape such as \"\\u0007\" in double quotes, or leave it out."))
}

/// YAML 1.2.2, section 5.1, `c-printable`.
fn is_printable(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}')
        || letter >= '\u{10000}'
}

struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    /// The keys that lead to the mapping that is being read.
    path: Vec<String>,
}

impl<'a> Reader<'a> {
    fn document(mut self) -> Result<Node, Problem> {
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => {
                    return Err(Problem::new("the document is empty")
                        .detail("Expected a mapping with the key \"agent_policies\"."));
                }
                (Event::DocumentStart(_), _) => break,
                _ => {}
            }
        }
        let (event, place) = self.next()?;
        let node = self.node(event, place, 0)?;
        loop {
            match self.next()? {
                (Event::StreamEnd, _) => return Ok(node),
                (Event::DocumentStart(_), place) => {
                    return Err(refused(place, "a second document begins")
                        .detail("One document is loaded at a time, as a whole or not at all.")
                        .hint("Remove the line with \"---\", or load the documents one by one."));
                }
                _ => {}
            }
        }
    }

    fn next(&mut self) -> Result<(Event<'a>, Place), Problem> {
        match self.events.next_event() {
            Some(Ok((event, span))) => Ok((event, place_of(span.start))),
            Some(Err(error)) => Err(not_yaml(&error)),
            None => Err(Problem::new("the document ends too early")),
        }
    }

    fn node(&mut self, event: Event<'a>, place: Place, depth: usize) -> Result<Node, Problem> {
        let (anchor, tag) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor != 0, tag.is_some()),
            Event::Alias(_) => (true, false),
            _ => (false, false),
        };
        if anchor || tag {
            return Err(self.refused_property(place, anchor));
        }
        let value = match event {
            Event::Scalar(text, style, ..) => Value::Scalar(Scalar {
                text: text.into_owned(),
                is_plain: style == ScalarStyle::Plain,
            }),
            Event::SequenceStart(..) => self.list(place, depth + 1)?,
            Event::MappingStart(..) => self.mapping(place, depth + 1)?,
            _ => return Err(refused(place, "a value is missing")),
        };
        Ok(Node { place, value })
    }

    fn list(&mut self, place: Place, depth: usize) -> Result<Value, Problem> {
        check_depth(place, depth)?;
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::List(items)),
                (event, place) => items.push(self.node(event, place, depth)?),
            }
        }
    }

    fn mapping(&mut self, place: Place, depth: usize) -> Result<Value, Problem> {
        check_depth(place, depth)?;
        let mut entries = Vec::new();
        let mut lines = BTreeMap::new();
        loop {
            let (event, place) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(Value::Mapping(entries));
            }
            let key = self.key(event, place)?;
            if let Some(first) = lines.insert(key.clone(), place.line) {
                return Err(self.duplicate(&key, place, first));
            }
            let (event, value_place) = self.next()?;
            self.path.push(key);
            let mut value = self.node(event, value_place, depth)?;
            let key = self.path.pop().unwrap_or_default();
            if value.is_null() {
                // What is not there is reported by the parser at whatever comes next.
                value.place = place;
            }
            entries.push(Entry { key, place, value });
        }
    }

    fn key(&self, event: Event<'a>, place: Place) -> Result<String, Problem> {
        let node = match event {
            Event::SequenceStart(0, None) => return Err(self.wrong_key(place, "a list")),
            Event::MappingStart(0, None) => return Err(self.wrong_key(place, "a mapping")),
            Event::Scalar(text, style, 0, None) => Scalar {
                text: text.into_owned(),
                is_plain: style == ScalarStyle::Plain,
            },
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _) => {
                return Err(self.refused_property(place, anchor != 0));
            }
            _ => return Err(self.refused_property(place, true)),
        };
        match node.kind() {
            Kind::Text if node.text == "<<" && node.is_plain => Err(refused(
                place,
                &format!("{} has a merge key \"<<\"", self.shown_path()),
            )
            .detail("Merge keys belong to anchors, which are not read.")
            .hint("Write the values out.")),
            Kind::Text => Ok(node.text),
            Kind::Null => Err(self.wrong_key(place, "empty")),
            Kind::Boolean | Kind::Number => Err(self.wrong_key(place, &one_line(&node.text, SHOWN_LIMIT))),
        }
    }

    fn path_text(&self) -> String {
        self.path.iter().fold(String::new(), |path, key| join(&path, key))
    }

    fn shown_path(&self) -> String {
        if self.path.is_empty() {
            "the document".to_owned()
        } else {
            self.path_text()
        }
    }

    fn duplicate(&self, key: &str, place: Place, first: usize) -> Problem {
        refused(place, &format!("{} is given twice", join(&self.path_text(), key)))
            .detail(format!(
                "It is given on line {first} already; a key is given once."
            ))
            .hint("Remove one of the two.")
    }

    fn wrong_key(&self, place: Place, what: &str) -> Problem {
        refused(place, &format!("a key of {} is {what}", self.shown_path()))
            .detail("A key is text.")
            .hint("Put a key that looks like a number or a boolean in quotes.")
    }

    fn refused_property(&self, place: Place, is_anchor: bool) -> Problem {
        let (what, why) = if is_anchor {
            (
                "an anchor or an alias",
                "A few lines of anchors (\"&\") and aliases (\"*\") can stand for gigabytes; they are not read.",
            )
        } else {
            (
                "a tag",
                "What a value is follows from its key; tags (\"!\") are not read.",
            )
        };
        refused(place, &format!("{} has {what}", self.shown_path()))
            .detail(why)
            .hint("Write the values out. Text that begins with \"&\", \"*\" or \"!\" needs quotes.")
    }
}

fn check_depth(place: Place, depth: usize) -> Result<(), Problem> {
    if depth <= DEPTH_LIMIT {
        return Ok(());
    }
    Err(
        refused(place, "the document is nested too deeply").detail(format!(
            "At most {DEPTH_LIMIT} lists and mappings inside one another are read."
        )),
    )
}

fn place_of(marker: Marker) -> Place {
    Place {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

fn refused(place: Place, message: &str) -> Problem {
    Problem::new(format!("{message} (line {})", place.line))
}

fn not_yaml(error: &ScanError) -> Problem {
    let Place { line, column } = place_of(*error.marker());
    Problem::new(format!("the document is not YAML (line {line}, column {column})"))
        .detail(format!(
            "The parser says: {}.",
            one_line(error.info(), 2 * SHOWN_LIMIT)
        ))
        .hint("Look for indentation, unclosed quotes and brackets on this line and the one before.")
}
