//! Settings that somebody chose for his applications do not reach the workers, and a database's encoding not the wire.

use tms_e2e::cluster::Mode;
use tms_e2e::receiver::Behaviour;

use crate::stage::{DB, SOON, Stage, enqueue, id_of, is_written, run};

#[test]
fn a_database_that_is_read_only_by_default_is_served_once_and_not_again_and_again() {
    let stage = Stage::start();
    run(
        &mut stage.cluster.client("postgres"),
        "ALTER DATABASE freight SET default_transaction_read_only = on",
    );
    // The workers begin anew, with what is in force now.
    stage.cluster.restart(Mode::Fast);
    let mark = stage.cluster.log_mark();
    let mut client = stage.client();
    run(&mut client, "SET default_transaction_read_only = off");
    let id = enqueue(&mut client);
    stage.arrives("an event of a read-only database", id);
    is_written(&mut client, id);
    assert_eq!(stage.receiver.duplicates(), 0);
    stage.workers(DB);
    stage.is_quiet(mark);
}

#[test]
fn what_a_database_or_a_role_prescribes_for_sessions_is_not_for_workers() {
    let stage = Stage::start();
    let mut admin = stage.cluster.client("postgres");
    for setting in [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_deferrable = on",
        "search_path = nowhere",
        "lock_timeout = '1ms'",
        "statement_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "session_replication_role = replica",
        "enable_indexscan = off",
        "row_security = off",
        "timezone = 'Asia/Kathmandu'",
        "datestyle = 'German'",
        "bytea_output = 'escape'",
    ] {
        run(&mut admin, &format!("ALTER DATABASE freight SET {setting}"));
        run(&mut admin, &format!("ALTER ROLE postgres SET {setting}"));
    }
    stage.cluster.restart(Mode::Fast);
    let mark = stage.cluster.log_mark();
    let mut client = stage
        .cluster
        .config("postgres", DB)
        .options("-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c search_path=public")
        .connect(postgres::NoTls)
        .unwrap();
    stage.receiver.behave(Behaviour::choose(|request| {
        if request.attempt == 1 {
            Behaviour::status(503)
        } else {
            Behaviour::Ok
        }
    }));
    let id = enqueue(&mut client);
    stage
        .receiver
        .wait_for("two attempts", SOON, |seen| seen.times(id) == 2);
    is_written(&mut client, id);
    stage.is_quiet(mark);
}

#[test]
fn a_database_in_another_encoding_sends_utf_8() {
    let stage = Stage::start();
    let mut admin = stage.cluster.client("postgres");
    run(
        &mut admin,
        "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    );
    stage.install("latin");
    let mut client = stage.cluster.client("latin");
    let id = id_of(
        &mut client,
        "SELECT tms_enqueue('load.moved', jsonb_build_object('carrier', 'Müller & Söhne'), 'hook')",
    );
    stage.arrives("an event of a LATIN1 database", id);
    let requests = stage.receiver.requests();
    assert_eq!(
        requests[0].json()["carrier"],
        "Müller & Söhne",
        "{:?}",
        String::from_utf8_lossy(&requests[0].body)
    );
    is_written(&mut client, id);
    // What a receiver answers comes the other way.
    stage.receiver.behave(Behaviour::Status(
        422,
        vec![("content-type".into(), "text/plain; charset=utf-8".into())],
        "größer als 10 €".as_bytes().to_vec(),
    ));
    let refused = enqueue(&mut client);
    stage.arrives("an event that is refused", refused);
    tms_e2e::wait::eventually_eq("its dead letter", SOON, 1, || {
        crate::stage::count(&mut client, "SELECT count(*) FROM tms.dead_letter_queue")
    });
}
