//! The SQL of the guides is run as it stands, block by block, in a fresh database with the extension: a guide that no longer
//! works is a defect like any other.
//!
//! A block whose first line is `-- fails: SQLSTATE` must fail with that code and change nothing for the blocks after it.

use std::path::{Path, PathBuf};

use tms_e2e::cluster::Cluster;

const FAILS: &str = "-- fails: ";

/// One fenced block of SQL.
struct Block {
    line: usize,
    sql: String,
}

fn guides() -> Vec<PathBuf> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let mut found: Vec<PathBuf> = std::fs::read_dir(&docs)
        .expect("docs/ can be read")
        .map(|entry| entry.expect("an entry of docs/").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    found.sort();
    found
}

fn blocks(text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in text.lines().enumerate() {
        let fence = line.trim_start();
        match &mut open {
            None if fence == "```sql" => {
                open = Some(Block {
                    line: index + 1,
                    sql: String::new(),
                })
            }
            None => {}
            Some(_) if fence == "```" => found.extend(open.take()),
            Some(block) => {
                block.sql.push_str(line);
                block.sql.push('\n');
            }
        }
    }
    assert!(open.is_none(), "a block of SQL is not closed");
    found
}

fn run(client: &mut postgres::Client, guide: &str, block: &Block) {
    let expected = block
        .sql
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(FAILS))
        .map(str::trim);
    let outcome = client.batch_execute(&block.sql);
    let code = outcome
        .as_ref()
        .err()
        .and_then(|error| error.code())
        .map(|code| code.code().to_owned());
    match (expected, outcome) {
        (None, Err(error)) => panic!("{guide}, line {}: {error:?}\n{}", block.line, block.sql),
        (Some(expected), _) => assert_eq!(
            code.as_deref(),
            Some(expected),
            "{guide}, line {}: the block should fail so\n{}",
            block.line,
            block.sql
        ),
        (None, Ok(())) => {}
    }
}

#[test]
fn every_example_of_the_guides_runs() {
    // Workers for every guide's database, so that none waits for its turn: some look at what was delivered.
    let cluster = Cluster::builder().conf("max_worker_processes", "64").start();
    let mut count = 0;
    for (number, path) in guides().iter().enumerate() {
        let guide = path
            .file_name()
            .expect("a file name")
            .to_string_lossy()
            .into_owned();
        let found = blocks(&std::fs::read_to_string(path).expect("a guide can be read"));
        if found.is_empty() {
            continue;
        }
        let database = format!("guide{number}");
        cluster.create_database(&database);
        let mut client = cluster.client(&database);
        client
            .batch_execute("CREATE EXTENSION tms")
            .expect("CREATE EXTENSION");
        for block in &found {
            run(&mut client, &guide, block);
        }
        count += found.len();
    }
    assert!(count > 0, "the guides hold no SQL");
    println!("{count} examples ran");
}
