//! Any JSON object as the columns of a row.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    if let Ok(columns) = serde_json::from_slice(data) {
        conversion_outbox::fuzz::row(&columns);
    }
});
