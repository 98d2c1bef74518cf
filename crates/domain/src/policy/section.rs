//! Reading typed values out of a mapping of a policy document, with errors that name the value by its path and line.

use std::collections::BTreeMap;

use super::MicroUsd;
use super::core_schema::{Kind, is_decimal, whole_number};
use super::yaml::{Entry, Node, Value, join};
use crate::nearest::{nearest, unknown_name};
use crate::problem::Problem;

/// A mapping and the path that leads to it.
pub(super) struct Section<'a> {
    pub(super) path: String,
    entries: &'a [Entry],
}

/// A whole number with both ends included, and what it counts.
pub(super) struct Range {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) unit: &'static str,
}

/// An element of a list of text.
pub(super) struct Item<'a> {
    pub(super) path: String,
    pub(super) line: usize,
    pub(super) text: &'a str,
}

impl<'a> Section<'a> {
    /// The whole document.
    pub(super) fn root(node: &'a Node) -> Result<Self, Problem> {
        match &node.value {
            Value::Mapping(entries) => Ok(Self {
                path: String::new(),
                entries,
            }),
            _ => Err(Problem::new(format!(
                "the document is {} (line {})",
                node.shown(),
                node.place.line
            ))
            .detail("Expected a mapping with the key \"agent_policies\".")
            .hint("Begin with \"agent_policies:\" and put the agents below it, indented.")),
        }
    }

    /// The mapping that a key of this one has as its value.
    pub(super) fn below(&self, entry: &'a Entry, expected: &str) -> Result<Self, Problem> {
        let path = join(&self.path, &entry.key);
        match &entry.value.value {
            Value::Mapping(entries) => Ok(Self { path, entries }),
            _ => Err(wrong_value(&path, &entry.value, expected)),
        }
    }

    /// As [`Section::below`], by name.
    pub(super) fn section(&self, key: &str, expected: &str) -> Result<Option<Self>, Problem> {
        self.get(key).map(|entry| self.below(entry, expected)).transpose()
    }

    pub(super) fn entries(&self) -> &'a [Entry] {
        self.entries
    }

    /// Refuses the first key that is not among the valid ones. `elsewhere` knows the section that a key belongs to.
    pub(super) fn check_keys(
        &self,
        valid: &[&str],
        elsewhere: impl Fn(&str) -> Option<&'static str>,
    ) -> Result<(), Problem> {
        let Some(wrong) = self
            .entries
            .iter()
            .find(|entry| !valid.contains(&entry.key.as_str()))
        else {
            return Ok(());
        };
        let place = match self.path.as_str() {
            "" => "Known keys",
            _ => "Known keys here",
        };
        let problem = Problem::new(format!(
            "unknown key {} (line {})",
            join(&self.path, &wrong.key),
            wrong.place.line
        ))
        .detail(format!("{place} are {}.", valid.join(", ")));
        Err(match (elsewhere(&wrong.key), nearest(&wrong.key, valid)) {
            (Some(home), _) => problem.hint(format!("\"{}\" belongs {home}.", wrong.key)),
            (None, Some(name)) => problem.hint(format!("Did you mean \"{name}\"?")),
            (None, None) => problem.hint("Remove it: a key that is not known is never ignored."),
        })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// A whole number in plain digits.
    pub(super) fn whole(&self, key: &str, range: &Range) -> Result<Option<u64>, Problem> {
        let Range { low, high, unit } = range;
        let expected = format!("a whole number from {low} to {high} ({unit})");
        self.number(key, &expected, |text| {
            whole_number(text).filter(|number| (low..=high).contains(&number))
        })
    }

    /// A share: above 0, at most 1.
    pub(super) fn ratio(&self, key: &str) -> Result<Option<f64>, Problem> {
        self.number(
            key,
            "a number above 0 and at most 1, such as 0.05 for 5%",
            |text| {
                let ratio = is_decimal(text).then(|| text.parse::<f64>().ok()).flatten();
                ratio.filter(|ratio| *ratio > 0.0 && *ratio <= 1.0)
            },
        )
    }

    /// A text that `check` accepts.
    pub(super) fn name(
        &self,
        key: &str,
        expected: &str,
        check: fn(&str) -> Result<(), Problem>,
    ) -> Result<Option<String>, Problem> {
        let Some(entry) = self.get(key) else {
            return Ok(None);
        };
        let path = join(&self.path, key);
        let text = text_of(&entry.value).ok_or_else(|| wrong_value(&path, &entry.value, expected))?;
        let item = Item {
            path,
            text,
            line: entry.value.place.line,
        };
        check(text).map_err(|problem| item.wrong(problem))?;
        Ok(Some(text.to_owned()))
    }

    /// US dollars with at most six decimals.
    pub(super) fn money(&self, key: &str, most: MicroUsd) -> Result<Option<MicroUsd>, Problem> {
        let expected = format!("US dollars from 0 to {most} with at most 6 decimals, such as 12.50");
        self.number(key, &expected, |text| {
            MicroUsd::parse(text).filter(|amount| *amount <= most)
        })
    }

    fn number<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Problem> {
        let Some(entry) = self.get(key) else {
            return Ok(None);
        };
        let problem = || wrong_value(&join(&self.path, key), &entry.value, expected);
        let Value::Scalar(scalar) = &entry.value.value else {
            return Err(problem());
        };
        match scalar.kind() {
            Kind::Number => read(&scalar.text).map(Some).ok_or_else(problem),
            Kind::Text if read(&scalar.text).is_some() => {
                Err(problem().hint("Write the number without quotes."))
            }
            Kind::Null | Kind::Boolean | Kind::Text => Err(problem()),
        }
    }

    /// One of a fixed set of values, by its name.
    pub(super) fn one_of<T: Copy>(
        &self,
        key: &str,
        all: &[T],
        name_of: fn(T) -> &'static str,
    ) -> Result<Option<T>, Problem> {
        let Some(entry) = self.get(key) else {
            return Ok(None);
        };
        let path = join(&self.path, key);
        let names: Vec<&str> = all.iter().map(|known| name_of(*known)).collect();
        let Some(text) = text_of(&entry.value) else {
            return Err(wrong_value(
                &path,
                &entry.value,
                &format!("one of {}", names.join(", ")),
            ));
        };
        let known = all.iter().find(|known| name_of(**known) == text);
        known.copied().map(Some).ok_or_else(|| {
            let line = entry.value.place.line;
            let problem = unknown_name("value", text, &names);
            Problem {
                message: format!("{path} is {} (line {line})", entry.value.shown()),
                ..problem
            }
        })
    }

    /// A list of text in which nothing is there twice.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<Item<'a>>>, Problem> {
        let Some(entry) = self.get(key) else {
            return Ok(None);
        };
        let path = join(&self.path, key);
        let Value::List(nodes) = &entry.value.value else {
            return Err(wrong_value(&path, &entry.value, "a list of text")
                .hint("Write \"[]\" for an empty list, or leave the key out."));
        };
        let mut lines = BTreeMap::new();
        let mut items = Vec::with_capacity(nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            let path = format!("{path}[{place}]");
            let line = node.place.line;
            let Some(text) = text_of(node) else {
                return Err(wrong_value(&path, node, "text")
                    .hint("Put text that looks like a number or a boolean in quotes."));
            };
            if let Some(first) = lines.insert(text, line) {
                return Err(
                    Problem::new(format!("{path} is {} a second time (line {line})", node.shown()))
                        .detail(format!("It is in the list on line {first} already."))
                        .hint("Remove one of the two."),
                );
            }
            items.push(Item { path, line, text });
        }
        Ok(Some(items))
    }
}

fn text_of(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(scalar) if scalar.kind() == Kind::Text => Some(&scalar.text),
        Value::Scalar(_) | Value::List(_) | Value::Mapping(_) => None,
    }
}

/// A value of the wrong type or out of its range.
fn wrong_value(path: &str, node: &Node, expected: &str) -> Problem {
    let shown = node.shown();
    let problem = Problem::new(format!("{path} is {shown} (line {})", node.place.line))
        .detail(format!("Expected {expected}."));
    if node.is_null() {
        problem.hint("Leave the key out where nothing is to be said.")
    } else {
        problem
    }
}

impl Item<'_> {
    /// What is wrong with the text, with where it is.
    pub(super) fn wrong(&self, problem: Problem) -> Problem {
        Problem {
            message: format!("{}: {} (line {})", self.path, problem.message, self.line),
            ..problem
        }
    }
}
