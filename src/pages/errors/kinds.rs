//! Kinds of errors, and when they happened. Pure.

use chrono::{DateTime, Days, NaiveTime, TimeDelta, Utc};

use super::hour_of;
use crate::pages::params::Period;

/// Answers that are alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Kind {
    pub(super) destination: String,
    pub(super) outcome: String,
    pub(super) response_code: Option<i16>,
    pub(super) error_code: Option<String>,
}

impl Kind {
    /// The answer in short: `HTTP 400 · 2804019`.
    pub(super) fn code(&self) -> String {
        match (self.response_code, &self.error_code) {
            (Some(status), Some(code)) => format!("HTTP {status} · {code}"),
            (Some(status), None) => format!("HTTP {status}"),
            (None, Some(code)) => code.clone(),
            (None, None) => "no answer".to_owned(),
        }
    }

    /// Whether a try with this answer is of this kind.
    pub(super) fn is_of(
        &self,
        destination: &str,
        response_code: Option<i16>,
        error_code: Option<&str>,
    ) -> bool {
        self.destination == destination
            && self.response_code == response_code
            && self.error_code.as_deref() == error_code
    }
}

/// One kind, and how often it happened when.
#[derive(Clone, Debug)]
pub(super) struct Error {
    pub(super) kind: Kind,
    pub(super) total: i64,
    /// One for each column.
    pub(super) counts: Vec<i64>,
    /// The hour in which it happened last.
    pub(super) last: DateTime<Utc>,
    /// Id and name of the latest events.
    pub(super) samples: Vec<(String, String)>,
}

impl Error {
    pub(super) fn new(kind: Kind, columns: &Columns) -> Error {
        Error {
            kind,
            total: 0,
            counts: vec![0; columns.number],
            last: columns.first,
            samples: Vec::new(),
        }
    }

    /// So many in the column that begins at `since`, the last of them in the hour `last`.
    pub(super) fn add(
        &mut self,
        columns: &Columns,
        since: DateTime<Utc>,
        last: DateTime<Utc>,
        answers: i64,
    ) {
        self.total += answers;
        self.last = self.last.max(last);
        self.counts[columns.place(since)] += answers;
    }
}

/// The time that is shown, in equal parts: hours of a day, else days.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// The beginning of the oldest.
    pub(super) first: DateTime<Utc>,
    pub(super) number: usize,
    width: TimeDelta,
}

impl Columns {
    /// The last one is the one that now lies in.
    pub(super) fn up_to(now: DateTime<Utc>, period: Period) -> Columns {
        let days = period.days();
        match period {
            Period::Day => Columns {
                first: hour_of(now) - TimeDelta::hours(23),
                number: 24,
                width: TimeDelta::hours(1),
            },
            Period::Week | Period::Month => Columns {
                first: (now.date_naive() - Days::new(days as u64 - 1))
                    .and_time(NaiveTime::MIN)
                    .and_utc(),
                number: days as usize,
                width: TimeDelta::days(1),
            },
        }
    }

    /// What each of them is, in PostgreSQL's word.
    pub(super) fn unit(&self) -> &'static str {
        if self.number == 24 { "hour" } else { "day" }
    }

    /// Which one this moment lies in. A clock that is ahead does not lead out of the table.
    fn place(&self, at: DateTime<Utc>) -> usize {
        let place = (at - self.first).num_seconds() / self.width.num_seconds();
        (place.max(0) as usize).min(self.number - 1)
    }

    /// Number and unit of each.
    pub(super) fn labels(&self) -> Vec<(String, String)> {
        let formats = if self.number == 24 {
            ("%H", "h")
        } else {
            ("%-d", "%b")
        };
        (0..self.number as i32)
            .map(|place| self.first + self.width * place)
            .map(|at| {
                (
                    at.format(formats.0).to_string(),
                    at.format(formats.1).to_string(),
                )
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(columns: &Columns, place: usize) -> String {
        let (number, unit) = &columns.labels()[place];
        format!("{number} {unit}")
    }

    #[test]
    fn a_day_has_hours_and_a_week_has_days() {
        let now: DateTime<Utc> = "2026-03-01T09:45:00Z".parse().unwrap();
        let day = Columns::up_to(now, Period::Day);
        assert_eq!(label(&day, 0), "10 h");
        assert_eq!(label(&day, 23), "09 h");
        assert_eq!(
            (
                day.place(day.first),
                day.place(now),
                day.place(now + TimeDelta::days(9))
            ),
            (0, 23, 23)
        );
        let week = Columns::up_to(now, Period::Week);
        assert_eq!(label(&week, 0), "23 Feb");
        assert_eq!((label(&week, 6).as_str(), week.number), ("1 Mar", 7));
        assert_eq!(week.place("2026-02-28T23:59:59Z".parse().unwrap()), 5);
        assert_eq!(week.place("2020-01-01T00:00:00Z".parse().unwrap()), 0);
    }

    #[test]
    fn codes_are_short() {
        let kind = |response_code, error_code: Option<&str>| Kind {
            destination: "meta".into(),
            outcome: "retry".into(),
            response_code,
            error_code: error_code.map(str::to_owned),
        };
        let codes = [
            kind(Some(400), Some("100")).code(),
            kind(Some(503), None).code(),
            kind(None, Some("timeout")).code(),
            kind(None, None).code(),
        ];
        assert_eq!(
            codes,
            ["HTTP 400 · 100", "HTTP 503", "timeout", "no answer"]
        );
        assert!(
            kind(None, None).is_of("meta", None, None)
                && !kind(None, None).is_of("meta", Some(400), None)
        );
    }
}
