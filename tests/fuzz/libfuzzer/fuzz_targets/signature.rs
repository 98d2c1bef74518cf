//! See `tms_fuzz::signature`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tms_fuzz::signature::check(data);
});
