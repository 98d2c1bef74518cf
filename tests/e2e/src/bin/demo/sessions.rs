//! Sessions of the application: each takes its own loads through their whole life, one status change a transaction.
//!
//! A session survives a crash of the server as an application would: it connects again and says the same once more.
//! The change is written so that saying it twice changes nothing (`status < new status`), and so the number of changes
//! at the end is known exactly, whatever happened in between.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::{Client, Config, NoTls, Statement};
use tms_e2e::wait::Backoff;

use crate::stage::{Company, Stage};
use crate::trouble::{Fallible, Trouble};

/// The life of a load after it was tendered.
pub const STATUSES: [&str; 5] = ["booked", "dispatched", "in_transit", "delivered", "invoiced"];

const CHANGE: &str = "UPDATE freight.loads SET status = $2::text::freight.load_status, updated_at = now() \
                      WHERE id = $1 AND status < $2::text::freight.load_status";

/// One transaction in so many is rolled back first, and then done after all.
const ROLLED_BACK_ONE_IN: u64 = 50;

/// How long a server may take to come back after a crash.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many sessions of each company, how many loads for each, and how fast all of them together.
pub struct Plan {
    pub sessions_per_company: usize,
    pub loads_per_session: i32,
    /// Changes a second of all sessions; None for as fast as they can.
    pub rate: Option<f64>,
}

impl Plan {
    /// Changes that all sessions make together, and so events.
    pub fn changes(&self, stage: &Stage) -> u64 {
        (self.sessions(stage) * STATUSES.len() * self.loads_per_session as usize) as u64
    }

    /// Sessions of all companies.
    pub fn sessions(&self, stage: &Stage) -> usize {
        self.sessions_per_company * stage.companies.len()
    }
}

#[derive(Default)]
struct Tally {
    committed: AtomicU64,
    rolled_back: AtomicU64,
    reconnects: AtomicU64,
}

/// Sessions at work.
pub struct Sessions {
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<Fallible<()>>>,
    /// When the first change was made.
    pub begun: Instant,
}

/// What the sessions did.
pub struct Done {
    pub committed: u64,
    pub rolled_back: u64,
    pub reconnects: u64,
}

impl Sessions {
    /// Opens the loads, then lets every session go.
    pub fn start(stage: &Stage, plan: &Plan) -> Fallible<Self> {
        let tally = Arc::new(Tally::default());
        let interval = plan
            .rate
            .map(|rate| Duration::from_secs_f64(plan.sessions(stage) as f64 / rate));
        let mut ready = Vec::new();
        for company in &stage.companies {
            for _ in 0..plan.sessions_per_company {
                ready.push(Session::prepare(
                    stage,
                    company,
                    plan.loads_per_session,
                    interval,
                    tally.clone(),
                )?);
            }
        }
        let begun = Instant::now();
        let threads = ready
            .into_iter()
            .map(|session| thread::spawn(move || session.run()))
            .collect();
        Ok(Self {
            tally,
            threads,
            begun,
        })
    }

    pub fn committed(&self) -> u64 {
        self.tally.committed.load(Ordering::Relaxed)
    }

    /// Whether all sessions have ended, well or not.
    pub fn all_ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits for the sessions and says what they did.
    pub fn finish(self) -> Fallible<Done> {
        for thread in self.threads {
            thread
                .join()
                .map_err(|_| Trouble::new("a session of the application broke down"))??;
        }
        Ok(Done {
            committed: self.tally.committed.load(Ordering::Relaxed),
            rolled_back: self.tally.rolled_back.load(Ordering::Relaxed),
            reconnects: self.tally.reconnects.load(Ordering::Relaxed),
        })
    }
}

struct Session {
    config: Config,
    loads: Vec<i64>,
    interval: Option<Duration>,
    tally: Arc<Tally>,
}

impl Session {
    fn prepare(
        stage: &Stage,
        company: &Company,
        loads: i32,
        interval: Option<Duration>,
        tally: Arc<Tally>,
    ) -> Fallible<Self> {
        let config = stage.config(&company.role);
        let opened = config
            .connect(NoTls)?
            .query("SELECT freight.open_loads($1)", &[&loads])?;
        Ok(Self {
            config,
            loads: opened.iter().map(|row| row.get(0)).collect(),
            interval,
            tally,
        })
    }

    fn run(self) -> Fallible<()> {
        let (mut client, mut change) = self.connect()?;
        let changes = STATUSES
            .iter()
            .flat_map(|status| self.loads.iter().map(move |load| (load, status)));
        let begin = Instant::now();
        for (number, (load, status)) in (0_u64..).zip(changes) {
            if let Some(interval) = self.interval {
                let due = begin + interval.mul_f64(number as f64);
                thread::sleep(due.saturating_duration_since(Instant::now()));
            }
            while let Err(error) = self.make(&mut client, &change, number, *load, status) {
                if error.as_db_error().is_some() && !is_farewell(&error) {
                    return Err(error.into());
                }
                self.tally.reconnects.fetch_add(1, Ordering::Relaxed);
                (client, change) = self.connect()?;
            }
            self.tally.committed.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn make(
        &self,
        client: &mut Client,
        change: &Statement,
        number: u64,
        load: i64,
        status: &str,
    ) -> Result<(), postgres::Error> {
        if number % ROLLED_BACK_ONE_IN == ROLLED_BACK_ONE_IN - 1 {
            let mut transaction = client.transaction()?;
            transaction.execute(change, &[&load, &status])?;
            transaction.rollback()?;
            self.tally.rolled_back.fetch_add(1, Ordering::Relaxed);
        }
        client.execute(change, &[&load, &status])?;
        Ok(())
    }

    /// Tries until the server takes it.
    fn connect(&self) -> Fallible<(Client, Statement)> {
        let end = Instant::now() + PATIENCE;
        let mut backoff = Backoff::default();
        loop {
            let ready = self.config.connect(NoTls).and_then(|mut client| {
                let change = client.prepare(CHANGE)?;
                Ok((client, change))
            });
            match ready {
                Ok(ready) => return Ok(ready),
                Err(error) if Instant::now() > end => return Err(error.into()),
                Err(_) => backoff.pause(),
            }
        }
    }
}

/// A server that goes down says so in place of an answer; SQLSTATE class 57P.
fn is_farewell(error: &postgres::Error) -> bool {
    error.code().is_some_and(|code| code.code().starts_with("57P"))
}
