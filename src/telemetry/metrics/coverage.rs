//! What events carry that platforms can match, and the consent on them: counts, never values.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::words::{self, Closed, Labels};

/// What an event carries, judged when it is decided, for the share of events that platforms can match.
#[derive(Clone, Copy, Debug)]
pub struct Coverage {
    /// Any click id.
    pub click_id: bool,
    /// At least one e-mail address.
    pub email: bool,
    /// At least one phone number.
    pub phone: bool,
    /// An id of the application's own.
    pub external_id: bool,
    /// `granted`, `denied` or `unspecified`, see [`words::CONSENT`].
    pub consent: &'static str,
}

/// The counters of one event name.
#[derive(Debug)]
pub(super) struct EventCoverage {
    signals: [Closed<2>; 4],
    consent: Closed<3>,
}

impl EventCoverage {
    pub(super) fn new(event_type: &str, family: &Family<Labels, Counter>) -> Self {
        let labels = |signal: &str| {
            vec![
                ("event_type", event_type.to_owned()),
                ("signal", signal.to_owned()),
            ]
        };
        Self {
            signals: words::SIGNALS
                .map(|signal| Closed::new(family, labels(signal), "value", &words::PRESENCE)),
            consent: Closed::new(family, labels("consent"), "value", &words::CONSENT),
        }
    }

    pub(super) fn add(&self, coverage: &Coverage) {
        let present = [
            coverage.click_id,
            coverage.email,
            coverage.phone,
            coverage.external_id,
        ];
        for (signal, present) in self.signals.iter().zip(present) {
            signal.add(if present { "present" } else { "absent" }, 1);
        }
        self.consent.add(coverage.consent, 1);
    }
}
