//! `[worker]`: how much work is taken, how long it is held, and when it is given up.

use std::time::Duration;

use super::read::Reader;

/// What a lease must hold beyond the slowest request: waiting for a place among the requests, and one settle.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// `[worker]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerConfig {
    /// Events in one claim. Default 200: large enough that a claim costs little for each event.
    pub batch_events: u32,
    /// How long a claim is ours. Default 60 s. Shorter than the slowest request plus one settle, and a second
    /// worker sends the same event.
    pub lease: Duration,
    /// Pause after a claim that found work. Default 20 ms.
    pub poll_min: Duration,
    /// Pause after claims that found nothing, grown from the shortest. Default 250 ms: the most an idle worker adds to latency; an empty look costs PostgreSQL 0.05 ms.
    pub poll_max: Duration,
    /// How often abandoned leases and late events are looked for. Default 5 s.
    pub sweep: Duration,
    /// How long results wait to be settled together. Default 10 ms.
    pub flush: Duration,
    /// How many results are settled together at most. Default 500 rows.
    pub flush_rows: u32,
    /// How long a shutdown waits for requests under way. Default 20 s, below the 30 s Kubernetes gives.
    pub drain: Duration,
    /// Attempts before a delivery is exhausted. Default 12: with the backoff below, about 8 hours.
    pub attempts_max: u32,
    /// Age at which a delivery is given up, if that comes before the platform's own limit. No default.
    pub age_max: Option<Duration>,
    /// Upper bound of the first wait between attempts. Default 5 s; it doubles from there, with full jitter.
    pub backoff_initial: Duration,
    /// Upper bound of every wait between attempts. Default 1 h.
    pub backoff_cap: Duration,
    /// Longest wait a platform may ask for by `Retry-After`. Default 1 h.
    pub retry_after_cap: Duration,
    /// How often a held destination is tried with one event. Default 5 min.
    pub hold_probe: Duration,
    /// How long one request may take, connecting included. Default 10 s.
    pub request_timeout: Duration,
}

impl Default for WorkerConfig {
    fn default() -> WorkerConfig {
        WorkerConfig {
            batch_events: 200,
            lease: Duration::from_secs(60),
            poll_min: Duration::from_millis(20),
            poll_max: Duration::from_millis(250),
            sweep: Duration::from_secs(5),
            flush: Duration::from_millis(10),
            flush_rows: 500,
            drain: Duration::from_secs(20),
            attempts_max: 12,
            age_max: None,
            backoff_initial: Duration::from_secs(5),
            backoff_cap: Duration::from_secs(3600),
            retry_after_cap: Duration::from_secs(3600),
            hold_probe: Duration::from_secs(300),
            request_timeout: Duration::from_secs(10),
        }
    }
}

impl WorkerConfig {
    /// Reads the section; what is absent keeps its default.
    pub fn read(reader: &mut Reader<'_>) -> Option<WorkerConfig> {
        let default = WorkerConfig::default();
        let worker = WorkerConfig {
            batch_events: reader
                .integer("batch_events", 1..=10_000)
                .unwrap_or(default.batch_events),
            lease: reader
                .seconds("lease_secs", 5..=3600)
                .unwrap_or(default.lease),
            poll_min: reader
                .milliseconds("poll_min_ms", 1..=60_000)
                .unwrap_or(default.poll_min),
            poll_max: reader
                .milliseconds("poll_max_ms", 1..=60_000)
                .unwrap_or(default.poll_max),
            sweep: reader
                .seconds("sweep_secs", 1..=3600)
                .unwrap_or(default.sweep),
            flush: reader
                .milliseconds("flush_ms", 0..=1000)
                .unwrap_or(default.flush),
            flush_rows: reader
                .integer("flush_rows", 1..=10_000)
                .unwrap_or(default.flush_rows),
            drain: reader
                .seconds("drain_secs", 1..=3600)
                .unwrap_or(default.drain),
            attempts_max: reader
                .integer("attempts_max", 1..=100)
                .unwrap_or(default.attempts_max),
            age_max: reader.hours("age_max_hours", 1..=24 * 365),
            backoff_initial: reader
                .seconds("backoff_initial_secs", 1..=3600)
                .unwrap_or(default.backoff_initial),
            backoff_cap: reader
                .seconds("backoff_cap_secs", 1..=86_400)
                .unwrap_or(default.backoff_cap),
            retry_after_cap: reader
                .seconds("retry_after_cap_secs", 1..=86_400)
                .unwrap_or(default.retry_after_cap),
            hold_probe: reader
                .seconds("hold_probe_secs", 1..=86_400)
                .unwrap_or(default.hold_probe),
            request_timeout: reader
                .seconds("request_timeout_secs", 1..=600)
                .unwrap_or(default.request_timeout),
        };
        worker.check(reader);
        Some(worker)
    }

    /// The longest a request may take: within the lease there must be room to settle, and a shutdown must not cut it off.
    pub fn request_timeout_max(&self) -> Duration {
        self.lease.saturating_sub(LEASE_MARGIN).min(self.drain)
    }

    fn check(&self, reader: &mut Reader<'_>) {
        let slowest = self.request_timeout.as_secs();
        if self.lease < self.request_timeout + LEASE_MARGIN {
            let margin = LEASE_MARGIN.as_secs();
            reader.fault(
                "lease_secs",
                &format!("must exceed request_timeout_secs by {margin}, or a second worker sends the same event"),
                &format!("write {} or more, or lower request_timeout_secs", slowest + margin),
            );
        }
        if self.drain < self.request_timeout {
            reader.fault(
                "drain_secs",
                "must not be below request_timeout_secs, or a shutdown cuts requests off",
                &format!("write {slowest} or more, or lower request_timeout_secs"),
            );
        }
        if self.poll_min > self.poll_max {
            reader.fault(
                "poll_min_ms",
                "must not exceed poll_max_ms",
                "lower it, or raise poll_max_ms",
            );
        }
        if self.backoff_initial > self.backoff_cap {
            let fix = "lower it, or raise backoff_cap_secs";
            reader.fault(
                "backoff_initial_secs",
                "must not exceed backoff_cap_secs",
                fix,
            );
        }
    }
}
