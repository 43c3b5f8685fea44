//! Destinations: how each stands, what it is signed with, what holds it back, and what an operator may do about it.

mod credential;
mod hands;
mod last;
mod limit;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::frame::{Page, Sheet};
use super::html::{
    Markup, Tone, address, age, badge, count, day, html, name, notice, sentence, time,
};
use super::params::Params;
use super::trouble::Trouble;
use super::{Desk, doing};
use crate::admin::Visitor;
use crate::cli::status;
use crate::config::destination::DestinationConfig;
use crate::destinations::Ending;
use crate::operations::{destinations, known};
use crate::telemetry::redact::scrub;
use last::Last;

pub(crate) use hands::resume;

const MORE: &str = include_str!("../../../sql/pages/destinations.sql");

pub(super) fn router() -> Router<Desk> {
    hands::router()
}

/// Everything that is known of one destination.
struct Standing {
    name: String,
    /// As `status --json` has it.
    status: Value,
    /// As `destinations list --json` has it.
    listed: Value,
    throttled_until: Option<DateTime<Utc>>,
    throttles: i32,
    next_at: Option<DateTime<Utc>>,
    policy: Option<(String, DateTime<Utc>)>,
    open_requests: i64,
    oldest_request_at: Option<DateTime<Utc>>,
    last: Option<Last>,
}

/// The page; for tools there is JSON at the same address.
pub(crate) async fn page(
    desk: &Desk,
    visitor: &Visitor,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let [only] = params.only(["destination"])?;
    if let Some(name) = &only {
        known::destination(&desk.database, name).await?;
    }
    let mut all = standings(desk).await?;
    let others = all.len();
    if let Some(name) = &only {
        all.retain(|one| one.name == *name);
    }
    let body = html! {
        p.lead { (summary(&all)) }
        @if only.is_some() && others > 1 { p { a href="/destinations" { "Show all " (others) } } }
        @if doing::operator(visitor).is_none() && !all.is_empty() {
            p.soft { "To pause, resume or test one, " a href="/login" { "log in" } " as an operator." }
        }
        @for one in &all { (section(one, desk, doing::operator(visitor).is_some())) }
        @if all.is_empty() { p { "A worker registers its destinations when it starts." } }
    };
    Ok(desk.show(StatusCode::OK, &Sheet::live(Page::Destinations, body)))
}

async fn standings(desk: &Desk) -> Result<Vec<Standing>, Trouble> {
    let mut statuses = by_name(&status::json(&desk.database).await?["destinations"]);
    let listed = destinations::list(&desk.database).await?;
    let mut last = last::all(&desk.database).await?;
    let configured = &desk.config.destinations;
    let (names, limits): (Vec<&str>, Vec<Option<&str>>) = configured
        .iter()
        .map(|one| {
            let limit = one.rate_limit.as_ref().map(|limit| limit.group.as_str());
            (one.name.as_str(), limit)
        })
        .unzip();
    let params: [(&(dyn ToSql + Sync), Type); 2] =
        [(&names, Type::TEXT_ARRAY), (&limits, Type::TEXT_ARRAY)];
    let rows = desk.database.query(MORE, &params).await?;
    let mut listed = by_name(&listed.into());
    let mut read = |row: &Row| -> Result<Standing, tokio_postgres::Error> {
        let name: String = row.try_get("name")?;
        let version: Option<String> = row.try_get("policy_version")?;
        let since: Option<DateTime<Utc>> = row.try_get("policy_since")?;
        Ok(Standing {
            status: statuses.remove(&name).unwrap_or_default(),
            listed: listed.remove(&name).unwrap_or_default(),
            throttled_until: row.try_get("throttled_until")?,
            throttles: row.try_get("throttles")?,
            next_at: row.try_get("next_at")?,
            policy: version.zip(since),
            open_requests: row.try_get("open_requests")?,
            oldest_request_at: row.try_get("oldest_request_at")?,
            last: last.remove(&name),
            name,
        })
    };
    Ok(rows.iter().map(&mut read).collect::<Result<_, _>>()?)
}

fn by_name(list: &Value) -> BTreeMap<String, Value> {
    let named = |one: &Value| Some((one["name"].as_str()?.to_owned(), one.clone()));
    list.as_array()
        .into_iter()
        .flatten()
        .filter_map(named)
        .collect()
}

fn summary(all: &[Standing]) -> String {
    let of = |state: &str| {
        all.iter()
            .filter(|one| one.listed["state"] == state)
            .count()
    };
    let said = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
    let parts: Vec<String> = [
        said(of("enabled"), "working"),
        said(of("held"), "held"),
        said(of("paused"), "paused"),
        said(of("unserved"), "not served"),
        said(of("disabled"), "disabled"),
    ]
    .into_iter()
    .flatten()
    .collect();
    match parts.is_empty() {
        true => "No destinations yet.".to_owned(),
        false => format!("{}.", parts.join(", ")),
    }
}

fn section(one: &Standing, desk: &Desk, is_operator: bool) -> Markup {
    let configured = desk
        .config
        .destinations
        .iter()
        .find(|config| config.name == one.name);
    let platform = one.listed["platform"].as_str().unwrap_or_default();
    let state = one.listed["state"].as_str().unwrap_or_default();
    let pending = one.status["pending"].as_i64().unwrap_or(0);
    html! {
        section.card.destination aria-label=(one.name) {
            h2 { (name(&one.name)) " " (state_badge(state, pending)) }
            p.soft { (platform.replace('_', " ")) @if let Some(config) = configured { ", account " code { (config.settings.account()) } } }
            (unserved(one))
            (hold(&one.name, None, &one.listed["hold"], is_operator))
            @for rule in one.listed["held_rules"].as_array().into_iter().flatten() {
                (hold(&one.name, rule["rule"].as_str(), rule, is_operator))
            }
            dl.facts {
                (backlog(one, desk.now()))
                @match configured {
                    Some(config) => { (settings(config, one, desk.now())) }
                    None => { dt { "Configuration" } dd { "not in this worker's: another one serves it, or none" } }
                }
                @if let Some((version, since)) = &one.policy {
                    dt { "Consent policy" } dd { "version " code { (version) } ", since " (time(*since)) }
                }
                @if let Some(last) = one.last.as_ref().filter(|_| state != "paused") { dt { "Last by hand" } dd { (last::shown(last)) } }
            }
            (hands(one, state, is_operator))
        }
    }
}

/// In the words of the overview.
fn state_badge(state: &str, pending: i64) -> Markup {
    match state {
        "enabled" => badge(Tone::Good, "Working"),
        "held" => badge(Tone::Bad, "Held"),
        "paused" => badge(Tone::Warn, "Paused"),
        "unserved" if pending > 0 => badge(Tone::Bad, "Not served"),
        "unserved" => badge(Tone::Calm, "Not served"),
        "disabled" => badge(Tone::Calm, "Disabled"),
        other => badge(Tone::Calm, other),
    }
}

fn unserved(one: &Standing) -> Markup {
    let seen = one.listed["last_seen_at"]
        .as_str()
        .and_then(|at| at.parse().ok());
    html! {
        @if let (true, Some(seen)) = (one.listed["served"] == false && one.listed["state"] != "disabled", seen) {
            @let waits = one.status["pending"].as_i64().unwrap_or(0) > 0;
            (notice(if waits { Tone::Bad } else { Tone::Calm }, &html! {
                p {
                    "No worker has served it since " (time(seen)) ". "
                    @if waits { "Deliveries wait for it: put it back into a worker's configuration, or skip them." } @else { "Nothing waits for it." }
                }
            }))
        }
    }
}

fn hold(destination: &str, rule: Option<&str>, hold: &Value, is_operator: bool) -> Markup {
    let text = |key: &str| hold[key].as_str();
    let moment = |key: &str| text(key).and_then(|at| at.parse::<DateTime<Utc>>().ok());
    let is_pause = text("reason") == Some("paused");
    html! {
        @if hold.is_object() {
            (notice(if is_pause { Tone::Warn } else { Tone::Bad }, &html! {
                p {
                    @if let Some(rule) = rule { "Rule " code { (rule) } " is " } @else { "It is " }
                    @if is_pause { "paused" } @else { "held: " (text("reason").unwrap_or_default().replace('_', " ")) }
                    @if let Some(code) = text("code") { ", code " code { (scrub(code)) } }
                    @if let Some(since) = moment("since") { ", since " (time(since)) }
                    @if let Some(by) = text("paused_by") { ", by " (name(by)) }
                    "."
                }
                @match text("paused_because") {
                    Some(why) => { p { "Why: " (scrub(doing::own_words(why).0)) } }
                    None => { p { (sentence(&scrub(text("advice").unwrap_or("see the worker's log")))) } }
                }
                @if let Some(probe) = moment("next_probe") { p { "Tried next " (time(probe)) "." } }
                @if is_operator { p { a.button href=(hands::address_of(destination, "resume", rule)) { @if is_pause { "Resume…" } @else { "Lift the hold…" } } } }
            }))
        }
    }
}

fn backlog(one: &Standing, now: DateTime<Utc>) -> Markup {
    let number = |key: &str| one.status[key].as_i64().unwrap_or(0);
    let oldest = one.status["oldest_due_age_seconds"].as_f64();
    html! {
        dt { "Waiting" }
        dd {
            @match number("pending") {
                0 => { "nothing" }
                pending => { (count(pending)) ", of them due " (count(number("due"))) ", for another try " (count(number("retrying"))) }
            }
            @if let Some(seconds) = oldest { "; the oldest due for " (age(seconds)) }
        }
        @if number("expiring") > 0 { dt { "Expiring" } dd { (count(number("expiring"))) " that the platform takes for less than a day" } }
        @if one.open_requests > 0 {
            dt { "Late answers" }
            dd {
                (count(one.open_requests)) " open"
                @if let Some(sent) = one.oldest_request_at { ", the oldest for " (age((now - sent).num_seconds() as f64)) }
            }
        }
        dt { "So far" }
        dd {
            @if number_of_all(&one.status["totals"]) == 0 { "nothing" }
            @for (at, (state, total)) in one.status["totals"].as_object().into_iter().flatten().filter(|(_, total)| **total != 0).enumerate() {
                @if at > 0 { ", " } (state) " " (count(total.as_i64().unwrap_or(0)))
            }
            @if number("retried") > 0 { "; " (count(number("retried"))) " took more than one try" }
        }
        @if let Some(until) = one.throttled_until.filter(|until| *until > now) {
            dt { "Throttled" }
            dd { "until " (time(until)) ": the platform said " (one.throttles) " times in a row that it is asked too often" }
        }
    }
}

fn number_of_all(totals: &Value) -> i64 {
    let totals = totals.as_object().into_iter().flatten();
    totals.filter_map(|(_, total)| total.as_i64()).sum()
}

fn settings(config: &DestinationConfig, one: &Standing, now: DateTime<Utc>) -> Markup {
    let version = config.settings.version();
    html! {
        (credential::shown(config.settings.credentials(), config.platform(), config.credential_expires, now.date_naive()))
        dt { "Limit" }
        dd { (limit::shown(config.rate_limit.as_ref(), one.next_at, now)) }
        @if let Some(version) = version {
            dt { "API version" }
            dd {
                code { (version.name) }
                @match version.ends {
                    Some(ends) => { ", ends " (day(ends)) " " (ending(version.ending(now.date_naive()))) }
                    None => { ", no end of it is known" }
                }
            }
        }
    }
}

fn ending(ending: Option<Ending>) -> Markup {
    match ending {
        None => html! {},
        Some(Ending::Near) => badge(Tone::Warn, "within 90 days"),
        Some(Ending::Urgent) => badge(Tone::Bad, "within 30 days"),
        Some(Ending::Past) => badge(Tone::Bad, "over"),
    }
}

fn hands(one: &Standing, state: &str, is_operator: bool) -> Markup {
    html! {
        p.row {
            @if is_operator && state != "paused" { a.button href=(hands::address_of(&one.name, "pause", None)) { "Pause…" } " " }
            @if is_operator { a.button href=(hands::address_of(&one.name, "test", None)) { "Test…" } " " }
            a.button href=(address("/dead-letters", &[("destination", &one.name)])) { "Dead letters" }
        }
    }
}
