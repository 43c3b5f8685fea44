//! A small line without axes: how something went, day by day, beside the number of today.

use super::{at, drawable};
use crate::pages::html::{Markup, count, html};

const WIDTH: f64 = 120.0;
const HEIGHT: f64 = 28.0;
/// Room for the line's own width and the dot at its end.
const EDGE: f64 = 3.0;

/// What the height means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Shares from 0 to 1: the top is all of it.
    Share,
    /// Counts: the top is the highest of them.
    Count,
}

/// A line through the values, oldest first. Where there is none, or none that can be drawn, the line has a gap.
pub(crate) fn sparkline(what: &str, values: &[Option<f64>], scale: Scale) -> Markup {
    let heights = heights(values, scale);
    let step = (WIDTH - 2.0 * EDGE) / (values.len().max(2) - 1) as f64;
    let points: Vec<Option<(f64, f64)>> = heights
        .iter()
        .enumerate()
        .map(|(place, height)| Some((EDGE + place as f64 * step, lift((*height)?))))
        .collect();
    let last = points.iter().rev().flatten().next();
    html! {
        svg.spark role="img" width=(WIDTH) height=(HEIGHT) viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } {
            title { (what) ": " (words(values, scale)) }
            path.base d={ "M" (at(EDGE)) " " (at(HEIGHT - 1.0)) "H" (at(WIDTH - EDGE)) } {}
            @for run in points.split(Option::is_none).filter(|run| !run.is_empty()) {
                @let run: Vec<(f64, f64)> = run.iter().flatten().copied().collect();
                path.area d={ (line(&run)) "V" (at(HEIGHT - 1.0)) "H" (at(run[0].0)) "Z" } {}
                path.line d=(line(&run)) {}
            }
            @if let Some((x, y)) = last { path.dot d={ "M" (at(*x)) " " (at(*y)) "h0" } {} }
        }
    }
}

/// Each value as a share of the height, 0 to 1.
pub(super) fn heights(values: &[Option<f64>], scale: Scale) -> Vec<Option<f64>> {
    let values: Vec<Option<f64>> = values
        .iter()
        .map(|value| value.and_then(drawable))
        .collect();
    let top = match scale {
        Scale::Share => 1.0,
        Scale::Count => values.iter().flatten().copied().fold(0.0, f64::max),
    };
    values
        .into_iter()
        .map(|value| {
            value.map(|value| {
                if top > 0.0 {
                    (value / top).min(1.0)
                } else {
                    0.0
                }
            })
        })
        .collect()
}

fn lift(height: f64) -> f64 {
    HEIGHT - 1.0 - height * (HEIGHT - 1.0 - EDGE)
}

fn line(points: &[(f64, f64)]) -> String {
    let mut path = String::new();
    for (place, (x, y)) in points.iter().enumerate() {
        path.push(if place == 0 { 'M' } else { 'L' });
        path.push_str(&format!("{} {}", at(*x), at(*y)));
    }
    // A point alone would be no line.
    if let [(x, y)] = points {
        path.push_str(&format!("L{} {}", at(x + 0.1), at(*y)));
    }
    path
}

/// The same in words.
fn words(values: &[Option<f64>], scale: Scale) -> String {
    let known: Vec<f64> = values
        .iter()
        .flatten()
        .copied()
        .filter_map(drawable)
        .collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return "nothing yet".to_owned();
    };
    let text = |value: f64| match scale {
        Scale::Share => format!("{:.0} %", value.min(1.0) * 100.0),
        Scale::Count => count(value.round().min(1e18) as i64),
    };
    let low = known.iter().copied().fold(f64::INFINITY, f64::min);
    let high = known.iter().copied().fold(0.0, f64::max);
    format!(
        "from {} to {} over {} days, lowest {}, highest {}",
        text(*first),
        text(*last),
        values.len(),
        text(low),
        text(high)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_gap() {
        let values = [Some(0.5), None, Some(1.0), Some(0.0)];
        insta::assert_snapshot!(
            sparkline("E-mail of order_paid", &values, Scale::Share).into_string()
        );
    }

    #[test]
    fn nothing_is_no_line() {
        for none in [&[][..], &[None, None], &[Some(f64::NAN)]] {
            let svg = sparkline("Nothing", none, Scale::Count).into_string();
            assert!(
                svg.contains("Nothing: nothing yet") && !svg.contains("class=\"line\""),
                "{svg}"
            );
        }
        let flat = sparkline("Flat", &[Some(0.0), Some(0.0)], Scale::Count).into_string();
        assert!(flat.contains("from 0 to 0 over 2 days"), "{flat}");
    }
}
