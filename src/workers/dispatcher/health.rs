//! What is written down of targets for people: state and load, at most once a second or what a small part of the time is enough
//! for, and only what has changed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::Dispatcher;
use super::lanes::Company;
use super::target::Target;
use crate::pg::{server, spi, worker};
use crate::store::health::{self, Health, Load};

/// Shortest time between two writings,
const INTERVAL: Duration = Duration::from_secs(1);
/// and where there are many targets, what keeps it to this part of the time,
const SHARE: u32 = 200;
/// within reason.
const LONGEST_INTERVAL: Duration = Duration::from_secs(10);

/// What was written last.
pub(super) struct Shown {
    at: Instant,
    took: Duration,
    targets: HashMap<(Arc<str>, Company), (Health, Load)>,
    /// Something may have changed since.
    is_stale: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Shown {
            at: Instant::now(),
            took: Duration::ZERO,
            targets: HashMap::new(),
            is_stale: true,
        }
    }
}

impl Shown {
    /// Something happened to a target.
    pub(super) fn stale(&mut self) {
        self.is_stale = true;
    }

    /// When the next writing is due; `None`: nothing has changed.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let interval = (self.took * SHARE).clamp(INTERVAL, LONGEST_INTERVAL);
        self.is_stale.then(|| interval.saturating_sub(self.at.elapsed()))
    }
}

impl Dispatcher {
    /// Writes what has changed. It is for show: a failure is tried again with the next writing.
    pub(super) fn show_targets(&mut self) {
        if self.told.due_in() != Some(Duration::ZERO) {
            return;
        }
        self.told.at = Instant::now();
        self.told.is_stale = false;
        let mut news = Vec::new();
        for target in self.targets.all_mut() {
            let key = (Arc::clone(&target.name), target.only);
            let now = (health_of(target), load_of(target));
            // A rate that falls to nothing must be seen to.
            self.told.is_stale |= now.1.in_flight > 0 || now.1.per_second > 0.0;
            if self.told.targets.get(&key) != Some(&now) {
                news.push((key, now));
            }
        }
        if news.is_empty() {
            return;
        }
        let time = server::now();
        let written = worker::transaction(|| {
            spi::connect(|session| {
                for ((name, company), (health, load)) in &news {
                    let known = self.told.targets.get(&(Arc::clone(name), *company));
                    if known.is_none_or(|known| known.0 != *health) {
                        health::set_health(session, name, company.as_ref(), health, time);
                    }
                    if known.is_none_or(|known| known.1 != *load) {
                        health::set_load(session, name, company.as_ref(), load, time);
                    }
                }
            });
        });
        match written {
            Ok(()) => self.told.targets.extend(news),
            Err(_) => self.told.is_stale = true,
        }
        self.told.took = self.told.at.elapsed();
    }
}

fn health_of(target: &mut Target) -> Health {
    if target.is_foreign {
        return Health {
            state: "held",
            reason: Some(
                "set by another installation: call tms_adopt() if this database is to deliver".to_owned(),
            ),
        };
    }
    if target.route.is_astray {
        return Health {
            state: "held",
            reason: Some(
                "the target has another host now: the company's own version must be set again".to_owned(),
            ),
        };
    }
    let (state, reason) = target.brakes.state();
    Health { state, reason }
}

fn load_of(target: &Target) -> Load {
    let fate = &target.fate;
    let mut durations: Vec<f64> = fate.durations_ms.iter().copied().collect();
    durations.sort_by(f64::total_cmp);
    let at = |share: f64| {
        let index = (durations.len() as f64 * share).ceil() as usize;
        durations.get(index.saturating_sub(1)).copied()
    };
    Load {
        in_flight: i32::try_from(target.on_their_way).unwrap_or(i32::MAX),
        per_second: (target.rate() * 10.0).round() / 10.0,
        quantiles_ms: at(0.5)
            .zip(at(0.95))
            .zip(at(0.99))
            .map(|((p50, p95), p99)| [p50, p95, p99]),
        delivered: i64::try_from(fate.delivered).unwrap_or(i64::MAX),
        failed: i64::try_from(fate.failed).unwrap_or(i64::MAX),
        last_error: fate.last_error.clone(),
    }
}
