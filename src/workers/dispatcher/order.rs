//! Ordering keys: which event of a key may be sent.
//!
//! Of each key at most one event is on its way, the first that is not finished. A key is known here while something of it is on
//! its way or waits, and a while longer: how far it is finished spares the next look the rows that are not yet vacuumed.
//!
//! The table decides which event is the first; what is remembered only spares questions. Numbers of one key are in the order of
//! commits, so nothing can come in before an event that was found to be the first.

use std::collections::{HashMap, VecDeque};

/// A key: the target as this process numbers it, and the hash that the table has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) target: u32,
    pub(crate) hash: i64,
}

/// Keys that are remembered at most: more than can be on their way. What is forgotten is asked of the table again.
const MOST_REMEMBERED: usize = 200_000;

#[derive(Debug, Clone, Copy)]
struct State {
    /// On its way, or found to be the first and not due.
    first: Option<First>,
    /// All events up to this number are finished.
    floor: i64,
}

#[derive(Debug, Clone, Copy)]
struct First {
    seq: i64,
    on_its_way: bool,
}

/// What is to be done with an event that a walk has met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is the first of its key: send it.
    Now,
    /// Another is before it, whose end brings it up again.
    Later,
    /// The table must be asked.
    Unknown,
}

/// All keys that are known.
#[derive(Default)]
pub(crate) struct Keys {
    states: HashMap<Key, State>,
    /// Keys whose first event is finished: the next one may be due.
    ready: HashMap<u32, VecDeque<Key>>,
}

impl Keys {
    /// Whether it is an event's turn.
    pub(crate) fn turn(&mut self, key: Key, seq: i64) -> Turn {
        let Some(state) = self.states.get_mut(&key) else {
            return Turn::Unknown;
        };
        match state.first {
            None => Turn::Unknown,
            Some(first) if first.on_its_way => {
                // One that was put back before the one on its way: it must be found afterwards.
                if seq < first.seq {
                    state.floor = state.floor.min(seq - 1);
                }
                Turn::Later
            }
            Some(first) if first.seq == seq => Turn::Now,
            Some(first) if first.seq < seq => Turn::Later,
            Some(_) => Turn::Unknown,
        }
    }

    /// From where on the table is to be asked for a key's first event.
    pub(crate) fn floor(&self, key: Key) -> i64 {
        self.states.get(&key).map_or(i64::MIN, |state| state.floor)
    }

    /// The table says that this event is the first, and it waits.
    pub(crate) fn waits(&mut self, key: Key, seq: i64) {
        self.set(
            key,
            Some(First {
                seq,
                on_its_way: false,
            }),
            seq - 1,
        );
    }

    /// An event is on its way.
    pub(crate) fn sent(&mut self, key: Key, seq: i64) {
        self.set(
            key,
            Some(First {
                seq,
                on_its_way: true,
            }),
            seq - 1,
        );
    }

    /// An event is finished, for the key's order: the next may go.
    pub(crate) fn finished(&mut self, key: Key, seq: i64) {
        let floor = self.floor(key);
        // A lower floor was noted while it was on its way: something before it waits.
        let floor = if floor < seq - 1 { floor } else { seq };
        self.set(key, None, floor);
        self.look_again(key);
    }

    /// The key's next event is to be looked for.
    pub(crate) fn look_again(&mut self, key: Key) {
        self.ready.entry(key.target).or_default().push_back(key);
    }

    /// An event came back unsent, or will be tried again: it is still the first, as far as is known.
    pub(crate) fn gave_back(&mut self, key: Key, seq: i64) {
        self.waits(key, seq);
    }

    /// Nothing of a key is left.
    pub(crate) fn ended(&mut self, key: Key) {
        let floor = self.floor(key);
        self.set(key, None, floor);
    }

    fn set(&mut self, key: Key, first: Option<First>, floor: i64) {
        let state = self.states.entry(key).or_insert(State {
            first: None,
            floor: i64::MIN,
        });
        state.first = first;
        state.floor = floor;
        if self.states.len() > MOST_REMEMBERED {
            self.states
                .retain(|_, state| state.first.is_some_and(|first| first.on_its_way));
        }
    }

    /// Keys of a target whose next event is to be looked for, at most so many.
    pub(crate) fn take_ready(&mut self, target: u32, most: usize) -> Vec<Key> {
        let Some(ready) = self.ready.get_mut(&target) else {
            return Vec::new();
        };
        let count = ready.len().min(most);
        ready.drain(..count).collect()
    }

    /// Whether a key's next event is to be looked for.
    pub(crate) fn has_ready(&self) -> bool {
        self.ready.values().any(|keys| !keys.is_empty())
    }

    /// Targets with keys whose next event is to be looked for.
    pub(crate) fn targets_with_ready(&self) -> Vec<u32> {
        let ready = self.ready.iter().filter(|(_, keys)| !keys.is_empty());
        ready.map(|(target, _)| *target).collect()
    }

    /// The queue was changed by hand: what is not on its way is asked for again.
    pub(crate) fn forget(&mut self) {
        self.states
            .retain(|_, state| state.first.is_some_and(|first| first.on_its_way));
        for state in self.states.values_mut() {
            state.floor = i64::MIN;
        }
    }
}
