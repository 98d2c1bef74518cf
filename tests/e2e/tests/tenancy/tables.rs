//! A case for every table, view and sequence: who reads what of it, and that nobody writes it.

use postgres::Client;

use crate::stage::{A, B, CAPABILITIES, Stage, attempt, must_be_denied, rehearse};

/// Whose rows are in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    /// Each belongs to a company.
    OfCompanies,
    /// Some belong to a company, and the rest to everybody.
    OfCompaniesAndAll,
    /// Of the platform; who may read it reads all of it.
    OfThePlatform,
    /// A view: each row belongs to a company.
    Shown,
    /// Counts the caller's own events.
    Counted,
    /// For the extension's own eyes; an auditor's pg_dump may ask, and finds none.
    Hidden,
}

struct Table {
    name: &'static str,
    rows: Rows,
    readers: &'static [&'static str],
    /// Who may write a new row.
    writers: &'static [&'static str],
    /// Columns that they may write into it.
    insertable: &'static [&'static str],
}

const STATUS_READERS: &[&str] = &["operator", "auditor"];

const TABLES: [Table; 26] = [
    dumped("role_bindings"),
    dumped("role_capabilities"),
    hidden("target_secrets"),
    hidden("installation"),
    Table {
        name: "targets",
        rows: Rows::OfThePlatform,
        readers: STATUS_READERS,
        writers: &[],
        insertable: &[],
    },
    Table {
        name: "event_outbox",
        rows: Rows::OfCompanies,
        readers: &["producer", "operator", "auditor"],
        writers: &["producer"],
        insertable: &[
            "event_type",
            "payload",
            "target_system",
            "company_id",
            "priority",
            "available_at",
            "max_retries",
            "idempotency_key",
            "ordering_key",
            "headers",
        ],
    },
    of_companies_and_all("target_health"),
    Table {
        name: "idempotency_keys",
        rows: Rows::OfCompanies,
        readers: &["auditor"],
        writers: &[],
        insertable: &[],
    },
    of_companies("target_overrides"),
    of_companies("target_load"),
    of_companies("dead_letter_queue"),
    of_companies("dead_letter_acts"),
    of_companies("delivery_attempts"),
    of_companies("subscriptions"),
    of_companies("webhook_sources"),
    dumped("webhook_source_secrets"),
    dumped("webhook_receipts"),
    of_companies_and_all("policies"),
    of_companies_and_all("policy_heads"),
    of_companies_and_all("policy_changes"),
    of_companies("policy_decisions"),
    of_companies("policy_spending"),
    of_companies_and_all("redaction_rules"),
    dumped("redaction_keys"),
    Table {
        readers: TASK_READERS,
        ..of_companies("agent_tasks")
    },
    Table {
        name: "agent_logs",
        rows: Rows::OfCompanies,
        readers: STATUS_READERS,
        writers: &["agent"],
        insertable: &["company_id", "agent_name", "task_id", "level", "message", "meta"],
    },
];

/// Whoever has to do with tasks follows them.
const TASK_READERS: &[&str] = &["producer", "agent", "approver", "operator", "auditor"];

const VIEWS: [Table; 7] = [
    counted("outbox_status"),
    counted("target_status"),
    shown("dead_letters"),
    shown("event_history"),
    shown("task_history"),
    shown("policy_budgets"),
    Table {
        readers: TASK_READERS,
        ..shown("task_status")
    },
];

/// Sequences, and who may draw numbers. The place of an event with an ordering key is given by the library alone.
const SEQUENCES: [(&str, &[&str]); 3] = [
    ("event_outbox_seq", &["producer"]),
    ("event_outbox_order_seq", &[]),
    ("delivery_attempts_id", &[]),
];

const fn hidden(name: &'static str) -> Table {
    Table {
        name,
        rows: Rows::Hidden,
        readers: &[],
        writers: &[],
        insertable: &[],
    }
}

const fn dumped(name: &'static str) -> Table {
    Table {
        name,
        rows: Rows::Hidden,
        readers: &["auditor"],
        writers: &[],
        insertable: &[],
    }
}

const fn of_companies(name: &'static str) -> Table {
    Table {
        name,
        rows: Rows::OfCompanies,
        readers: STATUS_READERS,
        writers: &[],
        insertable: &[],
    }
}

const fn of_companies_and_all(name: &'static str) -> Table {
    Table {
        name,
        rows: Rows::OfCompaniesAndAll,
        readers: STATUS_READERS,
        writers: &[],
        insertable: &[],
    }
}

const fn shown(name: &'static str) -> Table {
    Table {
        name,
        rows: Rows::Shown,
        readers: STATUS_READERS,
        writers: &[],
        insertable: &[],
    }
}

const fn counted(name: &'static str) -> Table {
    Table {
        name,
        rows: Rows::Counted,
        readers: STATUS_READERS,
        writers: &[],
        insertable: &[],
    }
}

/// Every object here, as the catalog's list names it.
pub fn names() -> impl Iterator<Item = String> {
    let tables = TABLES.iter().map(|table| format!("table {}", table.name));
    let views = VIEWS.iter().map(|view| format!("view {}", view.name));
    let sequences = SEQUENCES.iter().map(|(name, _)| format!("sequence {name}"));
    tables.chain(views).chain(sequences)
}

/// The roles of company B and one of no company, each with the capabilities it has.
pub fn callers() -> Vec<(String, Vec<&'static str>)> {
    let mut callers: Vec<_> = CAPABILITIES
        .iter()
        .map(|capability| (format!("b_{capability}"), vec![*capability]))
        .collect();
    callers.push(("b_all".into(), CAPABILITIES.to_vec()));
    callers.push(("b_none".into(), vec![]));
    callers.push(("stateless_all".into(), CAPABILITIES.to_vec()));
    callers.push(("stateless_none".into(), vec![]));
    callers
}

pub fn keep_companies_apart(stage: &Stage) {
    for (role, capabilities) in callers() {
        let mut client = stage.client(&role);
        let has = |wanted: &[&str]| wanted.iter().any(|capability| capabilities.contains(capability));
        for table in TABLES.iter().chain(&VIEWS) {
            reads_no_more_than_its_own(stage, &mut client, &role, table, has(table.readers));
        }
        for table in &TABLES {
            writes_nothing(stage, &mut client, &role, table, has(table.writers));
        }
        for view in &VIEWS {
            writes_no_view(stage, &mut client, &role, view.name);
        }
        for (sequence, drawers) in SEQUENCES {
            draws_numbers_at_most(&mut client, &role, sequence, has(drawers));
            reads_numbers_at_most(&mut client, &role, sequence, has(&["auditor"]));
        }
    }
}

fn reads_no_more_than_its_own(stage: &Stage, client: &mut Client, role: &str, table: &Table, may_read: bool) {
    let name = table.name;
    if !may_read {
        must_be_denied(client, role, &format!("SELECT 1 FROM tms.{name}"));
        must_be_denied(client, role, &format!("TABLE tms.{name}"));
        must_be_denied(client, role, &format!("COPY tms.{name} TO STDOUT"));
        return;
    }
    let count = |client: &mut Client, what: &str| {
        stage.ask(client, &format!("SELECT count(*) FROM tms.{name} {what}"))
    };
    let mut owner = stage.owner();
    let own = if role.starts_with("stateless") {
        "NULL".to_owned()
    } else {
        format!("'{B}'")
    };
    match table.rows {
        Rows::OfCompanies | Rows::OfCompaniesAndAll | Rows::Shown => {
            let of_own = count(&mut owner, &format!("WHERE company_id = {own}"));
            assert_eq!(
                of_own == Some("0".into()),
                role.starts_with("stateless"),
                "rows of B are in {name}"
            );
            let expected = if table.rows == Rows::OfCompaniesAndAll {
                count(
                    &mut owner,
                    &format!("WHERE company_id = {own} OR company_id IS NULL"),
                )
            } else {
                of_own
            };
            assert_ne!(
                count(&mut owner, &format!("WHERE company_id = '{A}'")),
                Some("0".into())
            );
            assert_eq!(count(client, ""), expected, "{role} reads {name}");
            assert_eq!(
                count(client, &format!("WHERE company_id = '{A}'")),
                Some("0".into()),
                "{role} reads {name}"
            );
            if table.rows == Rows::Shown {
                return;
            }
            let place = stage.ask(
                &mut owner,
                &format!("SELECT ctid FROM tms.{name} WHERE company_id = '{A}' LIMIT 1"),
            );
            let of_a = format!("WHERE ctid = '{}'", place.expect("a row of A"));
            assert_eq!(
                count(client, &of_a),
                Some("0".into()),
                "{role} finds a row of {name} by its place"
            );
        }
        Rows::OfThePlatform => assert_eq!(count(client, ""), count(&mut owner, ""), "{role} reads {name}"),
        Rows::Counted => counts_its_own(stage, client, role, name),
        Rows::Hidden => assert_eq!(count(client, ""), Some("0".into()), "{role} reads {name}"),
    }
}

/// Compared with what the platform counts of B's rows alone, by the plainest query.
fn counts_its_own(stage: &Stage, client: &mut Client, role: &str, view: &str) {
    let own = if role.starts_with("stateless") {
        "NULL".to_owned()
    } else {
        format!("'{B}'")
    };
    let expected = stage.ask(
        &mut stage.owner(),
        &format!(
            "SELECT count(*) FILTER (WHERE event_type = 'load.moved') || '/'
                 || count(*) FILTER (WHERE event_type IN ('load.planned', 'load.claimed'))
               FROM tms.event_outbox WHERE company_id = {own} AND processed_at IS NULL"
        ),
    );
    let seen = stage.ask(
        client,
        &format!("SELECT coalesce(sum(due), 0) || '/' || coalesce(sum(scheduled), 0) FROM tms.{view}"),
    );
    assert_eq!(seen, expected, "{role} counts by {view}");
    if view == "target_status" {
        let versions =
            format!("SELECT string_agg(company_id::text, ' ') FROM tms.{view} WHERE company_id IS NOT NULL");
        let own = (!role.starts_with("stateless")).then(|| B.to_owned());
        assert_eq!(
            stage.ask(client, &versions),
            own,
            "{role} reads versions by {view}"
        );
    }
}

fn writes_nothing(stage: &Stage, client: &mut Client, role: &str, table: &Table, is_writer: bool) {
    let name = table.name;
    for statement in [
        format!("DELETE FROM tms.{name}"),
        format!("DELETE FROM tms.{name} WHERE false"),
        format!("TRUNCATE tms.{name}"),
        format!("LOCK TABLE tms.{name} IN ACCESS EXCLUSIVE MODE"),
        format!("SELECT 1 FROM tms.{name} FOR UPDATE"),
        format!("SELECT 1 FROM tms.{name} FOR KEY SHARE"),
        format!("ALTER TABLE tms.{name} DISABLE ROW LEVEL SECURITY"),
        format!("ALTER TABLE tms.{name} DISABLE TRIGGER ALL"),
        format!("CREATE POLICY mine ON tms.{name} USING (true)"),
        format!("CREATE INDEX mine ON tms.{name} ((1))"),
        format!(
            "CREATE TRIGGER mine AFTER INSERT ON tms.{name} EXECUTE FUNCTION suppress_redundant_updates_trigger()"
        ),
    ] {
        must_be_denied(client, role, &statement);
    }
    for column in columns(stage, name) {
        must_be_denied(client, role, &format!("UPDATE tms.{name} SET {column} = DEFAULT"));
        must_be_denied(
            client,
            role,
            &format!("UPDATE tms.{name} SET {column} = {column} WHERE false"),
        );
        let insert = format!("INSERT INTO tms.{name} ({column}) VALUES (DEFAULT)");
        if !(is_writer && table.insertable.contains(&column.as_str())) {
            must_be_denied(client, role, &insert);
        }
    }
    if !table.insertable.is_empty() {
        inserts_for_nobody_else(stage, client, role, name);
    }
}

/// With every right to insert, and even then.
fn inserts_for_nobody_else(stage: &Stage, client: &mut Client, role: &str, name: &str) {
    for company in ["'{a}'", "'{unknown}'", "NULL"] {
        let insert = if name == "agent_logs" {
            format!("INSERT INTO tms.{name} (message, company_id) VALUES ('x', {company})")
        } else {
            format!(
                "INSERT INTO tms.{name} (event_type, payload, target_system, company_id) VALUES ('x', '{{}}', 'n8n', {company})"
            )
        };
        must_be_denied(client, role, &stage.text(&insert));
        must_be_denied(
            client,
            role,
            &stage.text(&format!("{insert} ON CONFLICT DO NOTHING")),
        );
    }
}

fn writes_no_view(stage: &Stage, client: &mut Client, role: &str, name: &str) {
    let columns = columns(stage, name);
    let column = columns.last().expect("a view has columns");
    for statement in [
        format!("DELETE FROM tms.{name}"),
        format!("INSERT INTO tms.{name} DEFAULT VALUES"),
        format!("UPDATE tms.{name} SET {column} = NULL"),
        format!("ALTER VIEW tms.{name} RESET (security_invoker)"),
        format!("CREATE OR REPLACE VIEW tms.{name} AS SELECT 1"),
    ] {
        let refused = rehearse(client, &statement).expect_err(&statement);
        // 55000: such a view cannot be written by anybody, which PostgreSQL finds before it looks at rights.
        assert!(
            refused.is_denied() || refused.state == "55000",
            "{role}: {statement}: {refused:?}"
        );
    }
}

fn draws_numbers_at_most(client: &mut Client, role: &str, sequence: &str, may_draw: bool) {
    must_be_denied(client, role, &format!("SELECT setval('tms.{sequence}', 1)"));
    let draw = format!("SELECT nextval('tms.{sequence}')");
    if may_draw {
        attempt(client, &draw).unwrap_or_else(|refused| panic!("{role}: {draw}: {refused:?}"));
    } else {
        must_be_denied(client, role, &draw);
    }
}

/// A pg_dump reads where a sequence stands; nobody else needs to know how many events there are.
fn reads_numbers_at_most(client: &mut Client, role: &str, sequence: &str, may_read: bool) {
    let read = format!("SELECT last_value FROM tms.{sequence}");
    if may_read {
        attempt(client, &read).unwrap_or_else(|refused| panic!("{role}: {read}: {refused:?}"));
    } else {
        must_be_denied(client, role, &read);
    }
}

fn columns(stage: &Stage, table: &str) -> Vec<String> {
    let rows = stage.owner().query(
        "SELECT attname::text FROM pg_attribute
          WHERE attrelid = ('tms.' || $1)::regclass AND attnum > 0 AND NOT attisdropped",
        &[&table],
    );
    let columns: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
    assert!(!columns.is_empty());
    columns
}
