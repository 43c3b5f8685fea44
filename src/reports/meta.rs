//! Meta: `stats` of a dataset, and its quality. Parts, in the order of every platform: settings, request, parse.
//!
//! **What is counted:** events that the dataset received from servers (`event_source=SERVER_ONLY`), whether or not they are
//! attributed to an ad. UNVERIFIED: whether an event that Meta drops for the tag's twin is among them. **Value, ids:** none.
//! **Day:** in UTC, made of Meta's hours, which come with their own offset. **Quality:** the match quality of the event's
//! name as it is now, not of the day; left out where it may not be read.
//!
//! Sources: `…/marketing-api/reference/ads-pixel/stats` (parameters, "top 100 events broken down by hour", errors 100 and
//! 80004); facebook-python-business-sdk, adspixelstatsresult.py (`start_time`, `aggregation`, `data`);
//! `…/conversions-api/dataset-quality-api`. The members of `data`, `value` and `count`, pages of 24 hours and offsets such as
//! `+0100` are as others measured. UNVERIFIED: how far back hours are kept. The page says seven days, others found 28:
//! `days_back`. UNVERIFIED too: when an hour is final; others found up to three hours.

use std::time::Duration;

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use url::Url;

use super::amount::Amount;
use super::tally::{Row, Tally};
use super::{Query, Refusal, ReportError, answer};
use crate::config::read::Reader;
use crate::config::secret::SecretRef;
use crate::destinations::{self, Credential, HttpRequest, Reply, address};

// --- settings ---

/// Nothing is documented; a day is far more than others measured.
pub(super) const FINAL_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Hours of one question: fewer than the 24 of a page, so that no answer has a second page.
const HOURS: i64 = 12;

/// What an operator fills in for one Meta dataset, and what is known of it already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The dataset: digits.
    pub dataset_id: String,
    /// Graph API version, such as `v26.0`.
    pub version: String,
    /// The destination's own token unless another one is given: reading may need one with `ads_read`.
    pub access_token: SecretRef,
    /// How many days back the numbers are asked for.
    pub days_back: u32,
    /// Whether match quality is asked for too.
    pub quality: bool,
}

impl Settings {
    /// Reads the keys of `[destination.report]`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        own: Option<&destinations::Settings>,
    ) -> Option<Settings> {
        let access_token = reader.secret("access_token");
        let days_back = reader.integer("days_back", 1..=28).unwrap_or(7);
        let quality = reader.boolean("quality").unwrap_or(true);
        let destinations::Settings::Meta(own) = own? else {
            return None;
        };
        Some(Settings {
            dataset_id: own.dataset_id.clone(),
            version: own.version.clone(),
            access_token: access_token.unwrap_or_else(|| own.access_token.clone()),
            days_back,
            quality,
        })
    }

    /// How far back whole days are known.
    pub(super) fn reach(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.days_back))
    }
}

// --- request ---

/// `GET /{version}/{dataset}/stats`, for the first hours.
pub(super) fn first(settings: &Settings, query: &Query<'_>) -> HttpRequest {
    hours(settings, query, start_of(query, 0))
}

fn hours(settings: &Settings, query: &Query<'_>, start: DateTime<Utc>) -> HttpRequest {
    let path = format!("/{}/{}/stats", settings.version, settings.dataset_id);
    let end = (start + TimeDelta::hours(HOURS)).min(query.now);
    let mut url: Url = address(query.base_url, &path);
    url.query_pairs_mut()
        .append_pair("aggregation", "event")
        .append_pair("event_source", "SERVER_ONLY")
        .append_pair("start_time", &start.timestamp().to_string())
        .append_pair("end_time", &end.timestamp().to_string());
    HttpRequest::get(url, Credential::Bearer)
}

/// When the n-th part of the days begins.
fn start_of(query: &Query<'_>, part: u64) -> DateTime<Utc> {
    let hours = i64::try_from(part)
        .unwrap_or(i64::MAX / HOURS)
        .saturating_mul(HOURS);
    let hours = TimeDelta::try_hours(hours).unwrap_or_default();
    query.first.and_time(NaiveTime::MIN).and_utc() + hours
}

/// `GET /{version}/dataset_quality`.
fn quality(settings: &Settings, query: &Query<'_>) -> HttpRequest {
    let path = format!("/{}/dataset_quality", settings.version);
    let mut url: Url = address(query.base_url, &path);
    url.query_pairs_mut()
        .append_pair("dataset_id", &settings.dataset_id)
        .append_pair(
            "fields",
            "web{event_name,event_match_quality{composite_score}}",
        );
    HttpRequest::get(url, Credential::Bearer)
}

// --- parse ---

/// Reads the hours of one part, or at last the quality.
pub(super) fn read(
    settings: &Settings,
    reply: &Reply,
    query: &Query<'_>,
    tally: &mut Tally,
) -> Result<Option<HttpRequest>, ReportError> {
    tally.time_zone = Some("UTC".to_owned());
    if !has_part(query, tally.position) {
        read_quality(reply, tally)?;
        return Ok(None);
    }
    if !answer::is_good(reply) {
        return Err(refusal(reply));
    }
    let body = answer::object(reply)?;
    let buckets = body.get("data").and_then(Value::as_array);
    for bucket in buckets.ok_or(ReportError::Unreadable("it has no list of hours"))? {
        read_hour(bucket, query, tally).ok_or(ReportError::Unreadable("an hour is none"))?;
    }
    tally.position += 1;
    Ok(match has_part(query, tally.position) {
        true => Some(hours(settings, query, start_of(query, tally.position))),
        false => settings.quality.then(|| quality(settings, query)),
    })
}

/// Whether the n-th part is within the days and has begun; the first one always is asked for.
fn has_part(query: &Query<'_>, part: u64) -> bool {
    let start = start_of(query, part);
    start.date_naive() <= query.last && (part == 0 || start < query.now)
}

/// One hour; one that was told before counts once.
fn read_hour(bucket: &Value, query: &Query<'_>, tally: &mut Tally) -> Option<()> {
    let start = bucket["start_time"].as_str()?;
    let start = DateTime::parse_from_str(start, "%Y-%m-%dT%H:%M:%S%z").ok()?;
    let counts = bucket["data"].as_array()?;
    if !tally.hours.insert(start.timestamp()) {
        return Some(());
    }
    for count in counts {
        let number = match &count["count"] {
            Value::String(text) => text.parse::<u64>().ok()?,
            number => number.as_u64()?,
        };
        let row = Row {
            name: count["value"].as_str()?,
            day: start.with_timezone(&Utc).date_naive(),
            conversions: Amount::whole(number),
            value: None,
        };
        tally.add(query, &row);
    }
    Some(())
}

/// The quality is worth having and not worth failing for: only what passes is waited out.
fn read_quality(reply: &Reply, tally: &mut Tally) -> Result<(), ReportError> {
    if !answer::is_good(reply) {
        return match refusal(reply) {
            error if error.is_passing() => Err(error),
            _ => {
                tally.details.insert("quality".to_owned(), "refused".into());
                Ok(())
            }
        };
    }
    let body = answer::object(reply)?;
    for event in body
        .get("web")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let score = Amount::of(&event["event_match_quality"]["composite_score"]);
        if let (Some(name), Some(score)) = (event["event_name"].as_str(), score) {
            let details: &mut Map<String, Value> =
                tally.name_details.entry(name.to_owned()).or_default();
            details.insert("event_match_quality".to_owned(), score.to_string().into());
        }
    }
    Ok(())
}

/// Graph's errors (`…/docs/graph-api/guides/error-handling`, `…/overview/rate-limiting`).
fn refusal(reply: &Reply) -> ReportError {
    let body = answer::error_body(reply);
    let error = &body["error"];
    let Some(number) = error["code"].as_i64() else {
        return answer::by_status(reply, None);
    };
    let code = Some(number.to_string());
    match number {
        4 | 17 | 32 | 341 | 613 | 80000..=80014 => ReportError::RateLimited {
            after: reply.retry_after(),
            code,
        },
        102 | 190 => ReportError::Refused {
            what: Refusal::Credential,
            code,
        },
        3 | 10 | 200..=299 => ReportError::Refused {
            what: Refusal::Permission,
            code,
        },
        // Unsupported request: the object does not exist, or is not this token's.
        100 if error["error_subcode"] == 33 => ReportError::Refused {
            what: Refusal::Account,
            code,
        },
        803 => ReportError::Refused {
            what: Refusal::Account,
            code,
        },
        1 | 2 => ReportError::Later(format!("code {number}")),
        _ if error["is_transient"] == true => ReportError::Later(format!("code {number}")),
        _ => answer::by_status(reply, code),
    }
}
