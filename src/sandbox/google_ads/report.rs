//! `googleAds:search` over the customer: its time zone and currency, and its conversions by action and day
//! (`…/docs/conversions/reporting`, `…/docs/reporting/paging`). Not for conversion actions, which `search` lists.
//!
//! Rows whose metrics are nought are left out, as Google does it. Pages have a fixed size; a page token is good for the query it
//! came with.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde_json::{Map, Value, json};

use super::failure::{Answerer, Flaw};
use super::fields::text;
use super::messages;
use super::report_query::ReportQuery;
use crate::sandbox::counted::Book;
use crate::sandbox::exchange::{Arrived, Platform, Reply};
use crate::sandbox::google::error::invalid_payload;
use crate::sandbox::google::proto_json;

/// Rows of a page (`…/docs/reporting/paging`).
const PAGE: usize = 10_000;

/// Answers a search of a customer that may be asked.
pub(super) fn answer(
    arrived: &Arrived,
    customer: &str,
    answerer: &Answerer,
    book: &Book<'_>,
) -> Reply {
    let request = match proto_json::read(&messages::SEARCH, &arrived.body) {
        Ok(request) => request,
        Err(wrongs) => return invalid_payload(&wrongs),
    };
    match judge(&request, customer, book) {
        Ok(body) => Reply::json(200, &body),
        Err(flaw) => answerer.refuse(400, &flaw),
    }
}

fn judge(request: &Value, customer: &str, book: &Book<'_>) -> Result<Value, Flaw> {
    if request.get("page_size").is_some() {
        return Err(Flaw::new("requestError", "PAGE_SIZE_NOT_SUPPORTED").at("page_size"));
    }
    let query = text(request, "query")
        .ok_or_else(|| Flaw::new("requestError", "REQUIRED_FIELD_MISSING").at("query"))?;
    let query = ReportQuery::parse(query)?;
    let rows = match &query {
        ReportQuery::Account => vec![account(customer, book)],
        ReportQuery::Conversions {
            first,
            last,
            actions,
        } => conversions(customer, *first, *last, actions, book),
    };
    let start = match text(request, "page_token") {
        None => 0,
        Some(token) => {
            let start = token.strip_prefix("sandbox-page-");
            let start = start.and_then(|start| start.parse().ok());
            start.ok_or_else(|| Flaw::new("requestError", "INVALID_PAGE_TOKEN").at("page_token"))?
        }
    };
    let size = book.settings.page_rows.unwrap_or(PAGE);
    let all = rows.len();
    let page: Vec<Value> = rows.into_iter().skip(start).take(size).collect();
    let mut body = Map::new();
    if start + page.len() < all {
        let token = format!("sandbox-page-{}", start + page.len());
        body.insert("nextPageToken".to_owned(), token.into());
    }
    if !page.is_empty() {
        body.insert("results".to_owned(), page.into());
    }
    body.insert("fieldMask".to_owned(), query.mask().into());
    Ok(Value::Object(body))
}

fn account(customer: &str, book: &Book<'_>) -> Value {
    json!({"customer": {
        "resourceName": format!("customers/{customer}"),
        "timeZone": book.settings.google_zone.name(),
        "currencyCode": book.settings.google_currency(),
    }})
}

/// Conversions told by either API: both tell the same account.
fn conversions(
    customer: &str,
    first: NaiveDate,
    last: NaiveDate,
    actions: &[String],
    book: &Book<'_>,
) -> Vec<Value> {
    let mut sums: BTreeMap<(NaiveDate, String), (f64, f64)> = BTreeMap::new();
    let told = [Platform::GoogleAds, Platform::GoogleDataManager];
    for one in told
        .into_iter()
        .flat_map(|platform| book.attributed(platform))
    {
        let day = book.settings.google_zone.day(one.happened_at);
        if one.account == customer && (first..=last).contains(&day) && actions.contains(&one.name) {
            let sum = sums.entry((day, one.name)).or_default();
            sum.0 += 1.0;
            sum.1 += one
                .value
                .and_then(|value| value.parse().ok())
                .unwrap_or(0.0);
        }
    }
    let row = |((day, action), (count, value)): ((NaiveDate, String), (f64, f64))| {
        let value = (value * 100.0).round() / 100.0;
        json!({
            "customer": {"resourceName": format!("customers/{customer}")},
            "segments": {
                "date": day.to_string(),
                "conversionAction": format!("customers/{customer}/conversionActions/{action}"),
            },
            "metrics": {
                "allConversionsByConversionDate": count,
                "allConversionsValueByConversionDate": value,
            },
        })
    };
    sums.into_iter().map(row).collect()
}
