//! Tasks of agents: from submission to their end, under leases that fence, limits that hold, and policies that decide.

mod budgets;
mod confirm;
mod crashes;
mod fences;
mod letters;
mod life;
mod limits;
mod model;
mod push;
mod rights;
mod stage;
mod turns;
mod waiting;
