//! Event ids: made from this server's clock, in the order of time.

use std::collections::HashSet;

use pgrx::prelude::*;

use crate::api::outbox::new_id;
use crate::pg::server::{self, PG_EPOCH_US};

/// The millisecond an id carries.
fn milliseconds(id: [u8; 16]) -> u64 {
    id[..6]
        .iter()
        .fold(0, |value, byte| (value << 8) | u64::from(*byte))
}

fn unix_milliseconds() -> u64 {
    u64::try_from((server::now() + PG_EPOCH_US) / 1_000).unwrap()
}

#[pg_test]
fn an_id_has_the_version_the_variant_and_the_time_of_its_making() {
    let before = unix_milliseconds();
    let id = new_id();
    assert_eq!(id[6] >> 4, 7);
    assert_eq!(id[8] >> 6, 0b10);
    assert!((before..=unix_milliseconds()).contains(&milliseconds(id)));
}

#[pg_test]
fn ids_of_different_microseconds_sort_by_time() {
    let mut last = new_id();
    for _ in 0..1_000 {
        let now = server::now();
        while server::now() <= now {}
        let next = new_id();
        assert!(last < next, "{last:02x?} is not before {next:02x?}");
        last = next;
    }
}

#[pg_test]
fn no_id_comes_twice() {
    let ids: HashSet<_> = (0..100_000).map(|_| new_id()).collect();
    assert_eq!(ids.len(), 100_000);
}

#[pg_test]
fn the_default_of_the_table_is_such_an_id() {
    let id = Spi::get_one::<String>("SELECT tms.uuid_v7()::text")
        .unwrap()
        .unwrap();
    assert_eq!(id.len(), 36);
    assert_eq!(&id[14..15], "7", "{id}");
    assert!("89ab".contains(&id[19..20]), "{id}");
}
