//! Columns, one a day, each made of parts: what there was, and what became of it.

use super::at;
use crate::pages::html::{Markup, Tone, count, html, wide};

/// Height of the highest column, in pixels.
const HEIGHT: f64 = 120.0;

/// Room for the names of days below them.
const LABELS: f64 = 22.0;

/// One kind of part, the same in all columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    pub(crate) name: &'static str,
    pub(crate) tone: Tone,
}

/// One column.
#[derive(Clone, Debug)]
pub(crate) struct Day {
    pub(crate) label: String,
    /// One for each part; those below nought count as none.
    pub(crate) counts: Vec<i64>,
}

/// The columns with a legend, and the same as a table. `id` is this chart's own on the page.
pub(crate) fn days(id: &str, what: &str, parts: &[Part], days: &[Day]) -> Markup {
    let top = days.iter().map(total).fold(0.0, f64::max);
    let total_of = |part: usize| -> i64 {
        days.iter()
            .filter_map(|day| day.counts.get(part))
            .fold(0, |sum: i64, one| sum.saturating_add((*one).max(0)))
    };
    let room = 100.0 / days.len().max(1) as f64;
    let top = scale(top);
    html! {
        figure.days {
            figcaption { (what) }
            @if top > 0.0 {
                div.plot {
                p.scale aria-hidden="true" {
                    span { (tick(top)) } span { (tick(top / 2.0)) } span { "0" }
                }
                svg role="img" width="100%" height=(HEIGHT + LABELS) aria-labelledby={ (id) "-title" } {
                    title id={ (id) "-title" } { (what) ": " (words(days, parts)) }
                    // What waits is hatched: it may still become anything.
                    defs {
                        pattern id={ (id) "-hatch" } width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                            rect.ground width="6" height="6" {}
                            rect.stripe width="2.5" height="6" {}
                        }
                    }
                    g.axis {
                        @for y in [0.5, HEIGHT / 2.0] { line x1="0" x2="100%" y1=(at(y)) y2=(at(y)) {} }
                        line.ground x1="0" x2="100%" y1=(at(HEIGHT + 0.5)) y2=(at(HEIGHT + 0.5)) {}
                        @for (place, day) in days.iter().enumerate().filter(|(place, _)| (days.len() - 1 - place).is_multiple_of(7)) {
                            @let is_last = place + 1 == days.len();
                            text.end[is_last] x={ (at(if is_last { 100.0 } else { (place as f64 + 0.5) * room })) "%" } y=(at(HEIGHT + 17.0)) { (day.label) }
                        }
                    }
                    @for (place, day) in days.iter().enumerate() {
                        g.day {
                            title { (day.label) ": " (day_words(day, parts)) }
                            rect.hover x={ (at(place as f64 * room)) "%" } y="0" width={ (at(room)) "%" } height=(HEIGHT) {}
                            @for (part, y, height) in stack(day, top) {
                                @let tone = parts.get(part).map_or(Tone::Calm, |part| part.tone);
                                rect class={ "part " (tone.class()) } fill=[(tone == Tone::Warn).then(|| format!("url(#{id}-hatch)"))]
                                    x={ (at((place as f64 + 0.12) * room)) "%" } y=(at(y))
                                    width={ (at(room * 0.76)) "%" } height=(at(height)) {}
                            }
                        }
                    }
                }
                }
            } @else {
                p.soft { "Nothing in this time." }
            }
            ul.legend {
                @for (place, part) in parts.iter().enumerate() {
                    li { span class={ "swatch " (part.tone.class()) } aria-hidden="true" {} (part.name) " " b { (count(total_of(place))) } }
                }
            }
            details {
                summary { "As a table" }
                (wide(what, &table(parts, days)))
            }
        }
    }
}

/// The round number that the scale goes up to: the next above the highest column.
fn scale(top: f64) -> f64 {
    if top <= 0.0 {
        return 0.0;
    }
    let power = 10.0_f64.powf(top.log10().floor());
    let steps = [1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|step| step * power);
    steps.into_iter().find(|step| *step >= top).unwrap_or(top)
}

/// A number beside the scale; nothing where there are no halves.
fn tick(value: f64) -> String {
    match value.fract() == 0.0 {
        true => count(value.min(1e18) as i64),
        false => String::new(),
    }
}

fn table(parts: &[Part], days: &[Day]) -> Markup {
    html! {
        table {
            thead { tr { th scope="col" { "Day" } @for part in parts { th.number scope="col" { (part.name) } } } }
            tbody {
                @for day in days.iter().rev() {
                    tr { th scope="row" { (day.label) } @for count_of in &day.counts { td.number { (count(*count_of)) } } }
                }
            }
        }
    }
}

fn total(day: &Day) -> f64 {
    day.counts.iter().map(|count| (*count).max(0) as f64).sum()
}

/// Part, distance from the top, height: from the ground up. What is there is seen, if only a pixel high.
pub(super) fn stack(day: &Day, top: f64) -> Vec<(usize, f64, f64)> {
    let there: Vec<(usize, f64)> = day
        .counts
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(part, count)| (part, *count as f64))
        .collect();
    let (total, pixels) = (total(day), there.len() as f64);
    let column = (total / top * HEIGHT).max(pixels);
    let mut ground = HEIGHT;
    there
        .into_iter()
        .map(|(part, count)| {
            let height = 1.0 + count / total * (column - pixels);
            ground = (ground - height).max(0.0);
            (part, ground, height)
        })
        .collect()
}

fn day_words(day: &Day, parts: &[Part]) -> String {
    let parts: Vec<String> = parts
        .iter()
        .zip(&day.counts)
        .filter(|(_, count)| **count > 0)
        .map(|(part, number)| format!("{} {}", count(*number), part.name))
        .collect();
    match parts.is_empty() {
        true => "nothing".to_owned(),
        false => parts.join(", "),
    }
}

fn words(days: &[Day], parts: &[Part]) -> String {
    match days.iter().max_by(|a, b| total(a).total_cmp(&total(b))) {
        Some(highest) => format!(
            "most on {} with {}; all of them in the table below",
            highest.label,
            day_words(highest, parts)
        ),
        None => "nothing yet".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: [Part; 2] = [
        Part {
            name: "accepted",
            tone: Tone::Good,
        },
        Part {
            name: "waiting",
            tone: Tone::Warn,
        },
    ];

    #[test]
    fn two_days_and_an_empty_one() {
        let day = |label: &str, counts: [i64; 2]| Day {
            label: label.to_owned(),
            counts: counts.to_vec(),
        };
        let all = [
            day("1 Nov", [10, 0]),
            day("2 Nov", [0, 0]),
            day("3 Nov", [1_000_000, 1]),
        ];
        insta::assert_snapshot!(days("d", "Deliveries", &PARTS, &all).into_string());
    }

    #[test]
    fn the_scale_is_round_and_holds_the_highest() {
        let scales = [0.0, 1.0, 3.0, 100.0, 101.0, 276.0, 1_000_001.0].map(scale);
        assert_eq!(scales, [0.0, 1.0, 3.0, 100.0, 150.0, 300.0, 1_500_000.0]);
        assert_eq!([1.0, 1.5, 1500.0].map(tick), ["1", "", "1,500"]);
    }

    #[test]
    fn no_days_are_no_picture() {
        let page = days("d", "Deliveries", &PARTS, &[]).into_string();
        assert!(
            page.contains("Nothing in this time") && !page.contains("<svg"),
            "{page}"
        );
    }
}
