//! What the worker costs: throughput, WAL, dead rows, claim time as history grows, how fast pages open over much of it, and the price of consent, mapping and
//! hashing. Against a private PostgreSQL and a sink on loopback that costs next to nothing.
//!
//! Numbers of one run on one machine: take ratios, not absolutes. Not a test; nothing fails because it is slow.

mod claims;
mod pages;
mod pipeline;
mod throughput;

use anyhow::Context;
use serde_json::Value;

use crate::config::Config;
use crate::config::database::DatabaseConfig;
use crate::config::secret::SecretRef;
use crate::db::connect::Database;
use crate::db::migrate;
use crate::sandbox::folder::Folder;
use crate::sandbox::postgres::{Options as PostgresOptions, Postgres};
use crate::sandbox::{Options as SandboxOptions, Recording, Sandbox};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Events in each throughput run.
    pub events: i64,
    /// Settled deliveries before each look at claim time, growing.
    pub histories: &'static [i64],
    /// Deliveries behind the pages.
    pub behind_pages: i64,
}

impl Size {
    /// What the numbers in the documentation were made with.
    pub const FULL: Size = Size {
        events: 20_000,
        histories: &[0, 100_000, 1_000_000],
        behind_pages: 10_000_000,
    };
    /// A quick look.
    pub const QUICK: Size = Size {
        events: 2_000,
        histories: &[0, 20_000],
        behind_pages: 40_000,
    };
}

/// The four destinations of the bench, by the platforms' characters: two that take batches, two that take single events.
const META: [&str; 2] = ["meta-a", "meta-b"];
const GA4: [&str; 2] = ["ga4-a", "ga4-b"];

/// Everything the bench runs on.
struct Bench {
    postgres: Postgres,
    sandbox: Sandbox,
    database: Database,
    folder: Folder,
}

/// Measures, and hands each result over as one JSON object as soon as it is there.
pub async fn run(size: Size, mut result: impl FnMut(Value)) -> anyhow::Result<()> {
    result(pipeline::measure());
    let bench = Bench::set_up().await?;
    for (name, destinations) in [
        ("batches", META.as_slice()),
        ("one_request_each", GA4.as_slice()),
        (
            "both",
            [META.as_slice(), GA4.as_slice()].concat().as_slice(),
        ),
    ] {
        eprintln!(
            "throughput: {name}, {} events to {} destinations",
            size.events,
            destinations.len()
        );
        result(throughput::measure(&bench, name, destinations, size.events).await?);
    }
    let mut settled = 0;
    for &history in size.histories {
        eprintln!("claim time with {history} settled deliveries");
        bench.grow_history(history - settled).await?;
        settled = history;
        result(claims::measure(&bench, history).await?);
    }
    result(pages::measure(&bench, size.behind_pages).await?);
    bench.tear_down().await;
    Ok(())
}

impl Bench {
    async fn set_up() -> anyhow::Result<Bench> {
        // Full-page images depend on checkpoints, not on us: without them runs can be compared.
        let settings = [
            ("full_page_writes", "off"),
            ("max_wal_size", "8GB"),
            ("shared_buffers", "512MB"),
        ];
        let options = PostgresOptions {
            settings: settings
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
            ..PostgresOptions::default()
        };
        let postgres = tokio::task::spawn_blocking(move || Postgres::start(options)).await??;
        let folder = Folder::make("bench").context("a temporary folder cannot be made")?;
        std::fs::write(folder.path().join("database.url"), postgres.url("postgres"))?;
        std::fs::write(folder.path().join("secret"), "bench-secret")?;
        let mut config = DatabaseConfig::new(SecretRef::file(folder.path().join("database.url")));
        config.statement_timeout = std::time::Duration::from_secs(600);
        let database = Database::open(&config)?;
        migrate::up(&database).await?;
        let sandbox = Sandbox::start(SandboxOptions {
            recording: Recording::CountOnly,
            ..SandboxOptions::default()
        })
        .await?;
        Ok(Bench {
            postgres,
            sandbox,
            database,
            folder,
        })
    }

    /// A configuration with these destinations and nothing else out of the ordinary.
    fn config(&self, destinations: &[&str]) -> anyhow::Result<Config> {
        let folder = self.folder.path().display();
        let sandbox = self.sandbox.url();
        let mut text =
            format!("[database]\nurl = {{ file = \"{folder}/database.url\" }}\npool_size = 8\n");
        // Each is an account of its own, or one event would be told twice to the same.
        for (account, name) in destinations.iter().enumerate() {
            let own = if META.contains(name) {
                format!(
                    "platform = \"meta\"\ndataset_id = \"1{account}\"\naccess_token = {{ file = \"{folder}/secret\" }}"
                )
            } else {
                format!(
                    "platform = \"ga4\"\nmeasurement_id = \"G-BENCH{account}\"\napi_secret = {{ file = \"{folder}/secret\" }}\nconcurrency = 16"
                )
            };
            text.push_str(&format!(
                "[[destination]]\nname = \"{name}\"\n{own}\nbase_url = \"{sandbox}\"\n"
            ));
        }
        Ok(Config::parse(&text, "bench.toml", [])?)
    }

    async fn grow_history(&self, deliveries: i64) -> anyhow::Result<()> {
        if deliveries > 0 {
            let client = self.database.client().await?;
            client
                .batch_execute("set session_replication_role = replica")
                .await?;
            let events = deliveries / 4;
            client
                .query_typed(
                    include_str!("../../sql/bench/fill_history.sql"),
                    &[(&events, tokio_postgres::types::Type::INT8)],
                )
                .await?;
            client
                .batch_execute("set session_replication_role = origin; analyze")
                .await?;
        }
        Ok(())
    }

    async fn tear_down(self) {
        self.sandbox.shutdown().await;
        drop(tokio::task::spawn_blocking(move || self.postgres.stop()).await);
    }
}
