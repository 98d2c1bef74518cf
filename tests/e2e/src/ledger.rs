//! What producers committed and rolled back, held against what the receiver saw.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Mutex, MutexGuard};

use postgres::Client;
use uuid::Uuid;

/// The accounts of all producers. An event is known by the id that `tms_enqueue` returned before COMMIT was sent.
#[derive(Debug, Default)]
pub struct Ledger {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    committed: HashSet<Uuid>,
    rolled_back: HashSet<Uuid>,
    /// COMMIT was sent and no answer came: the server alone knows.
    unknown: HashSet<Uuid>,
}

impl Ledger {
    /// COMMIT has returned for these.
    pub fn committed(&self, ids: &[Uuid]) {
        self.books().committed.extend(ids);
    }

    /// These were rolled back, or their connection was lost before COMMIT was sent.
    pub fn rolled_back(&self, ids: &[Uuid]) {
        self.books().rolled_back.extend(ids);
    }

    /// COMMIT was sent for these, and the connection was lost before its answer.
    pub fn unknown(&self, ids: &[Uuid]) {
        self.books().unknown.extend(ids);
    }

    /// How many events are known to be committed.
    pub fn committed_count(&self) -> usize {
        self.books().committed.len()
    }

    /// How many commits nobody knows the outcome of.
    pub fn unknown_count(&self) -> usize {
        self.books().unknown.len()
    }

    /// Asks the recovered server for the commits whose answer was lost.
    pub fn resolve(&self, client: &mut Client) -> Result<(), postgres::Error> {
        let asked: Vec<Uuid> = self.books().unknown.iter().copied().collect();
        if asked.is_empty() {
            return Ok(());
        }
        let rows = client.query("SELECT id FROM tms.event_outbox WHERE id = ANY ($1)", &[&asked])?;
        let there: HashSet<Uuid> = rows.iter().map(|row| row.get(0)).collect();
        let mut books = self.books();
        for id in asked {
            books.unknown.remove(&id);
            let side = if there.contains(&id) {
                &mut books.committed
            } else {
                &mut books.rolled_back
            };
            side.insert(id);
        }
        Ok(())
    }

    /// Holds the books against what arrived, by number of deliveries per id.
    ///
    /// An event whose commit is still unknown is neither missed nor unexpected.
    pub fn check(&self, received: &HashMap<Uuid, u32>) -> Verdict {
        let books = self.books();
        let strange = |id: &&Uuid| !books.committed.contains(id) && !books.unknown.contains(id);
        let (phantom, strangers) = received
            .keys()
            .filter(strange)
            .copied()
            .partition(|id| books.rolled_back.contains(id));
        Verdict {
            committed: books.committed.len(),
            rolled_back: books.rolled_back.len(),
            unknown: books.unknown.len(),
            received: received.len(),
            duplicates: received.values().map(|&count| count as usize - 1).sum(),
            missing: books
                .committed
                .iter()
                .filter(|id| !received.contains_key(id))
                .copied()
                .collect(),
            phantom,
            strangers,
        }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books
            .lock()
            .expect("a producer panicked while it kept the books")
    }
}

/// Whether the books and the receiver agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Events known to be committed.
    pub committed: usize,
    /// Events known to be rolled back.
    pub rolled_back: usize,
    /// Events whose COMMIT was never answered and that nobody has asked the server about yet.
    pub unknown: usize,
    /// Different events that arrived.
    pub received: usize,
    /// Deliveries beyond the first of an event.
    pub duplicates: usize,
    /// Committed, never arrived.
    pub missing: Vec<Uuid>,
    /// Rolled back, and arrived all the same.
    pub phantom: Vec<Uuid>,
    /// Arrived, and no producer ever spoke of them: of a statement that failed, or of another test.
    pub strangers: Vec<Uuid>,
}

impl Verdict {
    /// Nothing lost and nothing invented. Duplicates are for the caller to judge: their bound is his to know.
    pub fn is_clean(&self) -> bool {
        self.missing.is_empty() && self.phantom.is_empty() && self.strangers.is_empty()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rows = [
            ("committed", self.committed, &[][..]),
            ("rolled back", self.rolled_back, &[]),
            ("commit unanswered", self.unknown, &[]),
            ("received, distinct", self.received, &[]),
            ("duplicates", self.duplicates, &[]),
            ("missing", self.missing.len(), &self.missing),
            ("phantom", self.phantom.len(), &self.phantom),
            ("strangers", self.strangers.len(), &self.strangers),
        ];
        for (name, count, examples) in rows {
            write!(f, "{name:<20}{count:>10}")?;
            for id in examples.iter().take(3) {
                write!(f, "  {id}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids<const N: usize>(first: u128) -> [Uuid; N] {
        std::array::from_fn(|n| Uuid::from_u128(first + n as u128))
    }

    #[test]
    fn books_that_agree_are_clean_and_duplicates_are_counted() {
        let ledger = Ledger::default();
        ledger.committed(&ids::<3>(1));
        ledger.rolled_back(&ids::<2>(10));
        ledger.unknown(&ids::<2>(20));
        let received =
            HashMap::from([(1, 1), (2, 3), (3, 1), (20, 1)].map(|(id, n)| (Uuid::from_u128(id), n)));
        let verdict = ledger.check(&received);
        assert!(verdict.is_clean(), "{verdict}");
        assert_eq!((verdict.duplicates, verdict.unknown, verdict.received), (2, 2, 4));
    }

    #[test]
    fn the_lost_and_the_invented_are_told_apart() {
        let ledger = Ledger::default();
        ledger.committed(&ids::<2>(1));
        ledger.rolled_back(&ids::<1>(10));
        let received = HashMap::from([1, 10, 99].map(|id| (Uuid::from_u128(id), 1)));
        let verdict = ledger.check(&received);
        assert!(!verdict.is_clean());
        assert_eq!(verdict.missing, ids::<1>(2));
        assert_eq!(verdict.phantom, ids::<1>(10));
        assert_eq!(verdict.strangers, ids::<1>(99));
        assert!(
            verdict.to_string().contains("missing                      1"),
            "{verdict}"
        );
    }
}
