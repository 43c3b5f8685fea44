//! The digest as one HTML document that needs nothing else: for an e-mail, or a folder of a web server.

use maud::DOCTYPE;

use super::Digest;
use super::worth::worth;
use crate::funnel::Step;
use crate::pages::html::{Markup, count, day, html, name, percent, time, wide};

/// Colours follow the reader's; everything is readable without them.
const STYLE: &str = include_str!("style.css");

/// The whole document.
pub fn page(digest: &Digest) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { "Conversions of " (digest.day) }
                style { (STYLE) }
            }
            body {
                main {
                    h1 { "Conversions of " (day(digest.day)) @if let Some(place) = &digest.environment { " – " (place) } }
                    p.soft {
                        "Days of UTC. Read at " (time(digest.read_at))
                        @if !digest.is_over() { ": the day is not over" } "."
                    }
                    (to_do(digest))
                    (events(digest))
                    (deliveries(digest))
                    (differences(digest))
                    (broken(digest))
                }
            }
        }
    }
    .into_string()
}

fn to_do(digest: &Digest) -> Markup {
    html! {
        h2 { "What to do" }
        @if digest.to_do.is_empty() { p { "Nothing." } }
        ul.tasks {
            @for task in &digest.to_do {
                li class=(task.urgency.as_str()) {
                    b { (task.urgency.as_str()) } " " (task.what) ". " (task.how.trim_end_matches('.')) "."
                    @if let Some(command) = &task.command { br; code { (command) } }
                }
            }
        }
    }
}

fn table(label: &str, heading: &[&str], rows: &[Vec<Markup>]) -> Markup {
    wide(
        label,
        &html! {
            table {
                thead { tr { @for name in heading { th scope="col" { (name) } } } }
                tbody { @for row in rows { tr { @for (n, cell) in row.iter().enumerate() {
                    @if n == 0 { th scope="row" { (cell) } } @else { td { (cell) } }
                } } } }
            }
        },
    )
}

fn number(number: i64) -> Markup {
    html! { (count(number)) }
}

fn text(text: &str) -> Markup {
    html! { (text) }
}

fn events(digest: &Digest) -> Markup {
    let rows: Vec<Vec<Markup>> = digest
        .events
        .iter()
        .map(|row| {
            let today = row.today;
            let share = |part| text(&percent(part, today.events));
            vec![
                name(&row.event_name),
                number(today.events),
                number(row.week_before.events / 7),
                share(today.click_id),
                share(today.email),
                share(today.phone),
                share(today.consent_granted),
                share(today.consent_denied),
                share(today.consent_unspecified),
            ]
        })
        .collect();
    html! {
        h2 { "What came" }
        @if digest.events.iter().all(|row| row.today.events == 0) {
            p { "No events occurred on this day." }
        } @else {
            (table("What came", &["Event", "Events", "A day before", "Click id", "E-mail", "Phone", "Consent", "Denied", "No answer"], &rows))
        }
    }
}

fn deliveries(digest: &Digest) -> Markup {
    let rows: Vec<Vec<Markup>> = digest
        .deliveries
        .iter()
        .map(|row| {
            let funnel = &row.funnel;
            let mut cells = vec![
                name(&row.destination),
                name(&row.event_name),
                number(funnel.total()),
            ];
            cells.extend(Step::ALL.map(|step| number(funnel.reached(step))));
            cells.extend([
                text(&percent(row.in_time, funnel.reached(Step::Accepted))),
                number(funnel.open()),
                number(funnel.lost()),
            ]);
            cells
        })
        .collect();
    html! {
        h2 { "What arrived" }
        @if rows.is_empty() {
            p { "Nothing was to be delivered." }
        } @else {
            (table("What arrived", &["Destination", "Event", "Events", "Meant", "Consented", "Identified", "Sent", "Accepted", "In 15 min", "Open", "Lost"], &rows))
            p { "Lost counts all that was meant and allowed and did not arrive, also what had nothing that the platform could match." }
            h3 { "Why the others did not" }
            ul {
                @for (destination, (funnel, _)) in digest.by_destination() {
                    li {
                        (name(destination)) ": "
                        @let losses: Vec<String> = Step::ALL.iter().flat_map(|step| funnel.losses(*step))
                            .map(|(loss, number)| format!("{} {}", count(number), loss.text())).collect();
                        @if losses.is_empty() { "all were sent" } @else { (losses.join(", ")) }
                        @if funnel.unconfirmed() > 0 {
                            "; " (count(funnel.unconfirmed())) " of the accepted were handed over, and the platform has not confirmed them"
                        }
                    }
                }
            }
        }
    }
}

fn differences(digest: &Digest) -> Markup {
    let mut rows = Vec::new();
    for day in &digest.reconciliation {
        let when = text(&format!("{} ({})", day.day, day.time_zone));
        let standing = match (day.is_closed, day.is_finding()) {
            (false, _) => "open",
            (true, false) => "closed, agrees",
            (true, true) => "closed, differs",
        };
        rows.push(vec![
            name(&day.entry),
            when.clone(),
            text(standing),
            text("outbox"),
            number(day.source_rows as i64),
            number(day.outbox_rows as i64),
            text("–"),
            text(&format!(
                "{} missing, {} extra, {} other amount",
                day.missing, day.extra, day.value_differs
            )),
        ]);
        rows.extend(day.destinations.iter().map(|one| {
            vec![
                name(&day.entry),
                when.clone(),
                text(if one.is_closed { "closed" } else { "open" }),
                name(&one.destination),
                number(one.expected as i64),
                number(one.arrived() as i64),
                text(
                    &one.reported
                        .map_or("–".to_owned(), |reported| reported.to_string()),
                ),
                text(&one.difference.to_string()),
            ]
        }));
    }
    html! {
        h2 { "Against the source of truth" }
        @if rows.is_empty() && !digest.runs.is_empty() {
            p { "No day has been compared yet." }
        } @else if rows.is_empty() {
            p { "Nothing is compared: see " code { "[[reconcile]]" } " in the configuration." }
        } @else {
            (table("Against the source of truth", &["Entry", "Day", "Standing", "Where", "Expected", "Arrived", "Platform reports", "Difference"], &rows))
            @for day in &digest.reconciliation {
                @if let Some(worth) = worth(day) { p { (name(&day.entry)) " of " (day.day) ": " (worth) "." } }
            }
        }
    }
}

fn broken(digest: &Digest) -> Markup {
    let failures: Vec<Vec<Markup>> = digest
        .failures
        .iter()
        .map(|row| {
            vec![
                name(&row.destination),
                text(&row.outcome),
                text(
                    &row.response_code
                        .map_or("–".to_owned(), |code| code.to_string()),
                ),
                name(row.error_code.as_deref().unwrap_or("–")),
                number(row.answers),
                number(row.day_before),
            ]
        })
        .collect();
    let dead: Vec<Vec<Markup>> = digest
        .dead_letters
        .iter()
        .map(|group| {
            vec![
                number(group.count),
                name(&group.destination),
                text(&group.state),
                text(group.reason.as_deref().unwrap_or_default()),
                name(group.error_code.as_deref().unwrap_or("–")),
            ]
        })
        .collect();
    html! {
        h2 { "What broke" }
        @if failures.is_empty() && dead.is_empty() { p { "Nothing." } }
        @if !failures.is_empty() {
            (table("Tries that did not end well", &["Destination", "Outcome", "Status", "Code", "Tries", "Day before"], &failures))
        }
        @if !dead.is_empty() {
            (table("Dead letters of this day", &["Dead letters", "Destination", "State", "Reason", "Code"], &dead))
        }
    }
}
