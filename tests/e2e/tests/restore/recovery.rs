//! Copies of a whole server: a restore to a point in time is held, a promoted standby goes on.

use tms_e2e::cluster::{BaseBackup, Builder, Cluster, Mode, RECOVERY_SIGNAL, STANDBY_SIGNAL};
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::people::is_silent;
use crate::stage::{
    DB, SOON, Stage, adopt, arrives, count, enqueue, is_in_state, run, set_target, would_have_sent,
};

/// A server with two databases, a base backup of it, and since then an event in each that waits.
struct Original {
    stage: Stage,
    backup: BaseBackup,
    archive: String,
    waiting: [Uuid; 2],
}

const DATABASES: [&str; 2] = [DB, "rail"];

impl Original {
    #[track_caller]
    fn start() -> Self {
        let stage = Stage::with(Cluster::builder().conf("archive_mode", "on"));
        stage.cluster.create_database_with_tms("rail");
        set_target(&stage.cluster, "rail", "hook", &stage.receiver);
        let archive = stage.cluster.archive_wal().display().to_string();
        let backup = stage.cluster.base_backup();
        stage.cluster.set("tms.dispatch", "hold");
        let waiting = DATABASES.map(|db| {
            is_in_state(&stage.cluster, db, "held");
            enqueue(&mut stage.cluster.client(db), "hook")
        });
        Self {
            stage,
            backup,
            archive,
            waiting,
        }
    }

    /// A point that can be restored to: what is written from now on comes after it.
    #[track_caller]
    fn mark(&self, name: &str) {
        run(
            &mut self.stage.client(),
            &format!("SELECT pg_create_restore_point('{name}')"),
        );
    }

    /// Everything that has been written can be read from the archive.
    #[track_caller]
    fn archived(&self) {
        let mut client = self.stage.client();
        let row = client.query_one("SELECT pg_walfile_name(pg_switch_wal())", &[]);
        let file: String = row.expect("pg_switch_wal").get(0);
        let path = std::path::Path::new(&self.archive).join(&file);
        let ask = format!("SELECT count(*) FROM pg_stat_archiver WHERE last_archived_wal >= '{file}'");
        eventually(&format!("{} is archived", path.display()), SOON, || {
            (count(&mut client, &ask) == 1).then_some(())
        });
    }

    /// A server that begins from the backup, with these signals and the archive.
    fn copy(&self, signals: &[&str]) -> Builder {
        Cluster::builder()
            .from_backup(&self.backup, signals)
            .conf("archive_mode", "off")
            .conf("tms.dispatch", "on")
            .conf("restore_command", &format!("cp {}/%f %p", self.archive))
    }
}

#[test]
fn a_point_in_time_restore_is_held_in_every_database_until_it_is_adopted_there() {
    let original = Original::start();
    original.mark("here");
    let later = enqueue(&mut original.stage.client(), "hook");
    original.archived();
    let restored = original
        .copy(&[RECOVERY_SIGNAL])
        .conf("recovery_target_name", "here")
        .conf("recovery_target_action", "promote")
        .start();
    for db in DATABASES {
        is_held(&restored, db);
    }
    is_silent(&original.stage.receiver);

    let told = adopt(&restored, DB);
    assert_eq!(told, "restore acknowledged");
    arrives(
        &original.stage.receiver,
        "what waited in freight",
        original.waiting[0],
    );
    is_in_state(&restored, "rail", "held");
    assert_eq!(
        original.stage.receiver.look(|seen| seen.times(later)),
        0,
        "it came after the point"
    );
    // A database that is made after the restore is a copy of nothing.
    restored.create_database_with_tms("road");
    would_have_sent(&restored, "road");

    restored.restart(Mode::Immediate);
    is_in_state(&restored, DB, "running");
    is_held(&restored, "rail");
    assert_eq!(
        original
            .stage
            .receiver
            .look(|seen| seen.times(original.waiting[1])),
        0
    );
    adopt(&restored, "rail");
    arrives(
        &original.stage.receiver,
        "what waited in rail",
        original.waiting[1],
    );
}

#[test]
fn a_restore_of_an_adopted_restore_is_held_again() {
    let original = Original::start();
    original.archived();
    let first = original.copy(&[RECOVERY_SIGNAL]).start();
    is_held(&first, DB);
    adopt(&first, DB);
    arrives(&original.stage.receiver, "what waited", original.waiting[0]);
    let backup = first.base_backup();
    let second = Cluster::builder().from_backup(&backup, &[]).start();
    is_held(&second, DB);
    adopt(&second, DB);
    would_have_sent(&second, DB);
}

#[test]
fn a_base_backup_that_is_started_by_itself_is_held_too() {
    let stage = Stage::start();
    let backup = stage.cluster.base_backup();
    let copy = Cluster::builder().from_backup(&backup, &[]).start();
    is_held(&copy, DB);
    let waiting = enqueue(&mut copy.client(DB), "hook");
    is_in_state(&copy, DB, "held");
    is_silent(&stage.receiver);
    adopt(&copy, DB);
    arrives(&stage.receiver, "what waited", waiting);
}

#[test]
fn an_adoption_that_is_rolled_back_changes_nothing() {
    let stage = Stage::start();
    let backup = stage.cluster.base_backup();
    let copy = Cluster::builder().from_backup(&backup, &[]).start();
    is_held(&copy, DB);
    run(&mut copy.client(DB), "BEGIN; SELECT tms_adopt(); ROLLBACK");
    let mark = copy.log_mark();
    copy.restart(Mode::Fast);
    copy.wait_for_log(mark, "nothing is delivered from database \"freight\"", SOON);
    is_held(&copy, DB);
}

#[test]
fn a_promoted_standby_goes_on_also_beside_a_recovery_signal() {
    let original = Original::start();
    original.archived();
    let standby = original.copy(&[RECOVERY_SIGNAL, STANDBY_SIGNAL]).start();
    let mut reader = standby.client(DB);
    eventually("the standby has the event that waits", SOON, || {
        (count(
            &mut reader,
            "SELECT count(*) FROM tms.event_outbox WHERE processed_at IS NULL",
        ) == 1)
            .then_some(())
    });
    is_silent(&original.stage.receiver);
    run(&mut reader, "SELECT pg_promote(true, 60)");
    for id in original.waiting {
        arrives(&original.stage.receiver, "what the original left", id);
    }
    assert!(!standby.data_dir().join("tms.recovered").exists());
}

/// Held, with nobody there who could send, and told so with what to do.
#[track_caller]
fn is_held(cluster: &Cluster, db: &str) {
    let hint = is_in_state(cluster, db, "held").hint.unwrap_or_default();
    assert!(hint.contains("tms_adopt()"), "{hint}");
    assert_eq!(cluster.worker_pid(db, "tms dispatcher"), None);
    // The state is there a moment before the line.
    let hint = eventually("a line of the log with its hint", SOON, || {
        let log = cluster.log();
        let mut lines = log
            .lines()
            .skip_while(|line| !line.contains(&format!("nothing is delivered from database \"{db}\"")));
        lines.nth(1).map(str::to_owned).ok_or_else(|| log.clone())
    });
    assert!(hint.contains("HINT:") && hint.contains("tms_adopt()"), "{hint}");
}
