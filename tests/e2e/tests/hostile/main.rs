//! Receivers that do what receivers should not, as targets of a real database beside one that is well.
//!
//! - `stage`: a server, the good target under steady load - `cases`: the misbehaviours and what each must come to
//! - `outcomes`, `neighbours`, `memory`: what is shown of them

mod cases;
mod memory;
mod neighbours;
mod outcomes;
mod stage;
