//! One target while the dispatcher works: its lanes, its brakes, how much it may hold, and how it fares.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tms_domain::target::{BreakerPolicy, Delivery, OnAmbiguous, OnDead, Profile, Rate, TargetOptions};

use super::brakes::Brakes;
use super::lanes::{Company, Lanes};
use super::route::Route;
use super::targets::Unknown;
use crate::pg::wake;
use crate::store;

/// Most events of one target that wait in the I/O thread for a connection.
const WIDEST_WINDOW: usize = 1024;
/// Events of a target in the database that are written in one transaction.
const LOCAL_WINDOW: usize = 500;
/// The window of a target holds what it took in this share of a second lately,
const WINDOW_SECONDS: f64 = 0.1;
/// or, up to so many events, in this one: each look into a queue costs, also for a single event.
const SMALL_WINDOW: f64 = 16.0;
const SMALL_WINDOW_SECONDS: f64 = 0.5;
/// How often the rate is taken.
const RATE_INTERVAL: Duration = Duration::from_millis(50);
/// Durations that quantiles are taken from.
const REMEMBERED_DURATIONS: usize = 512;

/// One target, or a company's own version of it.
pub(crate) struct Target {
    pub(crate) name: Arc<str>,
    /// Whose own version it is; `None`: the target itself, which serves all others.
    pub(crate) only: Company,
    pub(crate) lanes: Lanes,
    pub(crate) brakes: Brakes,
    pub(crate) route: Route,
    pub(crate) fate: Fate,
    /// Events that were handed out and not answered.
    pub(crate) on_their_way: usize,
    /// Which queues there are must be read from the table.
    pub(crate) lanes_unknown: Unknown,
    /// [`wake::hash`] of the name.
    pub(crate) hash: u64,
    /// What the table says, to see what changed.
    pub(super) row: store::targets::Target,
    /// The table does not have it any more; answers may still come.
    pub(super) is_gone: bool,
    /// It was set by another installation.
    pub(super) is_foreign: bool,
    completed: usize,
    rate_taken: Instant,
    rate: f64,
}

/// How a target fares; what tms.target_load shows.
#[derive(Default)]
pub(crate) struct Fate {
    pub(crate) delivered: u64,
    pub(crate) failed: u64,
    pub(crate) last_error: Option<(i64, String)>,
    pub(crate) durations_ms: VecDeque<f64>,
}

impl Target {
    pub(super) fn new(row: store::targets::Target, route: Route, is_foreign: bool) -> Target {
        Target {
            hash: wake::hash(&row.name),
            name: Arc::from(row.name.as_str()),
            only: row.company,
            lanes: Lanes::default(),
            brakes: Brakes::new(route.options.rate, route.options.breaker),
            route,
            fate: Fate::default(),
            on_their_way: 0,
            lanes_unknown: Unknown::All,
            is_gone: false,
            is_foreign,
            completed: 0,
            rate_taken: Instant::now(),
            rate: 0.0,
            row,
        }
    }

    /// The table says something else of it now.
    pub(super) fn change(&mut self, row: store::targets::Target, route: Route, is_foreign: bool) {
        let resumed = self.row.is_paused && !row.is_paused;
        if resumed || limits(&self.route.options) != limits(&route.options) {
            self.brakes = Brakes::new(route.options.rate, route.options.breaker);
        }
        self.row = row;
        self.route = route;
        self.is_foreign = is_foreign;
        self.is_gone = false;
        self.rescan();
    }

    /// Everything from the beginning.
    pub(super) fn rescan(&mut self) {
        self.lanes.rescan();
        self.lanes_unknown = Unknown::All;
    }

    /// Whose answers it gives.
    pub(crate) fn profile(&self) -> Profile {
        self.route
            .options
            .http()
            .map_or(Profile::Generic, |http| http.profile)
    }

    /// What an unanswered request means.
    pub(crate) fn on_ambiguous(&self) -> OnAmbiguous {
        self.route.options.on_ambiguous
    }

    /// Whether a dead event lets the others of its key pass.
    pub(crate) fn skips_dead(&self) -> bool {
        self.route.options.on_dead == OnDead::Skip
    }

    /// Whether its events are written by the database itself.
    pub(crate) fn is_local(&self) -> bool {
        matches!(
            self.route.options.delivery,
            Delivery::Notify(_) | Delivery::Realtime(_)
        )
    }

    /// Whether its commits are worth a wake-up at all.
    pub(crate) fn is_served(&self) -> bool {
        !self.is_gone && !self.row.is_paused && !self.is_foreign && !self.route.is_astray
    }

    /// Whether something may be sent to it, and is there as far as we know.
    pub(crate) fn wants_work(&self) -> bool {
        self.is_served() && (self.lanes_unknown != Unknown::Nothing || self.lanes.has_more())
    }

    fn max_concurrency(&self) -> usize {
        let http = self.route.options.http();
        http.map_or(LOCAL_WINDOW, |http| {
            usize::try_from(http.max_concurrency).unwrap_or(1)
        })
    }

    /// How many events the I/O thread may have: enough to keep the connections busy until the next look, few for a target
    /// that does not answer.
    pub(crate) fn window(&self) -> usize {
        if self.is_local() {
            return LOCAL_WINDOW;
        }
        let few = (self.rate * SMALL_WINDOW_SECONDS).min(SMALL_WINDOW);
        let lately = (self.rate * WINDOW_SECONDS).max(few) as usize;
        (2 * self.max_concurrency() + lately).min(WIDEST_WINDOW + self.max_concurrency())
    }

    /// What it may always have, however much the others hold.
    pub(crate) fn fair_share(&self) -> usize {
        self.max_concurrency()
    }

    /// An event is on its way.
    pub(super) fn sent(&mut self, lane: usize) {
        self.on_their_way += 1;
        self.brakes.sent();
        if let Some(lane) = self.lanes.get_mut(lane) {
            lane.on_their_way += 1;
        }
    }

    /// An event was answered.
    pub(super) fn answered(&mut self, company: Company) {
        self.on_their_way -= 1;
        self.lanes.came_back(company);
        self.completed += 1;
        let elapsed = self.rate_taken.elapsed();
        if elapsed >= RATE_INTERVAL {
            let now = self.completed as f64 / elapsed.as_secs_f64();
            self.rate = 0.5 * self.rate + 0.5 * now;
            self.completed = 0;
            self.rate_taken = Instant::now();
        }
    }

    /// An event came back unsent; it is still where it was in the table, which a rescan finds.
    pub(super) fn gave_back(&mut self, company: Company) {
        self.on_their_way -= 1;
        self.lanes.came_back(company);
        self.brakes.gave_back();
    }

    /// Attempts a second, lately.
    pub(crate) fn rate(&self) -> f64 {
        // Nothing ended for a while, or the figure would have been taken anew: it is history.
        if self.rate_taken.elapsed() > Duration::from_secs(2) {
            0.0
        } else {
            self.rate
        }
    }
}

impl Fate {
    /// An attempt took so long.
    pub(super) fn took(&mut self, duration: Duration) {
        if self.durations_ms.len() == REMEMBERED_DURATIONS {
            self.durations_ms.pop_front();
        }
        self.durations_ms.push_back(duration.as_secs_f64() * 1000.0);
    }
}

/// What the brakes are made from.
fn limits(options: &TargetOptions) -> (Option<Rate>, Option<BreakerPolicy>) {
    (options.rate, options.breaker)
}
