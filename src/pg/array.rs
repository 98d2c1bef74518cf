//! Texts and arrays between Rust and PostgreSQL.

use std::borrow::Cow;

use pgrx::pg_sys;

use super::spi::Tid;

/// A text datum in the current memory context, in the server's encoding; what that cannot express becomes a question mark, since
/// a text from outside (an answer, a certificate's name) must not make the row unwritable that it is a remark in.
pub(crate) fn text(value: &str) -> pg_sys::Datum {
    let bytes = server_bytes(value);
    // SAFETY: pointer and length are those of a live slice; the result is a fresh copy.
    unsafe {
        pg_sys::Datum::from(pg_sys::cstring_to_text_with_len(
            bytes.as_ptr().cast(),
            i32::try_from(bytes.len()).unwrap_or(i32::MAX),
        ))
    }
}

/// The text in the server's encoding, as [`text`] has it.
pub(crate) fn server_bytes(value: &str) -> Cow<'_, [u8]> {
    if value.is_ascii() || is_server_utf8() {
        return Cow::Borrowed(value.as_bytes());
    }
    Cow::Owned(to_server(value).unwrap_or_else(|| {
        value
            .chars()
            .map(|letter| if letter.is_ascii() { letter as u8 } else { b'?' })
            .collect()
    }))
}

/// Text of the server in UTF-8; what is no valid text is replaced.
pub(super) fn utf8(bytes: &[u8]) -> Cow<'_, str> {
    if is_server_utf8() || bytes.is_ascii() {
        // Faster than the lossy way, which walks from letter to letter.
        return std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed);
    }
    let mut text = Vec::new();
    // SAFETY: the bytes are text that the server has stored.
    unsafe { append_utf8(bytes.as_ptr().cast(), bytes.len(), &mut text) };
    Cow::Owned(
        String::from_utf8(text).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned()),
    )
}

/// Whether text needs no conversion: UTF-8, or an encoding that promises nothing.
fn is_server_utf8() -> bool {
    thread_local! {
        // A process keeps its database, and a database its encoding; each row would ask otherwise.
        static ANSWER: std::cell::OnceCell<bool> = const { std::cell::OnceCell::new() };
    }
    ANSWER.with(|answer| {
        *answer.get_or_init(|| {
            // SAFETY: reads a variable of this process.
            let encoding = unsafe { pg_sys::GetDatabaseEncoding() };
            encoding == UTF8 || encoding == pg_sys::pg_enc::PG_SQL_ASCII as i32
        })
    })
}

/// The text in the server's encoding, if that has all its letters.
fn to_server(value: &str) -> Option<Vec<u8>> {
    // Four bytes a character at most, in any server encoding, and a terminator.
    let mut room = vec![0_u8; value.len() * 4 + 1];
    let length = i32::try_from(value.len()).ok()?;
    // SAFETY: source and destination are live buffers of the lengths given; with no_error the conversion stops at the first
    // character it cannot express and says how many bytes of the source it took.
    unsafe {
        let server = pg_sys::GetDatabaseEncoding();
        let procedure = pg_sys::FindDefaultConversionProc(UTF8, server);
        if procedure == pg_sys::InvalidOid {
            return None;
        }
        let taken = pg_sys::pg_do_encoding_conversion_buf(
            procedure,
            UTF8,
            server,
            value.as_ptr().cast_mut(),
            length,
            room.as_mut_ptr(),
            i32::try_from(room.len()).ok()?,
            true,
        );
        if taken != length {
            return None;
        }
    }
    let end = room.iter().position(|byte| *byte == 0)?;
    room.truncate(end);
    Some(room)
}

/// A text where it is, if it is stored plainly and in UTF-8; else a copy as of [`text_of`].
///
/// # Safety
/// The datum must be a text that outlives the result.
pub(super) unsafe fn text_in_place<'a>(datum: pg_sys::Datum) -> Cow<'a, str> {
    // SAFETY: by the caller; a text that is neither compressed nor stored elsewhere is read where it lies.
    unsafe {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        let is_plain = !pgrx::varlena::varatt_is_1b_e(stored) && !pgrx::varlena::varatt_is_4b_c(stored);
        if is_plain && is_server_utf8() {
            let bytes = std::slice::from_raw_parts(
                pgrx::varlena::vardata_any(stored).cast::<u8>(),
                pgrx::varlena::varsize_any_exhdr(stored),
            );
            if let Ok(text) = std::str::from_utf8(bytes) {
                return Cow::Borrowed(text);
            }
        }
    }
    Cow::Owned(text_of(datum))
}

/// Copies a text datum, detoasting it, from the server's encoding; what is no valid UTF-8 then is replaced.
pub(crate) fn text_of(datum: pg_sys::Datum) -> String {
    // SAFETY: the datum is a text that is valid for the duration of the call; what detoasting allocates is freed.
    unsafe {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        let plain = pg_sys::pg_detoast_datum_packed(stored);
        let mut bytes = Vec::new();
        append_utf8(
            pgrx::varlena::vardata_any(plain),
            pgrx::varlena::varsize_any_exhdr(plain),
            &mut bytes,
        );
        if plain != stored {
            pg_sys::pfree(plain.cast());
        }
        String::from_utf8(bytes).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
    }
}

const UTF8: i32 = pg_sys::pg_enc::PG_UTF8 as i32;

/// Appends text of the server to `into`, as UTF-8.
///
/// # Safety
/// `text` must point to `length` bytes of valid text in the server's encoding.
pub(super) unsafe fn append_utf8(text: *const std::ffi::c_char, length: usize, into: &mut Vec<u8>) {
    // SAFETY: by the caller; pg_server_to_any answers the same pointer where nothing is to be converted, else a NUL-terminated
    // copy, which is freed.
    unsafe {
        let converted = pg_sys::pg_server_to_any(text, i32::try_from(length).unwrap_or(i32::MAX), UTF8);
        if std::ptr::eq(converted, text) {
            into.extend_from_slice(std::slice::from_raw_parts(text.cast::<u8>(), length));
        } else {
            into.extend_from_slice(std::ffi::CStr::from_ptr(converted).to_bytes());
            pg_sys::pfree(converted.cast());
        }
    }
}

fn build(
    mut values: Vec<pg_sys::Datum>,
    mut nulls: Option<Vec<bool>>,
    element: (pg_sys::Oid, i32, bool, u8),
) -> pg_sys::Datum {
    let mut length = i32::try_from(values.len()).unwrap_or(i32::MAX);
    let mut lower = 1;
    // SAFETY: one dimension of `length` entries; nulls has as many entries as values or is NULL; construct_md_array copies.
    unsafe {
        pg_sys::Datum::from(pg_sys::construct_md_array(
            values.as_mut_ptr(),
            nulls
                .as_mut()
                .map_or(std::ptr::null_mut(), |nulls| nulls.as_mut_ptr()),
            1,
            &raw mut length,
            &raw mut lower,
            element.0,
            element.1,
            element.2,
            element.3 as std::ffi::c_char,
        ))
    }
}

fn nullable<T>(
    values: &[Option<T>],
    datum: impl Fn(&T) -> pg_sys::Datum,
    element: (pg_sys::Oid, i32, bool, u8),
) -> pg_sys::Datum {
    let nulls = values.iter().map(Option::is_none).collect();
    let datums = values
        .iter()
        .map(|value| value.as_ref().map_or(pg_sys::Datum::from(0), &datum))
        .collect();
    build(datums, Some(nulls), element)
}

const UUID: (pg_sys::Oid, i32, bool, u8) = (pg_sys::UUIDOID, 16, false, b'c');
const TID: (pg_sys::Oid, i32, bool, u8) = (pg_sys::TIDOID, 6, false, b's');
const INT4: (pg_sys::Oid, i32, bool, u8) = (pg_sys::INT4OID, 4, true, b'i');
const INT8: (pg_sys::Oid, i32, bool, u8) = (pg_sys::INT8OID, 8, true, b'd');
const TIMESTAMPTZ: (pg_sys::Oid, i32, bool, u8) = (pg_sys::TIMESTAMPTZOID, 8, true, b'd');
const FLOAT8: (pg_sys::Oid, i32, bool, u8) = (pg_sys::FLOAT8OID, 8, true, b'd');
const BOOL: (pg_sys::Oid, i32, bool, u8) = (pg_sys::BOOLOID, 1, true, b'c');
const TEXT: (pg_sys::Oid, i32, bool, u8) = (pg_sys::TEXTOID, -1, false, b'i');

pub(crate) fn uuids(values: &[[u8; 16]]) -> pg_sys::Datum {
    build(
        values
            .iter()
            .map(|value| pg_sys::Datum::from(value.as_ptr()))
            .collect(),
        None,
        UUID,
    )
}
pub(crate) fn tids(values: &[Tid]) -> pg_sys::Datum {
    build(
        values
            .iter()
            .map(|value| pg_sys::Datum::from(&raw const value.0))
            .collect(),
        None,
        TID,
    )
}
pub(crate) fn int4s(values: &[i32]) -> pg_sys::Datum {
    build(
        values.iter().map(|value| pg_sys::Datum::from(*value)).collect(),
        None,
        INT4,
    )
}
pub(crate) fn int8s(values: &[i64]) -> pg_sys::Datum {
    build(
        values.iter().map(|value| pg_sys::Datum::from(*value)).collect(),
        None,
        INT8,
    )
}
pub(crate) fn timestamps(values: &[i64]) -> pg_sys::Datum {
    build(
        values.iter().map(|value| pg_sys::Datum::from(*value)).collect(),
        None,
        TIMESTAMPTZ,
    )
}
pub(crate) fn float8s(values: &[f64]) -> pg_sys::Datum {
    build(
        values
            .iter()
            .map(|value| pg_sys::Datum::from(value.to_bits()))
            .collect(),
        None,
        FLOAT8,
    )
}
pub(crate) fn bools(values: &[bool]) -> pg_sys::Datum {
    build(
        values.iter().map(|value| pg_sys::Datum::from(*value)).collect(),
        None,
        BOOL,
    )
}
pub(crate) fn nullable_texts(values: &[Option<String>]) -> pg_sys::Datum {
    nullable(values, |value| text(value), TEXT)
}
pub(crate) fn nullable_uuids(values: &[Option<[u8; 16]>]) -> pg_sys::Datum {
    nullable(values, |value| pg_sys::Datum::from(value.as_ptr()), UUID)
}
pub(crate) fn nullable_int4s(values: &[Option<i32>]) -> pg_sys::Datum {
    nullable(values, |value| pg_sys::Datum::from(*value), INT4)
}

/// Number of elements of an array.
pub(crate) fn length(array: pg_sys::Datum) -> usize {
    // SAFETY: the datum is an array; ArrayGetNItems reads its dimensions.
    unsafe {
        let array = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let dimensions = array
            .cast::<u8>()
            .add(size_of::<pg_sys::ArrayType>())
            .cast::<i32>();
        usize::try_from(pg_sys::ArrayGetNItems((*array).ndim, dimensions)).unwrap_or(0)
    }
}

/// Whether an array has a NULL element.
pub(crate) fn has_null(array: pg_sys::Datum) -> bool {
    // SAFETY: the datum is an array; array_contains_nulls reads its NULL bitmap.
    unsafe {
        let array = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        pg_sys::array_contains_nulls(array)
    }
}

/// The elements of a `text[]`.
pub(crate) fn texts_of(array: pg_sys::Datum) -> Vec<Option<String>> {
    let (mut values, mut nulls, mut count) = (std::ptr::null_mut(), std::ptr::null_mut(), 0);
    // SAFETY: the datum is a text[]; deconstruct_array gives as many values and null flags as it says, in memory of the current
    // context.
    unsafe {
        let array = pg_sys::pg_detoast_datum(array.cast_mut_ptr()).cast::<pg_sys::ArrayType>();
        let (element, length, by_value, alignment) = TEXT;
        pg_sys::deconstruct_array(
            array,
            element,
            length,
            by_value,
            alignment as std::ffi::c_char,
            &raw mut values,
            &raw mut nulls,
            &raw mut count,
        );
        (0..usize::try_from(count).unwrap_or(0))
            .map(|index| (!*nulls.add(index)).then(|| text_of(*values.add(index))))
            .collect()
    }
}
