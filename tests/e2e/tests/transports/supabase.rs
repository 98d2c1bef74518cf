//! The realtime target where the tables of Supabase are: rows of `realtime.messages`, written as its owner.

use postgres::Client;
use serde_json::{Value, json};
use tms_e2e::foreign::SUPABASE;
use tms_e2e::story::{SOON, Story, ids, number, run};
use tms_e2e::wait::eventually;
use uuid::Uuid;

use crate::looks::{becomes, enqueue, letter, set_target, text};

const COMPANY: &str = "aaaaaaaa-0000-4000-8000-00000000000a";

/// Days enough for a test that runs at midnight.
const PARTITION: &str = "
    DO $$ BEGIN
        SET LOCAL ROLE supabase_realtime_admin;
        EXECUTE format('CREATE TABLE realtime.messages_now PARTITION OF realtime.messages FOR VALUES FROM (%L) TO (%L)',
                       current_date - 2, current_date + 3);
    END $$";

fn begin() -> (Story, Client) {
    let story = Story::begin();
    let mut client = story.client();
    run(&mut client, SUPABASE);
    (story, client)
}

/// The message of an event, once it is there: topic, event, private, extension, payload.
#[track_caller]
fn message(client: &mut Client, event: Uuid) -> (String, String, bool, String, Value) {
    let ask = "SELECT topic, event, private, extension, payload FROM realtime.messages WHERE id = $1";
    let row = eventually("a message", SOON, || {
        client.query_opt(ask, &[&event]).expect("messages")
    });
    (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4))
}

#[test]
fn a_broadcast_is_a_row_that_is_written_with_the_completion() {
    let (story, mut client) = begin();
    run(&mut client, PARTITION);
    let event = enqueue(&mut client, "realtime", r#"{"load": 4711, "rate": 1.10}"#);
    let expected = json!({ "id": event.to_string(), "load": 4711, "rate": 1.1 });
    let row = message(&mut client, event);
    assert_eq!(
        row,
        (
            "events".into(),
            "load.moved".into(),
            true,
            "broadcast".into(),
            expected
        )
    );
    let digits = "SELECT payload ->> 'rate' FROM realtime.messages WHERE id = $1";
    assert_eq!(text(&mut client, digits, &[&event]), "1.10");
    let together = "SELECT (m.xmin = e.xmin)::text FROM realtime.messages m JOIN tms.event_outbox e USING (id) \
                    WHERE id = $1 AND processed_at IS NOT NULL";
    assert_eq!(text(&mut client, together, &[&event]), "true");

    let ask = format!("SELECT tms_enqueue('load.moved', '[1, 2]', 'realtime', '{COMPANY}')");
    let of_company = tms_e2e::story::id(&mut client, &ask);
    let (topic, _, _, _, payload) = message(&mut client, of_company);
    assert_eq!(
        (topic, payload),
        (
            format!("events:{COMPANY}"),
            json!({ "id": of_company.to_string(), "data": [1, 2] })
        )
    );

    set_target(
        &mut client,
        "yard",
        "realtime",
        json!({ "topic": "yard:board", "event": "moved", "private": false }),
    );
    let event = enqueue(&mut client, "yard", r#"{"id": "the client's own"}"#);
    let expected = json!({ "id": "the client's own" });
    let row = message(&mut client, event);
    assert_eq!(
        row,
        (
            "yard:board".into(),
            "moved".into(),
            false,
            "broadcast".into(),
            expected
        )
    );
    story.all_done();
    assert_eq!(number(&mut client, "SELECT count(*) FROM realtime.messages"), 3);
}

#[test]
fn a_day_without_a_partition_is_waited_for() {
    let (story, mut client) = begin();
    set_target(
        &mut client,
        "realtime",
        "realtime",
        json!({ "retry": { "base_ms": 100, "max_ms": 200 } }),
    );
    let ask =
        "SELECT tms_enqueue('load.moved', '{}', 'realtime', max_retries => 100) FROM generate_series(1, 3)";
    let events = ids(&mut client, ask);
    let failed = "SELECT count(DISTINCT event_id)::text FROM tms.delivery_attempts
                   WHERE outcome = 'retry' AND error_type = 'external_api' AND error_message LIKE '%no partition%'";
    becomes(&mut client, failed, &[], "3");
    run(&mut client, PARTITION);
    for event in events {
        message(&mut client, event);
    }
    story.all_done();
    assert_eq!(number(&mut client, "SELECT count(*) FROM realtime.messages"), 3);
    assert_eq!(
        number(&mut client, "SELECT count(*) FROM tms.dead_letter_queue"),
        0
    );
}

#[test]
fn an_event_that_the_table_refuses_holds_up_no_other() {
    let (story, mut client) = begin();
    run(&mut client, PARTITION);
    run(
        &mut client,
        "CREATE FUNCTION realtime.choosy() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             IF NEW.payload ? 'unwanted' THEN RAISE EXCEPTION 'not this one'; END IF;
             RETURN NEW;
         END $$;
         CREATE TRIGGER choosy BEFORE INSERT ON realtime.messages FOR EACH ROW EXECUTE FUNCTION realtime.choosy()",
    );
    let ask = "SELECT tms_enqueue('load.moved', CASE n WHEN 37 THEN '{\"unwanted\": 1}' ELSE '{}' END::jsonb, 'realtime')
                 FROM generate_series(1, 100) n";
    let events = ids(&mut client, ask);
    let (kind, words, attempts, permanent) = letter(&mut client, events[36]);
    assert_eq!((kind.as_str(), attempts, permanent), ("validation", 1, true));
    assert!(words.contains("not this one"), "{words}");
    story.all_done();
    assert_eq!(number(&mut client, "SELECT count(*) FROM realtime.messages"), 99);
}

/// Tries what a trigger of another's table must not do, and writes down what came of it.
const MALICE: &str = "
    CREATE TABLE realtime.loot (what text, came_of_it text);
    GRANT ALL ON realtime.loot TO PUBLIC;
    ALTER TABLE realtime.loot OWNER TO supabase_realtime_admin;
    CREATE FUNCTION realtime.try(what text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN
        EXECUTE what;
        INSERT INTO realtime.loot VALUES (what, 'done');
    EXCEPTION WHEN OTHERS THEN
        INSERT INTO realtime.loot VALUES (what, SQLSTATE);
    END $$;
    CREATE FUNCTION realtime.malice() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO realtime.loot VALUES ('who', current_user);
        INSERT INTO realtime.loot VALUES ('topic', current_setting('realtime.topic', true));
        PERFORM realtime.try('ALTER ROLE supabase_realtime_admin SUPERUSER');
        PERFORM realtime.try('SELECT * FROM tms.target_secrets');
        PERFORM realtime.try('UPDATE tms.event_outbox SET payload = ''{}''');
        PERFORM realtime.try('SET ROLE postgres');
        PERFORM realtime.try('RESET ROLE');
        PERFORM realtime.try('RESET SESSION AUTHORIZATION');
        RETURN NULL;
    END $$;
    GRANT USAGE ON SCHEMA realtime TO PUBLIC";

/// What was tried, and what came of it.
fn loot(client: &mut Client) -> Vec<(String, String)> {
    let rows = client
        .query("SELECT what, came_of_it FROM realtime.loot", &[])
        .expect("the loot");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[test]
fn its_triggers_run_as_its_owner_and_not_as_a_superuser() {
    let (story, mut client) = begin();
    run(&mut client, PARTITION);
    run(&mut client, MALICE);
    run(
        &mut client,
        "CREATE TRIGGER malice AFTER INSERT ON realtime.messages FOR EACH ROW EXECUTE FUNCTION realtime.malice()",
    );
    let event = enqueue(&mut client, "realtime", "{}");
    message(&mut client, event);
    story.all_done();
    let loot = loot(&mut client);
    assert_eq!(loot.len(), 8, "{loot:?}");
    assert_eq!(loot[0], ("who".into(), "supabase_realtime_admin".into()));
    assert_eq!(loot[1], ("topic".into(), "events".into()));
    for (what, came_of_it) in &loot[2..] {
        assert_eq!(came_of_it, "42501", "{what}");
    }
    assert_eq!(
        number(
            &mut client,
            "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname ~ 'realtime'"
        ),
        0
    );
}

#[test]
fn a_trigger_that_waits_for_the_commit_gets_no_better_rights() {
    let (_story, mut client) = begin();
    run(&mut client, PARTITION);
    run(&mut client, MALICE);
    run(
        &mut client,
        "CREATE CONSTRAINT TRIGGER later AFTER INSERT ON realtime.messages DEFERRABLE INITIALLY DEFERRED
             FOR EACH ROW EXECUTE FUNCTION realtime.malice()",
    );
    set_target(
        &mut client,
        "realtime",
        "realtime",
        json!({ "retry": { "base_ms": 20, "max_ms": 20 } }),
    );
    let event = enqueue(&mut client, "realtime", "{}");
    let outcome = "SELECT CASE WHEN processed_at IS NOT NULL THEN 'done' WHEN available_at = 'infinity' THEN 'dead' ELSE 'waiting' END
                     FROM tms.event_outbox WHERE id = $1";
    eventually("an outcome", SOON, || {
        (text(&mut client, outcome, &[&event]) != "waiting").then_some(())
    });
    // Either PostgreSQL refused to let it wait, or it ran as the table's owner.
    for (what, came_of_it) in loot(&mut client) {
        let expected = match what.as_str() {
            "who" => "supabase_realtime_admin",
            "topic" => continue,
            _ => "42501",
        };
        assert_eq!(came_of_it, expected, "{what}");
    }
    assert_eq!(
        number(
            &mut client,
            "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname ~ 'realtime'"
        ),
        0
    );
}
