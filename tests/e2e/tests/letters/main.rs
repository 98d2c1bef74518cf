//! Dead letters: they come back by themselves, in a trickle, or by a person's hand; and everything they went through can be read.

mod brakes;
mod crashes;
mod flood;
mod hands;
mod many;
mod rights;
mod rounds;
mod stage;
