//! Cells whose ground is the darker the more there is. The number stands in them.

use crate::pages::html::{Markup, count, html, percent};

/// Six steps from nothing to all. A share that is not nothing is never the first, nor one with something missing the last.
pub(crate) fn step(part: i64, whole: i64) -> u8 {
    match (part, whole) {
        (_, ..=0) | (..=0, _) => 0,
        (part, whole) if part >= whole => 5,
        (part, whole) => 1 + (part as f64 / whole as f64 * 4.0).floor().clamp(0.0, 3.0) as u8,
    }
}

/// A cell of a table: the share, and what it is a share of.
pub(crate) fn share_cell(part: i64, whole: i64, beside: &Markup) -> Markup {
    html! {
        td class={ "heat heat-" (step(part, whole)) } {
            span.big { (percent(part, whole)) }
            @if whole > 0 { " " span.of { (count(part)) " of " (count(whole)) } }
            (beside)
        }
    }
}

/// The step of a count among others: by its order of magnitude, so that one bad day does not make all others alike.
fn magnitude(number: i64, highest: i64) -> u8 {
    match number {
        ..=0 => 0,
        number if number >= highest => 5,
        number => {
            1 + ((number as f64).ln_1p() / (highest as f64).ln_1p() * 4.0).clamp(0.0, 3.0) as u8
        }
    }
}

/// A cell of a table: a count, the darker the higher. Nothing is a dot.
pub(crate) fn count_cell(number: i64, highest: i64) -> Markup {
    html! {
        @if number > 0 {
            td class={ "heat number heat-" (magnitude(number, highest)) } { (count(number)) }
        } @else {
            td.number.none { span aria-hidden="true" { "·" } span.hidden { "0" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_kept_for_nothing_and_all() {
        let steps = [
            (0, 10),
            (1, 1_000_000),
            (1, 4),
            (1, 2),
            (3, 4),
            (999_999, 1_000_000),
            (10, 10),
            (5, 0),
            (-1, 3),
            (9, 3),
        ];
        assert_eq!(
            steps.map(|(part, whole)| step(part, whole)),
            [0, 1, 2, 3, 4, 4, 5, 0, 0, 5]
        );
        assert_eq!(
            [0, 1, 9, 99, 999, 1000].map(|number| magnitude(number, 1000)),
            [0, 1, 2, 3, 4, 5]
        );
        let cell = share_cell(1, 4, &html! {}).into_string();
        assert!(cell.contains("25 %") && cell.contains("1 of 4"), "{cell}");
    }
}
