//! The difference against the application's own tables, as the last comparison of closed days found it.

use std::time::SystemTime;

use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::families::Seconds;
use super::register::{register, register_with_unit};
use super::since_epoch;
use super::words::Labels;

/// What a comparison of closed days found for one event name at one destination.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Business events that the application's own tables hold.
    pub source: u64,
    /// How many of them the destination lacks; below nought, how many it has beyond them.
    pub difference: i64,
}

#[derive(Debug)]
pub(super) struct Reconciliation {
    difference: Family<Labels, Gauge>,
    source: Family<Labels, Gauge>,
    last_closed_day: Family<Labels, Seconds>,
}

impl Reconciliation {
    pub(super) fn register(registry: &mut Registry) -> Self {
        Self {
            difference: register(
                registry,
                "reconciliation_difference",
                "Business events of the closed days compared that the destination lacks; negative, that it has beyond them: use max by, not sum over replicas",
                Family::default(),
            ),
            source: register(
                registry,
                "reconciliation_source",
                "Business events of the closed days compared, by the application's own tables: use max by, not sum over replicas",
                Family::default(),
            ),
            last_closed_day: register_with_unit(
                registry,
                "reconciliation_last_closed_day_timestamp",
                "End of the last day that was compared after the platform's numbers were final, Unix time",
                Unit::Seconds,
                Family::default(),
            ),
        }
    }

    pub(super) fn compared(&self, destination: &str, event_type: &str, compared: Compared) {
        let labels = vec![
            ("destination", destination.to_owned()),
            ("event_type", event_type.to_owned()),
        ];
        let source = i64::try_from(compared.source).unwrap_or(i64::MAX);
        self.difference
            .get_or_create(&labels)
            .set(compared.difference);
        self.source.get_or_create(&labels).set(source);
    }

    pub(super) fn closed(&self, destination: &str, day_end: SystemTime) {
        let labels = vec![("destination", destination.to_owned())];
        self.last_closed_day
            .get_or_create(&labels)
            .set(since_epoch(day_end));
    }
}
