//! One day of one entry: every business id that is missing, extra or different, and why.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Response, StatusCode};

use super::super::Desk;
use super::super::frame::{Page, Sheet};
use super::super::html::{
    Markup, address, choice, count, counted, grouped, html, name, time, wide,
};
use super::super::params::Params;
use super::super::trouble::Trouble;
use super::{amounts, calmed, counted_how, heat, parse_day, signed, standing};
use crate::reconcile::result::{DayResult, DestinationResult, Gap};
use crate::reconcile::stored::{self, At, Part};
use crate::reconcile::why::Why;

/// Ids on one page.
const LISTED: i64 = 100;

/// The last page that may be asked for: beyond what a day ever keeps.
const PAGES: i64 = 1000;

/// What `destination` says when the outbox itself is meant; no destination is called so.
const OUTBOX: &str = "(outbox)";

/// The page of one day.
pub(crate) async fn show(
    State(desk): State<Desk>,
    Path((entry, day)): Path<(String, String)>,
    params: Params,
) -> Result<Response<Body>, Trouble> {
    let [destination, number] = params.only(["destination", "page"])?;
    let number = match number.as_deref() {
        None => 1,
        Some(text) => (text.parse().ok())
            .filter(|number| (1..=PAGES).contains(number))
            .ok_or_else(|| Trouble::Asked(format!("page is a number from 1 to {PAGES}")))?,
    };
    let day = parse_day(&day)?;
    let mut found = stored::days(&desk.database, Some(&entry), day, day).await?;
    let Some(result) = found.pop() else {
        return Err(Trouble::Absent(
            "this day of this entry was not computed: see /reconciliation for those that were"
                .to_owned(),
        ));
    };
    let at = match destination.as_deref() {
        None => At::Anywhere,
        Some(OUTBOX) => At::Outbox,
        Some(known)
            if result
                .destinations
                .iter()
                .any(|one| one.destination == known) =>
        {
            At::Destination(known)
        }
        Some(_) => {
            return Err(Trouble::Absent(
                "this day was not compared at a destination of that name: leave the parameter out to see all".to_owned(),
            ));
        }
    };
    // One more tells whether there is a next page.
    let part = Part {
        limit: LISTED + 1,
        skip: (number - 1) * LISTED,
    };
    let mut gaps = stored::gaps(&desk.database, &entry, day, at, part).await?;
    let is_last = gaps.len() as i64 <= LISTED;
    gaps.truncate(LISTED as usize);
    let shown = Shown {
        gaps,
        destination,
        number,
        is_last,
    };
    let sheet = Sheet {
        page: Some(Page::Reconciliation),
        title: format!("{entry}, {}", day.format("%-d %b %Y")),
        refresh: None,
        body: body(&result, &shown),
    };
    Ok(desk.show(StatusCode::OK, &sheet))
}

/// The ids that are shown, of those that differ.
struct Shown {
    gaps: Vec<Gap>,
    /// Where, if not everywhere.
    destination: Option<String>,
    /// Which page of them, from 1.
    number: i64,
    is_last: bool,
}

fn body(day: &DayResult, shown: &Shown) -> Markup {
    let chosen = shown.destination.as_deref();
    html! {
        p.lead { (sentence(day)) }
        (facts(day))
        @if !day.destinations.is_empty() { (destinations(day)) }
        h2 { "Ids that differ" }
        (what_to_do(day, &shown.gaps))
        (filter(day, chosen))
        (list(day, &shown.gaps, chosen))
        (further(day, shown))
        p { a href=(Page::Reconciliation.path()) { "All days" } }
    }
}

fn sentence(day: &DayResult) -> Markup {
    let rows = count(day.source_rows as i64);
    html! {
        @if day.missing == 0 && day.extra == 0 && day.value_differs == 0 {
            "All " (rows) " rows of the source have their event."
        } @else if day.missing == 0 {
            "All " (rows) " rows of the source have an event; " (count((day.extra + day.value_differs) as i64)) " events are extra or have another amount."
        } @else {
            (counted(day.missing as i64, "row")) " of " (rows) " in the source " @if day.missing == 1 { "has" } @else { "have" } " no event."
        }
    }
}

fn facts(day: &DayResult) -> Markup {
    html! {
        dl.facts {
            dt { "State" } dd { (standing(day)) @if !day.is_closed { " until " (time(day.closes_at)) } }
            @if !day.open_because.is_empty() { dt { "Open because" } dd { (day.open_because.join("; ")) } }
            dt { "Event" } dd { (name(&day.event_name)) }
            dt { "Day" } dd { (day.time_zone) ": from " (time(day.begins_at)) " to " (time(day.ends_at)) }
            dt { "Source" } dd { (counted(day.source_rows as i64, "row")) (amounts(&day.source_value)) }
            @if day.source_duplicates > 0 {
                dt { "Repeated in the source" } dd { (count(day.source_duplicates as i64)) ", counted once" }
            }
            dt { "Outbox" } dd { (counted(day.outbox_rows as i64, "event")) (amounts(&day.outbox_value)) }
            @if day.other_day > 0 { dt { "On another day" } dd { (count(day.other_day as i64)) } }
            @if let Some(changed) = day.changed_at {
                dt { "Changed after closing" } dd { (counted(day.changes.into(), "time")) ", last " (time(changed)) }
            }
            dt { "Computed" } dd { (time(day.computed_at)) }
        }
    }
}

fn destinations(day: &DayResult) -> Markup {
    html! {
        h2 { "Destinations" }
        (wide("Destinations of this day", &html! {
            table.days {
                thead { tr {
                    th scope="col" { "Destination" }
                    th.number scope="col" { "Expected" }
                    th.number scope="col" { "Accepted" }
                    th.number scope="col" { "Sent" }
                    th.number scope="col" { "Waiting" }
                    th.number scope="col" { "Kept at home" }
                    th.number scope="col" { "Lost" }
                    th.number scope="col" { "Platform reports" }
                    th.number scope="col" { "Difference" }
                } }
                tbody { @for one in &day.destinations { (destination(one, day.tolerance_percent)) } }
            }
        }))
        @for one in day.destinations.iter().filter(|one| !one.whys.is_empty()) {
            details {
                summary { "Why fewer arrived at " (name(&one.destination)) }
                ul {
                    @for (why, number) in &one.whys { li { (count(*number as i64)) " " (why) @if let Some(said) = explained(why) { ": " (said) } } }
                }
            }
        }
    }
}

fn destination(one: &DestinationResult, tolerance: u32) -> Markup {
    html! {
        tr {
            th scope="row" { (name(&one.destination)) }
            td.number { (count(one.expected as i64)) }
            td.number { (count(one.accepted as i64)) }
            td.number { (count(one.sent as i64)) }
            td.number { (count((one.pending + one.in_queue) as i64)) }
            td.number { (count(one.withheld() as i64)) }
            td.number { (count(one.lost() as i64)) }
            td.number {
                @match one.reported {
                    None => "–",
                    Some(reported) => {
                        (grouped(&reported.to_string()))
                        @if !counted_how(one).is_empty() { span.delta.soft { (counted_how(one).trim()) } }
                        @if let Some(value) = one.reported_value { span.delta.soft { (grouped(&value.to_string())) " " (one.reported_currency.as_deref().unwrap_or_default()) } }
                        @if let Some(zone) = &one.reported_time_zone { span.delta.soft { "day of " (zone) } }
                        @if let Some(source) = &one.reported_source { span.delta.soft { @if source == "api" { "asked of its API" } @else { "by " (source) } } }
                        @if let Some(at) = one.reported_at { span.delta.soft { (time(at)) } }
                    }
                }
            }
            td class={ "number " (calmed(heat(one.difference, one.expected, tolerance), one.is_closed)) } {
                (signed(one.difference))
                @if !one.is_closed { span.delta { "open until " (time(one.closes_at)) } }
            }
        }
    }
}

/// The words of `why` or `why/reason`.
fn explained(why: &str) -> Option<&'static str> {
    let word = why.split('/').next().unwrap_or_default();
    Why::ALL
        .into_iter()
        .find(|known| known.as_str() == word)
        .map(Why::explained)
}

fn filter(day: &DayResult, chosen: Option<&str>) -> Markup {
    let mut options = vec![
        (String::new(), "everywhere".to_owned()),
        (OUTBOX.to_owned(), "source against outbox".to_owned()),
    ];
    options.extend(
        day.destinations
            .iter()
            .map(|one| (one.destination.clone(), one.destination.clone())),
    );
    html! {
        form.filter method="get" action={ "/reconciliation/" (day.entry) "/" (day.day) } {
            (choice("destination", "Where", &options, chosen.unwrap_or_default()))
            button { "Show" }
        }
    }
}

fn list(day: &DayResult, gaps: &[Gap], chosen: Option<&str>) -> Markup {
    html! {
        @if gaps.is_empty() && is_forgotten(day, chosen) {
            p { "The list of ids was removed after its time; the counts stay. The command above compares anew." }
        } @else if gaps.is_empty() {
            p { "None here." }
        } @else {
            (wide("Ids that differ", &html! {
                table {
                    thead { tr {
                        th scope="col" { "Business id" }
                        th scope="col" { "Where" }
                        th scope="col" { "Why" }
                        th scope="col" { "Source" }
                        th scope="col" { "Outbox" }
                        th scope="col" { "Occurred" }
                    } }
                    tbody {
                        @for gap in gaps {
                            tr {
                                th scope="row" { a href=(address("/events", &[("q", &gap.business_id)])) { (name(&gap.business_id)) } }
                                td { @match &gap.destination { Some(destination) => (name(destination)), None => "outbox" } }
                                td { (gap.why.explained()) @if let Some(reason) = &gap.reason { " (" (reason) ")" } }
                                td.number { (gap.source.as_deref().unwrap_or("–")) }
                                td.number { (gap.outbox.as_deref().unwrap_or("–")) }
                                td { @match gap.occurred_at { Some(at) => (time(at)), None => "–" } }
                            }
                        }
                    }
                }
            }))
        }
    }
}

/// To the other pages, and beyond what is kept.
fn further(day: &DayResult, shown: &Shown) -> Markup {
    let path = format!("/reconciliation/{}/{}", day.entry, day.day);
    let to = |number: i64| {
        let number = match number {
            1 => String::new(),
            other => other.to_string(),
        };
        let chosen = shown.destination.as_deref().unwrap_or_default();
        address(&path, &[("destination", chosen), ("page", &number)])
    };
    html! {
        @if shown.number > 1 || !shown.is_last {
            p.row {
                @if shown.number > 1 { a.button rel="prev" href=(to(shown.number - 1)) { "Ids before" } " " }
                @if !shown.is_last { a.button rel="next" href=(to(shown.number + 1)) { "More ids" } }
                span.soft { " page " (shown.number) }
            }
        }
        @if shown.is_last && day.gaps_left_out > 0 {
            p.soft { (counted(day.gaps_left_out as i64, "id")) " more differ and are only counted: a list ends at a thousand for each place." }
        }
    }
}

/// Whether there must have been ids, whose list was removed.
fn is_forgotten(day: &DayResult, chosen: Option<&str>) -> bool {
    let apart = day.missing + day.extra + day.value_differs;
    apart > 0 && chosen.is_none_or(|chosen| chosen == OUTBOX)
}

fn command(day: &DayResult) -> String {
    format!(
        "conversion-outbox reconcile missing --entry {} --day {}",
        day.entry, day.day
    )
}

fn what_to_do(day: &DayResult, gaps: &[Gap]) -> Markup {
    let command = command(day);
    html! {
        @if day.missing > 0 {
            div.notice.warn {
                p { "For rows without an event, this prints the SQL that writes them; no consent is invented, and " code.option { "--insert" } " writes them at once:" }
                p { code { (command) " --backfill" } }
            }
        } @else if !gaps.is_empty() || day.extra + day.value_differs > 0 {
            p { "The same on the command line: " code { (command) } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_reasons_are_explained() {
        assert_eq!(
            explained("suppressed/consent_denied"),
            Some(Why::Suppressed.explained())
        );
        assert_eq!(explained("unheard_of"), None);
    }
}
