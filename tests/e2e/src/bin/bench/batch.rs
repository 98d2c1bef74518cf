//! What tms_enqueue_batch costs, against INSERT ... SELECT of the same array into a table with the same indexes.

use std::time::Instant;

use crate::ground::{Ground, server};
use crate::options::Options;
use crate::plain_outbox;
use crate::report::{Bound, Detail, Figure};

const REQUIRED: f64 = 90.0;
const TMS: &str =
    "SELECT cardinality(tms_enqueue_batch('load.status', payloads, 'n8n')) FROM batch_of_payloads";
const PLAIN: &str = "INSERT INTO plain_outbox (event_type, payload, target_system) \
                     SELECT 'load.status', p, 'n8n' FROM batch_of_payloads, unnest(payloads) AS p";

pub fn measure(options: &Options, figure: &mut Figure) {
    let events = options.size(100_000, 20_000);
    let mut ground = Ground::start(server(), &[]);
    plain_outbox::create(&mut ground);
    ground.hold(true);
    // Kept uncompressed: reading it is no part of what is compared, and it is the same for both.
    ground.command(&format!(
        "RESET ALL;
         CREATE TABLE batch_of_payloads (payloads jsonb[]);
         ALTER TABLE batch_of_payloads ALTER payloads SET STORAGE EXTERNAL;
         INSERT INTO batch_of_payloads SELECT array_agg(jsonb_build_object('n', n, 'pad', repeat('x', 35)))
           FROM generate_series(1000000, 1000000 + {events} - 1) AS n"
    ));
    once(&mut ground, TMS);
    once(&mut ground, PLAIN);
    let mut shares = Vec::new();
    let mut rows = Vec::new();
    for pair in 0..options.size(9, 3) {
        let (tms, plain) = if pair % 2 == 0 {
            let tms = once(&mut ground, TMS);
            (tms, once(&mut ground, PLAIN))
        } else {
            let plain = once(&mut ground, PLAIN);
            (once(&mut ground, TMS), plain)
        };
        shares.push(100.0 * plain / tms);
        rows.push((
            format!("pair {}", pair + 1),
            vec![events as f64 / tms, events as f64 / plain, 100.0 * plain / tms],
        ));
    }
    figure.spread(
        format!("{events} events of 60 bytes in one call"),
        &shares,
        "% of it",
        Some(Bound::AtLeast(REQUIRED)),
    );
    figure.detail(Detail {
        title: "rows/s".into(),
        columns: vec!["tms batch", "INSERT SELECT", "%"],
        rows,
    });
    figure.note(
        "fsync and synchronous_commit on, tms.dispatch = hold, both tables emptied before each statement",
    );
    figure.note("tms_enqueue_batch makes the array of ids, the INSERT returns nothing");
}

/// Seconds that the statement takes, commit included.
fn once(ground: &mut Ground, sql: &str) -> f64 {
    plain_outbox::empty_both(ground);
    let began = Instant::now();
    ground.command(sql);
    began.elapsed().as_secs_f64()
}
