//! Databases come, go, move and are copied, and their workers with them.

use std::time::Duration;

use postgres::error::SqlState;
use tms_e2e::receiver::Behaviour;
use tms_e2e::wait::eventually;

use crate::stage::{DB, SOON, Stage, enqueue, enqueue_many, run, timed};

/// At once, but for the machine's being busy: a statement that the workers block fails after five seconds or waits for ever.
const AT_ONCE: Duration = Duration::from_secs(10);

#[test]
fn three_databases_deliver_their_own_at_the_same_time() {
    let stage = Stage::start();
    let names = [DB, "rail", "sea"];
    names[1..].iter().for_each(|db| stage.furnish(db));
    let ids: Vec<_> = names
        .iter()
        .map(|db| enqueue_many(&mut stage.cluster.client(db), "hook", 200))
        .collect();
    stage
        .receiver
        .wait_for("all of the three", SOON, |seen| seen.distinct() == 600);
    let requests = stage.receiver.requests();
    for (db, ids) in names.iter().zip(&ids) {
        let path = format!("/{db}");
        let its: Vec<_> = requests.iter().filter(|request| *request.path == *path).collect();
        assert_eq!(its.len(), 200, "{db}");
        assert!(
            its.iter().all(|request| ids.contains(&request.id.unwrap())),
            "{db} delivered an event of another database"
        );
    }
    let pids: Vec<_> = names.iter().map(|db| stage.workers(db)).collect();
    assert!(pids[0] != pids[1] && pids[1] != pids[2]);
}

#[test]
fn drop_database_succeeds_at_once_even_in_the_middle_of_a_backlog() {
    let stage = Stage::start();
    stage.furnish("rail");
    stage.workers("rail");
    let mark = stage.cluster.log_mark();
    let mut client = stage.cluster.client("postgres");
    let took = timed(&mut client, "DROP DATABASE rail");
    assert!(took < AT_ONCE, "{took:?}");

    stage.receiver.behave(Behaviour::Delay(Duration::from_millis(50)));
    enqueue_many(&mut stage.client(), "hook", 20_000);
    stage
        .receiver
        .wait_for("the first hundred", SOON, |seen| seen.count() >= 100);
    let took = timed(&mut client, "DROP DATABASE freight");
    assert!(took < AT_ONCE, "{took:?}");
    assert!(stage.receiver.count() < 20_000, "it was in the middle");
    // A database of the same name is another one.
    stage.receiver.behave(Behaviour::Ok);
    stage.furnish(DB);
    stage.serves(DB);
    stage.is_quiet(mark);
}

#[test]
fn a_renamed_database_keeps_its_workers_and_its_events() {
    let stage = Stage::start();
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    let mut client = stage.cluster.client("postgres");
    run(&mut stage.client(), "SELECT tms_target_pause('hook')");
    let waiting = enqueue(&mut stage.client());
    let took = timed(&mut client, "ALTER DATABASE freight RENAME TO cargo");
    assert!(took < AT_ONCE, "{took:?}");
    run(
        &mut stage.cluster.client("cargo"),
        "SELECT tms_target_resume('hook')",
    );
    stage.arrives("the event of the renamed database", waiting);
    stage.workers("cargo");
    stage.state("cargo", "running");
    stage.is_quiet(mark);
}

#[test]
fn a_database_moves_to_another_tablespace() {
    let stage = Stage::start();
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    let mut client = stage.cluster.client("postgres");
    // A directory inside the data directory, so that the test needs none of its own.
    run(&mut client, "SET allow_in_place_tablespaces = on");
    run(&mut client, "CREATE TABLESPACE depot LOCATION ''");
    let took = timed(&mut client, "ALTER DATABASE freight SET TABLESPACE depot");
    assert!(took < AT_ONCE, "{took:?}");
    stage.serves(DB);
    stage.workers(DB);
    stage.is_quiet(mark);
}

#[test]
fn a_copy_of_a_database_gets_workers_of_its_own() {
    let stage = Stage::start();
    let mark = stage.cluster.log_mark();
    let mut client = stage.cluster.client("postgres");
    for (copy, strategy) in [("first", "wal_log"), ("second", "file_copy")] {
        stage.workers(DB);
        let took = timed(
            &mut client,
            &format!("CREATE DATABASE {copy} TEMPLATE freight STRATEGY {strategy}"),
        );
        assert!(took < AT_ONCE, "{took:?}");
        stage.serves(DB);
        stage.waits_to_be_adopted(copy);
        stage.serves(copy);
        let (here, there) = (stage.workers(DB), stage.workers(copy));
        assert!(here.iter().all(|pid| !there.contains(pid)), "{here:?} {there:?}");
    }
    stage.is_quiet(mark);
}

#[test]
fn a_drop_database_that_fails_brings_the_workers_back() {
    let stage = Stage::start();
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    let mut visitor = stage.client();
    let mut client = stage.cluster.client("postgres");
    for statement in [
        "DROP DATABASE freight",
        "ALTER DATABASE freight RENAME TO cargo",
        "CREATE DATABASE copy TEMPLATE freight",
    ] {
        let error = client.batch_execute(statement).unwrap_err();
        assert_eq!(error.code(), Some(&SqlState::OBJECT_IN_USE), "{statement}");
        let id = enqueue(&mut visitor);
        stage.arrives(statement, id);
    }
    stage.workers(DB);
    stage.is_quiet(mark);
}

#[test]
fn a_database_dropped_by_force_leaves_no_trace() {
    let stage = Stage::start();
    stage.furnish("rail");
    stage.workers("rail");
    let mark = stage.cluster.log_mark();
    let _visitor = stage.cluster.client("rail");
    let mut client = stage.cluster.client("postgres");
    let took = timed(&mut client, "DROP DATABASE rail WITH (FORCE)");
    assert!(took < AT_ONCE, "{took:?}");
    stage.serves(DB);
    stage.is_quiet(mark);
}

#[test]
fn a_database_closed_to_connections_loses_its_workers_until_it_is_opened() {
    let stage = Stage::start();
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    let mut visitor = stage.client();
    let mut client = stage.cluster.client("postgres");
    run(&mut client, "ALTER DATABASE freight ALLOW_CONNECTIONS false");
    // The launcher looks at the list of databases once a minute; a new one makes it look at once.
    run(&mut client, "CREATE DATABASE nudge");
    stage.workers_leave(DB);
    let waiting = enqueue(&mut visitor);
    run(&mut client, "ALTER DATABASE freight ALLOW_CONNECTIONS true");
    run(&mut client, "DROP DATABASE nudge");
    stage.arrives("what waited while the database was closed", waiting);
    let refusals = stage.log_lines(mark, |line| line.contains("not currently accepting connections"));
    assert!(refusals.len() <= 3, "{refusals:#?}");
}

#[test]
fn a_template_is_left_alone() {
    let stage = Stage::start();
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    let mut client = stage.cluster.client("postgres");
    run(&mut client, "ALTER DATABASE freight IS_TEMPLATE true");
    run(&mut client, "CREATE DATABASE copy TEMPLATE freight");
    stage.workers_leave(DB);
    stage.waits_to_be_adopted("copy");
    stage.serves("copy");
    eventually("the template has no worker", SOON, || {
        let lines = crate::stage::status(&mut stage.client());
        let of_template = lines
            .iter()
            .find(|line| line.component == "dispatcher" && line.database.as_deref() == Some(DB));
        match of_template {
            Some(line) if line.pid.is_none() => Ok(()),
            _ => Err(lines),
        }
    });
    run(&mut client, "ALTER DATABASE freight IS_TEMPLATE false");
    run(&mut client, "DROP DATABASE copy");
    stage.serves(DB);
    stage.is_quiet(mark);
}

#[test]
fn databases_dropped_right_after_their_creation_are_not_held_by_a_look_into_them() {
    let stage = Stage::start();
    stage.workers(DB);
    let mark = stage.cluster.log_mark();
    let mut client = stage.cluster.client("postgres");
    for _ in 0..10 {
        run(&mut client, "CREATE DATABASE brief TEMPLATE freight");
        let took = timed(&mut client, "DROP DATABASE brief");
        assert!(took < AT_ONCE, "{took:?}");
    }
    stage.serves(DB);
    // A worker that starts too late finds no database, which the server reports by itself; it is not tried again.
    let (late, others): (Vec<_>, Vec<_>) = stage
        .complaints(mark)
        .into_iter()
        .partition(|line| line.contains("FATAL:  database") && line.contains("does not exist"));
    assert!(late.len() <= 20 && others.is_empty(), "{late:#?} {others:#?}");
}
