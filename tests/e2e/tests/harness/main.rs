//! The harness itself: a test bench that errs would acquit the guilty.

mod cluster;
mod load;
mod receiver;
mod standalone;
mod wire;
