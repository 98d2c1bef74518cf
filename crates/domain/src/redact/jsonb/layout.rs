//! How jsonb lies in memory: PostgreSQL's utils/jsonb.h, the same since 9.4.
//!
//! A container is a header (its kind and how many pairs or elements it has), an entry of four bytes for each key and
//! value, and their data without gaps: an object's keys first, then its values. An entry tells the kind of its value
//! and the length of its data, every 32nd one where its data ends instead, so that one can begin in the middle.
//! Numbers and containers begin at a multiple of four; what is skipped to get there counts as theirs.

/// How often an entry has an end instead of a length.
pub(super) const STRIDE: usize = 32;
const HAS_END: u32 = 0x8000_0000;
const KIND: u32 = 0x7000_0000;
const LENGTH: u32 = 0x0fff_ffff;

/// The largest length or end an entry can have.
pub(super) const LARGEST: usize = LENGTH as usize;

const COUNT: u32 = 0x0fff_ffff;
const IS_SCALAR: u32 = 0x1000_0000;
const IS_OBJECT: u32 = 0x2000_0000;
const IS_ARRAY: u32 = 0x4000_0000;

/// The size of a header, and of an entry.
pub(super) const WORD: usize = size_of::<u32>();

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Number,
    False,
    True,
    Null,
    Container,
}

impl Kind {
    fn bits(self) -> u32 {
        (self as u32) << 28
    }

    /// Whether its data begins at a multiple of four.
    pub(super) fn is_aligned(self) -> bool {
        matches!(self, Self::Number | Self::Container)
    }
}

/// The entry of a key or a value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry(u32);

impl Entry {
    pub(super) fn with_length(kind: Kind, length: usize) -> Self {
        Self(kind.bits() | (length as u32 & LENGTH))
    }

    pub(super) fn with_end(kind: Kind, end: usize) -> Self {
        Self(HAS_END | kind.bits() | (end as u32 & LENGTH))
    }

    pub(super) fn bytes(self) -> [u8; WORD] {
        self.0.to_ne_bytes()
    }

    /// None if the entry is damaged.
    #[inline]
    pub(super) fn kind(self) -> Option<Kind> {
        Some(match (self.0 & KIND) >> 28 {
            0 => Kind::Text,
            1 => Kind::Number,
            2 => Kind::False,
            3 => Kind::True,
            4 => Kind::Null,
            5 => Kind::Container,
            _ => return None,
        })
    }

    #[inline]
    pub(super) fn has_end(self) -> bool {
        self.0 & HAS_END != 0
    }

    #[inline]
    pub(super) fn length_or_end(self) -> usize {
        (self.0 & LENGTH) as usize
    }
}

/// What a container holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Object,
    Array,
    /// A document that is no container stands alone in an array.
    Scalar,
}

impl Shape {
    /// The header of a container of this shape.
    pub(super) fn header(self, count: usize) -> [u8; WORD] {
        let shape = match self {
            Self::Object => IS_OBJECT,
            Self::Array => IS_ARRAY,
            Self::Scalar => IS_ARRAY | IS_SCALAR,
        };
        (shape | (count as u32 & COUNT)).to_ne_bytes()
    }
}

/// A container that was found in a document; places are counted from where the document begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Container<'a> {
    pub(super) shape: Shape,
    /// How many pairs or elements.
    pub(super) count: usize,
    entries: &'a [[u8; WORD]],
    pub(super) at: usize,
    pub(super) data: usize,
    pub(super) end: usize,
}

impl<'a> Container<'a> {
    /// None if it is damaged.
    #[inline]
    pub(super) fn read(document: &'a [u8], at: usize, end: usize) -> Option<Self> {
        let (header, rest) = document.get(at..end)?.split_first_chunk::<WORD>()?;
        let header = u32::from_ne_bytes(*header);
        let count = (header & COUNT) as usize;
        let shape = match header & !COUNT {
            IS_OBJECT => Shape::Object,
            IS_ARRAY => Shape::Array,
            kind if kind == IS_ARRAY | IS_SCALAR && count == 1 => Shape::Scalar,
            _ => return None,
        };
        let entries = if shape == Shape::Object { count * 2 } else { count };
        let (words, _) = rest.as_chunks::<WORD>();
        Some(Self {
            shape,
            count,
            entries: words.get(..entries)?,
            at,
            data: at + WORD + entries * WORD,
            end,
        })
    }

    /// The entries of the keys (of an array none), and those of the values.
    #[inline]
    pub(super) fn keys_and_values(&self) -> (&'a [[u8; WORD]], &'a [[u8; WORD]]) {
        self.entries.split_at(self.entries.len() - self.count)
    }

    /// Where the data ends that begins here; None if the entry is damaged.
    #[inline]
    pub(super) fn end_of(&self, entry: Entry, begin: usize) -> Option<usize> {
        let from = if entry.has_end() { self.data } else { begin };
        let end = from + entry.length_or_end();
        (begin <= end && end <= self.end).then_some(end)
    }

    /// Where the data of the values begins: where that of the last key ends. None if the entries are damaged.
    pub(super) fn values_at(&self) -> Option<usize> {
        let (keys, _) = self.keys_and_values();
        let mut behind = 0;
        for key in keys.iter().rev() {
            let entry = entry(*key);
            behind += entry.length_or_end();
            if entry.has_end() {
                break;
            }
        }
        let at = self.data + behind;
        (at <= self.end).then_some(at)
    }
}

#[inline]
pub(super) fn entry(bytes: [u8; WORD]) -> Entry {
    Entry(u32::from_ne_bytes(bytes))
}

/// The next multiple of four.
#[inline]
pub(super) fn aligned(place: usize) -> usize {
    place.next_multiple_of(WORD)
}
