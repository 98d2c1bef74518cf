//! The stage: a database with two companies, a role of each for every capability, and rows that belong to each.

use postgres::{Client, SimpleQueryMessage};
pub use tms_e2e::ask::run;
use tms_e2e::cluster::Cluster;

/// The company whose rows nobody else may see or touch.
pub const A: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
/// The company that tries.
pub const B: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
/// A company that nobody has ever heard of.
pub const UNKNOWN: &str = "cccccccc-0000-4000-8000-00000000000c";

/// Its event that a consumer has: the beginning is A's or B's, or nobody's.
const CLAIMED_EVENT: &str = "0000-7000-8000-0000000000e1";
/// Its dead letter, whose event is at rest.
const LETTER: &str = "0000-7000-8000-0000000000e5";
/// Its task that an agent has, and the one that a person is asked about.
const TASK: &str = "0000-7000-8000-0000000000e3";
const ASKED: &str = "0000-7000-8000-0000000000e4";
/// The lease under which the consumer has its event, and the agent its task.
const LEASE: &str = "0000-4000-8000-0000000000e2";

pub const CAPABILITIES: [&str; 7] = [
    "producer",
    "consumer",
    "agent",
    "approver",
    "operator",
    "auditor",
    "pseudonymizer",
];

const DATABASE: &str = "freight";

/// A database with the extension, and everybody in it.
pub struct Stage {
    pub cluster: Cluster,
    /// The schema the functions are in.
    pub schema: &'static str,
}

/// What the database is like before the extension comes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    Plain,
    /// As on Supabase: new objects of anybody are given away to the roles of the API.
    GenerousDefaults,
    /// Functions in a schema of their own.
    SchemaExtensions,
}

/// The roles Supabase's API runs requests as.
pub const API_ROLES: [&str; 3] = ["anon", "authenticated", "service_role"];

impl Stage {
    /// Nothing but the extension and a target; events are accepted and not delivered.
    #[track_caller]
    pub fn bare(ground: Ground) -> Self {
        Self::with_dispatch(ground, "hold")
    }

    #[track_caller]
    pub fn with_dispatch(ground: Ground, dispatch: &str) -> Self {
        let cluster = Cluster::builder().conf("tms.dispatch", dispatch).start();
        cluster.create_database(DATABASE);
        let schema = match ground {
            Ground::SchemaExtensions => "extensions",
            Ground::Plain | Ground::GenerousDefaults => "public",
        };
        let stage = Self { cluster, schema };
        let mut owner = stage.owner();
        prepare_ground(&mut owner, ground);
        owner
            .batch_execute(&format!("CREATE EXTENSION tms SCHEMA {schema}"))
            .unwrap();
        run(
            &mut owner,
            &stage
                .text("SELECT {f}.tms_target_set('n8n', 'http', '{\"url\": \"https://hooks.example/in\"}')"),
        );
        stage
    }

    /// Both companies with their roles and their rows.
    #[track_caller]
    pub fn peopled(ground: Ground) -> Self {
        let stage = Self::bare(ground);
        let mut owner = stage.owner();
        for (prefix, company) in [("a", A), ("b", B)] {
            for capability in CAPABILITIES {
                stage.add_role(&format!("{prefix}_{capability}"), Some(company), &[capability]);
            }
            stage.add_role(&format!("{prefix}_all"), Some(company), &CAPABILITIES);
            stage.add_role(&format!("{prefix}_none"), Some(company), &[]);
        }
        stage.add_role("stateless_all", None, &CAPABILITIES);
        stage.add_role("stateless_none", None, &[]);
        let others = "
            SELECT {f}.tms_target_set('pulled', 'pull'),
                   {f}.tms_target_set('signed', 'http', '{\"url\": \"https://hooks.example/signed\", \"signing\": true}'),
                   {f}.tms_policy_load('agent_policies: {rates_agent: {mode: evaluate_only}}'),
                   {f}.tms_redaction_set('{\"fields\": [\"pin\"]}'), {f}.tms_redaction_rotate_key()";
        run(&mut owner, &stage.text(others));
        for (company, events, letters) in [(A, 7, 3), (B, 2, 1)] {
            add_rows(&mut owner, company, events, letters);
            run(&mut owner, &stage.text(&version_and_key(company)));
        }
        stage
    }

    /// A role that may log in, bound to a company unless that is `None`, with these capabilities.
    #[track_caller]
    pub fn add_role(&self, name: &str, company: Option<&str>, capabilities: &[&str]) {
        let mut owner = self.owner();
        run(&mut owner, &format!("CREATE ROLE {name} LOGIN"));
        if let Some(company) = company {
            self.bind(name, Some(company));
        }
        for capability in capabilities {
            run(
                &mut owner,
                &self.text(&format!("SELECT {{f}}.tms_grant('{name}', '{capability}')")),
            );
        }
    }

    /// Binds, or with `None` enrols.
    #[track_caller]
    pub fn bind(&self, role: &str, company: Option<&str>) {
        let company = company.map_or("NULL".to_owned(), |company| format!("'{company}'"));
        run(
            &mut self.owner(),
            &self.text(&format!("SELECT {{f}}.tms_bind_role('{role}', {company})")),
        );
    }

    /// The superuser.
    #[track_caller]
    pub fn owner(&self) -> Client {
        self.cluster.client(DATABASE)
    }

    #[track_caller]
    pub fn client(&self, role: &str) -> Client {
        self.cluster.client_as(role, DATABASE)
    }

    /// SQL in which `{f}` stands for the schema of the functions, and `{a}`, `{b}`, `{unknown}` for companies; `{a event}` is
    /// the event of A that a consumer has, and `{a lease}` its token; `{a letter}` is a dead letter of A.
    pub fn text(&self, sql: &str) -> String {
        let mut text = sql.replace("{f}", self.schema);
        for (name, company) in [("a", A), ("b", B), ("unknown", UNKNOWN)] {
            text = text
                .replace(&format!("{{{name}}}"), company)
                .replace(&format!("{{{name} event}}"), &of(company, CLAIMED_EVENT))
                .replace(&format!("{{{name} task}}"), &of(company, TASK))
                .replace(&format!("{{{name} asked}}"), &of(company, ASKED))
                .replace(&format!("{{{name} letter}}"), &of(company, LETTER))
                .replace(&format!("{{{name} lease}}"), &of(company, LEASE));
        }
        text
    }

    /// One value, as text.
    #[track_caller]
    pub fn ask(&self, client: &mut Client, sql: &str) -> Option<String> {
        let sql = self.text(sql);
        let answer = attempt(client, &sql);
        match answer
            .unwrap_or_else(|refused| panic!("{sql}: {refused:?}"))
            .pop()
        {
            Some(row) => row.into_iter().next().flatten(),
            None => panic!("{sql}: no row"),
        }
    }

    /// The company the session is.
    #[track_caller]
    pub fn company(&self, client: &mut Client) -> Option<String> {
        self.ask(client, "SELECT {f}.tms_current_company()")
    }
}

/// An id that begins as the company does.
fn of(company: &str, rest: &str) -> String {
    format!("{}-{rest}", &company[..8])
}

fn prepare_ground(owner: &mut Client, ground: Ground) {
    match ground {
        Ground::Plain => {}
        Ground::SchemaExtensions => {
            run(owner, "CREATE SCHEMA extensions");
            run(owner, "GRANT USAGE ON SCHEMA extensions TO PUBLIC");
        }
        Ground::GenerousDefaults => {
            for (role, options) in API_ROLES.iter().zip(["", "", "BYPASSRLS"]) {
                run(owner, &format!("CREATE ROLE {role} NOLOGIN NOINHERIT {options}"));
            }
            let given = "ALTER DEFAULT PRIVILEGES FOR ROLE postgres";
            for kind in ["TABLES", "FUNCTIONS", "SEQUENCES"] {
                let rights = format!("GRANT ALL ON {kind} TO anon, authenticated, service_role");
                run(owner, &format!("{given} {rights}"));
                run(owner, &format!("{given} IN SCHEMA public {rights}"));
            }
            for kind in ["SCHEMAS", "TYPES"] {
                run(
                    owner,
                    &format!("{given} GRANT ALL ON {kind} TO anon, authenticated, service_role"),
                );
            }
        }
    }
}

/// Rows of a company as the extension itself would write them; letters and attempts are written by its owner.
fn add_rows(owner: &mut Client, company: &str, events: u32, letters: u32) {
    run(
        owner,
        &format!(
            "INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id)
             SELECT 'load.moved', '{{}}', 'n8n', '{company}' FROM generate_series(1, {events})"
        ),
    );
    run(
        owner,
        &format!(
            "INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id, available_at)
             SELECT 'load.planned', '{{}}', 'n8n', '{company}', now() + interval '1 day'
               FROM generate_series(1, {letters})"
        ),
    );
    run(
        owner,
        &format!(
            "INSERT INTO tms.dead_letter_queue (original_event_id, company_id, target_system, event_type, error_type)
             SELECT id, company_id, target_system, event_type, 'timeout' FROM tms.event_outbox
              WHERE company_id = '{company}' AND event_type = 'load.moved' LIMIT {letters}"
        ),
    );
    run(
        owner,
        &format!(
            "INSERT INTO tms.delivery_attempts
                    (event_id, company_id, target_system, attempt, started_at, duration_ms, outcome, error_type)
             SELECT original_event_id, company_id, target_system, 1, now(), 1, 'dead', error_type
               FROM tms.dead_letter_queue WHERE company_id = '{company}'"
        ),
    );
    run(
        owner,
        &format!(
            "INSERT INTO tms.subscriptions (event_type_pattern, target_system, company_id)
             VALUES ('load.moved', 'n8n', '{company}');
             WITH source AS (INSERT INTO tms.webhook_sources (name, company_id) VALUES ('partner', '{company}') RETURNING id),
                  receipt AS (INSERT INTO tms.webhook_receipts SELECT id, 'msg', now(), now() + interval '1 day' FROM source)
             INSERT INTO tms.webhook_source_secrets SELECT id, '[\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"]' FROM source"
        ),
    );
}

/// A version of a target of the company's own, with what the dispatcher writes of it; a policy and rules of redaction of its own, a line and tasks of its
/// agent; a key it has used; and an event that a consumer of it has.
fn version_and_key(company: &str) -> String {
    format!(
        "SELECT {{f}}.tms_target_set('n8n', 'http', '{{\"url\": \"https://hooks.example/own\"}}', '{company}');
         SELECT {{f}}.tms_policy_load('agent_policies: {{rates_agent: {{mode: evaluate_only}}}}', '{company}');
         INSERT INTO tms.policy_decisions (id, decided_at, company_id, agent_name, fn_name, decision, effective)
             VALUES (tms.uuid_v7(), now(), '{company}', 'rates_agent', 'rates.price', 'deny', 'allow');
         INSERT INTO tms.policy_spending (company_id, agent_name, day) VALUES ('{company}', 'rates_agent', current_date);
         SELECT {{f}}.tms_redaction_set('{{\"fields\": [\"pin\"]}}', '{company}');
         INSERT INTO tms.agent_logs (message, company_id) VALUES ('x', '{company}');
         INSERT INTO tms.target_health (target, company_id, state, since) VALUES ('n8n', '{company}', 'active', now())
             ON CONFLICT DO NOTHING;
         INSERT INTO tms.target_load (target, company_id, in_flight, per_second, delivered, failed, updated_at)
             VALUES ('n8n', '{company}', 0, 0, 0, 0, now()) ON CONFLICT DO NOTHING;
         INSERT INTO tms.idempotency_keys (target_system, company_id, key, event_id)
             VALUES ('n8n', '{company}', 'order-7', gen_random_uuid());
         INSERT INTO tms.event_outbox (id, event_type, payload, target_system, company_id, available_at, lease_token)
             VALUES ('{}', 'load.claimed', '{{}}', 'pulled', '{company}', now() + interval '1 day', '{}');
         INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id)
             VALUES ('load.moved', '{{}}', 'pulled', '{company}');
         INSERT INTO tms.agent_tasks (id, company_id, agent_name, fn_name, submitted_by, status, lease_token, leased_until, waits_for)
             VALUES ('{task}', '{company}', 'rates_agent', 'rates.price', 'x', 'running', '{lease}', now() + interval '1 day', NULL),
                    ('{asked}', '{company}', 'rates_agent', 'rates.price', 'x', 'queued', NULL, NULL, 'confirmation');
         INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id, available_at)
             VALUES ('load.dead', '{{}}', 'n8n', '{company}', '2400-01-01');
         UPDATE tms.event_outbox SET available_at = 'infinity' WHERE event_type = 'load.dead';
         INSERT INTO tms.dead_letter_queue (id, original_event_id, company_id, target_system, event_type, error_type)
             SELECT '{letter}', id, company_id, target_system, event_type, 'validation' FROM tms.event_outbox
              WHERE company_id = '{company}' AND event_type = 'load.dead';
         INSERT INTO tms.dead_letter_acts (letter_id, company_id, act)
             SELECT id, company_id, 'failed' FROM tms.dead_letter_queue WHERE company_id = '{company}'",
        of(company, CLAIMED_EVENT),
        of(company, LEASE),
        task = of(company, TASK),
        asked = of(company, ASKED),
        lease = of(company, LEASE),
        letter = of(company, LETTER),
    )
}

/// Why a statement failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub state: String,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

impl Refused {
    pub fn is_denied(&self) -> bool {
        self.state == "42501"
    }
}

pub type Rows = Vec<Vec<Option<String>>>;

/// Runs a statement as it is, and returns its rows or why it was refused.
#[track_caller]
pub fn attempt(client: &mut Client, sql: &str) -> Result<Rows, Refused> {
    match client.simple_query(sql) {
        Ok(messages) => Ok(messages.iter().filter_map(values).collect()),
        Err(error) => {
            let Some(told) = error.as_db_error() else {
                panic!("{sql}: {error:?}")
            };
            Err(Refused {
                state: told.code().code().to_owned(),
                message: told.message().to_owned(),
                detail: told.detail().map(str::to_owned),
                hint: told.hint().map(str::to_owned),
            })
        }
    }
}

/// The same, without leaving a trace.
#[track_caller]
pub fn rehearse(client: &mut Client, sql: &str) -> Result<Rows, Refused> {
    run(client, "BEGIN");
    let answer = attempt(client, sql);
    run(client, "ROLLBACK");
    answer
}

fn values(message: &SimpleQueryMessage) -> Option<Vec<Option<String>>> {
    match message {
        SimpleQueryMessage::Row(row) => Some(
            (0..row.len())
                .map(|column| row.get(column).map(str::to_owned))
                .collect(),
        ),
        _ => None,
    }
}

/// Panics unless the statement is refused for want of a right.
#[track_caller]
pub fn must_be_denied(client: &mut Client, who: &str, sql: &str) {
    match rehearse(client, sql) {
        Err(refused) if refused.is_denied() => {}
        other => panic!("{who} must be denied {sql:?}; instead: {other:?}"),
    }
}
