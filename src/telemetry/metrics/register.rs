//! Makes a metric known and gives it back.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::{Registry, Unit};

use super::words::Labels;

pub(super) fn register<M>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register(name, help, metric.clone());
    metric
}

pub(super) fn register_with_unit<M>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    unit: Unit,
    metric: M,
) -> M
where
    M: prometheus_client::registry::Metric + Clone,
{
    registry.register_with_unit(name, help, unit, metric.clone());
    metric
}

pub(super) fn counters(registry: &mut Registry, name: &str, help: &str) -> Family<Labels, Counter> {
    register(registry, name, help, Family::default())
}
