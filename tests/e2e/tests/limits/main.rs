//! Limits of agents and the record of what was decided: exact whoever calls, given back whatever becomes of a session, and kept
//! whatever becomes of a transaction.

mod breakers;
mod budgets;
mod days;
mod ends;
mod exact;
mod records;
mod rights;
mod room;
mod stage;
