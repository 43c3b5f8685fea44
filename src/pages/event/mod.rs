//! One event: what it is, how it stands everywhere, what happened to it, and what was on record as consent. Nothing of the
//! person: the database leaves that out ([`crate::operations::life`]), and what free text is left is scrubbed.

mod consent;
mod drawing;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};
use axum::routing::get;
use chrono::{DateTime, Utc};
use percent::encoded;
use serde_json::Value;

use super::Desk;
use super::audit;
use super::dead_letters::replay_address;
use super::frame::{Page, Sheet};
use super::html::{Markup, Tone, address, badge, grouped, html, name, notice, time, wide};
use super::params::Params;
use super::trouble::Trouble;
use crate::operations::known;
use crate::operations::life::{self, Kind, Listed, Wanted};
use crate::telemetry::redact::scrub;
use consent::shown;

/// Events in a list.
const LISTED: i64 = 50;

/// Destinations that are named in a list of events; the page of the event has them all.
const NAMED: usize = 6;

pub(super) fn router() -> Router<Desk> {
    Router::new()
        .route("/events", get(find))
        .route("/events/{event_id}", get(page))
}

/// Where an event is shown. A browser takes some ids for a way up a folder: those are asked for by name.
pub(super) fn path(event_id: &str) -> String {
    match event_id {
        "." | ".." => address("/events", &[("q", event_id)]),
        id => format!("/events/{}", encoded(id)),
    }
}

/// A link to an event.
pub(super) fn link(event_id: &str) -> Markup {
    html! { a href=(path(event_id)) { (name(event_id)) } }
}

async fn page(
    State(desk): State<Desk>,
    Path(event_id): Path<String>,
) -> Result<Response<Body>, Trouble> {
    match life::of(&desk.database, &event_id).await? {
        Some(life) => Ok(desk.show(StatusCode::OK, &sheet(&life, &desk))),
        None => {
            let ids = [event_id];
            known::events(&desk.database, &ids).await?;
            Err(Trouble::Absent("there is no such event".to_owned()))
        }
    }
}

/// An event by its id, those of an order, or the newest.
async fn find(State(desk): State<Desk>, params: Params) -> Result<Response<Body>, Trouble> {
    let [asked] = params.only(["q"])?;
    let asked = asked.map(|text| text.trim().to_owned());
    if let Some(id) = &asked
        && let Some(life) = life::of(&desk.database, id).await?
    {
        return Ok(desk.show(StatusCode::OK, &sheet(&life, &desk)));
    }
    let wanted = Wanted {
        business_id: asked.clone(),
        limit: LISTED,
        ..Wanted::default()
    };
    let events = life::list(&desk.database, &wanted).await?;
    let near = match &asked {
        Some(id) if events.is_empty() => near(&desk, id).await?,
        _ => Vec::new(),
    };
    let body = html! {
        p.lead {
            @match (&asked, events.len()) {
                (None, _) => { "Find one event." },
                (Some(_), 0) => { "No event of that id, and none of that order or lead." },
                (Some(asked), found) => { (found) @if found == 1 { " event of " } @else { " events of " } (name(asked)) "." },
            }
        }
        (search(asked.as_deref().unwrap_or_default()))
        @if !near.is_empty() {
            p { "Did you mean " @for (at, id) in near.iter().enumerate() { @if at > 0 { " or " } (link(id)) } "?" }
        }
        @if !events.is_empty() { (wide("Events", &table(&events, asked.is_none()))) }
        @if events.len() as i64 == LISTED { p.soft { "The newest " (LISTED) " are shown." } }
    };
    let sheet = match asked {
        None => Sheet::live(Page::Events, body),
        Some(_) => still("Events".to_owned(), body),
    };
    Ok(desk.show(StatusCode::OK, &sheet))
}

async fn near(desk: &Desk, id: &str) -> Result<Vec<String>, Trouble> {
    match known::events(&desk.database, &[id.to_owned()]).await {
        Err(known::KnownError::Unknown(known::Unknown::Events { near, .. })) => Ok(near),
        Err(error) => Err(error.into()),
        Ok(()) => Ok(Vec::new()),
    }
}

fn still(title: String, body: Markup) -> Sheet {
    Sheet {
        page: Some(Page::Events),
        title,
        refresh: None,
        body,
    }
}

fn search(asked: &str) -> Markup {
    html! {
        form.filter method="get" action="/events" role="search" {
            label.field {
                span { "Event id, or id of the order, lead or deal" }
                input type="search" name="q" value=(asked) maxlength="128" size="32" autocapitalize="off" spellcheck="false";
            }
            button type="submit" { "Find" }
        }
    }
}

fn table(events: &[Listed], are_newest: bool) -> Markup {
    html! {
        table {
            @if are_newest { caption { "The newest" } }
            thead {
                tr {
                    th scope="col" { "Event" } th scope="col" { "Name" } th scope="col" { "Of" }
                    th.number scope="col" { "Value" } th scope="col" { "Written" } th scope="col" { "Stands" }
                }
            }
            tbody {
                @for one in events {
                    tr {
                        th scope="row" { (link(&one.event_id)) }
                        td { (name(&one.event_name)) } td { (name(&one.business_id)) }
                        td.number { (money(one.value.as_deref(), one.currency.as_deref())) }
                        td { (time(one.recorded_at)) }
                        td.words { (standings(&one.states)) }
                    }
                }
            }
        }
    }
}

/// How an event stands, each state once, the worst first.
fn standings(states: &Value) -> Markup {
    let mut alike: BTreeMap<(Tone, &str), Vec<&str>> = BTreeMap::new();
    for (destination, standing) in states.as_object().into_iter().flatten() {
        let standing = standing.as_str().unwrap_or_default();
        let state = standing.split('/').next().unwrap_or_default();
        alike
            .entry((tone_of(state), standing))
            .or_default()
            .push(destination);
    }
    html! {
        ul.states {
            @for ((tone, standing), destinations) in alike.iter().rev() {
                li class=(tone.class()) {
                    (standing.replacen('/', ": ", 1).replace('_', " ")) " – "
                    @for (at, destination) in destinations.iter().take(NAMED).enumerate() {
                        @if at > 0 { ", " } (name(destination))
                    }
                    @if destinations.len() > NAMED { " and " (destinations.len() - NAMED) " more" }
                }
            }
        }
    }
}

fn money(value: Option<&str>, currency: Option<&str>) -> String {
    match (value, currency) {
        (Some(value), Some(currency)) => format!("{} {currency}", grouped(value)),
        _ => "–".to_owned(),
    }
}

/// The page of one event.
fn sheet(life: &Value, desk: &Desk) -> Sheet {
    let event = &life["event"];
    let text = |key: &str| event[key].as_str();
    let title = format!("Event {}", text("event_id").unwrap_or_default());
    let body = html! {
        p.lead {
            (name(text("event_name").unwrap_or_default())) " of " (name(text("business_id").unwrap_or_default()))
            @if text("value").is_some() { ", " (money(text("value"), text("currency"))) }
        }
        (facts(life, desk))
        (troubles(life))
        h2 { "Where it stands" }
        @if list(&life["deliveries"]).next().is_some() {
            (wide("Where it stands", &deliveries(life, desk)))
        } @else { p { "No destination has been decided about yet." } }
        h2 { "What happened" }
        (happened(life, desk))
        h2 { "Consent on record" }
        (consent::evidence(life))
    };
    still(title, body)
}

fn facts(life: &Value, desk: &Desk) -> Markup {
    let event = &life["event"];
    let kinds = |key: &str| match words(&life["data"][key]) {
        none if none.is_empty() => "none".to_owned(),
        kinds => kinds.replace('_', " "),
    };
    html! {
        dl.facts {
            dt { "Happened" } dd { (moment(&event["occurred_at"])) }
            dt { "Written" } dd { (moment(&event["recorded_at"])) @if let Some(source) = event["source"].as_str() { " by " (shown(source)) } }
            @if let Some(original) = event["depends_on"].as_str() { dt { "Adjusts" } dd { (link(original)) } }
            @for (_, trace) in life::traces(life).iter().filter(|(of, _)| of == "application") {
                dt { "Trace of the order" } dd { (trace_link(desk, trace)) }
            }
            dt { "Personal data" } dd { (kinds("user_data")) }
            dt { "Click ids" } dd { (kinds("click_ids")) }
            dt { "Items" } dd { (life["data"]["items"].as_i64().unwrap_or(0)) }
            @if event["data_removed_at"].is_string() {
                dt { "Data removed" } dd { (moment(&event["data_removed_at"])) " by " (event["data_removed_by"].as_str().unwrap_or_default()) }
            }
        }
        p.soft { "Which kinds there are, never what they are." }
    }
}

fn trace_link(desk: &Desk, id: &str) -> Markup {
    let short: String = id.chars().take(8).collect();
    match desk.config.telemetry.trace_url(id) {
        Some(url) => html! { a href=(url) rel="noreferrer" { "trace " code { (short) } } },
        None => html! { "trace " code { (id) } },
    }
}

/// Repeats, conflicts and warnings: what the application may want to mend.
fn troubles(life: &Value) -> Markup {
    let repeats = &life["repeats"];
    let count = |key: &str| repeats[key].as_i64().unwrap_or(0);
    html! {
        @if count("duplicates") > 0 {
            (notice(Tone::Calm, &html! { p { "Written again " (times(count("duplicates"))) " with the same content: the first one counts." } }))
        }
        @if count("conflicts") > 0 {
            (notice(Tone::Warn, &html! {
                p {
                    "Written again " (times(count("conflicts"))) " with other content, which was not taken. It differed in: "
                    (words(&repeats["differs"]).replace('_', " ")) "."
                }
            }))
        }
        @for warning in list(&life["warnings"]) {
            (notice(Tone::Warn, &html! {
                p { code { (scrub(warning["field"].as_str().unwrap_or_default())) } ": " (scrub(warning["rule"].as_str().unwrap_or_default())) }
            }))
        }
    }
}

fn times(count: i64) -> String {
    match count {
        1 => "once".to_owned(),
        many => format!("{many} times"),
    }
}

fn deliveries(life: &Value, desk: &Desk) -> Markup {
    let id = life["event"]["event_id"].as_str().unwrap_or_default();
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Destination" } th scope="col" { "State" } th scope="col" { "Why" }
                    th.number scope="col" { "Tries" } th scope="col" { "Answer" } th scope="col" { "Next" } th scope="col" { "Payload" }
                    th scope="col" { "Trace" }
                }
            }
            tbody {
                @for one in list(&life["deliveries"]) {
                    @let destination = one["destination"].as_str().unwrap_or_default();
                    tr {
                        th scope="row" { (name(destination)) }
                        td { (badge_of(one["state"].as_str().unwrap_or_default())) }
                        td.short { (one["reason"].as_str().unwrap_or("–").replace('_', " ")) }
                        td.number { (one["tries"].as_i64().unwrap_or(0)) }
                        td.short { (answer(one)) }
                        td class=(if one["state"] == "pending" { "words" } else { "short" }) { (next(one, id, destination)) }
                        td { (hash(&one["payload_hash"])) }
                        td { @match one["trace_id"].as_str() { Some(trace) => { (trace_link(desk, trace)) }, None => { "–" } } }
                    }
                }
            }
        }
    }
}

fn badge_of(state: &str) -> Markup {
    badge(tone_of(state), state)
}

fn tone_of(state: &str) -> Tone {
    match state {
        "accepted" | "sent" => Tone::Good,
        "uncertain" => Tone::Warn,
        "rejected" | "exhausted" | "expired" => Tone::Bad,
        _ => Tone::Calm,
    }
}

fn answer(delivery: &Value) -> Markup {
    html! {
        @match delivery["response_code"].as_i64() { Some(code) => { "HTTP " (code) }, None => { "–" } }
        @if let Some(code) = delivery["error_code"].as_str() { ", code " code { (scrub(code)) } }
    }
}

/// What comes next for a delivery.
fn next(one: &Value, event_id: &str, destination: &str) -> Markup {
    let is_dead = matches!(
        one["state"].as_str(),
        Some("rejected" | "uncertain" | "exhausted")
    );
    html! {
        @if is_dead { a href=(replay_address(event_id, destination)) { "Send again…" } }
        @else if one["state"] == "pending" {
            @if one["lease_until"].is_string() { "a worker holds it until " (moment(&one["lease_until"])) }
            @else if one["due_at"].is_string() { "due " (moment(&one["due_at"])) }
            @else { "waits for a worker" }
            @if one["expires_at"].is_string() { ", expires " (moment(&one["expires_at"])) }
        } @else { "–" }
    }
}

fn hash(hash: &Value) -> Markup {
    match hash.as_str() {
        Some(hash) => html! { code { (hash.chars().take(12).collect::<String>()) } },
        None => html! { "–" },
    }
}

/// The timeline: drawn, and as a table with every detail.
fn happened(life: &Value, desk: &Desk) -> Markup {
    let entries = life::timeline(life);
    html! {
        (drawing::draw(&entries))
        (wide("What happened", &html! {
            table {
                thead { tr { th scope="col" { "When" } th scope="col" { "Where" } th scope="col" { "What" } th.number scope="col" { "After" } } }
                tbody {
                    @for (at, entry) in entries.iter().enumerate() {
                        tr {
                            td { (time(entry.at)) }
                            td { @if entry.place.is_empty() { "–" } @else { (name(&entry.place)) } }
                            td class={ "words " (drawing::class(entry.kind)) } { (what(entry, desk)) }
                            td.number { @if at > 0 { "+" (drawing::gap(entry.at - entries[at - 1].at)) } @else { "–" } }
                        }
                    }
                }
            }
        }))
        @for one in list(&life["audit"]) {
            @if let Some(number) = one["audit_no"].as_i64() { p.soft { (audit::link(number)) ": " (one["action"].as_str().unwrap_or_default()) " at " (name(one["destination"].as_str().unwrap_or_default())) } }
        }
        @if let Some(until) = life["queued"]["lease_until"].as_str() {
            p.soft { "Claimed " (life["queued"]["claim_no"].as_i64().unwrap_or(0)) " times; a worker holds it until " (moment(&until.into())) "." }
        }
    }
}

/// What happened, with its trace as a link. A payload's hash stands for what was sent.
fn what(entry: &life::Entry, desk: &Desk) -> Markup {
    let said = if entry.kind == Kind::Hand || entry.kind == Kind::Hold || entry.kind == Kind::Late {
        scrub(&entry.what).into_owned()
    } else {
        entry.what.clone()
    };
    html! {
        (said)
        @if let Some(trace) = &entry.trace_id { ", " (trace_link(desk, trace)) }
        @if let Some(hash) = &entry.payload_hash { ", payload " code { (hash.chars().take(12).collect::<String>()) } }
    }
}

fn moment(value: &Value) -> Markup {
    match value
        .as_str()
        .and_then(|at| at.parse::<DateTime<Utc>>().ok())
    {
        Some(at) => time(at),
        None => html! { "–" },
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn words(value: &Value) -> String {
    let words: Vec<&str> = list(value).filter_map(Value::as_str).collect();
    words.join(", ")
}

/// Ids in an address.
mod percent {
    /// Everything but what is plain in every address stands as its bytes.
    pub(super) fn encoded(text: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~:".contains(&byte);
        text.bytes()
            .map(|byte| match plain(byte) {
                true => char::from(byte).to_string(),
                false => format!("%{byte:02X}"),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_id_has_an_address_of_its_own() {
        for (id, expected) in [
            ("order_paid:order-1042", "/events/order_paid:order-1042"),
            ("a/../b?c#d", "/events/a%2F..%2Fb%3Fc%23d"),
            ("..", "/events?q=.."),
            (".", "/events?q=."),
            ("%2e%2e", "/events/%252e%252e"),
            ("ä\"<", "/events/%C3%A4%22%3C"),
        ] {
            assert_eq!(path(id), expected);
            let url = url::Url::parse("http://h")
                .expect("a url")
                .join(&path(id))
                .expect("joined");
            assert!(url.path().starts_with("/events"), "{url}");
        }
    }
}
