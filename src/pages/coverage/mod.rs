//! Coverage: how much of what happens in the business reaches each platform, and what stays behind where. And what events
//! carry that platforms could match.

mod losses;
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
use super::html::{Markup, address, choice, count, html, name, percent, wide};
use super::params::{Params, Period};
use super::trouble::Trouble;
use crate::funnel::{Funnel, Kind, Loss, Step};
use crate::outcome::Reason;
use losses::{step_words, tone, words};
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
                    let state = crate::outcome::State::parse(row.try_get("state")?);
                    let reason: Option<&str> = row.try_get("reason")?;
                    // A state of a later version is shown once this program knows it.
                    if let Some(state) = state {
                        funnel.add(state, reason.and_then(Reason::parse), total);
                    }
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
                    @let (used, idle): (Vec<_>, Vec<_>) = self.funnels.iter().partition(|(_, funnels)| funnels.values().any(Funnel::is_used));
                    @if !used.is_empty() {
                        p.soft { "Shares are of all business events. What did not get further stands below its step: in grey what was kept back on purpose, in red what was lost." }
                    }
                    div.cards.broad { @for (destination, funnels) in used { (self.funnel(destination, funnels)) } }
                    @if !idle.is_empty() {
                        p.soft { "Nothing was decided in this time for " @for (place, (destination, _)) in idle.iter().enumerate() { @if place > 0 { ", " } (name(destination)) } "." }
                    }
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
            meant += funnel.reached(Step::Meant);
            accepted += funnel.reached(Step::Accepted);
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
        let mut all = Funnel::default();
        funnels.values().for_each(|funnel| all.extend(funnel));
        let events = all.total();
        html! {
            article.card {
                h3 { (name(destination)) @if let Some(platform) = self.destinations.get(destination).filter(|platform| *platform != destination) { " " span.soft { (platform.replace('_', " ")) } } }
                ol.funnel {
                    li {
                        div.step { span { "Business events" } b { (count(events)) } span.percent {} }
                        (share(&[(events, "passed")], events))
                    }
                    @for step in Step::ALL {
                        li {
                            div.step { span { (step_words(step)) } b { (count(all.reached(step))) } span.percent { (percent(all.reached(step), events)) } }
                            @let losses = all.losses(step);
                            (share(&bar(all.reached(step), step, &losses), events))
                            @if !losses.is_empty() {
                                ul.drops { @for (loss, number) in losses {
                                    li class=(tone(loss.kind()).class()) {
                                        span.number { "−" (count(number)) } " " (words(loss))
                                        @if loss.kind() == Kind::Open { " (open)" }
                                    }
                                } }
                            }
                        }
                    }
                }
                @if all.unconfirmed() > 0 {
                    p.soft { (count(all.unconfirmed())) " of the accepted were handed over to the platform, which has not confirmed them." }
                }
            }
        }
    }

    /// Every step of every event at every destination, as one table.
    fn by_event(&self) -> Markup {
        let mut rows: Vec<(&String, &String, &Funnel)> = self
            .funnels
            .iter()
            .filter(|(_, funnels)| funnels.values().any(Funnel::is_used))
            .flat_map(|(destination, funnels)| {
                funnels
                    .iter()
                    .map(move |(event, funnel)| (destination, event, funnel))
            })
            .collect();
        rows.sort_by_key(|(destination, event, funnel)| {
            (std::cmp::Reverse(funnel.total()), *event, *destination)
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
                        @for step in Step::ALL { th.number scope="col" { (step_words(step)) } }
                        th.number scope="col" { "Open" }
                    } }
                    tbody {
                        @for (destination, event, funnel) in rows {
                            tr {
                                th scope="row" { a href=(self.narrowed(event, destination)) { (name(event)) } }
                                td { (name(destination)) }
                                td.number { (count(funnel.total())) }
                                @for step in Step::ALL {
                                    td.number { (count(funnel.reached(step))) " " span.of { (percent(funnel.reached(step), funnel.total())) } }
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

/// What passed, and beside it what stayed behind at this step: first what was lost.
fn bar(passed: i64, step: Step, losses: &[(Loss, i64)]) -> Vec<(i64, &'static str)> {
    let of = |kind: Kind| {
        losses
            .iter()
            .filter(|(loss, _)| loss.kind() == kind)
            .map(|(_, number)| number)
            .sum()
    };
    vec![
        (
            passed,
            if step == Step::Accepted {
                "good"
            } else {
                "passed"
            },
        ),
        (of(Kind::Lost), tone(Kind::Lost).class()),
        (of(Kind::Open), tone(Kind::Open).class()),
        (of(Kind::Meant), tone(Kind::Meant).class()),
    ]
}
