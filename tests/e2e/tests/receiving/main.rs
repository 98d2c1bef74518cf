//! Receiving webhooks: what is accepted, what a sender's mistakes are answered with, and that no message counts twice.

mod duplicates;
mod messages;
mod mistakes;
mod rights;
mod secrets;
mod stage;
