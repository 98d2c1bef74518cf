//! When a reservation is given back: at its release, at its end of time, and with the session that took it.

use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::wait::eventually;

use crate::stage::{SOON, call, called, load, release, run, stage, stage_with};

const ONE: &str = "    rate_limits: {max_concurrent: 1}\n";

fn pid_of(client: &mut postgres::Client) -> i32 {
    client
        .query_one("SELECT pg_backend_pid()", &[])
        .expect("its pid")
        .get(0)
}

#[test]
fn another_session_of_the_company_may_release() {
    let cluster = stage();
    load(&cluster, ONE);
    let mut taker = cluster.client_as("agent_a", "postgres");
    let id = called(&mut taker);
    let mut other = cluster.client_as("agent_a", "postgres");
    assert!(call(&mut other).is_err());
    assert!(release(&mut other, id, "success"));
    assert!(!release(&mut taker, id, "success"), "it ended before");
    called(&mut other);
}

#[test]
fn a_session_that_ends_gives_back_what_it_held_however_it_ends() {
    let cluster = stage();
    load(&cluster, ONE);
    let mut other = cluster.client_as("agent_a", "postgres");
    let again = |what: &str, other: &mut postgres::Client| {
        let id = eventually(what, SOON, || call(other).ok());
        assert!(release(other, id, "success"));
    };

    let mut leaving = cluster.client_as("agent_a", "postgres");
    called(&mut leaving);
    assert!(call(&mut other).is_err());
    drop(leaving);
    again("after a session that left", &mut other);

    let mut killed = cluster.client_as("agent_a", "postgres");
    called(&mut killed);
    assert!(call(&mut other).is_err());
    let pid = pid_of(&mut killed);
    run(
        &mut cluster.client("postgres"),
        &format!("SELECT pg_terminate_backend({pid})"),
    );
    again("after one that was terminated", &mut other);
}

#[test]
fn a_server_that_restarts_has_nothing_running_and_full_rates() {
    let cluster = stage();
    load(
        &cluster,
        "    rate_limits: {max_concurrent: 1, requests_per_minute: 1, burst: 0}\n",
    );
    let mut agent = cluster.client_as("agent_a", "postgres");
    called(&mut agent);
    let pid = pid_of(&mut agent);
    let mut other = cluster.client_as("agent_a", "postgres");
    assert!(call(&mut other).is_err());

    assert!(
        cluster.kill9(pid),
        "the server ends all its processes and begins anew"
    );
    // Before the server has noticed, sessions may still begin, and are ended with the rest.
    let mut agent = eventually("the server is back with nothing charged", SOON, || {
        let mut agent = cluster.try_client_as("agent_a", "postgres").ok()?;
        call(&mut agent).ok().map(|_| agent)
    });
    assert!(call(&mut agent).is_err());

    cluster.restart(Mode::Fast);
    let mut agent = cluster.client_as("agent_a", "postgres");
    called(&mut agent);
}

#[test]
fn what_nobody_releases_runs_out() {
    let cluster = stage_with(Cluster::builder().conf("tms.reservation_timeout", "1s"));
    load(&cluster, ONE);
    let mut agent = cluster.client_as("agent_a", "postgres");
    let id = called(&mut agent);
    let mut other = cluster.client_as("agent_a", "postgres");
    eventually("its time is over", SOON, || call(&mut other).ok());
    assert!(!release(&mut agent, id, "failure"), "too late");
}
