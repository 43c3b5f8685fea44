//! The digest as Markdown: for a terminal, a chat, a ticket.

use std::fmt::Write as _;

use super::Digest;
use super::worth::worth;
use crate::funnel::Step;
use crate::reconcile::result::DayResult;

/// The whole text.
pub fn markdown(digest: &Digest) -> String {
    let mut text = String::new();
    let place = digest
        .environment
        .as_ref()
        .map(|name| format!(" – {}", cell(name)))
        .unwrap_or_default();
    line(
        &mut text,
        &format!("# Conversions of {}{place}\n", digest.day),
    );
    line(
        &mut text,
        &format!(
            "Days of UTC. Read at {}{}.\n",
            digest.read_at.format("%F %T UTC"),
            if digest.is_over() {
                ""
            } else {
                ": the day is not over"
            }
        ),
    );
    to_do(&mut text, digest);
    events(&mut text, digest);
    deliveries(&mut text, digest);
    differences(&mut text, digest);
    broken(&mut text, digest);
    text
}

fn to_do(text: &mut String, digest: &Digest) {
    line(text, "## What to do\n");
    if digest.to_do.is_empty() {
        line(text, "Nothing.\n");
    }
    for task in &digest.to_do {
        line(
            text,
            &format!(
                "- **{}**: {}. {}.",
                task.urgency.as_str(),
                cell(&task.what),
                cell(task.how.trim_end_matches('.'))
            ),
        );
        if let Some(command) = &task.command {
            line(text, &format!("  {}", code(command)));
        }
    }
    if !digest.to_do.is_empty() {
        line(text, "");
    }
}

fn events(text: &mut String, digest: &Digest) {
    line(text, "## What came\n");
    if digest.events.iter().all(|row| row.today.events == 0) {
        line(text, "No events occurred on this day.\n");
        return;
    }
    table(
        text,
        &[
            "event",
            "events",
            "a day before",
            "click id",
            "e-mail",
            "phone",
            "consent",
            "denied",
            "no answer",
        ],
        digest.events.iter().map(|row| {
            let today = row.today;
            let share = |part| percent(part, today.events);
            vec![
                row.event_name.clone(),
                today.events.to_string(),
                (row.week_before.events / 7).to_string(),
                share(today.click_id),
                share(today.email),
                share(today.phone),
                share(today.consent_granted),
                share(today.consent_denied),
                share(today.consent_unspecified),
            ]
        }),
    );
}

fn deliveries(text: &mut String, digest: &Digest) {
    line(text, "## What arrived\n");
    if digest.deliveries.is_empty() {
        line(text, "Nothing was to be delivered.\n");
        return;
    }
    table(
        text,
        &[
            "destination",
            "event",
            "events",
            "meant",
            "consented",
            "identified",
            "sent",
            "accepted",
            "in 15 min",
            "open",
            "lost",
        ],
        digest.deliveries.iter().map(|row| {
            let funnel = &row.funnel;
            let mut cells = vec![
                row.destination.clone(),
                row.event_name.clone(),
                funnel.total().to_string(),
            ];
            cells.extend(Step::ALL.map(|step| funnel.reached(step).to_string()));
            cells.extend([
                percent(row.in_time, funnel.reached(Step::Accepted)),
                funnel.open().to_string(),
                funnel.lost().to_string(),
            ]);
            cells
        }),
    );
    line(
        text,
        "lost counts all that was meant and allowed and did not arrive, also what had nothing that the platform could match.\n",
    );
    line(text, "Why the others did not:\n");
    for (destination, (funnel, _)) in digest.by_destination() {
        let losses: Vec<String> = Step::ALL
            .iter()
            .flat_map(|step| funnel.losses(*step))
            .map(|(loss, count)| format!("{count} {}", loss.text()))
            .collect();
        let losses = if losses.is_empty() {
            "all were sent".to_owned()
        } else {
            losses.join(", ")
        };
        let unconfirmed = match funnel.unconfirmed() {
            0 => String::new(),
            some => format!(
                "; {some} of the accepted were handed over, and the platform has not confirmed them"
            ),
        };
        line(text, &format!("- {destination}: {losses}{unconfirmed}"));
    }
    line(text, "");
}

fn differences(text: &mut String, digest: &Digest) {
    line(text, "## Against the source of truth\n");
    if digest.reconciliation.is_empty() {
        line(
            text,
            match digest.runs.is_empty() {
                true => "Nothing is compared: see [[reconcile]] in the configuration.\n",
                false => "No day has been compared yet.\n",
            },
        );
        return;
    }
    let rows = digest.reconciliation.iter().flat_map(|day| {
        let outbox = vec![
            day.entry.clone(),
            format!("{} ({})", day.day, day.time_zone),
            standing(day).to_owned(),
            "outbox".to_owned(),
            day.source_rows.to_string(),
            day.outbox_rows.to_string(),
            "-".to_owned(),
            format!(
                "{} missing, {} extra, {} other amount",
                day.missing, day.extra, day.value_differs
            ),
        ];
        let destinations = day.destinations.iter().map(|one| {
            vec![
                day.entry.clone(),
                format!("{} ({})", day.day, day.time_zone),
                if one.is_closed { "closed" } else { "open" }.to_owned(),
                one.destination.clone(),
                one.expected.to_string(),
                one.arrived().to_string(),
                one.reported
                    .map_or("-".to_owned(), |reported| reported.to_string()),
                one.difference.to_string(),
            ]
        });
        std::iter::once(outbox).chain(destinations)
    });
    table(
        text,
        &[
            "entry",
            "day",
            "standing",
            "where",
            "expected",
            "arrived",
            "platform reports",
            "difference",
        ],
        rows,
    );
    for day in &digest.reconciliation {
        if let Some(worth) = worth(day) {
            line(text, &format!("- {} of {}: {worth}", day.entry, day.day));
        }
    }
    line(text, "");
}

fn standing(day: &DayResult) -> &'static str {
    match (day.is_closed, day.is_finding()) {
        (false, _) => "open",
        (true, false) => "closed, agrees",
        (true, true) => "closed, differs",
    }
}

fn broken(text: &mut String, digest: &Digest) {
    line(text, "## What broke\n");
    if digest.failures.is_empty() && digest.dead_letters.is_empty() {
        line(text, "Nothing.");
        return;
    }
    if !digest.failures.is_empty() {
        table(
            text,
            &[
                "destination",
                "outcome",
                "status",
                "code",
                "tries",
                "day before",
            ],
            digest.failures.iter().map(|row| {
                vec![
                    row.destination.clone(),
                    row.outcome.clone(),
                    row.response_code
                        .map_or("-".to_owned(), |code| code.to_string()),
                    row.error_code.clone().unwrap_or_else(|| "-".to_owned()),
                    row.answers.to_string(),
                    row.day_before.to_string(),
                ]
            }),
        );
    }
    if !digest.dead_letters.is_empty() {
        table(
            text,
            &["dead letters", "destination", "state", "reason", "code"],
            digest.dead_letters.iter().map(|group| {
                vec![
                    group.count.to_string(),
                    group.destination.clone(),
                    group.state.clone(),
                    group.reason.clone().unwrap_or_default(),
                    group.error_code.clone().unwrap_or_else(|| "-".to_owned()),
                ]
            }),
        );
    }
}

/// Aligned, so that it can be read as it is too.
fn table(text: &mut String, heading: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let mut all: Vec<Vec<String>> = vec![heading.iter().map(|name| (*name).to_owned()).collect()];
    all.extend(rows.map(|row| row.iter().map(|one| cell(one)).collect()));
    let width = |column: usize| {
        let cells = all.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..heading.len()).map(width).collect();
    for (n, row) in all.iter().enumerate() {
        let cells: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(one, &width)| format!("{one:<width$}"))
            .collect();
        line(text, &format!("| {} |", cells.join(" | ")));
        if n == 0 {
            let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width)).collect();
            line(text, &format!("| {} |", rules.join(" | ")));
        }
    }
    line(text, "");
}

/// Text that ends no cell, begins no list, and is no markup.
fn cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '|' | '`' | '<' | '[' | ']' | '*' => {
                safe.push('\\');
                safe.push(letter);
            }
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// Code, whatever it holds: the fence is longer than any run of backticks in it.
fn code(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect();
    let longest = text
        .split(|letter| letter != '`')
        .map(str::len)
        .max()
        .unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let room = if longest > 0 { " " } else { "" };
    format!("{fence}{room}{text}{room}{fence}")
}

fn percent(part: i64, whole: i64) -> String {
    crate::pages::html::percent(part, whole)
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wrote_is_no_markup() {
        assert_eq!(cell("a|b`c<d\n[e]"), "a\\|b\\`c\\<d \\[e\\]");
        assert_eq!(cell("\\<b>"), "\\\\\\<b>");
        assert_eq!(code("plain -x"), "`plain -x`");
        assert_eq!(code("a`<img>``b\n"), "``` a`<img>``b  ```");
    }
}
