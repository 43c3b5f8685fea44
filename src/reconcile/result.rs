//! What a comparison says: one day of one entry, and what became of it at each destination.
//!
//! The same types are computed, stored and read back. Their JSON form is an interface: keys stay, amounts and shared counts
//! are texts, days are those of `time_zone`.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::exact::Exact;
use super::why::Why;

/// Amounts by currency, exactly.
pub type Amounts = BTreeMap<String, Exact>;

/// `12.50 EUR + 3 USD`, or `nothing`.
pub fn amounts(amounts: &Amounts) -> String {
    let shown: Vec<String> = amounts
        .iter()
        .map(|(currency, sum)| format!("{sum} {currency}"))
        .collect();
    match shown.is_empty() {
        true => "nothing".to_owned(),
        false => shown.join(" + "),
    }
}

/// One day of one entry: the application's own table against the outbox.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DayResult {
    /// Name of the entry.
    pub entry: String,
    /// The day, in `time_zone`.
    pub day: NaiveDate,
    /// The business event.
    pub event_name: String,
    /// IANA name.
    pub time_zone: String,
    /// First moment of the day.
    pub begins_at: DateTime<Utc>,
    /// First moment of the next day.
    pub ends_at: DateTime<Utc>,
    /// Rows of the source, identical ones counted once.
    pub source_rows: u64,
    /// Their amounts.
    pub source_value: Amounts,
    /// Identical rows beyond the first.
    pub source_duplicates: u64,
    /// Events that happened on this day.
    pub outbox_rows: u64,
    /// Their amounts.
    pub outbox_value: Amounts,
    /// Source rows that have an event, of whatever day and amount.
    pub matched: u64,
    /// Source rows that have none.
    pub missing: u64,
    /// Events of the day that no source row belongs to.
    pub extra: u64,
    /// Matched with another amount or currency.
    pub value_differs: u64,
    /// Matched with an event of another day.
    pub other_day: u64,
    /// What may be missing or too many, in per cent of what is expected.
    pub tolerance_percent: u32,
    /// Whether nothing is expected to change any more.
    pub is_closed: bool,
    /// When the last platform's numbers are final and late rows are not waited for any more.
    pub closes_at: DateTime<Utc>,
    /// Why it is not closed; empty when it is.
    pub open_because: Vec<String>,
    /// Gaps that are counted and not listed.
    pub gaps_left_out: u64,
    /// When the comparison was made.
    pub computed_at: DateTime<Utc>,
    /// When it was first found closed. Known of stored days only, as the next two.
    #[serde(default)]
    pub closed_at: Option<DateTime<Utc>>,
    /// When its numbers last changed after that.
    #[serde(default)]
    pub changed_at: Option<DateTime<Utc>>,
    /// How often they did.
    #[serde(default)]
    pub changes: u32,
    /// By name.
    pub destinations: Vec<DestinationResult>,
    /// Every id that is missing, extra or different. Left out where many days are read at once.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

/// What became of a day's events at one destination: those that the source's rows led to, and the extra ones.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DestinationResult {
    /// Name of the destination.
    pub destination: String,
    /// Its platform.
    pub platform: String,
    /// Confirmed by the platform.
    pub accepted: u64,
    /// Handed over to a platform that does not confirm, or has not yet.
    pub sent: u64,
    /// Waits for another try.
    pub pending: u64,
    /// No worker has looked at it yet.
    pub in_queue: u64,
    /// Consent, withdrawal or opt-out.
    pub suppressed: u64,
    /// Cannot apply here.
    pub skipped: u64,
    /// Too old for the platform.
    pub expired: u64,
    /// Wrong for good.
    pub rejected: u64,
    /// May have arrived.
    pub uncertain: u64,
    /// Attempts or age used up.
    pub exhausted: u64,
    /// Taken back, erased or ended by hand.
    pub cancelled: u64,
    /// Finished before the destination was there.
    pub no_delivery: u64,
    /// Amounts of what was accepted or sent.
    pub arrived_value: Amounts,
    /// Source rows less those withheld for a good reason: suppressed, skipped or cancelled.
    pub expected: u64,
    /// What the platform says it counted on its own day.
    pub reported: Option<Exact>,
    /// The value it says, in `reported_currency`.
    pub reported_value: Option<Exact>,
    /// ISO 4217.
    pub reported_currency: Option<String>,
    /// Whose days the platform counts in.
    pub reported_time_zone: Option<String>,
    /// `api` or `csv`.
    pub reported_source: Option<String>,
    /// `received`; or `attributed`, only what it ascribes to an advertisement; `shared`, a sum over several events;
    /// `incomplete`, a sample or less than all. Only from the first a difference follows.
    pub reported_counts: Option<String>,
    /// When it said so.
    pub reported_at: Option<DateTime<Utc>>,
    /// What was accepted or sent of the events of the platform's day, in its own time zone.
    pub arrived_in_reported_day: Option<u64>,
    /// `accepted + sent - expected`, and where the platform reports all it took `reported - arrived_in_reported_day`: the sum where both
    /// are too few or both too many, else the larger of the two, for they do not make up for each other.
    pub difference: Exact,
    /// Whether that is within the tolerance.
    pub is_within: bool,
    /// Whether nothing is expected to change any more.
    pub is_closed: bool,
    /// When the platform's numbers are final and late rows are not waited for any more.
    pub closes_at: DateTime<Utc>,
    /// How many are missing, by `why` or `why/reason`.
    pub whys: BTreeMap<String, u64>,
}

impl DestinationResult {
    /// What the platform says its number is worth; some name no currency.
    pub fn reported_worth(&self) -> Option<String> {
        let currency = self.reported_currency.as_deref().unwrap_or_default();
        let value = self.reported_value?;
        Some(format!("{value} {currency}").trim_end().to_owned())
    }

    /// What left and was not refused.
    pub fn arrived(&self) -> u64 {
        self.accepted + self.sent
    }

    /// What stayed at home for a good reason.
    pub fn withheld(&self) -> u64 {
        self.suppressed + self.skipped + self.cancelled
    }

    /// What should have arrived and has not, for all that is known.
    pub fn lost(&self) -> u64 {
        self.expired + self.rejected + self.uncertain + self.exhausted + self.no_delivery
    }
}

/// One business id that is missing, extra or different.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// Where; `None` where it concerns the outbox itself.
    pub destination: Option<String>,
    /// Order, lead or deal; or what a platform calls it, where nothing of ours has that id.
    pub business_id: String,
    /// The event, where there is one.
    pub event_id: Option<String>,
    /// Why.
    pub why: Why,
    /// The delivery's reason and error code, or what else is known.
    pub reason: Option<String>,
    /// Amount and currency in the source, where they differ.
    pub source: Option<String>,
    /// Amount and currency in the outbox, where they differ.
    pub outbox: Option<String>,
    /// When it happened: by the source, or else by the outbox.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl DayResult {
    /// Whether a closed day differs beyond its tolerance, from the outbox or at some destination.
    pub fn is_finding(&self) -> bool {
        self.is_closed
            && (!self.is_outbox_within() || self.destinations.iter().any(|one| !one.is_within))
    }

    /// Whether outbox and source agree within the tolerance. What is missing and what is extra do not make up for each other.
    pub fn is_outbox_within(&self) -> bool {
        let apart = self.missing + self.extra + self.value_differs;
        is_within(apart.into(), self.source_rows, self.tolerance_percent)
    }
}

/// Whether a difference is within so many per cent of a number.
pub(super) fn is_within(difference: Exact, of: u64, percent: u32) -> bool {
    difference.abs().times(100) <= Exact::from(of).times(percent)
}
