//! What an exporter could not tell: counted always, spoken of once a minute. A collector that is down for a day must fill no disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_sdk::error::OTelSdkError;
use prometheus_client::metrics::counter::Counter;

/// Not more than one line about a collector that is down in this time.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// Losses of one signal.
#[derive(Debug, Default)]
pub(super) struct Losses {
    /// Exports that the collector did not take.
    pub(super) failures: Counter,
    /// Spans or numbers that nobody took.
    pub(super) lost: Counter,
    complained: Mutex<Option<Instant>>,
}

impl Losses {
    pub(super) fn new(failures: Counter, lost: Counter) -> Self {
        Self {
            failures,
            lost,
            complained: Mutex::default(),
        }
    }

    /// One export failed, and so much is lost with it.
    pub(super) fn failed(&self, lost: usize, error_type: &'static str) {
        self.failures.inc();
        self.dropped(lost, error_type, Instant::now());
    }

    /// So much was dropped for this reason, one word of a short list. Says whether a line was written.
    pub(super) fn dropped(&self, lost: usize, error_type: &'static str, now: Instant) -> bool {
        self.lost.inc_by(lost as u64);
        let mut last = self
            .complained
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let is_time = last.is_none_or(|last| now.duration_since(last) >= COMPLAIN_EVERY);
        if is_time {
            *last = Some(now);
            tracing::warn!(
                error.type = error_type,
                "telemetry could not be exported and is lost; is the OTLP collector reachable? deliveries are not affected"
            );
        }
        is_time
    }
}

/// The text of an export error may hold the collector's URL with credentials, so only its kind is told.
pub(super) fn error_type(error: &OTelSdkError) -> &'static str {
    match error {
        OTelSdkError::AlreadyShutdown => "shut_down",
        OTelSdkError::Timeout(_) => "timeout",
        OTelSdkError::InternalFailure(_) => "export",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_that_is_down_is_counted_always_and_spoken_of_once_a_minute() {
        let losses = Losses::default();
        let start = Instant::now();
        let after = |secs| losses.dropped(2, "export", start + Duration::from_secs(secs));
        assert_eq!(
            [0, 59, 60, 61, 120].map(after),
            [true, false, true, false, true]
        );
        assert_eq!(losses.lost.get(), 10);
    }
}
