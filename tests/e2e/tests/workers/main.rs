//! Stories of the workers: what wakes them, whom they give way to, what they survive, and what they say of it.

mod databases;
mod dispatch;
mod extension;
mod idle;
mod locks;
mod names;
mod prepared;
mod retention;
mod settings;
mod slots;
mod stage;
mod standby;
mod surroundings;
mod targets;
mod vandalism;
mod versions;
mod waking;
mod waking_by_hand;
