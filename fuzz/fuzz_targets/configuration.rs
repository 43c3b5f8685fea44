//! Any text as a configuration.
#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| {
    conversion_outbox::fuzz::configuration(text);
});
