//! See `tms_fuzz::address`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tms_fuzz::address::check(data);
});
