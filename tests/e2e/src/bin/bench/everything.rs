//! What it costs that requests are signed, and whether the spine's figures hold with everything switched on: signatures, the
//! standard envelope, the circuit breaker, and an ordering key on every tenth event.

use serde_json::{Value, json};

use crate::ground::{Ground, Mixture, SMALL, TARGET, server};
use crate::latency;
use crate::options::Options;
use crate::paired::{Pair, Way};
use crate::report::{Bound, Figure};
use crate::run::Run;

/// Of the throughput without signatures.
const REQUIRED_SHARE: f64 = 90.0;
const REQUIRED_RATE: f64 = 25_000.0;
/// Every tenth event has one of a thousand keys.
const KEYS: &str = "CASE WHEN n % 10 = 0 THEN 'load ' || n / 10 % 1000 END";

pub fn measure(options: &Options, figure: &mut Figure) {
    let events = options.size(100_000, 10_000);
    let mut ground = Ground::start(server(), &[]);
    Run::of(&mut ground, events / 10, SMALL);
    let pair = Pair {
        what: "signed requests beside unsigned ones, 60 bytes",
        columns: ["signed", "unsigned"],
        unit: "events/s",
        bound: Some(Bound::AtLeast(REQUIRED_SHARE)),
    };
    // Long enough for the machine's moods to be in both ways: a run of a second or two says more of its neighbours than of us.
    let many = options.size(300_000, 20_000);
    let mut looks = Vec::new();
    pair.measure(&mut ground, figure, options.size(5, 2), |ground, way| {
        let is_signed = way == Way::InQuestion;
        ground.set_http(TARGET, json!({ "signing": is_signed }));
        let run = Run::of(ground, many, SMALL);
        looks.push(run.cpu(if is_signed { "signed" } else { "unsigned" }));
        run.rate()
    });
    looks.into_iter().for_each(|look| figure.detail(look));
    ground.set_http(TARGET, everything());
    let mixture = Mixture {
        ordering_key: KEYS,
        ..Mixture::default()
    };
    let mut rates = Vec::new();
    for number in 1..=options.size(3, 2) {
        let run = Run::of_mixture(&mut ground, events, &mixture);
        figure.detail(run.cpu(&format!("everything switched on, run {number}")));
        rates.push(run.rate());
    }
    figure.spread(
        "everything switched on",
        &rates,
        "events/s",
        Some(Bound::AtLeast(REQUIRED_RATE)),
    );
    drop(ground);
    latency::with_everything(options.size(10, 3), everything(), figure);
    figure.note(
        "everything: signing, envelope standard, breaker; delivered events have an ordering key each tenth, of 1,000",
    );
}

fn everything() -> Value {
    json!({ "signing": true, "envelope": "standard", "breaker": true })
}
