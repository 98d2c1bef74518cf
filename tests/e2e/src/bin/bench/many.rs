//! A thousand targets against one, for the same number of events.

use serde_json::json;

use crate::ground::{Ground, Mixture, TARGET, server};
use crate::options::Options;
use crate::paired::{Pair, Way};
use crate::report::{Bound, Figure};
use crate::run::Run;

const REQUIRED_SHARE: f64 = 90.0;
const OTHERS: &str = "name LIKE 'carrier-%'";

pub fn measure(options: &Options, figure: &mut Figure) {
    let targets = options.size(1_000, 100);
    let events = options.size(200_000, 10_000);
    let mut ground = Ground::start(server(), &[]);
    // Caches and connections of a server that has just started are nobody's steady state.
    one(&mut ground, events / 10);
    many(&mut ground, targets, events / 10);
    let mut looks = Vec::new();
    for (connections, bound) in [(32, None), (targets, Some(Bound::AtLeast(REQUIRED_SHARE)))] {
        let pair = Pair {
            what: &format!("{targets} targets beside one with {connections} connections, {events} events"),
            columns: ["many", "one"],
            unit: "events/s",
            bound,
        };
        ground.set_http(TARGET, json!({ "max_concurrency": connections }));
        pair.measure(&mut ground, figure, options.size(3, 2), |ground, way| {
            let (what, run) = match way {
                Way::InQuestion => ("many".to_owned(), many(ground, targets, events)),
                Way::Compared => (format!("one, {connections}"), one(ground, events)),
            };
            looks.push(run.cpu(&what));
            run.rate()
        });
    }
    looks.into_iter().for_each(|look| figure.detail(look));
    figure.note("many: max_concurrency 1 each, new targets in each round, so that their connections are opened within it; one: no other target is there");
    figure.note("timed from one UPDATE of tms.targets that ends the pause of all");
}

fn many(ground: &mut Ground, targets: usize, events: usize) -> Run {
    let options = json!({
        "url": ground.receiver.url(), "max_concurrency": 1, "allow_private_network": true
    });
    let set =
        "SELECT count(tms_target_set('carrier-' || n, 'http', $1)) FROM generate_series(1, $2::bigint) AS n";
    ground
        .client
        .query_one(set, &[&options, &(targets as i64)])
        .expect("tms_target_set");
    let run = deliver(ground, &format!("'carrier-' || 1 + n % {targets}"), events);
    ground.command(&format!("DELETE FROM tms.targets WHERE {OTHERS}"));
    run
}

fn one(ground: &mut Ground, events: usize) -> Run {
    deliver(ground, &format!("'{TARGET}'"), events)
}

fn deliver(ground: &mut Ground, target: &str, events: usize) -> Run {
    let mixture = Mixture {
        target,
        ..Mixture::default()
    };
    Run::of_all_targets(ground, events, &mixture)
}
