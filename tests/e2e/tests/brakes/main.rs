//! What keeps a target from being sent more, and what people see of it.

mod breaker;
mod companies;
mod looks;
mod n8n;
mod rate;
mod status;
mod unanswered;
