//! See `tms_fuzz::url`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    tms_fuzz::url::check(data);
});
