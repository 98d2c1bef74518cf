//! A small model of one target: lanes with backlogs, events that arrive, calls that end, and the limits. A scheduler
//! built from the parts of this crate chooses what starts; the model keeps its own accounts and says which rule a
//! choice breaks. Schedulers that are wrong on purpose show that the rules are noticed.

use std::collections::VecDeque;
use std::time::Duration;

use super::divide;
use crate::arbitrary::Source;
use crate::breaker::{Breaker, Policy, State};
use crate::rate::Limiter;

/// Who chooses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheduler {
    Ours,
    /// All of the first lane that has something, then the next.
    FirstComeFirstServed,
    /// Equals always come in the same order.
    WithoutTurns,
    /// What a lane has no use for is not divided again.
    OneRound,
    WithoutPriority,
    OneTooMany,
    WithoutRate,
    WithoutBreaker,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Event {
    /// The more urgent first: smaller.
    rank: u8,
    seq: u64,
}

#[derive(Debug, Default)]
struct Lane {
    backlog: Vec<Event>,
    in_flight: usize,
    /// How many calls of other lanes have started while this one had something due and nothing in flight.
    passed_over: usize,
}

struct Limits {
    concurrency: usize,
    per_second: f64,
    burst: u32,
    trials: u32,
}

struct Target {
    scheduler: Scheduler,
    limits: Limits,
    lanes: Vec<Lane>,
    /// Lanes in the order of their turns.
    turns: VecDeque<usize>,
    limiter: Limiter,
    breaker: Breaker,
    /// When each call started, in milliseconds: the naive account of the rate.
    starts: Vec<u64>,
    /// Calls that started since the breaker was last seen open.
    tried: u32,
    now_ms: u64,
}

/// Plays a target with random limits, arrivals and ends of calls; answers how many calls started, or which rule was
/// broken.
pub(super) fn run(scheduler: Scheduler, seed: u64) -> Result<usize, String> {
    let mut source = Source::new(seed);
    let mut target = Target::new(scheduler, &mut source);
    let mut seq = 0;
    for _ in 0..200 {
        target.now_ms += source.number() % 200;
        for _ in 0..source.below(8) {
            seq += 1;
            let busiest = source.below(2) == 0;
            let lane = if busiest {
                0
            } else {
                source.below(target.lanes.len())
            };
            let rank = source.below(3) as u8;
            target.lanes[lane].backlog.push(Event { rank, seq });
        }
        target.end_some_calls(&mut source);
        target.choose()?;
    }
    Ok(target.starts.len())
}

impl Target {
    fn new(scheduler: Scheduler, source: &mut Source) -> Self {
        let limits = Limits {
            concurrency: 1 + source.below(8),
            per_second: 1.0 + source.unit() * 60.0,
            burst: 1 + source.below(20) as u32,
            trials: 1 + source.below(3) as u32,
        };
        let lanes = 1 + source.below(6);
        let policy = Policy {
            minimum_calls: 5,
            window: Duration::from_secs(2),
            open_for: Duration::from_millis(500),
            trials: limits.trials,
            ..Policy::default()
        };
        Self {
            scheduler,
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
            turns: (0..lanes).collect(),
            limiter: Limiter::new(limits.per_second, limits.burst),
            breaker: Breaker::new(policy),
            limits,
            starts: Vec::new(),
            tried: 0,
            now_ms: 1_795_366_586_000,
        }
    }

    fn end_some_calls(&mut self, source: &mut Source) {
        // Good and bad times of the receiver take turns.
        let failing = (self.now_ms / 2_000).is_multiple_of(3);
        for lane in &mut self.lanes {
            for _ in 0..source.below(lane.in_flight + 1) {
                lane.in_flight -= 1;
                self.breaker.record(self.now_ms, !failing || source.below(5) == 0);
            }
        }
    }

    /// One round of the dispatcher: room within all limits, divided until it or the events run out.
    fn choose(&mut self) -> Result<(), String> {
        self.note_waiting();
        let mut left = self.room();
        while left > 0 {
            let waiting: Vec<usize> = self
                .turns
                .iter()
                .copied()
                .filter(|lane| self.waits(*lane))
                .collect();
            if waiting.is_empty() {
                break;
            }
            let shares = self.shares(left, &waiting);
            let mut served = 0;
            for (lane, share) in waiting.iter().zip(shares) {
                for _ in 0..share.min(self.lanes[*lane].backlog.len()) {
                    self.start(*lane)?;
                    served += 1;
                }
            }
            left -= served;
            if self.scheduler == Scheduler::OneRound {
                break;
            }
        }
        self.check_idle()?;
        self.check_starving()
    }

    fn room(&mut self) -> usize {
        let in_flight: usize = self.lanes.iter().map(|lane| lane.in_flight).sum();
        let mut room = self.limits.concurrency - in_flight.min(self.limits.concurrency);
        if self.scheduler == Scheduler::OneTooMany {
            room += 1;
        }
        if self.scheduler != Scheduler::WithoutRate {
            room = room.min(self.limiter.available(self.now_ms * 1000));
        }
        if self.scheduler != Scheduler::WithoutBreaker {
            room = room.min(self.breaker.admits(self.now_ms));
        }
        room
    }

    fn shares(&self, room: usize, waiting: &[usize]) -> Vec<usize> {
        if self.scheduler == Scheduler::FirstComeFirstServed {
            let mut left = room;
            return waiting
                .iter()
                .map(|lane| {
                    let share = left.min(self.lanes[*lane].backlog.len());
                    left -= share;
                    share
                })
                .collect();
        }
        let in_flight: Vec<usize> = waiting.iter().map(|lane| self.lanes[*lane].in_flight).collect();
        divide(room, &in_flight)
    }

    fn start(&mut self, lane: usize) -> Result<(), String> {
        self.check_limits()?;
        let chosen = &mut self.lanes[lane];
        let first = match self.scheduler {
            Scheduler::WithoutPriority => chosen.backlog.iter().min_by_key(|event| event.seq),
            _ => chosen.backlog.iter().min(),
        };
        let Some(event) = first.copied() else {
            return Err("nothing to start".to_owned());
        };
        if chosen.backlog.iter().any(|other| *other < event) {
            return Err(format!("order: {event:?} of lane {lane} overtakes"));
        }
        chosen.backlog.retain(|other| *other != event);
        chosen.in_flight += 1;
        chosen.passed_over = 0;
        self.starts.push(self.now_ms);
        self.limiter.take(self.now_ms * 1000, 1);
        self.breaker.started(1);
        for (other, passed) in self.lanes.iter_mut().enumerate() {
            let due = !passed.backlog.is_empty() && passed.in_flight == 0;
            passed.passed_over += usize::from(other != lane && due);
        }
        if self.scheduler != Scheduler::WithoutTurns {
            self.turns.retain(|other| *other != lane);
            self.turns.push_back(lane);
        }
        Ok(())
    }

    /// What must hold for one more call to start.
    fn check_limits(&mut self) -> Result<(), String> {
        let in_flight: usize = self.lanes.iter().map(|lane| lane.in_flight).sum();
        if in_flight >= self.limits.concurrency {
            return Err(format!("concurrency: {in_flight} in flight already"));
        }
        match self.breaker.state(self.now_ms) {
            State::Closed => self.tried = 0,
            State::HalfOpen if self.tried < self.limits.trials => self.tried += 1,
            state => return Err(format!("breaker: a call starts while it is {state:?}")),
        }
        for (place, first) in self.starts.iter().enumerate() {
            let calls = self.starts.len() - place + 1;
            let seconds = (self.now_ms - first) as f64 / 1000.0;
            if calls as f64 > f64::from(self.limits.burst) + self.limits.per_second * seconds + 1e-6 {
                return Err(format!("rate: {calls} calls in {seconds} s"));
            }
        }
        Ok(())
    }

    fn note_waiting(&mut self) {
        if let State::Open { .. } = self.breaker.state(self.now_ms) {
            self.tried = 0;
        }
        for lane in &mut self.lanes {
            if lane.backlog.is_empty() || lane.in_flight > 0 {
                lane.passed_over = 0;
            }
        }
    }

    fn waits(&self, lane: usize) -> bool {
        !self.lanes[lane].backlog.is_empty()
    }

    fn check_idle(&mut self) -> Result<(), String> {
        let room = self.room();
        let due: usize = self.lanes.iter().map(|lane| lane.backlog.len()).sum();
        if room > 0 && due > 0 && self.scheduler != Scheduler::OneTooMany {
            return Err(format!("idle: {room} places free while {due} events are due"));
        }
        Ok(())
    }

    /// Whoever has nothing in flight is served before anyone else is served twice.
    fn check_starving(&self) -> Result<(), String> {
        for (place, lane) in self.lanes.iter().enumerate() {
            if lane.passed_over >= self.lanes.len() {
                let passed = lane.passed_over;
                return Err(format!(
                    "lane {place} starves: {passed} calls of others came first"
                ));
            }
        }
        Ok(())
    }
}
