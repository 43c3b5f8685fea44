//! What a run found and did. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::filter::Filter;
use crate::decide::again::Refusal;

/// What a run found and did. Its JSON form is an interface: keys and their order stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// `replay` or `skip`.
    pub action: &'static str,
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Whether doubts and the configuration's age limit were overruled.
    pub forced: bool,
    /// Which deliveries were meant.
    pub filter: Filter,
    /// What may be done, by destination, state and reason.
    pub deliveries: Vec<Count>,
    /// What may not, and why.
    pub refused: Vec<Refused>,
    /// Sum of `deliveries`.
    pub total: u64,
    /// Sum of `refused`.
    pub refused_total: u64,
    /// Of the total, how many were done. The others changed in between.
    pub done: u64,
    /// The run's row in the audit.
    pub audit_no: Option<i64>,
}

/// Deliveries that stand alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Where.
    pub destination: String,
    /// Their state before.
    pub state: &'static str,
    /// Why.
    pub reason: Option<String>,
    /// How many.
    pub count: u64,
}

/// Deliveries that are refused alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// Where.
    pub destination: String,
    /// Their state.
    pub state: &'static str,
    /// Why they are in it.
    pub reason: Option<String>,
    /// Why they are refused, in a word.
    pub refusal: &'static str,
    /// Whether `--force` overrules that.
    pub can_be_forced: bool,
    /// The same in a sentence, with what the command can do about it.
    pub why: String,
    /// The same without that, for pages.
    #[serde(skip)]
    pub because: &'static str,
    /// How many.
    pub count: u64,
    /// One of them.
    pub sample_event_id: String,
}

/// Destination, state and reason.
pub(super) type Kind = (String, &'static str, Option<String>);

/// What a run has seen so far.
#[derive(Default)]
pub(super) struct Tally {
    /// What may be done.
    pub(super) total: u64,
    good: BTreeMap<Kind, u64>,
    /// With one event of each.
    refused: BTreeMap<(Kind, Refusal), (u64, String)>,
}

impl Tally {
    /// Counts one delivery.
    pub(super) fn add(&mut self, kind: Kind, event_id: &str, judged: Result<(), Refusal>) {
        match judged {
            Ok(()) => {
                self.total += 1;
                *self.good.entry(kind).or_default() += 1;
            }
            Err(refusal) => {
                let sample = || (0, event_id.to_owned());
                self.refused.entry((kind, refusal)).or_insert_with(sample).0 += 1;
            }
        }
    }

    /// How many were refused.
    pub(super) fn refused_total(&self) -> u64 {
        self.refused.values().map(|(count, _)| count).sum()
    }

    /// What may be done, by destination, state and reason.
    pub(super) fn counts(&self) -> Vec<Count> {
        self.good
            .iter()
            .map(|((destination, state, reason), count)| Count {
                destination: destination.clone(),
                state,
                reason: reason.clone(),
                count: *count,
            })
            .collect()
    }

    /// What is refused, and why.
    pub(super) fn refusals(&self) -> Vec<Refused> {
        self.refused
            .iter()
            .map(
                |(((destination, state, reason), refusal), (count, sample))| Refused {
                    destination: destination.clone(),
                    state,
                    reason: reason.clone(),
                    refusal: refusal.as_str(),
                    can_be_forced: refusal.can_be_forced(),
                    why: refusal.explained(),
                    because: refusal.because(),
                    count: *count,
                    sample_event_id: sample.clone(),
                },
            )
            .collect()
    }
}
