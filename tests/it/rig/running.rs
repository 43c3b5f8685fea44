//! A worker inside the test's own process.

use conversion_outbox::telemetry::health::{Health, Probe};
use conversion_outbox::telemetry::metrics::Metrics;
use conversion_outbox::worker::StartError;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::PATIENCE;

/// A running worker.
pub(crate) struct Running {
    pub(crate) metrics: Metrics,
    pub(crate) health: Health,
    pub(super) stop: watch::Sender<bool>,
    pub(crate) task: JoinHandle<Result<(), StartError>>,
}

impl Running {
    /// Tells the worker to stop, without waiting for it.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Stops the worker and waits until it has drained.
    pub(crate) async fn drain(self) {
        self.stop();
        let ended = tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it drains");
        ended.expect("no panic").expect("it had started");
    }

    /// Why it may not take work; nothing when it may.
    pub(crate) fn unready(&self) -> Option<&'static str> {
        self.health.check(Probe::Ready).err()
    }

    /// Waits until readiness says this; nothing means ready.
    pub(crate) async fn until_unready(&self, says: Option<&'static str>) {
        let asking = async {
            while self.unready() != says {
                tokio::task::yield_now().await;
            }
        };
        if tokio::time::timeout(PATIENCE, asking).await.is_err() {
            panic!("not {says:?} but {:?}", self.unready());
        }
    }

    /// The value of a metric, by its name with labels; nought when it is not there.
    pub(crate) fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.render();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.trim().parse().expect("a number"))
    }
}
