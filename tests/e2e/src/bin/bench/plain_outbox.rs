//! The table to compare with: the outbox's columns, defaults and indexes, without triggers and without row-level security.

use crate::ground::Ground;

/// An application's role, bound to a company, which may enqueue and insert into the plain table.
pub const APPLICATION: &str = "carrier_app";

pub fn create(ground: &mut Ground) {
    ground.command(
        "CREATE TABLE plain_outbox (LIKE tms.event_outbox INCLUDING ALL);
         CREATE ROLE carrier_app LOGIN;
         SELECT tms_bind_role('carrier_app', '0190c0de-0000-7000-8000-00000000000a');
         SELECT tms_grant('carrier_app', 'producer');
         GRANT INSERT ON plain_outbox TO carrier_app;
         GRANT USAGE ON SEQUENCE tms.event_outbox_seq TO carrier_app;
         GRANT EXECUTE ON FUNCTION tms.uuid_v7() TO carrier_app",
    );
}

/// Both tables as they were when they were new.
pub fn empty_both(ground: &mut Ground) {
    ground.command("TRUNCATE plain_outbox");
    ground.empty();
}
