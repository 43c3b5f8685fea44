//! What arrived, event by event, with a verdict, and how often each conversion was counted. The memory of the
//! emulated platforms and the witness of the tests. Not for judging: emulators rule, the ledger applies the
//! ruling to what it has seen before.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::Serialize;

use super::dedup::{ConversionKey, Sighting};
use super::exchange::{Heard, Judged, Platform, Ruling};
use super::row::{Envelope, Row, Verdict};

/// Counters of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccountCount {
    /// Requests that named this account.
    pub requests: u64,
    /// Rows by verdict; verdicts never given are absent.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Events that a report of the platform would show: stored and doubled.
    pub counted: u64,
    /// Different conversions among the counted ones.
    pub conversions: u64,
    /// Counted beyond the first of each conversion.
    pub doubles: u64,
}

/// All rows and counts. Bounded: the oldest rows go first, and what went is counted.
#[derive(Debug)]
pub struct Ledger {
    rows: VecDeque<Row>,
    rows_max: usize,
    dropped_rows: u64,
    forgotten_keys: u64,
    last_seq: u64,
    last_request: u64,
    sightings: HashMap<ConversionKey, Sighting>,
    accounts: BTreeMap<(Platform, String), AccountCount>,
}

impl Ledger {
    /// An empty ledger that keeps at most this many rows, and at most this many conversion keys.
    pub(super) fn new(rows_max: usize) -> Ledger {
        Ledger {
            rows: VecDeque::new(),
            rows_max,
            dropped_rows: 0,
            forgotten_keys: 0,
            last_seq: 0,
            last_request: 0,
            sightings: HashMap::new(),
            accounts: BTreeMap::new(),
        }
    }

    /// The rows still kept, oldest first.
    pub fn rows(&self) -> impl DoubleEndedIterator<Item = &Row> + ExactSizeIterator {
        self.rows.iter()
    }

    /// Rows with this platform, event name and event id (or transaction id), oldest first.
    pub fn of_event<'a>(
        &'a self,
        platform: Platform,
        event_name: &'a str,
        event_id: &'a str,
    ) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| {
            row.platform == platform
                && row.event_name.as_deref() == Some(event_name)
                && row.event_id.as_deref() == Some(event_id)
        })
    }

    /// How many rows of this platform got this verdict, rows dropped since included.
    #[must_use]
    pub fn count(&self, platform: Platform, verdict: Verdict) -> u64 {
        let of_platform = self.accounts.iter().filter(|((of, _), _)| *of == platform);
        of_platform
            .filter_map(|(_, count)| count.verdicts.get(&verdict))
            .sum()
    }

    /// Counters per platform and account, in order.
    pub fn accounts(&self) -> impl Iterator<Item = (Platform, &str, &AccountCount)> {
        self.accounts
            .iter()
            .map(|((platform, account), count)| (*platform, account.as_str(), count))
    }

    /// Every conversion that was counted at least once, with how often. In no particular order.
    pub fn conversions(&self) -> impl Iterator<Item = (&ConversionKey, u64)> {
        let counted = self
            .sightings
            .iter()
            .filter(|(_, sighting)| sighting.counted() > 0);
        counted.map(|(key, sighting)| (key, sighting.counted()))
    }

    /// Number of the newest row; 0 when there is none yet.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Rows that had to go to stay within the bound.
    #[must_use]
    pub fn dropped_rows(&self) -> u64 {
        self.dropped_rows
    }

    /// Conversions whose key was not remembered to stay within the bound: repeats of them are not noticed.
    #[must_use]
    pub fn forgotten_keys(&self) -> u64 {
        self.forgotten_keys
    }

    /// Forgets everything, dedup memory included.
    pub(super) fn reset(&mut self) {
        *self = Ledger::new(self.rows_max);
    }

    /// Writes down one request: a row for each event, or one row if it has none.
    pub(super) fn record(&mut self, envelope: &Envelope, events: Vec<(Heard, Judged)>) {
        self.last_request += 1;
        self.count_of(envelope).requests += 1;
        for (heard, judged) in events {
            let (verdict, why) = self.settle(envelope, &heard, &judged.ruling);
            let reasons = [judged.reason.as_str(), why].map(str::trim);
            let reason = reasons
                .into_iter()
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
                .join("; ");
            self.push(envelope, heard, verdict, reason);
        }
    }

    /// Writes down a request that a fault ended before anything was judged.
    pub(super) fn record_fault(&mut self, envelope: &Envelope, events: Vec<Heard>, reason: &str) {
        self.last_request += 1;
        self.count_of(envelope).requests += 1;
        for heard in events {
            self.push(envelope, heard, Verdict::Fault, reason.to_owned());
        }
    }

    fn count_of(&mut self, envelope: &Envelope) -> &mut AccountCount {
        self.accounts
            .entry((envelope.platform, envelope.account.clone()))
            .or_default()
    }

    fn push(&mut self, envelope: &Envelope, heard: Heard, verdict: Verdict, reason: String) {
        *self.count_of(envelope).verdicts.entry(verdict).or_default() += 1;
        self.last_seq += 1;
        if self.rows.len() >= self.rows_max {
            self.rows.pop_front();
            self.dropped_rows += 1;
        }
        if self.rows_max == 0 {
            return;
        }
        self.rows.push_back(Row {
            seq: self.last_seq,
            request: self.last_request,
            platform: envelope.platform,
            account: envelope.account.clone(),
            path: envelope.path.clone(),
            channel: envelope.channel,
            received_at: envelope.received_at,
            event_name: heard.event_name,
            event_id: heard.event_id,
            value: heard.value,
            currency: heard.currency,
            verdict,
            reason,
            status: envelope.status,
            digest: envelope.digest.clone(),
            event: heard.json,
            body: envelope.body.clone(),
        });
    }

    /// Turns a ruling into a verdict, given what was seen before, with a reason where the ledger has one.
    fn settle(
        &mut self,
        envelope: &Envelope,
        heard: &Heard,
        ruling: &Ruling,
    ) -> (Verdict, &'static str) {
        let (key, repeats) = match ruling {
            Ruling::Take { key, repeats } => (key, *repeats),
            Ruling::Collapse => {
                return (Verdict::Collapsed, "folded into others: its key is empty");
            }
            Ruling::Validate => return (Verdict::Validated, ""),
            Ruling::Vanish => return (Verdict::Vanished, "answered, then thrown away"),
            Ruling::Reject => return (Verdict::Rejected, ""),
        };
        let key = ConversionKey {
            platform: envelope.platform,
            account: envelope.account.clone(),
            event_name: heard.event_name.clone().unwrap_or_default(),
            key: key.clone(),
        };
        if !self.sightings.contains_key(&key) && self.sightings.len() >= self.rows_max {
            self.forgotten_keys += 1;
            let count = self.count_of(envelope);
            count.counted += 1;
            count.conversions += 1;
            return (
                Verdict::Stored,
                "the ledger is full: repeats of this event go unnoticed",
            );
        }
        let sighting = self.sightings.entry(key).or_default();
        let (verdict, why) = sighting.meet(repeats, envelope.channel, envelope.received_at);
        let counted = sighting.counted();
        if verdict.counts() {
            let count = self.count_of(envelope);
            count.counted += 1;
            if counted == 1 {
                count.conversions += 1;
            } else {
                count.doubles += 1;
            }
        }
        (verdict, why)
    }
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
