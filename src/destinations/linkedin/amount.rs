//! `conversionValue.amount`: a decimal in a text, without exponent or separators. Source: conversions-api-schema,
//! `conversionValue`.

use serde_json::Number;

/// Largest exponent that is written out: no amount of money has one nearly as large.
const EXPONENT_MAX: i64 = 100;

/// The number's own digits, only without the exponent it may have been written with. `None` for what is no amount.
pub(super) fn plain(number: &Number) -> Option<String> {
    let written = number.to_string();
    let (mantissa, exponent) = written.split_once(['e', 'E']).unwrap_or((&written, "0"));
    let exponent: i64 = exponent
        .parse()
        .ok()
        .filter(|exponent: &i64| exponent.abs() <= EXPONENT_MAX)?;
    let digits = match mantissa.strip_prefix('-') {
        None => mantissa,
        Some(negative) => Some(negative).filter(|digits| is_nought(digits))?,
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    Some(shifted(whole, fraction, exponent))
}

fn is_nought(digits: &str) -> bool {
    digits.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

/// The decimal with its point moved to the right by `places`, or to the left.
fn shifted(whole: &str, fraction: &str, places: i64) -> String {
    let far = usize::try_from(places.unsigned_abs()).expect("at most EXPONENT_MAX");
    let (left, right) = if places < 0 { (far, 0) } else { (0, far) };
    let zeros = |n| "0".repeat(n);
    let all = format!(
        "{}{whole}{fraction}{}",
        zeros(left),
        zeros(right.saturating_sub(fraction.len()))
    );
    let (whole, fraction) = all.split_at(whole.len() + right);
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    match fraction {
        "" => whole.to_owned(),
        fraction => format!("{whole}.{fraction}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &str) -> Option<String> {
        plain(&text.parse().expect("a JSON number"))
    }

    #[test]
    fn digits_stay_and_exponents_go() {
        for (text, expected) in [
            ("49.90", "49.90"),
            ("5000", "5000"),
            ("12.345", "12.345"),
            ("0", "0"),
            ("0.00", "0.00"),
            ("-0.0", "0.0"),
            ("1e2", "100"),
            ("1E+2", "100"),
            ("1.50e1", "15.0"),
            ("1.5e0", "1.5"),
            ("0.05e2", "5"),
            ("1e-2", "0.01"),
            ("1250e-2", "12.50"),
            ("999999999999999999.99", "999999999999999999.99"),
        ] {
            assert_eq!(written(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_not_written() {
        for text in [
            "-1",
            "-1e-400",
            "1e-400",
            "0e999999999",
            "1e99999999999999999999",
        ] {
            assert_eq!(written(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_value_stays(units in 0_u64..1_000_000_000_000, scale in 0_i32..6, exponent in -20_i32..20) {
            let digits = format!("{units:0>7}");
            let (whole, fraction) = digits.split_at(digits.len() - usize::try_from(scale).expect("small"));
            let whole = whole.trim_start_matches('0');
            let point = if scale > 0 { "." } else { "" };
            let text = format!("{}{whole}{point}{fraction}", if whole.is_empty() { "0" } else { "" });
            let plain = written(&format!("{text}e{exponent}")).expect("an amount");
            let same: f64 = format!("{text}e{exponent}").parse().expect("a number");
            prop_assert_eq!(plain.parse::<f64>().expect("a number"), same);
            prop_assert!(plain.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
            prop_assert!(plain.parse::<Number>().is_ok(), "no leading zeros");
        }
    }
}
