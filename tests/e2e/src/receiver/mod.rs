//! A real HTTP server on loopback that records what reaches it and behaves as it is told.
//!
//! It shares two cores with what is measured, so a request costs one read, one write, two uncontended locks and no
//! allocation. All of it runs on one thread of its own; a delayed answer holds up its own connection alone.
//!
//! - `http`: requests out of a buffer, answers into one       - `behaviour`: what may be done with a request
//! - `connection`: one connection                             - `listener`: the thread, and opening and closing
//! - `record`: what has been seen                             - `shared`: what is shared with the test's threads

mod behaviour;
mod connection;
mod http;
mod listener;
mod record;
mod shared;

use std::collections::HashMap;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, mpsc as std_mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use uuid::Uuid;

pub use behaviour::{Behaviour, Choice, DRIP_BYTES};
pub use http::Request;
pub use record::{Record, Recorded, Seen};
pub use shared::Observer;

use crate::port;
use listener::{Command, Order};
use shared::Shared;

/// A running receiver; it ends with this value.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    orders: mpsc::UnboundedSender<Order>,
    thread: Option<JoinHandle<()>>,
}

/// How a receiver is to be started.
#[derive(Default)]
pub struct Builder {
    port: u16,
    record: Record,
    behaviour: Behaviour,
    control: Option<(String, Choice)>,
    observer: Option<Observer>,
}

impl Builder {
    /// This port instead of a free one.
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// How much is kept of each request.
    pub fn record(mut self, record: Record) -> Self {
        self.record = record;
        self
    }

    /// What is done with requests from the start on.
    pub fn behaviour(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }

    /// Requests to paths that begin with `prefix` are answered by `choice` and recorded nowhere.
    pub fn control(
        mut self,
        prefix: &str,
        choice: impl Fn(&Request<'_>) -> Behaviour + Send + Sync + 'static,
    ) -> Self {
        self.control = Some((prefix.to_owned(), Arc::new(choice)));
        self
    }

    /// Shows every other request to `observer` before it is recorded.
    pub fn observe(mut self, observer: impl Fn(&Request<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Listens from now on.
    pub fn start(self) -> Receiver {
        let socket = match self.port {
            0 => port::bind_fresh(),
            port => port::bind_again(SocketAddr::from((Ipv4Addr::LOCALHOST, port))),
        };
        let socket =
            socket.unwrap_or_else(|error| panic!("cannot bind port {} for a receiver: {error}", self.port));
        let address = socket.local_addr().expect("a bound socket has an address");
        let shared = Arc::new(Shared::new(
            self.record,
            self.behaviour,
            self.control,
            self.observer,
        ));
        let (orders, inbox) = mpsc::unbounded_channel();
        let thread = Some(listener::spawn(socket, shared.clone(), inbox));
        let receiver = Receiver {
            address,
            shared,
            orders,
            thread,
        };
        // Carried out only once the thread listens, so that nobody is refused at first.
        receiver.order(Command::Listen);
        receiver
    }
}

impl Receiver {
    /// A receiver with choices to make before it starts.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A receiver on a free port that answers 200 and records ids.
    pub fn start() -> Self {
        Self::builder().start()
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// `http://127.0.0.1:PORT/hook`.
    pub fn url(&self) -> String {
        self.url_of("/hook")
    }

    /// The URL of a path, which begins with a slash.
    pub fn url_of(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What is done with the requests that are read from now on.
    pub fn behave(&self, behaviour: Behaviour) {
        self.shared.set_behaviour(behaviour);
    }

    /// Refuses new connections; open ones are served further.
    pub fn pause_listening(&self) {
        self.order(Command::Pause);
    }

    /// Refuses new connections and closes the open ones.
    pub fn stop(&self) {
        self.order(Command::Stop);
    }

    /// Listens again after [`Self::pause_listening`] or [`Self::stop`], on the port it had.
    pub fn restart_on_same_port(&self) {
        self.order(Command::Listen);
    }

    /// Forgets what it has seen; what is in flight stays in flight.
    pub fn reset(&self) {
        self.shared.reset();
    }

    /// Looks at everything seen so far. The receiver stands still meanwhile.
    pub fn look<T>(&self, look: impl FnOnce(&Seen) -> T) -> T {
        self.shared.look(look)
    }

    /// Requests that arrived.
    pub fn count(&self) -> usize {
        self.look(Seen::count)
    }

    /// Different ids that arrived.
    pub fn distinct(&self) -> usize {
        self.look(Seen::distinct)
    }

    /// Requests whose id had arrived before.
    pub fn duplicates(&self) -> usize {
        self.look(Seen::duplicates)
    }

    /// Requests read and not yet answered.
    pub fn in_flight(&self) -> usize {
        self.look(Seen::in_flight)
    }

    /// The most that were in flight at once since the last reset.
    pub fn max_in_flight(&self) -> usize {
        self.look(Seen::max_in_flight)
    }

    /// The ids in order of arrival, duplicates included; empty with [`Record::Counts`].
    pub fn ids(&self) -> Vec<Uuid> {
        self.look(|seen| seen.requests().iter().filter_map(|request| request.id).collect())
    }

    /// How often each id arrived; what [`crate::ledger::Ledger::check`] wants.
    pub fn per_id(&self) -> HashMap<Uuid, u32> {
        self.look(|seen| seen.per_id().clone())
    }

    /// The requests in order of arrival; empty with [`Record::Counts`].
    pub fn requests(&self) -> Vec<Recorded> {
        self.look(|seen| seen.requests().to_vec())
    }

    /// Waits until the condition holds, and panics with `what` and the counters when it does not in time.
    #[track_caller]
    pub fn wait_for(&self, what: &str, deadline: Duration, condition: impl FnMut(&Seen) -> bool) {
        if !self.wait_until(deadline, condition) {
            panic!("{what}: not within {deadline:?}; last seen: {self:?}");
        }
    }

    /// Waits until the condition holds; false when it does not in time.
    #[must_use]
    pub fn wait_until(&self, deadline: Duration, mut condition: impl FnMut(&Seen) -> bool) -> bool {
        self.shared.wait_until(deadline, &mut condition)
    }

    fn order(&self, command: Command) {
        let (done, answer) = std_mpsc::channel();
        self.orders
            .send((command, done))
            .expect("the receiver's thread has ended");
        answer.recv().expect("the receiver's thread has ended");
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.look(|seen| {
            f.debug_struct("Receiver")
                .field("port", &self.port())
                .field("count", &seen.count())
                .field("distinct", &seen.distinct())
                .field("duplicates", &seen.duplicates())
                .field("in_flight", &seen.in_flight())
                .field("max_in_flight", &seen.max_in_flight())
                .finish()
        })
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let (done, _) = std_mpsc::channel();
        let _ = self.orders.send((Command::End, done));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
