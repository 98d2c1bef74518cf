//! A copy of a document with some of its bytes replaced.
//!
//! What is not replaced is copied in runs as long as they can be, and nothing is copied before the first replacement:
//! a document in which nothing is redacted costs no copy.

use super::layout::{LARGEST, WORD, aligned};
use super::too_large;
use crate::problem::Problem;

/// The copy so far.
pub(super) struct Copy<'a> {
    document: &'a [u8],
    /// What is written.
    out: &'a mut Vec<u8>,
    /// Up to where the document is copied or replaced.
    done: usize,
}

impl<'a> Copy<'a> {
    pub(super) fn new(document: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        out.clear();
        Self {
            document,
            out,
            done: 0,
        }
    }

    /// How far a place that is not yet copied will be from where it was; it wraps where it is negative.
    #[inline]
    pub(super) fn shift(&self) -> usize {
        self.out.len().wrapping_sub(self.done)
    }

    /// Copies up to a place of the document.
    #[inline]
    pub(super) fn up_to(&mut self, place: usize) -> Result<(), Problem> {
        if let Some(run) = self.document.get(self.done..place) {
            append(self.out, run)?;
            self.done = place;
        }
        Ok(())
    }

    /// Goes on at another place of the document, without what lies between.
    #[inline]
    pub(super) fn go_on_at(&mut self, place: usize) {
        self.done = place;
    }

    /// Writes what stands in no document.
    #[inline]
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        append(self.out, bytes)
    }

    /// Leaves room that is written later.
    pub(super) fn leave(&mut self, length: usize) -> Result<(), Problem> {
        let end = self.out.len() + length;
        if end > LARGEST || self.out.try_reserve(length).is_err() {
            return Err(too_large());
        }
        self.out.resize(end, 0);
        Ok(())
    }

    /// Writes zeros up to the next multiple of four.
    #[inline]
    pub(super) fn align(&mut self) -> Result<(), Problem> {
        let missing = aligned(self.out.len()) - self.out.len();
        append(self.out, [0; WORD].get(..missing).unwrap_or_default())
    }

    /// How much is written.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.out.len()
    }

    /// Writes over four bytes that are written already.
    #[inline]
    pub(super) fn patch(&mut self, place: usize, bytes: [u8; WORD]) {
        if let Some(word) = self.out.get_mut(place..place + WORD) {
            word.copy_from_slice(&bytes);
        }
    }

    /// Copies the rest; whether there is anything else than the document as it was.
    pub(super) fn finish(mut self) -> Result<bool, Problem> {
        if self.done == 0 && self.out.is_empty() {
            return Ok(false);
        }
        self.up_to(self.document.len())?;
        Ok(true)
    }
}

#[inline]
fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<(), Problem> {
    if out.len() + bytes.len() > LARGEST || out.try_reserve(bytes.len()).is_err() {
        return Err(too_large());
    }
    out.extend_from_slice(bytes);
    Ok(())
}
