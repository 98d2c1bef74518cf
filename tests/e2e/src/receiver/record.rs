//! What a receiver has seen.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use uuid::Uuid;

use super::http::Request;

/// How much is kept of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Record {
    /// Counters and how often each id came; no list. For long runs.
    Counts,
    /// A list in order of arrival, with id, time and path.
    #[default]
    Ids,
    /// The same with headers and body.
    Full,
}

/// One request, as it was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The header `webhook-id`, if it is there and a UUID.
    pub id: Option<Uuid>,
    /// When it had been read, for differences.
    pub at: Instant,
    /// When it had been read, by the clock.
    pub wall: SystemTime,
    /// Path and query.
    pub path: Arc<str>,
    /// Method, with [`Record::Full`]; empty otherwise.
    pub method: String,
    /// Names in lower case and values, with [`Record::Full`].
    pub headers: Vec<(String, String)>,
    /// The body, with [`Record::Full`].
    pub body: Vec<u8>,
}

impl Recorded {
    /// The first header of that (lower case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
    }

    /// The body as JSON; Null when it is none.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Everything a receiver has seen so far; what [`super::Receiver::wait_for`] looks at.
#[derive(Debug, Default)]
pub struct Seen {
    record: Record,
    requests: Vec<Recorded>,
    per_id: HashMap<Uuid, u32>,
    /// The last path, because it is nearly always the next one too.
    path: Option<Arc<str>>,
    count: usize,
    with_id: usize,
    bytes: u64,
    in_flight: usize,
    max_in_flight: usize,
}

impl Seen {
    pub(super) fn new(record: Record) -> Self {
        Self {
            record,
            ..Self::default()
        }
    }

    /// Notes the arrival of a request and returns how often its id has come by now.
    pub(super) fn arrived(&mut self, request: &Request<'_>) -> u32 {
        self.count += 1;
        self.bytes += request.body.len() as u64;
        self.in_flight += 1;
        self.max_in_flight = self.max_in_flight.max(self.in_flight);
        let attempt = request.id.map_or(0, |id| {
            self.with_id += 1;
            let times = self.per_id.entry(id).or_default();
            *times += 1;
            *times
        });
        if self.record != Record::Counts {
            let recorded = self.recorded(request);
            self.requests.push(recorded);
        }
        attempt
    }

    pub(super) fn answered(&mut self, requests: usize) {
        self.in_flight -= requests;
    }

    pub(super) fn reset(&mut self) {
        *self = Self {
            record: self.record,
            in_flight: self.in_flight,
            max_in_flight: self.in_flight,
            ..Self::default()
        };
    }

    fn recorded(&mut self, request: &Request<'_>) -> Recorded {
        let path = match &self.path {
            Some(last) if **last == *request.path => last.clone(),
            _ => self.path.insert(request.path.into()).clone(),
        };
        let (method, headers, body) = match self.record {
            Record::Full => (
                request.method.to_owned(),
                own(request.headers),
                request.body.to_vec(),
            ),
            Record::Ids | Record::Counts => Default::default(),
        };
        Recorded {
            id: request.id,
            at: Instant::now(),
            wall: request.at,
            path,
            method,
            headers,
            body,
        }
    }

    /// Requests that arrived.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Different ids that arrived.
    pub fn distinct(&self) -> usize {
        self.per_id.len()
    }

    /// Requests whose id had arrived before.
    pub fn duplicates(&self) -> usize {
        self.with_id - self.per_id.len()
    }

    /// Bytes of body that arrived.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Requests read and not yet answered.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// The most that were ever in flight at once, since the last reset.
    pub fn max_in_flight(&self) -> usize {
        self.max_in_flight
    }

    /// How often this id has arrived.
    pub fn times(&self, id: Uuid) -> u32 {
        self.per_id.get(&id).copied().unwrap_or(0)
    }

    /// How often each id has arrived.
    pub fn per_id(&self) -> &HashMap<Uuid, u32> {
        &self.per_id
    }

    /// The requests in order of arrival; empty with [`Record::Counts`].
    pub fn requests(&self) -> &[Recorded] {
        &self.requests
    }
}

fn own(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers
        .iter()
        .map(|header| (header.name.to_ascii_lowercase(), text(header.value)))
        .collect()
}
