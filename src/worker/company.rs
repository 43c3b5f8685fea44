//! Which jobs share a request.
//!
//! A platform that fails on one event fails the whole request with it, and does not say which. So a delivery that was in
//! a request that failed is suspected, and goes in company half as large each time, until it is alone. Refusals are not
//! for here: a batch that is refused whole is split at once.

use std::collections::BTreeMap;

use super::lane::Job;

/// Parts of a batch, each for one request; the last one is to go first and holds those that nobody suspects.
pub(super) fn parts(jobs: Vec<Job>, batch_size: usize) -> Vec<Vec<Job>> {
    let mut by_failures: BTreeMap<u32, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        let is_suspected = job.prior.first_tried_at.is_some();
        let failures = u32::try_from(job.prior.tries).unwrap_or(0);
        let failures = if is_suspected { failures } else { 0 };
        by_failures.entry(failures).or_default().push(job);
    }
    let mut parts = Vec::new();
    for (failures, mut jobs) in by_failures.into_iter().rev() {
        let size = batch_size.checked_shr(failures).unwrap_or(0).max(1);
        while jobs.len() > size {
            parts.push(jobs.split_off(jobs.len() - size));
        }
        parts.push(jobs);
    }
    parts
}
