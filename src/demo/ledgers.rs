//! What the emulators' ledgers say: how often each conversion was counted, and what it is worth now.

use std::collections::{BTreeMap, BTreeSet};

use super::orders::Amount;
use super::outlets::Outlet;
use super::shop::Expected;
use crate::sandbox::{ConversionKey, Ledger, Platform, Row};

/// By what a platform tells a conversion from others.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    platform: Platform,
    account: String,
    /// The platform's name, conversion action or rule.
    name: String,
    /// The event's id. GA4 is told the order's id, and of anything but purchases the time stands here, in microseconds,
    /// which is unique in the shop.
    id: String,
}

/// What a platform made of a conversion.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How often it was counted, also if it was retracted later.
    pub(super) times: u64,
    /// What it is worth now.
    pub(super) value: Option<Amount>,
}

/// What all platforms counted.
#[derive(Debug, Default)]
pub(super) struct Ledgers {
    seen: BTreeMap<Key, Seen>,
    ids: BTreeSet<String>,
}

impl Key {
    /// Of an event of the business; nothing where the platform has no name for such events.
    pub(super) fn of(outlet: &Outlet, id: &str, expected: &Expected) -> Option<Key> {
        let id = match (outlet.platform, expected.name) {
            (Platform::Ga4, "order_paid") => expected.business_id.clone(),
            (Platform::Ga4, _) => expected.occurred_at.timestamp_micros().to_string(),
            _ => id.to_owned(),
        };
        Some(Key {
            platform: outlet.platform,
            account: outlet.account.to_owned(),
            name: outlet.name_of(expected.name)?.to_owned(),
            id,
        })
    }

    fn of_row(row: &Row) -> Key {
        let name = row.event_name.clone().unwrap_or_default();
        let id = match (row.platform, name.as_str()) {
            (Platform::Ga4, name) if name != "purchase" => {
                let body: serde_json::Value = serde_json::from_slice(&row.body).unwrap_or_default();
                body["timestamp_micros"].to_string()
            }
            _ => row.event_id.clone().unwrap_or_default(),
        };
        Key {
            platform: row.platform,
            account: row.account.clone(),
            name,
            id,
        }
    }
}

impl std::fmt::Display for Key {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} {}", self.platform, self.name, self.id)
    }
}

impl Ledgers {
    /// Reads the ledger.
    pub(super) fn read(ledger: &Ledger) -> Ledgers {
        let mut ledgers = Ledgers::default();
        for row in ledger.rows() {
            ledgers.ids.extend(row.event_id.clone());
            if row.verdict.counts() {
                let seen = ledgers.seen.entry(Key::of_row(row)).or_default();
                seen.times += 1;
                seen.value = amount(row.value.as_deref());
            }
        }
        for (key, seen) in &mut ledgers.seen {
            // Google changes conversions; elsewhere a conversion stays what it was.
            if matches!(
                key.platform,
                Platform::GoogleDataManager | Platform::GoogleAds
            ) {
                let conversion = ledger.conversion(&ConversionKey {
                    platform: key.platform,
                    account: key.account.clone(),
                    event_name: key.name.clone(),
                    key: key.id.clone(),
                });
                seen.value = conversion.and_then(|held| amount(held.amount().value.as_deref()));
            }
        }
        ledgers
    }

    /// Ledgers that hold these.
    #[cfg(test)]
    pub(super) fn of(seen: impl Iterator<Item = (Key, Seen)>) -> Ledgers {
        Ledgers {
            seen: seen.collect(),
            ids: BTreeSet::new(),
        }
    }

    /// What became of one conversion.
    pub(super) fn seen(&self, key: &Key) -> Seen {
        self.seen.get(key).copied().unwrap_or_default()
    }

    /// Every conversion that was counted.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.seen.keys()
    }

    /// Whether an event of this id ever arrived anywhere.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

fn amount(text: Option<&str>) -> Option<Amount> {
    Amount::parse(text?)
}
