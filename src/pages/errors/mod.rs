//! Errors: what tries end with where they do not end well, over time; what to do about each kind; and a few events of it.

mod advice;
mod kinds;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use tokio_postgres::types::Type;

use super::Desk;
use super::charts::heat::count_cell;
use super::event;
use super::frame::{Page, Sheet};
use super::html::{Markup, address, badge, choice, count, html, name, percent, time, wide};
use super::params::{Params, Period};
use super::trouble::Trouble;
use advice::Now;
use kinds::{Columns, Error, Kind};

const ERRORS: &str = include_str!("../../../sql/pages/errors.sql");
const SAMPLES: &str = include_str!("../../../sql/pages/error_samples.sql");
const TROUBLES_NOW: &str = include_str!("../../../sql/pages/troubles_now.sql");

/// More kinds than this are not shown.
const KINDS_MAX: usize = 60;

/// `GET /errors?days=1|7|30&destination=…`.
pub(super) async fn page(State(desk): State<Desk>, params: Params) -> Result<Response, Trouble> {
    let [days, destination] = params.only(["days", "destination"])?;
    let period = Period::read(days.as_deref())?;
    let view = View::read(&desk, period, destination).await?;
    let sheet = Sheet::live(Page::Errors, view.body());
    Ok(desk.show(StatusCode::OK, &sheet).into_response())
}

struct View {
    period: Period,
    destination: Option<String>,
    names: Vec<String>,
    columns: Columns,
    /// The most frequent first.
    errors: Vec<Error>,
    /// All tries by destination, good and bad.
    tries: BTreeMap<String, i64>,
    /// By destination.
    troubles: BTreeMap<String, Now>,
}

impl View {
    async fn read(
        desk: &Desk,
        period: Period,
        destination: Option<String>,
    ) -> Result<View, Trouble> {
        let columns = Columns::up_to(desk.now(), period);
        let now = desk.database.query(TROUBLES_NOW, &[]);
        let params = [
            (&columns.first as _, Type::TIMESTAMPTZ),
            (&destination as _, Type::TEXT),
        ];
        let unit = columns.unit();
        let parts = [
            params[0].clone(),
            params[1].clone(),
            (&unit as _, Type::TEXT),
        ];
        let answers = desk.database.query(ERRORS, &parts);
        let samples = desk.database.query(SAMPLES, &params);
        let (now, answers, samples) = futures::try_join!(now, answers, samples)?;
        let mut names = Vec::new();
        let mut troubles = BTreeMap::new();
        for row in &now {
            let name: String = row.try_get("name")?;
            let trouble = Now {
                is_held: row.try_get("is_held")?,
                has_dead: row.try_get("has_dead")?,
            };
            troubles.insert(name.clone(), trouble);
            names.push(name);
        }
        if let Some(unknown) = destination.as_ref().filter(|name| !names.contains(name)) {
            return Err(Trouble::Asked(format!(
                "no worker has registered a destination {unknown:?}: choose one of the list"
            )));
        }
        let mut errors: BTreeMap<Kind, Error> = BTreeMap::new();
        let mut tries = BTreeMap::new();
        for row in &answers {
            let answered: i64 = row.try_get("answers")?;
            let of: String = row.try_get("destination")?;
            let Some(outcome) = row.try_get::<_, Option<String>>("outcome")? else {
                tries.insert(of, answered);
                continue;
            };
            let kind = Kind {
                destination: of,
                outcome,
                response_code: row.try_get("response_code")?,
                error_code: row.try_get("error_code")?,
            };
            let (since, last) = (row.try_get("since")?, row.try_get("last")?);
            errors
                .entry(kind.clone())
                .or_insert_with(|| Error::new(kind, &columns))
                .add(&columns, since, last, answered);
        }
        let mut errors: Vec<Error> = errors.into_values().collect();
        for row in &samples {
            let (of, response_code, error_code): (&str, Option<i16>, Option<&str>) = (
                row.try_get("destination")?,
                row.try_get("response_code")?,
                row.try_get("error_code")?,
            );
            for error in errors
                .iter_mut()
                .filter(|error| error.kind.is_of(of, response_code, error_code))
            {
                error
                    .samples
                    .push((row.try_get("event_id")?, row.try_get("event_name")?));
            }
        }
        errors.sort_by_key(|error| (std::cmp::Reverse(error.total), error.kind.clone()));
        Ok(View {
            period,
            destination,
            names,
            columns,
            errors,
            tries,
            troubles,
        })
    }

    /// How its destination stands now, whatever was when the try ended.
    fn now(&self, error: &Error) -> Now {
        let now = self.troubles.get(&error.kind.destination);
        now.copied().unwrap_or_default()
    }

    fn body(&self) -> Markup {
        html! {
            (self.lead())
            (self.filter())
            @if !self.errors.is_empty() {
                section aria-labelledby="over-time" {
                    h2 id="over-time" { "Over time" }
                    (self.over_time())
                }
                @let (somebody, nobody): (Vec<_>, Vec<_>) = self.errors.iter().take(KINDS_MAX).partition(|error| advice::needs_somebody(&error.kind.outcome, self.now(error)));
                (self.kinds("somebody", "What needs somebody", &somebody))
                (self.kinds("nobody", "What is over, or the worker deals with itself", &nobody))
            }
        }
    }

    fn lead(&self) -> Markup {
        let failed: i64 = self.errors.iter().map(|error| error.total).sum();
        let tries: i64 = self.tries.values().sum();
        let period = match self.period {
            Period::Day => "the last 24 hours".to_owned(),
            period => format!("the last {}", period.words()),
        };
        html! {
            @match (failed, tries) {
                (_, 0) => {
                    p.lead { "Nothing was sent in " (period) "." }
                    p.soft { "So nothing failed. Errors are here as soon as a platform answers with one." }
                }
                (0, _) => {
                    p.lead.good { "All is well: each of " (count(tries)) " tries in " (period) " ended well." }
                }
                _ => {
                    p.lead { (percent(failed, tries)) " of the tries in " (period) " did not end well." }
                    p.soft { (count(failed)) " of " (count(tries)) ". Most are repeated by the worker itself: what needs a person is a dead letter or a held destination." }
                }
            }
        }
    }

    fn filter(&self) -> Markup {
        let periods: Vec<(String, String)> = Period::ALL
            .map(|period| {
                (
                    period.days().to_string(),
                    if period == Period::Day {
                        "24 hours"
                    } else {
                        period.words()
                    }
                    .to_owned(),
                )
            })
            .to_vec();
        let mut destinations = vec![(String::new(), "all destinations".to_owned())];
        destinations.extend(self.names.iter().map(|name| (name.clone(), name.clone())));
        html! {
            form.filter method="get" action=(Page::Errors.path()) {
                (choice("days", "Time", &periods, &self.period.days().to_string()))
                (choice("destination", "Destination", &destinations, self.destination.as_deref().unwrap_or_default()))
                button type="submit" { "Show" }
            }
        }
    }

    fn over_time(&self) -> Markup {
        let highest = self
            .errors
            .iter()
            .flat_map(|error| error.counts.iter().copied())
            .max()
            .unwrap_or(0);
        let rest = self.errors.len().saturating_sub(KINDS_MAX);
        wide(
            "Errors over time",
            &html! {
                table.heatmap {
                    caption { "Tries that did not end well, by the time they were made; the newest first" }
                    thead { tr {
                        th scope="col" { "Destination and answer" }
                        th.number scope="col" { "All" }
                        @for (number, unit) in self.columns.labels().into_iter().rev() { th.number scope="col" { (number) " " br; (unit) } }
                    } }
                    tbody {
                        @for (place, error) in self.errors.iter().take(KINDS_MAX).enumerate() {
                            tr {
                                th scope="row" { a href={ "#kind-" (place) } { (name(&error.kind.destination)) " " (error.kind.code()) } }
                                td.number { b { (count(error.total)) } }
                                @for number in error.counts.iter().rev() { (count_cell(*number, highest)) }
                            }
                        }
                    }
                    @if rest > 0 { tfoot { tr { td colspan=(self.columns.number + 2) { "and " (count(rest as i64)) " rarer kinds: choose a destination" } } } }
                }
            },
        )
    }

    fn kinds(&self, id: &str, heading: &str, errors: &[&Error]) -> Markup {
        html! {
            @if !errors.is_empty() {
                section aria-labelledby=(id) {
                    h2 id=(id) { (heading) }
                    ul.cards.broad { @for error in errors { li.card { (self.what_to_do(error)) } } }
                }
            }
        }
    }

    fn what_to_do(&self, error: &Error) -> Markup {
        let place = self
            .errors
            .iter()
            .position(|one| one.kind == error.kind)
            .unwrap_or_default();
        let tries = self
            .tries
            .get(&error.kind.destination)
            .copied()
            .unwrap_or(0);
        let (tone, word) = advice::word(&error.kind.outcome, self.now(error));
        html! {
            article id={ "kind-" (place) } {
                div.title { h3 { (name(&error.kind.destination)) " " (error.kind.code()) } (badge(tone, word)) }
                p {
                    (tries_of(error.total)) ", " (percent(error.total, tries)) " of all at this destination; last in the hour of " (time(error.last)) "."
                }
                p { (advice::advice(&error.kind, self.now(error))) }
                @if error.samples.is_empty() {
                    p.soft { "None of the latest tries is of this kind." }
                } @else {
                    p.soft { "The latest events:" }
                    ul.who { @for (event_id, event) in &error.samples {
                        li { a href=(event::path(event_id)) { (name(event)) " " span.code { (short(event_id)) } } }
                    } }
                }
                @if advice::may_be_dead(&error.kind.outcome) && self.now(error).has_dead {
                    p { a href=(address(Page::DeadLetters.path(), &[("destination", &error.kind.destination)])) { "Dead letters of " (name(&error.kind.destination)) } }
                }
            }
        }
    }
}

fn tries_of(number: i64) -> String {
    match number {
        1 => "1 try".to_owned(),
        many => format!("{} tries", count(many)),
    }
}

fn short(text: &str) -> String {
    match text.chars().count() {
        0..=24 => text.to_owned(),
        _ => format!("{}…", text.chars().take(20).collect::<String>()),
    }
}

/// The whole hour that this moment lies in.
fn hour_of(now: DateTime<Utc>) -> DateTime<Utc> {
    now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now)
}
