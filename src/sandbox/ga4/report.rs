//! `runReport` of the Data API, for events by day, name and transaction
//! (google.analytics.data.v1beta, analytics_data_api.proto and data.proto). Strict: fields that are not documented are
//! refused, and dimensions, metrics and filters that no such report has. Not for the Measurement Protocol.

use std::collections::BTreeMap;

use axum::http::Method;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value, json};

use crate::sandbox::counted::{Book, Counted};
use crate::sandbox::exchange::{Arrived, Platform, Reply};
use crate::sandbox::google::error::{GoogleError, invalid_payload};
use crate::sandbox::google::proto_json::{
    self, Enum, Message, boolean, choice, int64, message, text,
};
use crate::sandbox::google::{self, ANALYTICS_SCOPE};

const SERVICE: &str = "analyticsdata.googleapis.com";

/// Rows of a page unless the request says, and at most (`RunReportRequest.limit`).
const ROWS: usize = 10_000;
const ROWS_MAX: usize = 250_000;

static REQUEST: Message = Message {
    name: "google.analytics.data.v1beta.RunReportRequest",
    fields: &[
        text("property"),
        message("dimensions", &DIMENSION).repeated(),
        message("metrics", &METRIC).repeated(),
        message("date_ranges", &DATE_RANGE).repeated(),
        message("dimension_filter", &FILTER_EXPRESSION),
        int64("offset"),
        int64("limit"),
        message("order_bys", &ORDER_BY).repeated(),
        text("currency_code"),
        boolean("keep_empty_rows"),
        boolean("return_property_quota"),
    ],
};

static DIMENSION: Message = Message {
    name: "google.analytics.data.v1beta.Dimension",
    fields: &[text("name")],
};

static METRIC: Message = Message {
    name: "google.analytics.data.v1beta.Metric",
    fields: &[text("name")],
};

static DATE_RANGE: Message = Message {
    name: "google.analytics.data.v1beta.DateRange",
    fields: &[text("start_date"), text("end_date"), text("name")],
};

static FILTER_EXPRESSION: Message = Message {
    name: "google.analytics.data.v1beta.FilterExpression",
    fields: &[
        message("and_group", &FILTER_LIST).one_of("expr"),
        message("filter", &FILTER).one_of("expr"),
    ],
};

static FILTER_LIST: Message = Message {
    name: "google.analytics.data.v1beta.FilterExpressionList",
    fields: &[message("expressions", &FILTER_EXPRESSION).repeated()],
};

static FILTER: Message = Message {
    name: "google.analytics.data.v1beta.Filter",
    fields: &[
        text("field_name"),
        message("string_filter", &STRING_FILTER).one_of("one_filter"),
        message("in_list_filter", &IN_LIST_FILTER).one_of("one_filter"),
    ],
};

static STRING_FILTER: Message = Message {
    name: "google.analytics.data.v1beta.Filter.StringFilter",
    fields: &[
        choice("match_type", &MATCH_TYPE),
        text("value"),
        boolean("case_sensitive"),
    ],
};

static MATCH_TYPE: Enum = Enum {
    name: "google.analytics.data.v1beta.Filter.StringFilter.MatchType",
    values: &["EXACT"],
};

static IN_LIST_FILTER: Message = Message {
    name: "google.analytics.data.v1beta.Filter.InListFilter",
    fields: &[text("values").repeated(), boolean("case_sensitive")],
};

static ORDER_BY: Message = Message {
    name: "google.analytics.data.v1beta.OrderBy",
    fields: &[message("dimension", &DIMENSION_ORDER), boolean("desc")],
};

static DIMENSION_ORDER: Message = Message {
    name: "google.analytics.data.v1beta.OrderBy.DimensionOrderBy",
    fields: &[text("dimension_name")],
};

/// Whether a path is one of the Data API.
pub(in crate::sandbox) fn is_report(path: &str) -> bool {
    path.starts_with("/v1beta/properties/")
}

/// Answers a report: path, token, quota, then the question.
pub(in crate::sandbox) fn answer(
    arrived: &Arrived,
    world: &google::World,
    has_room: bool,
    book: &Book<'_>,
) -> Reply {
    let property = arrived.path.strip_prefix("/v1beta/properties/");
    let property = property.and_then(|rest| rest.strip_suffix(":runReport"));
    let property = property.filter(|_| arrived.method == Method::POST);
    let Some(property) = property else {
        return GoogleError::new(404, "Method not found.").reply();
    };
    if let Err(why) = world.authorise(arrived, ANALYTICS_SCOPE, book.now) {
        return why.reply(SERVICE);
    }
    let properties = &book.settings.properties;
    let streams = properties.get(property);
    if !properties.is_empty() && streams.is_none() {
        let text = "User does not have sufficient permissions for this property.";
        return GoogleError::new(403, text).reply();
    }
    if !has_room {
        let text = "Exhausted potentially thresholded requests quota. This quota will refresh in under an hour.";
        return GoogleError::new(429, text).reply();
    }
    let request = match proto_json::read(&REQUEST, &arrived.body) {
        Ok(request) => request,
        Err(wrongs) => return invalid_payload(&wrongs),
    };
    match report(&request, streams.map(Vec::as_slice), book) {
        Ok(body) => Reply::json(200, &body),
        Err(text) => GoogleError::new(400, text).reply(),
    }
}

/// A row before it is written: day, name, transaction, and what they sum up to.
type Rows = BTreeMap<(NaiveDate, String, String), (u64, f64)>;

fn report(
    request: &Value,
    streams: Option<&[String]>,
    book: &Book<'_>,
) -> Result<Value, &'static str> {
    let names = |list: &str| -> Vec<&str> {
        let list = request[list].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().filter_map(|it| it["name"].as_str()).collect()
    };
    if names("dimensions") != ["date", "eventName", "transactionId"] {
        return Err(
            "Did you mean date, eventName and transactionId? Other dimensions are not emulated.",
        );
    }
    if names("metrics") != ["eventCount", "eventValue"] {
        return Err("Did you mean eventCount and eventValue? Other metrics are not emulated.");
    }
    let wanted = event_names(&request["dimension_filter"])?;
    let (first, last) = dates(&request["date_ranges"], book.now)?;
    let zone = &book.settings.google_zone;
    let mut rows = Rows::new();
    let fits = |one: &Counted| {
        let day = zone.day(one.happened_at);
        streams.is_none_or(|streams| streams.contains(&one.account))
            && wanted.contains(&one.name.as_str())
            && (first..=last).contains(&day)
    };
    for one in book.received(Platform::Ga4).iter().filter(|one| fits(one)) {
        let id = one.id.clone().unwrap_or_else(|| "(not set)".to_owned());
        let row = rows
            .entry((zone.day(one.happened_at), one.name.clone(), id))
            .or_default();
        row.0 += 1;
        row.1 += one
            .value
            .as_ref()
            .and_then(|value| value.parse().ok())
            .unwrap_or(0.0);
    }
    let whole = rows.len();
    rows.retain(|_, (count, _)| *count >= book.settings.withhold_below);
    let is_withheld = rows.len() < whole;
    let mut written: Vec<Value> = rows
        .iter()
        .map(|((day, name, id), sums)| {
            written_row(&day.format("%Y%m%d").to_string(), name, id, *sums)
        })
        .collect();
    let kept = book.settings.rows_kept.unwrap_or(usize::MAX);
    let is_rolled = written.len() > kept;
    if is_rolled {
        let beyond = rows.values().skip(kept);
        let sums = beyond.fold((0, 0.0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        written.truncate(kept);
        written.push(written_row("(other)", "(other)", "(other)", sums));
    }
    let number = |key: &str| {
        request[key]
            .as_u64()
            .or_else(|| request[key].as_str()?.parse().ok())
    };
    let offset = number("offset")
        .and_then(|it| usize::try_from(it).ok())
        .unwrap_or(0);
    let limit = number("limit")
        .and_then(|it| usize::try_from(it).ok())
        .unwrap_or(ROWS);
    let limit = limit
        .min(ROWS_MAX)
        .min(book.settings.page_rows.unwrap_or(ROWS_MAX));
    let all = written.len();
    let page: Vec<Value> = written.into_iter().skip(offset).take(limit).collect();
    let mut metadata = Map::new();
    metadata.insert(
        "currencyCode".to_owned(),
        book.settings.google_currency().into(),
    );
    metadata.insert("timeZone".to_owned(), zone.name().into());
    if is_withheld {
        metadata.insert("subjectToThresholding".to_owned(), true.into());
    }
    if is_rolled {
        metadata.insert("dataLossFromOtherRow".to_owned(), true.into());
    }
    let header =
        |names: &[&str]| -> Vec<Value> { names.iter().map(|name| json!({"name": name})).collect() };
    let mut body = Map::new();
    body.insert(
        "dimensionHeaders".to_owned(),
        header(&["date", "eventName", "transactionId"]).into(),
    );
    body.insert("metricHeaders".to_owned(), json!([{"name": "eventCount", "type": "TYPE_INTEGER"}, {"name": "eventValue", "type": "TYPE_FLOAT"}]));
    // What is empty or nought is left out, as proto JSON does it.
    if !page.is_empty() {
        body.insert("rows".to_owned(), page.into());
    }
    if all > 0 {
        body.insert("rowCount".to_owned(), all.into());
    }
    body.insert("metadata".to_owned(), Value::Object(metadata));
    body.insert("kind".to_owned(), "analyticsData#runReport".into());
    Ok(Value::Object(body))
}

fn written_row(day: &str, name: &str, id: &str, (count, value): (u64, f64)) -> Value {
    // A sum of cents has cents.
    let value = (value * 100.0).round() / 100.0;
    json!({
        "dimensionValues": [{"value": day}, {"value": name}, {"value": id}],
        "metricValues": [{"value": count.to_string()}, {"value": value.to_string()}],
    })
}

/// The event names of the filter.
fn event_names(filter: &Value) -> Result<Vec<&str>, &'static str> {
    let list = &filter["filter"]["in_list_filter"]["values"];
    match (filter["filter"]["field_name"].as_str(), list.as_array()) {
        (Some("eventName"), Some(values)) if !values.is_empty() => {
            Ok(values.iter().filter_map(Value::as_str).collect())
        }
        _ => Err("Only an inListFilter of eventName is emulated."),
    }
}

/// The one range of days. The last day may not be before the first (`DateRange.end_date`).
fn dates(ranges: &Value, now: DateTime<Utc>) -> Result<(NaiveDate, NaiveDate), &'static str> {
    let [range] = ranges.as_array().map_or(&[][..], Vec::as_slice) else {
        return Err("Exactly one date range is emulated.");
    };
    let day = |key: &str| NaiveDate::parse_from_str(range[key].as_str()?, "%Y-%m-%d").ok();
    match (day("start_date"), day("end_date")) {
        (Some(first), Some(last))
            if first <= last && first <= now.date_naive().succ_opt().unwrap_or(first) =>
        {
            Ok((first, last))
        }
        _ => Err("Invalid date range."),
    }
}
