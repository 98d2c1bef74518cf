//! The order in which the jobs of one target are begun: lanes take turns, and within a lane first come, first
//! served. So a lane with a thousand jobs delays another lane's only job by what is on the wire and no more.
//!
//! A lane that was not known goes ahead of those that have had a turn, but only every other time while these wait:
//! otherwise an endless row of new lanes would starve them. A lane stays known for a round after its last job, so
//! that emptying it is no way to be new again.

use std::collections::{HashMap, VecDeque};

pub(crate) struct Lanes<T> {
    lanes: HashMap<u64, VecDeque<T>>,
    /// Lanes without a turn so far.
    fresh: VecDeque<u64>,
    /// The other lanes; the front has waited longest.
    round: VecDeque<u64>,
    /// The last turn was not one that a new lane took from the round.
    favours_fresh: bool,
    length: usize,
}

impl<T> Lanes<T> {
    pub(crate) fn new() -> Lanes<T> {
        Lanes {
            lanes: HashMap::new(),
            fresh: VecDeque::new(),
            round: VecDeque::new(),
            favours_fresh: true,
            length: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn push(&mut self, lane: u64, item: T) {
        let fresh = &mut self.fresh;
        let items = self.lanes.entry(lane).or_insert_with(|| {
            fresh.push_back(lane);
            VecDeque::new()
        });
        items.push_back(item);
        self.length += 1;
    }

    /// Constant time on average: a lane that is found empty was filed by the turn before.
    pub(crate) fn pop(&mut self) -> Option<T> {
        loop {
            let from_fresh = !self.fresh.is_empty() && (self.favours_fresh || self.round.is_empty());
            let lane = if from_fresh {
                self.fresh.pop_front()
            } else {
                self.round.pop_front()
            }?;
            let Some(item) = self.lanes.get_mut(&lane).and_then(VecDeque::pop_front) else {
                self.lanes.remove(&lane);
                continue;
            };
            self.favours_fresh = !from_fresh || self.round.is_empty();
            self.round.push_back(lane);
            self.length -= 1;
            return Some(item);
        }
    }

    /// Takes out everything, in the order it would have been begun.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        std::iter::from_fn(|| self.pop())
    }
}

#[cfg(test)]
mod tests {
    use super::Lanes;
    use std::collections::HashMap;

    fn filled(jobs: &[(u64, u32)]) -> Lanes<(u64, u32)> {
        let mut lanes = Lanes::new();
        jobs.iter().for_each(|&(lane, job)| lanes.push(lane, (lane, job)));
        lanes
    }

    #[test]
    fn lanes_take_turns_and_keep_their_order() {
        let mut lanes = filled(&[(1, 1), (1, 2), (1, 3), (2, 1), (3, 1), (3, 2)]);
        assert_eq!(lanes.len(), 6);
        let order: Vec<_> = lanes.drain().collect();
        let mut counts = HashMap::new();
        for (lane, job) in &order {
            let last = counts.insert(*lane, *job).unwrap_or(0);
            assert_eq!(*job, last + 1, "lane {lane} in {order:?}");
        }
        assert_eq!(order[..4].iter().filter(|(lane, _)| *lane == 1).count(), 2);
        assert_eq!(order.len(), 6);
        assert_eq!((lanes.len(), lanes.pop()), (0, None));
        assert!(lanes.lanes.is_empty() && lanes.round.is_empty());
    }

    #[test]
    fn a_single_job_goes_before_a_backlog() {
        let mut lanes = Lanes::new();
        (0..1000).for_each(|job| lanes.push(1, (1, job)));
        for round in 0..10_u32 {
            assert_eq!(lanes.pop(), Some((1, round)));
            lanes.push(100 + u64::from(round), (0, round));
            assert_eq!(lanes.pop(), Some((0, round)));
        }
    }

    #[test]
    fn new_lanes_without_end_do_not_starve_an_old_one() {
        let mut lanes = filled(&[(1, 0), (1, 1), (1, 2)]);
        let mut served = 0;
        for new in 0..8 {
            (0..10).for_each(|more| lanes.push(100 + new * 10 + more, (9, 0)));
            served += usize::from(lanes.pop().is_some_and(|(lane, _)| lane == 1));
        }
        assert_eq!(served, 3);
    }

    #[test]
    fn a_lane_that_empties_again_and_again_takes_its_turn_like_others() {
        let mut lanes = filled(&[(1, 0), (2, 0)]);
        (1..50).for_each(|job| lanes.push(1, (1, job)));
        let mut last = 0;
        for _ in 0..60 {
            let Some((lane, _)) = lanes.pop() else { break };
            if lane == 2 {
                lanes.push(2, (2, 0));
            }
            assert!(lane != 2 || last != 2, "twice in a row while another waits");
            last = lane;
        }
    }

    /// Random histories against what must hold: nothing is lost or changed in order, and a job waits for at most
    /// twice as many turns as there are lanes for each job before it in its own.
    #[test]
    fn no_history_loses_reorders_or_starves() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: u64| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (random >> 33) % below
        };
        for _ in 0..200 {
            let kinds = 1 + next(8);
            let mut lanes = Lanes::new();
            let mut pushed: HashMap<u64, (usize, usize)> = HashMap::new();
            let mut turn = 0;
            for _ in 0..300 {
                if next(2) == 0 {
                    let lane = next(kinds);
                    let (made, taken) = pushed.entry(lane).or_default();
                    lanes.push(lane, (lane, *made, turn, *made - *taken));
                    *made += 1;
                } else if let Some((lane, number, since, ahead)) = lanes.pop() {
                    let (_, taken) = pushed.entry(lane).or_default();
                    assert_eq!(number, *taken);
                    *taken += 1;
                    assert!(turn - since <= (ahead + 1) * 2 * kinds as usize);
                    turn += 1;
                }
            }
            let left: usize = pushed.values().map(|(made, taken)| made - taken).sum();
            assert_eq!(lanes.len(), left);
            assert_eq!(lanes.drain().count(), left);
        }
    }
}
