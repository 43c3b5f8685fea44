//! The database pool's connections, looked at when somebody reads: what they were a while ago is of no use.

use std::fmt;
use std::sync::OnceLock;

use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::families::Count;
use super::register::register;
use super::words::{self, Labels};

/// Idle, busy, and at most.
pub(super) struct Pool {
    gauges: [Count; 3],
    look: OnceLock<Box<dyn Fn() -> [u64; 3] + Send + Sync>>,
}

impl Pool {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let family: Family<Labels, Count> = register(
            registry,
            "pool_connections",
            "Connections of the database pool; max is its limit",
            Family::default(),
        );
        let gauge = |state: &str| family.get_or_create_owned(&vec![("state", state.to_owned())]);
        Self {
            gauges: words::POOL.map(gauge),
            look: OnceLock::new(),
        }
    }

    /// One process has one pool: who comes second says the same.
    pub(super) fn watch(&self, look: impl Fn() -> [u64; 3] + Send + Sync + 'static) {
        drop(self.look.set(Box::new(look)));
    }

    pub(super) fn refresh(&self) {
        if let Some(look) = self.look.get() {
            for (gauge, connections) in self.gauges.iter().zip(look()) {
                gauge.set(connections);
            }
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").finish_non_exhaustive()
    }
}
