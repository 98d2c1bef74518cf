//! JSONB beyond what pgrx does: its size, its text, and its root container as bytes.

use pgrx::pg_sys;

/// Size of a jsonb in its binary form, without detoasting it.
pub(crate) fn size(datum: pg_sys::Datum) -> usize {
    // SAFETY: the datum is a varlena; only its header, or its toast pointer, is read.
    unsafe { pg_sys::toast_raw_datum_size(datum) }
}

/// The text of a jsonb in UTF-8, appended to `into`.
pub(crate) fn write_text(datum: pg_sys::Datum, into: &mut Vec<u8>) {
    // SAFETY: the datum is a jsonb, whose root container is what follows its length word. What detoasting allocated is freed.
    unsafe {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        let plain = pg_sys::pg_detoast_datum(stored);
        let size = pgrx::varlena::varsize_any_exhdr(plain);
        let root = pgrx::varlena::vardata_any(plain).cast::<u8>();
        append_text(std::slice::from_raw_parts(root, size), into);
        if plain != stored {
            pg_sys::pfree(plain.cast());
        }
    }
}

/// The text of an object or array inside of a jsonb in UTF-8, appended to `into`.
///
/// # Safety
/// The bytes must be a container of a jsonb, at a multiple of four.
pub(super) unsafe fn append_text(container: &[u8], into: &mut Vec<u8>) {
    // SAFETY: by the caller; JsonbToCString writes into a fresh StringInfo, whose data and length are read before it is freed.
    unsafe {
        let out = pg_sys::makeStringInfo();
        let root = container.as_ptr().cast::<pg_sys::JsonbContainer>().cast_mut();
        pg_sys::JsonbToCString(out, root, i32::try_from(container.len()).unwrap_or(i32::MAX));
        let length = usize::try_from((*out).len).unwrap_or(0);
        super::array::append_utf8((*out).data, length, into);
        pg_sys::pfree((*out).data.cast());
        pg_sys::pfree(out.cast());
    }
}

/// A jsonb as a serde value, for options and headers. Not for payloads: numbers beyond f64 would change.
pub(crate) fn value(datum: pg_sys::Datum) -> Option<serde_json::Value> {
    let mut text = Vec::new();
    write_text(datum, &mut text);
    serde_json::from_slice(&text).ok()
}

/// A jsonb of a text of ours.
pub(crate) fn of_text(text: &str) -> pg_sys::Datum {
    let text = std::ffi::CString::new(text).unwrap_or_default();
    // SAFETY: jsonb_in takes one NUL-terminated string and answers a jsonb in the current memory context, or raises.
    unsafe {
        pgrx::direct_function_call_as_datum(pg_sys::jsonb_in, &[Some(pg_sys::Datum::from(text.as_ptr()))])
            .unwrap_or(pg_sys::Datum::from(0))
    }
}

/// Runs `look` on the root container of a jsonb, where it lies if it lies plainly.
pub(crate) fn with_root<R>(datum: pg_sys::Datum, look: impl FnOnce(&[u8]) -> R) -> R {
    // SAFETY: the datum is a varlena, whose bytes `look` cannot keep; what detoasting allocates is freed after it.
    unsafe {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        let is_plain = !pgrx::varlena::varatt_is_1b_e(stored) && !pgrx::varlena::varatt_is_4b_c(stored);
        let plain = if is_plain {
            stored
        } else {
            pg_sys::pg_detoast_datum(stored)
        };
        let root = std::slice::from_raw_parts(
            pgrx::varlena::vardata_any(plain).cast::<u8>(),
            pgrx::varlena::varsize_any_exhdr(plain),
        );
        let result = look(root);
        if plain != stored {
            pg_sys::pfree(plain.cast());
        }
        result
    }
}

/// A jsonb of a root container, in the current memory context.
pub(crate) fn of_root(root: &[u8]) -> pg_sys::Datum {
    super::plain::varlena(root)
}

/// The bytes of a jsonb in its plain form.
#[cfg(any(test, feature = "pg_test"))]
pub(crate) fn bytes(datum: pg_sys::Datum) -> Vec<u8> {
    // SAFETY: the datum is a jsonb; detoasting answers a plain one, of which as many bytes are read as its length word says.
    unsafe {
        let plain = pg_sys::pg_detoast_datum(datum.cast_mut_ptr());
        std::slice::from_raw_parts(
            pgrx::varlena::vardata_any(plain).cast::<u8>(),
            pgrx::varlena::varsize_any_exhdr(plain),
        )
        .to_vec()
    }
}
