//! The metrics that have a label `destination`: names, help texts, buckets.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::words::Labels;
use super::{counters, register, register_with_unit};

pub(super) type Count = Gauge<u64, AtomicU64>;
pub(super) type Seconds = Gauge<f64, AtomicU64>;
pub(super) type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// Seconds of one request. Fewer than the conventions' list (`docs/http/http-metrics.md`), for the budget of series.
const REQUEST_SECONDS: [f64; 7] = [0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Seconds from creation of the row to acceptance. Has the bucket of the objective: 15 minutes.
const LATENCY_SECONDS: [f64; 9] = [1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0];

/// Registered once, shared by all destinations.
pub(super) struct Families {
    pub(super) attempts: Family<Labels, Counter>,
    pub(super) deliveries: Family<Labels, Counter>,
    pub(super) suppressed: Family<Labels, Counter>,
    pub(super) circuit_transitions: Family<Labels, Counter>,
    pub(super) circuit: Family<Labels, Gauge>,
    pub(super) latency: Histograms,
    pub(super) inflight: Family<Labels, Gauge>,
    pub(super) held: Family<Labels, Gauge>,
    pub(super) unverified_accepts: Family<Labels, Counter>,
    pub(super) backlog: Family<Labels, Count>,
    pub(super) oldest_due_age: Family<Labels, Seconds>,
    pub(super) oldest_open_age: Family<Labels, Seconds>,
    pub(super) expiring: Family<Labels, Count>,
    pub(super) responses: Family<Labels, Counter>,
    pub(super) request_duration: Histograms,
}

impl Families {
    pub(super) fn register(root: &mut Registry) -> Self {
        let request_duration: Histograms =
            Family::new_with_constructor(|| Histogram::new(REQUEST_SECONDS));
        let latency: Histograms = Family::new_with_constructor(|| Histogram::new(LATENCY_SECONDS));
        let request_duration = register_with_unit(
            root,
            "http_client_request_duration",
            "Time of one request to a platform",
            Unit::Seconds,
            request_duration,
        );
        let own = root.sub_registry_with_prefix("conversion_outbox");
        Self {
            attempts: counters(own, "attempts", "Deliveries attempted, by outcome"),
            deliveries: counters(own, "deliveries", "Deliveries that entered a final state"),
            suppressed: counters(
                own,
                "suppressed",
                "Deliveries that ended without a request, by reason",
            ),
            circuit_transitions: counters(
                own,
                "circuit_transitions",
                "Changes of the circuit, by its new state",
            ),
            circuit: gauges(
                own,
                "circuit_state",
                "Circuit: 0 closed, 1 half-open, 2 open",
            ),
            latency: register_with_unit(
                own,
                "delivery_latency",
                "From creation of the row, not its commit, to when the platform took it",
                Unit::Seconds,
                latency,
            ),
            inflight: gauges(own, "inflight", "Requests on their way"),
            held: gauges(
                own,
                "destination_held",
                "1 while the destination waits for a person or a new credential",
            ),
            unverified_accepts: counters(
                own,
                "unverified_accepts",
                "Events a platform took without looking at them, as GA4 does",
            ),
            backlog: gauges(
                own,
                "backlog",
                "Deliveries not yet final, from the database: use max, not sum",
            ),
            oldest_due_age: seconds(
                own,
                "oldest_due_age",
                "Age of the longest due delivery, 0 when none",
            ),
            oldest_open_age: seconds(
                own,
                "oldest_open_age",
                "Age of the oldest event not yet final, 0 when none",
            ),
            expiring: gauges(
                own,
                "expiring_deliveries",
                "Deliveries the platform will refuse as too old in 24 hours",
            ),
            responses: counters(
                own,
                "http_responses",
                "Answers of platforms; code none means there was no answer",
            ),
            request_duration,
        }
    }
}

fn gauges<G>(registry: &mut Registry, name: &str, help: &str) -> Family<Labels, G>
where
    Family<Labels, G>: prometheus_client::registry::Metric + Default,
{
    register(registry, name, help, Family::default())
}

fn seconds(registry: &mut Registry, name: &str, help: &str) -> Family<Labels, Seconds> {
    register_with_unit(registry, name, help, Unit::Seconds, Family::default())
}
