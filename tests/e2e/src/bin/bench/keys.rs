//! What keys cost: enqueueing with an idempotency key or an ordering key beside enqueueing without, and delivering events that
//! must keep their order.

use crate::ground::{Ground, Mixture, server};
use crate::options::Options;
use crate::paired::{Pair, Way};
use crate::pgbench::Pgbench;
use crate::report::Figure;
use crate::run::Run;

const PLAIN: &str = "SELECT tms_enqueue('load.status', :payload::jsonb, 'n8n');";
const IDEMPOTENT: &str =
    "SELECT tms_enqueue('load.status', :payload::jsonb, 'n8n', idempotency_key => gen_random_uuid()::text);";
const ORDERED: &str = "\\set key random(1, 10000)\nSELECT tms_enqueue('load.status', :payload::jsonb, 'n8n', ordering_key => 'load ' || :key);";
const KEYS: usize = 10_000;

pub fn measure(options: &Options, figure: &mut Figure) {
    let mut ground = Ground::start(server(), &[]);
    ground.hold(true);
    for (column, statement) in [("idempotency key", IDEMPOTENT), ("ordering key", ORDERED)] {
        let pair = Pair {
            what: &format!("tms_enqueue with an {column}, beside one without"),
            columns: [column, "plain"],
            unit: "transactions/s",
            bound: None,
        };
        pair.measure(&mut ground, figure, options.size(3, 1), |ground, way| {
            ground.command("TRUNCATE tms.idempotency_keys");
            ground.empty();
            let bench = Pgbench {
                cluster: &ground.cluster,
                user: "postgres",
                clients: 8,
                seconds: options.size(3, 1),
                synchronous_commit: false,
            };
            bench.run(if way == Way::InQuestion { statement } else { PLAIN })
        });
    }
    ground.empty();
    ground.hold(false);
    ordered(options, &mut ground, figure);
    figure.note(
        "enqueueing: pgbench -M prepared -c 8 -j 2, superuser, synchronous_commit off, tms.dispatch = hold",
    );
}

fn ordered(options: &Options, ground: &mut Ground, figure: &mut Figure) {
    let events = options.size(100_000, 10_000);
    let key = format!("'load ' || n % {KEYS}");
    let mixture = Mixture {
        ordering_key: &key,
        ..Mixture::default()
    };
    let mut rates = Vec::new();
    for number in 1..=options.size(3, 2) {
        let run = Run::of_mixture(ground, events, &mixture);
        figure.detail(run.cpu(&format!("{KEYS} keys, run {number}")));
        rates.push(run.rate());
    }
    figure.spread(
        format!("{events} events delivered in the order of {KEYS} keys"),
        &rates,
        "events/s",
        None,
    );
}
