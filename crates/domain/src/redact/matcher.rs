//! The rules compiled for a walker: it tells which member or element it enters, and learns what to do there.
//!
//! Made for walkers of any representation, a tree as well as the bytes of jsonb: nothing is allocated on the way, and a
//! state is a small value to be kept while the walker is inside a container.
//!
//! All paths are followed at once. Their segments lie in one row of bits, path after path; a state has the bits of
//! the segments that the next key or index may match. Entering a child finds the bits it matches; those move on by
//! one, to the next segment of their path, and those behind a `..` stay as well (the Shift-And method of Baeza-Yates
//! and Gonnet, 1992, where a row of letters is searched in the same way). Fields need no state: they match at any
//! depth.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;

use super::mode::Mode;
use super::path::{Path, Selector};
use super::rules::{Rule, Rules, Target};

mod bits;
mod fields;
#[cfg(test)]
mod tests;

use bits::Bits;
use fields::Fields;

/// A place in [`Matcher::modes`]: the less the stricter.
type Rank = usize;

/// Compiled rules.
#[derive(Debug, Clone)]
pub struct Matcher {
    /// The modes of all rules, the strictest first; among equals in the order of the rules.
    modes: Vec<Mode>,
    fields: Fields,
    /// The first segments of all paths.
    first: Bits,
    /// The last ones.
    last: Bits,
    /// Those behind a `..`.
    descendant: Bits,
    wildcards: Bits,
    /// All that have a name.
    names: Bits,
    by_name: HashMap<Box<str>, Bits, FxBuildHasher>,
    by_index: HashMap<i64, Bits, FxBuildHasher>,
    /// The rank of the path that each segment belongs to.
    ranks: Vec<Rank>,
}

/// Where a walker is, as far as paths are concerned: inside some object or array.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State(Bits);

impl State {
    /// Whether no path leads on from here: then this state is the one of everything below as well, and elements of
    /// arrays need not be entered one by one to learn that nothing is done with them.
    #[inline]
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a walker learns when it enters a child.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// The state inside the child, if it is an object or array that is walked into.
    pub state: State,
    /// What is done with the child. If there is something, the child goes as a whole.
    pub action: Option<&'a Mode>,
}

impl Matcher {
    /// Compiles the rules. Kinds are no business of a matcher: they are found by value.
    #[must_use]
    pub fn new(rules: &Rules) -> Self {
        let mut order: Vec<&Rule> = rules.all().iter().collect();
        // A stable sort keeps the order of equals.
        order.sort_by_key(|rule| rule.mode.laxity());
        let mut fields = Vec::new();
        let mut paths = Vec::new();
        for (rank, rule) in order.iter().enumerate() {
            match &rule.target {
                Target::Field(name) => fields.push((name.as_str(), rank)),
                Target::Path(path) => paths.push((path, rank)),
            }
        }
        let mut matcher = Self {
            modes: order.iter().map(|rule| rule.mode.clone()).collect(),
            fields: Fields::new(&fields),
            first: Bits::NONE,
            last: Bits::NONE,
            descendant: Bits::NONE,
            wildcards: Bits::NONE,
            names: Bits::NONE,
            by_name: HashMap::default(),
            by_index: HashMap::default(),
            ranks: Vec::new(),
        };
        for (path, rank) in paths {
            matcher.add(path, rank);
        }
        matcher
    }

    fn add(&mut self, path: &Path, rank: Rank) {
        let begin = self.ranks.len();
        self.first.set(begin);
        for segment in path.segments() {
            let place = self.ranks.len();
            self.ranks.push(rank);
            if segment.descendant {
                self.descendant.set(place);
            }
            match &segment.selector {
                Selector::Name(name) => {
                    self.names.set(place);
                    self.by_name
                        .entry(name.as_str().into())
                        .or_insert(Bits::NONE)
                        .set(place);
                }
                Selector::Index(index) => self.by_index.entry(*index).or_insert(Bits::NONE).set(place),
                Selector::Wildcard => self.wildcards.set(place),
            }
        }
        // A path has at least one segment.
        self.last.set(self.ranks.len().saturating_sub(1));
    }

    /// The state of a walker inside the document itself.
    #[must_use]
    pub fn root(&self) -> State {
        State(self.first)
    }

    /// Whether nothing below a child in this state can be redacted, so that it can be copied unread.
    #[inline]
    #[must_use]
    pub fn is_blind(&self, state: &State) -> bool {
        self.fields.is_empty() && state.is_spent()
    }

    /// Whether a key may be a field, by a look at its bytes in the server's encoding. Where no path leads on, a member of
    /// which this says no need not be entered: nothing is done with it, and the state inside is the same.
    #[inline]
    #[must_use]
    pub fn may_be_field(&self, key: &[u8]) -> bool {
        self.fields.may_be(key)
    }

    /// The rule of a key that is a field, where no path leads on; [`Matcher::rule`] tells what it does.
    #[must_use]
    pub fn field(&self, key: &str) -> Option<usize> {
        self.fields.rank(key)
    }

    /// What a rule does that [`Matcher::field`] named.
    #[inline]
    #[must_use]
    pub fn rule(&self, rule: usize) -> Option<&Mode> {
        self.modes.get(rule)
    }

    /// Enters the member of an object with this key.
    #[inline]
    #[must_use]
    pub fn enter_member(&self, state: &State, key: &str) -> Step<'_> {
        let by_field = self.fields.rank(key);
        if state.is_spent() {
            return self.step(*state, by_field);
        }
        let waiting = state.0;
        let mut selected = waiting & self.wildcards;
        if !(waiting & self.names).is_empty()
            && let Some(named) = self.by_name.get(key)
        {
            selected = selected | (waiting & *named);
        }
        let (state, by_path) = self.advance(waiting, selected);
        self.step(state, strictest(by_field, by_path))
    }

    /// Enters the element of an array at this index, counted from 0; `length` is the number of elements.
    #[inline]
    #[must_use]
    pub fn enter_element(&self, state: &State, index: usize, length: usize) -> Step<'_> {
        if state.is_spent() {
            return self.step(*state, None);
        }
        let waiting = state.0;
        let mut selected = waiting & self.wildcards;
        if !self.by_index.is_empty() {
            let from_begin = i64::try_from(index).ok();
            let from_end = length
                .checked_sub(index)
                .and_then(|distance| i64::try_from(distance).ok());
            for wanted in [from_begin, from_end.map(|distance| -distance)]
                .into_iter()
                .flatten()
            {
                if let Some(indexed) = self.by_index.get(&wanted) {
                    selected = selected | (waiting & *indexed);
                }
            }
        }
        let (state, by_path) = self.advance(waiting, selected);
        self.step(state, by_path)
    }

    /// The state behind a child that these segments select, and the strictest path that ends there.
    fn advance(&self, waiting: Bits, selected: Bits) -> (State, Option<Rank>) {
        let ended = selected & self.last;
        let rank = ended
            .places()
            .filter_map(|place| self.ranks.get(place).copied())
            .min();
        let state = (selected & !self.last).moved_on() | (waiting & self.descendant);
        (State(state), rank)
    }

    fn step(&self, state: State, rank: Option<Rank>) -> Step<'_> {
        Step {
            state,
            action: rank.and_then(|rank| self.modes.get(rank)),
        }
    }
}

fn strictest(one: Option<Rank>, other: Option<Rank>) -> Option<Rank> {
    [one, other].into_iter().flatten().min()
}
