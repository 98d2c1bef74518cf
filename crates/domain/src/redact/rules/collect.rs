//! Gathering rules one by one: within the limits, and no place twice.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::{FIELD_LIMIT, RULE_LIMIT, Rule, SEGMENTS_LIMIT, Target};
use crate::problem::Problem;
use crate::redact::key::canonical;
use crate::redact::mode::Mode;
use crate::redact::path::Path;
use crate::shown::quoted;

/// The rules so far. `place` is where in the document a rule stands, such as `fields[0]`.
#[derive(Default)]
pub(super) struct Collected {
    rules: Vec<Rule>,
    /// Where each target was named.
    places: HashMap<Target, String>,
    segments: usize,
}

impl Collected {
    pub(super) fn field(&mut self, place: &str, name: &str, mode: Mode) -> Result<(), Problem> {
        self.add(place, Target::Field(field(place, name)?), mode)
    }

    pub(super) fn path(&mut self, place: &str, text: &str, mode: Mode) -> Result<(), Problem> {
        let path = Path::parse(text).map_err(|problem| at(place, problem))?;
        self.segments += path.segments().len();
        if self.segments > SEGMENTS_LIMIT {
            let message = format!(
                "the paths up to \"{place}\" have {} segments together",
                self.segments
            );
            return Err(Problem::new(message)
                .detail(format!("At most {SEGMENTS_LIMIT} are allowed in one document of redaction rules."))
                .hint("Name fields, which are found at any depth, or use \"..\" and \"*\" for several paths at once."));
        }
        self.add(place, Target::Path(path), mode)
    }

    pub(super) fn into_rules(self) -> Vec<Rule> {
        self.rules
    }

    fn add(&mut self, place: &str, target: Target, mode: Mode) -> Result<(), Problem> {
        if self.rules.len() == RULE_LIMIT {
            return Err(too_many("rules", RULE_LIMIT));
        }
        match self.places.entry(target) {
            Entry::Occupied(first) => Err(repeated(place, first.get(), first.key())),
            Entry::Vacant(vacant) => {
                let target = vacant.key().clone();
                vacant.insert(place.to_owned());
                self.rules.push(Rule { target, mode });
                Ok(())
            }
        }
    }
}

/// The rules of a plain list of fields, in which a name may come again.
pub(super) fn fields(names: &[String]) -> Result<Vec<Rule>, Problem> {
    if names.len() > RULE_LIMIT {
        return Err(too_many("fields", RULE_LIMIT));
    }
    let mut rules: Vec<Rule> = Vec::with_capacity(names.len());
    let mut known = std::collections::HashSet::new();
    for (place, name) in names.iter().enumerate() {
        let field = field(&format!("fields[{}]", place + 1), name)?;
        if known.insert(field.clone()) {
            rules.push(Rule {
                target: Target::Field(field),
                mode: Mode::default(),
            });
        }
    }
    Ok(rules)
}

/// The rules of a list of fields and paths, in which a place may come again.
pub(super) fn places(names: &[String]) -> Result<Vec<Rule>, Problem> {
    let mut collected = Collected::default();
    for (place, name) in names.iter().enumerate() {
        let place = format!("redact_fields[{}]", place + 1);
        let target = if name.starts_with('$') {
            Target::Path(Path::parse(name).map_err(|problem| at(&place, problem))?)
        } else {
            Target::Field(field(&place, name)?)
        };
        if collected.places.contains_key(&target) {
            continue;
        }
        match target {
            Target::Path(_) => collected.path(&place, name, Mode::default())?,
            Target::Field(_) => collected.field(&place, name, Mode::default())?,
        }
    }
    Ok(collected.into_rules())
}

/// The canonical form of a field's name.
fn field(place: &str, name: &str) -> Result<String, Problem> {
    let expected =
        format!("A field is the key of a member, with 1 to {FIELD_LIMIT} bytes besides separators.");
    if name.len() > FIELD_LIMIT {
        let message = format!("\"{place}\" of the redaction rules is {} bytes long", name.len());
        return Err(Problem::new(message).detail(expected));
    }
    if name.starts_with("$.") || name.starts_with("$[") {
        // As a key it would match nothing, and whoever wrote it would not hear of it.
        let message = format!("\"{place}\" of the redaction rules is a path: {}", quoted(name));
        return Err(Problem::new(message).detail(expected).hint(
            "Put it under \"paths\" of tms_redact_rules; a key that begins so is named by a path, too.",
        ));
    }
    let field = canonical(name);
    if field.is_empty() {
        let message = format!(
            "\"{place}\" of the redaction rules names no key: {}",
            quoted(name)
        );
        return Err(Problem::new(message)
            .detail(expected)
            .hint("Use a path for such a key: $..['_']."));
    }
    if field.len() > FIELD_LIMIT {
        let message = format!(
            "\"{place}\" of the redaction rules is {} bytes long in its canonical form",
            field.len()
        );
        return Err(Problem::new(message).detail(expected));
    }
    Ok(field)
}

pub(super) fn too_many(what: &str, limit: usize) -> Problem {
    Problem::new(format!(
        "there are more than {limit} {what} in the redaction rules"
    ))
    .detail(format!("At most {limit} are allowed."))
    .hint("Paths with \"..\" and \"*\" name many places at once.")
}

/// Says where in the document the problem is.
pub(super) fn at(place: &str, mut problem: Problem) -> Problem {
    problem.message = format!("\"{place}\" of the redaction rules: {}", problem.message);
    problem
}

fn repeated(place: &str, first: &str, target: &Target) -> Problem {
    let problem = Problem::new(format!("\"{place}\" of the redaction rules repeats \"{first}\""))
        .hint("Leave one of them out.");
    match target {
        Target::Field(name) => problem.detail(format!(
            "Both name the key {}; case and separators do not count.",
            quoted(name)
        )),
        Target::Path(_) => problem.detail("Both are the same path; how names are quoted does not count."),
    }
}
