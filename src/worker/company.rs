//! Which jobs share a request.
//!
//! A platform that fails on one event fails the whole request with it, and does not say which. So a delivery that was in
//! a request that failed is suspected, and goes in company half as large each time, until it is alone. So
//! does one whose request was found at fault later. Refusals are not for here: a batch that is refused whole is split at once.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::lane::Job;
use crate::destinations::Lot;

/// The lots of a batch, each with its parts. Lots know nothing of one another and may go at once.
pub(super) fn lots(jobs: Vec<Job>, batch_size: usize) -> Vec<Vec<Vec<Job>>> {
    let mut by_lot: BTreeMap<Lot, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        let lot = job.sendable.item.lot.clone();
        by_lot.entry(lot).or_default().push(job);
    }
    by_lot
        .into_values()
        .map(|jobs| parts(jobs, batch_size))
        .collect()
}

/// Parts of a lot, each for one request; the last one is to go first and holds those that nobody suspects. They go one after
/// another: who is suspected together is not to be judged by what goes well beside it.
fn parts(jobs: Vec<Job>, batch_size: usize) -> Vec<Vec<Job>> {
    let mut by_company: BTreeMap<Reverse<usize>, Vec<Job>> = BTreeMap::new();
    for job in jobs {
        let size = company(&job, batch_size);
        by_company.entry(Reverse(size)).or_default().push(job);
    }
    let mut parts = Vec::new();
    for (Reverse(size), mut jobs) in by_company.into_iter().rev() {
        while jobs.len() > size {
            parts.push(jobs.split_off(jobs.len() - size));
        }
        parts.push(jobs);
    }
    parts
}

/// How many may share a request with this one, itself included.
fn company(job: &Job, batch_size: usize) -> usize {
    if let Some(company) = job.prior.company {
        return usize::from(company).min(batch_size);
    }
    let is_suspected = job.prior.first_tried_at.is_some();
    // A worker that was lost takes hundreds with it: none of them is suspected of anything.
    let failures = job.prior.tries.saturating_sub(job.prior.lost);
    let failures = u32::try_from(failures).unwrap_or(0);
    let failures = if is_suspected { failures } else { 0 };
    batch_size.checked_shr(failures).unwrap_or(0).max(1)
}
