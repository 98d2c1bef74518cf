//! The crash proof: killed in the middle of delivery, round after round, nothing is lost and nothing invented, and each ordering
//! key goes on where it was. Four targets, signed; three of them with keys.
//!
//! - `scene`: the server, the receiver, the producers, and one crash after the other
//! - `blow`: what is killed        - `account`: what a crash may repeat, held against what it did
//! - `report`: the ledger as it is printed
//!
//! `TMS_CRASH_ROUNDS` says how many rounds; without it there are 10.

mod account;
mod blow;
mod report;
mod scene;

use account::Account;
use scene::{DELAY, Scene};
use tms_e2e::keys::objections;

/// What must be going on when a blow falls.
const COMMITTED_PER_SECOND: f64 = 2_000.0;
const IN_FLIGHT: usize = 200;

#[test]
fn nothing_is_lost_or_invented_in_crash_after_crash() {
    let rounds = rounds();
    let mut scene = Scene::set();
    let strikes: Vec<_> = (0..rounds).map(|number| scene.round(number)).collect();
    let end = scene.settle();
    let account = Account::of(&strikes, &end);
    report::print(&strikes, &account, &end);

    for strike in &strikes {
        assert!(
            strike.rate >= COMMITTED_PER_SECOND && strike.in_flight >= IN_FLIGHT,
            "{strike:?}"
        );
    }
    let verdict = &end.verdict;
    assert!(verdict.is_clean() && verdict.unknown == 0, "{verdict}");
    assert!(verdict.rolled_back > 0, "{verdict}");
    assert_eq!(verdict.received, verdict.committed);
    assert_eq!(end.dead_letters, 0, "dead letters by mistake");
    assert_eq!(account.objections(DELAY), [""; 0]);
    let disorder = objections(&end.keys, &account::lives(&strikes, &end));
    assert!(disorder.is_empty(), "{} keys: {disorder:#?}", end.keys.len());
    assert_eq!(end.unsigned, 0, "requests without a signature");
    assert_eq!(
        verdict.duplicates,
        account.repeated(),
        "every duplicate belongs to one crash"
    );
}

fn rounds() -> usize {
    let text = std::env::var("TMS_CRASH_ROUNDS").unwrap_or_else(|_| "10".into());
    let rounds = text.parse().ok().filter(|rounds| *rounds > 0);
    rounds.unwrap_or_else(|| panic!("TMS_CRASH_ROUNDS is not a number of rounds: {text}"))
}
