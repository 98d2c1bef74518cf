//! What redaction asks of the server: its encoding, its numbers, the text of a part of a document.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use tms_domain::problem::Problem;
use tms_domain::redact::jsonb::{self, Host, Redactor};
use tms_domain::redact::token::Keys;

use super::array;
use super::plain::{self, Plain};

/// A stored jsonb without what is to be redacted of it, in the current memory context; `None` when nothing is.
///
/// # Errors
/// The document is too deep, too large or damaged, or a token is needed and there is no key.
pub(crate) fn of_stored(
    document: pg_sys::Datum,
    redactor: &Redactor,
    keys: &Keys,
) -> Result<Option<pg_sys::Datum>, Problem> {
    // SAFETY: the caller's jsonb outlives this function.
    let plain = unsafe { Plain::read(document, jsonb::check_size) }?;
    let mut out = Vec::new();
    let is_changed = redactor.redact(plain.bytes(), keys, &Server, &mut out)?;
    Ok(is_changed.then(|| plain::varlena(&out)))
}

/// The server, for the domain's walker.
pub(crate) struct Server;

impl Host for Server {
    #[inline]
    fn text<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        array::utf8(bytes)
    }

    #[inline]
    fn encoded<'a>(&self, text: &'a str) -> Cow<'a, [u8]> {
        array::server_bytes(text)
    }

    fn number_text(&self, number: &[u8]) -> Result<String, Problem> {
        let number = super::plain::copied(number).ok_or_else(jsonb::damaged)?;
        // SAFETY: the datum is a varlena of exactly the bytes that its length says; numeric_out answers a NUL-terminated string.
        let text = unsafe {
            let text = pgrx::direct_function_call_as_datum(pg_sys::numeric_out, &[Some(number)]);
            text.map(|text| {
                let text = text.cast_mut_ptr::<std::ffi::c_char>();
                let copy = CStr::from_ptr(text).to_string_lossy().into_owned();
                pg_sys::pfree(text.cast());
                copy
            })
        };
        // SAFETY: the copy is nobody else's.
        unsafe { pg_sys::pfree(number.cast_mut_ptr()) }
        text.ok_or_else(jsonb::damaged)
    }

    fn number(&self, text: &str) -> Result<Vec<u8>, Problem> {
        let text = CString::new(text).unwrap_or_default();
        let arguments = [
            Some(pg_sys::Datum::from(text.as_ptr())),
            Some(pg_sys::Datum::from(pg_sys::InvalidOid)),
            Some(pg_sys::Datum::from(-1_i32)),
        ];
        // SAFETY: numeric_in takes a NUL-terminated string, an OID it ignores and no modifier; it answers a numeric or raises. Its
        // bytes are copied with their length word.
        unsafe {
            let number = pgrx::direct_function_call_as_datum(pg_sys::numeric_in, &arguments);
            let number = number
                .ok_or_else(jsonb::damaged)?
                .cast_mut_ptr::<pg_sys::varlena>();
            let size = pgrx::varlena::varsize_any(number);
            let bytes = std::slice::from_raw_parts(number.cast::<u8>(), size).to_vec();
            pg_sys::pfree(number.cast());
            Ok(bytes)
        }
    }

    fn container_text(&self, container: &[u8]) -> String {
        let mut text = Vec::new();
        // SAFETY: a container of a document that lies at a multiple of four, as the walker promises.
        unsafe { super::jsonb::append_text(container, &mut text) };
        String::from_utf8(text).unwrap_or_else(|bad| String::from_utf8_lossy(bad.as_bytes()).into_owned())
    }

    fn breathe(&self) {
        pgrx::check_for_interrupts!();
        // SAFETY: raises when too little of the stack is left.
        unsafe { pg_sys::check_stack_depth() }
    }
}
