//! What somebody did by hand, as the audit has it: where every form ends that did something.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::types::Type;

use super::Desk;
use super::doing::{own_words, told_at};
use super::frame::{Page, Sheet};
use super::html::{Markup, address, deliveries, grouped, html, name, time};
use super::trouble::Trouble;
use crate::telemetry::redact::scrub;

const AUDIT: &str = include_str!("../../sql/pages/audit.sql");

pub(super) fn router() -> Router<Desk> {
    Router::new().route("/audit/{number}", get(page))
}

/// A link to one row of the audit.
pub(super) fn link(number: i64) -> Markup {
    html! { a href=(told_at(number)) { "audit " (number) } }
}

async fn page(
    State(desk): State<Desk>,
    Path(number): Path<String>,
) -> Result<Response<Body>, Trouble> {
    let absent = || Trouble::Absent("there is no such row in the audit".to_owned());
    let number: i64 = number.parse().map_err(|_| absent())?;
    let rows = desk.database.query(AUDIT, &[(&number, Type::INT8)]).await?;
    let row = rows.first().ok_or_else(absent)?;
    let action: String = row.try_get("action")?;
    let details: Value = row.try_get("details")?;
    let done_at: DateTime<Utc> = row.try_get("done_at")?;
    let login: String = row.try_get("login")?;
    let reason: String = row.try_get("reason")?;
    let (why, is_by_page) = own_words(&reason);
    let body = html! {
        p.lead { (said(&action, &details)) }
        dl.facts {
            dt { "Number" } dd { (number) }
            dt { "When" } dd { (time(done_at)) }
            dt { "By the login" } dd { (name(&login)) @if is_by_page { ", on a page" } }
            dt { "Why" } dd { (scrub(why)) }
            @if let Some(destination) = details["destination"].as_str() { dt { "Destination" } dd { (name(destination)) } }
            @if let Some(rule) = details["rule"].as_str() { dt { "Rule" } dd { (name(rule)) } }
            @if details["forced"] == true { dt { "Doubts" } dd { "overruled" } }
            // That it was done by a page is said already.
            @for (key, value) in details["filter"].as_object().into_iter().flatten().filter(|(key, _)| *key != "by") {
                dt { (label(key)) } dd { (words(value)) }
            }
        }
        @if let Some(counts) = details["counts"].as_object().filter(|counts| !counts.is_empty()) {
            table {
                caption { "Deliveries by destination, and how they stood before" }
                thead { tr { th scope="col" { "Destination and state" } th.number scope="col" { "Deliveries" } } }
                tbody {
                    @for (kind, count) in counts {
                        tr { th scope="row" { (name(kind)) } td.number { (words(count)) } }
                    }
                }
            }
        }
        p { (way_on(&action, &details)) }
    };
    let page = if action == "pause" || action == "resume" {
        Page::Destinations
    } else {
        Page::DeadLetters
    };
    let sheet = Sheet {
        page: Some(page),
        title: format!("Audit {number}"),
        refresh: None,
        body,
    };
    Ok(desk.show(StatusCode::OK, &sheet))
}

fn said(action: &str, details: &Value) -> String {
    let total = details["total"].as_i64().unwrap_or(0);
    let rule = match details["rule"].as_str() {
        Some(_) => "The rule",
        None => "The destination",
    };
    match action {
        "replay" => format!(
            "{} sent again as soon as a worker comes to it.",
            deliveries(total)
        ),
        "skip" => format!("{} ended as cancelled.", deliveries(total)),
        "pause" => format!("{rule} is paused. Workers obey within about a second."),
        "resume" => format!("{rule} goes on. Workers need a few seconds to notice."),
        other => format!("Done by hand: {}.", other.replace('_', " ")),
    }
}

/// `error_code` as `Error code`.
fn label(key: &str) -> String {
    let mut letters = key.chars().map(|c| if c == '_' { ' ' } else { c });
    let first = letters.next().into_iter().flat_map(char::to_uppercase);
    first.chain(letters).collect()
}

fn words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => grouped(&number.to_string()),
        Value::Array(list) => list.iter().map(words).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

fn way_on(action: &str, details: &Value) -> Markup {
    match action {
        "pause" | "resume" => html! { a href="/destinations" { "Go to the destinations" } },
        _ => {
            let destination = details["filter"]["destination"]
                .as_str()
                .unwrap_or_default();
            html! { a href=(address("/dead-letters", &[("destination", destination)])) { "Go to the dead letters that are left" } }
        }
    }
}
