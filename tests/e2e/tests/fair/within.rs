//! Whatever an event waited for: within five seconds of the moment nothing stands in its way, it is at the receiver.
//!
//! A random mixture of everything that makes events deliverable behind the place the dispatcher has come to. The queue is
//! not looked through meanwhile: all of it has to be told. `TMS_SEED` repeats a mixture.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use postgres::Client;
use serde_json::json;
use tms_e2e::chance::Chance;
use tms_e2e::keys::{objections, of_database, of_one_life};
use tms_e2e::story::{Story, ids, rows, run};
use uuid::Uuid;

use crate::company;

const PROMISED: Duration = Duration::from_secs(5);
const ACTS: usize = 400;
const TARGETS: [&str; 3] = ["one", "two", "three"];

/// A transaction that is not over.
struct Open {
    session: Client,
    events: Vec<Uuid>,
    prepared: Option<String>,
}

struct World<'a> {
    story: &'a Story,
    chance: Chance,
    client: Client,
    open: Vec<Open>,
    /// Committed, scheduled for a time that will not come.
    far: Vec<Uuid>,
    /// Since when each committed event could be delivered, but for pauses and the one before it in its key.
    ready: HashMap<Uuid, SystemTime>,
    never: Vec<Uuid>,
    /// Since when, and until when, targets were paused.
    pauses: HashMap<&'static str, Vec<(SystemTime, Option<SystemTime>)>>,
    /// Names for prepared transactions.
    names: usize,
}

#[test]
fn whatever_it_waited_for_an_event_is_delivered_within_five_seconds() {
    let story = Story::with(Story::builder().conf("max_prepared_transactions", "20"));
    for target in TARGETS {
        story.target(target, json!({"max_concurrency": 16}));
    }
    let mut world = World {
        story: &story,
        chance: Chance::printed(),
        client: story.client(),
        open: Vec::new(),
        far: Vec::new(),
        ready: HashMap::new(),
        never: Vec::new(),
        pauses: HashMap::new(),
        names: 0,
    };
    for _ in 0..ACTS {
        world.act();
    }
    world.end();
    world.judge();
}

impl World<'_> {
    fn act(&mut self) {
        match self.chance.below(16) {
            0..=3 => self.enqueue_at_once(),
            4..=6 => self.begin(),
            7..=9 => self.finish_one(),
            10 => self.schedule_soon(),
            11 => self.schedule_far(),
            12 => self.make_due(),
            13 => self.pause(),
            14 => self.resume(),
            _ => self.wait_for_something(),
        }
    }

    /// A statement that makes a few events of one company, target, priority and perhaps key, due at a time.
    fn events(&mut self, time: &str) -> String {
        let chance = &mut self.chance;
        let target = *chance.one_of(&TARGETS);
        let of = match chance.below(4) {
            0 => "NULL::uuid".to_owned(),
            number => company(number as u32),
        };
        let priority = *chance.one_of(&[0, 0, 0, 5, -5]);
        let count = 1 + chance.below(4);
        // A key of its own for each transaction: two that are open at once must not wait for each other here.
        self.names += 1;
        let key = match chance.below(4) {
            0 => format!("'key {}'", self.names),
            _ => "NULL".to_owned(),
        };
        if chance.once_in(2) {
            format!(
                "SELECT tms_enqueue('load.mixed', '{{}}', '{target}', {of}, ordering_key => {key},
                         priority => {priority}, available_at => {time}) FROM generate_series(1, {count})"
            )
        } else {
            format!(
                "INSERT INTO tms.event_outbox (event_type, payload, target_system, company_id, ordering_key, priority, available_at)
                 SELECT 'load.mixed', '{{}}', '{target}', {of}, {key}, {priority}, {time} FROM generate_series(1, {count})
                 RETURNING id"
            )
        }
    }

    fn a_time(&mut self) -> String {
        let past = [
            "now()",
            "now()",
            "now() - interval '1 hour'",
            "now() - interval '3 years'",
            "clock_timestamp()",
        ];
        (*self.chance.one_of(&past)).to_owned()
    }

    fn are_ready(&mut self, events: &[Uuid], since: SystemTime) {
        self.ready.extend(events.iter().map(|event| (*event, since)));
    }

    fn enqueue_at_once(&mut self) {
        let time = self.a_time();
        let statement = self.events(&time);
        let replica = self.chance.once_in(5);
        let role = if replica { "replica" } else { "origin" };
        run(
            &mut self.client,
            &format!("SET session_replication_role = {role}"),
        );
        let events = ids(&mut self.client, &statement);
        self.are_ready(&events, SystemTime::now());
    }

    /// A transaction that stays open: some of what it does may be undone, and it may be prepared.
    fn begin(&mut self) {
        if self.open.len() >= 10 {
            return self.finish_one();
        }
        let mut session = self.story.client();
        run(&mut session, "BEGIN");
        let time = self.a_time();
        let mut events = ids(&mut session, &self.events(&time));
        if self.chance.once_in(3) {
            run(&mut session, "SAVEPOINT s");
            let undone = ids(&mut session, &self.events(&time));
            if self.chance.once_in(2) {
                run(&mut session, "ROLLBACK TO s");
                self.never.extend(undone);
            } else {
                events.extend(undone);
            }
            events.extend(ids(&mut session, &self.events(&time)));
        }
        let prepared = self.chance.once_in(3).then(|| format!("mix {}", self.names));
        if let Some(name) = &prepared {
            run(&mut session, &format!("PREPARE TRANSACTION '{name}'"));
        }
        self.open.push(Open {
            session,
            events,
            prepared,
        });
    }

    fn finish_one(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let place = self.chance.below(self.open.len());
        let Open {
            mut session,
            events,
            prepared,
        } = self.open.swap_remove(place);
        let commits = !self.chance.once_in(5);
        let word = if commits { "COMMIT" } else { "ROLLBACK" };
        match prepared {
            // By another session than the one that prepared it.
            Some(name) => run(&mut self.client, &format!("{word} PREPARED '{name}'")),
            None => run(&mut session, word),
        }
        if commits {
            self.are_ready(&events, SystemTime::now());
        } else {
            self.never.extend(events);
        }
    }

    fn schedule_soon(&mut self) {
        let millis = 100 + self.chance.below(1_500) as u64;
        let statement = self.events(&format!("now() + {millis} * interval '1 millisecond'"));
        let events = ids(&mut self.client, &statement);
        self.are_ready(&events, SystemTime::now() + Duration::from_millis(millis));
    }

    fn schedule_far(&mut self) {
        let statement = self.events("now() + interval '1 year'");
        let events = ids(&mut self.client, &statement);
        self.far.extend(events);
    }

    fn make_due(&mut self) {
        if self.far.is_empty() {
            return;
        }
        let events = std::mem::take(&mut self.far);
        let millis = *self.chance.one_of(&[0_i64, -86_400_000, 400]);
        let priority = *self.chance.one_of(&["priority", "9"]);
        let update = "UPDATE tms.event_outbox SET priority = PRIORITY,
            available_at = clock_timestamp() + $2::bigint * interval '1 millisecond' WHERE id = ANY ($1)";
        let update = update.replace("PRIORITY", priority);
        let changed = self.client.execute(&update, &[&events, &millis]);
        assert_eq!(changed.expect("an UPDATE by hand"), events.len() as u64);
        let later = Duration::from_millis(u64::try_from(millis).unwrap_or(0));
        self.are_ready(&events, SystemTime::now() + later);
    }

    fn pause(&mut self) {
        let target = *self.chance.one_of(&TARGETS);
        let pauses = self.pauses.entry(target).or_default();
        if pauses.last().is_none_or(|pause| pause.1.is_some()) {
            // What was under way may still arrive: the pause counts from before it was asked for.
            pauses.push((SystemTime::now(), None));
            run(&mut self.client, &format!("SELECT tms_target_pause('{target}')"));
        }
    }

    fn resume(&mut self) {
        let target = *self.chance.one_of(&TARGETS);
        self.resume_target(target);
    }

    fn resume_target(&mut self, target: &'static str) {
        let pauses = self.pauses.entry(target).or_default();
        if let Some(pause) = pauses.last_mut().filter(|pause| pause.1.is_none()) {
            run(&mut self.client, &format!("SELECT tms_target_resume('{target}')"));
            pause.1 = Some(SystemTime::now());
        }
    }

    /// Lets time pass until something that was scheduled, or just committed, has come; unless its target is paused.
    fn wait_for_something(&mut self) {
        let is_paused = |target: &&str| {
            let pauses = self.pauses.get(*target);
            pauses
                .and_then(|pauses| pauses.last())
                .is_some_and(|pause| pause.1.is_none())
        };
        if TARGETS.iter().any(is_paused) {
            return;
        }
        let pending: Vec<Uuid> = self
            .ready
            .keys()
            .filter(|id| self.story.times(**id) == 0)
            .copied()
            .collect();
        if pending.is_empty() {
            return;
        }
        let one = *self.chance.one_of(&pending);
        self.story.arrives("what nothing stands in the way of", one);
    }

    /// Nothing stands in any event's way any more.
    fn end(&mut self) {
        while !self.open.is_empty() {
            self.finish_one();
        }
        self.make_due();
        for target in TARGETS {
            self.resume_target(target);
        }
        self.story.wait_for("every event", |seen| {
            self.ready.keys().all(|id| seen.times(*id) > 0)
        });
        self.story.all_done();
    }

    fn judge(mut self) {
        let keys = of_database(&mut self.client).expect("the keys");
        let wrong = objections(&keys, &of_one_life(&self.story.receiver.ids()));
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert_eq!(self.story.receiver.duplicates(), 0);
        assert!(
            self.never.iter().all(|id| self.story.times(*id) == 0),
            "a rolled-back event came"
        );
        let came: HashMap<Uuid, SystemTime> = self
            .story
            .receiver
            .requests()
            .iter()
            .filter_map(|request| Some((request.id?, request.wall)))
            .collect();
        assert_eq!(came.len(), self.ready.len());
        // Within a key an event can go when the one before it is there.
        for key in keys {
            for pair in key.events.windows(2) {
                let since = self.ready[&pair[1]].max(came[&pair[0]]);
                self.ready.insert(pair[1], since);
            }
        }
        let targets: HashMap<Uuid, String> =
            rows(&mut self.client, "SELECT id, target_system FROM tms.event_outbox")
                .iter()
                .map(|row| (row.get(0), row.get(1)))
                .collect();
        let waits: Vec<Duration> = self
            .ready
            .iter()
            .map(|(id, since)| {
                let pauses = self
                    .pauses
                    .get(targets[id].as_str())
                    .map_or(&[][..], Vec::as_slice);
                waited(*since, came[id], pauses)
            })
            .collect();
        let longest = waits.iter().max().copied().unwrap_or_default();
        println!(
            "{} events, {} undone; the longest wait was {longest:?}",
            came.len(),
            self.never.len()
        );
        assert!(longest <= PROMISED, "{longest:?}");
        assert!(came.len() > 200, "a mixture of {} events is none", came.len());
    }
}

/// How long an event waited while nothing stood in its way: since the end of the last pause it met within the promise.
fn waited(since: SystemTime, came: SystemTime, pauses: &[(SystemTime, Option<SystemTime>)]) -> Duration {
    let mut since = since;
    for (from, until) in pauses {
        if let Some(until) = until
            && *until > since
            && *from <= since + PROMISED
            && *from <= came
        {
            since = *until;
        }
    }
    came.duration_since(since).unwrap_or_default()
}
