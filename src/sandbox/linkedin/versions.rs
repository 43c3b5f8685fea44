//! The monthly versions and when each one ends. Not for what a version changes in the schema, which `schema` knows.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};

use super::error;
use crate::sandbox::exchange::{Arrived, Reply};

/// Every version not yet shut down, with the day it ends
/// (`learn.microsoft.com/en-us/linkedin/marketing/integrations/migrations`, 2026-09-16).
const ENDS: [(u32, (i32, u32, u32)); 9] = [
    (202_601, (2027, 1, 15)),
    (202_602, (2027, 2, 15)),
    (202_603, (2027, 3, 16)),
    (202_604, (2027, 4, 15)),
    (202_605, (2027, 5, 15)),
    (202_606, (2027, 6, 15)),
    (202_607, (2027, 7, 15)),
    (202_608, (2027, 8, 17)),
    (202_609, (2027, 9, 15)),
];

/// All versions with the day each one ends.
#[derive(Debug)]
pub(super) struct Versions(BTreeMap<u32, NaiveDate>);

impl Default for Versions {
    fn default() -> Versions {
        let end = |(version, (year, month, day))| {
            NaiveDate::from_ymd_opt(year, month, day).map(|date| (version, date))
        };
        Versions(ENDS.into_iter().filter_map(end).collect())
    }
}

impl Versions {
    /// Lets a version end on another day; one that is not in the table exists from now on.
    pub(super) fn set_end(&mut self, version: u32, day: NaiveDate) {
        self.0.insert(version, day);
    }

    /// The version of a request; if there is none that works, why for the ledger and the answer.
    pub(super) fn of(
        &self,
        arrived: &Arrived,
        now: DateTime<Utc>,
    ) -> Result<u32, (&'static str, Reply)> {
        let Some(header) = arrived.headers.get("linkedin-version") else {
            let missing = error::VERSION_MISSING;
            return Err((missing.code, missing.reply()));
        };
        let text = header.to_str().unwrap_or_default();
        let version = Some(text).filter(|text| text.len() == 6);
        let version = version.and_then(|text| text.parse().ok());
        let is_active = |version: &u32| {
            let end = self.0.get(version);
            end.is_some_and(|end| now.date_naive() < *end)
        };
        version.filter(is_active).ok_or_else(|| {
            let ended = error::NONEXISTENT_VERSION;
            // LinkedIn names the month's first day: `20250401` for `202504`, as recorded answers show.
            let day = if text.len() == 6 { "01" } else { "" };
            let message = format!("Requested version {text}{day} is not active");
            (ended.code, ended.reply_with(&message))
        })
    }
}
