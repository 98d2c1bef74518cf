//! An auditor's dump: what its company may know, and nothing that is secret.

use tms_e2e::cluster::PsqlOutput;

use crate::people::{A, B, Dumped, SECRET, dumped, people};
use crate::stage::{DB, Stage, count, run};

#[test]
fn an_auditors_dump_holds_its_companys_rows_and_no_secret() {
    let stage = Stage::start();
    people(&stage);
    let mut client = stage.client();
    let url = stage.receiver.url_of("/");
    let dump = dump_as(&stage, "auditor_of_a", &[]).expect_success().stdout;
    assert!(!dump.contains(B), "another company's rows");
    assert!(!dump.contains(&format!("{url}{SECRET}")), "a URL");
    assert!(!dump.contains("whsec_"), "a signing secret");

    for Dumped { name, is_sequence } in dumped(&mut client) {
        let line = if is_sequence {
            format!("setval('tms.{name}'")
        } else {
            format!("COPY tms.{name} ")
        };
        assert_eq!(dump.contains(&line), name != "target_secrets", "{name}");
    }
    for table in ["event_outbox", "dead_letter_queue", "delivery_attempts"] {
        let ask = format!("SELECT count(*) FROM tms.{table} WHERE company_id = '{A}'");
        let of_a = count(&mut client, &ask);
        assert!(of_a > 0, "{table} has rows of the company");
        assert_eq!(
            rows(&dump, table).len() as i64,
            of_a,
            "{table}: {:?}",
            rows(&dump, table)
        );
    }
    for table in ["role_bindings", "role_capabilities", "webhook_source_secrets"] {
        assert_eq!(rows(&dump, table), [""; 0], "{table}");
    }
}

#[test]
fn an_auditor_without_rights_to_other_tables_dumps_the_extension_alone() {
    let stage = Stage::start();
    people(&stage);
    let whole = dump_as(&stage, "auditor_of_a", &[]).expect_success().stdout;
    run(&mut stage.client(), "CREATE TABLE business (of_our_own text)");
    let refused = dump_as(&stage, "auditor_of_a", &[]).stderr;
    assert!(
        refused.contains("permission denied for table business"),
        "{refused}"
    );
    let ours = dump_as(&stage, "auditor_of_a", &["--extension=tms", "--schema=tms"]);
    let ours = ours.expect_success().stdout;
    let tables = |dump: &str| dump.lines().filter(|line| line.starts_with("COPY ")).count();
    assert_eq!(tables(&ours), tables(&whole));
}

#[test]
fn without_its_two_options_an_auditors_dump_is_refused() {
    let stage = Stage::start();
    people(&stage);
    let without_security = stage.cluster.program(
        "pg_dump",
        "auditor_of_a",
        &["--exclude-table=tms.target_secrets", DB],
    );
    assert!(
        without_security.stderr.contains("row-level security"),
        "{}",
        without_security.stderr
    );
    let with_secrets = stage
        .cluster
        .program("pg_dump", "auditor_of_a", &["--enable-row-security", DB]);
    assert!(
        with_secrets
            .stderr
            .contains("permission denied for table target_secrets"),
        "{}",
        with_secrets.stderr
    );
}

#[track_caller]
fn dump_as(stage: &Stage, role: &str, more: &[&str]) -> PsqlOutput {
    let mut args = vec!["--exclude-table=tms.target_secrets", "--enable-row-security"];
    args.extend(more);
    args.push(DB);
    stage.cluster.program("pg_dump", role, &args)
}

/// The lines between a table's COPY and its end.
fn rows<'a>(dump: &'a str, table: &str) -> Vec<&'a str> {
    dump.lines()
        .skip_while(|line| !line.starts_with(&format!("COPY tms.{table} ")))
        .skip(1)
        .take_while(|line| *line != "\\.")
        .collect()
}
