//! Small jsonb objects as PostgreSQL keeps them: built, and read, without a call of the server for each of their keys.
//!
//! The form is that of PostgreSQL's utils/jsonb.h, unchanged since 9.4. A container is a word with its kind and count, a word for each
//! key and value, and their data without gaps, keys first. A word tells a kind and a length; every 32nd tells where its data ends
//! instead. Numbers and containers begin at a multiple of four, and what is skipped to get there counts as theirs.
//!
//! Texts are bytes in the server's encoding.

mod number;
mod object;
mod read;

pub use number::{Number, number};
pub use object::{Object, TooLarge};
pub use read::{Member, members};

const WORD: usize = 4;
/// How often a word has an end instead of a length.
const STRIDE: usize = 32;
const HAS_END: u32 = 0x8000_0000;
const KIND: u32 = 0x7000_0000;
const LENGTH: u32 = 0x0fff_ffff;

const TEXT: u32 = 0x0000_0000;
const NUMBER: u32 = 0x1000_0000;
const NULL: u32 = 0x4000_0000;
const CONTAINER: u32 = 0x5000_0000;

const COUNT: u32 = 0x0fff_ffff;
/// A document that is no container stands alone in an array.
const IS_SCALAR: u32 = 0x1000_0000;
const IS_OBJECT: u32 = 0x2000_0000;

/// The word at a place; None where there is none.
fn word(bytes: &[u8], place: usize) -> Option<u32> {
    let word = bytes.get(place..place.checked_add(WORD)?)?;
    Some(u32::from_ne_bytes(word.try_into().ok()?))
}
