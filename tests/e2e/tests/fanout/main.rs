//! Fan-out: who gets a published event, by pattern and by company, and who may say so.

mod companies;
mod model;
mod publishing;
mod stage;
