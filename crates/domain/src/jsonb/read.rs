//! Reads an object that has no containers in it.

use super::{COUNT, HAS_END, IS_OBJECT, KIND, LENGTH, NULL, NUMBER, Number, TEXT, WORD, word};

/// A value of a flat object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Member<'a> {
    /// JSON's null.
    Null,
    /// A text, in the server's encoding.
    Text(&'a [u8]),
    /// A number.
    Number(Number),
}

/// The keys and values of a document that is a flat object; None for any other, and for one with a number that [`Number`] does
/// not hold: such a document is for whoever reads all of JSON.
#[must_use]
pub fn members(root: &[u8]) -> Option<Vec<(&[u8], Member<'_>)>> {
    let header = word(root, 0)?;
    if header & !COUNT != IS_OBJECT {
        return None;
    }
    let count = usize::try_from(header & COUNT).ok()?;
    let data = root.get(WORD.checked_mul(1 + 2 * count)?..)?;
    let mut found: Vec<(&[u8], Member<'_>)> = Vec::with_capacity(count.min(8));
    let mut keys = Vec::with_capacity(count.min(8));
    let mut at = 0;
    for index in 0..2 * count {
        let entry = word(root, WORD * (1 + index))?;
        let said = usize::try_from(entry & LENGTH).ok()?;
        let end = if entry & HAS_END == 0 { at + said } else { said };
        let bytes = data.get(at..end)?;
        if index < count {
            keys.push(bytes);
        } else {
            let value = match entry & KIND {
                NULL => Member::Null,
                TEXT => Member::Text(bytes),
                NUMBER => Member::Number(Number::read(data.get(at.next_multiple_of(WORD)..end)?)?),
                _ => return None,
            };
            found.push((*keys.get(index - count)?, value));
        }
        at = end;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::*;
    use crate::jsonb::Object;

    #[test]
    fn what_is_written_is_read() {
        let mut object = Object::default();
        object.number("tokens", 1200);
        object.text("model", &b"small"[..]);
        object.null("cost_usd");
        object.number("api_calls", 0);
        let root = object.finish().unwrap();
        let number = |value| Member::Number(Number::read(&crate::jsonb::number(value)).unwrap());
        assert_eq!(
            members(&root).unwrap(),
            [
                (&b"model"[..], Member::Text(b"small")),
                (b"tokens", number(1200)),
                (b"cost_usd", Member::Null),
                (b"api_calls", number(0)),
            ]
        );
        let many: Vec<String> = (0..40).map(|n| format!("key{n:02}")).collect();
        let mut wide = Object::default();
        for key in &many {
            wide.text(Box::leak(key.clone().into_boxed_str()), key.as_bytes());
        }
        let root = wide.finish().unwrap();
        let read = members(&root).unwrap();
        assert!(read.iter().all(|(key, value)| *value == Member::Text(key)) && read.len() == 40);
    }

    #[test]
    fn anything_else_is_left_to_others() {
        assert_eq!(members(&Object::default().finish().unwrap()), Some(Vec::new()));
        let nested = Object::default().finish().unwrap();
        let mut object = Object::default();
        object.document("a", &nested);
        let whole = object.finish().unwrap();
        assert_eq!(members(&whole), None);
        for end in 0..whole.len() {
            assert_eq!(members(&whole[..end]), None);
        }
        assert_eq!(members(&0x4000_0000_u32.to_ne_bytes()), None);
        assert_eq!(members(&u32::MAX.to_ne_bytes()), None);
    }
}
