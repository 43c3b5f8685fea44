//! The metrics of one destination, resolved once.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::families::{Count, Families, Seconds, exemplar};
use super::requests::Requests;
use super::words::{self, Closed, Labels, OTHER};
use super::{named, since_epoch, with_other};
use crate::telemetry::context::TraceId;

/// What happened at one destination. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DestinationMetrics(Arc<Handles>);

/// What the database says is not yet final for one destination. Each delivery is in one of the first five.
#[derive(Clone, Copy, Debug, Default)]
pub struct Backlog {
    /// Due now, and never tried.
    pub due: u64,
    /// Tried before, due now or at a later time.
    pub retry: u64,
    /// Never tried and due later: it waits for another event, for its time, or for a worker that serves it.
    pub waiting: u64,
    /// Leased by a worker.
    pub leased: u64,
    /// Their destination or rule is held.
    pub held: u64,
    /// Age of the longest due delivery in seconds, 0 when none.
    pub oldest_due_age: f64,
    /// Age of the oldest event not yet final in seconds, 0 when none.
    pub oldest_open_age: f64,
    /// Deliveries that are too old for the destination within 24 hours.
    pub expiring: u64,
    /// Conversion actions or rules that are held.
    pub held_rules: u64,
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
    latency: HistogramWithExemplars<Labels>,
    inflight: Gauge,
    held: Gauge,
    hold_info: Family<Labels, Gauge>,
    held_rules: Count,
    retries: Counter,
    notices: Closed<{ words::NOTICES.len() }>,
    credential_expiry: Family<Labels, Seconds>,
    version_expiry: Family<Labels, Seconds>,
    unverified_accepts: Counter,
    backlog: [Count; 5],
    oldest_due_age: Seconds,
    oldest_open_age: Seconds,
    expiring: Count,
    responses: Family<Labels, Counter>,
    requests: Arc<Requests>,
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

    /// `count` tries of one delivery were not its first.
    pub fn retried(&self, count: u64) {
        self.0.retries.inc_by(count);
    }

    /// One delivery of `event_type` entered the final `state`, one of [`words::FINAL_STATES`].
    pub fn settled(&self, event_type: &str, state: &'static str) {
        named(&self.0.deliveries, event_type).add(state, 1);
    }

    /// The platform took one delivery: so long after its row was created, which is not its commit. `trace` is a sampled one.
    pub fn taken(&self, latency: Duration, trace: Option<TraceId>) {
        self.0.latency.observe(
            latency.as_secs_f64(),
            exemplar(trace),
            Some(SystemTime::now()),
        );
    }

    /// One delivery ended as suppressed, skipped or expired for `reason`; what is not one of [`words::SUPPRESSED`] is `other`.
    pub fn suppressed(&self, reason: &str) {
        self.0
            .suppressed
            .add(words::word_of(&words::SUPPRESSED, reason), 1);
    }

    /// The platform said something beside its verdict, one of [`words::NOTICES`].
    pub fn noticed(&self, notice: &'static str) {
        self.0.notices.add(notice, 1);
    }

    /// The platform took `count` events without looking at them, as GA4 does.
    pub fn unverified_accepts(&self, count: u64) {
        self.0.unverified_accepts.inc_by(count);
    }

    /// A request to `server`, a host name, ended with an HTTP status or with none, after `took`. `error_type` is a word of a
    /// short closed list; where it is none, a status of 400 or more stands for it, as on the span. `trace` is a sampled one.
    pub fn answered(
        &self,
        server: &str,
        status: Option<u16>,
        error_type: Option<&'static str>,
        took: Duration,
        trace: Option<TraceId>,
    ) {
        let code = words::code(status);
        let error_type = match (error_type, status) {
            (Some(error_type), _) => error_type,
            (None, Some(400..)) => &code,
            (None, _) => "",
        };
        self.0
            .requests
            .observe(server, &code, error_type, took, trace);
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

    /// Why it is held by the database's record, one of [`words::HOLDS`]; nothing while it is not.
    pub fn hold_info(&self, reason: Option<&str>) {
        let reason = reason.map(|reason| words::word_of(&words::HOLDS, reason));
        for known in words::HOLDS.into_iter().chain([OTHER]) {
            let labels = self.labels("reason", known);
            if reason == Some(known) {
                self.0.hold_info.get_or_create(&labels).set(1);
            } else {
                self.0.hold_info.remove(&labels);
            }
        }
    }

    /// When the credential ends that a person must replace; nothing where nobody knows.
    pub fn credential_expires(&self, at: Option<SystemTime>) {
        self.set_or_drop(&self.0.credential_expiry, at);
    }

    /// When the configured version of the platform's API ends; nothing where no day is announced.
    pub fn version_expires(&self, at: Option<SystemTime>) {
        self.set_or_drop(&self.0.version_expiry, at);
    }

    fn set_or_drop(&self, family: &Family<Labels, Seconds>, at: Option<SystemTime>) {
        let labels = vec![("destination", self.0.name.clone())];
        match at {
            Some(at) => drop(family.get_or_create(&labels).set(since_epoch(at))),
            None => drop(family.remove(&labels)),
        }
    }

    fn labels(&self, name: &'static str, value: &str) -> Labels {
        vec![
            ("destination", self.0.name.clone()),
            (name, value.to_owned()),
        ]
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
        self.0.held_rules.set(backlog.held_rules);
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
            hold_info: families.hold_info.clone(),
            held_rules: families.rules_held.get_or_create_owned(&labels),
            retries: families.retries.get_or_create_owned(&labels),
            notices: Closed::new(&families.notices, labels.clone(), "notice", &words::NOTICES),
            credential_expiry: families.credential_expiry.clone(),
            version_expiry: families.version_expiry.clone(),
            unverified_accepts: families.unverified_accepts.get_or_create_owned(&labels),
            backlog: words::BACKLOG.map(backlog),
            oldest_due_age: families.oldest_due_age.get_or_create_owned(&labels),
            oldest_open_age: families.oldest_open_age.get_or_create_owned(&labels),
            expiring: families.expiring.get_or_create_owned(&labels),
            responses: families.responses.clone(),
            requests: families.requests.clone(),
        }))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}
