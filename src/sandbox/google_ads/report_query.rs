//! The queries of the customer that are understood, word by word
//! (`developers.google.com/google-ads/api/docs/query/grammar`). All others are refused.

use chrono::NaiveDate;

use super::failure::Flaw;
use super::query::{Word, Words, wrong};

/// A query that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ReportQuery {
    /// `SELECT customer.time_zone, customer.currency_code FROM customer LIMIT 1`
    Account,
    /// Conversions by conversion date.
    Conversions {
        first: NaiveDate,
        last: NaiveDate,
        /// Their ids.
        actions: Vec<String>,
    },
}

const ACCOUNT: [&str; 2] = ["customer.time_zone", "customer.currency_code"];
const CONVERSIONS: [&str; 4] = [
    "segments.date",
    "segments.conversion_action",
    "metrics.all_conversions_by_conversion_date",
    "metrics.all_conversions_value_by_conversion_date",
];

/// Whether a text asks for the customer.
pub(super) fn is_of_customer(text: &str) -> bool {
    let mut words = text
        .split_whitespace()
        .skip_while(|word| !word.eq_ignore_ascii_case("FROM"));
    words.nth(1) == Some("customer")
}

impl ReportQuery {
    pub(super) fn parse(text: &str) -> Result<ReportQuery, Flaw> {
        let mut words = Words::of(text)?;
        words
            .keyword("SELECT")
            .ok_or_else(|| wrong("EXPECTED_SELECT"))?;
        let mut selected = vec![bare(&mut words)?];
        while words.symbol(",").is_some() {
            selected.push(bare(&mut words)?);
        }
        words
            .keyword("FROM")
            .ok_or_else(|| wrong("EXPECTED_FROM"))?;
        if bare(&mut words)? != "customer" {
            return Err(wrong("BAD_RESOURCE_TYPE_IN_FROM_CLAUSE"));
        }
        let query = if selected == ACCOUNT {
            words
                .keyword("LIMIT")
                .ok_or_else(|| wrong("UNEXPECTED_INPUT"))?;
            words.limit()?;
            ReportQuery::Account
        } else if selected == CONVERSIONS {
            conditions(&mut words)?
        } else {
            return Err(wrong("UNRECOGNIZED_FIELD"));
        };
        match words.next() {
            None => Ok(query),
            Some(_) => Err(wrong("UNEXPECTED_INPUT")),
        }
    }

    /// The fields in the answer's mask.
    pub(super) fn mask(&self) -> &'static str {
        match self {
            ReportQuery::Account => "customer.timeZone,customer.currencyCode",
            ReportQuery::Conversions { .. } => {
                "segments.date,segments.conversionAction,metrics.allConversionsByConversionDate,\
                 metrics.allConversionsValueByConversionDate"
            }
        }
    }
}

/// `WHERE segments.date BETWEEN 'a' AND 'b' AND segments.conversion_action IN (…)`. A segment that is selected needs a
/// finite range of days (`queryError.EXPECTED_FILTERS_ON_…`).
fn conditions(words: &mut Words) -> Result<ReportQuery, Flaw> {
    let expected = || wrong("INVALID_VALUE_WITH_BETWEEN_OPERATOR");
    let date = words
        .keyword("WHERE")
        .and_then(|()| words.keyword("segments.date"));
    date.and_then(|()| words.keyword("BETWEEN"))
        .ok_or_else(expected)?;
    let first = day(words)?;
    words.keyword("AND").ok_or_else(expected)?;
    let last = day(words)?;
    if first > last {
        return Err(expected());
    }
    let action = words
        .keyword("AND")
        .and_then(|()| words.keyword("segments.conversion_action"));
    action
        .and_then(|()| words.keyword("IN"))
        .ok_or_else(|| wrong("BAD_OPERATOR"))?;
    let id = |resource: String| {
        let id = super::fields::action_id(&resource).map(str::to_owned);
        id.ok_or_else(|| wrong("INVALID_RESOURCE_NAME"))
    };
    let actions: Result<Vec<String>, Flaw> = words.values()?.into_iter().map(id).collect();
    Ok(ReportQuery::Conversions {
        first,
        last,
        actions: actions?,
    })
}

fn bare(words: &mut Words) -> Result<String, Flaw> {
    match words.next() {
        Some(Word::Bare(name)) => Ok(name),
        Some(_) => Err(wrong("BAD_FIELD_NAME")),
        None => Err(wrong("UNEXPECTED_END_OF_QUERY")),
    }
}

fn day(words: &mut Words) -> Result<NaiveDate, Flaw> {
    let text = words.value()?;
    let day = NaiveDate::parse_from_str(&text, "%Y-%m-%d").ok();
    day.ok_or_else(|| wrong("BAD_VALUE"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SELECT: &str = "SELECT segments.date, segments.conversion_action, \
        metrics.all_conversions_by_conversion_date, metrics.all_conversions_value_by_conversion_date FROM customer";

    #[test]
    fn queries_of_the_customer_are_understood() {
        let account = "SELECT customer.time_zone, customer.currency_code FROM customer LIMIT 1";
        assert_eq!(ReportQuery::parse(account), Ok(ReportQuery::Account));
        let text = format!(
            "{SELECT} WHERE segments.date BETWEEN '2026-11-01' AND '2026-11-07' AND segments.conversion_action IN \
             ('customers/1/conversionActions/7', 'customers/1/conversionActions/8')"
        );
        let day = |day| NaiveDate::from_ymd_opt(2026, 11, day).unwrap();
        let expected = ReportQuery::Conversions {
            first: day(1),
            last: day(7),
            actions: vec!["7".to_owned(), "8".to_owned()],
        };
        assert_eq!(ReportQuery::parse(&text), Ok(expected));
        assert!(is_of_customer(account) && is_of_customer(&text));
        assert!(!is_of_customer(
            "SELECT conversion_action.id FROM conversion_action"
        ));
    }

    #[test]
    fn others_get_their_errors() {
        for (text, expected) in [
            ("SELECT customer.id FROM customer", "UNRECOGNIZED_FIELD"),
            (SELECT, "INVALID_VALUE_WITH_BETWEEN_OPERATOR"),
            (
                "SELECT customer.time_zone, customer.currency_code FROM campaign LIMIT 1",
                "BAD_RESOURCE_TYPE_IN_FROM_CLAUSE",
            ),
            (
                &format!(
                    "{SELECT} WHERE segments.date BETWEEN '2026-11-07' AND '2026-11-01' AND segments.conversion_action IN ('x')"
                ),
                "INVALID_VALUE_WITH_BETWEEN_OPERATOR",
            ),
            (
                &format!(
                    "{SELECT} WHERE segments.date BETWEEN '2026-11-01' AND '2026-11-07' AND segments.conversion_action IN ('7')"
                ),
                "INVALID_RESOURCE_NAME",
            ),
        ] {
            let code = ReportQuery::parse(text).unwrap_err().code();
            assert_eq!(code, format!("queryError.{expected}"), "{text}");
        }
    }
}
