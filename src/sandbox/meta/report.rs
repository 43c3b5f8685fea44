//! Statistics of a dataset by hour, and its match quality (`…/marketing-api/reference/ads-pixel/stats`,
//! `…/conversions-api/dataset-quality-api`; the form of an hour and pages of 24 of them as others measured). Strict: only
//! documented parameters, and of them those that this page tells of. Not for events.

use std::collections::BTreeMap;

use axum::http::Method;
use chrono::{DateTime, DurationRound, FixedOffset, TimeDelta, Utc};
use serde_json::{Value, json};

use super::refusal::{Refusal, scripted, trace_id};
use super::{check_standing, token, version_expired};
use crate::sandbox::accounts::Accounts;
use crate::sandbox::counted::Book;
use crate::sandbox::exchange::{Arrived, Platform, Reading, Reply};

/// Hours of a page.
const PAGE: usize = 24;

/// Most names told of an hour: "the top 100 events".
const NAMES_MAX: usize = 100;

/// Hours come in the zone of an account, here one that is ahead of UTC.
const AHEAD_SECS: i32 = 3600;

/// The parameters of statistics.
const PARAMETERS: [&str; 7] = [
    "aggregation",
    "event_source",
    "start_time",
    "end_time",
    "access_token",
    "after",
    "limit",
];

/// Whether a path asks for a report.
pub(in crate::sandbox) fn is_report(path: &str) -> bool {
    path.ends_with("/stats") || path.ends_with("/dataset_quality")
}

/// Answers a report: path, token, dataset, quota, then the question.
pub(in crate::sandbox) fn answer(
    arrived: &Arrived,
    accounts: &Accounts,
    has_room: bool,
    book: &Book<'_>,
) -> Reply {
    let trace = trace_id(&[
        arrived.path.as_bytes(),
        &book.now.timestamp_micros().to_be_bytes(),
    ]);
    let told = tell(arrived, accounts, has_room, book);
    told.unwrap_or_else(|refused| match refused {
        Refused::Wrong(refusal) => refusal.reply(&trace),
        // (#80004) There have been too many calls to this ad-account.
        Refused::Throttled => scripted(400, 80_004, Some(2_446_079), None),
        Refused::Forbidden => scripted(403, 200, None, None),
    })
}

enum Refused {
    Wrong(Refusal),
    Throttled,
    Forbidden,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        Refused::Wrong(refusal)
    }
}

fn tell(
    arrived: &Arrived,
    accounts: &Accounts,
    has_room: bool,
    book: &Book<'_>,
) -> Result<Reply, Refused> {
    let mut parts = arrived.path.split('/').skip(1);
    let (version, rest) = (parts.next().unwrap_or_default(), parts.collect::<Vec<_>>());
    version_expired(version, book.now).ok_or_else(Refusal::unknown_path)?;
    let (dataset, is_quality) = match rest.as_slice() {
        [dataset, "stats"] => (*dataset, false),
        ["dataset_quality"] => (arrived.query("dataset_id").unwrap_or_default(), true),
        _ => return Err(Refusal::unknown_path().into()),
    };
    if arrived.method != Method::GET {
        return Err(Refusal::unknown_path().into());
    }
    let token = token(arrived, &Reading::nothing())?;
    check_standing(accounts.standing(Platform::Meta, dataset, &token), dataset)?;
    if !has_room {
        return Err(Refused::Throttled);
    }
    match is_quality {
        true => quality(arrived, book),
        false => Ok(statistics(arrived, dataset, book)?),
    }
}

fn quality(arrived: &Arrived, book: &Book<'_>) -> Result<Reply, Refused> {
    let fields = arrived.query("fields");
    if fields != Some("web{event_name,event_match_quality{composite_score}}") {
        return Err(Refusal::parameter("fields", "names what is not emulated", None).into());
    }
    if book.settings.match_quality.is_empty() {
        return Err(Refused::Forbidden);
    }
    let event = |(name, score): (&String, &f64)| json!({"event_name": name, "event_match_quality": {"composite_score": score}});
    let events: Vec<Value> = book.settings.match_quality.iter().map(event).collect();
    Ok(Reply::json(200, &json!({"web": events})))
}

fn statistics(arrived: &Arrived, dataset: &str, book: &Book<'_>) -> Result<Reply, Refusal> {
    let unknown = arrived
        .query
        .iter()
        .find(|(name, _)| !PARAMETERS.contains(&name.as_str()));
    if let Some((name, _)) = unknown {
        return Err(Refusal::parameter(name, "is no parameter", None));
    }
    if arrived.query("aggregation").is_some_and(|it| it != "event") {
        return Err(Refusal::parameter(
            "aggregation",
            "is not emulated but as event",
            None,
        ));
    }
    let source = arrived.query("event_source");
    if !matches!(source, Some("SERVER_ONLY" | "WEB_ONLY")) {
        return Err(Refusal::parameter(
            "event_source",
            "must be WEB_ONLY or SERVER_ONLY",
            None,
        ));
    }
    let end = time(arrived, "end_time")?.unwrap_or(book.now);
    let start = time(arrived, "start_time")?.unwrap_or(end - TimeDelta::days(7));
    if end < start || end > book.now + TimeDelta::minutes(5) {
        return Err(Refusal::parameter(
            "end_time",
            "must be after start_time and not in the future",
            None,
        ));
    }
    let counts = match source {
        Some("SERVER_ONLY") => counts(dataset, book),
        _ => BTreeMap::new(),
    };
    let zone = FixedOffset::east_opt(AHEAD_SECS);
    let mut hours = Vec::new();
    let mut hour = hour_of(start);
    while hour < end && hours.len() < PAGE {
        let told = counts.get(&hour).into_iter().flatten().take(NAMES_MAX);
        let data: Vec<Value> = told
            .map(|(name, count)| json!({"value": name, "count": count}))
            .collect();
        let shown = match zone {
            Some(zone) => hour
                .with_timezone(&zone)
                .format("%Y-%m-%dT%H:%M:%S%z")
                .to_string(),
            None => hour.to_rfc3339(),
        };
        hours.push(json!({"start_time": shown, "aggregation": "event", "data": data}));
        hour += TimeDelta::hours(1);
    }
    let mut body = json!({"data": hours});
    if hour < end {
        body["paging"] = json!({"next": "https://graph.facebook.com/next-page"});
    }
    Ok(Reply::json(200, &body))
}

/// How many events of each name in each hour.
fn counts(dataset: &str, book: &Book<'_>) -> BTreeMap<DateTime<Utc>, BTreeMap<String, u64>> {
    let mut counts: BTreeMap<DateTime<Utc>, BTreeMap<String, u64>> = BTreeMap::new();
    for one in book.received(Platform::Meta) {
        if one.account == dataset {
            let hour = counts.entry(hour_of(one.happened_at)).or_default();
            *hour.entry(one.name).or_default() += 1;
        }
    }
    counts
}

fn hour_of(time: DateTime<Utc>) -> DateTime<Utc> {
    time.duration_trunc(TimeDelta::hours(1)).unwrap_or(time)
}

/// A parameter as a Unix or an ISO 8601 time.
fn time(arrived: &Arrived, name: &str) -> Result<Option<DateTime<Utc>>, Refusal> {
    let Some(text) = arrived.query(name) else {
        return Ok(None);
    };
    let unix = text
        .parse()
        .ok()
        .and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let iso = || {
        DateTime::parse_from_rfc3339(text)
            .ok()
            .map(|time| time.with_timezone(&Utc))
    };
    let time = unix.or_else(iso);
    time.map(Some)
        .ok_or_else(|| Refusal::parameter(name, "must be a time", None))
}
