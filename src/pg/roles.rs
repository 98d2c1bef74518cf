//! Roles: who calls, who is behind it, and what the catalog says of them.

use std::ffi::CString;

use pgrx::pg_sys;

/// The role that calls: the outer user, which a SECURITY DEFINER function does not change.
pub(crate) fn outer_user() -> u32 {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::GetOuterUserId() }.to_u32()
}

/// The role that logged in, or that SET SESSION AUTHORIZATION put in its place.
pub(crate) fn session_user() -> u32 {
    // SAFETY: reads a variable of this process.
    unsafe { pg_sys::GetSessionUserId() }.to_u32()
}

/// Whether the calling role is not bound by row-level security: a superuser or BYPASSRLS. Such a role acts for the platform.
pub(crate) fn is_platform() -> bool {
    // SAFETY: a catalog look-up by role OID.
    unsafe { pg_sys::has_bypassrls_privilege(pg_sys::GetOuterUserId()) }
}

/// OID of a role; `None` when there is none of this name.
pub(crate) fn oid_of(name: &str) -> Option<u32> {
    let name = CString::new(name).ok()?;
    // SAFETY: name is NUL-terminated; missing_ok answers InvalidOid instead of raising.
    let oid = unsafe { pg_sys::get_role_oid(name.as_ptr(), true) };
    (oid != pg_sys::InvalidOid).then(|| oid.to_u32())
}
