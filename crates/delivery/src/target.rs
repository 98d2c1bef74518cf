//! The queue of one target and the places its connections may take, shared by the owner and all I/O threads.
//!
//! Every decision is taken under one short lock: who gets a job, who may open a connection, who leaves. So the
//! number of connections cannot exceed the limit, and no job can wait while a place is free.

use crate::job::Job;
use crate::lanes::Lanes;
use crate::reactor::Command;
use crate::request::{Origin, Prepared};
use crate::sync::lock;
use std::sync::{Arc, Mutex};
use std::task::Waker;

/// A job with the version of the target it was submitted under.
pub(crate) struct Queued {
    pub(crate) job: Job,
    pub(crate) prepared: Arc<Prepared>,
}

pub(crate) struct Target {
    id: u32,
    state: Mutex<State>,
}

struct State {
    prepared: Arc<Prepared>,
    queue: Lanes<Queued>,
    shares: Vec<Share>,
    last_slot: u64,
}

/// What one I/O thread may do for this target.
#[derive(Default)]
struct Share {
    limit: usize,
    live: usize,
    /// Slots that wait for a job, with their numbers; the one that worked last is woken first, so that connections
    /// that are not needed reach their idle timeout.
    parked: Vec<(u64, Waker)>,
}

/// What a slot that asks for work is told.
pub(crate) enum Next {
    Job(Box<Queued>),
    /// Nothing to do: it has been parked and will be woken.
    Wait,
    /// There are more slots than there may be, or nothing to do and no connection worth keeping.
    Leave,
}

/// Commands for each I/O thread, by its number.
pub(crate) type Commands = Vec<Vec<Command>>;

impl Target {
    pub(crate) fn new(id: u32, prepared: Arc<Prepared>, max_concurrency: usize, threads: usize) -> Target {
        let mut state = State {
            prepared,
            queue: Lanes::new(),
            shares: (0..threads).map(|_| Share::default()).collect(),
            last_slot: 0,
        };
        state.divide(id, max_concurrency);
        Target {
            id,
            state: Mutex::new(state),
        }
    }

    /// Jobs submitted from now on go by `prepared`. Parked slots are woken to see whether their connection still
    /// leads where it should.
    pub(crate) fn replace(
        self: &Arc<Self>,
        prepared: Arc<Prepared>,
        max_concurrency: usize,
        commands: &mut Commands,
    ) {
        let mut state = lock(&self.state);
        state.prepared = prepared;
        state.divide(self.id, max_concurrency);
        state.wake_all(commands);
        self.provide(&mut state, commands);
    }

    /// Nothing is begun any more; slots leave when they are done.
    pub(crate) fn close(&self, withdrawn: &mut Vec<u64>, commands: &mut Commands) {
        let mut state = lock(&self.state);
        withdrawn.extend(state.queue.drain().map(|queued| queued.job.key));
        for share in &mut state.shares {
            share.limit = 0;
        }
        state.wake_all(commands);
    }

    /// Takes the jobs of this target from the front of `jobs`.
    pub(crate) fn enqueue(
        self: &Arc<Self>,
        jobs: &mut std::iter::Peekable<std::vec::IntoIter<Job>>,
        commands: &mut Commands,
    ) {
        let mut state = lock(&self.state);
        while let Some(job) = jobs.next_if(|job| job.target == self.id) {
            let prepared = Arc::clone(&state.prepared);
            state.queue.push(job.lane, Queued { job, prepared });
        }
        self.provide(&mut state, commands);
    }

    pub(crate) fn withdraw(&self, into: &mut Vec<u64>) {
        into.extend(lock(&self.state).queue.drain().map(|queued| queued.job.key));
    }

    /// What `slot` of `thread` does next. `connected` is where its connection leads, if it has one; `parked` says
    /// that it was told to wait before.
    pub(crate) fn next(
        &self,
        thread: usize,
        slot: u64,
        parked: bool,
        connected: Option<&Origin>,
        waker: &Waker,
    ) -> Next {
        let mut guard = lock(&self.state);
        let state = &mut *guard;
        let Some(share) = state.shares.get_mut(thread) else {
            return Next::Leave;
        };
        let place = if parked {
            share.parked.iter().position(|(number, _)| *number == slot)
        } else {
            None
        };
        let leads_on = connected.is_some_and(|origin| *origin == *state.prepared.origin);
        if share.live <= share.limit {
            if let Some(queued) = state.queue.pop() {
                place.map(|at| share.parked.remove(at));
                return Next::Job(Box::new(queued));
            }
            if leads_on {
                match place {
                    Some(at) => share.parked[at].1.clone_from(waker),
                    None => share.parked.push((slot, waker.clone())),
                }
                return Next::Wait;
            }
        }
        place.map(|at| share.parked.remove(at));
        share.live -= 1;
        Next::Leave
    }

    /// After a slot has left: others may be needed in its place.
    pub(crate) fn left(self: &Arc<Self>, commands: &mut Commands) {
        self.provide(&mut lock(&self.state), commands);
    }

    /// Wakes parked slots, then opens new ones, as many as there are jobs. One too many finds nothing and leaves.
    fn provide(self: &Arc<Self>, state: &mut State, commands: &mut Commands) {
        let mut wanted = state.queue.len();
        for (thread, share) in state.shares.iter_mut().enumerate() {
            while wanted > 0
                && let Some((_, waker)) = share.parked.pop()
            {
                commands[thread].push(Command::Wake(waker));
                wanted -= 1;
            }
        }
        while wanted > 0 {
            let free = state
                .shares
                .iter_mut()
                .enumerate()
                .filter(|(_, share)| share.live < share.limit);
            let Some((thread, share)) = free.min_by_key(|(_, share)| share.live) else {
                return;
            };
            share.live += 1;
            state.last_slot += 1;
            commands[thread].push(Command::Open(Arc::clone(self), state.last_slot));
            wanted -= 1;
        }
    }
}

impl State {
    /// Splits the connections over the threads. Where the remainder goes depends on the target, so that targets
    /// with one connection do not all sit on the same thread.
    fn divide(&mut self, id: u32, max_concurrency: usize) {
        let threads = self.shares.len();
        let total = max_concurrency.max(1);
        for (thread, share) in self.shares.iter_mut().enumerate() {
            let turn = (thread + threads - id as usize % threads) % threads;
            share.limit = total / threads + usize::from(turn < total % threads);
        }
    }

    fn wake_all(&mut self, commands: &mut Commands) {
        for (thread, share) in self.shares.iter_mut().enumerate() {
            commands[thread].extend(share.parked.drain(..).map(|(_, waker)| Command::Wake(waker)));
        }
    }
}
