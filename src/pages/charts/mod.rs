//! Pictures of numbers, drawn here as SVG. Each says in words what it shows; none says anything by colour alone; all take
//! their colours from the style sheet, so that they follow light and dark. Pure.

pub(crate) mod days;
pub(crate) mod heat;
pub(crate) mod share;
pub(crate) mod sparkline;

/// A number that can be drawn: finite, and not below nought.
fn drawable(value: f64) -> Option<f64> {
    value.is_finite().then_some(value.max(0.0))
}

/// A coordinate as short as it can be: tenths, and never `-0`.
fn at(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    let text = format!("{:.1}", rounded + 0.0);
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::days::{Day, Part, days, stack};
    use super::heat::step;
    use super::share::share;
    use super::sparkline::{Scale, heights, sparkline};
    use crate::pages::html::Tone;

    /// What a browser would not draw.
    fn is_drawable(svg: &str) -> bool {
        !["NaN", "inf", "-0\"", "=\"-"]
            .iter()
            .any(|bad| svg.contains(bad))
    }

    fn any_number() -> impl Strategy<Value = Option<f64>> {
        prop_oneof![
            Just(None),
            any::<f64>().prop_map(Some),
            Just(Some(f64::NAN)),
            Just(Some(f64::INFINITY)),
            Just(Some(f64::MAX)),
            Just(Some(0.0)),
            (0.0..1e6).prop_map(Some),
        ]
    }

    proptest! {
        #[test]
        fn every_number_can_be_drawn(
            values in prop::collection::vec(any_number(), 0..40),
            counts in prop::collection::vec((any::<i64>(), any::<i64>()), 0..40),
        ) {
            for scale in [Scale::Share, Scale::Count] {
                let svg = sparkline("of anything", &values, scale).into_string();
                prop_assert!(is_drawable(&svg), "{svg}");
            }
            let parts = [Part { name: "one", tone: Tone::Good }, Part { name: "two", tone: Tone::Bad }];
            let columns: Vec<Day> = counts.iter().map(|&(one, two)| Day { label: "day".into(), counts: vec![one, two] }).collect();
            let svg = days("d", "of anything", &parts, &columns).into_string();
            prop_assert!(is_drawable(&svg), "{svg}");
            for (part, whole) in counts {
                prop_assert!(step(part, whole) <= 5);
                let svg = share(&[(part, "good"), (whole, "bad")], whole).into_string();
                prop_assert!(is_drawable(&svg), "{svg}");
            }
        }

        /// What is more is drawn no lower.
        #[test]
        fn a_line_keeps_the_order(values in prop::collection::vec(0.0..1e9_f64, 2..20)) {
            let known: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
            let mut drawn: Vec<(f64, Option<f64>)> = values.iter().copied().zip(heights(&known, Scale::Count)).collect();
            drawn.sort_by(|a, b| a.0.total_cmp(&b.0));
            prop_assert!(drawn.is_sorted_by(|a, b| a.1 <= b.1), "{drawn:?}");
            let highest = drawn.last().expect("two at least");
            prop_assert!(highest.0 == 0.0 || highest.1 == Some(1.0));
        }

        /// A column is made of all its parts, none of which is hidden, and is no higher than the picture.
        #[test]
        fn a_column_hides_nothing(counts in prop::collection::vec(0..1_000_000_i64, 1..6), top in 1..1_000_000_i64) {
            let day = Day { label: "day".into(), counts: counts.clone() };
            let parts = stack(&day, (top + counts.iter().sum::<i64>()) as f64);
            prop_assert_eq!(parts.len(), counts.iter().filter(|count| **count > 0).count());
            prop_assert!(parts.iter().all(|(_, y, height)| *height >= 1.0 && *y >= 0.0 && y + height <= 120.001), "{parts:?}");
        }
    }
}
