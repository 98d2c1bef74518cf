//! A stored value as plain bytes: read where it lies, unless it is compressed, kept elsewhere or unaligned.

use pgrx::pg_sys;

use super::call::Arguments;

/// The plain form of an argument of a type of variable length.
pub(crate) struct Plain<'a> {
    given: *mut pg_sys::varlena,
    plain: *mut pg_sys::varlena,
    _call: std::marker::PhantomData<&'a Arguments>,
}

impl<'a> Plain<'a> {
    /// The argument at `index` (from 0), which must be of such a type; None for NULL. `check` is told its size before it is read,
    /// and may refuse it.
    pub(crate) fn of<E>(
        arguments: &'a Arguments,
        index: usize,
        check: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Option<Self>, E> {
        // SAFETY: an argument is a varlena that lives as long as the call.
        let plain = |datum| unsafe { Self::read(datum, check) };
        arguments.datum(index).map(plain).transpose()
    }

    /// The plain form of a value.
    ///
    /// # Safety
    /// The datum is one of a type of variable length, and outlives what is made of it.
    pub(super) unsafe fn read<E>(
        datum: pg_sys::Datum,
        check: impl FnOnce(usize) -> Result<(), E>,
    ) -> Result<Self, E> {
        let given = datum.cast_mut_ptr::<pg_sys::varlena>();
        // SAFETY: by the caller; detoasting answers a plain one or raises.
        let plain = unsafe {
            if pgrx::varlena::varatt_is_4b_u(given) {
                check(pgrx::varlena::varsize_4b(given))?;
                given
            } else {
                check(pg_sys::toast_raw_datum_size(datum))?;
                pg_sys::pg_detoast_datum(given)
            }
        };
        Ok(Self {
            given,
            plain,
            _call: std::marker::PhantomData,
        })
    }

    /// What follows the length word. The first byte is at a multiple of four.
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: a plain varlena has a length word of four bytes, and as many bytes as it says.
        unsafe {
            std::slice::from_raw_parts(
                pgrx::varlena::vardata_any(self.plain).cast::<u8>(),
                pgrx::varlena::varsize_any_exhdr(self.plain),
            )
        }
    }

    /// The value as a datum, while it is plain.
    pub(crate) fn datum(&self) -> pg_sys::Datum {
        pg_sys::Datum::from(self.plain)
    }

    /// The value as the call's answer.
    pub(crate) fn into_answer(self) -> pg_sys::Datum {
        let answer = self.datum();
        std::mem::forget(self);
        answer
    }
}

impl Drop for Plain<'_> {
    fn drop(&mut self) {
        if self.plain != self.given {
            // SAFETY: detoasting made this copy, and nobody else has it.
            unsafe { pg_sys::pfree(self.plain.cast()) }
        }
    }
}

/// A value with these bytes behind its length word, in the current memory context.
pub(crate) fn varlena(bytes: &[u8]) -> pg_sys::Datum {
    let size = bytes.len() + pg_sys::VARHDRSZ;
    // SAFETY: palloc gives as many bytes as are written, or raises.
    unsafe {
        let made = pg_sys::palloc(size).cast::<u8>();
        pgrx::varlena::set_varsize_4b(made.cast(), i32::try_from(size).unwrap_or(i32::MAX));
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), made.add(pg_sys::VARHDRSZ), bytes.len());
        pg_sys::Datum::from(made)
    }
}

/// A copy of a varlena that lies inside of something else, aligned; None unless the bytes are one, all of them, and plain.
pub(super) fn copied(bytes: &[u8]) -> Option<pg_sys::Datum> {
    if bytes.len() < pg_sys::VARHDRSZ {
        return None;
    }
    // SAFETY: palloc gives as many bytes as are written, or raises; of the copy, which has a length word, only that is read.
    unsafe {
        let copy = pg_sys::palloc(bytes.len()).cast::<u8>();
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), copy, bytes.len());
        let is_whole = pgrx::varlena::varatt_is_4b_u(copy.cast())
            && pgrx::varlena::varsize_4b(copy.cast()) == bytes.len();
        is_whole.then(|| pg_sys::Datum::from(copy))
    }
}
