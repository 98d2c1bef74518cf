//! One I/O thread: a single-threaded runtime, an inbox through which the owner and other threads reach it with one
//! wake-up per batch, and an end that is noticed.

use crate::os;
use crate::slot::{Slot, Surroundings};
use crate::sync::lock;
use crate::target::{Commands, Target};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::Notify;

/// Threads for name resolution at most; one name that hangs holds one of them.
const BLOCKING_THREADS: usize = 64;
/// After the stop is rung, a thread only finishes the step it is in.
const JOIN_WITHIN: Duration = Duration::from_secs(2);

/// What an I/O thread is asked to do.
pub(crate) enum Command {
    /// Wake a parked slot. Done on its own thread it costs no system call.
    Wake(Waker),
    /// Open the slot of that number for the target.
    Open(Arc<Target>, u64),
}

#[derive(Default)]
struct Inbox {
    commands: Mutex<Vec<Command>>,
    bell: Notify,
}

/// The inboxes of all threads.
pub(crate) struct Hub {
    inboxes: Vec<Inbox>,
    stop: AtomicBool,
}

impl Hub {
    pub(crate) fn new(threads: usize) -> Hub {
        Hub {
            inboxes: (0..threads).map(|_| Inbox::default()).collect(),
            stop: AtomicBool::new(false),
        }
    }

    pub(crate) fn threads(&self) -> usize {
        self.inboxes.len()
    }

    pub(crate) fn commands(&self) -> Commands {
        self.inboxes.iter().map(|_| Vec::new()).collect()
    }

    /// At most one wake-up per thread, none for a thread without commands.
    pub(crate) fn post(&self, commands: Commands) {
        for (inbox, mut commands) in self.inboxes.iter().zip(commands) {
            if !commands.is_empty() {
                lock(&inbox.commands).append(&mut commands);
                inbox.bell.notify_one();
            }
        }
    }

    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
        for inbox in &self.inboxes {
            inbox.bell.notify_one();
        }
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }
}

/// A running I/O thread.
pub(crate) struct Reactor {
    handle: JoinHandle<()>,
    ended: mpsc::Receiver<()>,
}

impl Reactor {
    /// Must be called with all signals blocked: every thread the runtime makes inherits the mask.
    pub(crate) fn start(around: Surroundings) -> io::Result<Reactor> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_THREADS)
            .thread_name(format!("tms-resolve-{}", around.thread))
            .build()?;
        let (alive, ended) = mpsc::channel();
        let name = format!("tms-io-{}", around.thread);
        let handle = std::thread::Builder::new().name(name).spawn(move || {
            run(runtime, around);
            drop(alive);
        })?;
        Ok(Reactor { handle, ended })
    }

    /// Waits for the end, but not for ever: a thread that does not end in time is left alone.
    pub(crate) fn join(self) {
        if self.ended.recv_timeout(JOIN_WITHIN) == Err(mpsc::RecvTimeoutError::Disconnected) {
            // It has nothing left to do; a panic was caught before.
            let _ = self.handle.join();
        }
    }
}

/// The life of the thread. Whatever ends it other than a stop marks the engine as dead.
fn run(runtime: Runtime, around: Surroundings) {
    let around = Arc::new(around);
    let hub = Arc::clone(&around.hub);
    let outbox = Arc::clone(&around.outbox);
    let life = catch_unwind(AssertUnwindSafe(|| runtime.block_on(serve(around))));
    if life.is_err() || !hub.stopped() {
        outbox.mailbox().die();
    }
    // A resolver that hangs must not hold up the end.
    runtime.shutdown_background();
}

async fn serve(around: Arc<Surroundings>) {
    let hub = Arc::clone(&around.hub);
    let Some(inbox) = hub.inboxes.get(around.thread) else {
        return;
    };
    tokio::spawn(Arc::clone(&around.outbox).signal_late());
    let mut commands = Vec::new();
    while !hub.stopped() {
        inbox.bell.notified().await;
        commands.append(&mut lock(&inbox.commands));
        for command in commands.drain(..) {
            match command {
                Command::Wake(waker) => waker.wake(),
                Command::Open(target, number) => {
                    tokio::spawn(Slot::new(Arc::clone(&around), target, number).run());
                }
            }
        }
    }
}

/// Starts one thread per surroundings, all signals blocked.
pub(crate) fn start_all(all: Vec<Surroundings>) -> io::Result<Vec<Reactor>> {
    os::with_signals_blocked(|| all.into_iter().map(Reactor::start).collect())?
}
