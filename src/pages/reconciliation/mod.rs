//! Reconciliation: the application's own tables against what was written, sent, taken, and what the platforms say, day by
//! day. What a worker computed and stored is shown; nothing is computed here.

mod day;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use chrono::{Datelike, Days, NaiveDate};

use super::Desk;
use super::frame::{Page, Sheet};
use super::html::{
    Markup, Tone, address, badge, choice, count, counted, grouped, html, name, time, wide,
};
use super::params::Params;
use super::trouble::Trouble;
use crate::reconcile::exact::Exact;
use crate::reconcile::result::{Amounts, DayResult, DestinationResult};
use crate::reconcile::stored::{self, Run};
use crate::telemetry::redact::scrub;

pub(super) use day::show as show_day;

/// How many days may be looked at.
const SPANS: [&str; 3] = ["14", "30", "90"];

/// The page of all entries.
pub(super) async fn show(
    State(desk): State<Desk>,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let [entry, days] = params.only(["entry", "days"])?;
    let days = days.unwrap_or_else(|| SPANS[0].to_owned());
    let Some(span) = SPANS
        .contains(&days.as_str())
        .then(|| days.parse::<u64>().ok())
        .flatten()
    else {
        return Err(Trouble::Asked("days is 14, 30 or 90".to_owned()));
    };
    let today = desk.now().date_naive();
    let first = today.checked_sub_days(Days::new(span)).unwrap_or(today);
    // Where the sun rises first, it is tomorrow.
    let last = today.checked_add_days(Days::new(1)).unwrap_or(today);
    let found = stored::days(&desk.database, entry.as_deref(), first, last).await?;
    let runs = stored::runs(&desk.database).await?;
    if let Some(entry) = &entry
        && !runs.iter().any(|run| run.entry == *entry)
    {
        return Err(Trouble::Absent(
            "no entry of this name was ever computed: see [[reconcile]] in the configuration, and /reconciliation".to_owned(),
        ));
    }
    let body = html! {
        (lead(&found, &runs))
        @if runs.is_empty() {
            (how_to_begin())
        } @else {
            (filter(&runs, entry.as_deref(), &days))
            (legend())
            @for run in runs.iter().filter(|run| entry.as_ref().is_none_or(|entry| run.entry == *entry)) {
                (entry_table(run, &found))
            }
        }
    };
    Ok(desk.show(StatusCode::OK, &Sheet::live(Page::Reconciliation, body)))
}

/// The one sentence that most people came for.
fn lead(found: &[DayResult], runs: &[Run]) -> Markup {
    let findings: Vec<&DayResult> = found.iter().filter(|day| day.is_finding()).collect();
    let closed = found.iter().filter(|day| day.is_closed).count();
    html! {
        p.lead {
            @if runs.is_empty() {
                "Nothing is compared with a source of truth yet."
            } @else if let Some(latest) = findings.iter().map(|day| day.day).max() {
                (counted(findings.len() as i64, "closed day")) " of " (count(closed as i64)) " "
                @if findings.len() == 1 { "differs" } @else { "differ" }
                " by more than is tolerated; the latest is " (super::html::day(latest)) "."
            } @else if let Some(run) = runs.iter().find(|run| run.failed.is_some()) {
                "The last comparison of " (name(&run.entry)) " failed: what differs since is not known."
            } @else if closed == 0 {
                "No day is closed yet: what is missing may still come."
            } @else {
                "Every closed day agrees with the source of truth, within what is tolerated."
            }
        }
    }
}

fn how_to_begin() -> Markup {
    html! {
        div.notice {
            p { "Name a query over your own tables in the configuration. A worker then compares each day with what was written, sent and taken:" }
            div.wide role="region" aria-label="An example" tabindex="0" {
                pre { code {
                    "[[reconcile]]\nname = \"orders\"\nevent = \"order_paid\"\n"
                    "query = \"select order_no as business_id, paid_at as occurred_at, total as value, currency from orders where paid_at >= $1 and paid_at < $2\"\n"
                    "time_zone = \"Europe/Berlin\""
                } }
            }
        }
    }
}

fn filter(runs: &[Run], entry: Option<&str>, days: &str) -> Markup {
    let mut entries = vec![(String::new(), "all".to_owned())];
    entries.extend(
        runs.iter()
            .map(|run| (run.entry.clone(), run.entry.clone())),
    );
    let spans: Vec<(String, String)> = SPANS
        .iter()
        .map(|span| ((*span).to_owned(), format!("{span} days")))
        .collect();
    html! {
        form.filter method="get" action=(Page::Reconciliation.path()) {
            (choice("entry", "Entry", &entries, entry.unwrap_or_default()))
            (choice("days", "Period", &spans, days))
            button { "Show" }
        }
    }
}

fn entry_table(run: &Run, found: &[DayResult]) -> Markup {
    let days: Vec<&DayResult> = found.iter().filter(|day| day.entry == run.entry).collect();
    let mut destinations: Vec<&str> = days
        .iter()
        .flat_map(|day| day.destinations.iter().map(|one| one.destination.as_str()))
        .collect();
    destinations.sort_unstable();
    destinations.dedup();
    html! {
        section {
            h2 { (name(&run.entry)) }
            (how_it_went(run))
            @if let Some(latest) = days.first() {
                p.soft {
                    "Event " (name(&latest.event_name)) ". Days of " (latest.time_zone) ". Up to "
                    (latest.tolerance_percent) " % of the expected number may differ."
                }
                (wide(&format!("Days of {}", run.entry), &html! {
                    table.days {
                        thead { tr {
                            th scope="col" { "Day" }
                            th.number scope="col" { "Source" }
                            th.number scope="col" { "Outbox" }
                            @for destination in &destinations { th.number scope="col" { (name(destination)) } }
                        } }
                        tbody { @for day in &days { (row(day, &destinations)) } }
                    }
                }))
            } @else {
                p { "Nothing was computed for these days." }
            }
        }
    }
}

fn how_it_went(run: &Run) -> Markup {
    html! {
        @if let Some(failed) = &run.failed {
            div.notice.bad { p { "The last run failed: " (scrub(failed)) } }
        }
        @for note in &run.notes { div.notice.warn { p { (scrub(note)) } } }
        @if let Some(ended) = run.ended_at { p.soft { "Computed " (time(ended)) "." } }
    }
}

fn row(day: &DayResult, destinations: &[&str]) -> Markup {
    let to_day = |destination: &str| {
        address(
            &format!("/reconciliation/{}/{}", day.entry, day.day),
            &[("destination", destination)],
        )
    };
    html! {
        tr {
            th scope="row" {
                a href=(to_day("")) { (super::html::day(day.day)) } " " (standing(day))
            }
            td.number { (count(day.source_rows as i64)) (amounts(&day.source_value)) }
            td class={ "number " (calmed(heat(Exact::from(apart(day)), day.source_rows, day.tolerance_percent), day.is_closed)) } {
                (count(day.outbox_rows as i64))
                @if day.missing > 0 { span.delta { (count(day.missing as i64)) " missing" } }
                @if day.extra > 0 { span.delta { (count(day.extra as i64)) " extra" } }
                @if day.value_differs > 0 { span.delta { (count(day.value_differs as i64)) " with another amount" } }
            }
            @for destination in destinations {
                @match day.destinations.iter().find(|one| one.destination == **destination) {
                    None => td.number.soft { "–" },
                    Some(one) => (cell(one, day.tolerance_percent, &to_day(destination))),
                }
            }
        }
    }
}

/// Arrived of expected, how far apart, and what the platform says.
fn cell(one: &DestinationResult, tolerance: u32, link: &str) -> Markup {
    html! {
        td class={ "number " (calmed(heat(one.difference, one.expected, tolerance), one.is_closed)) } {
            a href=(link) aria-label={ (one.destination) ": " (one.arrived()) " of " (one.expected) " expected, difference " (signed(one.difference)) } {
                (count(one.arrived() as i64)) " / " (count(one.expected as i64))
            }
            @if one.difference != Exact::ZERO {
                span.delta { (signed(one.difference)) @if one.is_closed && !one.is_within { " " span aria-hidden="true" { "▲" } } }
            }
            @if let Some(reported) = one.reported {
                span.delta.soft { "reports " (grouped(&reported.to_string())) (counted_how(one)) }
            }
        }
    }
}

/// What makes a platform's number another one than ours; nothing where it counts all that it took.
pub(super) fn counted_how(one: &DestinationResult) -> &'static str {
    match one.reported_counts.as_deref() {
        Some("attributed") => " attributed",
        Some("shared") => " of several events",
        Some("incomplete") => " in part",
        _ => "",
    }
}

/// Open or closed, and whether it is as it should be.
pub(super) fn standing(day: &DayResult) -> Markup {
    if !day.is_closed {
        badge(Tone::Calm, "open")
    } else if day.is_finding() {
        badge(Tone::Bad, "differs")
    } else {
        badge(Tone::Good, "agrees")
    }
}

/// Rows that outbox and source do not share.
fn apart(day: &DayResult) -> u64 {
    day.missing + day.extra + day.value_differs
}

/// Six steps from "none" to "far beyond what is tolerated"; the number itself says it too.
pub(super) fn heat(difference: Exact, of: u64, tolerance: u32) -> &'static str {
    let share = |percent: u32| difference.abs().times(100) <= Exact::from(of).times(percent);
    let tolerance = tolerance.max(1);
    match () {
        () if difference == Exact::ZERO => "heat-0",
        () if share(tolerance.div_ceil(5)) => "heat-1",
        () if share(tolerance) => "heat-2",
        () if share(tolerance.saturating_mul(2)) => "heat-3",
        () if share(tolerance.saturating_mul(5)) => "heat-4",
        () => "heat-5",
    }
}

/// What may still come shouts at nobody.
pub(super) fn calmed(heat: &'static str, is_closed: bool) -> &'static str {
    match heat {
        "heat-0" => heat,
        _ if !is_closed => "heat-1",
        heat => heat,
    }
}

/// With a sign that a reader hears.
pub(super) fn signed(difference: Exact) -> String {
    let digits = grouped(&difference.abs().to_string());
    match difference.cmp(&Exact::ZERO) {
        std::cmp::Ordering::Less => format!("−{digits}"),
        std::cmp::Ordering::Equal => "0".to_owned(),
        std::cmp::Ordering::Greater => format!("+{digits}"),
    }
}

/// `1,204.50 EUR`, one for each currency.
pub(super) fn amounts(amounts: &Amounts) -> Markup {
    html! {
        @for (currency, amount) in amounts { span.delta.soft { (grouped(&amount.to_string())) " " (currency) } }
    }
}

fn legend() -> Markup {
    html! {
        p.soft {
            "A cell says how many arrived (accepted, or sent to a platform that confirms nothing) of how many were expected: rows of the source "
            "less those that consent, routes or a cancellation kept at home. The darker, the further apart; "
            span aria-hidden="true" { "▲ " } "marks a closed day beyond what is tolerated. An open day may still change: late rows, or numbers "
            "that the platform has not finished. What a platform attributes to advertisements is shown and never counted as a difference."
        }
    }
}

/// A day from an address.
pub(super) fn parse_day(text: &str) -> Result<NaiveDate, Trouble> {
    let day = text.parse().ok().filter(|day: &NaiveDate| {
        // Calendars go further than PostgreSQL's.
        (1970..=9999).contains(&day.year())
    });
    day.ok_or_else(|| Trouble::Asked("the day is written 2026-11-24".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exact(text: &str) -> Exact {
        Exact::parse(text).expect("a number")
    }

    #[test]
    fn heat_grows_with_the_share_and_knows_the_tolerance() {
        let steps = ["0", "-10", "50", "-100", "250", "-251"].map(|n| heat(exact(n), 1000, 5));
        assert_eq!(
            steps,
            ["heat-0", "heat-1", "heat-2", "heat-3", "heat-4", "heat-5"]
        );
        assert_eq!(heat(exact("1"), 0, 5), "heat-5", "something out of nothing");
        assert_eq!(heat(exact("0.5"), 100, 0), "heat-1");
    }

    #[test]
    fn differences_have_a_sign() {
        assert_eq!(
            ["-3", "0", "2.5"].map(|n| signed(exact(n))),
            ["−3", "0", "+2.50"]
        );
    }
}
