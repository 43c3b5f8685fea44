//! `healthcheck`: asks the worker on this machine one of its probes.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};

use super::{ConfigFile, output};
use crate::telemetry::health::Probe;
use crate::telemetry::http;

/// A worker that does not answer in this time is not well.
const TIMEOUT: Duration = Duration::from_secs(3);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Can the process make progress?
    #[arg(long, conflicts_with = "ready")]
    live: bool,
    /// May it take work? The default.
    #[arg(long)]
    ready: bool,
    /// Where the worker listens, instead of http.listen of the configuration.
    #[arg(long, value_name = "IP:PORT")]
    address: Option<SocketAddr>,
}

pub(super) fn run(args: &Args, file: &ConfigFile) -> anyhow::Result<()> {
    let address = match args.address {
        Some(address) => address,
        None => file.load()?.http.listen,
    };
    let probe = if args.live { Probe::Live } else { Probe::Ready };
    let (status, answer) = http::ask(address, probe, TIMEOUT)
        .with_context(|| format!("no worker answers at {address}"))?;
    if status != 200 {
        bail!("not well: {answer}");
    }
    output::print(&answer)
}
