//! Prepared statements that live as long as the process, with typed arguments and rows.
//!
//! pgrx's own client copies a row's values through its generic conversions and plans a text each time it is asked; the hot
//! paths here run tens of thousands of statements a second.

use std::cell::Cell;
use std::ffi::CStr;

use pgrx::pg_sys;

use super::array;
use super::set::AnswerSet;

/// A statement that is prepared at its first use and kept.
pub(crate) struct Statement {
    text: &'static CStr,
    types: &'static [pg_sys::Oid],
    plan: Cell<pg_sys::SPIPlanPtr>,
}

// SAFETY: the cell is touched by PostgreSQL's thread alone; every path to it goes through SPI, which other threads may not call.
unsafe impl Sync for Statement {}

impl Statement {
    /// Names a statement and the types of its parameters.
    pub(crate) const fn new(text: &'static CStr, types: &'static [pg_sys::Oid]) -> Self {
        Self {
            text,
            types,
            plan: Cell::new(std::ptr::null_mut()),
        }
    }

    fn plan(&self) -> pg_sys::SPIPlanPtr {
        if self.plan.get().is_null() {
            // SAFETY: within SPI (a Session exists); text and types outlive the call; SPI_keepplan moves the plan to a context
            // that lives as long as the process.
            unsafe {
                let plan = pg_sys::SPI_prepare(
                    self.text.as_ptr(),
                    i32::try_from(self.types.len()).unwrap_or(0),
                    self.types.as_ptr().cast_mut(),
                );
                if plan.is_null() || pg_sys::SPI_keepplan(plan) != 0 {
                    pgrx::error!("a statement of tms could not be prepared");
                }
                self.plan.set(plan);
            }
        }
        self.plan.get()
    }
}

/// A value on its way into a statement.
pub(crate) enum Arg<'a> {
    Null,
    Bool(bool),
    Int4(i32),
    Int8(i64),
    Float8(f64),
    Text(&'a str),
    Uuid(&'a [u8; 16]),
    Timestamp(i64),
    Oid(u32),
    /// A value PostgreSQL gave us, handed back as it is.
    Datum(pg_sys::Datum),
    UuidArray(&'a [[u8; 16]]),
    TidArray(&'a [Tid]),
    Int4Array(&'a [i32]),
    Int8Array(&'a [i64]),
    TimestampArray(&'a [i64]),
    Float8Array(&'a [f64]),
    TextArray(&'a [Option<String>]),
    BoolArray(&'a [bool]),
    NullableUuidArray(&'a [Option<[u8; 16]>]),
    NullableInt4Array(&'a [Option<i32>]),
}

impl Arg<'_> {
    fn datum(&self) -> Option<pg_sys::Datum> {
        Some(match self {
            Arg::Null => return None,
            Arg::Bool(value) => pg_sys::Datum::from(*value),
            Arg::Int4(value) => pg_sys::Datum::from(*value),
            Arg::Int8(value) | Arg::Timestamp(value) => pg_sys::Datum::from(*value),
            Arg::Float8(value) => pg_sys::Datum::from(value.to_bits()),
            Arg::Text(value) => array::text(value),
            Arg::Uuid(value) => pg_sys::Datum::from(value.as_ptr()),
            Arg::Oid(value) => pg_sys::Datum::from(*value),
            Arg::Datum(value) => *value,
            Arg::UuidArray(values) => array::uuids(values),
            Arg::TidArray(values) => array::tids(values),
            Arg::Int4Array(values) => array::int4s(values),
            Arg::Int8Array(values) => array::int8s(values),
            Arg::TimestampArray(values) => array::timestamps(values),
            Arg::Float8Array(values) => array::float8s(values),
            Arg::BoolArray(values) => array::bools(values),
            Arg::TextArray(values) => array::nullable_texts(values),
            Arg::NullableUuidArray(values) => array::nullable_uuids(values),
            Arg::NullableInt4Array(values) => array::nullable_int4s(values),
        })
    }
}

/// Place of a row version, as `ctid` gives it.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Tid(pub(super) pg_sys::ItemPointerData);

impl Tid {
    /// Block and line, to put neighbours beside each other.
    pub(crate) fn place(self) -> (u16, u16, u16) {
        let block = self.0.ip_blkid;
        (block.bi_hi, block.bi_lo, self.0.ip_posid)
    }
}

/// Which rows a statement sees.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// What the transaction's isolation level says, for statements that may write.
    Transaction,
    /// What is committed now, whatever the isolation level.
    Latest,
}

/// A connection to SPI; ends with the closure that [`connect`] runs.
pub(crate) struct Session(());

/// Runs `work` connected to SPI. On an error the transaction's abort cleans up.
pub(crate) fn connect<R>(work: impl FnOnce(&Session) -> R) -> R {
    // SAFETY: SPI_connect and SPI_finish are paired on the normal path; on an error AtEOXact_SPI or AtEOSubXact_SPI closes it.
    unsafe {
        pg_sys::SPI_connect();
        let result = work(&Session(()));
        pg_sys::SPI_finish();
        result
    }
}

impl Session {
    /// Runs a statement; `limit` 0 means all rows.
    pub(crate) fn run(&self, statement: &Statement, args: &[Arg<'_>], limit: i64) -> Rows {
        self.execute(statement, args, limit, View::Transaction)
    }

    /// Reads what is committed at this moment, also inside REPEATABLE READ.
    pub(crate) fn read_latest(&self, statement: &Statement, args: &[Arg<'_>]) -> Rows {
        self.execute(statement, args, 0, View::Latest)
    }

    fn execute(&self, statement: &Statement, args: &[Arg<'_>], limit: i64, view: View) -> Rows {
        let plan = statement.plan();
        let mut values = Vec::with_capacity(args.len());
        let mut nulls = Vec::with_capacity(args.len());
        for arg in args {
            let datum = arg.datum();
            nulls.push(if datum.is_none() { b'n' } else { b' ' } as std::ffi::c_char);
            values.push(datum.unwrap_or(pg_sys::Datum::from(0)));
        }
        // SAFETY: values and nulls have one entry a parameter and outlive the call; by-reference datums point to memory of the
        // caller or of SPI's context. The snapshot is registered for as long as the statement runs.
        unsafe {
            let code = match view {
                View::Transaction => {
                    pg_sys::SPI_execute_plan(plan, values.as_mut_ptr(), nulls.as_ptr(), false, limit as _)
                }
                View::Latest => {
                    let snapshot = pg_sys::RegisterSnapshot(pg_sys::GetLatestSnapshot());
                    let code = pg_sys::SPI_execute_snapshot(
                        plan,
                        values.as_mut_ptr(),
                        nulls.as_ptr(),
                        snapshot,
                        std::ptr::null_mut(),
                        true,
                        false,
                        limit as _,
                    );
                    pg_sys::UnregisterSnapshot(snapshot);
                    code
                }
            };
            if code < 0 {
                pgrx::error!("a statement of tms failed with SPI code {code}");
            }
            Rows {
                table: pg_sys::SPI_tuptable,
                processed: pg_sys::SPI_processed,
            }
        }
    }

    /// Runs a text once, for statements that cannot be prepared (GRANT, SET).
    pub(crate) fn run_once(&self, text: &CStr) {
        // SAFETY: text is NUL-terminated and outlives the call.
        let code = unsafe { pg_sys::SPI_execute(text.as_ptr(), false, 0) };
        if code < 0 {
            pgrx::error!("a statement of tms failed with SPI code {code}");
        }
    }
}

/// What a statement answered. Values are read out of it; it is freed when it goes.
pub(crate) struct Rows {
    table: *mut pg_sys::SPITupleTable,
    processed: u64,
}

impl Drop for Rows {
    fn drop(&mut self) {
        // SAFETY: the table is ours or NULL, and freed once; during an error's unwinding SPI's own cleanup frees it.
        unsafe {
            if !self.table.is_null() && !std::thread::panicking() {
                pg_sys::SPI_freetuptable(self.table);
            }
        }
    }
}

impl Rows {
    /// Rows that were returned, or changed.
    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.processed).unwrap_or(usize::MAX)
    }

    /// Each returned row.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let returned = if self.table.is_null() { 0 } else { self.count() };
        (0..returned).map(move |index| Row { rows: self, index })
    }

    /// Adds each returned row to a function's answer; the statement returns the columns that the function declares.
    pub(crate) fn append_to(&self, answer: &AnswerSet) {
        let returned = if self.table.is_null() { 0 } else { self.count() };
        for index in 0..returned {
            // SAFETY: index is below the number of returned rows; the columns are the caller's promise, which a test of each
            // such function keeps.
            unsafe { answer.put(*(*self.table).vals.add(index)) }
        }
    }

    /// The first row, if there is one.
    pub(crate) fn first(&self) -> Option<Row<'_>> {
        self.iter().next()
    }
}

/// One row; columns count from 1.
pub(crate) struct Row<'a> {
    rows: &'a Rows,
    index: usize,
}

impl Row<'_> {
    /// The value as PostgreSQL holds it; valid as long as the rows.
    pub(crate) fn datum(&self, column: i32) -> Option<pg_sys::Datum> {
        let mut is_null = false;
        // SAFETY: index is below the number of returned rows; SPI_getbinval checks the column number itself.
        let datum = unsafe {
            let table = &*self.rows.table;
            pg_sys::SPI_getbinval(
                *table.vals.add(self.index),
                table.tupdesc,
                column,
                &raw mut is_null,
            )
        };
        (!is_null).then_some(datum)
    }

    /// A uuid.
    pub(crate) fn uuid(&self, column: i32) -> Option<[u8; 16]> {
        // SAFETY: a uuid datum points to 16 bytes.
        self.datum(column)
            .map(|datum| unsafe { *datum.cast_mut_ptr::<[u8; 16]>() })
    }

    /// A bigint, or a timestamp in microseconds since 2000-01-01 UTC.
    pub(crate) fn int8(&self, column: i32) -> Option<i64> {
        self.datum(column).map(|datum| datum.value() as i64)
    }

    /// An integer.
    pub(crate) fn int4(&self, column: i32) -> Option<i32> {
        self.datum(column).map(|datum| datum.value() as i32)
    }

    /// A boolean.
    pub(crate) fn bool(&self, column: i32) -> Option<bool> {
        self.datum(column).map(|datum| datum.value() as u8 != 0)
    }

    /// A text.
    pub(crate) fn text(&self, column: i32) -> Option<String> {
        self.datum(column).map(array::text_of)
    }

    /// The place of a row version.
    pub(crate) fn tid(&self, column: i32) -> Option<Tid> {
        // SAFETY: a tid datum points to an ItemPointerData.
        self.datum(column)
            .map(|datum| Tid(unsafe { *datum.cast_mut_ptr::<pg_sys::ItemPointerData>() }))
    }
}
