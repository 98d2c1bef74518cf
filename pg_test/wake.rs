//! Wake buckets: which part of the queue a commit tells the dispatcher to look at.

use pgrx::prelude::*;

use crate::pg::shmem::BUCKETS;
use crate::pg::wake::{bucket, hash};

#[pg_test]
fn a_target_has_one_bucket_whoever_asks() {
    // FNV-1a with 64 bits, by its published test vectors.
    for (name, known) in [
        ("", 0xcbf2_9ce4_8422_2325_u64),
        ("a", 0xaf63_dc4c_8601_ec8c),
        ("foobar", 0x8594_4171_f739_67e8),
    ] {
        assert_eq!(hash(name), known, "{name}");
        assert_eq!(bucket(known) as u64, known % BUCKETS as u64, "{name}");
    }
}

#[pg_test]
fn targets_are_spread_over_the_buckets() {
    let mut used = [0_u32; BUCKETS];
    for number in 0..4 * BUCKETS {
        used[bucket(hash(&format!("target-{number}")))] += 1;
    }
    let empty = used.iter().filter(|count| **count == 0).count();
    assert!(empty < BUCKETS / 8, "{empty} of {BUCKETS} buckets are never used");
    assert!(used.iter().all(|count| *count < 32), "{used:?}");
}
