//! What the platforms' reports show of the ledger: which events, on which day, and how late. Not for the form of any report,
//! which each emulator has by itself.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::dedup::ConversionKey;
use super::exchange::{Channel, Platform};
use super::ledger::Ledger;
use super::row::Row;

/// How reports stand to what was counted. A new world shows everything at once, whole, and in UTC.
#[derive(Debug, Default)]
pub(super) struct Reporting {
    settings: Settings,
    /// Questions that are still answered, where there is a quota.
    left: BTreeMap<Platform, u32>,
}

/// What reports leave out or show otherwise; what is absent changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long after its arrival an event shows, in seconds.
    pub late_secs: u32,
    /// Events that no ad is thanked for, by their ids on the platform: reports of attributed conversions leave them out.
    pub unattributed: BTreeSet<String>,
    /// Whose days the two of Google's reports count.
    pub google_zone: Zone,
    /// The currency of Google's reports; `EUR` if empty.
    pub google_currency: String,
    /// GA4's properties with the measurement ids of their streams; without any, every property has them all.
    pub properties: BTreeMap<String, Vec<String>>,
    /// GA4 withholds rows with fewer events than that, and says so.
    pub withhold_below: u64,
    /// GA4 rolls all rows beyond so many into one, and says so.
    pub rows_kept: Option<usize>,
    /// Most rows of a page of the two of Google's reports.
    pub page_rows: Option<usize>,
    /// Questions that each platform answers; every further one finds the quota used up.
    pub quota: Option<u32>,
    /// Match quality of Meta's events, by their names there; without any, it may not be read.
    pub match_quality: BTreeMap<String, f64>,
}

/// A time zone: its name, and how far it is ahead of UTC.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Zone {
    /// As reports call it; `Etc/UTC` if empty.
    pub name: String,
    /// Seconds.
    pub ahead_secs: i32,
}

/// An event that was counted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Counted {
    pub(super) account: String,
    /// The platform's event name; for Google and LinkedIn the conversion action or rule.
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) happened_at: DateTime<Utc>,
    /// What it is worth now, as it was written.
    pub(super) value: Option<String>,
}

impl Reporting {
    /// Changes how reports stand to what was counted.
    pub(super) fn set_up(&mut self, settings: Settings) {
        self.left = match settings.quota {
            Some(quota) => Platform::ALL.map(|platform| (platform, quota)).into(),
            None => BTreeMap::new(),
        };
        self.settings = settings;
    }

    /// How reports stand to what was counted.
    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Counts a question, and says whether the quota had room for it.
    pub(super) fn ask(&mut self, platform: Platform) -> bool {
        match self.left.get_mut(&platform) {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        }
    }
}

impl Settings {
    /// The currency of Google's reports.
    pub(super) fn google_currency(&self) -> &str {
        match self.google_currency.as_str() {
            "" => "EUR",
            currency => currency,
        }
    }
}

impl Zone {
    /// As reports call it.
    pub(super) fn name(&self) -> &str {
        match self.name.as_str() {
            "" => "Etc/UTC",
            name => name,
        }
    }

    /// The day of a time in this zone.
    pub(super) fn day(&self, time: DateTime<Utc>) -> NaiveDate {
        match FixedOffset::east_opt(self.ahead_secs) {
            Some(offset) => time.with_timezone(&offset).date_naive(),
            None => time.date_naive(),
        }
    }
}

/// What a report is made of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Book<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) settings: &'a Settings,
    pub(super) now: DateTime<Utc>,
}

impl Book<'_> {
    /// Everything that a platform received from servers and counted, as far as it shows by now.
    pub(super) fn received(&self, platform: Platform) -> Vec<Counted> {
        let late = TimeDelta::seconds(self.settings.late_secs.into());
        let shows = |row: &&Row| {
            row.platform == platform
                && row.channel == Channel::Server
                && row.verdict.counts()
                && row.received_at + late <= self.now
        };
        let rows = self.ledger.rows().filter(shows);
        rows.filter_map(|row| self.counted(row)).collect()
    }

    /// The same without what no ad is thanked for.
    pub(super) fn attributed(&self, platform: Platform) -> Vec<Counted> {
        let mut counted = self.received(platform);
        counted.retain(|one| {
            let id = one.id.as_ref();
            id.is_none_or(|id| !self.settings.unattributed.contains(id))
        });
        counted
    }

    /// A row with what became of its conversion; nothing where that was taken back.
    fn counted(&self, row: &Row) -> Option<Counted> {
        let key = ConversionKey {
            platform: row.platform,
            account: row.account.clone(),
            event_name: row.event_name.clone()?,
            key: row.event_id.clone().unwrap_or_default(),
        };
        let conversion = self.ledger.conversion(&key);
        if conversion.is_some_and(|conversion| conversion.counted() == 0) {
            return None;
        }
        let value = match conversion {
            Some(conversion) => conversion.amount().value.clone(),
            None => row.value.clone(),
        };
        Some(Counted {
            account: key.account,
            name: key.event_name,
            id: row.event_id.clone(),
            happened_at: happened_at(row).unwrap_or(row.received_at),
            value,
        })
    }
}

/// When an event says it happened.
fn happened_at(row: &Row) -> Option<DateTime<Utc>> {
    let event: Value = serde_json::from_str(&row.event).ok()?;
    match row.platform {
        Platform::Meta => DateTime::from_timestamp(event["event_time"].as_i64()?, 0),
        Platform::Ga4 => {
            let body: Value = serde_json::from_slice(&row.body).ok()?;
            let micros = [&event, &body]
                .into_iter()
                .find_map(|of| of.get("timestamp_micros"))?;
            let micros = micros.as_i64().or_else(|| micros.as_str()?.parse().ok())?;
            DateTime::from_timestamp_micros(micros)
        }
        Platform::GoogleDataManager => {
            let time = ["eventTimestamp", "event_timestamp"]
                .into_iter()
                .find_map(|name| event.get(name)?.as_str())?;
            let time = DateTime::parse_from_rfc3339(time).ok()?;
            Some(time.with_timezone(&Utc))
        }
        Platform::GoogleAds => {
            let time = ["conversionDateTime", "conversion_date_time"]
                .into_iter()
                .find_map(|name| event.get(name)?.as_str())?;
            let time = DateTime::parse_from_str(time, "%Y-%m-%d %H:%M:%S%:z").ok()?;
            Some(time.with_timezone(&Utc))
        }
        Platform::LinkedIn => {
            DateTime::from_timestamp_millis(event["conversionHappenedAt"].as_i64()?)
        }
    }
}
