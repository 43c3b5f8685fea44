//! A bar: how much of a whole. Its numbers stand beside it, so it is for the eye alone.

use super::at;
use crate::pages::html::{Markup, html};

/// Height in pixels.
const HEIGHT: u32 = 12;

/// Less is not seen, in per cent of the width.
const SEEN: f64 = 0.5;

/// The bar of some parts in `whole`, side by side; each has the class that colours it. What is there is seen.
pub(crate) fn share(parts: &[(i64, &str)], whole: i64) -> Markup {
    html! {
        svg.share aria-hidden="true" width="100%" height=(HEIGHT) {
            rect.whole width="100%" height=(HEIGHT) {}
            @for (start, width, class) in places(parts, whole) {
                rect class={ "part " (class) } x={ (at(start)) "%" } width={ (at(width)) "%" } height=(HEIGHT) {}
            }
        }
    }
}

/// Where each part begins and how wide it is, in per cent.
fn places<'c>(parts: &[(i64, &'c str)], whole: i64) -> Vec<(f64, f64, &'c str)> {
    let mut start = 0.0_f64;
    let mut found = Vec::new();
    for (part, class) in parts.iter().filter(|(part, _)| *part > 0 && whole > 0) {
        let width = (*part as f64 / whole as f64 * 100.0).clamp(SEEN, 100.0);
        let from = start.min(100.0 - SEEN);
        found.push((from, width.min(100.0 - from), *class));
        start = from + width;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_side_by_side_and_none_is_too_small() {
        let found = places(&[(98, "a"), (0, "b"), (1, "c"), (1_000, "d")], 100);
        assert_eq!(
            found,
            [(0.0, 98.0, "a"), (98.0, 1.0, "c"), (99.0, 1.0, "d")]
        );
        assert_eq!(places(&[(1, "a")], 1_000_000), [(0.0, SEEN, "a")]);
        assert!(places(&[(1, "a")], 0).is_empty() && places(&[(-1, "a")], 5).is_empty());
    }
}
