//! Exact decimals: amounts, sums of amounts, and counts that platforms share among clicks. Never a float.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Digits after the point. PostgreSQL's division gives up to twenty.
const SCALE: usize = 20;
const ONE: i128 = 10_i128.pow(SCALE as u32);

/// A decimal number below 1.7e18 with at most twenty digits after the point. What would grow larger stays at that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Exact(i128);

impl Exact {
    /// Nought.
    pub const ZERO: Exact = Exact(0);

    /// Reads digits with an optional sign and point, as PostgreSQL writes a `numeric`. `None` for anything else, and for
    /// what does not fit exactly.
    pub fn parse(text: &str) -> Option<Exact> {
        let (is_negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let fraction = fraction.trim_end_matches('0');
        let is_number = !whole.is_empty()
            && whole
                .bytes()
                .chain(fraction.bytes())
                .all(|b| b.is_ascii_digit());
        if !is_number || fraction.len() > SCALE || digits.ends_with('.') {
            return None;
        }
        let whole: i128 = whole.parse().ok()?;
        let fraction: i128 = format!("{fraction:0<SCALE$}").parse().ok()?;
        let units = whole.checked_mul(ONE)?.checked_add(fraction)?;
        Some(Exact(if is_negative { -units } else { units }))
    }

    /// Without its sign.
    pub fn abs(self) -> Exact {
        Exact(self.0.saturating_abs())
    }

    /// The whole number nearest to it, away from nought where two are.
    pub fn rounded(self) -> i64 {
        let whole = (self.0.saturating_abs().saturating_add(ONE / 2) / ONE) * self.0.signum();
        i64::try_from(whole).expect("1.7e18 at most")
    }

    /// So many times over.
    pub fn times(self, count: u32) -> Exact {
        Exact(self.0.saturating_mul(i128::from(count)))
    }
}

impl From<u64> for Exact {
    fn from(count: u64) -> Exact {
        Exact(i128::from(count).saturating_mul(ONE))
    }
}

impl Add for Exact {
    type Output = Exact;

    fn add(self, other: Exact) -> Exact {
        Exact(self.0.saturating_add(other.0))
    }
}

impl Sub for Exact {
    type Output = Exact;

    fn sub(self, other: Exact) -> Exact {
        Exact(self.0.saturating_sub(other.0))
    }
}

impl Neg for Exact {
    type Output = Exact;

    fn neg(self) -> Exact {
        Exact(self.0.saturating_neg())
    }
}

impl Sum for Exact {
    fn sum<I: Iterator<Item = Exact>>(all: I) -> Exact {
        all.fold(Exact::ZERO, Add::add)
    }
}

/// Without needless zeros, but with two decimals where there are any, as people write amounts.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = format!("{:0>width$}", self.0.unsigned_abs(), width = SCALE + 1);
        let (whole, fraction) = digits.split_at(digits.len() - SCALE);
        let sign = if self.0 < 0 { "-" } else { "" };
        match fraction.trim_end_matches('0') {
            "" => write!(f, "{sign}{whole}"),
            fraction => write!(f, "{sign}{whole}.{fraction:0<2}"),
        }
    }
}

/// As text: a reader of JSON might make a float of a number.
impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// From text, or from a number as PostgreSQL's JSON has it.
impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Exact, D::Error> {
        let text = match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        };
        Exact::parse(&text).ok_or_else(|| de::Error::custom("a decimal number was expected"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_are_kept() {
        for (text, shown) in [
            ("0", "0"),
            ("-0.5", "-0.50"),
            ("129.90", "129.90"),
            ("129.9", "129.90"),
            ("1000", "1000"),
            ("3.3333333333333333", "3.3333333333333333"),
            ("999999999999999999.99", "999999999999999999.99"),
            ("-1.005", "-1.005"),
        ] {
            assert_eq!(
                Exact::parse(text).map(|e| e.to_string()).as_deref(),
                Some(shown)
            );
        }
        for bad in [
            "",
            "-",
            ".5",
            "5.",
            "1e3",
            "NaN",
            "1,5",
            "+1",
            " 1",
            "--1",
            "99999999999999999999",
            "0.000000000000000000001",
        ] {
            assert_eq!(Exact::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_nearest_whole_number() {
        for (text, whole) in [
            ("0.49", 0),
            ("0.5", 1),
            ("-0.5", -1),
            ("-2.4", -2),
            ("7", 7),
        ] {
            assert_eq!(
                Exact::parse(text).map(Exact::rounded),
                Some(whole),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn sums_of_cents_are_cents(cents in proptest::collection::vec(-10_000_000_i64..10_000_000, 0..50)) {
            let amount = |n: i64| {
                let sign = if n < 0 { "-" } else { "" };
                Exact::parse(&format!("{sign}{}.{:02}", n.abs() / 100, n.abs() % 100)).expect("cents")
            };
            let sum: Exact = cents.iter().copied().map(amount).sum();
            prop_assert_eq!(sum, amount(cents.iter().sum()));
            prop_assert_eq!(Exact::parse(&sum.to_string()), Some(sum));
        }
    }
}
