//! A cluster starts, stops, dies and comes back, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use tms_e2e::cluster::{Cluster, Mode};
use tms_e2e::wait::{eventually, eventually_eq};

const SOON: Duration = Duration::from_secs(30);

/// A server without tms: the harness is to be tested before there is an extension, and when it is broken.
fn bare() -> Cluster {
    Cluster::builder().preload(false).start()
}

fn one(cluster: &Cluster) -> i32 {
    cluster
        .client("postgres")
        .query_one("SELECT 1", &[])
        .unwrap()
        .get(0)
}

#[test]
fn it_stops_in_every_mode_and_starts_again_with_its_data() {
    let cluster = bare();
    let port = cluster.port();
    cluster
        .client("postgres")
        .batch_execute("CREATE TABLE kept AS SELECT 1 AS n")
        .unwrap();
    for mode in [Mode::Smart, Mode::Fast, Mode::Immediate] {
        let mark = cluster.log_mark();
        cluster.restart(mode);
        assert_eq!(
            cluster
                .client("postgres")
                .query_one("SELECT n FROM kept", &[])
                .unwrap()
                .get::<_, i32>(0),
            1
        );
        let recovered = cluster.log_since(mark).contains("automatic recovery in progress");
        assert_eq!(recovered, mode == Mode::Immediate);
        assert_eq!(cluster.port(), port);
    }
}

#[test]
fn it_comes_back_after_its_postmaster_was_killed() {
    let cluster = bare();
    assert!(cluster.kill9(cluster.postmaster_pid()));
    cluster.start();
    assert_eq!(one(&cluster), 1);
}

#[test]
fn it_restarts_itself_when_a_backend_is_killed() {
    let cluster = bare();
    let mark = cluster.log_mark();
    let mut client = cluster.client("postgres");
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    assert!(cluster.kill9(pid));
    cluster.wait_for_log(mark, "all server processes terminated; reinitializing", SOON);
    cluster.wait_until_accepting(SOON);
    assert_eq!(one(&cluster), 1);
    assert!(client.batch_execute("SELECT 1").is_err());
}

#[test]
fn two_live_side_by_side_in_threads() {
    let ports: Vec<u16> = thread::scope(|scope| {
        let started: Vec<_> = (0..2).map(|_| scope.spawn(bare)).collect();
        let clusters: Vec<Cluster> = started.into_iter().map(|thread| thread.join().unwrap()).collect();
        // The threads that asked for the servers have ended, and the servers have not.
        clusters
            .iter()
            .inspect(|cluster| assert_eq!(one(cluster), 1))
            .map(Cluster::port)
            .collect()
    });
    assert_ne!(ports[0], ports[1]);
}

#[test]
fn settings_are_set_at_the_start_and_changed_under_way() {
    let cluster = Cluster::builder()
        .preload(false)
        .conf("work_mem", "7MB")
        .conf("cluster_name", "o'neil")
        .start();
    let show = |name: &str| -> String {
        cluster
            .client("postgres")
            .query_one(&format!("SHOW {name}"), &[])
            .unwrap()
            .get(0)
    };
    assert_eq!(
        (show("work_mem"), show("cluster_name")),
        ("7MB".into(), "o'neil".into())
    );
    assert_eq!(
        (show("fsync"), show("max_worker_processes")),
        ("off".into(), "16".into())
    );
    cluster.set("work_mem", "9MB");
    eventually_eq("the new setting", SOON, "9MB".to_owned(), || show("work_mem"));
}

#[test]
fn psql_reports_the_first_error_with_its_state() {
    let cluster = bare();
    cluster.create_database("Freight \"east\"");
    let output = cluster.psql(
        "Freight \"east\"",
        "SELECT current_database();\nSELECT 1/0;\nSELECT 'never';\n",
    );
    assert_eq!(output.code, 3);
    assert!(
        output.stdout.contains("Freight \"east\"") && !output.stdout.contains("never"),
        "{output:?}"
    );
    assert!(output.stderr.contains("22012"), "{output:?}");
    cluster
        .psql("postgres", &format!("SELECT '{}';", "x".repeat(1 << 20)))
        .expect_success();
}

#[test]
fn a_worker_is_found_by_its_type() {
    let cluster = bare();
    cluster.create_database("elsewhere");
    let mut client = cluster.client("elsewhere");
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    assert_eq!(cluster.worker_pid("elsewhere", "client backend"), Some(pid));
    // In no database at all, as a launcher is.
    assert!(cluster.worker_pid("postgres", "checkpointer").is_some());
    assert_eq!(cluster.worker_pid("postgres", "tms nobody"), None);
    cluster.stop(Mode::Fast);
    assert_eq!(cluster.worker_pid("postgres", "checkpointer"), None);
}

#[test]
fn it_leaves_nothing_behind() {
    let cluster = bare();
    let (pid, data) = (cluster.postmaster_pid(), cluster.data_dir());
    assert!(data.is_dir());
    drop(cluster);
    assert!(!data.parent().unwrap().exists() && !lives(pid));
}

#[test]
fn a_named_one_outlives_its_owner_until_it_is_replaced_or_stopped() {
    let name = format!("named-{}", std::process::id());
    let start = || Cluster::builder().preload(false).outlives_us_as(&name).start();
    let first = start();
    let (first_pid, data) = (first.postmaster_pid(), first.data_dir());
    drop(first);
    assert!(lives(first_pid));
    let second = start();
    assert!(runs_on(&data) == Some(second.postmaster_pid()));
    assert_eq!(one(&second), 1);
    drop(second);
    Cluster::stop_named(&name);
    assert!(!data.exists());
}

/// What [`a_killed_test_process_takes_its_server_along`] runs as a process of its own.
#[test]
#[ignore = "the victim of another test"]
fn victim() {
    let cluster = bare();
    println!(
        "\nvictim {} {}",
        cluster.postmaster_pid(),
        cluster.data_dir().display()
    );
    // Until somebody kills this process, or forgets to.
    thread::sleep(Duration::from_secs(60));
}

#[test]
fn a_killed_test_process_takes_its_server_along() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "cluster::victim", "--ignored", "--nocapture"])
        .stdout(Stdio::piped());
    let mut victim = command.spawn().unwrap();
    let mut lines = BufReader::new(victim.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let line = lines
        .find(|line| line.starts_with("victim "))
        .expect("the victim's server");
    let mut words = line.split(' ').skip(1);
    let pid: i32 = words.next().unwrap().parse().unwrap();
    let data = PathBuf::from(words.next().unwrap());
    assert!(lives(pid));
    victim.kill().unwrap();
    victim.wait().unwrap();
    eventually("the end of the orphan", SOON, || (!lives(pid)).then_some(()));
    // Its directory goes when the next cluster comes.
    drop(bare());
    assert!(!data.exists());
}

fn lives(pid: i32) -> bool {
    // A process that has ended and not been waited for has no executable any more.
    Path::new(&format!("/proc/{pid}/exe")).read_link().is_ok()
}

fn runs_on(data: &Path) -> Option<i32> {
    std::fs::read_to_string(data.join("postmaster.pid"))
        .ok()?
        .lines()
        .next()?
        .parse()
        .ok()
}
