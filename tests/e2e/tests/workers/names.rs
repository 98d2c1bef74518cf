//! What pg_stat_activity and tms_worker_status() say of the workers.

use std::time::Duration;

use postgres::Client;
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::{eventually, eventually_eq};

use crate::stage::{DB, SOON, Stage, enqueue_many, run, status};

type Seen = (String, Option<String>, String);

/// Our workers: kind, database, and what they say they do.
fn workers(client: &mut Client) -> Vec<Seen> {
    let rows = client.query(
        "SELECT backend_type, datname::text, coalesce(query, '') FROM pg_stat_activity
          WHERE backend_type LIKE 'tms %' ORDER BY 1, 2",
        &[],
    );
    let rows = rows.unwrap();
    rows.iter()
        .map(|row| (row.get(0), row.get(1), row.get(2)))
        .collect()
}

fn says(client: &mut Client, kind: &str) -> String {
    let seen = workers(client);
    let found = seen.into_iter().find(|worker| worker.0 == kind);
    found.map_or_else(String::new, |worker| worker.2)
}

#[test]
fn a_server_without_the_extension_has_the_launcher_alone() {
    let stage = Stage::bare(Cluster::builder());
    let mut client = stage.cluster.client("postgres");
    // The launcher's short looks into databases come and go.
    eventually("the launcher alone", SOON, || {
        let seen = workers(&mut client);
        let [(kind, None, said)] = &seen[..] else {
            return Err(seen);
        };
        let rests = kind == "tms launcher" && said.starts_with("looking after 0 of ");
        if rests { Ok(()) } else { Err(seen) }
    });
}

#[test]
fn each_worker_is_named_and_says_what_it_does() {
    let stage = Stage::start();
    let [dispatcher, scheduler] = stage.workers(DB);
    let mut client = stage.client();
    eventually("every worker at rest", SOON, || {
        let seen = workers(&mut client);
        let expected = [
            ("tms dispatcher", Some(DB), "waiting for events"),
            ("tms launcher", None, "looking after 1 of "),
            ("tms scheduler", Some(DB), "waiting for the next round"),
        ];
        let fits = seen.len() == 3
            && seen.iter().zip(expected).all(|(seen, (kind, db, said))| {
                seen.0 == kind && seen.1.as_deref() == db && seen.2.starts_with(said)
            });
        if fits { Ok(()) } else { Err(seen) }
    });
    let lines = status(&mut client);
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line.component.as_str(),
                line.database.as_deref(),
                line.state.as_str(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("launcher", None, "running"),
            ("dispatcher", Some(DB), "running"),
            ("scheduler", Some(DB), "running"),
        ]
    );
    assert_eq!(lines[0].pid, stage.cluster.worker_pid(DB, "tms launcher"));
    assert_eq!((lines[1].pid, lines[2].pid), (Some(dispatcher), Some(scheduler)));
    assert!(lines.iter().all(|line| line.hint.is_none()), "{lines:?}");
    assert!(
        lines[1]
            .detail
            .starts_with("1 delivered, 0 failed attempts, 0 dead"),
        "{lines:?}"
    );
}

#[test]
fn the_dispatcher_shows_what_is_in_flight() {
    let stage = Stage::start();
    let mut client = stage.client();
    stage.receiver.behave(Behaviour::Hang);
    enqueue_many(&mut client, "hook", 12);
    eventually_eq(
        "the dispatcher at work",
        SOON,
        "delivering: 12 events in flight".to_owned(),
        || says(&mut client, "tms dispatcher"),
    );
    let lines = status(&mut client);
    assert!(lines[1].detail.contains("12 in flight"), "{lines:?}");
}

#[test]
fn a_dispatcher_that_has_delivered_everything_says_that_it_waits() {
    let stage = Stage::woken();
    let mut client = stage.client();
    stage
        .receiver
        .behave(Behaviour::Delay(Duration::from_millis(700)));
    enqueue_many(&mut client, "hook", 3);
    eventually("the dispatcher at work", SOON, || {
        let said = says(&mut client, "tms dispatcher");
        if said.starts_with("delivering") {
            Ok(())
        } else {
            Err(said)
        }
    });
    stage.all_done(DB);
    // Quicker than what is written to pg_stat_activity is spaced.
    stage.receiver.behave(Behaviour::Ok);
    stage.serves(DB);
    eventually_eq(
        "the dispatcher at rest",
        Duration::from_secs(10),
        "waiting for events".to_owned(),
        || says(&mut client, "tms dispatcher"),
    );
}

#[test]
fn a_tenant_sees_its_own_database_alone() {
    let stage = Stage::start();
    stage.furnish("rail");
    stage.workers("rail");
    let mut client = stage.client();
    let everything = status(&mut client);
    assert_eq!(everything.len(), 5, "{everything:?}");
    run(
        &mut client,
        "CREATE ROLE dispatcher_of_loads LOGIN; GRANT EXECUTE ON FUNCTION tms_worker_status TO dispatcher_of_loads",
    );
    let mut tenant = stage.cluster.client_as("dispatcher_of_loads", DB);
    let lines = status(&mut tenant);
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines
            .iter()
            .all(|line| line.database.as_deref().is_none_or(|db| db == DB)),
        "{lines:?}"
    );
}
