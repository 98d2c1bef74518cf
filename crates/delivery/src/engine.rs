//! The owner's side. Nothing here blocks: the locks it takes are held for the time of a few moves.

use crate::completions::{Mailbox, Outbox};
use crate::config::{EngineConfig, LONGEST, TargetId, TargetSpec};
use crate::connect::Connector;
use crate::connection::Limits;
use crate::job::{Completion, Job};
use crate::network::System;
use crate::proxy::Proxy;
use crate::reactor::{Hub, Reactor, start_all};
use crate::request::Prepared;
use crate::resolve::Resolver;
use crate::slot::Surroundings;
use crate::sync::lock;
use crate::target::Target;
use crate::tls::Tls;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};
use tms_domain::failure::Failure;
use tms_domain::problem::Problem;

/// The running engine. Dropping it stops it.
pub struct Engine {
    hub: Arc<Hub>,
    mailbox: Arc<Mailbox>,
    proxy: Option<Arc<Proxy>>,
    targets: Mutex<HashMap<TargetId, Arc<Target>>>,
    reactors: Vec<Reactor>,
}

impl Engine {
    /// Starts the I/O threads, named `tms-io-0` and so on, with all signals blocked.
    ///
    /// # Errors
    /// A proxy that is not written as one, a file that cannot be read or does not hold what it should, or a system
    /// without room for another thread. The files are read here and not again.
    pub fn start(config: EngineConfig) -> Result<Engine, Problem> {
        let hub = Arc::new(Hub::new(config.threads.max(1)));
        let mailbox = Arc::new(Mailbox::new().map_err(no_room)?);
        let proxy = config.proxy.as_ref().map(Proxy::new).transpose()?.map(Arc::new);
        let connector = Arc::new(Connector {
            network: Box::new(System),
            resolver: Resolver::new(config.dns_cache.min(LONGEST)),
            proxy: proxy.clone(),
            tls: Tls::load(config.ca_file.as_deref(), config.client_certificate.as_ref())?,
            connect_timeout: config.connect_timeout.min(LONGEST),
        });
        let limits = Limits {
            success: 0,
            excerpt: config.response_body_limit,
            drain: config.drain_limit,
        };
        let surroundings = |thread| Surroundings {
            thread,
            hub: Arc::clone(&hub),
            outbox: Arc::new(Outbox::new(
                Arc::clone(&mailbox),
                config.completion_batch,
                config.completion_delay.min(LONGEST),
            )),
            connector: Arc::clone(&connector),
            limits,
            idle_timeout: config.idle_timeout.min(LONGEST),
        };
        let reactors = start_all((0..hub.threads()).map(surroundings).collect())
            .inspect_err(|_| hub.stop())
            .map_err(no_room)?;
        Ok(Engine {
            hub,
            mailbox,
            proxy,
            targets: Mutex::new(HashMap::new()),
            reactors,
        })
    }

    /// Creates the target, or replaces it for jobs submitted from now on: jobs that were submitted before are sent
    /// as the target was then. A spec that cannot be sent ends each of its jobs as [`Failure::InvalidRequest`].
    pub fn set_target(&self, id: TargetId, spec: TargetSpec) {
        let prepared = Arc::new(Prepared::new(&spec, self.proxy.as_deref()));
        let mut commands = self.hub.commands();
        let mut targets = lock(&self.targets);
        if let Some(target) = targets.get(&id) {
            target.replace(prepared, spec.max_concurrency, &mut commands);
        } else {
            let target = Target::new(id, prepared, spec.max_concurrency, self.hub.threads());
            targets.insert(id, Arc::new(target));
        }
        drop(targets);
        self.hub.post(commands);
    }

    /// Forgets the target. Returns the keys of its jobs that had not begun; those that had still complete.
    pub fn remove_target(&self, id: TargetId) -> Vec<u64> {
        let mut withdrawn = Vec::new();
        let removed = lock(&self.targets).remove(&id);
        if let Some(target) = removed {
            let mut commands = self.hub.commands();
            target.close(&mut withdrawn, &mut commands);
            self.hub.post(commands);
        }
        withdrawn
    }

    /// Hands over jobs. Those of one target are begun up to its concurrency at a time; its lanes take turns, and
    /// those of one lane are begun in the order given. Costs
    /// one wake-up per I/O thread that has a free place for them, none if all are busy. A job for an unknown target
    /// completes at once as [`Failure::InvalidRequest`].
    pub fn submit(&self, jobs: Vec<Job>) {
        let mut commands = self.hub.commands();
        let mut unknown = Vec::new();
        let mut jobs = jobs.into_iter().peekable();
        let targets = lock(&self.targets);
        while let Some(first) = jobs.peek() {
            match targets.get(&first.target) {
                Some(target) => target.enqueue(&mut jobs, &mut commands),
                None => unknown.extend(jobs.next().map(|job| unknown_target(&job))),
            }
        }
        drop(targets);
        self.hub.post(commands);
        self.mailbox.deliver(&mut unknown);
    }

    /// Moves all outcomes into `into`, and lowers the event.
    pub fn drain(&self, into: &mut Vec<Completion>) {
        self.mailbox.drain(into);
    }

    /// Readable while there is something to drain, and for ever once the engine is dead.
    pub fn event_fd(&self) -> RawFd {
        self.mailbox.fd()
    }

    /// Lowers the event unless something waits. [`Engine::drain`] does it too: never needed, never harmful.
    pub fn clear_event(&self) {
        self.mailbox.clear();
    }

    /// Takes back the jobs, of one target or of all, whose attempt has not begun, and returns their keys; they have
    /// no completion. For pause and for a graceful stop.
    pub fn withdraw(&self, target: Option<TargetId>) -> Vec<u64> {
        let mut keys = Vec::new();
        let targets = lock(&self.targets);
        match target {
            Some(id) => {
                if let Some(target) = targets.get(&id) {
                    target.withdraw(&mut keys);
                }
            }
            None => targets.values().for_each(|target| target.withdraw(&mut keys)),
        }
        keys
    }

    /// False once an I/O thread or a task has panicked: outcomes may be missing, the owner should end.
    pub fn is_alive(&self) -> bool {
        self.mailbox.is_alive()
    }

    /// Stops the threads and waits for them, two seconds each at the very most. Requests on the wire are cut off,
    /// and jobs without an outcome have none.
    pub fn shutdown(self) {}
}

/// The same descriptor as [`Engine::event_fd`], for callers that poll without unsafe code.
impl AsFd for Engine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.mailbox.borrowed_fd()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.hub.stop();
        self.reactors.drain(..).for_each(Reactor::join);
    }
}

fn unknown_target(job: &Job) -> Completion {
    Completion {
        key: job.key,
        target: job.target,
        result: Err(Failure::InvalidRequest(
            "the engine does not know the target".into(),
        )),
        duration: Duration::ZERO,
        started: SystemTime::now(),
        sent: false,
    }
}

fn no_room(error: io::Error) -> Problem {
    Problem::new(format!("the engine's threads could not be started: {error}"))
        .detail("It needs a thread and a few file descriptors for each I/O thread.")
        .hint("Look at the limits on processes and open files of the server's user.")
}

#[cfg(test)]
mod tests {
    use super::Engine;
    use crate::config::EngineConfig;
    use crate::reactor::Command;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;
    use std::sync::Arc;
    use std::task::{Wake, Waker};

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("on purpose");
        }
    }

    #[test]
    fn a_panic_in_an_io_thread_is_noticed() {
        let engine = Engine::start(EngineConfig {
            threads: 2,
            ..EngineConfig::default()
        })
        .unwrap();
        let mut commands = engine.hub.commands();
        commands[1].push(Command::Wake(Waker::from(Arc::new(Panics))));
        engine.hub.post(commands);
        let within = PollTimeout::from(20_000u16);
        assert_eq!(
            poll(&mut [PollFd::new(engine.as_fd(), PollFlags::POLLIN)], within),
            Ok(1)
        );
        assert!(!engine.is_alive());
        engine.shutdown();
    }
}
