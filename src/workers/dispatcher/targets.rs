//! All targets of this database: taken over from the table, found by the commits' notes, and taking turns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use pgrx::prelude::*;
use tms_delivery::Engine;

use super::lanes::Company;
use super::route;
use super::target::Target;
use crate::pg::lanes::Noted;
use crate::pg::server::{self, PG_EPOCH_US};
use crate::pg::shmem::{BUCKETS, NEVER, Slot};
use crate::pg::wake;
use crate::store;
use crate::store::targets::Target as Row;

/// Which queues a target's lanes must be asked of the table for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// None.
    Nothing,
    /// There may be lanes that are not known; those that are known keep their place.
    Some,
    /// All of them, from their beginning.
    All,
}

/// All of them.
#[derive(Default)]
pub(crate) struct Targets {
    by_id: HashMap<u32, Target>,
    ids: HashMap<(Arc<str>, Company), u32>,
    /// By the hash of the name, and the company whose own version it is. Two names with one hash only cost a look too many.
    by_hash: HashMap<(u64, Company), Vec<u32>>,
    last_id: u32,
    /// Which target is asked first; moves on with each round, so that none is always the last.
    first: usize,
    order: Vec<u32>,
    /// When a signing key ends and the targets must be read again, in Unix seconds.
    key_ends: Option<i64>,
}

/// What reading the targets again has changed.
#[derive(Default)]
pub(crate) struct Loaded {
    /// Targets that are new, set anew, paused or removed.
    pub(crate) changed: HashSet<u32>,
    /// Their jobs, by key, that had not been sent and now are not.
    pub(crate) withdrawn: Vec<u64>,
}

impl Targets {
    /// Takes over what the table says.
    pub(crate) fn load(&mut self, engine: &Engine, mut rows: Vec<Row>, stamp: &str) -> Loaded {
        add_built_in(&mut rows, stamp);
        let mut loaded = self.remove_missing(engine, &rows);
        let unix_now = server::now().saturating_add(PG_EPOCH_US) / 1_000_000;
        let bases: HashMap<String, Row> = rows
            .iter()
            .filter(|row| row.company.is_none())
            .map(|row| (row.name.clone(), row.clone()))
            .collect();
        let mut changed_names = HashSet::new();
        let mut versions_changed = false;
        for row in rows {
            let base = row.company.and_then(|_| bases.get(&row.name));
            let id = self.id_of(&row);
            let is_same = |target: &Target| {
                let has_ended_key = target.route.key_ends.is_some_and(|end| end <= unix_now);
                target.row == row && !target.is_gone && !has_ended_key
            };
            let is_known = self.by_id.get(&id).is_some_and(is_same);
            if is_known && !changed_names.contains(&row.name) {
                continue;
            }
            // Companies' own versions come after all targets, and have the rest from them.
            changed_names.insert(row.name.clone());
            versions_changed |= row.company.is_some();
            let Some(route) = route::of(&row, base, unix_now) else {
                warning!(
                    "tms: target \"{}\" cannot be used as it is stored; set it again with tms_target_set",
                    row.name
                );
                continue;
            };
            loaded.changed.insert(id);
            loaded.withdrawn.extend(engine.withdraw(Some(id)));
            if let Some(spec) = &route.spec {
                engine.set_target(id, spec.clone());
            }
            let is_foreign = row.installation != stamp;
            match self.by_id.get_mut(&id) {
                Some(target) => target.change(row, route, is_foreign),
                None => {
                    self.by_id.insert(id, Target::new(row, route, is_foreign));
                }
            }
        }
        if versions_changed {
            // A company's events go another way now.
            self.rescan();
        }
        self.index(unix_now);
        loaded
    }

    fn remove_missing(&mut self, engine: &Engine, rows: &[Row]) -> Loaded {
        let mut loaded = Loaded::default();
        let present: HashSet<(&str, Company)> =
            rows.iter().map(|row| (row.name.as_str(), row.company)).collect();
        for ((name, company), id) in &self.ids {
            let Some(target) = self.by_id.get_mut(id).filter(|target| !target.is_gone) else {
                continue;
            };
            if !present.contains(&(&**name, *company)) {
                loaded.changed.insert(*id);
                loaded.withdrawn.extend(engine.remove_target(*id));
                // Its state stays until the last answer came: completions still name it.
                target.is_gone = true;
            }
        }
        if !loaded.changed.is_empty() {
            // A company without a version of its own goes by the target again.
            self.rescan();
        }
        loaded
    }

    fn id_of(&mut self, row: &Row) -> u32 {
        let key = (Arc::from(row.name.as_str()), row.company);
        *self.ids.entry(key).or_insert_with(|| {
            self.last_id += 1;
            self.last_id
        })
    }

    fn index(&mut self, unix_now: i64) {
        self.order = self.by_id.keys().copied().collect();
        self.order.sort_unstable();
        self.by_hash.clear();
        self.key_ends = None;
        for (id, target) in self.by_id.iter().filter(|(_, target)| !target.is_gone) {
            let place = (target.hash, target.only);
            self.by_hash.entry(place).or_default().push(*id);
            // One that has ended already has nothing to be read again for.
            let ends = target.route.key_ends.filter(|end| *end > unix_now);
            self.key_ends = self.key_ends.into_iter().chain(ends).min();
        }
    }

    /// Whether a signing key has ended since the targets were read.
    pub(crate) fn has_ended_key(&self, now: i64) -> bool {
        let unix = now.saturating_add(PG_EPOCH_US) / 1_000_000;
        self.key_ends.is_some_and(|end| end <= unix)
    }

    /// Says which commits are worth a wake-up. To be said before the queues are looked through: what is committed before that
    /// is found there, what is committed after it is noted.
    pub(crate) fn publish(&self, slot: &Slot) {
        let mut served = [false; BUCKETS];
        for target in self.by_id.values().filter(|target| target.is_served()) {
            served[wake::bucket(target.hash)] = true;
        }
        for (flag, served) in slot.served.iter().zip(served) {
            flag.store(served, Ordering::SeqCst);
        }
    }

    /// The target with this number.
    pub(crate) fn get(&self, id: u32) -> Option<&Target> {
        self.by_id.get(&id)
    }

    /// The target with this number, to change.
    pub(crate) fn get_mut(&mut self, id: u32) -> Option<&mut Target> {
        self.by_id.get_mut(&id)
    }

    /// All targets.
    pub(crate) fn all_mut(&mut self) -> impl Iterator<Item = &mut Target> {
        self.by_id.values_mut()
    }

    /// Targets that want work, beginning with another one each time.
    pub(crate) fn round(&mut self) -> Vec<u32> {
        let wanting: Vec<u32> = self
            .order
            .iter()
            .filter(|id| self.by_id.get(id).is_some_and(Target::wants_work))
            .copied()
            .collect();
        self.first = self.first.wrapping_add(1);
        let start = if wanting.is_empty() {
            0
        } else {
            self.first % wanting.len()
        };
        wanting[start..]
            .iter()
            .chain(&wanting[..start])
            .copied()
            .collect()
    }

    /// Everything from the beginning.
    pub(crate) fn rescan(&mut self) {
        self.by_id.values_mut().for_each(Target::rescan);
    }

    /// A commit added events to a lane.
    pub(crate) fn noted(&mut self, lane: &Noted, now: i64) {
        let own = self.by_hash.get(&(lane.target, lane.company));
        let ids = own.or_else(|| self.by_hash.get(&(lane.target, None)));
        for id in ids.into_iter().flatten() {
            if let Some(target) = self.by_id.get_mut(id) {
                target.lanes.noted(lane.company, lane.from, lane.is_special, now);
            }
        }
    }

    /// Commits found no room for their notes: the table says which lanes they meant.
    pub(crate) fn missed(&mut self, slot: &Slot, now: i64) {
        for target in self.by_id.values_mut() {
            let from = slot.due_from[wake::bucket(target.hash)].load(Ordering::SeqCst);
            if from != NEVER {
                target.lanes.noted_all(from, now);
                if target.lanes_unknown == Unknown::Nothing {
                    target.lanes_unknown = Unknown::Some;
                }
            }
        }
        for from in &slot.due_from {
            from.store(NEVER, Ordering::SeqCst);
        }
    }

    /// The table has something for a company in the queue of a target; companies with a version of their own are not the
    /// target's.
    pub(crate) fn found(&mut self, id: u32, company: Company, priority: i32, anew: bool) {
        if !self.serves(id, company) {
            return;
        }
        if let Some(target) = self.by_id.get_mut(&id) {
            target.lanes.found(company, priority, anew);
        }
    }

    /// Whether a company's events go by this target and not by a version of its own.
    pub(crate) fn serves(&self, id: u32, company: Company) -> bool {
        let Some(target) = self.by_id.get(&id) else {
            return false;
        };
        match target.only {
            Some(_) => target.only == company,
            None => company.is_none() || !self.by_hash.contains_key(&(target.hash, company)),
        }
    }

    /// The clock has come so far.
    pub(crate) fn clock(&mut self, now: i64) {
        self.by_id.values_mut().for_each(|target| target.lanes.clock(now));
    }

    /// When the clock alone makes something due for a target that is served.
    pub(crate) fn next_due(&self) -> Option<i64> {
        self.by_id
            .values()
            .filter(|target| target.is_served())
            .filter_map(|target| target.lanes.next_due())
            .min()
    }
}

/// Targets that need no setting.
fn add_built_in(rows: &mut Vec<Row>, stamp: &str) {
    const REALTIME: &str = "realtime";
    if rows.iter().all(|row| row.name != REALTIME) {
        rows.push(Row {
            name: REALTIME.to_owned(),
            transport: REALTIME.to_owned(),
            options: serde_json::json!({}),
            is_paused: false,
            installation: stamp.to_owned(),
            company: None,
            secrets: store::targets::Secrets::default(),
        });
    }
}
