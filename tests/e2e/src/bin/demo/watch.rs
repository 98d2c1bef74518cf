//! Watching events on their way: what the sessions have committed against what the receiver has accepted.

use std::thread;
use std::time::{Duration, Instant};

use crate::office::Office;
use crate::screen::{Live, grouped};
use crate::sessions::{Done, Sessions};
use crate::stage::Stage;
use crate::trouble::{Fallible, Trouble};

/// Nothing shown here takes that long, not even on a machine that is busy with something else.
const PATIENCE: Duration = Duration::from_secs(180);

/// A stretch of the demo in which sessions work and events arrive.
pub struct Watch<'a> {
    stage: &'a Stage,
    office: &'a Office,
    goal: u64,
    accepted_before: u64,
    live: Live,
    end: Instant,
    pace: Pace,
}

impl<'a> Watch<'a> {
    /// Begins; create it before the sessions, so that no arrival is missed.
    pub fn over(stage: &'a Stage, office: &'a Office, goal: u64) -> Self {
        let accepted_before = office.accepted();
        Self {
            stage,
            office,
            goal,
            accepted_before,
            live: Live::start(),
            end: Instant::now() + PATIENCE,
            pace: Pace::from(0),
        }
    }

    /// Events accepted since the watch began.
    pub fn accepted(&self) -> u64 {
        self.office.accepted() - self.accepted_before
    }

    /// Shows progress until the condition holds. `what` is for the error when it never does.
    pub fn until(
        &mut self,
        sessions: &Sessions,
        what: &str,
        mut condition: impl FnMut(&Self) -> Fallible<bool>,
    ) -> Fallible<()> {
        while !condition(self)? {
            if Instant::now() > self.end {
                return Err(Trouble::new(format!(
                    "{what}: not within {} s; {}\n       the server's log: {}",
                    PATIENCE.as_secs(),
                    self.line(sessions.committed(), self.accepted(), 0),
                    self.stage.cluster.log_file().display()
                )));
            }
            let (committed, accepted) = (sessions.committed(), self.accepted());
            let rate = self.pace.look(accepted);
            let line = self.line(committed, accepted, rate);
            self.live.show(|| line);
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Until everything has arrived; returns how long that took from the sessions' start to the last arrival.
    pub fn finish(mut self, sessions: Sessions) -> Fallible<(Done, Duration)> {
        let goal = self.goal;
        self.until(&sessions, "not every event arrived", |watch| {
            // A session that failed will never reach the goal: its reason is told instead.
            Ok(watch.accepted() >= goal || (sessions.all_ended() && sessions.committed() < goal))
        })?;
        let begun = sessions.begun;
        let done = sessions.finish()?;
        let took = self
            .office
            .last_accepted()
            .map_or(Duration::ZERO, |last| last.saturating_duration_since(begun));
        let average = (self.accepted() as f64 / took.as_secs_f64().max(f64::EPSILON)) as u64;
        let line = self.line(done.committed, self.accepted(), average);
        self.live.finish(&format!("{line} on average"));
        Ok((done, took))
    }

    fn line(&self, committed: u64, accepted: u64, rate: u64) -> String {
        format!(
            "  committed {:>6} of {}   delivered {:>6}   {:>6}/s",
            grouped(committed),
            grouped(self.goal),
            grouped(accepted),
            grouped(rate)
        )
    }
}

/// Arrivals a second, over about the last half second.
struct Pace {
    at: Instant,
    accepted: u64,
    rate: u64,
}

impl Pace {
    fn from(accepted: u64) -> Self {
        Self {
            at: Instant::now(),
            accepted,
            rate: 0,
        }
    }

    fn look(&mut self, accepted: u64) -> u64 {
        let age = self.at.elapsed();
        if age >= Duration::from_millis(500) {
            self.rate = ((accepted - self.accepted) as f64 / age.as_secs_f64()) as u64;
            (self.at, self.accepted) = (Instant::now(), accepted);
        }
        self.rate
    }
}
