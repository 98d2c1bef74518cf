//! Stories of order and of being enqueued once.
//!
//! - `keys`: one key, through retries and dead heads            - `together`: many sessions at once
//! - `crowds`: a hundred thousand keys in one transaction       - `hands`: what people do to a queue with keys
//! - `crashes`: kill -9 with keys in flight                     - `once`: idempotency keys

mod crashes;
mod crowds;
mod hands;
mod keys;
mod once;
mod together;

use tms_e2e::keys::{objections, of_database, of_one_life};
use tms_e2e::story::Story;

/// Everything with a key has arrived, each key's events one after the other.
#[track_caller]
fn came_in_order(story: &Story) {
    let keys = of_database(&mut story.client()).expect("the keys");
    assert!(!keys.is_empty(), "no event has a key");
    let wrong = objections(&keys, &of_one_life(&story.receiver.ids()));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
