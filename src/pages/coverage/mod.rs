//! Coverage: how much of what happens in the business reaches each platform, and what stays behind where. And what events
//! carry that platforms could match.

mod funnel;
mod signals;

use std::collections::{BTreeMap, BTreeSet};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{Days, NaiveDate};
use tokio_postgres::types::Type;

use super::Desk;
use super::charts::share::share;
use super::frame::{Page, Sheet};
use super::html::{Markup, Tone, address, choice, count, html, name, percent, wide};
use super::params::{Params, Period};
use super::trouble::Trouble;
use funnel::{Funnel, Step};
use signals::{SHOWN, Signals};

const COVERAGE: &str = include_str!("../../../sql/pages/coverage.sql");
const NAMES: &str = include_str!("../../../sql/pages/destination_names.sql");

/// Rows of a table; what is rarer is reached by its name.
const ROWS_MAX: usize = 100;

/// `GET /coverage?days=1|7|30&event=…&destination=…`.
pub(super) async fn page(State(desk): State<Desk>, params: Params) -> Result<Response, Trouble> {
    let asked = Asked::read(params)?;
    let view = View::read(&desk, asked).await?;
    let sheet = Sheet::live(Page::Coverage, view.body());
    Ok(desk.show(StatusCode::OK, &sheet).into_response())
}

/// What part of it is to be shown.
struct Asked {
    period: Period,
    event: Option<String>,
    destination: Option<String>,
}

impl Asked {
    fn read(params: Params) -> Result<Asked, Trouble> {
        let [days, event, destination] = params.only(["days", "event", "destination"])?;
        Ok(Asked {
            period: Period::read(days.as_deref())?,
            event,
            destination,
        })
    }
}

struct View {
    asked: Asked,
    /// All destinations and their platforms, asked for or not.
    destinations: BTreeMap<String, String>,
    /// All names of events of the last thirty days.
    events: BTreeSet<String>,
    /// By name, of those asked for.
    signals: BTreeMap<String, Signals>,
    /// By destination and name of the event, of those asked for.
    funnels: BTreeMap<String, BTreeMap<String, Funnel>>,
}

impl View {
    async fn read(desk: &Desk, asked: Asked) -> Result<View, Trouble> {
        let today = desk.now().date_naive();
        let first = today - Days::new(SHOWN as u64 - 1);
        let begin = today - Days::new(asked.period.days() as u64 - 1);
        let names = desk.database.query(NAMES, &[]);
        let params = [
            (&first as _, Type::DATE),
            (&begin as _, Type::DATE),
            (&today as _, Type::DATE),
        ];
        let rows = desk.database.query(COVERAGE, &params);
        let (names, rows) = futures::try_join!(names, rows)?;
        let mut destinations = BTreeMap::new();
        for row in &names {
            destinations.insert(row.try_get("name")?, row.try_get("platform")?);
        }
        if let Some(unknown) = asked
            .destination
            .as_ref()
            .filter(|name| !destinations.contains_key(*name))
        {
            return Err(Trouble::Asked(format!(
                "no worker has registered a destination {unknown:?}: choose one of the list"
            )));
        }
        let mut view = View {
            asked,
            destinations,
            events: BTreeSet::new(),
            signals: BTreeMap::new(),
            funnels: BTreeMap::new(),
        };
        let mut of_destinations = Vec::new();
        for row in &rows {
            let (event, total): (String, i64) = (row.try_get("event_name")?, row.try_get("total")?);
            view.events.insert(event.clone());
            if view
                .asked
                .event
                .as_ref()
                .is_some_and(|asked| *asked != event)
            {
                continue;
            }
            match row.try_get::<_, &str>("kind")? {
                "signal" => {
                    let day: NaiveDate = row.try_get("day")?;
                    let carried: Vec<i64> = row.try_get("carried")?;
                    let place = (day - first).num_days() as usize;
                    view.signals
                        .entry(event)
                        .or_default()
                        .add(place, total, &carried);
                }
                kind => of_destinations.push((kind == "queued", event, total, row)),
            }
        }
        view.begin_funnels();
        for (is_queued, event, total, row) in of_destinations {
            let destination: &str = row.try_get("destination")?;
            let Some(funnels) = view.funnels.get_mut(destination) else {
                continue;
            };
            let funnel = funnels.entry(event).or_default();
            match is_queued {
                true => funnel.add_queued(total),
                false => {
                    funnel.add_deliveries(row.try_get("state")?, row.try_get("reason")?, total)
                }
            }
        }
        Ok(view)
    }

    /// Every event is on its way to every destination that is asked for.
    fn begin_funnels(&mut self) {
        let days = self.asked.period.days() as usize;
        let asked = |name: &&String| {
            self.asked
                .destination
                .as_ref()
                .is_none_or(|asked| asked == *name)
        };
        for destination in self.destinations.keys().filter(asked) {
            let funnels = self.funnels.entry(destination.clone()).or_default();
            for (event, signals) in &self.signals {
                let events = signals.last(days).events;
                if events > 0 {
                    funnels.entry(event.clone()).or_default().add_events(events);
                }
            }
        }
    }

    fn body(&self) -> Markup {
        html! {
            (self.lead())
            (self.filter())
            section aria-labelledby="reach" {
                h2 id="reach" { "What reaches the platforms" }
                @if self.funnels.is_empty() {
                    p { "No worker has registered a destination yet. Start one with: " code { "conversion-outbox run" } }
                } @else {
                    div.cards.broad { @for (destination, funnels) in &self.funnels { (self.funnel(destination, funnels)) } }
                    (self.by_event())
                }
            }
            section aria-labelledby="carried" {
                h2 id="carried" { "What events carry" }
                p { "Of the events committed in the application: how many carry what a platform can match, and how many have consent (" code { "ad_user_data" } "). The lines are the shares of each of the last " (SHOWN) " days." }
                @if self.signals.is_empty() {
                    p { "No events of this name in " (SHOWN) " days." }
                } @else {
                    (signals::matrix(&self.signals, self.asked.period))
                }
            }
        }
    }

    fn lead(&self) -> Markup {
        let (mut meant, mut accepted, mut open) = (0, 0, 0);
        for funnel in self.funnels.values().flat_map(BTreeMap::values) {
            meant += funnel.passed(Step::Meant);
            accepted += funnel.passed(Step::Accepted);
            open += funnel.open();
        }
        let period = match self.asked.period {
            Period::Day => "today".to_owned(),
            period => format!("in {}", period.words()),
        };
        html! {
            @if meant == 0 {
                p.lead { "Nothing was meant for a platform " (period) "." }
            } @else {
                p.lead { (percent(accepted, meant)) " of what was meant for the platforms " (period) " was accepted." }
            }
            p.soft {
                (count(accepted)) " of " (count(meant)) " deliveries"
                @if open > 0 { "; " (count(open)) " are still open" }
                ". Counted by the day on which the event occurred."
            }
        }
    }

    fn filter(&self) -> Markup {
        let all = |what: &str| (String::new(), what.to_owned());
        let periods: Vec<(String, String)> = Period::ALL
            .map(|period| (period.days().to_string(), period.words().to_owned()))
            .to_vec();
        let same = |name: &String| (name.clone(), name.clone());
        let mut events = vec![all("all events")];
        events.extend(self.events.iter().take(ROWS_MAX).map(same));
        // One that is asked for is there to be chosen, although there is none of it.
        if let Some(asked) = self
            .asked
            .event
            .as_ref()
            .filter(|asked| !events.iter().any(|(value, _)| value == *asked))
        {
            events.push(same(asked));
        }
        let mut destinations = vec![all("all destinations")];
        destinations.extend(self.destinations.keys().map(same));
        html! {
            form.filter method="get" action=(Page::Coverage.path()) {
                (choice("days", "Time", &periods, &self.asked.period.days().to_string()))
                (choice("event", "Event", &events, self.asked.event.as_deref().unwrap_or_default()))
                (choice("destination", "Destination", &destinations, self.asked.destination.as_deref().unwrap_or_default()))
                button type="submit" { "Show" }
            }
        }
    }

    /// All events together, on their way to one destination.
    fn funnel(&self, destination: &str, funnels: &BTreeMap<String, Funnel>) -> Markup {
        let events: i64 = funnels.values().map(|funnel| funnel.events).sum();
        let unconfirmed: i64 = funnels.values().map(|funnel| funnel.unconfirmed).sum();
        let passed =
            |step: Step| -> i64 { funnels.values().map(|funnel| funnel.passed(step)).sum() };
        html! {
            article.card {
                h3 { (name(destination)) " " span.soft { (self.destinations.get(destination).map_or("", String::as_str)) } }
                ol.funnel {
                    li {
                        div.step { span { "Business events" } b { (count(events)) } span.percent {} }
                        (share(events, events, Tone::Calm))
                    }
                    @for step in Step::ALL {
                        li {
                            div.step { span { (step.words()) } b { (count(passed(step))) } span.percent { (percent(passed(step), events)) } }
                            (share(passed(step), events, if step == Step::Accepted { Tone::Good } else { Tone::Calm }))
                            @let drops = drops(funnels, step);
                            @if !drops.is_empty() {
                                ul.drops { @for (drop, number) in drops {
                                    li class=(drop.kind.tone().class()) {
                                        span.number { "−" (count(number)) } " " (drop.why)
                                        @if drop.kind == funnel::Kind::Open { " (open)" }
                                    }
                                } }
                            }
                        }
                    }
                }
                @if unconfirmed > 0 {
                    p.soft { (count(unconfirmed)) " of the accepted were handed over to the platform, which has not confirmed them." }
                }
            }
        }
    }

    /// Every step of every event at every destination, as one table.
    fn by_event(&self) -> Markup {
        let mut rows: Vec<(&String, &String, &Funnel)> = self
            .funnels
            .iter()
            .flat_map(|(destination, funnels)| {
                funnels
                    .iter()
                    .map(move |(event, funnel)| (destination, event, funnel))
            })
            .collect();
        rows.sort_by_key(|(destination, event, funnel)| {
            (std::cmp::Reverse(funnel.events), *event, *destination)
        });
        let rest = rows.len().saturating_sub(ROWS_MAX);
        rows.truncate(ROWS_MAX);
        if rows.is_empty() {
            return html! {};
        }
        wide(
            "Each event at each destination",
            &html! {
                table.steps {
                    caption { "Each event at each destination; shares are of the business events" }
                    thead { tr {
                        th scope="col" { "Event" } th scope="col" { "Destination" } th.number scope="col" { "Events" }
                        @for step in Step::ALL { th.number scope="col" { (step.words()) } }
                        th.number scope="col" { "Open" }
                    } }
                    tbody {
                        @for (destination, event, funnel) in rows {
                            tr {
                                th scope="row" { a href=(self.narrowed(event, destination)) { (name(event)) } }
                                td { (name(destination)) }
                                td.number { (count(funnel.events)) }
                                @for step in Step::ALL {
                                    td.number { (count(funnel.passed(step))) " " span.of { (percent(funnel.passed(step), funnel.events)) } }
                                }
                                td.number { (count(funnel.open())) }
                            }
                        }
                    }
                    @if rest > 0 { tfoot { tr { td colspan="9" { "and " (count(rest as i64)) " rarer ones: choose an event above" } } } }
                }
            },
        )
    }

    fn narrowed(&self, event: &str, destination: &str) -> String {
        let days = self.asked.period.days().to_string();
        address(
            Page::Coverage.path(),
            &[
                ("days", &days),
                ("event", event),
                ("destination", destination),
            ],
        )
    }
}

/// What stayed behind at one step, whatever its event, the most first.
fn drops(funnels: &BTreeMap<String, Funnel>, step: Step) -> Vec<(funnel::Drop, i64)> {
    let mut all: BTreeMap<funnel::Drop, i64> = BTreeMap::new();
    for (drop, number) in funnels.values().flat_map(|funnel| funnel.drops(step)) {
        *all.entry(drop).or_default() += number;
    }
    let mut all: Vec<_> = all.into_iter().collect();
    all.sort_by_key(|(drop, number)| (std::cmp::Reverse(*number), drop.clone()));
    all
}
