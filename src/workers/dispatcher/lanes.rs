//! The lanes of one target: a queue for each company, so that one company's backlog does not stand in another's way.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

use tms_domain::fair;

use super::queue::Queue;
use crate::store::events::Position;

/// A company, or the platform.
pub(crate) type Company = Option<[u8; 16]>;

/// Lanes with nothing on its way that may get a place beyond the target's window.
const MOST_BEYOND: usize = 64;

/// The queue of one company.
pub(crate) struct Lane {
    pub(crate) company: Company,
    pub(crate) queue: Queue,
    /// Events that were handed out and not answered.
    pub(crate) on_their_way: usize,
    /// It is among those that may have more.
    is_active: bool,
    /// It is among those whose next due time may have to be asked for.
    is_unsure: bool,
}

/// A piece of a queue to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walk {
    pub(crate) lane: usize,
    pub(crate) company: Company,
    pub(crate) priority: i32,
    pub(crate) behind: Position,
    pub(crate) limit: usize,
}

/// All lanes of a target.
#[derive(Default)]
pub(crate) struct Lanes {
    all: Vec<Lane>,
    by_company: HashMap<Company, usize>,
    /// Lanes that may have more, in the order of their turns.
    active: Vec<usize>,
    /// Lanes whose next due time may have to be asked for.
    unsure: Vec<usize>,
    /// When a lane has something by the clock alone, earliest first. May hold times that are over.
    due: BinaryHeap<Reverse<(i64, usize)>>,
}

impl Lanes {
    /// The lane of a company; one that is new has an empty queue.
    pub(crate) fn of(&mut self, company: Company) -> usize {
        if let Some(lane) = self.by_company.get(&company) {
            return *lane;
        }
        let lane = self.all.len();
        self.all.push(Lane {
            company,
            queue: Queue::empty(),
            on_their_way: 0,
            is_active: false,
            is_unsure: false,
        });
        self.by_company.insert(company, lane);
        lane
    }

    /// A lane by its number.
    pub(crate) fn get_mut(&mut self, lane: usize) -> Option<&mut Lane> {
        self.all.get_mut(lane)
    }

    /// The table has something in a company's queue, which is read from its beginning if it is not known or `anew` is asked for.
    pub(crate) fn found(&mut self, company: Company, priority: i32, anew: bool) {
        let is_new = !self.by_company.contains_key(&company);
        let lane = self.of(company);
        let queue = &mut self.all[lane].queue;
        if is_new || anew {
            queue.restart(priority);
        } else {
            queue.add_priority(priority);
        }
        self.wake(lane);
    }

    /// A commit added events to a company's queue.
    pub(crate) fn noted(&mut self, company: Company, from: i64, is_special: bool, now: i64) {
        let lane = self.of(company);
        if let Some(later) = self.all[lane].queue.noted(from, is_special, now) {
            self.due.push(Reverse((later, lane)));
        }
        self.wake(lane);
    }

    /// Commits added events to some of the queues; the table says which others there are.
    pub(crate) fn noted_all(&mut self, from: i64, now: i64) {
        for lane in 0..self.all.len() {
            self.all[lane].queue.ask_next_due();
            self.noted(self.all[lane].company, from, false, now);
        }
    }

    /// Something of a lane becomes due at this time.
    pub(crate) fn due_at(&mut self, company: Company, time: i64) {
        let lane = self.of(company);
        self.all[lane].queue.due_at(time);
        self.due.push(Reverse((time, lane)));
    }

    fn wake(&mut self, lane: usize) {
        let known = &mut self.all[lane];
        if known.queue.has_more() && !known.is_active {
            known.is_active = true;
            self.active.push(lane);
        }
        if known.queue.next_due_unknown() && !known.is_unsure {
            known.is_unsure = true;
            self.unsure.push(lane);
        }
    }

    /// Everything from the beginning: the table says which lanes there are.
    pub(crate) fn rescan(&mut self) {
        let known = std::mem::take(self).all;
        for mut lane in known.into_iter().filter(|lane| lane.on_their_way > 0) {
            (lane.is_active, lane.is_unsure) = (false, false);
            lane.queue = Queue::empty();
            self.by_company.insert(lane.company, self.all.len());
            self.all.push(lane);
        }
    }

    /// The clock has come so far.
    pub(crate) fn clock(&mut self, now: i64) {
        while let Some(Reverse((due, lane))) = self.due.peek().copied()
            && due <= now
        {
            self.due.pop();
            if let Some(known) = self.all.get_mut(lane) {
                known.queue.clock(now);
                self.wake(lane);
            }
        }
    }

    /// When the clock alone makes something due.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.due.peek().map(|first| first.0.0)
    }

    /// Whether a walk would find something, as far as is known.
    pub(crate) fn has_more(&self) -> bool {
        !self.active.is_empty()
    }

    /// How many lanes wait with nothing on its way: they may have a place each whatever the others hold.
    pub(crate) fn left_out(&self) -> usize {
        let waiting = self
            .active
            .iter()
            .filter(|lane| self.all[**lane].on_their_way == 0);
        waiting.take(MOST_BEYOND).count()
    }

    /// Lanes whose priorities the table must be asked for.
    pub(crate) fn with_unknown_priorities(&self) -> Vec<usize> {
        let active = self.active.iter().copied();
        active
            .filter(|lane| self.all[*lane].queue.priorities_unknown())
            .collect()
    }

    /// What to read next for so many events: each lane's share of them, from its highest priority. Lanes that had their turn go
    /// behind the others.
    pub(crate) fn plan(&mut self, room: usize) -> Vec<Walk> {
        let lanes = &mut self.all;
        self.active.retain(|lane| {
            lanes[*lane].is_active = lanes[*lane].queue.has_more();
            lanes[*lane].is_active
        });
        let lanes = &self.all;
        let in_flight: Vec<usize> = self.active.iter().map(|lane| lanes[*lane].on_their_way).collect();
        let shares = fair::divide(room, &in_flight);
        let mut served = Vec::new();
        let mut walks = Vec::new();
        for (lane, limit) in self.active.iter().copied().zip(shares) {
            if let (true, Some((priority, behind))) = (limit > 0, lanes[lane].queue.next_walk()) {
                served.push(lane);
                walks.push(Walk {
                    lane,
                    company: lanes[lane].company,
                    priority,
                    behind,
                    limit,
                });
            }
        }
        if served.len() < self.active.len() {
            self.active.retain(|lane| !served.contains(lane));
            self.active.append(&mut served);
        }
        walks
    }

    /// A walk has come to `behind`, and found the end there or not.
    pub(crate) fn walked(&mut self, walk: &Walk, behind: Position, at_end: bool) {
        if let Some(lane) = self.all.get_mut(walk.lane) {
            lane.queue.walked(walk.priority, behind, at_end);
        }
    }

    /// Lanes at their end whose next due time the table must be asked for.
    pub(crate) fn with_unknown_due(&mut self) -> Vec<usize> {
        let mut asked = Vec::new();
        let lanes = &mut self.all;
        self.unsure.retain(|lane| {
            let queue = &lanes[*lane].queue;
            let ask = queue.next_due_unknown() && !queue.has_more();
            if ask {
                asked.push(*lane);
            }
            lanes[*lane].is_unsure = lanes[*lane].queue.next_due_unknown();
            lanes[*lane].is_unsure
        });
        asked
    }

    /// The company of a lane, and the priorities it is known to have.
    pub(crate) fn priorities(&self, lane: usize) -> (Company, Vec<i32>) {
        self.all
            .get(lane)
            .map_or((None, Vec::new()), |lane| (lane.company, lane.queue.priorities()))
    }

    /// The table named these times for a lane.
    pub(crate) fn learned_next_due(&mut self, lane: usize, times: &[i64]) {
        if let Some(known) = self.all.get_mut(lane) {
            known.queue.learned_next_due(times.iter().copied());
            for time in times {
                self.due.push(Reverse((*time, lane)));
            }
        }
    }

    /// An event was answered, or came back.
    pub(crate) fn came_back(&mut self, company: Company) {
        if let Some(lane) = self.by_company.get(&company) {
            let lane = &mut self.all[*lane];
            lane.on_their_way = lane.on_their_way.saturating_sub(1);
        }
    }
}
