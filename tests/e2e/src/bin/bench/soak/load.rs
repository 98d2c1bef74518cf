//! Producers that keep to a rate, whatever the server does: one that is slow does not get an easier load.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use postgres::{Config, NoTls};

use crate::ground::TARGET;

const SESSIONS: u32 = 4;
const BATCH: i32 = 10;
const ENQUEUE: &str = "SELECT tms_enqueue('load.status', jsonb_build_object('load', n, 't', \
     (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), $1) FROM generate_series(1, $2) AS n";

pub struct Load {
    stop: Arc<AtomicBool>,
    sessions: Vec<JoinHandle<()>>,
}

impl Load {
    /// So many events a second from now on.
    pub fn start(config: &Config, rate: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let began = Instant::now();
        let sessions = (0..SESSIONS)
            .map(|number| {
                let (config, stop) = (config.clone(), stop.clone());
                thread::spawn(move || session(&config, rate, number, began, &stop))
            })
            .collect();
        Self { stop, sessions }
    }

    /// Ends it; panics if a producer did.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for session in self.sessions {
            session.join().expect("a producer");
        }
    }
}

fn session(config: &Config, rate: u32, number: u32, began: Instant, stop: &AtomicBool) {
    let mut client = config.connect(NoTls).expect("a producer's session");
    let enqueue = client.prepare(ENQUEUE).expect("tms_enqueue");
    let interval = Duration::from_secs(1) * BATCH.unsigned_abs() / rate;
    let mut turn = number;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep((began + interval * turn).saturating_duration_since(Instant::now()));
        client.execute(&enqueue, &[&TARGET, &BATCH]).expect("tms_enqueue");
        turn += SESSIONS;
    }
}
