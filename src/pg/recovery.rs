//! Whether this server began as a copy of another one: what it found in its data directory when it started, kept in a file there.
//!
//! A point-in-time restore has the same system identifier and the same databases as the server it was taken from, so nothing
//! inside the database can tell the two apart. The files PostgreSQL begins a recovery with can, and they are gone afterwards;
//! so the postmaster leaves a note beside them, with a token that each database has to acknowledge (`tms_adopt`).

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

use super::server;

// Relative to the data directory, where every process of a server is at home.
const RECOVERY_SIGNAL: &str = "recovery.signal";
const STANDBY_SIGNAL: &str = "standby.signal";
const BACKUP_LABEL: &str = "backup_label";
const NOTE: &str = "tms.recovered";
const DRAFT: &str = "tms.recovered.new";

/// Far more than a token; whatever else the file may have become, it is not read to its end.
const LONGEST_NOTE: u64 = 256;
/// Stands for a note that cannot be read: nobody has acknowledged that by chance.
const UNREADABLE: &str = "unreadable";

/// What tells this server from every other: made by initdb, kept by copies, changed by pg_upgrade.
pub(crate) fn system_identifier() -> u64 {
    // SAFETY: reads the control file's copy in shared memory, which is there in every process that is connected to a database.
    unsafe { pg_sys::GetSystemIdentifier() }
}

/// Leaves the note when this start is one of a restored copy; for the postmaster, before recovery removes the signs.
///
/// A start that fails half-way leaves a new token at the next try: harmless, since nobody has acknowledged the first.
pub(crate) fn note_start() {
    if !begins_as_copy() {
        return;
    }
    if let Err(error) = leave_note() {
        // A copy that forgot what it is would deliver the original's events a second time.
        ErrorReport::new(
            PgSqlErrorCode::ERRCODE_IO_ERROR,
            format!("tms: could not write \"{NOTE}\" in the data directory: {error}"),
            "tms",
        )
        .set_detail("This server starts from a backup; the file keeps it from delivering events until tms_adopt() is called.")
        .set_hint("Make room and rights for the file, or start without tms in shared_preload_libraries.")
        .report(PgLogLevel::FATAL);
    }
}

/// Token of the latest restore this server began as; `None` when it never did.
pub(crate) fn token() -> Option<String> {
    match read_note() {
        Ok(text) => Some(text),
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        Err(_) => Some(UNREADABLE.to_owned()),
    }
}

/// A standby goes on as the server it follows. A base backup that is started by itself is a copy like any other, also without
/// a recovery target: since version 15 a server that was never copied has no backup_label.
fn begins_as_copy() -> bool {
    let is_there = |name: &str| Path::new(name).exists();
    !is_there(STANDBY_SIGNAL) && (is_there(RECOVERY_SIGNAL) || is_there(BACKUP_LABEL))
}

/// Written beside its place and renamed: a note that is there is complete, also after a loss of power.
fn leave_note() -> io::Result<()> {
    let token = server::random_bytes::<16>().ok_or_else(|| io::Error::other("no random bytes"))?;
    let mut draft = File::create(DRAFT)?;
    writeln!(draft, "{:032x}", u128::from_be_bytes(token))?;
    draft.sync_all()?;
    fs::rename(DRAFT, NOTE)?;
    File::open(".")?.sync_all()
}

fn read_note() -> io::Result<String> {
    let mut text = String::new();
    File::open(NOTE)?.take(LONGEST_NOTE).read_to_string(&mut text)?;
    let token = text.trim();
    if token.is_empty() {
        return Err(io::Error::from(ErrorKind::InvalidData));
    }
    Ok(token.to_owned())
}
