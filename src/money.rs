//! Exact amounts: the digits of the database's `numeric`, never a float.

use serde_json::Number;

use crate::currency::Currency;

/// Digits after the point that arithmetic keeps; no currency has nearly as many.
const SCALE_MAX: usize = 18;

/// An amount in a currency.
#[derive(Clone, Debug, PartialEq)]
pub struct Money {
    /// Not negative.
    pub amount: Number,
    /// ISO 4217.
    pub currency: Currency,
}

/// An amount within bounds, with exactly the digits it was written with.
pub fn amount(written: &str) -> Option<Number> {
    let number: Number = written.trim().parse().ok()?;
    let value = number.as_f64()?;
    // A float rounds the highest amounts up to the bound; their digits tell.
    let whole = written.trim().split('.').next().unwrap_or_default();
    let is_just_below = || value == 1e18 && whole.len() == 18;
    ((0.0..1e18).contains(&value) || is_just_below()).then_some(number)
}

/// `one` less `other`, exactly; nought where `other` is more. `None` for amounts with more digits than any currency has.
pub fn less(one: &Number, other: &Number) -> Option<Number> {
    let (one, other) = (one.to_string(), other.to_string());
    let scale = fraction(&one).len().max(fraction(&other).len());
    let left = (scaled(&one, scale)? - scaled(&other, scale)?).max(0);
    written(left, scale)
}

/// Whether the amount is nought.
pub fn is_nothing(amount: &Number) -> bool {
    amount.as_f64() == Some(0.0)
}

fn fraction(digits: &str) -> &str {
    digits.split_once('.').map_or("", |(_, fraction)| fraction)
}

/// The amount in units of the last of `scale` digits.
fn scaled(digits: &str, scale: usize) -> Option<i128> {
    if scale > SCALE_MAX {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    format!("{whole}{fraction:0<scale$}").parse().ok()
}

/// Back to digits, without zeros at the end of the fraction.
fn written(units: i128, scale: usize) -> Option<Number> {
    let digits = format!("{units:0>width$}", width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let fraction = fraction.trim_end_matches('0');
    let text = if fraction.is_empty() {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    };
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number(text: &str) -> Number {
        text.parse().expect("digits")
    }

    #[test]
    fn the_bound_is_the_one_at_the_door() {
        for good in [
            "0",
            "0.5",
            "999999999999999999",
            "999999999999999999.99",
            "1e17",
        ] {
            assert!(amount(good).is_some(), "{good}");
        }
        for bad in [
            "-1",
            "1000000000000000000",
            "1e18",
            "1000000000000000000.01",
            "x",
            "",
        ] {
            assert!(amount(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_left_is_exact() {
        for (one, other, left) in [
            ("129.90", "62.5", "67.4"),
            ("0.3", "0.1", "0.2"),
            ("100", "100.00", "0"),
            ("100", "150", "0"),
            ("999999999999999999.99", "0.01", "999999999999999999.98"),
            ("5", "0", "5"),
        ] {
            assert_eq!(
                less(&number(one), &number(other)).map(|left| left.to_string()),
                Some(left.to_owned()),
                "{one} - {other}"
            );
        }
        assert_eq!(
            less(&number("1"), &number("0.0000000000000000001")),
            None,
            "19 digits"
        );
        assert_eq!(less(&number("1"), &number("1e2")), None, "no exponents");
    }

    proptest! {
        #[test]
        fn parts_and_what_is_left_make_the_whole(whole in 0_u64..1_000_000_000, part in 0_u64..1_000_000_000) {
            let cents = |n: u64| number(&format!("{}.{:02}", n / 100, n % 100));
            let left = less(&cents(whole), &cents(part)).expect("two digits");
            let expected = whole.saturating_sub(part);
            prop_assert_eq!(less(&left, &cents(expected)).map(|rest| is_nothing(&rest)), Some(true));
            prop_assert_eq!(less(&cents(expected), &left).map(|rest| is_nothing(&rest)), Some(true));
        }
    }
}
