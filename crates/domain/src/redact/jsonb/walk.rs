//! The way through a document, redacting.
//!
//! Places come in the order of their bytes. Where something is replaced, the bytes before it are copied, and what changed
//! in length is corrected in the entries of the containers around it, which are copied by then. Only an object that
//! loses members is written anew, since that moves all of its entries.

use super::copy::Copy;
use super::layout::{Container, Entry, Kind, STRIDE, Shape, WORD, aligned, entry};
use super::{DEPTH_LIMIT, Host, Redactor, damaged};
use crate::problem::Problem;
use crate::redact::matcher::State;
use crate::redact::mode::{Found, Mode, Put, Scalar};
use crate::redact::reference::too_deep;
use crate::redact::token::Keys;

/// How many entries, or bytes of text that is searched, are between two breaths.
const BREATH: usize = 16 * 1024;
/// How many levels are between two breaths: each takes some of the stack, which is looked at then.
const LEVELS: usize = 32;

struct Walk<'a, H> {
    rules: &'a Redactor,
    document: &'a [u8],
    keys: &'a Keys,
    host: &'a H,
    copy: Copy<'a>,
    /// The work since the last breath.
    work: usize,
}

/// A value in the document.
#[derive(Clone, Copy)]
struct Value {
    entry: Entry,
    kind: Kind,
    /// Where its data begins and ends, with what is skipped to align it.
    begin: usize,
    end: usize,
}

/// What a walker knows inside a container.
#[derive(Clone, Copy)]
struct Inside<'s> {
    state: &'s State,
    /// How many containers are around what is in this one.
    depth: usize,
    /// The key of the nearest member.
    key: &'s str,
}

/// Where the copy of a container lies.
#[derive(Clone, Copy)]
struct Copied {
    /// How far the container was shifted.
    shift: usize,
    /// Where the entries of its values begin in the copy.
    entries: usize,
}

pub(super) fn redact<'a, H: Host>(
    rules: &'a Redactor,
    document: &'a [u8],
    keys: &'a Keys,
    host: &'a H,
    out: &'a mut Vec<u8>,
) -> Result<bool, Problem> {
    let root = rules.matcher.root();
    if rules.is_blind(&root) {
        out.clear();
        return Ok(false);
    }
    let mut walk = Walk {
        rules,
        document,
        keys,
        host,
        copy: Copy::new(document, out),
        work: 0,
    };
    let inside = Inside {
        state: &root,
        depth: 1,
        key: "",
    };
    walk.container(0, document.len(), inside)?;
    walk.copy.finish()
}

impl Redactor {
    /// Whether nothing below can be redacted.
    fn is_blind(&self, state: &State) -> bool {
        self.by_value.is_none() && self.matcher.is_blind(state)
    }
}

impl<'a, H: Host> Walk<'a, H> {
    fn container(&mut self, at: usize, end: usize, inside: Inside<'_>) -> Result<(), Problem> {
        let container = Container::read(self.document, at, end).ok_or_else(damaged)?;
        self.work(1 + container.count);
        if container.shape == Shape::Scalar {
            // The document itself is no place that a rule can name.
            return self.unnamed_elements(&container, inside);
        }
        if inside.depth > DEPTH_LIMIT {
            return Err(too_deep(DEPTH_LIMIT));
        }
        if inside.depth.is_multiple_of(LEVELS) {
            self.host.breathe();
        }
        match container.shape {
            Shape::Object if self.rules.may_remove => self.object_that_may_lose(&container, inside),
            Shape::Object => self.whole_object(&container, inside),
            _ if inside.state.is_spent() => self.unnamed_elements(&container, inside),
            _ => self.array(&container, inside),
        }
    }

    /// An object that loses no member.
    fn whole_object(&mut self, object: &Container<'a>, inside: Inside<'_>) -> Result<(), Problem> {
        if inside.state.is_spent() && self.rules.by_value.is_none() {
            self.object_of_fields(object, inside)
        } else {
            self.object(object, inside)
        }
    }

    fn object(&mut self, object: &Container<'a>, inside: Inside<'_>) -> Result<(), Problem> {
        let (document, host, matcher) = (self.document, self.host, &self.rules.matcher);
        let (keys, values) = object.keys_and_values();
        let copied = self.copied(object);
        let (mut key_at, mut value_at) = (object.data, object.values_at().ok_or_else(damaged)?);
        for (index, (key, value)) in keys.iter().zip(values).enumerate() {
            let key_end = object.end_of(entry(*key), key_at).ok_or_else(damaged)?;
            let value = read(object, *value, value_at).ok_or_else(damaged)?;
            let key = host.text(document.get(key_at..key_end).ok_or_else(damaged)?);
            let step = matcher.enter_member(inside.state, &key);
            (key_at, value_at) = (key_end, value.end);
            let of = Inside {
                state: &step.state,
                key: &key,
                ..inside
            };
            self.child(copied, index, value, step.action, of)?;
        }
        Ok(())
    }

    /// An object in which only fields are named: most of its keys are told by a look at their ends.
    fn object_of_fields(&mut self, object: &Container<'a>, inside: Inside<'_>) -> Result<(), Problem> {
        let (document, host, matcher) = (self.document, self.host, &self.rules.matcher);
        let (keys, values) = object.keys_and_values();
        let copied = self.copied(object);
        let (mut key_at, mut value_at) = (object.data, object.values_at().ok_or_else(damaged)?);
        for (index, (key, value)) in keys.iter().zip(values).enumerate() {
            let key_end = object.end_of(entry(*key), key_at).ok_or_else(damaged)?;
            let value = read(object, *value, value_at).ok_or_else(damaged)?;
            let key = document.get(key_at..key_end).ok_or_else(damaged)?;
            let action = if matcher.may_be_field(key) {
                let known = &self.rules.known;
                let rule = known.rule(key, || matcher.field(&host.text(key)));
                rule.and_then(|rule| matcher.rule(rule))
            } else {
                None
            };
            (key_at, value_at) = (key_end, value.end);
            self.child(copied, index, value, action, inside)?;
        }
        Ok(())
    }

    /// An array of which some element may be named.
    fn array(&mut self, array: &Container<'a>, inside: Inside<'_>) -> Result<(), Problem> {
        let matcher = &self.rules.matcher;
        let (_, values) = array.keys_and_values();
        if self.rules.may_remove && self.loses_all(array, inside) {
            self.copy.up_to(array.at)?;
            self.copy.write(&Shape::Array.header(0))?;
            self.copy.go_on_at(array.end);
            return Ok(());
        }
        let copied = self.copied(array);
        let mut at = array.data;
        for (index, value) in values.iter().enumerate() {
            let value = read(array, *value, at).ok_or_else(damaged)?;
            let step = matcher.enter_element(inside.state, index, array.count);
            at = value.end;
            let of = Inside {
                state: &step.state,
                ..inside
            };
            self.child(copied, index, value, step.action, of)?;
        }
        Ok(())
    }

    /// An array in which no rule names an element, though perhaps something inside of one.
    fn unnamed_elements(&mut self, array: &Container<'a>, inside: Inside<'_>) -> Result<(), Problem> {
        let (_, values) = array.keys_and_values();
        let copied = self.copied(array);
        let mut at = array.data;
        for (index, value) in values.iter().enumerate() {
            let value = read(array, *value, at).ok_or_else(damaged)?;
            at = value.end;
            self.child(copied, index, value, None, inside)?;
        }
        Ok(())
    }

    /// Whether every element is to be taken out.
    fn loses_all(&self, array: &Container<'a>, inside: Inside<'_>) -> bool {
        let matcher = &self.rules.matcher;
        array.count > 0
            && (0..array.count).all(|index| {
                matcher.enter_element(inside.state, index, array.count).action == Some(&Mode::Remove)
            })
    }

    fn object_that_may_lose(&mut self, object: &Container<'a>, inside: Inside<'_>) -> Result<(), Problem> {
        let (document, host, matcher) = (self.document, self.host, &self.rules.matcher);
        let mut lost = Vec::new();
        let mut at = object.data;
        let (keys, _) = object.keys_and_values();
        for (index, key) in keys.iter().enumerate() {
            let end = object.end_of(entry(*key), at).ok_or_else(damaged)?;
            let key = host.text(document.get(at..end).ok_or_else(damaged)?);
            if matcher.enter_member(inside.state, &key).action == Some(&Mode::Remove) {
                lost.push(index);
            }
            at = end;
        }
        if lost.is_empty() {
            self.whole_object(object, inside)
        } else {
            self.object_without(object, &lost, inside)
        }
    }

    /// Writes an object anew, without the members at these places.
    fn object_without(
        &mut self,
        object: &Container<'a>,
        lost: &[usize],
        inside: Inside<'_>,
    ) -> Result<(), Problem> {
        let (document, host, matcher) = (self.document, self.host, &self.rules.matcher);
        let count = object.count - lost.len();
        self.copy.up_to(object.at)?;
        self.copy.write(&Shape::Object.header(count))?;
        let entries = self.copy.len();
        self.copy.leave(count * 2 * WORD)?;
        let data = self.copy.len();
        let mut written = 0;
        let mut put_entry = |copy: &mut Copy<'_>, kind, begin| {
            let (length, end) = (copy.len() - begin, copy.len() - data);
            let made = match written % STRIDE {
                0 => Entry::with_end(kind, end),
                _ => Entry::with_length(kind, length),
            };
            copy.patch(entries + written * WORD, made.bytes());
            written += 1;
        };
        let (keys, values) = object.keys_and_values();
        let values_at = object.values_at().ok_or_else(damaged)?;
        let is_lost = lost_places(lost);
        let mut at = object.data;
        for (key, is_lost) in keys.iter().zip(is_lost) {
            let end = object.end_of(entry(*key), at).ok_or_else(damaged)?;
            if !is_lost {
                let begin = self.copy.len();
                self.copy.write(document.get(at..end).ok_or_else(damaged)?)?;
                put_entry(&mut self.copy, Kind::Text, begin);
            }
            at = end;
        }
        let (mut key_at, mut value_at) = (object.data, values_at);
        for ((key, value), is_lost) in keys.iter().zip(values).zip(lost_places(lost)) {
            let key_end = object.end_of(entry(*key), key_at).ok_or_else(damaged)?;
            let value = read(object, *value, value_at).ok_or_else(damaged)?;
            if !is_lost {
                let key = host.text(document.get(key_at..key_end).ok_or_else(damaged)?);
                let step = matcher.enter_member(inside.state, &key);
                let begin = self.copy.len();
                self.copy.go_on_at(value.begin);
                let of = Inside {
                    state: &step.state,
                    key: &key,
                    ..inside
                };
                let kind = self.value(value, step.action, of)?;
                self.copy.up_to(value.end)?;
                put_entry(&mut self.copy, kind, begin);
            }
            (key_at, value_at) = (key_end, value.end);
        }
        self.copy.go_on_at(object.end);
        Ok(())
    }

    /// Where the copy of a container will lie.
    #[inline]
    fn copied(&self, container: &Container<'a>) -> Copied {
        let (keys, _) = container.keys_and_values();
        let shift = self.copy.shift();
        Copied {
            shift,
            entries: (container.at + WORD + keys.len() * WORD).wrapping_add(shift),
        }
    }

    /// Redacts a value and corrects its entry. `of` is what is known inside of the value, but for the depth.
    #[inline]
    fn child(
        &mut self,
        copied: Copied,
        index: usize,
        value: Value,
        action: Option<&Mode>,
        of: Inside<'_>,
    ) -> Result<(), Problem> {
        let before = self.copy.shift();
        let is_left = action.is_none() && value.kind != Kind::Container && self.rules.by_value.is_none();
        if is_left && before == copied.shift {
            return Ok(());
        }
        let kind = self.value(value, action, of)?;
        let after = self.copy.shift();
        let entry = value.entry;
        let is_as_it_was = if entry.has_end() {
            after == copied.shift
        } else {
            after == before
        };
        if is_as_it_was && kind == value.kind {
            return Ok(());
        }
        let corrected = if entry.has_end() {
            let longer = after.wrapping_sub(copied.shift);
            Entry::with_end(kind, entry.length_or_end().wrapping_add(longer))
        } else {
            let longer = after.wrapping_sub(before);
            Entry::with_length(kind, entry.length_or_end().wrapping_add(longer))
        };
        self.copy.patch(copied.entries + index * WORD, corrected.bytes());
        Ok(())
    }

    /// Redacts a value; answers what it is then. What is before its end is copied, or its length is what it was.
    fn value(&mut self, value: Value, action: Option<&Mode>, of: Inside<'_>) -> Result<Kind, Problem> {
        match action {
            None if value.kind == Kind::Container => {
                self.keep_aligned(value)?;
                if !self.rules.is_blind(of.state) {
                    let depth = of.depth + 1;
                    self.container(aligned(value.begin), value.end, Inside { depth, ..of })?;
                }
                Ok(value.kind)
            }
            None if self.rules.by_value.is_some() => self.by_value(value, of),
            None => self.keep(value),
            Some(Mode::Replace(replacement)) => self.put_scalar(value, replacement),
            Some(mode) => self.by_mode(value, mode),
        }
    }

    fn by_mode(&mut self, value: Value, mode: &Mode) -> Result<Kind, Problem> {
        let (host, keys) = (self.host, self.keys);
        let data = self.data(value)?;
        let put = match value.kind {
            Kind::Null => mode.put(Found::Null, keys),
            Kind::False => mode.put(Found::Bool(false), keys),
            Kind::True => mode.put(Found::Bool(true), keys),
            Kind::Number => mode.put(Found::Number(&host.number_text(data)?), keys),
            Kind::Text => mode.put(Found::Text(&host.text(data)), keys),
            Kind::Container => mode.put(Found::Container(&|| host.container_text(data)), keys),
        }?;
        self.put(value, put)
    }

    /// A value that no rule names.
    fn by_value(&mut self, value: Value, inside: Inside<'_>) -> Result<Kind, Problem> {
        let (host, keys) = (self.host, self.keys);
        let Some(by_value) = &self.rules.by_value else {
            return self.keep(value);
        };
        let data = self.data(value)?;
        self.work(data.len());
        let put = match value.kind {
            Kind::Text => by_value.text(inside.key, &host.text(data), keys)?,
            Kind::Number => by_value.number(inside.key, &host.number_text(data)?, keys)?,
            _ => return self.keep(value),
        };
        self.put(value, put)
    }

    fn put(&mut self, value: Value, put: Put<'_>) -> Result<Kind, Problem> {
        match put {
            Put::Unchanged => self.keep(value),
            // Members that are taken out were left out before; an element leaves null.
            Put::Removed => self.put_scalar(value, &Scalar::Null),
            Put::Given(scalar) => self.put_scalar(value, scalar),
            Put::Text(text) => self.put_text(value, &text),
        }
    }

    fn put_scalar(&mut self, value: Value, scalar: &Scalar) -> Result<Kind, Problem> {
        let kind = match scalar {
            Scalar::Text(text) => return self.put_text(value, text),
            Scalar::Number(number) => {
                let number = self.host.number(number)?;
                self.copy.up_to(value.begin)?;
                self.copy.align()?;
                self.copy.write(&number)?;
                self.copy.go_on_at(value.end);
                return Ok(Kind::Number);
            }
            Scalar::Null => Kind::Null,
            Scalar::Bool(false) => Kind::False,
            Scalar::Bool(true) => Kind::True,
        };
        self.copy.up_to(value.begin)?;
        self.copy.go_on_at(value.end);
        Ok(kind)
    }

    #[inline]
    fn put_text(&mut self, value: Value, text: &str) -> Result<Kind, Problem> {
        self.copy.up_to(value.begin)?;
        self.copy.write(&self.host.encoded(text))?;
        self.copy.go_on_at(value.end);
        Ok(Kind::Text)
    }

    /// A value that stays as it is, though perhaps at another place.
    #[inline]
    fn keep(&mut self, value: Value) -> Result<Kind, Problem> {
        if value.kind.is_aligned() {
            self.keep_aligned(value)?;
        }
        Ok(value.kind)
    }

    #[inline]
    fn keep_aligned(&mut self, value: Value) -> Result<(), Problem> {
        if !self.copy.shift().is_multiple_of(WORD) {
            self.copy.up_to(value.begin)?;
            self.copy.align()?;
            self.copy.go_on_at(aligned(value.begin));
        }
        Ok(())
    }

    /// The data of a value, without what is skipped to align it.
    fn data(&self, value: Value) -> Result<&'a [u8], Problem> {
        let begin = if value.kind.is_aligned() {
            aligned(value.begin)
        } else {
            value.begin
        };
        self.document.get(begin..value.end).ok_or_else(damaged)
    }

    #[inline]
    fn work(&mut self, done: usize) {
        self.work += done;
        if self.work >= BREATH {
            self.work = 0;
            self.host.breathe();
        }
    }
}

#[inline]
fn read(container: &Container<'_>, bytes: [u8; WORD], begin: usize) -> Option<Value> {
    let entry = entry(bytes);
    Some(Value {
        entry,
        kind: entry.kind()?,
        begin,
        end: container.end_of(entry, begin)?,
    })
}

/// For each place from 0 on whether it is among these, which are in order.
fn lost_places(lost: &[usize]) -> impl Iterator<Item = bool> {
    let mut lost = lost.iter().peekable();
    (0..).map(move |place: usize| lost.next_if(|next| **next == place).is_some())
}
