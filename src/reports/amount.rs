//! Decimal numbers of answers: exact, bounded, added up. Never a float.

use std::fmt;

/// Digits after the point that are kept; what an answer writes beyond them is cut off.
const SCALE: usize = 9;

/// Most digits before the point.
const WHOLE_MAX: usize = 15;

/// A decimal number, in thousand-millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(i128);

impl Amount {
    /// Reads `-12.5`, and `1.0E-7` as Google writes doubles. `None` for what is no number or too large.
    pub(super) fn read(text: &str) -> Option<Amount> {
        if text.len() > 40 {
            return None;
        }
        let (number, exponent) = match text.split_once(['e', 'E']) {
            Some((number, exponent)) => (number, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (is_negative, digits) = match number.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let are_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let is_number = !whole.is_empty() && are_digits(whole) && are_digits(fraction);
        if !is_number || !(-30..=30).contains(&exponent) {
            return None;
        }
        // All digits in one row, and where the point stands in it.
        let row = format!("{whole}{fraction}");
        let point = i32::try_from(whole.len()).ok()? + exponent;
        let units = point + i32::try_from(SCALE).ok()?;
        let units = usize::try_from(units.max(0)).ok()?;
        let scaled = match units <= row.len() {
            true => row[..units].to_owned(),
            false => format!("{row:0<units$}"),
        };
        let scaled = scaled.trim_start_matches('0');
        if scaled.len() > WHOLE_MAX + SCALE {
            return None;
        }
        let units: i128 = match scaled {
            "" => 0,
            digits => digits.parse().ok()?,
        };
        Some(Amount(if is_negative { -units } else { units }))
    }

    /// A whole number.
    pub(super) fn whole(number: u64) -> Amount {
        Amount(i128::from(number) * 10_i128.pow(SCALE as u32))
    }

    /// A JSON number, or one in a string.
    pub(super) fn of(value: &serde_json::Value) -> Option<Amount> {
        match value {
            serde_json::Value::String(text) => Amount::read(text),
            serde_json::Value::Number(number) => Amount::read(&number.to_string()),
            _ => None,
        }
    }

    /// The sum; it stays at the bound where it would go beyond.
    pub(super) fn plus(self, other: Amount) -> Amount {
        Amount(self.0.saturating_add(other.0))
    }
}

/// Without zeros at the end of the fraction.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.0.unsigned_abs(), width = SCALE + 1);
        let (whole, fraction) = digits.split_at(digits.len() - SCALE);
        let fraction = fraction.trim_end_matches('0');
        let sign = if self.0 < 0 { "-" } else { "" };
        match fraction {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_answers_are_exact() {
        for (text, read) in [
            ("0", "0"),
            ("12", "12"),
            ("49.90", "49.9"),
            ("-3.25", "-3.25"),
            ("1.0E-7", "0.0000001"),
            ("1.5e3", "1500"),
            ("0.3333333333333", "0.333333333"),
            ("1E-20", "0"),
            ("999999999999999.999", "999999999999999.999"),
            ("007", "7"),
        ] {
            let amount = Amount::read(text).map(|amount| amount.to_string());
            assert_eq!(amount.as_deref(), Some(read), "{text}");
        }
        for text in [
            "",
            "-",
            ".5",
            "x",
            "1.2.3",
            "1e",
            "1e99",
            "NaN",
            "Infinity",
            "1000000000000000",
            "1e16",
            "+1",
            " 1",
            "１",
            "11111111111111111111111111111111111111111111111111",
        ] {
            assert_eq!(Amount::read(text), None, "{text}");
        }
    }

    #[test]
    fn a_hundred_tenths_are_ten() {
        let tenth = Amount::read("0.1").expect("a number");
        let sum = (0..100).fold(Amount::default(), |sum, _| sum.plus(tenth));
        assert_eq!(sum, Amount::whole(10));
        assert_eq!(sum.to_string(), "10");
    }
}
