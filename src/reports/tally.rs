//! Adds up what the answers say, and makes days of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use serde_json::{Map, Value};

use super::amount::Amount;
use super::{Query, ReportError, ReportedDay};

/// Longest id that is kept, in characters: what is longer is no id of ours.
pub(crate) const ID_MAX: usize = 100;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// The zone of the days, once an answer told.
    pub(super) time_zone: Option<String>,
    /// The currency of the values, where it is told or configured.
    pub(super) currency: Option<String>,
    /// What is to be known of every number.
    pub(super) details: Map<String, Value>,
    /// What is to be known of the numbers of one name.
    pub(super) name_details: BTreeMap<String, Map<String, Value>>,
    /// How far the questions have come. Each platform counts in its own way: rows, or parts of the days.
    pub(super) position: u64,
    /// Hours that were read, where an answer may tell one twice: seconds since 1970.
    pub(super) hours: BTreeSet<i64>,
    /// Names whose ids are told: a day without any then has none.
    pub(super) told_by_id: BTreeSet<String>,
    days: BTreeMap<(String, NaiveDate), Day>,
}

#[derive(Debug, Default)]
struct Day {
    conversions: Amount,
    value: Option<Amount>,
    ids: Option<BTreeMap<String, u64>>,
}

/// One row of an answer.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) name: &'a str,
    pub(super) day: NaiveDate,
    pub(super) conversions: Amount,
    pub(super) value: Option<Amount>,
}

impl Tally {
    /// Adds a row, if it was asked for.
    pub(super) fn add(&mut self, query: &Query<'_>, row: &Row<'_>) {
        if query.wants(row.name, row.day) {
            self.add_to(row);
        }
    }

    /// Adds a row of one business or transaction id, if it was asked for. `count` is how often the id was counted.
    pub(super) fn add_of_id(&mut self, query: &Query<'_>, row: &Row<'_>, id: &str, count: u64) {
        if !query.wants(row.name, row.day) {
            return;
        }
        self.told_by_id.insert(row.name.to_owned());
        let ids = &mut self.add_to(row).ids;
        if id.chars().count() <= ID_MAX {
            let sum = ids
                .get_or_insert_default()
                .entry(id.to_owned())
                .or_default();
            *sum = sum.saturating_add(count);
        }
    }

    fn add_to(&mut self, row: &Row<'_>) -> &mut Day {
        let day = self.days.entry((row.name.to_owned(), row.day)).or_default();
        day.conversions = day.conversions.plus(row.conversions);
        if let Some(value) = row.value {
            day.value = Some(day.value.unwrap_or_default().plus(value));
        }
        day
    }

    /// Every day of every name that was asked for, nought where nothing was told.
    pub(super) fn finish(
        mut self,
        query: &Query<'_>,
        events: &BTreeMap<&str, Vec<&str>>,
    ) -> Result<Vec<ReportedDay>, ReportError> {
        let time_zone = self
            .time_zone
            .take()
            .ok_or(ReportError::Unreadable("it names no time zone"))?;
        let mut reported = Vec::new();
        for (name, events) in events {
            let mut details = self.details.clone();
            details.extend(self.name_details.remove(*name).unwrap_or_default());
            if events.len() > 1 {
                details.insert("events".to_owned(), events.clone().into());
            }
            let Some(event_name) = events.first() else {
                continue;
            };
            let is_told_by_id = self.told_by_id.contains(*name);
            for day in query.first.iter_days().take_while(|day| *day <= query.last) {
                let told = self.days.remove(&((*name).to_owned(), day));
                let told = told.unwrap_or_default();
                reported.push(ReportedDay {
                    event_name: (*event_name).to_owned(),
                    platform_name: (*name).to_owned(),
                    day,
                    time_zone: time_zone.clone(),
                    conversions: told.conversions.to_string(),
                    value: told.value.map(|value| value.to_string()),
                    currency: told.value.and(self.currency.clone()),
                    ids: told.ids.or(is_told_by_id.then(BTreeMap::new)),
                    details: Value::Object(details.clone()),
                });
            }
        }
        Ok(reported)
    }
}
