//! Random sequences of calls and of steps of the clock, each answer held against a small model of what a task can be.
//!
//! No workers run, so that nothing happens but what is called. A step of the clock is a thousand seconds, and no time that matters is within
//! two hundred seconds of a multiple of that: how long the test itself takes makes no difference.

use postgres::Client;
use tms_e2e::chance::Chance;
use tms_e2e::cluster::Cluster;
use uuid::Uuid;

use crate::stage::*;

const STEP: i64 = 1_000;
const BACKOFF: i64 = 600;
const ROUNDS: u32 = 5;
const LOST_LEASES: i32 = 2;
const CALLS: usize = 400;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Status {
    Queued,
    Running,
    Done,
    Failed,
}

#[derive(Debug)]
struct Task {
    id: Uuid,
    status: Status,
    waits: bool,
    priority: i64,
    available_at: i64,
    /// Its place in line, if it is in it.
    turn: Option<i64>,
    /// Among tasks with the same place: which was given its time first.
    order: usize,
    attempts: i32,
    lost: i32,
    lease: Option<(Uuid, i64)>,
    cancelled: bool,
    letter: Option<Letter>,
}

#[derive(Debug)]
struct Letter {
    rounds: u32,
    /// `None`: at rest, or out.
    retry_after: Option<i64>,
}

impl Task {
    fn place(&self) -> i64 {
        self.available_at - 60 * self.priority
    }

    fn is_held_by(&self, token: Uuid, now: i64) -> bool {
        self.status == Status::Running
            && self
                .lease
                .is_some_and(|(held, until)| held == token && until > now)
    }

    fn bury(&mut self, is_permanent: bool, now: i64) {
        self.status = Status::Failed;
        self.turn = None;
        let rounds = self.letter.as_ref().map_or(0, |letter| letter.rounds);
        let comes_back = !is_permanent && rounds < ROUNDS;
        self.letter = Some(Letter {
            rounds,
            retry_after: comes_back.then(|| now + (BACKOFF << rounds)),
        });
    }
}

struct Model {
    now: i64,
    /// Counts what happens in an order that matters.
    events: usize,
    tasks: Vec<Task>,
}

impl Model {
    fn event(&mut self) -> usize {
        self.events += 1;
        self.events
    }

    /// The next one in line.
    fn next(&self) -> Option<usize> {
        let in_line = (0..self.tasks.len()).filter(|index| self.tasks[*index].turn.is_some());
        in_line.min_by_key(|index| (self.tasks[*index].turn, self.tasks[*index].order))
    }

    /// What a claim that finds nothing sees to.
    fn see_to(&mut self) {
        let now = self.now;
        for task in &mut self.tasks {
            if task.status == Status::Queued && !task.waits && task.turn.is_none() && task.available_at <= now
            {
                task.turn = Some(task.place());
            }
            if task.status == Status::Running && task.lease.is_some_and(|(_, until)| until <= now) {
                task.lease = None;
                task.lost += 1;
                if task.lost > LOST_LEASES {
                    task.bury(false, now);
                } else {
                    task.status = Status::Queued;
                    task.turn = Some(task.place());
                }
            }
        }
    }
}

/// The server beside the model.
struct Pair {
    cluster: Cluster,
    model: Model,
    agent: Client,
    approver: Client,
    operator: Client,
    chance: Chance,
}

#[test]
fn every_answer_is_what_the_model_says() {
    let mut pair = Pair::new();
    for number in 0..CALLS {
        let call = pair.chance.below(12);
        pair.call(call);
        if number % 20 == 0 {
            pair.compare_all();
        }
    }
    pair.compare_all();
    let ends = |status| {
        pair.model
            .tasks
            .iter()
            .filter(|task| task.status == status)
            .count()
    };
    println!(
        "{} tasks, {} done, {} failed",
        pair.model.tasks.len(),
        ends(Status::Done),
        ends(Status::Failed)
    );
}

impl Pair {
    fn new() -> Self {
        let chance = Chance::printed();
        let cluster = stage_with(
            Cluster::builder()
                .own_clock()
                .conf("tms.dispatch", "off")
                .conf("tms.dead_letter_backoff", "600s")
                .conf("tms.dead_letter_backoff_cap", "30d")
                .conf("tms.dead_letter_jitter", "0")
                .conf("tms.dead_letter_rounds", &ROUNDS.to_string())
                .conf("tms.task_lost_leases", &LOST_LEASES.to_string()),
        );
        Self {
            agent: cluster.client_as("agent_a", "postgres"),
            approver: cluster.client_as("approver_a", "postgres"),
            operator: cluster.client_as("operator_a", "postgres"),
            model: Model {
                now: 0,
                events: 0,
                tasks: Vec::new(),
            },
            cluster,
            chance,
        }
    }

    fn call(&mut self, call: usize) {
        match call {
            0 | 1 => self.submit(),
            2..=4 => self.claim(),
            5 => self.heartbeat(),
            6 | 7 => self.complete(),
            8 => self.fail(),
            9 => self.confirm(),
            10 => self.step(),
            _ if self.chance.below(2) == 0 => self.cancel(),
            _ => self.requeue_due(),
        }
    }

    fn submit(&mut self) {
        let (waits, later) = (self.chance.below(4) == 0, self.chance.below(4) == 0);
        let priority = self.chance.below(3) as i64 - 1;
        let function = if waits { "rates.delete" } else { "rates.price" };
        let delay = if later { STEP / 2 } else { 0 };
        let id = id(
            &mut self.agent,
            &format!(
                "SELECT tms_task_submit('worker', '{function}', '{{}}', NULL, NULL, {priority}, clock_timestamp() + interval '{delay} seconds')"
            ),
        );
        let mut task = Task {
            id,
            status: Status::Queued,
            waits,
            priority,
            available_at: self.model.now + delay,
            turn: None,
            order: self.model.event(),
            attempts: 0,
            lost: 0,
            lease: None,
            cancelled: false,
            letter: None,
        };
        task.turn = (!waits && !later).then(|| task.place());
        self.model.tasks.push(task);
    }

    fn claim(&mut self) {
        let lease = [STEP / 2, STEP + STEP / 2][self.chance.below(2)];
        let got = claim_with(&mut self.agent, &format!(", 1, '{lease} seconds'")).pop();
        if self.model.next().is_none() {
            self.model.see_to();
        }
        let expected = self.model.next();
        let ids = (
            got.as_ref().map(|held| held.id),
            expected.map(|index| self.model.tasks[index].id),
        );
        assert_eq!(ids.0, ids.1, "{:#?}", self.model.tasks);
        if let (Some(held), Some(index)) = (got, expected) {
            let now = self.model.now;
            let task = &mut self.model.tasks[index];
            task.status = Status::Running;
            task.turn = None;
            task.attempts += 1;
            task.lease = Some((held.token, now + lease));
            assert_eq!(held.attempt, task.attempts);
        }
    }

    /// A task, and a token of it that may be the right one.
    fn some_lease(&mut self) -> Option<(usize, Uuid)> {
        if self.model.tasks.is_empty() {
            return None;
        }
        // Of those that run, mostly; or of any.
        let running: Vec<usize> = (0..self.model.tasks.len())
            .filter(|index| self.model.tasks[*index].status == Status::Running)
            .collect();
        let index = if running.is_empty() || self.chance.below(4) == 0 {
            self.chance.below(self.model.tasks.len())
        } else {
            running[self.chance.below(running.len())]
        };
        let own = self.model.tasks[index]
            .lease
            .map_or(Uuid::nil(), |(token, _)| token);
        let token = if self.chance.below(8) == 0 {
            Uuid::from_u128(1)
        } else {
            own
        };
        Some((index, token))
    }

    /// Whether the server took a call, or refused it because the lease is over.
    #[track_caller]
    fn takes(&mut self, call: &str, index: usize, token: Uuid, expected: bool) {
        let task = &self.model.tasks[index];
        let sql = call
            .replace("$1", &format!("'{}'", task.id))
            .replace("$2", &format!("'{token}'"));
        match self.agent.batch_execute(&sql) {
            Ok(()) => assert!(expected, "{sql} was taken: {task:?} at {}", self.model.now),
            Err(error) => {
                let refused = Refusal::of(&error);
                assert_eq!(refused.code, "55000", "{sql}: {refused:?}");
                assert!(!expected, "{sql} was refused: {task:?} at {}", self.model.now);
                // As in confirm: what looks for rows that nobody has locked must not come too early.
                run(&mut self.agent, "SELECT 1");
            }
        }
    }

    fn heartbeat(&mut self) {
        let Some((index, token)) = self.some_lease() else {
            return;
        };
        let now = self.model.now;
        let is_held = self.model.tasks[index].is_held_by(token, now);
        self.takes(
            "SELECT tms_task_heartbeat($1, $2, '1500 seconds')",
            index,
            token,
            is_held,
        );
        if is_held {
            self.model.tasks[index].lease = Some((token, now + STEP + STEP / 2));
        }
    }

    fn complete(&mut self) {
        let Some((index, token)) = self.some_lease() else {
            return;
        };
        let task = &self.model.tasks[index];
        let is_held = task.is_held_by(token, self.model.now);
        let is_repeated = task.status == Status::Done && task.lease.is_some_and(|(held, _)| held == token);
        self.takes(
            "SELECT tms_task_complete($1, $2)",
            index,
            token,
            is_held || is_repeated,
        );
        if is_held {
            self.model.tasks[index].status = Status::Done;
        }
    }

    fn fail(&mut self) {
        let Some((index, token)) = self.some_lease() else {
            return;
        };
        let is_permanent = self.chance.below(4) == 0;
        let error = if is_permanent { "validation" } else { "timeout" };
        let now = self.model.now;
        let is_held = self.model.tasks[index].is_held_by(token, now);
        self.takes(
            &format!("SELECT tms_task_fail($1, $2, '{error}', NULL)"),
            index,
            token,
            is_held,
        );
        if is_held {
            self.model.tasks[index].bury(is_permanent, now);
        }
    }

    fn confirm(&mut self) {
        if self.model.tasks.is_empty() {
            return;
        }
        let waiting: Vec<usize> = (0..self.model.tasks.len())
            .filter(|index| self.model.tasks[*index].waits)
            .collect();
        let index = if waiting.is_empty() {
            self.chance.below(self.model.tasks.len())
        } else {
            waiting[self.chance.below(waiting.len())]
        };
        let approves = self.chance.below(3) > 0;
        let now = self.model.now;
        let task = &mut self.model.tasks[index];
        let sql = format!("SELECT tms_task_confirm('{}', {approves})", task.id);
        match self.approver.batch_execute(&sql) {
            Err(error) => {
                assert_eq!(Refusal::of(&error).code, "55000", "{task:?}");
                assert!(!task.waits, "{task:?}");
                // The error is told before the transaction lets go of the row, which a claim would pass by.
                run(&mut self.approver, "SELECT 1");
            }
            Ok(()) => {
                assert!(task.waits, "{task:?}");
                task.waits = false;
                if approves {
                    task.turn = (task.available_at <= now).then(|| task.place());
                } else {
                    (task.status, task.cancelled) = (Status::Failed, true);
                }
            }
        }
    }

    fn cancel(&mut self) {
        if self.model.tasks.is_empty() {
            return;
        }
        let index = self.chance.below(self.model.tasks.len());
        let task = &mut self.model.tasks[index];
        let sql = format!("SELECT tms_task_cancel('{}', 'not needed')::text", task.id);
        let is_open = matches!(task.status, Status::Queued | Status::Running);
        assert_eq!(text(&mut self.operator, &sql), is_open.to_string(), "{task:?}");
        if is_open {
            (task.status, task.cancelled, task.waits) = (Status::Failed, true, false);
            (task.turn, task.lease) = (None, None);
        }
    }

    fn step(&mut self) {
        self.model.now += STEP * (1 + self.chance.below(2) as i64);
        self.cluster.shift_clock(self.model.now);
    }

    fn requeue_due(&mut self) {
        let now = self.model.now;
        let mut due: Vec<Uuid> = Vec::new();
        for task in &self.model.tasks {
            let retry_after = task.letter.as_ref().and_then(|letter| letter.retry_after);
            if retry_after.is_some_and(|at| at <= now) && task.status == Status::Failed && !task.cancelled {
                due.push(task.id);
            }
        }
        let back = number(&mut self.operator, "SELECT tms_dlq_requeue_due()");
        assert_eq!(back, due.len() as i64, "{:#?}", self.model.tasks);
        // One comes back at once, and the pace puts the others a moment later: which is which, the server says.
        let rows = self
            .operator
            .query(
                "SELECT id, turn IS NOT NULL FROM tms.agent_tasks WHERE status = 'queued' AND id = ANY ($1) ORDER BY available_at",
                &[&due],
            )
            .expect("tasks");
        assert_eq!(rows.len(), due.len());
        for row in rows {
            let id: Uuid = row.get(0);
            let order = self.model.event();
            let task = self
                .model
                .tasks
                .iter_mut()
                .find(|task| task.id == id)
                .expect("a task of the model");
            task.status = Status::Queued;
            task.available_at = now;
            task.order = order;
            task.lost = 0;
            task.lease = None;
            task.turn = row.get::<_, bool>(1).then(|| task.place());
            if let Some(letter) = &mut task.letter {
                letter.rounds += 1;
                letter.retry_after = None;
            }
        }
        // Longer than the pace spreads them.
        self.model.now += STEP;
        self.cluster.shift_clock(self.model.now);
    }

    fn compare_all(&mut self) {
        let rows = self
            .operator
            .query(
                "SELECT id, status, waits_for IS NOT NULL, attempts FROM tms.agent_tasks",
                &[],
            )
            .expect("tasks");
        assert_eq!(rows.len(), self.model.tasks.len());
        for row in rows {
            let id: Uuid = row.get(0);
            let task = self
                .model
                .tasks
                .iter()
                .find(|task| task.id == id)
                .expect("a task of the model");
            let status = match task.status {
                Status::Queued => "queued",
                Status::Running => "running",
                Status::Done => "done",
                Status::Failed => "failed",
            };
            assert_eq!(
                (row.get::<_, &str>(1), row.get::<_, bool>(2), row.get::<_, i32>(3)),
                (status, task.waits, task.attempts),
                "{task:?}"
            );
        }
    }
}
