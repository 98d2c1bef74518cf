//! How far the queue of one target and company was walked, and when to look at it again. Plain data: no statement is run in here.
//!
//! A walk goes on behind the last row it saw, so that rows which are finished but not yet vacuumed are not visited again and
//! again. What becomes due behind that place is told by commits (the earliest time they inserted), and looked for by the rescan.

use std::collections::BTreeMap;
use std::hash::{BuildHasherDefault, Hasher};

use crate::store::events::Position;

/// One priority.
#[derive(Debug, Clone, Copy)]
struct Cursor {
    behind: Position,
    /// Nothing more is due as far as we know.
    at_end: bool,
}

/// The queue of one target and company.
#[derive(Debug)]
pub(crate) struct Queue {
    /// By priority, negated so that the highest comes first.
    cursors: BTreeMap<i64, Cursor>,
    /// When something becomes due by the clock alone; PostgreSQL's microseconds.
    next_due: Option<i64>,
    /// `next_due` must be read from the table.
    next_due_unknown: bool,
    /// There may be priorities that have no cursor.
    priorities_unknown: bool,
}

impl Queue {
    /// A queue that was empty until a commit told of it.
    pub(crate) fn empty() -> Queue {
        Queue {
            cursors: BTreeMap::new(),
            next_due: None,
            next_due_unknown: false,
            priorities_unknown: false,
        }
    }

    /// A priority exists; one that is known keeps its place.
    pub(crate) fn add_priority(&mut self, priority: i32) {
        self.cursors.entry(-i64::from(priority)).or_insert(Cursor {
            behind: Position::START,
            at_end: false,
        });
    }

    /// Whether the table must be asked for priorities.
    pub(crate) fn priorities_unknown(&self) -> bool {
        self.priorities_unknown
    }

    /// The table was asked. Said afterwards: a question that failed is asked again.
    pub(crate) fn learned_priorities(&mut self, priorities: Vec<i32>) {
        for priority in priorities {
            self.add_priority(priority);
        }
        self.priorities_unknown = false;
    }

    /// Somebody used a priority or a schedule.
    pub(crate) fn look_for_special(&mut self) {
        self.priorities_unknown = true;
        self.next_due_unknown = true;
    }

    /// A priority is walked from its beginning.
    pub(crate) fn restart(&mut self, priority: i32) {
        let cursor = Cursor {
            behind: Position::START,
            at_end: false,
        };
        self.cursors.insert(-i64::from(priority), cursor);
        self.next_due_unknown = true;
    }

    /// Something may become due that no note told of.
    pub(crate) fn ask_next_due(&mut self) {
        self.next_due_unknown = true;
    }

    /// A commit added events that are due from `from` on; `is_special` when they are not all of priority 0, or not all due by
    /// then. The time to look again is answered when that is in the future.
    pub(crate) fn noted(&mut self, from: i64, is_special: bool, now: i64) -> Option<i64> {
        if is_special {
            self.look_for_special();
        }
        if from > now {
            self.due_at(from);
            return Some(from);
        }
        // Just before the first row with this time.
        let before = Position {
            available_at: from.saturating_sub(1),
            seq: i64::MAX,
        };
        self.cursors.entry(0).or_insert(Cursor {
            behind: before,
            at_end: false,
        });
        for cursor in self.cursors.values_mut() {
            cursor.behind = cursor.behind.min(before);
            cursor.at_end = false;
        }
        None
    }

    /// Something becomes due at this time.
    pub(crate) fn due_at(&mut self, time: i64) {
        self.next_due = Some(self.next_due.map_or(time, |known| known.min(time)));
    }

    /// The clock has come so far: walks go on if something was waiting for it.
    pub(crate) fn clock(&mut self, now: i64) {
        if self.next_due.is_some_and(|due| due <= now) {
            self.next_due = None;
            self.next_due_unknown = true;
            self.priorities_unknown |= self.cursors.is_empty();
            for cursor in self.cursors.values_mut() {
                cursor.at_end = false;
            }
        }
    }

    /// Whether the table must be asked for the next due time, once the walk is at its end.
    pub(crate) fn next_due_unknown(&self) -> bool {
        self.next_due_unknown
    }

    /// The table was asked, and named these times.
    pub(crate) fn learned_next_due(&mut self, times: impl IntoIterator<Item = i64>) {
        times.into_iter().for_each(|time| self.due_at(time));
        self.next_due_unknown = false;
    }

    /// Whether a walk would find something, as far as we know.
    pub(crate) fn has_more(&self) -> bool {
        self.priorities_unknown || self.cursors.values().any(|cursor| !cursor.at_end)
    }

    /// The next priority to walk and where its walk goes on: the highest one that is not at its end.
    pub(crate) fn next_walk(&self) -> Option<(i32, Position)> {
        self.cursors
            .iter()
            .find(|(_, cursor)| !cursor.at_end)
            .map(|(negated, cursor)| (priority_of(*negated), cursor.behind))
    }

    /// Priorities that are known.
    pub(crate) fn priorities(&self) -> Vec<i32> {
        self.cursors.keys().map(|negated| priority_of(*negated)).collect()
    }

    /// A walk has come to `behind`, and found the end there or not.
    pub(crate) fn walked(&mut self, priority: i32, behind: Position, at_end: bool) {
        if let Some(cursor) = self.cursors.get_mut(&-i64::from(priority)) {
            *cursor = Cursor { behind, at_end };
        }
    }
}

fn priority_of(negated: i64) -> i32 {
    i32::try_from(-negated).unwrap_or(0)
}

/// Hashes event numbers: they are a sequence, so mixing the bits once is enough.
pub(crate) type Numbers = BuildHasherDefault<NumberHasher>;

/// See [`Numbers`].
#[derive(Default)]
pub(crate) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }
    fn write_u64(&mut self, number: u64) {
        // Fibonacci hashing: the odd number nearest to 2^64 divided by the golden ratio.
        self.0 = (self.0 ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(32);
    }
}
