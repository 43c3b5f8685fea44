//! GA4: `runReport` of the Data API. Parts, in the order of every platform: settings, request, parse.
//!
//! **What is counted:** `eventCount` of the property's events of a name, by whomever they were sent: the site's tag counts
//! too. A purchase whose transaction id was seen before is dropped by GA4 itself
//! (`support.google.com/analytics/answer/12313109`). **Value:** `eventValue`, the sum of the parameter `value`. **Ids:** the
//! dimension `transactionId`; events without one have none. **Day:** in the property's time zone, which the answer names.
//!
//! **What may be missing:** rows that GA4 withholds (`subjectToThresholding`), rolls into `(other)` (`dataLossFromOtherRow`)
//! or estimates (`samplingMetadatas`). All of it stands in `details`, and ids and counts are then not complete.
//!
//! Sources: google.analytics.data.v1beta (analytics_data_api.proto, data.proto: `RunReportRequest`, `RunReportResponse`,
//! `ResponseMetaData`, `PropertyQuota`); `developers.google.com/analytics/devguides/reporting/data/v1/api-schema`.
//! UNVERIFIED: that `eventValue` is in the property's currency where events came in another.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::{Value, json};

use super::amount::Amount;
use super::tally::{Row, Tally};
use super::{Query, ReportError, answer};
use crate::config::oauth::OAuth;
use crate::config::read::Reader;
use crate::destinations::{Credential, HttpRequest, Reply, address};

// --- settings ---

/// Where the Data API lives.
pub(super) const BASE_URL: &str = "https://analyticsdata.googleapis.com";

/// "We may take 24-48 hours to process data. During that time, data in your reports may change."
/// (`support.google.com/analytics/answer/12233314`)
pub(super) const FINAL_AFTER: Duration = Duration::from_secs(48 * 3600);

/// What reading needs and nothing more.
const SCOPE: &str = "https://www.googleapis.com/auth/analytics.readonly";

/// Rows of one answer, so that it is read whole: a row has up to about 400 bytes.
const ROWS: u64 = 2000;

/// The event that always has a transaction id, where it was sent as documented.
const PURCHASE: &str = "purchase";

/// What an operator fills in for one GA4 property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The property: digits. Not the measurement id.
    pub property_id: String,
    /// The credential: `api_secret` cannot read.
    pub oauth: OAuth,
}

impl Settings {
    /// Reads the keys of `[destination.report]`.
    pub(super) fn read(reader: &mut Reader<'_>) -> Option<Settings> {
        let is_digits = |text: &str| {
            (1..=20).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
        };
        let fix = "copy the number from Admin, Property details, in quotes; it is not the G-… of the stream";
        reader.require("property_id", "the property's number, in quotes");
        let property_id = reader.text_where("property_id", is_digits, "must be digits only", fix);
        let oauth = OAuth::read_google(reader, SCOPE);
        Some(Settings {
            property_id: property_id?,
            oauth: oauth?,
        })
    }
}

// --- request ---

/// `POST /v1beta/properties/{property}:runReport`.
pub(super) fn first(settings: &Settings, query: &Query<'_>) -> HttpRequest {
    page(settings, query, 0)
}

fn page(settings: &Settings, query: &Query<'_>, offset: u64) -> HttpRequest {
    let body = json!({
        "dateRanges": [{ "startDate": query.first.to_string(), "endDate": query.last.to_string() }],
        "dimensions": [{ "name": "date" }, { "name": "eventName" }, { "name": "transactionId" }],
        "metrics": [{ "name": "eventCount" }, { "name": "eventValue" }],
        "dimensionFilter": { "filter": {
            "fieldName": "eventName",
            "inListFilter": { "values": query.names, "caseSensitive": true },
        } },
        // A page is only the rest of another where the order stays.
        "orderBys": [
            { "dimension": { "dimensionName": "date" } },
            { "dimension": { "dimensionName": "eventName" } },
            { "dimension": { "dimensionName": "transactionId" } },
        ],
        "offset": offset.to_string(),
        "limit": ROWS.to_string(),
    });
    let path = format!("/v1beta/properties/{}:runReport", settings.property_id);
    HttpRequest::post(
        address(query.base_url, &path),
        Credential::Bearer,
        body.to_string(),
    )
}

// --- parse ---

/// Reads one page.
pub(super) fn read(
    settings: &Settings,
    reply: &Reply,
    query: &Query<'_>,
    tally: &mut Tally,
) -> Result<Option<HttpRequest>, ReportError> {
    if !answer::is_good(reply) {
        return Err(refusal(reply));
    }
    let body = answer::object(reply)?;
    let empty = Vec::new();
    let rows = match body.get("rows") {
        None => &empty,
        Some(rows) => rows
            .as_array()
            .ok_or(ReportError::Unreadable("its rows are no list"))?,
    };
    let metadata = body.get("metadata").unwrap_or(&Value::Null);
    tally.told_by_id.insert(PURCHASE.to_owned());
    read_metadata(metadata, tally)?;
    for row in rows {
        read_row(row, query, tally)
            .ok_or(ReportError::Unreadable("a row is none that was asked for"))?;
    }
    let read = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    tally.position = tally.position.saturating_add(read);
    // Left out where it is nought.
    let all = body.get("rowCount").and_then(Value::as_u64).unwrap_or(0);
    if tally.position >= all {
        return Ok(None);
    }
    if rows.is_empty() {
        return Err(ReportError::Unreadable(
            "a page of rows that must be there is empty",
        ));
    }
    Ok(Some(page(settings, query, tally.position)))
}

/// Zone, currency, and whatever makes the numbers less than whole.
fn read_metadata(metadata: &Value, tally: &mut Tally) -> Result<(), ReportError> {
    let zone = answer::time_zone(&metadata["timeZone"]);
    let zone = zone.ok_or(ReportError::Unreadable("it names no time zone"))?;
    tally.time_zone = Some(zone);
    tally.currency = answer::currency(&metadata["currencyCode"]).or(tally.currency.take());
    let has_samples = metadata["samplingMetadatas"]
        .as_array()
        .is_some_and(|samples| !samples.is_empty());
    for (detail, is_so) in [
        ("thresholded", metadata["subjectToThresholding"] == true),
        ("other_row", metadata["dataLossFromOtherRow"] == true),
        ("sampled", has_samples),
    ] {
        if is_so {
            tally.details.insert(detail.to_owned(), true.into());
        }
    }
    Ok(())
}

/// One row; `None` where it has not the form that was asked for.
fn read_row(row: &Value, query: &Query<'_>, tally: &mut Tally) -> Option<()> {
    let texts = |key: &str| -> Option<Vec<&str>> {
        let values = row.get(key)?.as_array()?;
        values.iter().map(|value| value["value"].as_str()).collect()
    };
    let (dimensions, metrics) = (texts("dimensionValues")?, texts("metricValues")?);
    let ([day, name, id], [count, value]) = (dimensions.as_slice(), metrics.as_slice()) else {
        return None;
    };
    let number: u64 = count.parse().ok()?;
    if [*day, *name].contains(&"(other)") {
        // What was rolled together belongs to no day or name that can be told.
        tally.details.insert("other_row".to_owned(), true.into());
        return Some(());
    }
    let row = Row {
        name,
        day: NaiveDate::parse_from_str(day, "%Y%m%d").ok()?,
        conversions: Amount::whole(number),
        value: Some(Amount::read(value)?),
    };
    match *id {
        "" | "(not set)" => tally.add(query, &row),
        "(other)" => {
            tally.details.insert("other_row".to_owned(), true.into());
            tally.add(query, &row);
        }
        id => tally.add_of_id(query, &row, id, number),
    }
    Some(())
}

/// Google's errors: `error.status` is a word of google/rpc/code.proto.
fn refusal(reply: &Reply) -> ReportError {
    let body = answer::error_body(reply);
    let code = body["error"]["status"].as_str().and_then(answer::word);
    match code.as_deref() {
        Some("RESOURCE_EXHAUSTED") => ReportError::RateLimited {
            after: answer::wait(reply, &body["error"]),
            code,
        },
        _ => answer::by_status(reply, code),
    }
}
