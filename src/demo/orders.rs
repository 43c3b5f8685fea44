//! The baskets that the demo's shop sells: an extract of a public data set (see `ORDERS.md` beside this file).
//!
//! Reads the extract and moves it in time. Who bought, and what goes wrong on the way, is decided elsewhere.

use std::fmt;
use std::iter::Sum;

use chrono::{DateTime, NaiveDateTime, TimeDelta, Utc};
use serde_json::Value;

/// Made by `src/demo/extract_orders.py`; the format is told in `ORDERS.md`.
const EXTRACT: &str = include_str!("orders.csv");

/// An exact amount of US dollars, in cents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Amount {
    /// Hundredths of a dollar.
    pub cents: u64,
}

/// One line of a basket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The data set's product number.
    pub product: u64,
    /// Such as `FLUID MILK PRODUCTS`.
    pub category: String,
    /// Pieces.
    pub quantity: u64,
    /// What was paid for all pieces together, after discounts.
    pub amount: Amount,
}

/// One sale.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basket {
    /// The data set's basket number.
    pub number: u64,
    /// The data set's household number.
    pub household: u64,
    /// When it was sold; in 2017 until [`move_to`] has moved it.
    pub sold_at: DateTime<Utc>,
    /// At least one.
    pub items: Vec<Item>,
}

impl Basket {
    /// What the whole basket cost.
    pub fn amount(&self) -> Amount {
        self.items.iter().map(|item| item.amount).sum()
    }
}

impl Item {
    /// The price of one piece, to the nearest cent.
    pub fn price(&self) -> Amount {
        Amount {
            cents: (self.amount.cents + self.quantity / 2) / self.quantity,
        }
    }
}

impl Amount {
    /// Reads a decimal number of at most two places: `12`, `12.5`, `12.050`.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let part = part.trim_end_matches('0');
        let part = if part.len() <= 2 {
            format!("{part:0<2}")
        } else {
            return None;
        };
        let cents = whole.parse::<u64>().ok()?.checked_mul(100)?;
        Some(Self {
            cents: cents.checked_add(part.parse().ok()?)?,
        })
    }

    /// What stays of it when another amount goes; never less than nothing.
    pub fn less(self, other: Self) -> Self {
        Self {
            cents: self.cents.saturating_sub(other.cents),
        }
    }

    /// The amount as a JSON number without rounding.
    pub fn to_json(self) -> Value {
        serde_json::from_str(&self.to_string())
            .expect("digits, a point and two digits are a number")
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}.{:02}", self.cents / 100, self.cents % 100)
    }
}

impl Sum for Amount {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        Self {
            cents: amounts.map(|amount| amount.cents).sum(),
        }
    }
}

/// All 1,500 baskets, oldest first, as they were sold in 2017.
pub fn baskets() -> Vec<Basket> {
    EXTRACT
        .lines()
        .skip(1)
        .map(|line| basket(line).expect("the committed extract is well-formed"))
        .collect()
}

/// Moves baskets, given oldest first, so that the newest was sold at `newest` and all within `span` before it. Their
/// order and the proportions of the gaps between them stay.
pub fn move_to(baskets: &mut [Basket], newest: DateTime<Utc>, span: TimeDelta) {
    let (Some(first), Some(last)) = (baskets.first(), baskets.last()) else {
        return;
    };
    let (first, last) = (first.sold_at, last.sold_at);
    let whole = i128::from((last - first).num_milliseconds().max(1));
    for basket in baskets {
        let back = i128::from((last - basket.sold_at).num_milliseconds());
        let back = back * i128::from(span.num_milliseconds()) / whole;
        let back = i64::try_from(back).expect("a part of the span is no longer than the span");
        basket.sold_at = newest - TimeDelta::milliseconds(back);
    }
}

/// `basket_id,household_id,sold_at,items`
fn basket(line: &str) -> Option<Basket> {
    let fields: Vec<&str> = line.split(',').collect();
    let [number, household, sold_at, items] = fields[..] else {
        return None;
    };
    Some(Basket {
        number: number.parse().ok()?,
        household: household.parse().ok()?,
        sold_at: NaiveDateTime::parse_from_str(sold_at, "%Y-%m-%dT%H:%M:%S")
            .ok()?
            .and_utc(),
        items: items.split(';').map(item).collect::<Option<_>>()?,
    })
}

/// `product_id|category|quantity|cents`
fn item(text: &str) -> Option<Item> {
    let fields: Vec<&str> = text.split('|').collect();
    let [product, category, quantity, cents] = fields[..] else {
        return None;
    };
    Some(Item {
        product: product.parse().ok()?,
        category: category.to_owned(),
        quantity: quantity.parse().ok().filter(|quantity| *quantity > 0)?,
        amount: Amount {
            cents: cents.parse().ok()?,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_extract_is_what_its_description_says() {
        let baskets = baskets();
        let mut households: Vec<u64> = baskets.iter().map(|basket| basket.household).collect();
        households.sort_unstable();
        households.dedup();
        assert_eq!((baskets.len(), households.len()), (1_500, 542));
        assert!(baskets.is_sorted_by_key(|basket| basket.sold_at));
        assert!(baskets.iter().all(|basket| basket.amount().cents > 0));
    }

    #[test]
    fn moving_keeps_order_and_stays_within_the_span() {
        let mut baskets = baskets();
        let (now, span) = (
            DateTime::from_timestamp(1_795_000_000, 0).expect("a time"),
            TimeDelta::hours(20),
        );
        move_to(&mut baskets, now, span);
        assert!(baskets.is_sorted_by_key(|basket| basket.sold_at));
        assert_eq!(baskets[0].sold_at, now - span);
        assert_eq!(baskets[1_499].sold_at, now);
    }

    #[test]
    fn amounts_are_exact_decimals() {
        assert_eq!(Amount { cents: 1_205 }.to_string(), "12.05");
        for (text, cents) in [("12.05", 1_205), ("12.5", 1_250), ("0", 0), ("7.500", 750)] {
            assert_eq!(Amount::parse(text), Some(Amount { cents }), "{text}");
        }
        for text in ["", "-1", "1.234", "1,5", "x"] {
            assert_eq!(Amount::parse(text), None, "{text}");
        }
        let item = Item {
            product: 1,
            category: "A".to_owned(),
            quantity: 3,
            amount: Amount { cents: 200 },
        };
        assert_eq!(item.price().cents, 67);
    }
}
