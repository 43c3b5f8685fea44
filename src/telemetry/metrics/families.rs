//! The metrics that have a label `destination`: names, help texts, buckets.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::register::{counters, register, register_with_unit};
use super::requests::Requests;
use super::words::Labels;
use crate::telemetry::context::TraceId;

pub(super) type Count = Gauge<u64, AtomicU64>;
pub(super) type Seconds = Gauge<f64, AtomicU64>;
/// Histograms whose buckets name a trace that fell into them.
pub(super) type Traced =
    Family<Labels, HistogramWithExemplars<Labels>, fn() -> HistogramWithExemplars<Labels>>;

/// Seconds from creation of the row to acceptance. Has the bucket of the objective: 15 minutes.
const LATENCY_SECONDS: [f64; 9] = [1.0, 5.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0];

/// Registered once, shared by all destinations.
pub(super) struct Families {
    pub(super) attempts: Family<Labels, Counter>,
    pub(super) deliveries: Family<Labels, Counter>,
    pub(super) suppressed: Family<Labels, Counter>,
    pub(super) circuit_transitions: Family<Labels, Counter>,
    pub(super) circuit: Family<Labels, Gauge>,
    pub(super) latency: Traced,
    pub(super) inflight: Family<Labels, Gauge>,
    pub(super) held: Family<Labels, Gauge>,
    pub(super) hold_info: Family<Labels, Gauge>,
    pub(super) rules_held: Family<Labels, Count>,
    pub(super) retries: Family<Labels, Counter>,
    pub(super) notices: Family<Labels, Counter>,
    pub(super) credential_expiry: Family<Labels, Seconds>,
    pub(super) version_expiry: Family<Labels, Seconds>,
    pub(super) unverified_accepts: Family<Labels, Counter>,
    pub(super) backlog: Family<Labels, Count>,
    pub(super) oldest_due_age: Family<Labels, Seconds>,
    pub(super) oldest_open_age: Family<Labels, Seconds>,
    pub(super) expiring: Family<Labels, Count>,
    pub(super) responses: Family<Labels, Counter>,
    pub(super) requests: Arc<Requests>,
}

impl Families {
    pub(super) fn register(root: &mut Registry) -> Self {
        let requests = Arc::new(Requests::register(root));
        let latency: Traced = Family::new_with_constructor(|| {
            HistogramWithExemplars::new(LATENCY_SECONDS.into_iter())
        });
        let own = root.sub_registry_with_prefix("conversion_outbox");
        Self {
            attempts: counters(own, "attempts", "Deliveries attempted, by outcome"),
            deliveries: counters(own, "deliveries", "Deliveries that entered a final state"),
            suppressed: counters(
                own,
                "suppressed",
                "Deliveries that ended as suppressed, skipped or expired, by reason",
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
                "From creation of the row, not its commit, to when the platform took it; once a delivery",
                Unit::Seconds,
                latency,
            ),
            inflight: gauges(own, "inflight", "Requests on their way"),
            held: gauges(
                own,
                "destination_held",
                "1 while the destination waits for a person or a new credential",
            ),
            hold_info: gauges(
                own,
                "hold_info",
                "1 for the reason why a destination is held, from the database; absent while it is not",
            ),
            rules_held: gauges(
                own,
                "held_rules",
                "Conversion actions or rules that are held, from the database: use max, not sum",
            ),
            retries: counters(
                own,
                "retries",
                "Tries of deliveries that had been tried before",
            ),
            notices: counters(
                own,
                "notices",
                "What platforms said beside their verdict, by kind; the log has the advice",
            ),
            credential_expiry: seconds(
                own,
                "credential_expiry_timestamp",
                "When the credential ends that a person must replace, Unix time; absent where nobody knows",
            ),
            version_expiry: seconds(
                own,
                "api_version_expiry_timestamp",
                "When the platform switches the configured version of its API off, Unix time; absent where it has announced no day",
            ),
            unverified_accepts: counters(
                own,
                "unverified_accepts",
                "Events a platform took without looking at them, as GA4 does",
            ),
            backlog: gauges(
                own,
                "backlog",
                "Deliveries not yet final, each in one state, from the database: use max, not sum over replicas",
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
                "Deliveries that are too old for the destination within 24 hours, in the queue or waiting, from the database",
            ),
            responses: counters(
                own,
                "http_responses",
                "Answers of platforms; code none means there was no answer",
            ),
            requests,
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

/// The label of an exemplar, which must be a trace that was sampled.
pub(super) fn exemplar(trace: Option<TraceId>) -> Option<Labels> {
    let hex = |trace: TraceId| trace.iter().map(|byte| format!("{byte:02x}")).collect();
    trace.map(|trace| vec![("trace_id", hex(trace))])
}
