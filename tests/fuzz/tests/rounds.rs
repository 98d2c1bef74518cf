//! Every fuzz target, with the same mutated inputs on every run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tms_fuzz::mutation::Mutator;
use tms_fuzz::{TARGETS, Target};

const ROUNDS: usize = 20_000;

fn play(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect(name);
    let mut mutator = Mutator::new(0x7465_7374);
    let mut accepted = 0;
    for seed in target.seeds {
        accepted += usize::from(check(target, seed));
    }
    assert!(
        (1..target.seeds.len()).contains(&accepted),
        "seeds of one kind only"
    );
    accepted = 0;
    for _ in 0..ROUNDS {
        accepted += usize::from(check(target, &mutator.input(target.seeds)));
    }
    let share = accepted * 100 / ROUNDS;
    assert!(
        (3..=97).contains(&share),
        "{share}% accepted: too one-sided to mean anything"
    );
}

/// Shows the input of a failure in a form that can be made a seed.
fn check(target: &Target, input: &[u8]) -> bool {
    catch_unwind(AssertUnwindSafe(|| (target.check)(input)))
        .unwrap_or_else(|_| panic!("{} fails for b\"{}\"", target.name, input.escape_ascii()))
}

#[test]
fn retry_after() {
    play("retry_after");
}

#[test]
fn signature() {
    play("signature");
}

#[test]
fn url() {
    play("url");
}

#[test]
fn address() {
    play("address");
}

#[test]
fn pattern() {
    play("pattern");
}

#[test]
fn pii() {
    play("pii");
}

#[test]
fn path() {
    play("path");
}

#[test]
fn every_target_is_played_and_has_a_program_for_the_fuzzer() {
    let here = env!("CARGO_MANIFEST_DIR");
    let played = [
        "retry_after",
        "signature",
        "url",
        "address",
        "pattern",
        "pii",
        "path",
    ];
    assert_eq!(
        TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(),
        played
    );
    for name in played {
        let program = format!("{here}/libfuzzer/fuzz_targets/{name}.rs");
        let text = std::fs::read_to_string(&program).expect(&program);
        assert!(text.contains(&format!("tms_fuzz::{name}::check")), "{program}");
    }
}
