//! One place of a target on one I/O thread: a task that takes jobs one after the other over one connection, opened
//! when there is a job for it, kept while idle until its timeout, and gone with its connection.

use crate::completions::Outbox;
use crate::compress::gzip;
use crate::connect::Connector;
use crate::connection::{Connection, Limits, Trouble};
use crate::deadline::Deadline;
use crate::job::{Completion, Response};
use crate::proxy::refused_credentials;
use crate::reactor::Hub;
use crate::request::{Payload, Prepared};
use crate::stamp::stamp;
use crate::target::{Next, Queued, Target};
use http::{Request, StatusCode, header};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};
use tms_domain::failure::Failure;
use tokio::task::yield_now;
use tokio::time::Instant;

/// What all slots of a thread share.
pub(crate) struct Surroundings {
    pub(crate) thread: usize,
    pub(crate) hub: Arc<Hub>,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) limits: Limits,
    pub(crate) idle_timeout: Duration,
}

pub(crate) struct Slot {
    around: Arc<Surroundings>,
    target: Arc<Target>,
    number: u64,
    connection: Option<Connection>,
    /// Whether the connection was idle before the job at hand.
    rested: bool,
    /// Whether a byte of the job at hand may have left.
    sent: bool,
    deadline: Deadline,
}

impl Slot {
    pub(crate) fn new(around: Arc<Surroundings>, target: Arc<Target>, number: u64) -> Slot {
        let deadline = Deadline::new(Instant::now() + around.idle_timeout);
        Slot {
            around,
            target,
            number,
            connection: None,
            rested: false,
            sent: false,
            deadline,
        }
    }

    pub(crate) async fn run(mut self) {
        let watch = PanicWatch(Arc::clone(&self.around.outbox));
        while let Some(queued) = self.next().await {
            let completion = self.attempt(*queued).await;
            self.around.outbox.finish(completion);
        }
        drop(watch);
        // The connection is gone before its place is given to another.
        self.connection = None;
        let mut commands = self.around.hub.commands();
        self.target.left(&mut commands);
        self.around.hub.post(commands);
    }

    /// The next job; `None` when this slot is not needed.
    async fn next(&mut self) -> Option<Box<Queued>> {
        let mut parked = false;
        poll_fn(|cx| {
            loop {
                let origin = self.connection.as_ref().map(Connection::origin);
                let next = self
                    .target
                    .next(self.around.thread, self.number, parked, origin, cx.waker());
                if matches!(next, Next::Job(_)) {
                    self.around.outbox.begin();
                }
                if !parked {
                    // Only now is known whether this thread has more to do before it tells the owner.
                    self.around.outbox.settle();
                }
                match next {
                    Next::Job(queued) => {
                        self.rested = parked;
                        return Poll::Ready(Some(queued));
                    }
                    Next::Leave => return Poll::Ready(None),
                    Next::Wait if !parked => self.deadline.set(Instant::now() + self.around.idle_timeout),
                    Next::Wait => {}
                }
                parked = true;
                if self.poll_idle(cx) {
                    return Poll::Pending;
                }
                self.connection = None;
            }
        })
        .await
    }

    /// Whether the connection is worth waiting with.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> bool {
        self.connection
            .as_mut()
            .is_some_and(|connection| connection.poll_idle(cx))
            && self.deadline.poll(cx).is_pending()
    }

    async fn attempt(&mut self, mut queued: Queued) -> Completion {
        let started = SystemTime::now();
        let begun = Instant::now();
        self.deadline.set(begun + queued.prepared.timeout);
        self.sent = false;
        let result = self.send(&mut queued).await;
        Completion {
            key: queued.job.key,
            target: queued.job.target,
            result,
            duration: begun.elapsed(),
            started,
            sent: self.sent,
        }
    }

    async fn send(&mut self, queued: &mut Queued) -> Result<Response, Failure> {
        let prepared = Arc::clone(&queued.prepared);
        let id = queued.job.webhook_id;
        self.shrink(queued).await?;
        let mut connection = self
            .connection
            .take()
            .filter(|kept| *kept.origin() == *prepared.origin);
        let headers = connection
            .as_mut()
            .map(Connection::spare_headers)
            .unwrap_or_default();
        let request = prepared.request(&mut queued.job, headers);
        let mut request = match request {
            Ok(request) => request,
            Err(failure) => {
                self.connection = connection;
                return Err(failure);
            }
        };
        if let Some(connection) = connection {
            if self.rested {
                // Lets the runtime look at its sockets: if the receiver has closed this one meanwhile, that must be
                // known before the first byte is written, because afterwards nobody knows what the receiver saw.
                yield_now().await;
            }
            match self.exchange(connection, request, &prepared, id).await {
                // The receiver had closed the connection while it was idle; not a byte was written.
                Err(Trouble::Unsent(again)) => request = *again,
                outcome => return finish(outcome),
            }
        }
        let connection = self.open(&prepared).await?;
        finish(self.exchange(connection, request, &prepared, id).await)
    }

    /// Compresses the body of the job if its target wants that.
    async fn shrink(&self, queued: &mut Queued) -> Result<(), Failure> {
        if queued.prepared.is_large(&queued.job) {
            let job = &mut queued.job;
            job.body = gzip(std::mem::take(&mut job.body), self.deadline.due()).await?;
            job.headers
                .push((header::CONTENT_ENCODING.into(), "gzip".to_owned()));
        }
        Ok(())
    }

    async fn open(&self, prepared: &Prepared) -> Result<Connection, Failure> {
        self.around
            .connector
            .open(&prepared.origin, self.deadline.due())
            .await
    }

    /// One exchange; the connection is kept if it can be used again.
    async fn exchange(
        &mut self,
        mut connection: Connection,
        mut request: Request<Payload>,
        prepared: &Prepared,
        id: [u8; 16],
    ) -> Result<Response, Trouble> {
        stamp(&mut request, id, &prepared.signing_keys, self.deadline.due())
            .await
            .map_err(Trouble::Failed)?;
        let mut limits = self.around.limits;
        if prepared.keeps_success {
            limits.success = limits.excerpt;
        }
        let outcome = connection.exchange(request, &mut self.deadline, limits).await;
        self.sent = connection.has_written();
        let (response, reuse) = outcome?;
        self.connection = reuse.then_some(connection);
        if prepared.origin.is_read_by_proxy()
            && response.status == StatusCode::PROXY_AUTHENTICATION_REQUIRED.as_u16()
        {
            self.sent = false;
            return Err(Trouble::Failed(refused_credentials()));
        }
        Ok(response)
    }
}

fn finish(outcome: Result<Response, Trouble>) -> Result<Response, Failure> {
    outcome.map_err(|trouble| match trouble {
        Trouble::Unsent(_) => {
            Failure::Closed("the receiver closed the connection before the request was sent".into())
        }
        Trouble::Failed(failure) => failure,
    })
}

/// A runtime swallows the panic of a task. This one does not: its job would be in flight for ever.
struct PanicWatch(Arc<Outbox>);

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.mailbox().die();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::PanicWatch;
    use crate::completions::{Mailbox, Outbox};
    use std::sync::Arc;
    use std::time::Duration;

    #[test]
    fn a_panic_in_a_slot_is_noticed_and_an_end_is_not_one() {
        let mailbox = Arc::new(Mailbox::new().unwrap());
        let outbox = Arc::new(Outbox::new(Arc::clone(&mailbox), 1, Duration::ZERO));
        drop(PanicWatch(Arc::clone(&outbox)));
        assert!(mailbox.is_alive());
        let thread = std::thread::spawn(move || {
            let _watch = PanicWatch(outbox);
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        assert!(!mailbox.is_alive());
    }
}
