//! What arrived, event by event, with a verdict, and how often each conversion was counted. The memory of the
//! emulated platforms and the witness of the tests. Not for judging: emulators rule, the ledger applies the
//! ruling to what it has seen before.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use serde::Serialize;

use super::calls::{CallCount, Calls};
use super::dedup::{Amount, Conversion, ConversionKey};
use super::exchange::{Heard, Judged, Platform, Repeats, Ruling};
use super::row::{Envelope, Row, Verdict};

/// Said of an event that changes a conversion the ledger had no room for.
const FORGOTTEN: &str = "the ledger does not remember the conversion it is about";

/// Counters of one account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AccountCount {
    /// Requests that named this account.
    pub requests: u64,
    /// Rows by verdict; verdicts never given are absent.
    pub verdicts: BTreeMap<Verdict, u64>,
    /// Events that a report of the platform would show: stored and doubled, without what was retracted.
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
    conversions: HashMap<ConversionKey, Conversion>,
    calls: Calls,
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
            conversions: HashMap::new(),
            calls: Calls::default(),
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

    /// Every conversion that was counted at least once, retracted ones included. In no particular order.
    pub fn conversions(&self) -> impl Iterator<Item = (&ConversionKey, &Conversion)> {
        self.conversions.iter()
    }

    /// One conversion, if it was ever counted.
    #[must_use]
    pub fn conversion(&self, key: &ConversionKey) -> Option<&Conversion> {
        self.conversions.get(key)
    }

    /// How often a path that carries no events was called, such as `/token`: zeros if never.
    #[must_use]
    pub fn call(&self, platform: Platform, path: &str) -> CallCount {
        self.calls.of(platform, path)
    }

    /// The counts of all paths that carry no events, in order.
    pub fn calls(&self) -> impl Iterator<Item = (Platform, &str, &CallCount)> {
        self.calls.list()
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

    /// A call without events begins.
    pub(super) fn begin_call(&mut self, platform: Platform, path: &str) {
        self.calls.begin(platform, path);
    }

    /// A call without events ends with this status; without one its connection was cut.
    pub(super) fn end_call(&mut self, platform: Platform, path: &str, status: Option<u16>) {
        self.calls.end(platform, path, status);
    }

    /// Writes down one request: a row for each event, or one row if it has none.
    pub(super) fn record(&mut self, envelope: &Envelope, events: Vec<(Heard, Judged)>) {
        self.count_request(envelope, events.iter().map(|(heard, _)| heard));
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
        self.count_request(envelope, events.iter());
        for heard in events {
            self.push(envelope, heard, Verdict::Fault, reason.to_owned());
        }
    }

    /// Counts the request once for each account that its events name.
    fn count_request<'a>(
        &mut self,
        envelope: &'a Envelope,
        events: impl Iterator<Item = &'a Heard>,
    ) {
        self.last_request += 1;
        let accounts: BTreeSet<&str> = events.map(|heard| account_of(envelope, heard)).collect();
        for account in accounts {
            self.count_of(envelope.platform, account).requests += 1;
        }
    }

    fn count_of(&mut self, platform: Platform, account: &str) -> &mut AccountCount {
        self.accounts
            .entry((platform, account.to_owned()))
            .or_default()
    }

    fn push(&mut self, envelope: &Envelope, heard: Heard, verdict: Verdict, reason: String) {
        let account = account_of(envelope, &heard).to_owned();
        let count = self.count_of(envelope.platform, &account);
        *count.verdicts.entry(verdict).or_default() += 1;
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
            account,
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
        let now = envelope.received_at;
        let amount = Amount {
            value: heard.value.clone(),
            currency: heard.currency.clone(),
        };
        match ruling {
            Ruling::Take { key, repeats } => {
                let key = ConversionKey {
                    platform: envelope.platform,
                    account: account_of(envelope, heard).to_owned(),
                    event_name: match repeats {
                        Repeats::TagStands => String::new(),
                        _ => heard.event_name.clone().unwrap_or_default(),
                    },
                    key: key.clone(),
                };
                self.take(key, *repeats, envelope, amount)
            }
            Ruling::Adjust { conversion } => {
                let Some(held) = self.conversions.get_mut(conversion) else {
                    return (Verdict::Adjusted, FORGOTTEN);
                };
                held.adjust(amount, now);
                (Verdict::Adjusted, "")
            }
            Ruling::Retract { conversion } => {
                let Some(held) = self.conversions.get_mut(conversion) else {
                    return (Verdict::Retracted, FORGOTTEN);
                };
                let counted = held.retract(now);
                let count = self.count_of(conversion.platform, &conversion.account);
                count.counted -= counted;
                count.conversions -= counted.min(1);
                count.doubles -= counted.saturating_sub(1);
                (Verdict::Retracted, "")
            }
            Ruling::Repeat { conversion } => {
                let Some(held) = self.conversions.get_mut(conversion) else {
                    return (Verdict::Deduplicated, FORGOTTEN);
                };
                held.recur(now);
                (Verdict::Deduplicated, "")
            }
            Ruling::Collapse => (Verdict::Collapsed, "folded into others: its key is empty"),
            Ruling::Validate => (Verdict::Validated, ""),
            Ruling::Vanish => (Verdict::Vanished, "answered, then thrown away"),
            Ruling::Drop => (Verdict::Dropped, "answered, then dropped in processing"),
            Ruling::Reject => (Verdict::Rejected, ""),
        }
    }

    /// Counts an event by its key.
    fn take(
        &mut self,
        key: ConversionKey,
        repeats: Repeats,
        envelope: &Envelope,
        amount: Amount,
    ) -> (Verdict, &'static str) {
        let (platform, account) = (key.platform, key.account.clone());
        if !self.conversions.contains_key(&key) && self.conversions.len() >= self.rows_max {
            self.forgotten_keys += 1;
            let count = self.count_of(platform, &account);
            count.counted += 1;
            count.conversions += 1;
            return (
                Verdict::Stored,
                "the ledger is full: repeats of this event go unnoticed",
            );
        }
        let held = self.conversions.entry(key).or_default();
        let (verdict, why) = held.meet(repeats, envelope.channel, amount, envelope.received_at);
        let counted = held.counted();
        if verdict.counts() {
            let count = self.count_of(platform, &account);
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

/// The account an event is for.
fn account_of<'a>(envelope: &'a Envelope, heard: &'a Heard) -> &'a str {
    heard.account.as_deref().unwrap_or(&envelope.account)
}

#[cfg(test)]
#[path = "ledger_tests.rs"]
mod tests;
