//! See `tms_fuzz::path`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tms_fuzz::path::check(data);
});
