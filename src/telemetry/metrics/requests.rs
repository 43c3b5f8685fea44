//! How long requests take: by host, and by how they ended.
//!
//! A host that answers in ever new ways must not make ever new series: the first few ways have their own, the rest is `other`.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use prometheus_client::metrics::exemplar::HistogramWithExemplars;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::families::{Traced, exemplar};
use super::register::register_with_unit;
use super::words::{Labels, OTHER};
use crate::telemetry::context::TraceId;

/// Seconds of one request. Fewer than the conventions' list (`docs/http/http-metrics.md`), for the budget of series.
const REQUEST_SECONDS: [f64; 5] = [0.1, 0.5, 1.0, 2.5, 10.0];

/// Ways in which a host's requests end that have series of their own.
const WAYS_MAX: usize = 2;

/// How a request ended: status code and error type.
type Way = (String, String);

#[derive(Debug)]
pub(super) struct Requests {
    durations: Traced,
    ways: Mutex<HashMap<String, Vec<Way>>>,
}

impl Requests {
    pub(super) fn register(root: &mut Registry) -> Self {
        let durations: Traced = Family::new_with_constructor(|| {
            HistogramWithExemplars::new(REQUEST_SECONDS.into_iter())
        });
        Self {
            durations: register_with_unit(
                root,
                "http_client_request_duration",
                "Time of one request to a platform",
                Unit::Seconds,
                durations,
            ),
            ways: Mutex::default(),
        }
    }

    pub(super) fn observe(
        &self,
        server: &str,
        code: &str,
        error_type: &str,
        took: Duration,
        trace: Option<TraceId>,
    ) {
        let (code, error_type) = self.way(server, code, error_type);
        let labels: Labels = vec![
            ("server_address", server.to_owned()),
            ("http_response_status_code", code),
            ("error_type", error_type),
        ];
        self.durations.get_or_create(&labels).observe(
            took.as_secs_f64(),
            exemplar(trace),
            Some(SystemTime::now()),
        );
    }

    fn way(&self, server: &str, code: &str, error_type: &str) -> Way {
        let mut ways = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        let known = ways.entry(server.to_owned()).or_default();
        let way = (code.to_owned(), error_type.to_owned());
        if known.contains(&way) {
            return way;
        }
        if known.len() < WAYS_MAX {
            known.push(way.clone());
            return way;
        }
        (OTHER.to_owned(), OTHER.to_owned())
    }
}
