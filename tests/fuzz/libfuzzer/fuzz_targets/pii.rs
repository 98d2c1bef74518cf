//! See `tms_fuzz::pii`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tms_fuzz::pii::check(data);
});
