//! Folds the tallies every few seconds, so that pages and scrapes stay quick.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Shared;
use crate::tally;

/// Between two looks. A busy worker leaves some thousand rows of news in that time.
const EVERY: Duration = Duration::from_secs(5);

/// Between two batches of a backlog: the host database has other things to do.
const PAUSE: Duration = Duration::from_millis(100);

/// Folds until told to stop.
pub(super) async fn run(shared: Arc<Shared>, mut stop: watch::Receiver<bool>) {
    loop {
        let pause = match tally::fold(&shared.database).await {
            Ok(true) => PAUSE,
            Ok(false) => EVERY,
            Err(error) => {
                tracing::warn!(%error, "the tallies could not be folded; trying again");
                EVERY
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|&stop| stop) => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
