//! The trigger `tms.redact_row`: hands the columns it is given by name to [`crate::api::landing`], and puts what comes back into the row.

use std::borrow::Cow;
use std::ffi::{CStr, CString};

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::array;
use super::call::{declare_v1, raise};
use super::trigger::trigger_data;
use crate::api::landing::{Landed, Landing};

/// A row on its way into a table.
struct Row {
    relation: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    /// The row as it was, of an UPDATE.
    before: Option<pg_sys::HeapTuple>,
}

impl Row {
    fn descriptor(&self) -> pg_sys::TupleDesc {
        // SAFETY: the relation is open for the trigger's duration.
        unsafe { (*self.relation).rd_att }
    }

    /// Number of a column; `None` when the table has none of this name.
    fn column(&self, name: &CStr) -> Option<i32> {
        // SAFETY: the descriptor is the relation's, the name NUL-terminated.
        let number = unsafe { pg_sys::SPI_fnumber(self.descriptor(), name.as_ptr()) };
        (number > 0).then_some(number)
    }

    fn type_of(&self, column: i32) -> pg_sys::Oid {
        // SAFETY: the number is one that SPI_fnumber gave for this descriptor.
        unsafe { pg_sys::SPI_gettypeid(self.descriptor(), column) }
    }

    fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: tuple and descriptor belong together, and the column is one of them.
        let datum = unsafe { pg_sys::SPI_getbinval(self.tuple, self.descriptor(), column, &raw mut is_null) };
        (!is_null).then_some(datum)
    }

    /// Whether an UPDATE leaves a column as it is: it landed before, and is not looked through again.
    fn is_unchanged(&self, column: i32, now: pg_sys::Datum) -> bool {
        let Some(before) = self.before else { return false };
        let mut is_null = false;
        // SAFETY: as in datum, of the row as it was; both values are of one type, a varlena, and each is as long as it says. What an
        // UPDATE does not set it copies as it is stored, compressed or elsewhere.
        unsafe {
            let was = pg_sys::SPI_getbinval(before, self.descriptor(), column, &raw mut is_null);
            !is_null && stored(was) == stored(now)
        }
    }

    fn text(&self, name: &CStr) -> Option<Cow<'_, str>> {
        let column = self.column(name)?;
        if self.type_of(column) != pg_sys::TEXTOID {
            return None;
        }
        // SAFETY: a text of the row, which outlives the trigger's call.
        self.datum(column)
            .map(|datum| unsafe { array::text_in_place(datum) })
    }

    fn uuid(&self, name: &CStr) -> Option<[u8; 16]> {
        let column = self.column(name)?;
        if self.type_of(column) != pg_sys::UUIDOID {
            return None;
        }
        // SAFETY: a uuid datum points to 16 bytes.
        self.datum(column)
            .map(|datum| unsafe { *datum.cast_mut_ptr::<[u8; 16]>() })
    }

    fn table(&self) -> String {
        // SAFETY: the relation's form is there while it is open; its name is a NUL-terminated array.
        unsafe { CStr::from_ptr((*(*self.relation).rd_rel).relname.data.as_ptr()) }
            .to_string_lossy()
            .into_owned()
    }

    /// The row with other values in some columns.
    fn with(&self, mut columns: Vec<i32>, values: Vec<Option<pg_sys::Datum>>) -> pg_sys::HeapTuple {
        let mut nulls: Vec<bool> = values.iter().map(Option::is_none).collect();
        let mut values: Vec<_> = values
            .into_iter()
            .map(|value| value.unwrap_or(pg_sys::Datum::from(0)))
            .collect();
        // SAFETY: the arrays have one entry a column that is replaced; the result is a fresh copy.
        unsafe {
            pg_sys::heap_modify_tuple_by_cols(
                self.tuple,
                self.descriptor(),
                i32::try_from(columns.len()).unwrap_or(0),
                columns.as_mut_ptr(),
                values.as_mut_ptr(),
                nulls.as_mut_ptr(),
            )
        }
    }
}

/// A varlena as it is stored.
///
/// # Safety
/// The datum must be a varlena that outlives the slice.
unsafe fn stored<'a>(datum: pg_sys::Datum) -> &'a [u8] {
    let first = datum.cast_mut_ptr::<pg_sys::varlena>();
    // SAFETY: by the caller.
    unsafe { std::slice::from_raw_parts(first.cast::<u8>(), pgrx::varsize_any(first)) }
}

/// The row that is to be written, and the trigger's arguments.
///
/// # Safety
/// `fcinfo` must be what PostgreSQL passed to a trigger function.
unsafe fn called_with<'a>(fcinfo: pg_sys::FunctionCallInfo) -> (Row, Vec<&'a CStr>) {
    // SAFETY: by the caller; tg_newtuple is set for UPDATE alone, and tgargs has tgnargs C strings.
    unsafe {
        let data = trigger_data(fcinfo);
        let (tuple, before) = if (*data).tg_newtuple.is_null() {
            ((*data).tg_trigtuple, None)
        } else {
            ((*data).tg_newtuple, Some((*data).tg_trigtuple))
        };
        if tuple.is_null() {
            pgrx::error!("tms.redact_row() is a row trigger before INSERT or UPDATE");
        }
        let trigger = &*(*data).tg_trigger;
        let arguments = (0..usize::try_from(trigger.tgnargs).unwrap_or(0))
            .map(|index| CStr::from_ptr(*trigger.tgargs.add(index)))
            .collect();
        let relation = (*data).tg_relation;
        let row = Row {
            relation,
            tuple,
            before,
        };
        (row, arguments)
    }
}

/// A column's name, and whether it becomes NULL where it cannot be redacted: it is then given with a `?` at its end. For copies
/// beside what must be written down in any case.
fn parts(argument: &CStr) -> (Cow<'_, CStr>, bool) {
    let bytes = argument.to_bytes();
    match bytes.strip_suffix(b"?") {
        // Without its NUL a C string's bytes hold none.
        Some(name) => (Cow::Owned(CString::new(name).unwrap_or_default()), true),
        None => (Cow::Borrowed(argument), false),
    }
}

declare_v1!(pg_finfo_tms_redact_row);
/// Redacts the columns that the trigger names, whoever writes the row.
#[unsafe(no_mangle)] // SAFETY: the name is unique in this library.
#[pg_guard]
pub extern "C-unwind" fn tms_redact_row(fcinfo: pg_sys::FunctionCallInfo) -> pg_sys::Datum {
    // SAFETY: PostgreSQL calls this as a trigger.
    let (row, arguments) = unsafe { called_with(fcinfo) };
    let (mut columns, mut values) = (Vec::new(), Vec::new());
    {
        let mut landing = Landing::new(row.table(), row.uuid(c"company_id"), row.text(c"agent_name"));
        for argument in arguments {
            let (name, may_go) = parts(argument);
            let name = name.as_ref();
            let Some(column) = row.column(name) else {
                pgrx::error!("tms.redact_row() was given a column that the table does not have");
            };
            let Some(datum) = row.datum(column) else { continue };
            if row.is_unchanged(column, datum) {
                continue;
            }
            let name = name.to_string_lossy();
            let landed = match row.type_of(column) {
                pg_sys::TEXTOID => {
                    // SAFETY: a text of the row, which outlives the trigger's call.
                    let text = unsafe { array::text_in_place(datum) };
                    Ok(landing.text(&name, &text))
                }
                pg_sys::JSONBOID => landing.json(&name, datum),
                _ => pgrx::error!("tms.redact_row() redacts columns of type text and jsonb alone"),
            };
            match landed {
                Ok(Landed::Same) => {}
                Ok(Landed::Text(text)) => {
                    columns.push(column);
                    values.push(Some(array::text(&text)));
                }
                Ok(Landed::Json(datum)) => {
                    columns.push(column);
                    values.push(Some(datum));
                }
                Err(_) if may_go => {
                    columns.push(column);
                    values.push(None);
                }
                Err(error) => raise(error),
            }
        }
        landing.tell();
    }
    if columns.is_empty() {
        return pg_sys::Datum::from(row.tuple);
    }
    pg_sys::Datum::from(row.with(columns, values))
}
