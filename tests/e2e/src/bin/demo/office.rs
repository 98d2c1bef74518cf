//! The receiver's office: a real HTTP server whose mood the acts change, and the book of what it accepted.
//!
//! A request counts as accepted when the answer is 200, because that alone tells the sender that it may stop trying.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tms_e2e::latency::{self, Latencies, Summary};
use tms_e2e::receiver::{Behaviour, Receiver, Record, Request};
use uuid::Uuid;

/// How requests to `/n8n` are answered. Other paths have one answer for ever: see [`fixed_answer`].
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// 200 at once.
    Fine,
    /// 200 after this time, so that requests are on the wire when something happens.
    Slow(Duration),
    /// 503.
    Failing,
}

/// An event as it came in, while somebody traces.
#[derive(Clone)]
pub struct Arrival {
    pub event_type: String,
    pub after: Duration,
}

struct Book {
    mood: Mood,
    accepted: HashMap<Uuid, u32>,
    last_accepted: Option<Instant>,
    unavailable: u64,
    latencies: Latencies,
    trace: Vec<Arrival>,
    tracing: bool,
}

/// The receiver and its book.
pub struct Office {
    receiver: Receiver,
    book: Arc<Mutex<Book>>,
}

impl Office {
    pub fn open() -> Self {
        let book = Arc::new(Mutex::new(Book {
            mood: Mood::Fine,
            accepted: HashMap::new(),
            last_accepted: None,
            unavailable: 0,
            latencies: Latencies::default(),
            trace: Vec::new(),
            tracing: false,
        }));
        let clerk = book.clone();
        let receiver = Receiver::builder()
            .record(Record::Counts)
            .behaviour(Behaviour::choose(move |request| answer(&clerk, request)))
            .start();
        Self { receiver, book }
    }

    pub fn port(&self) -> u16 {
        self.receiver.port()
    }

    pub fn url_of(&self, path: &str) -> String {
        self.receiver.url_of(path)
    }

    pub fn set_mood(&self, mood: Mood) {
        lock(&self.book).mood = mood;
    }

    /// Closes every connection and refuses new ones.
    pub fn refuse_connections(&self) {
        self.receiver.stop();
    }

    /// Listens again, in a good mood.
    pub fn recover(&self) {
        self.set_mood(Mood::Fine);
        self.receiver.restart_on_same_port();
    }

    /// Different events that were accepted so far.
    pub fn accepted(&self) -> u64 {
        lock(&self.book).accepted.len() as u64
    }

    pub fn accepted_ids(&self) -> HashSet<Uuid> {
        lock(&self.book).accepted.keys().copied().collect()
    }

    /// Requests that were accepted although their event had been before.
    pub fn duplicates(&self) -> u64 {
        let book = lock(&self.book);
        book.accepted.values().map(|&times| u64::from(times) - 1).sum()
    }

    /// Requests that were answered 503.
    pub fn unavailable(&self) -> u64 {
        lock(&self.book).unavailable
    }

    pub fn in_flight(&self) -> usize {
        self.receiver.in_flight()
    }

    /// When the last new event was accepted.
    pub fn last_accepted(&self) -> Option<Instant> {
        lock(&self.book).last_accepted
    }

    /// Measures latencies from now on.
    pub fn measure_afresh(&self) {
        lock(&self.book).latencies.reset();
    }

    pub fn latencies(&self) -> Option<Summary> {
        lock(&self.book).latencies.summary()
    }

    /// Begins or ends to note each event by itself.
    pub fn trace(&self, on: bool) {
        lock(&self.book).tracing = on;
    }

    /// The events noted since the last call.
    pub fn take_trace(&self) -> Vec<Arrival> {
        std::mem::take(&mut lock(&self.book).trace)
    }

    pub fn trace_len(&self) -> usize {
        lock(&self.book).trace.len()
    }
}

/// What is always answered: by customs that an event is wrong, by billing that it is broken.
pub fn fixed_answer(path: &str) -> Option<Behaviour> {
    let (status, body) = match path {
        "/customs" => (400, r#"{"error": "unknown commodity code"}"#),
        "/billing" => (500, r#"{"error": "disk full"}"#),
        _ => return None,
    };
    Some(Behaviour::Status(
        status,
        vec![("content-type".into(), "application/json".into())],
        body.into(),
    ))
}

fn answer(book: &Mutex<Book>, request: &Request<'_>) -> Behaviour {
    if let Some(fixed) = fixed_answer(request.path) {
        return fixed;
    }
    let after = latency::sent_at(request.body).map(|sent| latency::unix_micros(request.at) - sent);
    let mut book = lock(book);
    let behaviour = match book.mood {
        Mood::Fine => Behaviour::Ok,
        Mood::Slow(time) => Behaviour::Delay(time),
        Mood::Failing => {
            book.unavailable += 1;
            return Behaviour::status(503);
        }
    };
    book.accept(request, after);
    behaviour
}

impl Book {
    fn accept(&mut self, request: &Request<'_>, after: Option<i64>) {
        let Some(id) = request.id else { return };
        let times = self.accepted.entry(id).or_default();
        *times += 1;
        if *times > 1 {
            return;
        }
        self.last_accepted = Some(Instant::now());
        let Some(after) = after else { return };
        self.latencies.record(after);
        if self.tracing {
            self.trace.push(Arrival {
                event_type: request.header("tms-event-type").unwrap_or("?").to_owned(),
                after: Duration::from_micros(after.max(0) as u64),
            });
        }
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}
