//! Names to addresses, by the system's resolver, remembered for a few seconds so that 32 connections ask once.

use crate::sync::lock;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tms_domain::failure::Failure;
use tokio::time::Instant;

const KEEP: Duration = Duration::from_secs(5);
/// A name that cannot be resolved may be repaired at any moment.
const KEEP_FAILURE: Duration = Duration::from_secs(1);
/// Above this, answers that are out of date are thrown away.
const TIDY_ABOVE: usize = 256;

type Answer = Result<Arc<[IpAddr]>, Failure>;
/// Locked while one task asks, so that the others wait for its answer.
type Entry = Arc<tokio::sync::Mutex<Option<(Answer, Instant)>>>;

#[derive(Default)]
pub(crate) struct Resolver {
    entries: Mutex<HashMap<String, Entry>>,
}

impl Resolver {
    pub(crate) async fn resolve(&self, host: &str) -> Answer {
        if let Ok(addr) = host.parse::<IpAddr>() {
            return Ok(Arc::from([addr]));
        }
        let entry = self.entry(host);
        let mut known = entry.lock().await;
        let now = Instant::now();
        if let Some((answer, until)) = known.as_ref()
            && now < *until
        {
            return answer.clone();
        }
        let answer = ask(host).await;
        let keep = if answer.is_ok() { KEEP } else { KEEP_FAILURE };
        *known = Some((answer.clone(), Instant::now() + keep));
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
                    known.as_ref().is_some_and(|(_, until)| now < *until)
                })
            });
        }
        Arc::clone(entries.entry(host.to_owned()).or_default())
    }
}

async fn ask(host: &str) -> Answer {
    // The port plays no part in the answer.
    let found = tokio::net::lookup_host((host, 0)).await.map_err(|error| {
        let text = error.to_string();
        // glibc says it twice: "failed to lookup address information: Name or service not known".
        Failure::Resolve(
            text.rsplit(": ")
                .next()
                .unwrap_or("the name server did not answer")
                .to_owned(),
        )
    })?;
    let mut addresses: Vec<IpAddr> = Vec::new();
    for addr in found.map(|socket| socket.ip()) {
        if !addresses.contains(&addr) {
            addresses.push(addr);
        }
    }
    if addresses.is_empty() {
        return Err(Failure::Resolve("the name has no address".into()));
    }
    Ok(addresses.into())
}
