//! Every Prometheus metric of this program, and the functions that say what happened.
//!
//! Two kinds of numbers: counters say what *this process* did, so sum them over replicas; gauges filled from the database
//! ([`Backlog`]) say what the tables hold, the same in every replica, so take `max by`, never `sum`.
//! Handles are resolved once, so that a delivery costs a few atomic additions and no hashing.
//! No label may hold an id, a URL, an address or an error text: values come from closed lists ([`words`]), the configured
//! destinations and the configured event names, everything else becomes `other`.

mod coverage;
mod destination;
mod families;
mod plain;
mod pool;
mod reconciliation;
mod register;
mod requests;
pub mod words;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use coverage::Coverage;
use coverage::EventCoverage;
pub use destination::{Backlog, DestinationMetrics, InFlight};
use families::Families;
use pool::Pool;
pub use reconciliation::Compared;
use reconciliation::Reconciliation;
use register::{counters, register, register_with_unit};
use words::{Closed, Labels, OTHER};

use super::losses::Losses;

/// All metrics of the process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Process>);

#[derive(Debug)]
struct Process {
    registry: Registry,
    destinations: Vec<DestinationMetrics>,
    coverage: Vec<(String, EventCoverage)>,
    claim_duration: Histogram,
    claim_batch_size: Histogram,
    polls: Closed<4>,
    duplicates: Closed<3>,
    conflicts: Counter,
    heartbeats: [Gauge<f64, AtomicU64>; 3],
    reconciliation: Reconciliation,
    lease_expired: Counter,
    unwritten: Gauge,
    late_settlements: Counter,
    data_removed: Counter,
    data_overdue: Gauge<f64, AtomicU64>,
    span_export_failures: Counter,
    spans_lost: Counter,
    metric_export_failures: Counter,
    admin_refusals: Closed<8>,
    snapshot_timestamp: Gauge<f64, AtomicU64>,
    pool: Pool,
    build_info: Family<Labels, Gauge>,
}

/// Seconds of one claim statement: from a hot cache to the statement timeout.
const CLAIM_SECONDS: [f64; 8] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5];

/// Rows of one claim.
const CLAIM_ROWS: [f64; 6] = [1.0, 10.0, 50.0, 100.0, 500.0, 1000.0];

impl Metrics {
    /// With every label set known now at zero, so that a rate sees the first increase.
    ///
    /// `event_types` is the allow-list for the label of that name. The budget of 2,000 series holds up to 8 destinations
    /// with 12 event types, `other` among them.
    pub fn new(destinations: &[&str], event_types: &[&str]) -> Self {
        let mut root = Registry::default();
        let families = Families::register(&mut root);
        let registry = root.sub_registry_with_prefix("conversion_outbox");
        let coverage = counters(
            registry,
            "coverage_events",
            "Events decided, by what they carry and the consent on them",
        );
        let process = Process {
            destinations: destinations
                .iter()
                .map(|name| DestinationMetrics::new(name, event_types, &families))
                .collect(),
            coverage: with_other(event_types)
                .map(|event_type| {
                    (
                        event_type.to_owned(),
                        EventCoverage::new(event_type, &coverage),
                    )
                })
                .collect(),
            claim_duration: register_with_unit(
                registry,
                "claim_duration",
                "Time of one claim statement, also one that found nothing",
                Unit::Seconds,
                Histogram::new(CLAIM_SECONDS),
            ),
            claim_batch_size: register(
                registry,
                "claim_batch_size",
                "Rows taken by one claim that found any",
                Histogram::new(CLAIM_ROWS),
            ),
            polls: Closed::new(
                &counters(registry, "polls", "Looks for due work, by what they found"),
                vec![],
                "result",
                &words::POLLS,
            ),
            duplicates: Closed::new(
                &counters(
                    registry,
                    "duplicates",
                    "Repeats of an event seen and not delivered again, by where",
                ),
                vec![],
                "source",
                &words::DUPLICATES,
            ),
            conflicts: register(
                registry,
                "conflicts",
                "Inserts of an event that stands with other content; the first one stands",
                Counter::default(),
            ),
            heartbeats: heartbeats(registry),
            reconciliation: Reconciliation::register(registry),
            lease_expired: register(
                registry,
                "lease_expired",
                "Leases found run out and taken over: a worker crashed or hung",
                Counter::default(),
            ),
            unwritten: register(
                registry,
                "unwritten_results",
                "Results kept in memory because the database did not take them yet",
                Gauge::default(),
            ),
            late_settlements: register(
                registry,
                "late_settlements",
                "Results not written because the lease had been lost meanwhile",
                Counter::default(),
            ),
            data_removed: register(
                registry,
                "retention_removed_events",
                "Events whose personal data were removed because their time was over",
                Counter::default(),
            ),
            data_overdue: register_with_unit(
                registry,
                "retention_oldest_overdue",
                "Since when the oldest personal data should have been looked at for removal, as the worker that last removed any saw it",
                Unit::Seconds,
                Gauge::default(),
            ),
            span_export_failures: register(
                registry,
                "span_export_failures",
                "Batches of spans the OTLP collector did not take",
                Counter::default(),
            ),
            metric_export_failures: register(
                registry,
                "metric_export_failures",
                "Exports of these numbers the OTLP collector did not take",
                Counter::default(),
            ),
            spans_lost: register(
                registry,
                "spans_lost",
                "Spans that no OTLP collector took: the queue was full, or the export failed",
                Counter::default(),
            ),
            admin_refusals: Closed::new(
                &counters(
                    registry,
                    "admin_refusals",
                    "Requests that the admin listener did not let in, or not let do what they wanted, by reason",
                ),
                vec![],
                "reason",
                &words::ADMIN_REFUSALS,
            ),
            snapshot_timestamp: register_with_unit(
                registry,
                "snapshot_timestamp",
                "When the gauges taken from the database were last read, Unix time",
                Unit::Seconds,
                Gauge::default(),
            ),
            pool: Pool::register(registry),
            build_info: register(
                registry,
                "build_info",
                "Always 1; what is running is in the labels",
                Family::default(),
            ),
            registry: root,
        };
        Self(Arc::new(process))
    }

    /// The handles of one destination, to be kept by its lane. `None` for a name not given at construction.
    pub fn destination(&self, name: &str) -> Option<DestinationMetrics> {
        self.0
            .destinations
            .iter()
            .find(|known| known.name() == name)
            .cloned()
    }

    /// What is running: a source revision, and the schema version this program works with.
    pub fn build_info(&self, revision: &str, schema_version: u32) {
        let labels = vec![
            ("version", env!("CARGO_PKG_VERSION").to_owned()),
            ("revision", revision.to_owned()),
            ("schema_version", schema_version.to_string()),
        ];
        self.0.build_info.get_or_create(&labels).set(1);
    }

    /// A claim statement took `rows` of at most `limit` rows.
    pub fn claimed(&self, rows: usize, limit: usize, took: Duration) {
        self.reached("claimed", SystemTime::now());
        self.0.claim_duration.observe(took.as_secs_f64());
        self.0.polls.add(
            match rows {
                0 => "empty",
                rows if rows < limit => "partial",
                _ => "full",
            },
            1,
        );
        if rows > 0 {
            // Batches are far below 2^52 rows, where an f64 stops being exact.
            self.0.claim_batch_size.observe(rows as f64);
        }
    }

    /// A claim statement failed.
    pub fn claim_failed(&self) {
        self.0.polls.add("error", 1);
    }

    /// `rows` had a lease that ran out.
    pub fn lease_expired(&self, rows: u64) {
        self.0.lease_expired.inc_by(rows);
    }

    /// `rows` results wait for the database.
    pub fn unwritten(&self, rows: usize) {
        self.0
            .unwritten
            .set(i64::try_from(rows).unwrap_or(i64::MAX));
    }

    /// `rows` could not be settled because another worker holds them by now.
    pub fn settled_late(&self, rows: u64) {
        self.0.late_settlements.inc_by(rows);
    }

    /// Personal data of `events` were removed, and the oldest that are left should have been gone since so many seconds.
    pub fn data_removed(&self, events: u64, overdue_secs: f64) {
        self.0.data_removed.inc_by(events);
        self.0.data_overdue.set(overdue_secs);
    }

    /// `count` repeats were seen at `source`, one of [`words::DUPLICATES`].
    pub fn duplicates(&self, source: &'static str, count: u64) {
        self.0.duplicates.add(source, count);
    }

    /// `count` inserts differed from the event of the same id that stands.
    pub fn conflicts(&self, count: u64) {
        self.0.conflicts.inc_by(count);
    }

    /// This `stage`, one of [`words::STAGES`], was last seen to work at this time.
    pub fn reached(&self, stage: &'static str, at: SystemTime) {
        let position = words::STAGES.iter().position(|known| *known == stage);
        debug_assert!(position.is_some(), "{stage} is no stage");
        if let Some(position) = position {
            self.0.heartbeats[position].set(since_epoch(at));
        }
    }

    /// What the last comparison of closed days found for this event name at this destination. To be told by every replica
    /// from what is on record, so that all say the same.
    pub fn reconciled(&self, destination: &str, event_type: &str, compared: Compared) {
        let event_type = named_or_other(&self.0.coverage, event_type);
        if self.destination(destination).is_some() {
            self.0
                .reconciliation
                .compared(destination, event_type, compared);
        }
    }

    /// The last day that was compared with final numbers of the platform ended then.
    pub fn reconciliation_closed(&self, destination: &str, day_end: SystemTime) {
        if self.destination(destination).is_some() {
            self.0.reconciliation.closed(destination, day_end);
        }
    }

    /// The admin listener let somebody stay outside for `reason`, one of [`words::ADMIN_REFUSALS`].
    pub fn admin_refused(&self, reason: &'static str) {
        self.0.admin_refusals.add(reason, 1);
    }

    /// One event was decided for the first time.
    pub fn covered(&self, event_type: &str, coverage: &Coverage) {
        named(&self.0.coverage, event_type).add(coverage);
    }

    /// The gauges of [`DestinationMetrics::backlog`] were read from the database at `at`.
    pub fn snapshot_taken(&self, at: SystemTime) {
        self.0.snapshot_timestamp.set(since_epoch(at));
    }

    /// Where to look for the connections of the database pool, whenever somebody reads: idle, busy, and at most.
    pub fn watch_pool(&self, look: impl Fn() -> [u64; 3] + Send + Sync + 'static) {
        self.0.pool.watch(look);
    }

    /// Everything as OpenMetrics text, version 1.0.0, exemplars included.
    pub fn render(&self) -> String {
        self.0.pool.refresh();
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.0.registry)
            .expect("writing to a string does not fail");
        text
    }

    /// The same as Prometheus' text format, version 0.0.4, which knows no exemplars.
    pub fn render_plain(&self) -> String {
        plain::plain(&self.render())
    }

    /// Counted by the exporter of these numbers.
    pub(super) fn metric_losses(&self) -> Losses {
        Losses::new(self.0.metric_export_failures.clone(), Counter::default())
    }

    /// Counted by the trace exporter.
    pub(super) fn span_losses(&self) -> Losses {
        Losses::new(
            self.0.span_export_failures.clone(),
            self.0.spans_lost.clone(),
        )
    }
}

fn since_epoch(at: SystemTime) -> f64 {
    at.duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs_f64()
}

fn heartbeats(registry: &mut Registry) -> [Gauge<f64, AtomicU64>; 3] {
    let family: Family<Labels, _> = register_with_unit(
        registry,
        "heartbeat_timestamp",
        "When the newest event was recorded (enqueued), and when this worker last looked for work (claimed) and last wrote results or could have (settled), Unix time",
        Unit::Seconds,
        Family::default(),
    );
    words::STAGES.map(|stage| family.get_or_create_owned(&vec![("stage", stage.to_owned())]))
}

/// The configured event names, then `other`.
fn with_other<'a>(event_types: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    event_types.iter().copied().chain([OTHER])
}

/// The entry of `event_type`, or the last one, which is `other`.
fn named<'a, T>(entries: &'a [(String, T)], event_type: &str) -> &'a T {
    &entry(entries, event_type).1
}

fn named_or_other<'a, T>(entries: &'a [(String, T)], event_type: &str) -> &'a str {
    &entry(entries, event_type).0
}

fn entry<'a, T>(entries: &'a [(String, T)], event_type: &str) -> &'a (String, T) {
    let last = entries.last().expect("`other` is always there");
    let is_named = |entry: &&(String, T)| entry.0 == event_type;
    entries.iter().find(is_named).unwrap_or(last)
}

#[cfg(test)]
mod tests;
