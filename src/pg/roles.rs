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

/// Runs `work` with the rights of a role, in a context where it can change neither role nor session. An error restores the rights
/// with the transaction's abort.
pub(crate) fn restricted_to<R>(role: u32, work: impl FnOnce() -> R) -> R {
    let (mut user, mut context) = (pg_sys::InvalidOid, 0);
    // SAFETY: saves and restores the current user around a closure that runs statements of ours only.
    unsafe {
        pg_sys::GetUserIdAndSecContext(&raw mut user, &raw mut context);
        pg_sys::SetUserIdAndSecContext(
            pg_sys::Oid::from(role),
            context
                | pg_sys::SECURITY_LOCAL_USERID_CHANGE as i32
                | pg_sys::SECURITY_RESTRICTED_OPERATION as i32,
        );
        let result = work();
        pg_sys::SetUserIdAndSecContext(user, context);
        result
    }
}
