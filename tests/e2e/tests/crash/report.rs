//! The ledger as it is printed.

use crate::account::{Account, Share};
use crate::scene::{BATCH, End, Strike};

/// What is known of a crash while the rounds go on.
pub fn line(strike: &Strike) -> String {
    format!(
        "{:<22} at {:>5.0} commits/s, {:>4} in flight; dispatcher back after {:>5} ms",
        strike.kind,
        strike.rate,
        strike.in_flight,
        strike.outage.as_millis()
    )
}

pub fn print(strikes: &[Strike], account: &Account, end: &End) {
    println!();
    println!(
        "{:>5}  {:<22}{:>11}{:>11}{:>14}{:>11}{:>12}{:>10}{:>9}",
        "crash",
        "",
        "commits/s",
        "in flight",
        "not recorded",
        "oldest ms",
        "may repeat",
        "repeated",
        "back ms"
    );
    for (number, (strike, share)) in strikes.iter().zip(&account.shares).enumerate() {
        println!(
            "{:>5}  {:<22}{:>11.0}{}{:>9}",
            number + 1,
            strike.kind,
            strike.rate,
            counts(share),
            strike.outage.as_millis()
        );
    }
    let total = account.shares.iter().fold(Share::default(), add);
    println!("{:>5}  {:<22}{:>11}{}", "all", "", "", counts(&total));
    println!();
    println!("commits/s are events: {BATCH} to a transaction, each transaction waits for the disk");
    println!("{}", end.verdict);
    println!(
        "{:<20}{:>10}  (resolved by asking the server)",
        "lost answers", end.unanswered
    );
    println!("{:<20}{:>10}", "ordering keys", end.keys.len());
    println!("{:<20}{:>10}", "dead letters", end.dead_letters);
    println!("{:<20}{:>10}", "failed attempts", end.failed_attempts);
    println!(
        "{:<20}{:>10}",
        "recorded, repeated",
        account.recorded_and_repeated.len()
    );
    println!("{:<20}{:>10}", "twice in a life", account.twice_in_a_life.len());
}

fn counts(share: &Share) -> String {
    format!(
        "{:>11}{:>14}{:>11}{:>12}{:>10}",
        share.in_flight,
        share.not_recorded,
        share.oldest.as_millis(),
        share.may_repeat(),
        share.repeated
    )
}

fn add(sum: Share, share: &Share) -> Share {
    Share {
        in_flight: sum.in_flight + share.in_flight,
        not_recorded: sum.not_recorded + share.not_recorded,
        oldest: sum.oldest.max(share.oldest),
        repeated: sum.repeated + share.repeated,
    }
}
