//! What tms_enqueue costs a transaction, against a plain INSERT of the same row into a table with the same indexes.
//!
//! The two are run in pairs next to each other, each on empty tables and in turn first, and compared within a pair: the
//! machine's mood is the same for both.

use crate::ground::{Ground, server};
use crate::options::Options;
use crate::pgbench::Pgbench;
use crate::plain_outbox::{self, APPLICATION};
use crate::report::{Bound, Detail, Figure};

const REQUIRED: f64 = 85.0;
const TMS: &str = "SELECT tms_enqueue('load.status', :payload::jsonb, 'n8n');";
const PLAIN: &str = "INSERT INTO plain_outbox (event_type, payload, target_system) VALUES ('load.status', :payload::jsonb, 'n8n');";

/// Who enqueues, how, and how often it is tried.
struct Series {
    what: &'static str,
    user: &'static str,
    synchronous_commit: bool,
    pairs: usize,
    bound: Option<Bound>,
}

pub fn measure(options: &Options, figure: &mut Figure) {
    let pairs = options.size(5, 2);
    let mut ground = Ground::start(server(), &[]);
    plain_outbox::create(&mut ground);
    ground.hold(true);
    for (what, user, synchronous_commit) in [
        ("a company's role, synchronous_commit off", APPLICATION, false),
        ("a company's role, synchronous_commit on", APPLICATION, true),
        ("superuser, synchronous_commit off", "postgres", false),
        ("superuser, synchronous_commit on", "postgres", true),
    ] {
        let bound = Some(Bound::AtLeast(REQUIRED));
        let series = Series {
            what,
            user,
            synchronous_commit,
            pairs,
            bound,
        };
        run(options, &mut ground, figure, &series);
    }
    ground.hold(false);
    run(
        options,
        &mut ground,
        figure,
        &Series {
            what: "  the same, with the dispatcher and receiver on the same cores",
            user: APPLICATION,
            synchronous_commit: false,
            pairs: options.size(3, 1),
            bound: None,
        },
    );
    figure.note(
        "pgbench -M prepared -c 8 -j 2; fsync on; tms.dispatch = hold but where the line says otherwise",
    );
    figure.note("the plain table has the outbox's columns, defaults (id, seq, company) and indexes, no triggers and no RLS, and returns nothing");
}

fn run(options: &Options, ground: &mut Ground, figure: &mut Figure, series: &Series) {
    let seconds = options.size(3, 1);
    let mut shares = Vec::new();
    let mut rows = Vec::new();
    for pair in 0..series.pairs {
        let mut once = |statement| {
            plain_outbox::empty_both(ground);
            let bench = Pgbench {
                cluster: &ground.cluster,
                user: series.user,
                clients: 8,
                seconds,
                synchronous_commit: series.synchronous_commit,
            };
            let rate = bench.run(statement);
            eprintln!("   {}: {rate:.0}/s", &statement[..11]);
            rate
        };
        // In turn first.
        let (tms, plain) = if pair % 2 == 0 {
            let tms = once(TMS);
            (tms, once(PLAIN))
        } else {
            let plain = once(PLAIN);
            (once(TMS), plain)
        };
        let share = 100.0 * tms / plain;
        shares.push(share);
        rows.push((format!("pair {}", pair + 1), vec![tms, plain, share]));
    }
    figure.spread(series.what, &shares, "% of it", series.bound);
    figure.detail(Detail {
        title: format!("{}, transactions/s", series.what.trim()),
        columns: vec!["tms_enqueue", "INSERT", "%"],
        rows,
    });
}
