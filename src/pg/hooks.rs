//! Hooks: what other sessions do that the workers must make room for, or hear of.
//!
//! DROP, RENAME, SET TABLESPACE and CREATE ... TEMPLATE need a database nobody is connected to, and DROP or ALTER EXTENSION
//! needs the tables free: the workers of that database are asked to leave first, and come back when the transaction ended.

use std::cell::Cell;
use std::ffi::CStr;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pgrx::pg_sys;
use pgrx::prelude::*;

use super::shmem::{self, Hook, Slot, State};
use super::{alone, server, wake};

type UtilityHook = unsafe extern "C-unwind" fn(
    *mut pg_sys::PlannedStmt,
    *const std::ffi::c_char,
    bool,
    pg_sys::ProcessUtilityContext::Type,
    pg_sys::ParamListInfo,
    *mut pg_sys::QueryEnvironment,
    *mut pg_sys::DestReceiver,
    *mut pg_sys::QueryCompletion,
);
type AccessHook = unsafe extern "C-unwind" fn(
    pg_sys::ObjectAccessType::Type,
    pg_sys::Oid,
    pg_sys::Oid,
    std::ffi::c_int,
    *mut std::ffi::c_void,
);

static PREVIOUS_UTILITY: Hook<UtilityHook> = Hook::new();
static PREVIOUS_ACCESS: Hook<AccessHook> = Hook::new();

/// How long a statement waits for the workers to leave: their grace for requests in flight, and a little.
const LEAVE_MARGIN: Duration = Duration::from_secs(2);

static PREVIOUS_LOG: Hook<unsafe extern "C-unwind" fn(*mut pg_sys::ErrorData)> = Hook::new();

/// Functions that are handed secrets: a statement that names one does not go to the server log when it fails.
const TAKE_SECRETS: [&[u8]; 2] = [b"tms_target_set", b"tms_webhook_source_set"];

thread_local! {
    // Set while such a function runs, also when the statement that failed does not name it (EXECUTE, a wrapper function).
    static HANDLES_SECRETS: Cell<bool> = const { Cell::new(false) };
}

/// A function that is handed secrets begins, or has ended well; a failure is followed by the transaction's abort.
pub(crate) fn handle_secrets(begins: bool) {
    HANDLES_SECRETS.set(begins);
}

/// Installs the hook that every process with the library needs, preloaded or not.
pub(crate) fn register_log() {
    // SAFETY: the hook is a plain global of this process.
    unsafe {
        PREVIOUS_LOG.keep(pg_sys::emit_log_hook);
        pg_sys::emit_log_hook = Some(on_log);
    }
}

/// Runs while an error is reported: it must not raise one, so it compares bytes, sets flags and makes one small copy.
#[pg_guard]
unsafe extern "C-unwind" fn on_log(error: *mut pg_sys::ErrorData) {
    // SAFETY: the error data is PostgreSQL's own and writable here, before it is written to the log; what is put into it is
    // allocated where it keeps its own texts.
    unsafe {
        if HANDLES_SECRETS.get() || statement_takes_secrets() {
            (*error).hide_stmt = true;
            // The context of an error in a jsonb literal quotes the literal, and so does its detail.
            (*error).hide_ctx = true;
            if !(*error).detail.is_null() && (*error).detail_log.is_null() {
                let instead = c"(not logged: the statement takes secrets)";
                (*error).detail_log = pg_sys::MemoryContextStrdup((*error).assoc_context, instead.as_ptr());
            }
        }
        if tells_a_password((*error).message) {
            // A reload reports what it changed, value and all.
            let instead = c"parameter \"tms.http_proxy\" changed (its value may hold a password)";
            (*error).message = pg_sys::MemoryContextStrdup((*error).assoc_context, instead.as_ptr());
        }
        if let Some(previous) = PREVIOUS_LOG.previous() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous(error));
        }
    }
}

/// Whether a message quotes the setting that may hold a password together with a URL.
///
/// # Safety
/// `message` must be NULL or NUL-terminated.
unsafe fn tells_a_password(message: *const std::ffi::c_char) -> bool {
    if message.is_null() {
        return false;
    }
    // SAFETY: by the caller.
    let text = unsafe { CStr::from_ptr(message) }.to_bytes();
    let has = |part: &[u8]| text.windows(part.len()).any(|found| found == part);
    has(b"tms.http_proxy") && has(b"://")
}

/// # Safety
/// Must run on PostgreSQL's thread.
unsafe fn statement_takes_secrets() -> bool {
    // SAFETY: the query string is NULL or NUL-terminated.
    unsafe {
        if pg_sys::debug_query_string.is_null() {
            return false;
        }
        let text = CStr::from_ptr(pg_sys::debug_query_string).to_bytes();
        TAKE_SECRETS.iter().any(|name| {
            text.windows(name.len())
                .any(|part| part.eq_ignore_ascii_case(name))
        })
    }
}

/// Installs the hooks; they are inherited by every backend.
pub(crate) fn register() {
    // SAFETY: hooks are plain globals, changed by the postmaster while it loads libraries.
    unsafe {
        PREVIOUS_UTILITY.keep(pg_sys::ProcessUtility_hook);
        pg_sys::ProcessUtility_hook = Some(on_utility);
        PREVIOUS_ACCESS.keep(pg_sys::object_access_hook);
        pg_sys::object_access_hook = Some(on_access);
    }
}

/// What a statement needs of the workers.
enum Need {
    Nothing,
    /// Nobody connected to this database.
    Leave(u32),
    /// Nobody at work in the tables of this extension.
    Drop(pg_sys::Oid),
    /// The dispatcher must look through its queue afterwards.
    Rescan,
}

#[pg_guard]
#[allow(clippy::too_many_arguments)] // the signature is PostgreSQL's
unsafe extern "C-unwind" fn on_utility(
    statement: *mut pg_sys::PlannedStmt,
    text: *const std::ffi::c_char,
    read_only_tree: bool,
    context: pg_sys::ProcessUtilityContext::Type,
    params: pg_sys::ParamListInfo,
    environment: *mut pg_sys::QueryEnvironment,
    destination: *mut pg_sys::DestReceiver,
    completion: *mut pg_sys::QueryCompletion,
) {
    // SAFETY: the statement is the one PostgreSQL is about to run; it is handed on untouched, to the previous hook or to the
    // standard function.
    unsafe {
        let need = need_of((*statement).utilityStmt);
        match need {
            Need::Leave(database) => ask_to_leave(database),
            Need::Drop(extension) => {
                ask_to_leave(server::database());
                alone::have_tables_of(extension);
            }
            Need::Nothing | Need::Rescan => {}
        }
        match PREVIOUS_UTILITY.previous() {
            Some(run) => pg_sys::ffi::pg_guard_ffi_boundary(|| {
                run(
                    statement,
                    text,
                    read_only_tree,
                    context,
                    params,
                    environment,
                    destination,
                    completion,
                )
            }),
            None => pg_sys::standard_ProcessUtility(
                statement,
                text,
                read_only_tree,
                context,
                params,
                environment,
                destination,
                completion,
            ),
        }
        if matches!(need, Need::Rescan) {
            note_what_was_prepared();
        }
    }
}

/// What a prepared transaction did is not known here: everything that a note could have told is looked at.
fn note_what_was_prepared() {
    wake::note_rescan();
    wake::note_targets();
    // SAFETY: a catalog look-up by name; missing_ok answers InvalidOid.
    let is_here = unsafe { pg_sys::get_extension_oid(c"tms".as_ptr(), true) } != pg_sys::InvalidOid;
    let is_served = shmem::my_slot().is_some_and(|slot| slot.state() != State::Absent);
    if is_here != is_served {
        wake::note_extension();
    }
}

/// # Safety
/// `node` must be a utility statement's parse tree.
unsafe fn need_of(node: *mut pg_sys::Node) -> Need {
    use pg_sys::NodeTag as Tag;
    // SAFETY: each cast follows the node's tag.
    unsafe {
        match (*node).type_ {
            Tag::T_DropdbStmt => leave((*node.cast::<pg_sys::DropdbStmt>()).dbname),
            Tag::T_CreatedbStmt => template_of((*node.cast::<pg_sys::CreatedbStmt>()).options),
            Tag::T_AlterDatabaseStmt => {
                let alter = &*node.cast::<pg_sys::AlterDatabaseStmt>();
                match option(alter.options, c"tablespace") {
                    Some(_) => leave(alter.dbname),
                    None => Need::Nothing,
                }
            }
            Tag::T_RenameStmt => {
                let rename = &*node.cast::<pg_sys::RenameStmt>();
                if rename.renameType == pg_sys::ObjectType::OBJECT_DATABASE {
                    leave(rename.subname)
                } else {
                    Need::Nothing
                }
            }
            Tag::T_DropStmt => {
                let drop = &*node.cast::<pg_sys::DropStmt>();
                if drop.removeType == pg_sys::ObjectType::OBJECT_EXTENSION && names_tms(drop.objects) {
                    own_extension().map_or(Need::Nothing, Need::Drop)
                } else {
                    Need::Nothing
                }
            }
            Tag::T_AlterExtensionStmt => {
                let alter = &*node.cast::<pg_sys::AlterExtensionStmt>();
                if is(alter.extname, c"tms") && own_extension().is_some() {
                    wake::note_extension();
                    Need::Leave(server::database())
                } else {
                    Need::Nothing
                }
            }
            Tag::T_TransactionStmt => {
                let transaction = &*node.cast::<pg_sys::TransactionStmt>();
                if transaction.kind == pg_sys::TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED {
                    Need::Rescan
                } else {
                    Need::Nothing
                }
            }
            _ => Need::Nothing,
        }
    }
}

/// # Safety
/// `name` must be NULL or a C string.
unsafe fn is(name: *const std::ffi::c_char, expected: &CStr) -> bool {
    // SAFETY: by the caller.
    unsafe { !name.is_null() && CStr::from_ptr(name) == expected }
}

/// # Safety
/// `name` must be NULL or a C string.
unsafe fn leave(name: *const std::ffi::c_char) -> Need {
    if name.is_null() {
        return Need::Nothing;
    }
    // SAFETY: by the caller; missing_ok answers InvalidOid.
    let oid = unsafe { pg_sys::get_database_oid(name, true) };
    if oid == pg_sys::InvalidOid || !may_empty(oid) {
        Need::Nothing
    } else {
        Need::Leave(oid.to_u32())
    }
}

/// Who has no right over a database cannot send its workers away; the statement will fail by itself.
fn may_empty(database: pg_sys::Oid) -> bool {
    owns(pg_sys::DatabaseRelationId, database)
}

/// The same for DROP and ALTER EXTENSION: the extension, for one who may do so.
fn own_extension() -> Option<pg_sys::Oid> {
    // SAFETY: a catalog look-up by name; missing_ok answers InvalidOid.
    let extension = unsafe { pg_sys::get_extension_oid(c"tms".as_ptr(), true) };
    let is_own = extension != pg_sys::InvalidOid && owns(pg_sys::ExtensionRelationId, extension);
    is_own.then_some(extension)
}

/// Whether the current user is the owner of an object, or a superuser.
fn owns(class: pg_sys::Oid, object: pg_sys::Oid) -> bool {
    // SAFETY: catalog look-ups by OID, of an object that was just found.
    unsafe {
        let user = pg_sys::GetUserId();
        #[cfg(feature = "pg15")]
        let owner = if class == pg_sys::DatabaseRelationId {
            pg_sys::pg_database_ownercheck(object, user)
        } else {
            pg_sys::pg_extension_ownercheck(object, user)
        };
        #[cfg(not(feature = "pg15"))]
        let owner = pg_sys::object_ownercheck(class, object, user);
        owner || pg_sys::superuser()
    }
}

/// # Safety
/// `list` must be a list of pointers with more than `index` elements.
unsafe fn element(list: *mut pg_sys::List, index: i32) -> *mut std::ffi::c_void {
    // SAFETY: by the caller; elements has `length` cells.
    unsafe { (*(*list).elements.add(usize::try_from(index).unwrap_or(0))).ptr_value }
}

/// # Safety
/// `options` must be NULL or a list of DefElem.
unsafe fn option(options: *mut pg_sys::List, name: &CStr) -> Option<*mut pg_sys::DefElem> {
    // SAFETY: by the caller; a NULL list is an empty one.
    unsafe {
        if options.is_null() {
            return None;
        }
        (0..(*options).length)
            .map(|index| element(options, index).cast::<pg_sys::DefElem>())
            .find(|element| is((**element).defname, name))
    }
}

/// # Safety
/// `options` must be those of CREATE DATABASE.
unsafe fn template_of(options: *mut pg_sys::List) -> Need {
    // SAFETY: by the caller; defGetString reads a DefElem.
    unsafe {
        wake::note_extension();
        match option(options, c"template") {
            Some(element) => leave(pg_sys::defGetString(element)),
            None => Need::Nothing,
        }
    }
}

/// # Safety
/// `objects` must be the list of a DROP EXTENSION: String nodes.
unsafe fn names_tms(objects: *mut pg_sys::List) -> bool {
    // SAFETY: by the caller.
    unsafe {
        !objects.is_null()
            && (0..(*objects).length)
                .map(|index| element(objects, index).cast::<pg_sys::String>())
                .any(|name| is((*name).sval, c"tms"))
    }
}

fn ask_to_leave(database: u32) {
    let Some(shared) = shmem::shared() else { return };
    let Some(slot) = shared.slot(database) else { return };
    slot.leave_for.store(server::pid(), Ordering::SeqCst);
    wake::note_leaving(database);
    slot.wake_workers();
    let deadline = Instant::now() + crate::settings::shutdown_grace() + LEAVE_MARGIN;
    while !slot.is_empty() && Instant::now() < deadline {
        wait_a_moment(slot);
    }
}

fn wait_a_moment(slot: &Slot) {
    // SAFETY: waits on this backend's own latch for at most 10 ms, and lets a cancel through.
    unsafe {
        pg_sys::WaitLatch(
            pg_sys::MyLatch,
            (pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH) as i32,
            10,
            pg_sys::PG_WAIT_EXTENSION,
        );
        pg_sys::ResetLatch(pg_sys::MyLatch);
        pgrx::check_for_interrupts!();
    }
    slot.wake_workers();
}

#[pg_guard]
unsafe extern "C-unwind" fn on_access(
    access: pg_sys::ObjectAccessType::Type,
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub_object: std::ffi::c_int,
    arg: *mut std::ffi::c_void,
) {
    // SAFETY: the previous hook is called as PostgreSQL would have called it.
    unsafe {
        if let Some(previous) = PREVIOUS_ACCESS.previous() {
            pg_sys::ffi::pg_guard_ffi_boundary(|| previous(access, class, object, sub_object, arg));
        }
    }
    let appears =
        access == pg_sys::ObjectAccessType::OAT_POST_CREATE || access == pg_sys::ObjectAccessType::OAT_DROP;
    // Any extension and any database: a look too many is cheap, and ours is not told apart before it is complete.
    if appears && (class == pg_sys::ExtensionRelationId || class == pg_sys::DatabaseRelationId) {
        wake::note_extension();
    }
}
