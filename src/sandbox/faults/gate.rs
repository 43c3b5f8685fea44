//! A door at which requests wait, so that a test can stop a request half-way without sleeping. Not for delays.

use tokio::sync::watch;

/// A door at which requests wait.
#[derive(Debug, Clone)]
pub(in crate::sandbox) struct Gate {
    open: watch::Sender<bool>,
    waiting: watch::Sender<u64>,
}

impl Gate {
    /// A door nobody passes yet.
    pub(super) fn closed() -> Gate {
        Gate {
            open: watch::Sender::new(false),
            waiting: watch::Sender::new(0),
        }
    }

    /// Waits until the door opens; counted while it waits.
    pub(in crate::sandbox) async fn pass(&self) {
        self.waiting.send_modify(|count| *count += 1);
        // The sender lives in self: the wait ends by the door alone.
        self.open
            .subscribe()
            .wait_for(|open| *open)
            .await
            .expect("the gate holds its own sender");
        self.waiting.send_modify(|count| *count -= 1);
    }

    /// Resolves once at least `count` requests wait at the door.
    pub(in crate::sandbox) async fn waiting(&self, count: u64) {
        self.waiting
            .subscribe()
            .wait_for(|waiting| *waiting >= count)
            .await
            .expect("the gate holds its own sender");
    }

    /// Opens the door for everybody, for good.
    pub(super) fn open(&self) {
        self.open.send_replace(true);
    }

    /// How many wait now.
    pub(super) fn waiting_count(&self) -> u64 {
        *self.waiting.borrow()
    }
}
