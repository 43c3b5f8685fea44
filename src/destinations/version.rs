//! How near the end of a platform's API version is. A version that ended takes every conversion with it, so an operator hears
//! of it in time.

use chrono::NaiveDate;

/// Days before the end from which an operator should hear of it, and from which it is urgent.
const NEAR_DAYS: i64 = 90;
const URGENT_DAYS: i64 = 30;

/// How far off a version's end is, the nearest last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// At most 90 days.
    Near,
    /// At most 30 days.
    Urgent,
    /// The day has come.
    Past,
}

/// The version of the API that a destination is configured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version<'a> {
    /// As the platform writes it.
    pub name: &'a str,
    /// The first day on which it does not work any more, as far as the platform has announced one.
    pub ends: Option<NaiveDate>,
}

impl Version<'_> {
    /// How near its end is on a day, if an operator should know.
    pub fn ending(&self, today: NaiveDate) -> Option<Ending> {
        let left = self.ends?.signed_duration_since(today).num_days();
        [
            (0, Ending::Past),
            (URGENT_DAYS, Ending::Urgent),
            (NEAR_DAYS, Ending::Near),
        ]
        .into_iter()
        .find(|(days, _)| left <= *days)
        .map(|(_, ending)| ending)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).expect("a day")
    }

    #[test]
    fn an_end_is_told_ninety_and_thirty_days_before() {
        let version = Version {
            name: "202609",
            ends: Some(day(2027, 9, 15)),
        };
        for (today, ending) in [
            (day(2027, 6, 16), None),
            (day(2027, 6, 17), Some(Ending::Near)),
            (day(2027, 8, 15), Some(Ending::Near)),
            (day(2027, 8, 16), Some(Ending::Urgent)),
            (day(2027, 9, 14), Some(Ending::Urgent)),
            (day(2027, 9, 15), Some(Ending::Past)),
            (day(2030, 1, 1), Some(Ending::Past)),
        ] {
            assert_eq!(version.ending(today), ending, "{today}");
        }
        let unannounced = Version {
            ends: None,
            ..version
        };
        assert_eq!(unannounced.ending(day(2040, 1, 1)), None);
    }
}
