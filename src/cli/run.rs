//! `run`: sets the worker up in order (telemetry, database, schema, listener), lets it work, and takes it down again.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use anyhow::{Context, bail};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::signals::Signals;
use crate::admin;
use crate::config::admin::AdminConfig;
use crate::config::{self, Config};
use crate::db::connect::Database;
use crate::db::migrate;
use crate::serve;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::{LogStream, Telemetry, http};
use crate::worker::clock::Clock;
use crate::worker::{self, Worker};

/// The event names of the documentation: with those of the configuration, the ones that metrics tell apart.
const EVENT_NAMES: [&str; 9] = [
    "lead_created",
    "lead_qualified",
    "booking_confirmed",
    "order_created",
    "order_paid",
    "purchase",
    "order_refunded",
    "subscription_started",
    "deal_won",
];

/// The revision of the source, where the build was told.
const REVISION: &str = match option_env!("CONVERSION_OUTBOX_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

pub(super) async fn run(config: Config) -> anyhow::Result<()> {
    let metrics = metrics(&config);
    let settings = config.telemetry.settings(instance_id());
    let telemetry = Telemetry::start(&settings, LogStream::Stdout, &config::variable, &metrics)?;
    let result = serve(&config, &metrics).await;
    telemetry.shutdown().await;
    result
}

/// Everything between the first and the last log line.
async fn serve(config: &Config, metrics: &Metrics) -> anyhow::Result<()> {
    let database = Database::open(&config.database)?;
    let version = migrate::check(&database).await?;
    metrics.build_info(REVISION, version);
    let health = Health::default();
    health.database_reachable(true);
    health.schema_supported(true);

    let address = config.http.listen;
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("http.listen: cannot listen on {address}"))?;
    let (stop, stopped) = watch::channel(());
    let serving = tokio::spawn(http::serve(
        listener,
        health.clone(),
        metrics.clone(),
        closed(stopped.clone()),
    ));
    let clock = Clock::default();
    let administration = match &config.admin {
        None => None,
        Some(admin) => {
            administer(admin, config, metrics, &clock)
                .await?
                .map(|(listener, router)| {
                    tokio::spawn(serve::serve(listener, router, closed(stopped)))
                })
        }
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"), schema = version, %address,
        destinations = config.destinations.len(), "started"
    );

    let result = work(config, &database, &health, metrics, clock).await;

    drop(stop);
    for listener in [Some(serving), administration].into_iter().flatten() {
        listener
            .await
            .context("a listener failed")?
            .context("a listener failed")?;
    }
    result
}

/// The listener with the pages, and what it answers. A port that somebody else has is an error only if the configuration
/// asks for the listener: several workers of one host with the defaults share none.
async fn administer(
    admin: &AdminConfig,
    config: &Config,
    metrics: &Metrics,
    clock: &Clock,
) -> anyhow::Result<Option<(TcpListener, Router)>> {
    let router = admin::router(admin, config, metrics, clock.clone())?;
    let address = admin.listen;
    match TcpListener::bind(address).await {
        Ok(listener) => {
            tracing::info!(%address, "the admin listener is open, with pages for a browser");
            Ok(Some((listener, router)))
        }
        Err(error) if admin.is_default => {
            tracing::warn!(
                %address, %error,
                advice = "set admin.listen to another address, or admin.enabled = false",
                "the admin listener and its pages are off: nothing can listen there"
            );
            Ok(None)
        }
        Err(error) => {
            Err(error).with_context(|| format!("admin.listen: cannot listen on {address}"))
        }
    }
}

/// Completes when the other end is dropped.
async fn closed(mut stopped: watch::Receiver<()>) {
    drop(stopped.changed().await);
}

/// The worker itself, until SIGTERM or Ctrl-C; it then drains. A second signal does not wait for that.
async fn work(
    config: &Config,
    database: &Database,
    health: &Health,
    metrics: &Metrics,
    clock: Clock,
) -> anyhow::Result<()> {
    let mut signals = Signals::listen().context("signals cannot be received")?;
    let (stop, stopped) = watch::channel(false);
    let worker = Worker {
        config: config.clone(),
        database: database.clone(),
        metrics: metrics.clone(),
        health: health.clone(),
        clock,
        relation: config.telemetry.trace_relation,
    };
    let running = worker::run(worker, stopped);
    tokio::pin!(running);
    tokio::select! {
        result = &mut running => return Ok(result?),
        () = signals.next() => {}
    }
    tracing::info!("stopping: nothing more is claimed, requests under way may end");
    stop.send_replace(true);
    tokio::select! {
        result = &mut running => result?,
        () = signals.next() => bail!("stopped by a second signal; deliveries under way come back when their lease runs out"),
    }
    tracing::info!("stopped");
    Ok(())
}

fn metrics(config: &Config) -> Metrics {
    let destinations: Vec<&str> = config
        .destinations
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    let configured = config.destinations.iter().flat_map(|one| one.events.keys());
    let compared = config.reconcile.iter().map(|one| &one.event);
    let configured = configured.chain(compared).map(String::as_str);
    let names: BTreeSet<&str> = configured.chain(EVENT_NAMES).collect();
    Metrics::new(&destinations, &names.into_iter().collect::<Vec<_>>())
}

/// Unlike in every replica: the standard library seeds its hasher anew in each process.
fn instance_id() -> String {
    format!("{:016x}", RandomState::new().hash_one("conversion-outbox"))
}
