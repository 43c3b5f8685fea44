//! A short torture run with a fixed seed; `conversion-outbox torture` runs longer ones.

use std::time::Duration;

use conversion_outbox::torture::{self, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_run_keeps_every_promise() {
    let options = Options {
        seed: 42,
        length: Duration::from_secs(12),
        workers: 3,
        program: env!("CARGO_BIN_EXE_conversion-outbox").into(),
    };
    let report = torture::run(&options).await.expect("the stage stands");
    assert!(report.is_clean, "{}", report.readable());
    let count = |key: &str| report.json[key].as_u64().unwrap_or_default();
    assert!(
        count("events") > 50 && count("counted") > 100,
        "{}",
        report.readable()
    );
}
