//! The way through a document, only looking: which kinds of personal data stand where.

use super::layout::{Container, Kind as Shape, Shape as Around, aligned, entry};
use super::{DEPTH_LIMIT, Host, check_size, damaged};
use crate::pii::{Kind, Kinds};
use crate::problem::Problem;
use crate::redact::by_value::ByValue;
use crate::redact::path::push_name;
use crate::redact::reference::too_deep;

/// Tells the path of each text and number in which personal data is found, once for each kind.
///
/// The document itself is `$`; other paths are those that rules take. The values are never told.
///
/// # Errors
/// The document is too deep, too large or damaged.
pub fn detect(document: &[u8], host: &impl Host, tell: &mut dyn FnMut(&str, Kind)) -> Result<(), Problem> {
    check_size(document.len())?;
    let mut search = Search {
        by_value: ByValue::replacing(Kinds::all()),
        document,
        host,
        path: "$".to_owned(),
        tell,
    };
    search.container(0, document.len(), "", 1)
}

struct Search<'a, H> {
    by_value: ByValue,
    document: &'a [u8],
    host: &'a H,
    path: String,
    tell: &'a mut dyn FnMut(&str, Kind),
}

impl<H: Host> Search<'_, H> {
    fn container(&mut self, at: usize, end: usize, key: &str, depth: usize) -> Result<(), Problem> {
        let container = Container::read(self.document, at, end).ok_or_else(damaged)?;
        if container.shape != Around::Scalar && depth > DEPTH_LIMIT {
            return Err(too_deep(DEPTH_LIMIT));
        }
        let (keys, values) = container.keys_and_values();
        let (mut key_at, mut at) = (container.data, container.values_at().ok_or_else(damaged)?);
        let length = self.path.len();
        for (index, value) in values.iter().enumerate() {
            let value = entry(*value);
            let value_end = container.end_of(value, at).ok_or_else(damaged)?;
            let place = (value.kind().ok_or_else(damaged)?, at, value_end);
            match keys.get(index) {
                Some(key) => {
                    let key_end = container.end_of(entry(*key), key_at).ok_or_else(damaged)?;
                    let name = self.document.get(key_at..key_end).ok_or_else(damaged)?;
                    let name = self.host.text(name);
                    push_name(&name, &mut self.path);
                    self.value(place, &name, depth)?;
                    key_at = key_end;
                }
                None => {
                    if container.shape == Around::Array {
                        self.path.push_str(&format!("[{index}]"));
                    }
                    self.value(place, key, depth)?;
                }
            }
            self.path.truncate(length);
            at = value_end;
        }
        Ok(())
    }

    fn value(
        &mut self,
        (kind, begin, end): (Shape, usize, usize),
        key: &str,
        depth: usize,
    ) -> Result<(), Problem> {
        let begin = if kind.is_aligned() { aligned(begin) } else { begin };
        // Looking into a value costs far more than this.
        self.host.breathe();
        if kind == Shape::Container {
            return self.container(begin, end, key, depth + 1);
        }
        let data = self.document.get(begin..end).ok_or_else(damaged)?;
        let mut kinds = Vec::new();
        let mut see = |kind| {
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        };
        match kind {
            Shape::Text => self
                .by_value
                .look_into_text(key, &self.host.text(data), &mut see)?,
            Shape::Number => {
                let number = self.host.number_text(data)?;
                self.by_value.look_into_number(key, &number, &mut see);
            }
            _ => {}
        }
        for kind in kinds {
            (self.tell)(&self.path, kind);
        }
        Ok(())
    }
}
