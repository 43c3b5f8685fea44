//! Dead letters: by what they died of, one by one, and what an operator does about them.

mod deed;
mod selection;

use axum::Router;
use axum::body::Body;
use axum::extract::State as Of;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use chrono::{DateTime, SecondsFormat};

use super::Desk;
use super::event;
use super::frame::{Page, Sheet};
use super::html::{
    Markup, Tone, address, badge, choice, count, deliveries, html, name, sentence, time, wide,
};
use super::params::Params;
use super::trouble::Trouble;
use crate::operations::dead_letters::{self, DeadLetter, End, Group};
use crate::operations::{Filter, known};
use crate::outcome::{Reason, State};
use selection::Selection;

/// Groups on the page; whoever has more kinds of trouble sees the most frequent.
const GROUPS_MAX: i64 = 200;

/// Letters on one page of a list.
const PAGE: usize = 50;

pub(super) fn router() -> Router<Desk> {
    Router::new()
        .route("/dead-letters", get(groups))
        .route("/dead-letters/list", get(letters))
        .merge(deed::router())
}

/// Where a delivery's dead letter can be asked for again.
pub(super) fn replay_address(event_id: &str, destination: &str) -> String {
    address(
        "/dead-letters/replay",
        &[("event_id", event_id), ("destination", destination)],
    )
}

async fn groups(Of(desk): Of<Desk>, params: Params) -> Result<Response<Body>, Trouble> {
    let [destination, event_name] = params.only(["destination", "event_name"])?;
    if let Some(name) = &destination {
        known::destination(&desk.database, name).await?;
    }
    let filter = Filter {
        destination: destination.clone(),
        event_name: event_name.clone(),
        limit: Some(GROUPS_MAX),
        ..Filter::default()
    };
    let groups = dead_letters::groups(&desk.database, &filter).await?;
    let names = known::destinations(&desk.database).await?;
    let total: i64 = groups.iter().map(|group| group.count).sum();
    let body = html! {
        p.lead {
            @match total {
                0 => { "No dead letters." },
                _ => { (deliveries(total)) " ended without having arrived for certain." },
            }
        }
        form.filter method="get" action="/dead-letters" {
            (choice("destination", "Destination", &options(&names), destination.as_deref().unwrap_or_default()))
            label.field { span { "Event name" } input name="event_name" value=[&event_name] maxlength="40"; }
            button type="submit" { "Show" }
        }
        @if total > 0 {
            ul.cards {
                @for group in &groups { li.card { (card(group, event_name.as_deref())) } }
            }
            @if groups.len() as i64 == GROUPS_MAX { p.soft { "The " (GROUPS_MAX) " most frequent kinds are shown." } }
        } @else {
            p { "What is rejected, uncertain or exhausted is gathered here, with what to do about it." }
        }
    };
    Ok(desk.show(StatusCode::OK, &Sheet::live(Page::DeadLetters, body)))
}

fn options(names: &[String]) -> Vec<(String, String)> {
    let all = (String::new(), "All".to_owned());
    std::iter::once(all)
        .chain(names.iter().map(|name| (name.clone(), name.clone())))
        .collect()
}

fn card(group: &Group, event_name: Option<&str>) -> Markup {
    let selection = Selection {
        destination: Some(group.destination.clone()),
        state: State::parse(&group.state),
        died_of: group.reason.as_deref().and_then(Reason::parse),
        code: Some(group.error_code.clone().unwrap_or_default()),
        event_name: event_name.map(str::to_owned),
        event_id: None,
    };
    html! {
        h2 { (count(group.count)) " " (group.state) " at " (name(&group.destination)) }
        p {
            (state_badge(&group.state)) " "
            @if let Some(reason) = &group.reason { (reason.replace('_', " ")) }
            @if let Some(code) = &group.error_code { ", code " code { (code) } }
        }
        dl.facts {
            dt { "First" } dd { (time(group.oldest)) }
            dt { "Last" } dd { (time(group.newest)) }
            @if let Some(id) = &group.sample_event_id { dt { "Such as" } dd { (event::link(id)) } }
        }
        p { (sentence(group.advice)) }
        p.row {
            a.button href=(selection.address("/dead-letters/list", &[])) { "List" }
            " " a.button href=(selection.address("/dead-letters/replay", &[])) { "Send again…" }
            " " a.button href=(selection.address("/dead-letters/skip", &[])) { "Skip…" }
        }
    }
}

/// How a dead letter ended, by word and shape.
pub(super) fn state_badge(state: &str) -> Markup {
    let tone = if state == "uncertain" {
        Tone::Warn
    } else {
        Tone::Bad
    };
    badge(tone, state)
}

async fn letters(Of(desk): Of<Desk>, params: Params) -> Result<Response<Body>, Trouble> {
    let [
        destination,
        state,
        died_of,
        code,
        event_name,
        event_id,
        after,
    ] = params.only([
        "destination",
        "state",
        "died_of",
        "code",
        "event_name",
        "event_id",
        "after",
    ])?;
    let selection = Selection::read([destination, state, died_of, code, event_name, event_id])?;
    if let Some(name) = &selection.destination {
        known::destination(&desk.database, name).await?;
    }
    let after = after.map(|text| read_end(&text)).transpose()?;
    let filter = Filter {
        // One more tells whether there is a next page.
        limit: Some(PAGE as i64 + 1),
        ..selection.filter()
    };
    let mut letters = dead_letters::list_after(&desk.database, &filter, after.as_ref()).await?;
    let is_last = letters.len() <= PAGE;
    letters.truncate(PAGE);
    let next = letters.last().filter(|_| !is_last).map(write_end);
    let body = html! {
        p { "Those that are " (selection.words()) ", newest first." }
        @if letters.is_empty() { p.lead { "None." } } @else { (wide("Dead letters", &table(&letters))) }
        p.row {
            a.button href="/dead-letters" { "All kinds" }
            @if after.is_some() { " " a.button href=(selection.address("/dead-letters/list", &[])) { "Newest" } }
            @if let Some(next) = &next {
                " " a.button rel="next" href=(selection.address("/dead-letters/list", &[("after", next)])) { "Older" }
            }
        }
    };
    let sheet = Sheet {
        page: Some(Page::DeadLetters),
        title: "Dead letters, one by one".to_owned(),
        refresh: None,
        body,
    };
    Ok(desk.show(StatusCode::OK, &sheet))
}

fn table(letters: &[DeadLetter]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "Event" } th scope="col" { "Name" } th scope="col" { "Destination" }
                    th scope="col" { "State" } th scope="col" { "Why" } th scope="col" { "Code" }
                    th.number scope="col" { "HTTP" } th.number scope="col" { "Tries" } th scope="col" { "Died" }
                }
            }
            tbody {
                @for one in letters {
                    tr {
                        th scope="row" { (event::link(&one.event_id)) }
                        td { (name(&one.event_name)) } td { (name(&one.destination)) }
                        td { (state_badge(&one.state)) }
                        td { (one.reason.as_deref().unwrap_or("–").replace('_', " ")) }
                        td { code { (one.error_code.as_deref().unwrap_or("–")) } }
                        td.number { @if let Some(code) = one.response_code { (code) } @else { "–" } }
                        td.number { (one.tries) } td { (time(one.settled_at)) }
                    }
                }
            }
        }
    }
}

fn write_end(last: &DeadLetter) -> String {
    let at = last.settled_at.to_rfc3339_opts(SecondsFormat::Micros, true);
    format!("{at} {} {}", last.event_no, last.destination)
}

fn read_end(text: &str) -> Result<End, Trouble> {
    let read = || {
        let mut parts = text.splitn(3, ' ');
        let settled_at: DateTime<_> = parts.next()?.parse().ok()?;
        let event_no = parts.next()?.parse().ok()?;
        let destination = parts.next()?.to_owned();
        Some(End {
            settled_at,
            event_no,
            destination,
        })
    };
    read().ok_or_else(|| {
        Trouble::Asked("after is where a page ended: leave it out for the newest".to_owned())
    })
}
