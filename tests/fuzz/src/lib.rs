//! What must hold for every input that comes from outside, however odd.
//!
//! A room per reader; each has a `check` that takes any bytes, panics when something that must hold does not, and
//! answers whether the input was accepted, so that a run can tell whether it reached both sides.
//!
//! | room | what is read | who chooses it |
//! |---|---|---|
//! | [`retry_after`] | the Retry-After header | any receiver |
//! | [`signature`] | a signed message, and a signing secret | whoever knows a webhook's URL |
//! | [`url`] | the URL of a target | whoever may set targets |
//! | [`address`] | the address that is dialled | whoever answers for a name |
//! | [`pattern`] | the pattern of a subscription, and event types | whoever subscribes or publishes |
//!
//! `cargo test -p tms-fuzz` plays thousands of mutated inputs in seconds, the same ones each time. For a search
//! without end see `libfuzzer/README.md`.
#![forbid(unsafe_code)]

pub mod address;
pub mod mutation;
pub mod path;
pub mod pattern;
pub mod pii;
pub mod retry_after;
pub mod signature;
pub mod url;

/// Something to fuzz.
pub struct Target {
    /// The name of the room and of the fuzzer's program.
    pub name: &'static str,
    /// Panics when something that must hold does not; answers whether the input was accepted.
    pub check: fn(&[u8]) -> bool,
    /// Inputs to begin with.
    pub seeds: &'static [&'static [u8]],
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "retry_after",
        check: retry_after::check,
        seeds: retry_after::SEEDS,
    },
    Target {
        name: "signature",
        check: signature::check,
        seeds: signature::SEEDS,
    },
    Target {
        name: "url",
        check: url::check,
        seeds: url::SEEDS,
    },
    Target {
        name: "address",
        check: address::check,
        seeds: address::SEEDS,
    },
    Target {
        name: "pattern",
        check: pattern::check,
        seeds: pattern::SEEDS,
    },
    Target {
        name: "pii",
        check: pii::check,
        seeds: pii::SEEDS,
    },
    Target {
        name: "path",
        check: path::check,
        seeds: path::SEEDS,
    },
];

/// The bytes as text, as far as they are; readers take `&str`.
fn text(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}
