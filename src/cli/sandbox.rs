//! `demo`, `sandbox` and `bench`: the commands that need no platform, no account and no network. Not in a released image.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context;

use super::output;
use super::signals::Signals;
use crate::bench::Size;
use crate::demo::play::{self, Ending};
use crate::sandbox::{self, MetaMode, Options};

/// `demo`
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// Leave everything running afterwards, until Ctrl-C.
    #[arg(long)]
    keep: bool,
    /// Print the summary as one JSON object.
    #[arg(long)]
    json: bool,
}

/// `sandbox`
#[derive(Debug, clap::Args)]
pub(super) struct SandboxArgs {
    /// Where to listen; a loopback address.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8890")]
    listen: SocketAddr,
    /// Take website events without a user agent, as Meta was seen to, though its documentation asks for one.
    #[arg(long)]
    meta_observed: bool,
}

/// `bench`
#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// Print one JSON object a line and nothing else on standard output.
    #[arg(long)]
    json: bool,
    /// A tenth of the work.
    #[arg(long)]
    quick: bool,
}

/// `torture`
#[derive(Debug, clap::Args)]
pub(super) struct TortureArgs {
    /// Stories and faults follow from it: the same seed, the same plan.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long faults strike; healing and checking come on top.
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(5..=86_400))]
    seconds: u64,
    /// Worker processes.
    #[arg(long, value_name = "W", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=16))]
    workers: u8,
    /// Print `{"seed", "seconds", "workers", "took_seconds", "events", "rolled_back", "withdrawn", "heard_of", "counted",
    /// "explained_repeats", "deliveries": {state: n}, "arrivals": {verdict: n}, "faults": {kind: n}, "violations":
    /// [{"invariant", "event_id", "destination", "what", "history"}]}`.
    #[arg(long)]
    json: bool,
}

pub(super) async fn torture(args: TortureArgs) -> anyhow::Result<()> {
    let options = crate::torture::Options {
        seed: args.seed,
        length: Duration::from_secs(args.seconds),
        workers: args.workers.into(),
        program: std::env::current_exe().context("this program cannot be found")?,
    };
    let mut signals = Signals::listen().context("signals cannot be received")?;
    let report = tokio::select! {
        report = crate::torture::run(&options) => report?,
        // Processes, server and folder go with what is dropped.
        () = signals.next() => anyhow::bail!("stopped before the end"),
    };
    match args.json {
        true => output::print_json(&report.json)?,
        false => output::print(&report.readable())?,
    }
    anyhow::ensure!(report.is_clean, "a promise was broken: see above");
    Ok(())
}

pub(super) async fn demo(args: DemoArgs) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("signals cannot be received")?;
    let ending = Ending {
        keep: args.keep,
        json: args.json,
    };
    let is_clean = play::play(ending, signals.next()).await?;
    anyhow::ensure!(
        is_clean,
        "a conversion was lost, counted twice, leaked or counted at a wrong value: see above"
    );
    Ok(())
}

pub(super) async fn serve(args: SandboxArgs) -> anyhow::Result<()> {
    let options = Options {
        bind: args.listen,
        meta_mode: if args.meta_observed {
            MetaMode::Observed
        } else {
            MetaMode::Docs
        },
        ..Options::default()
    };
    let started = |address: SocketAddr| {
        eprintln!(
            "sandbox on http://{address}/  (the platforms and the page of what arrived; Ctrl-C ends it)"
        );
    };
    let mut signals = Signals::listen().context("signals cannot be received")?;
    sandbox::serve(options, started, async move { signals.next().await })
        .await
        .context("the sandbox could not run")
}

pub(super) async fn bench(args: BenchArgs) -> anyhow::Result<()> {
    let size = if args.quick { Size::QUICK } else { Size::FULL };
    let mut printed = Ok(());
    crate::bench::run(size, |result| {
        let line = if args.json {
            result.to_string()
        } else {
            format!("{result:#}")
        };
        if let Err(error) = output::print(&line) {
            printed = Err(error);
        }
    })
    .await?;
    printed
}
