//! Arguments, one command, an exit code.

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("x");
    let r = runtime.block_on(conversion_outbox::demo::play::play(
        conversion_outbox::demo::play::Ending {
            keep: false,
            json: std::env::args().any(|a| a == "--json"),
        },
    ));
    match r {
        Ok(good) => println!("{good}"),
        Err(e) => println!("{e:#}"),
    }
}
