//! Arguments, one command, an exit code.

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("x");
    if std::env::args().any(|a| a == "bench") {
        let size = if std::env::args().any(|a| a == "quick") {
            conversion_outbox::bench::Size::QUICK
        } else {
            conversion_outbox::bench::Size::FULL
        };
        runtime
            .block_on(conversion_outbox::bench::run(size, |v| println!("{v}")))
            .unwrap();
        return;
    }
    let r = runtime.block_on(conversion_outbox::demo::play::play(
        conversion_outbox::demo::play::Ending {
            keep: std::env::args().any(|a| a == "--keep"),
            json: std::env::args().any(|a| a == "--json"),
        },
    ));
    match r {
        Ok(good) => println!("{good}"),
        Err(e) => println!("{e:#}"),
    }
}
