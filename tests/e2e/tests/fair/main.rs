//! Stories of fairness, schedules, and of what becomes due behind everybody's back.
//!
//! - `companies`: one company's backlog and another's event     - `targets`: one target's trouble and another's events
//! - `schedules`: late commits, times, edits by hand            - `within`: all of it mixed, each within five seconds
//! - `clock`: the server's clock is set back by an hour

mod clock;
mod companies;
mod schedules;
mod targets;
mod within;

use postgres::Client;
use tms_e2e::story::number;

/// A company by its number.
fn company(number: u32) -> String {
    format!("'{number:08}-0000-4000-8000-000000000000'::uuid")
}

/// Events of one company for one target, in one transaction.
#[track_caller]
fn backlog(client: &mut Client, target: &str, company: &str, events: u32) {
    let statement = format!(
        "SELECT count(*) FROM unnest(tms_enqueue_batch('load.moved',
                array(SELECT jsonb_build_object('n', n) FROM generate_series(1, {events}) n), '{target}', {company}))"
    );
    assert_eq!(number(client, &statement), i64::from(events));
}
