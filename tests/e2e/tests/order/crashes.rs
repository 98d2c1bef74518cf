//! The server is killed with keys in flight: what comes after it goes on where the table says, in order.

use std::time::Duration;

use serde_json::json;
use tms_e2e::keys::{Arrival, objections, of_database};
use tms_e2e::receiver::Behaviour;
use tms_e2e::story::{DB, SOON, Story, ids};
use tms_e2e::wait::eventually;

const ROUNDS: usize = 4;

#[test]
fn a_killed_server_goes_on_with_each_key_where_it_was() {
    let story = Story::begin();
    story.target("hook", json!({"max_concurrency": 64}));
    story.receiver.behave(Behaviour::Delay(Duration::from_millis(10)));
    let mut begins = Vec::new();
    let mut arrived = 0;
    for round in 0..ROUNDS {
        ids(
            &mut story.client(),
            "SELECT tms_enqueue('load.moved', '{}', 'hook', ordering_key => 'key ' || n % 40)
               FROM generate_series(1, 1200) n",
        );
        story.wait_for("some deliveries, and some requests in flight", |seen| {
            seen.count() >= arrived + 300 && seen.in_flight() >= 10
        });
        let dispatcher = eventually("the dispatcher", SOON, || story.cluster.dispatcher(DB));
        if round % 2 == 0 {
            story.cluster.kill9(story.cluster.postmaster_pid());
            story.cluster.start();
        } else {
            let mark = story.cluster.log_mark();
            story.cluster.kill9(dispatcher.pid);
            story
                .cluster
                .wait_for_log(mark, "all server processes terminated; reinitializing", SOON);
            story.cluster.wait_until_accepting(SOON);
        }
        let next = eventually("the next dispatcher", SOON, || {
            story.cluster.dispatcher(DB).filter(|next| *next != dispatcher)
        });
        begins.push(next.began);
        arrived = story.receiver.count();
    }
    story.all_done();
    let keys = of_database(&mut story.client()).expect("the keys");
    let arrivals: Vec<Arrival> = story
        .receiver
        .requests()
        .iter()
        .filter_map(|request| {
            Some(Arrival {
                id: request.id?,
                life: begins.partition_point(|begin| *begin <= request.wall),
            })
        })
        .collect();
    let wrong = objections(&keys, &arrivals);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(story.receiver.distinct(), 1200 * ROUNDS, "nothing is lost");
    assert!(
        arrivals.iter().any(|arrival| arrival.life == ROUNDS),
        "the last life delivered too"
    );
}
