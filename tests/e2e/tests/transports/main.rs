//! How events travel: what a receiver is sent, by which way, and what its answers mean.

#[path = "../common/authority.rs"]
mod authority;
mod envelopes;
mod looks;
mod notify;
mod realtime;
mod signatures;
mod slack;
mod supabase;
mod tls;
mod ways_out;
