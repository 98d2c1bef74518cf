//! Names to addresses, by the system's resolver; a good answer is remembered for a while, so that 32 connections ask
//! once. What is remembered is no permission: the guard looks at every address before it is dialled.

use crate::literal;
use crate::network::Network;
use crate::sync::lock;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tms_domain::failure::Failure;
use tokio::time::Instant;

/// Above this, answers that are out of date are thrown away.
const TIDY_ABOVE: usize = 256;

type Answer = Result<Arc<[IpAddr]>, Failure>;
/// Locked while one task asks, so that the others wait for its answer.
type Entry = Arc<tokio::sync::Mutex<Option<Known>>>;

pub(crate) struct Resolver {
    entries: Mutex<HashMap<String, Entry>>,
    keep: Duration,
}

/// An answer, and when it came.
struct Known {
    answer: Answer,
    came: Instant,
}

impl Known {
    /// Whoever has waited while it was asked for may have it, and later ones for a while if it is good. A name that
    /// cannot be resolved may be repaired at any moment.
    fn serves(&self, since: Instant, keep: Duration) -> bool {
        self.came > since || (self.answer.is_ok() && since < self.came + keep)
    }
}

impl Resolver {
    pub(crate) fn new(keep: Duration) -> Resolver {
        Resolver {
            entries: Mutex::default(),
            keep,
        }
    }

    pub(crate) async fn resolve(&self, host: &str, network: &dyn Network) -> Answer {
        if let Some(addr) = literal::address(host) {
            return Ok(Arc::from([addr]));
        }
        let since = Instant::now();
        let entry = self.entry(host);
        let mut known = entry.lock().await;
        if let Some(known) = known.as_ref()
            && known.serves(since, self.keep)
        {
            return known.answer.clone();
        }
        let answer = network
            .lookup(host)
            .await
            .map_err(|error| failure(&error))
            .and_then(distinct);
        *known = Some(Known {
            answer: answer.clone(),
            came: Instant::now(),
        });
        answer
    }

    fn entry(&self, host: &str) -> Entry {
        let mut entries = lock(&self.entries);
        if let Some(entry) = entries.get(host) {
            return Arc::clone(entry);
        }
        if entries.len() >= TIDY_ABOVE {
            let now = Instant::now();
            // An entry that is locked is being asked for: it stays.
            entries.retain(|_, entry| {
                entry.try_lock().map_or(true, |known| {
                    known.as_ref().is_some_and(|known| known.serves(now, self.keep))
                })
            });
        }
        Arc::clone(entries.entry(host.to_owned()).or_default())
    }
}

fn failure(error: &io::Error) -> Failure {
    let text = error.to_string();
    // glibc says it twice: "failed to lookup address information: Name or service not known".
    let text = text.rsplit(": ").next();
    Failure::Resolve(text.unwrap_or("the name server did not answer").to_owned())
}

fn distinct(found: Vec<IpAddr>) -> Answer {
    let mut addresses: Vec<IpAddr> = Vec::with_capacity(found.len());
    for addr in found {
        if !addresses.contains(&addr) {
            addresses.push(addr);
        }
    }
    if addresses.is_empty() {
        return Err(Failure::Resolve("the name has no address".into()));
    }
    Ok(addresses.into())
}

#[cfg(test)]
mod tests {
    use super::Resolver;
    use crate::network::{Asked, Network};
    use std::io;
    use std::net::{IpAddr, SocketAddr};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::net::TcpStream;
    use tokio::task::yield_now;

    /// Fails the first so many times, then answers with one address, twice.
    struct Names {
        asked: AtomicUsize,
        failing: usize,
    }

    impl Network for Names {
        fn lookup<'a>(&'a self, _: &'a str) -> Asked<'a, Vec<IpAddr>> {
            Box::pin(async {
                let number = self.asked.fetch_add(1, Ordering::SeqCst);
                yield_now().await;
                if number < self.failing {
                    return Err(io::Error::other("failed to lookup: try again"));
                }
                Ok(vec!["192.0.2.1".parse().unwrap(); 2])
            })
        }

        fn dial(&self, _: SocketAddr) -> Asked<'_, TcpStream> {
            Box::pin(async { Err(io::Error::other("nothing is dialled here")) })
        }
    }

    /// The results of `times` questions one after the other, and how often the network was asked.
    fn asking(keep: Duration, failing: usize, times: usize) -> (Vec<bool>, usize) {
        let names = Names {
            asked: AtomicUsize::new(0),
            failing,
        };
        let resolver = Resolver::new(keep);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let results = runtime.block_on(async {
            let mut results = Vec::new();
            for _ in 0..times {
                let answer = resolver.resolve("name.example", &names).await;
                results.push(answer.is_ok_and(|addresses| addresses.len() == 1));
            }
            results
        });
        (results, names.asked.load(Ordering::SeqCst))
    }

    #[test]
    fn good_answers_are_kept_for_the_time_set_and_failures_are_not() {
        let hour = Duration::from_secs(3600);
        assert_eq!(asking(hour, 0, 3), (vec![true; 3], 1));
        assert_eq!(asking(Duration::ZERO, 0, 3), (vec![true; 3], 3));
        assert_eq!(asking(hour, 2, 4), (vec![false, false, true, true], 3));
    }

    #[test]
    fn those_who_wait_for_the_same_name_share_its_answer() {
        for failing in [0, 1] {
            let names = Arc::new(Names {
                asked: AtomicUsize::new(0),
                failing,
            });
            let resolver = Arc::new(Resolver::new(Duration::ZERO));
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let ask = || {
                let (resolver, names) = (Arc::clone(&resolver), Arc::clone(&names));
                async move { resolver.resolve("name.example", &*names).await }
            };
            let results = runtime.block_on(async {
                let waiting = [0; 3].map(|_| tokio::spawn(ask()));
                let mut results = Vec::new();
                for answer in waiting {
                    results.push(answer.await.unwrap().is_ok());
                }
                results
            });
            assert_eq!(names.asked.load(Ordering::SeqCst), 1);
            assert_eq!(results, [failing == 0; 3]);
        }
    }
}
