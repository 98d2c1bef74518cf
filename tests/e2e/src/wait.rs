//! Waiting for a condition that only polling can see, such as the state of a table.

use std::fmt::Debug;
use std::thread;
use std::time::{Duration, Instant};

/// What one look at the world may return: `Some`/`Ok` ends the wait, `None`/`Err` goes on with it.
/// An `Err` carries what was seen, for the message of a wait that ends in vain.
pub trait Look {
    /// What the wait is for.
    type Value;
    /// The value, or a description of what was there instead.
    fn settle(self) -> Result<Self::Value, Option<String>>;
}

impl<T> Look for Option<T> {
    type Value = T;
    fn settle(self) -> Result<T, Option<String>> {
        self.ok_or(None)
    }
}

impl<T, E: Debug> Look for Result<T, E> {
    type Value = T;
    fn settle(self) -> Result<T, Option<String>> {
        self.map_err(|seen| Some(format!("{seen:?}")))
    }
}

/// Looks again and again until there is a value, and panics with `what`, the deadline and the last thing seen
/// when there is none in time.
#[track_caller]
pub fn eventually<L: Look>(what: &str, deadline: Duration, mut look: impl FnMut() -> L) -> L::Value {
    let end = Instant::now() + deadline;
    let mut backoff = Backoff::default();
    loop {
        // The clock is read before the look, so that a look that began in time counts however long it took.
        let late = Instant::now() >= end;
        match look().settle() {
            Ok(value) => return value,
            Err(seen) if late => match seen {
                Some(seen) => panic!("{what}: not within {deadline:?}; last seen: {seen}"),
                None => panic!("{what}: not within {deadline:?}"),
            },
            Err(_) => backoff.pause(),
        }
    }
}

/// `eventually` for the commonest question: does this become equal to that?
#[track_caller]
pub fn eventually_eq<T: PartialEq + Debug>(
    what: &str,
    deadline: Duration,
    expected: T,
    mut look: impl FnMut() -> T,
) {
    eventually(what, deadline, || {
        let seen = look();
        if seen == expected { Ok(()) } else { Err(seen) }
    });
}

/// Short pauses that grow from 1 ms to 50 ms: quick for what is nearly there, cheap for what takes long.
#[derive(Debug, Default)]
pub struct Backoff {
    rounds: u32,
}

impl Backoff {
    /// Sleeps for the next pause.
    pub fn pause(&mut self) {
        let pause = Duration::from_millis(1 << self.rounds.min(6)).min(Duration::from_millis(50));
        self.rounds += 1;
        thread::sleep(pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_ends_the_wait() {
        let mut looks = 0;
        let value = eventually("three looks", Duration::from_secs(5), || {
            looks += 1;
            (looks == 3).then_some(looks)
        });
        assert_eq!(value, 3);
    }

    #[test]
    #[should_panic(expected = "a seven: not within 20ms; last seen: 6")]
    fn a_wait_in_vain_names_what_it_saw() {
        eventually_eq("a seven", Duration::from_millis(20), 7, || 6);
    }
}
