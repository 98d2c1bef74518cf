//! `tms_event_explain` and `tms_event_cancel`: each state an event can be in, brought about for real, and the words for it.

use std::time::Duration;

use postgres::Client;
use tms_e2e::ask::{becomes, run, text};
use tms_e2e::cluster::Cluster;
use tms_e2e::receiver::{Behaviour, Receiver, Record};
use tms_e2e::wait::eventually;
use uuid::Uuid;

const SOON: Duration = Duration::from_secs(60);
const COMPANY: &str = "aaaaaaaa-0000-4000-8000-00000000000a";
const OTHER: &str = "bbbbbbbb-0000-4000-8000-00000000000b";
/// Stands in payloads, URLs and headers, and may stand in no explanation.
const SECRET: &str = "s3cret-of-nobody";
#[track_caller]
fn enqueue(client: &mut Client, target: &str, options: &str) -> Uuid {
    let sql = format!(
        "SELECT tms_enqueue('load.assigned', '{{\"pin\": \"{SECRET}\"}}', '{target}', '{COMPANY}',
                            headers => '{{\"x-pin\": \"{SECRET}\"}}'{options})"
    );
    match client.query_one(&sql, &[]) {
        Ok(row) => row.get(0),
        Err(error) => panic!("{sql}: {error:?}"),
    }
}

#[track_caller]
fn explain(client: &mut Client, id: Uuid) -> String {
    let told = text(client, &format!("SELECT tms_event_explain('{id}')"));
    assert!(!told.contains(SECRET), "{told}");
    assert!(
        told.contains(&id.to_string()) && told.contains("load.assigned"),
        "{told}"
    );
    assert!(
        told.lines().last().is_some_and(|line| line.starts_with("Next: ")),
        "{told}"
    );
    told
}

/// Waits until the explanation has all of these words.
#[track_caller]
fn tells(client: &mut Client, id: Uuid, words: &[&str]) {
    eventually(&format!("{words:?} of {id}"), SOON, || {
        let told = explain(client, id);
        if words.iter().all(|word| told.contains(word)) {
            Ok(())
        } else {
            Err(told)
        }
    });
}

/// A server with a pull target and a role of the company with these capabilities.
fn stage(dispatch: &str) -> Cluster {
    let cluster = Cluster::builder().conf("tms.dispatch", dispatch).start();
    furnish(&cluster);
    cluster
}

fn furnish(cluster: &Cluster) {
    run(
        &mut cluster.client("postgres"),
        &format!(
            "CREATE EXTENSION tms;
             SELECT tms_target_set('jobs', 'pull');
             CREATE ROLE app LOGIN; CREATE ROLE stranger LOGIN;
             SELECT tms_bind_role('app', '{COMPANY}'), tms_bind_role('stranger', '{OTHER}');
             SELECT tms_grant(r, c) FROM unnest(ARRAY['app', 'stranger']) r, unnest(ARRAY['producer', 'operator']) c;"
        ),
    );
}

fn receiver(behaviour: Behaviour) -> Receiver {
    Receiver::builder()
        .record(Record::Full)
        .behaviour(behaviour)
        .start()
}

/// A target whose URL holds the secret.
#[track_caller]
fn set_target(client: &mut Client, name: &str, receiver: &Receiver, options: &str) {
    let url = receiver.url_of(&format!("/{SECRET}"));
    run(
        client,
        &format!(
            r#"SELECT tms_target_set('{name}', 'http', '{{"url": "{url}", "allow_private_network": true{options}}}')"#
        ),
    );
}

/// States that need no dispatcher: what is done, and what is said then.
#[test]
fn pull_events_are_explained_at_every_step() {
    let cluster = stage("off");
    let mut client = cluster.client("postgres");
    let claim = "SELECT lease_token::text FROM tms_outbox_claim('jobs', 1, '1 hour')";
    let id = enqueue(&mut client, "jobs", ", max_retries => 1");
    tells(
        &mut client,
        id,
        &["(pull)", "It is due since", "the next consumer that claims"],
    );
    let token = text(&mut client, claim);
    tells(
        &mut client,
        id,
        &["under a lease until", "attempt 1 of 2", "it is tried again"],
    );
    run(
        &mut client,
        &format!("SELECT tms_outbox_nack('{token}', 'external_api', 'no paper')"),
    );
    tells(&mut client, id, &["retry 1 of 1", "no paper"]);
    run(&mut client, "UPDATE tms.event_outbox SET available_at = now()");
    run(&mut client, "SELECT tms_outbox_claim('jobs', 1, '1 millisecond')");
    tells(
        &mut client,
        id,
        &["Its lease ran out at", "attempt 2 of 2", "becomes a dead letter"],
    );
    run(&mut client, "SELECT tms_outbox_claim('jobs')");
    tells(
        &mut client,
        id,
        &[
            "It is dead since",
            "after attempt 2: timeout, the lease ran out",
            "Dead letter",
            "round 1 of 5 begins at",
        ],
    );

    let done = enqueue(&mut client, "jobs", "");
    let token = text(&mut client, claim);
    run(
        &mut client,
        &format!("SELECT tms_outbox_ack(ARRAY['{token}'::uuid])"),
    );
    tells(
        &mut client,
        done,
        &["It was delivered at", "attempt 1 of 4", "Next: nothing"],
    );

    let scheduled = enqueue(&mut client, "jobs", ", available_at => '2400-01-01'");
    tells(
        &mut client,
        scheduled,
        &["It is scheduled: not before 2400-01-01"],
    );

    let by_hand = enqueue(&mut client, "jobs", "");
    run(
        &mut client,
        &format!("UPDATE tms.event_outbox SET available_at = 'infinity' WHERE id = '{by_hand}'"),
    );
    tells(&mut client, by_hand, &["no dead letter", "by hand"]);
}

#[test]
fn an_event_behind_another_is_told_of_that_one() {
    let cluster = stage("off");
    let mut client = cluster.client("postgres");
    let head = enqueue(
        &mut client,
        "jobs",
        ", ordering_key => 'load 7', max_retries => 0",
    );
    let next = enqueue(&mut client, "jobs", ", ordering_key => 'load 7'");
    let behind = format!("It waits behind event {head}");
    tells(
        &mut client,
        next,
        &[
            &behind,
            "That one: It is due since",
            "This one follows when it is delivered",
        ],
    );
    let token = text(
        &mut client,
        "SELECT lease_token::text FROM tms_outbox_claim('jobs', 1, '1 hour')",
    );
    tells(&mut client, next, &[&behind, "That one: A consumer has it"]);
    run(
        &mut client,
        &format!("SELECT tms_outbox_nack('{token}', 'validation', 'no such load')"),
    );
    tells(
        &mut client,
        next,
        &[&behind, "That one: It is dead", "no such load"],
    );
    run(
        &mut client,
        r#"SELECT tms_target_set('jobs', 'pull', '{"on_dead": "skip"}')"#,
    );
    tells(&mut client, next, &["It is due since", "the next consumer"]);
    tells(
        &mut client,
        head,
        &["Later events of its ordering key go on without it"],
    );
    run(
        &mut client,
        r#"SELECT tms_target_set('jobs', 'pull'), tms_target_pause('jobs')"#,
    );
    run(
        &mut client,
        &format!("SELECT tms_event_cancel('{head}', 'the load is gone')"),
    );
    tells(&mut client, head, &["It was cancelled at", "the load is gone"]);
    tells(
        &mut client,
        next,
        &["The target is paused since", "tms_target_resume"],
    );
    run(
        &mut client,
        "SELECT tms_target_resume('jobs'); UPDATE tms.targets SET installation = 'another'",
    );
    tells(&mut client, next, &["set by another installation", "tms_adopt()"]);
    run(&mut client, "DELETE FROM tms.targets");
    tells(
        &mut client,
        next,
        &[
            "(no such target)",
            "There is no target of this name",
            "tms_target_set",
        ],
    );
}

#[test]
fn why_nobody_delivers_is_said() {
    let cluster = stage("hold");
    let mut client = cluster.client("postgres");
    let receiver = receiver(Behaviour::Ok);
    set_target(&mut client, "hook", &receiver, "");
    let id = enqueue(&mut client, "hook", "");
    tells(&mut client, id, &["It is due since", "tms.dispatch is hold"]);
    let built_in = enqueue(&mut client, "realtime", "");
    tells(&mut client, built_in, &["(realtime)", "tms.dispatch is hold"]);
    cluster.set("tms.dispatch", "off");
    tells(&mut client, id, &["tms.dispatch is off"]);
    cluster.set("tms.dispatch", "on");
    tells(&mut client, id, &["It was delivered at", "attempt 1 of 4"]);

    let bare = Cluster::builder().preload(false).start();
    furnish(&bare);
    let mut client = bare.client("postgres");
    set_target(&mut client, "hook", &receiver, "");
    let id = enqueue(&mut client, "hook", "");
    tells(
        &mut client,
        id,
        &["not in shared_preload_libraries", "the server restarted"],
    );
}

#[test]
fn what_receivers_did_is_said() {
    let cluster = stage("on");
    let mut client = cluster.client("postgres");
    let failing = receiver(Behaviour::status(503));
    let retry = r#", "retry": {"base_ms": 3600000, "max_ms": 3600000}"#;
    set_target(&mut client, "failing", &failing, retry);
    let id = enqueue(&mut client, "failing", "");
    tells(
        &mut client,
        id,
        &[
            "Attempt 1 failed; retry 1 of 3 is due at",
            "The last attempt, at",
            "503",
        ],
    );
    let behind = enqueue(&mut client, "failing", ", ordering_key => 'k'");
    tells(&mut client, behind, &["retry 1 of 3"]);

    let refusing = receiver(Behaviour::status(400));
    set_target(&mut client, "refusing", &refusing, "");
    let id = enqueue(&mut client, "refusing", ", ordering_key => 'k'");
    tells(
        &mut client,
        id,
        &[
            "It is dead since",
            "after attempt 1: validation",
            "400",
            "wait meanwhile",
        ],
    );
    let next = enqueue(&mut client, "refusing", ", ordering_key => 'k'");
    tells(
        &mut client,
        next,
        &["It waits behind event", "That one: It is dead"],
    );

    let gone = receiver(Behaviour::status(410));
    set_target(&mut client, "gone", &gone, "");
    let id = enqueue(&mut client, "gone", "");
    tells(
        &mut client,
        id,
        &["It is due since", "The target is paused since"],
    );
    // It is held, too, until the pause is seen by the dispatcher; that says nothing of what to do.
    becomes(
        &mut client,
        "SELECT coalesce((SELECT state FROM tms.target_health WHERE target = 'gone'), '(not seen yet)')",
        &[],
        "held",
    );
    let told = text(&mut client, &format!("SELECT tms_event_explain('{id}')"));
    assert!(!told.contains("held since"), "{told}");

    set_target(&mut client, "limited", &failing, r#", "rate_per_second": 0.5"#);
    run(&mut client, "SELECT tms_target_pause('limited')");
    let id = enqueue(&mut client, "limited", "");
    tells(&mut client, id, &["The target is paused since"]);

    let breaker = r#", "retry": {"base_ms": 1, "max_ms": 1}, "breaker": {"minimum_calls": 1, "failure_ratio": 0.1, "open_ms": 600000}"#;
    set_target(&mut client, "breaking", &failing, breaker);
    enqueue(&mut client, "breaking", "");
    let id = enqueue(
        &mut client,
        "breaking",
        ", available_at => now() + interval '1 second'",
    );
    tells(&mut client, id, &["circuit breaker is open since"]);

    let inactive = receiver(Behaviour::Status(
        404,
        vec![("content-type".to_owned(), "application/json".to_owned())],
        br#"{"code":404,"message":"The requested webhook \"POST loads\" is not registered."}"#.to_vec(),
    ));
    set_target(&mut client, "n8n", &inactive, "");
    let id = enqueue(&mut client, "n8n", "");
    tells(&mut client, id, &["It is due since", "The target is held since"]);
}

#[test]
fn only_the_company_and_the_platform_may_ask_and_cancel() {
    let cluster = stage("off");
    let mut owner = cluster.client("postgres");
    let id = enqueue(&mut owner, "jobs", "");
    let nobody = Uuid::from_u128(1);
    let mut app = cluster.client_as("app", "postgres");
    let mut stranger = cluster.client_as("stranger", "postgres");
    explain(&mut app, id);
    for call in [
        "SELECT tms_event_explain('{}')",
        "SELECT tms_event_cancel('{}', 'why not')",
    ] {
        let said = [id, nobody].map(|id| {
            let error = stranger
                .batch_execute(&call.replace("{}", &id.to_string()))
                .expect_err(call);
            let error = error.as_db_error().expect("an error of the server").clone();
            let words = [Some(error.message()), error.detail(), error.hint()]
                .map(|text| text.unwrap_or_default().to_owned());
            (
                error.code().code().to_owned(),
                words.join("\n").replace(&id.to_string(), "ID"),
            )
        });
        assert_eq!(said[0], said[1]);
        assert_eq!(said[0].0, "42704");
    }
    let cancel = format!("SELECT tms_event_cancel('{id}', 'the load is gone')::text");
    assert_eq!(text(&mut app, &cancel), "true");
    assert_eq!(text(&mut app, &cancel), "false");
    assert_eq!(text(&mut owner, &cancel), "false");
    let row = format!(
        "SELECT concat_ws(' ', processed_at = cancelled_at, cancel_reason, (SELECT count(*) FROM tms_outbox_claim('jobs')))
           FROM tms.event_outbox WHERE id = '{id}'"
    );
    assert_eq!(text(&mut owner, &row), "t the load is gone 0");
}

/// A dead letter goes with its event, and the next of its key is delivered.
#[test]
fn cancelling_a_dead_head_lets_its_key_go_on() {
    let cluster = stage("on");
    let mut client = cluster.client("postgres");
    let receiver = receiver(Behaviour::status(400));
    set_target(&mut client, "hook", &receiver, "");
    let head = enqueue(&mut client, "hook", ", ordering_key => 'load 7'");
    tells(&mut client, head, &["It is dead since"]);
    receiver.behave(Behaviour::Ok);
    let next = enqueue(&mut client, "hook", ", ordering_key => 'load 7'");
    tells(
        &mut client,
        next,
        &["It waits behind event", "That one: It is dead"],
    );
    run(
        &mut client,
        &format!("SELECT tms_event_cancel('{head}', 'the load is gone')"),
    );
    tells(&mut client, next, &["It was delivered at"]);
    assert_eq!(
        text(
            &mut client,
            "SELECT string_agg(resolution, ' ') FROM tms.dead_letter_queue"
        ),
        "cancelled"
    );
}
