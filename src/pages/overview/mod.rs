//! Overview: is it working? A sentence first, then what needs somebody, then every destination, then today.

mod compared;
mod standing;
mod verdict;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{Days, NaiveDate};
use tokio_postgres::types::Type;

use super::Desk;
use super::charts::days::{self, Part};
use super::charts::share::share;
use super::charts::sparkline::{Scale, sparkline};
use super::frame::{Page, Sheet};
use super::html::{
    Markup, Tone, address, age, badge, count, counted, deliveries, html, name, percent, time, wide,
};
use super::params::Params;
use super::trouble::Trouble;
use crate::reconcile::stored;
use standing::{Standing, Tally};
use verdict::{Concern, Verdict, Whose};

const STANDING: &str = include_str!("../../../sql/pages/standing.sql");
const DAYS: &str = include_str!("../../../sql/pages/days.sql");
const FAILING: &str = include_str!("../../../sql/pages/failing_answers.sql");

/// How many days the pictures show, today among them.
const SHOWN: u64 = 30;

/// Events of more names than this are added up in one line.
const NAMES_MAX: usize = 20;

/// What the application does, in its own transaction.
const EXAMPLE: &str = "select outcome from conversion_outbox.enqueue(
  event_name => 'order_paid', business_id => 'order-1042', value => 129.90, currency => 'EUR',
  consent    => '{\"ad_storage\": \"granted\", \"analytics_storage\": \"granted\",
                  \"ad_user_data\": \"granted\", \"ad_personalization\": \"denied\"}',
  user_data  => '{\"email\": \"ana@example.com\"}');";

/// `GET /`.
pub(super) async fn page(State(desk): State<Desk>, params: Params) -> Result<Response, Trouble> {
    params.only([])?;
    let view = View::read(&desk).await?;
    let sheet = Sheet::live(Page::Overview, view.body());
    Ok(desk.show(StatusCode::OK, &sheet).into_response())
}

/// All that the page shows.
struct View {
    today: NaiveDate,
    standings: Vec<Standing>,
    /// By destination.
    tallies: BTreeMap<String, Tally>,
    /// By name: events of each shown day, oldest first.
    events: BTreeMap<String, Vec<i64>>,
    /// What the comparison with the application's own tables found.
    compared: Vec<Concern>,
}

impl View {
    async fn read(desk: &Desk) -> Result<View, Trouble> {
        let now = desk.now();
        let today = now.date_naive();
        let first = today - Days::new(SHOWN - 1);
        let since = now - chrono::TimeDelta::hours(24);
        let standing = desk.database.query(STANDING, &[]);
        let params = [(&first as _, Type::DATE), (&today as _, Type::DATE)];
        let days = desk.database.query(DAYS, &params);
        let failing_params = [(&since as _, Type::TIMESTAMPTZ)];
        let failing = desk.database.query(FAILING, &failing_params);
        let first_compared = today - Days::new(compared::SPAN);
        let compared = stored::days(&desk.database, None, first_compared, today);
        let runs = stored::runs(&desk.database);
        let (standing, days, failing, compared, runs) =
            futures::try_join!(standing, days, failing, compared, runs)?;
        let standings = standing
            .iter()
            .map(Standing::read)
            .collect::<Result<_, _>>()?;
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let mut events: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for row in &days {
            let day: NaiveDate = row.try_get("day")?;
            let place = (day - first).num_days() as usize;
            let (of, total): (String, i64) = (row.try_get("name")?, row.try_get("total")?);
            match row.try_get::<_, Option<&str>>("state")? {
                None => {
                    let counts = events.entry(of).or_insert_with(|| vec![0; SHOWN as usize]);
                    counts[place] += total;
                }
                Some(state) => {
                    let in_time: Option<i64> = row.try_get("in_time")?;
                    let tally = tallies
                        .entry(of)
                        .or_insert_with(|| Tally::new(SHOWN as usize));
                    tally.add(place, state, total, in_time.unwrap_or(0));
                }
            }
        }
        for row in &failing {
            let destination: String = row.try_get("destination")?;
            let tally = tallies
                .entry(destination)
                .or_insert_with(|| Tally::new(SHOWN as usize));
            (tally.failed_tries, tally.tries) = (row.try_get("failed")?, row.try_get("answers")?);
        }
        Ok(View {
            today,
            standings,
            tallies,
            events,
            compared: compared::concerns(&compared, &runs),
        })
    }

    fn tally(&self, destination: &str) -> Tally {
        let known = self.tallies.get(destination).cloned();
        known.unwrap_or_else(|| Tally::new(SHOWN as usize))
    }

    fn body(&self) -> Markup {
        let standings: Vec<(Standing, Tally)> = self
            .standings
            .iter()
            .map(|one| (one.clone(), self.tally(&one.name)))
            .collect();
        let verdict = Verdict::of(&standings, self.compared.clone(), !self.events.is_empty());
        html! {
            p class={ "lead " (verdict.tone.class()) } { (verdict.answer) }
            p.soft { (verdict.so_far) }
            @if !verdict.concerns.is_empty() {
                section aria-labelledby="attention" {
                    h2 id="attention" { "What needs attention" }
                    ul.plain { @for concern in &verdict.concerns { li { (notice(concern)) } } }
                }
            }
            @if !standings.is_empty() {
                section aria-labelledby="destinations" {
                    h2 id="destinations" { "Destinations" }
                    ul.cards { @for (standing, tally) in &standings { li.card { (card(standing, tally)) } } }
                }
            }
            section aria-labelledby="events" {
                h2 id="events" { "Events" }
                (self.event_table())
            }
            section aria-labelledby="deliveries" {
                h2 id="deliveries" { "Deliveries of the last " (SHOWN) " days" }
                (self.delivery_days())
            }
            @if let Some(seen) = self.standings.iter().map(|one| one.last_seen_at).max() {
                p.soft { "The numbers are counted as of this page. A worker last gave a sign of life at " (time(seen)) "; it does every 15 seconds." }
            }
        }
    }

    fn event_table(&self) -> Markup {
        if self.events.is_empty() {
            return html! {
                p { "The application has written no event in these " (SHOWN) " days. Each one that it writes is here as soon as its transaction commits. It writes one where it writes the order, in the same transaction:" }
                div.wide role="region" aria-label="An example" tabindex="0" { pre { code { (EXAMPLE) } } }
                p { "What would become of an event can be seen without writing it: " code { "conversion-outbox preview --event event.json" } }
            };
        }
        let mut rows: Vec<(&str, &Vec<i64>)> = self
            .events
            .iter()
            .map(|(name, days)| (name.as_str(), days))
            .collect();
        let week = |days: &[i64]| days.iter().rev().take(7).sum::<i64>();
        rows.sort_by_key(|(name, days)| (std::cmp::Reverse(days.iter().sum::<i64>()), *name));
        let rest = rows.len().saturating_sub(NAMES_MAX);
        rows.truncate(NAMES_MAX);
        wide(
            "Events by name",
            &html! {
                table.snug {
                    thead { tr {
                        th scope="col" { "Event" }
                        th.number scope="col" { "Today" }
                        th.number scope="col" { "7 days" }
                        th scope="col" { "30 days" }
                    } }
                    tbody {
                        @for (event, days) in rows {
                            tr {
                                th scope="row" { a href=(address("/coverage", &[("event", event)])) { (name(event)) } }
                                td.number { (count(days.last().copied().unwrap_or(0))) }
                                td.number { (count(week(days))) }
                                td { (sparkline("Events", &line(days), Scale::Count)) }
                            }
                        }
                    }
                    @if rest > 0 { tfoot { tr { td colspan="4" { "and " (counted(rest as i64, "more name")) ", all of them under Coverage" } } } }
                }
            },
        )
    }

    fn delivery_days(&self) -> Markup {
        const PARTS: [Part; 4] = [
            Part {
                name: "accepted or handed over",
                tone: Tone::Good,
            },
            Part {
                name: "waiting",
                tone: Tone::Warn,
            },
            Part {
                name: "withheld or not for the destination",
                tone: Tone::Calm,
            },
            Part {
                name: "not delivered",
                tone: Tone::Bad,
            },
        ];
        let first = self.today - Days::new(SHOWN - 1);
        let columns: Vec<days::Day> = (0..SHOWN as usize)
            .map(|place| {
                let sum = |of: fn(&standing::Day) -> i64| {
                    self.tallies
                        .values()
                        .map(|tally| of(&tally.days[place]))
                        .sum()
                };
                days::Day {
                    label: (first + Days::new(place as u64))
                        .format("%-d %b")
                        .to_string(),
                    counts: vec![
                        sum(standing::Day::taken),
                        sum(|day| day.open),
                        sum(|day| day.kept),
                        sum(|day| day.lost),
                    ],
                }
            })
            .collect();
        let open: i64 = columns.iter().map(|day| day.counts[1]).sum();
        let waiting: i64 = self.standings.iter().map(|one| one.pending).sum();
        let what = "By the day on which the event occurred";
        html! {
            (days::days("deliveries-by-day", what, &PARTS, &columns))
            @if waiting > open {
                p.soft { (deliveries(waiting - open)) " more, not drawn: no worker has looked at them yet, or their day is not among these." }
            }
        }
    }
}

fn line(days: &[i64]) -> Vec<Option<f64>> {
    days.iter().map(|count| Some(*count as f64)).collect()
}

fn notice(concern: &Concern) -> Markup {
    let (key, whose): (&str, &[(String, String)]) = match &concern.whose {
        Whose::Everything => ("", &[]),
        Whose::Destinations(all) => ("destination", all),
        Whose::Entries(all) => ("entry", all),
    };
    let of = |one: &str| address(concern.page.path(), &[(key, one)]);
    html! {
        div class={ "notice " (concern.tone.class()) } {
            p { (badge(concern.tone, concern.word)) }
            div {
                p { (concern.said) @if let Some(advice) = &concern.advice { " " span.soft { (advice) } } }
                @if whose.is_empty() {
                    p { a href=(concern.page.path()) { (concern.page.title()) } }
                } @else {
                    ul.who { @for (one, how) in whose { li { a href=(of(one)) { (name(one)) } " " (how) } } }
                }
            }
        }
    }
}

fn card(standing: &Standing, tally: &Tally) -> Markup {
    let (tone, word) = standing.word();
    let today = tally.today();
    let (in_time, due) = tally.in_time(7);
    let dead = count(standing.dead);
    let link = |page: Page, text: &str| html! { a href=(address(page.path(), &[("destination", &standing.name)])) { (text) } };
    html! {
        div.title { h3 { (name(&standing.name)) } (badge(tone, word)) }
        p.soft { (standing.platform.replace('_', " ")) }
        div.figures {
            p { b.figure { (count(today.taken())) } " today" }
            p { b.figure { (count(tally.taken(7))) } " in 7 days" }
            (sparkline("Accepted or handed over", &line(&tally.days.iter().map(standing::Day::taken).collect::<Vec<_>>()), Scale::Count))
        }
        p.soft {
            "accepted"
            @if tally.unconfirmed(7) > 0 { ", " (count(tally.unconfirmed(7))) " of them in 7 days handed over and not confirmed" }
        }
        dl.facts {
            dt { "Waiting" } dd { (count(standing.pending)) @if standing.due > 0 { ", " (count(standing.due)) " of them due" } }
            dt { "Oldest due" } dd { @match standing.oldest_due { Some(seconds) => (age(seconds)), None => "–" } }
            dt { "In 15 min, 7 days" }
            dd {
                (percent(in_time, due))
                @if due > 0 { " of " (count(due)) (share(&[(in_time, slo_tone(in_time, due).class()), (due - in_time, "late")], due)) }
            }
            dt { "Dead letters" } dd { @if standing.dead > 0 { (link(Page::DeadLetters, &dead)) } @else { "none" } }
            dt { "Expiring in 24 h" } dd { @if standing.expiring > 0 { (count(standing.expiring)) } @else { "none" } }
            dt { "Failed tries, 24 h" }
            dd { @if tally.failed_tries > 0 { (link(Page::Errors, &format!("{} of {}", count(tally.failed_tries), count(tally.tries)))) } @else { "none" } }
        }
    }
}

fn slo_tone(in_time: i64, due: i64) -> Tone {
    match verdict::meets_slo(in_time, due) {
        true => Tone::Good,
        false => Tone::Warn,
    }
}
