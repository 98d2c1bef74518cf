//! `tms.role_bindings` and `tms.role_capabilities`: which role is which company, and what it was given.

use pgrx::pg_sys::{OIDOID, TEXTOID, UUIDOID};

use crate::pg::cache::{self, Binding};
use crate::pg::spi::{self, Arg, Statement};

/// What a role is bound to, from memory or from the table.
pub(crate) fn binding(role: u32) -> Binding {
    static BINDING: Statement = Statement::new(
        c"SELECT b.company_id FROM tms.role_bindings b WHERE b.role OPERATOR(pg_catalog.=) $1",
        &[OIDOID],
    );
    cache::binding(role, |role| {
        spi::connect(|session| {
            let rows = session.read_latest(&BINDING, &[Arg::Oid(role)]);
            rows.first().map_or(Binding::None, |row| {
                row.uuid(1).map_or(Binding::Enrolled, Binding::Bound)
            })
        })
    })
}

/// Binds a role to a company, or with `None` enrols it.
pub(crate) fn bind(role: u32, company: Option<[u8; 16]>) {
    static BIND: Statement = Statement::new(
        c"INSERT INTO tms.role_bindings AS b (role, company_id) VALUES ($1::pg_catalog.regrole, $2)
          ON CONFLICT (role) DO UPDATE SET company_id = EXCLUDED.company_id, created_at = pg_catalog.now()",
        &[OIDOID, UUIDOID],
    );
    spi::connect(|session| {
        session
            .run(
                &BIND,
                &[Arg::Oid(role), company.as_ref().map_or(Arg::Null, Arg::Uuid)],
                0,
            )
            .count()
    });
}

/// Takes a role's binding away; true when there was one.
pub(crate) fn unbind(role: u32) -> bool {
    static UNBIND: Statement = Statement::new(
        c"DELETE FROM tms.role_bindings b WHERE b.role OPERATOR(pg_catalog.=) $1",
        &[OIDOID],
    );
    spi::connect(|session| session.run(&UNBIND, &[Arg::Oid(role)], 0).count()) > 0
}

/// Records a capability.
pub(crate) fn add_capability(role: u32, capability: &str) {
    static ADD: Statement = Statement::new(
        c"INSERT INTO tms.role_capabilities (role, capability) VALUES ($1::pg_catalog.regrole, $2) ON CONFLICT DO NOTHING",
        &[OIDOID, TEXTOID],
    );
    spi::connect(|session| {
        session
            .run(&ADD, &[Arg::Oid(role), Arg::Text(capability)], 0)
            .count()
    });
}

/// Forgets a capability.
pub(crate) fn remove_capability(role: u32, capability: &str) {
    static REMOVE: Statement = Statement::new(
        c"DELETE FROM tms.role_capabilities c
           WHERE c.role OPERATOR(pg_catalog.=) $1 AND c.capability OPERATOR(pg_catalog.=) $2",
        &[OIDOID, TEXTOID],
    );
    spi::connect(|session| {
        session
            .run(&REMOVE, &[Arg::Oid(role), Arg::Text(capability)], 0)
            .count()
    });
}

/// Capabilities a role has.
pub(crate) fn capabilities(role: u32) -> Vec<String> {
    static LIST: Statement = Statement::new(
        c"SELECT c.capability FROM tms.role_capabilities c WHERE c.role OPERATOR(pg_catalog.=) $1",
        &[OIDOID],
    );
    spi::connect(|session| {
        session
            .run(&LIST, &[Arg::Oid(role)], 0)
            .iter()
            .filter_map(|row| row.text(1))
            .collect()
    })
}

/// Removes what is left of roles that were dropped, before their OIDs can come round again.
pub(crate) fn remove_orphans() {
    static BINDINGS: Statement = Statement::new(
        c"DELETE FROM tms.role_bindings b
           WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) b.role)",
        &[],
    );
    static CAPABILITIES: Statement = Statement::new(
        c"DELETE FROM tms.role_capabilities c
           WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_roles r WHERE r.oid OPERATOR(pg_catalog.=) c.role)",
        &[],
    );
    spi::connect(|session| {
        session.run(&BINDINGS, &[], 0);
        session.run(&CAPABILITIES, &[], 0);
    });
}
