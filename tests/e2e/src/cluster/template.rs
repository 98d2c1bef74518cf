//! A data directory made once per build of the server; each cluster is a copy, which takes a tenth of the time.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::Installation;

/// Copies the template to `data`, making it first if it is not there.
pub(super) fn copy_to(installation: &Installation, data: &Path) {
    let template = ensure(installation);
    let output = Command::new("cp")
        .arg("-a")
        .arg(&template)
        .arg(data)
        .output()
        .expect("cp");
    assert!(
        output.status.success(),
        "cp -a: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn ensure(installation: &Installation) -> PathBuf {
    let name = installation.template_name();
    let template = installation.state().join(&name);
    // Held by one process and thread at a time; the others find the template when they get it.
    let lock = File::create(installation.state().join(format!("{name}.lock"))).expect("a lock file");
    lock.lock().expect("the template's lock");
    if !template.exists() {
        make(installation, &template);
    }
    template
}

/// Made beside its place and renamed: a template that exists is complete.
fn make(installation: &Installation, template: &Path) {
    let draft = template.with_added_extension("draft");
    let _ = fs::remove_dir_all(&draft);
    fs::create_dir(&draft).unwrap_or_else(|error| panic!("{}: {error}", draft.display()));
    installation.give(&draft);
    let output = installation
        .command("initdb")
        .args([
            "--no-sync",
            "--auth=trust",
            "--username=postgres",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "-D",
        ])
        .arg(&draft)
        .output()
        .unwrap_or_else(|error| panic!("initdb: {error}"));
    assert!(
        output.status.success(),
        "initdb: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&draft, template).expect("the draft becomes the template");
}
