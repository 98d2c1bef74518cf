//! What a session remembers of a target from one claim to the next, for a moment.
//!
//! What was claimed leaves dead entries at the front of the queue's index, which stay until a vacuum comes by; a walk that goes on
//! behind the last event this session got does not step over them each time. What becomes due behind that place is found when a
//! batch is not filled from there on, and else by the look from the beginning that every session takes once a second.

use std::cell::RefCell;
use std::collections::HashMap;

use crate::store::events::Position;

/// How long a session goes on without a look from the beginning.
const LOOK_AGAIN_US: i64 = 1_000_000;

thread_local! {
    static TARGETS: RefCell<HashMap<String, Memory>> = RefCell::default();
}

/// Of one target.
#[derive(Default)]
pub(super) struct Memory {
    /// The company whose turn is first.
    pub(super) first: Option<u128>,
    /// All companies with undelivered events, in ascending order, as of the last look; `None`: too many.
    pub(super) companies: Option<Vec<u128>>,
    places: HashMap<Option<[u8; 16]>, Position>,
    looked_at: Option<i64>,
}

impl Memory {
    /// What is remembered of this target; it is to be kept again.
    pub(super) fn of(target: &str) -> Self {
        TARGETS
            .with_borrow_mut(|targets| targets.remove(target))
            .unwrap_or_default()
    }

    /// Remembers it.
    pub(super) fn keep(self, target: &str) {
        TARGETS.with_borrow_mut(|targets| targets.insert(target.to_owned(), self));
    }

    /// Whether the last look from the beginning was a moment ago; a clock that was set back says no.
    pub(super) fn is_fresh(&self, now: i64) -> bool {
        self.looked_at
            .is_some_and(|then| (then..then.saturating_add(LOOK_AGAIN_US)).contains(&now))
    }

    /// A look from the beginning.
    pub(super) fn begin_again(&mut self, now: i64, companies: Option<Vec<u128>>) {
        self.places.clear();
        self.companies = companies;
        self.looked_at = Some(now);
    }

    /// Behind which place a company's walk goes on.
    pub(super) fn place(&self, company: Option<[u8; 16]>) -> Position {
        self.places.get(&company).copied().unwrap_or(Position::START)
    }

    /// An event at this place was found.
    pub(super) fn reached(&mut self, company: Option<[u8; 16]>, position: Position) {
        let place = self.places.entry(company).or_insert(position);
        *place = position.max(*place);
    }
}
