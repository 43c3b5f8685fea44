//! `GET /rest/adAnalytics` by conversion rule and day
//! (`learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/ads-reporting`). Strict: the Analytics finder
//! with the pivot CONVERSION alone. Who may not read the account gets an empty answer, as documented.

use std::collections::BTreeMap;

use axum::http::Method;
use chrono::{Datelike, NaiveDate};
use serde_json::{Map, Value, json};

use super::tokens::REPORT_SCOPE;
use super::world::World;
use super::{RULE_PREFIX, error, headers};
use crate::sandbox::counted::Book;
use crate::sandbox::exchange::{Arrived, Platform, Reply};

/// Where reports are asked for.
pub(in crate::sandbox) const REPORT_PATH: &str = "/rest/adAnalytics";

/// The fields that are emulated.
const FIELDS: [&str; 4] = [
    "externalWebsiteConversions",
    "conversionValueInLocalCurrency",
    "dateRange",
    "pivotValues",
];

/// Answers a report: version, token, quota, then the question.
pub(in crate::sandbox) fn answer(
    arrived: &Arrived,
    world: &World,
    has_room: bool,
    book: &Book<'_>,
) -> Reply {
    tell(arrived, world, has_room, book).unwrap_or_else(|reply| reply)
}

fn tell(arrived: &Arrived, world: &World, has_room: bool, book: &Book<'_>) -> Result<Reply, Reply> {
    if arrived.method != Method::GET {
        return Err(error::plain(405, "Method Not Allowed"));
    }
    world
        .versions
        .of(arrived, book.now)
        .map_err(|(_, reply)| reply)?;
    let access = world.tokens.check(arrived, REPORT_SCOPE, book.now);
    let access = access.map_err(|coded| coded.reply())?;
    headers::protocol(arrived, world.mode).map_err(|must| error::plain(400, must))?;
    if !has_room {
        return Err(error::scripted(None, Some("TOO_MANY_REQUESTS")));
    }
    for (name, value) in [
        ("q", "analytics"),
        ("pivot", "CONVERSION"),
        ("timeGranularity", "DAILY"),
    ] {
        if arrived.query(name) != Some(value) {
            return Err(error::plain(
                400,
                &format!("Parameter '{name}' is not emulated but as '{value}'"),
            ));
        }
    }
    let needed = |name: &str| {
        let missing = || error::plain(400, &format!("Parameter '{name}' is required"));
        arrived.query(name).ok_or_else(missing)
    };
    let wrong = |name: &str| error::plain(400, &format!("Invalid value for parameter '{name}'"));
    let (first, last) = dates(needed("dateRange")?).ok_or_else(|| wrong("dateRange"))?;
    let account =
        list(needed("accounts")?).and_then(|urn| urn.strip_prefix("urn:li:sponsoredAccount:"));
    let account = account.ok_or_else(|| wrong("accounts"))?;
    let fields: Vec<&str> = needed("fields")?.split(',').collect();
    if let Some(unknown) = fields.iter().find(|field| !FIELDS.contains(field)) {
        return Err(error::plain(
            400,
            &format!("Field '{unknown}' is not emulated"),
        ));
    }
    if access.is_some_and(|token| !token.may_use(account)) {
        return Ok(page(Vec::new()));
    }
    Ok(page(elements(account, first, last, &fields, book)))
}

fn page(elements: Vec<Value>) -> Reply {
    let body = json!({"paging": {"start": 0, "count": 10, "links": []}, "elements": elements});
    Reply::json(200, &body)
}

/// One element for each rule and day with a conversion. While no rule is set up, events have no account, and every account
/// shows them.
fn elements(
    account: &str,
    first: NaiveDate,
    last: NaiveDate,
    fields: &[&str],
    book: &Book<'_>,
) -> Vec<Value> {
    let mut sums: BTreeMap<(NaiveDate, String), (u64, f64)> = BTreeMap::new();
    for one in book.attributed(Platform::LinkedIn) {
        let day = one.happened_at.date_naive();
        let is_own = one.account.is_empty() || one.account == account;
        if is_own && (first..=last).contains(&day) {
            let sum = sums.entry((day, one.name)).or_default();
            sum.0 += 1;
            sum.1 += one
                .value
                .and_then(|value| value.parse().ok())
                .unwrap_or(0.0);
        }
    }
    let date = |day: NaiveDate| json!({"year": day.year(), "month": day.month(), "day": day.day()});
    let element = |((day, rule), (count, value)): ((NaiveDate, String), (u64, f64))| {
        let all = [
            ("externalWebsiteConversions", json!(count)),
            (
                "conversionValueInLocalCurrency",
                json!(format!("{value:.2}")),
            ),
            ("dateRange", json!({"start": date(day), "end": date(day)})),
            ("pivotValues", json!([format!("{RULE_PREFIX}{rule}")])),
        ];
        let chosen = all.into_iter().filter(|(name, _)| fields.contains(name));
        let chosen: Map<String, Value> = chosen
            .map(|(name, value)| (name.to_owned(), value))
            .collect();
        Value::Object(chosen)
    };
    sums.into_iter().map(element).collect()
}

/// The one element of `List(…)`.
fn list(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("List(")?.strip_suffix(')')?;
    (!inner.is_empty() && !inner.contains(',')).then_some(inner)
}

/// `(start:(year:2026,month:11,day:1),end:(year:2026,month:11,day:7))`, both days included.
fn dates(text: &str) -> Option<(NaiveDate, NaiveDate)> {
    let inner = text.strip_prefix("(start:(")?.strip_suffix("))")?;
    let (start, end) = inner.split_once("),end:(")?;
    let day = |text: &str| {
        let mut parts = text.split(',');
        let mut part = |name: &str| {
            parts
                .next()?
                .strip_prefix(name)?
                .strip_prefix(':')?
                .parse::<u32>()
                .ok()
        };
        let (year, month, day) = (part("year")?, part("month")?, part("day")?);
        NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)
    };
    let (first, last) = (day(start)?, day(end)?);
    (first <= last).then_some((first, last))
}
