//! The metrics of one destination, resolved once.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::families::{Count, Families, Histograms, Seconds};
use super::words::{self, Closed, Labels};
use super::{named, with_other};

/// What happened at one destination. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DestinationMetrics(Arc<Handles>);

/// What the database says is not yet final for one destination.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    /// Due now at the first try.
    pub due: u64,
    /// Tried before, due now or at a later time.
    pub retry: u64,
    /// Waiting for the event they depend on.
    pub waiting: u64,
    /// Leased by a worker.
    pub leased: u64,
    /// Due, but their destination or rule is held.
    pub held: u64,
    /// Age of the longest due delivery in seconds, 0 when none.
    pub oldest_due_age: f64,
    /// Age of the oldest event not yet final in seconds, 0 when none.
    pub oldest_open_age: f64,
    /// Deliveries that the platform will refuse as too old within 24 hours.
    pub expiring: u64,
}

/// Requests on their way; no longer when dropped.
#[derive(Debug)]
#[must_use = "the requests count as on their way until this is dropped"]
pub struct InFlight {
    gauge: Gauge,
}

#[derive(Debug)]
struct Handles {
    name: String,
    attempts: Closed<{ words::RESULTS.len() }>,
    deliveries: Vec<(String, Closed<9>)>,
    suppressed: Closed<{ words::SUPPRESSED.len() }>,
    circuit_transitions: Closed<3>,
    circuit: Gauge,
    latency: Histogram,
    inflight: Gauge,
    held: Gauge,
    unverified_accepts: Counter,
    backlog: [Count; 5],
    oldest_due_age: Seconds,
    oldest_open_age: Seconds,
    expiring: Count,
    responses: Family<Labels, Counter>,
    request_duration: Histograms,
}

impl DestinationMetrics {
    /// Its configured name.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// `count` deliveries were attempted with `result`, one of [`words::RESULTS`].
    pub fn attempted(&self, result: &'static str, count: u64) {
        self.0.attempts.add(result, count);
    }

    /// One delivery of `event_type` entered the final `state`, one of [`words::FINAL_STATES`]. `latency` is given when the
    /// platform took it: from the row's `created_at`, which is not its commit, to now.
    pub fn settled(&self, event_type: &str, state: &'static str, latency: Option<Duration>) {
        named(&self.0.deliveries, event_type).add(state, 1);
        if let Some(latency) = latency {
            self.0.latency.observe(latency.as_secs_f64());
        }
    }

    /// One delivery ended without a request for `reason`, one of [`words::SUPPRESSED`].
    pub fn suppressed(&self, reason: &'static str) {
        self.0.suppressed.add(reason, 1);
    }

    /// The platform took `count` events without looking at them, as GA4 does.
    pub fn unverified_accepts(&self, count: u64) {
        self.0.unverified_accepts.inc_by(count);
    }

    /// A request to `server`, a host name, ended with an HTTP status or with none, after `took`. `error_type` is a word of a
    /// short closed list, the same as on the span.
    pub fn answered(
        &self,
        server: &str,
        code: Option<u16>,
        error_type: Option<&'static str>,
        took: Duration,
    ) {
        let code = words::code(code);
        let labels = vec![
            ("server_address", server.to_owned()),
            ("http_response_status_code", code.clone()),
            ("error_type", error_type.unwrap_or_default().to_owned()),
        ];
        self.0
            .request_duration
            .get_or_create(&labels)
            .observe(took.as_secs_f64());
        let labels = vec![("destination", self.0.name.clone()), ("code", code)];
        self.0.responses.get_or_create(&labels).inc();
    }

    /// A request is on its way until the guard is dropped.
    pub fn in_flight(&self) -> InFlight {
        let gauge = self.0.inflight.clone();
        gauge.inc();
        InFlight { gauge }
    }

    /// The circuit changed to `to`, one of [`words::CIRCUIT`].
    pub fn circuit(&self, to: &'static str) {
        let value = words::CIRCUIT
            .iter()
            .zip(0..)
            .find(|(word, _)| **word == to);
        // Setting gives back what it was before: staying as it is is no transition.
        if let Some((_, value)) = value
            && self.0.circuit.set(value) != value
        {
            self.0.circuit_transitions.add(to, 1);
        }
    }

    /// Whether the destination waits for a person or a new credential.
    pub fn held(&self, held: bool) {
        self.0.held.set(held.into());
    }

    /// What the database says now.
    pub fn backlog(&self, backlog: &Backlog) {
        let rows = [
            backlog.due,
            backlog.retry,
            backlog.waiting,
            backlog.leased,
            backlog.held,
        ];
        for (gauge, rows) in self.0.backlog.iter().zip(rows) {
            gauge.set(rows);
        }
        self.0.oldest_due_age.set(backlog.oldest_due_age);
        self.0.oldest_open_age.set(backlog.oldest_open_age);
        self.0.expiring.set(backlog.expiring);
    }

    pub(super) fn new(name: &str, event_types: &[&str], families: &Families) -> Self {
        let labels: Labels = vec![("destination", name.to_owned())];
        let closed_deliveries = |event_type: &str| {
            let mut labels = labels.clone();
            labels.push(("event_type", event_type.to_owned()));
            Closed::new(&families.deliveries, labels, "state", &words::FINAL_STATES)
        };
        let backlog = |state: &str| {
            let mut labels = labels.clone();
            labels.push(("state", state.to_owned()));
            families.backlog.get_or_create_owned(&labels)
        };
        Self(Arc::new(Handles {
            name: name.to_owned(),
            attempts: Closed::new(
                &families.attempts,
                labels.clone(),
                "result",
                &words::RESULTS,
            ),
            deliveries: with_other(event_types)
                .map(|event_type| (event_type.to_owned(), closed_deliveries(event_type)))
                .collect(),
            suppressed: Closed::new(
                &families.suppressed,
                labels.clone(),
                "reason",
                &words::SUPPRESSED,
            ),
            circuit_transitions: Closed::new(
                &families.circuit_transitions,
                labels.clone(),
                "to",
                &words::CIRCUIT,
            ),
            circuit: families.circuit.get_or_create_owned(&labels),
            latency: families.latency.get_or_create_owned(&labels),
            inflight: families.inflight.get_or_create_owned(&labels),
            held: families.held.get_or_create_owned(&labels),
            unverified_accepts: families.unverified_accepts.get_or_create_owned(&labels),
            backlog: words::BACKLOG.map(backlog),
            oldest_due_age: families.oldest_due_age.get_or_create_owned(&labels),
            oldest_open_age: families.oldest_open_age.get_or_create_owned(&labels),
            expiring: families.expiring.get_or_create_owned(&labels),
            responses: families.responses.clone(),
            request_duration: families.request_duration.clone(),
        }))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
