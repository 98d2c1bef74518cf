//! JSONB beyond what pgrx does: its size, its text as bytes, and objects that are built without a text in between.

use std::ffi::CStr;

use pgrx::pg_sys;
use pgrx::pg_sys::JsonbIteratorToken::{WJB_BEGIN_OBJECT, WJB_END_OBJECT, WJB_KEY, WJB_VALUE};

/// Size of a jsonb in its binary form, without detoasting it.
pub(crate) fn size(datum: pg_sys::Datum) -> usize {
    // SAFETY: the datum is a varlena; only its header, or its toast pointer, is read.
    unsafe { pg_sys::toast_raw_datum_size(datum) }
}

/// The text of a jsonb in UTF-8, appended to `into`.
pub(crate) fn write_text(datum: pg_sys::Datum, into: &mut Vec<u8>) {
    // SAFETY: the datum is a jsonb; JsonbToCString writes into a fresh StringInfo, whose data and length are read before it is
    // freed. What detoasting allocated is freed as well.
    unsafe {
        let stored = datum.cast_mut_ptr::<pg_sys::varlena>();
        let plain = pg_sys::pg_detoast_datum(stored);
        let size = pgrx::varlena::varsize_any_exhdr(plain);
        let out = pg_sys::makeStringInfo();
        let root = pgrx::varlena::vardata_any(plain)
            .cast::<pg_sys::JsonbContainer>()
            .cast_mut();
        pg_sys::JsonbToCString(out, root, i32::try_from(size).unwrap_or(i32::MAX));
        let length = usize::try_from((*out).len).unwrap_or(0);
        super::array::append_utf8((*out).data, length, into);
        pg_sys::pfree((*out).data.cast());
        pg_sys::pfree(out.cast());
        if plain != stored {
            pg_sys::pfree(plain.cast());
        }
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

/// A jsonb object that is built key by key.
pub(crate) struct Object(*mut pg_sys::JsonbParseState);

impl Object {
    /// An object without keys.
    pub(crate) fn begin() -> Self {
        let mut object = Self(std::ptr::null_mut());
        // SAFETY: a begin takes no value and makes the state.
        unsafe { pg_sys::pushJsonbValue(&raw mut object.0, WJB_BEGIN_OBJECT, std::ptr::null_mut()) };
        object
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &'static CStr, value: &str) {
        let text = super::array::text(value);
        // SAFETY: the text is a fresh varlena of the current context, where it stays until the object is finished.
        let value = unsafe {
            let stored = text.cast_mut_ptr::<pg_sys::varlena>();
            string(
                pgrx::varlena::vardata_any(stored),
                pgrx::varlena::varsize_any_exhdr(stored),
            )
        };
        self.put(key, value);
    }

    /// A whole number; null for `None`.
    pub(crate) fn integer(&mut self, key: &'static CStr, value: Option<i64>) {
        match value {
            None => self.null(key),
            // SAFETY: makes a numeric in the current context.
            Some(value) => self.put(key, unsafe {
                pg_sys::JsonbValue {
                    type_: pg_sys::jbvType::jbvNumeric,
                    val: pg_sys::JsonbValue__bindgen_ty_1 {
                        numeric: pg_sys::int64_to_numeric(value),
                    },
                }
            }),
        }
    }

    /// JSON's null.
    pub(crate) fn null(&mut self, key: &'static CStr) {
        self.put(
            key,
            pg_sys::JsonbValue {
                type_: pg_sys::jbvType::jbvNull,
                val: pg_sys::JsonbValue__bindgen_ty_1 { boolean: false },
            },
        );
    }

    /// A jsonb of PostgreSQL's, as it is: numbers keep their digits.
    pub(crate) fn jsonb(&mut self, key: &'static CStr, value: pg_sys::Datum) {
        // SAFETY: the datum is a jsonb; its plain form stays in the current context until the object is finished.
        let value = unsafe {
            let plain = pg_sys::pg_detoast_datum(value.cast_mut_ptr());
            pg_sys::JsonbValue {
                type_: pg_sys::jbvType::jbvBinary,
                val: pg_sys::JsonbValue__bindgen_ty_1 {
                    binary: pg_sys::JsonbValue__bindgen_ty_1__bindgen_ty_4 {
                        len: i32::try_from(pgrx::varlena::varsize_any_exhdr(plain)).unwrap_or(i32::MAX),
                        data: pgrx::varlena::vardata_any(plain)
                            .cast::<pg_sys::JsonbContainer>()
                            .cast_mut(),
                    },
                },
            }
        };
        self.put(key, value);
    }

    fn put(&mut self, key: &'static CStr, mut value: pg_sys::JsonbValue) {
        let mut key = string(key.as_ptr(), key.count_bytes());
        // SAFETY: the state is that of an open object; key and value are copied into it, and what they point to outlives it.
        unsafe {
            pg_sys::pushJsonbValue(&raw mut self.0, WJB_KEY, &raw mut key);
            pg_sys::pushJsonbValue(&raw mut self.0, WJB_VALUE, &raw mut value);
        }
    }

    /// The object, in the current memory context.
    pub(crate) fn finish(mut self) -> pg_sys::Datum {
        // SAFETY: closes the object that begin opened; the result is a fresh jsonb.
        unsafe {
            let whole = pg_sys::pushJsonbValue(&raw mut self.0, WJB_END_OBJECT, std::ptr::null_mut());
            pg_sys::Datum::from(pg_sys::JsonbValueToJsonb(whole))
        }
    }
}

fn string(text: *const std::ffi::c_char, length: usize) -> pg_sys::JsonbValue {
    pg_sys::JsonbValue {
        type_: pg_sys::jbvType::jbvString,
        val: pg_sys::JsonbValue__bindgen_ty_1 {
            string: pg_sys::JsonbValue__bindgen_ty_1__bindgen_ty_1 {
                len: i32::try_from(length).unwrap_or(i32::MAX),
                val: text.cast_mut(),
            },
        },
    }
}
