//! When a version of LinkedIn's API ends. Every month has a release; each works for a year, and then every request that
//! names it fails.
//!
//! Source: `learn.microsoft.com/en-us/linkedin/marketing/versioning` and `…/marketing/integrations/migrations`.

use chrono::{Months, NaiveDate};

/// Versions that did not end, or will not end, on the fifteenth, and the day they do. The others of that table, 202510
/// to 202609, follow the rule.
const NOT_THE_FIFTEENTH: [(&str, u32); 3] = [("202511", 16), ("202603", 16), ("202608", 17)];

/// There was no release in this month.
const NEVER_RELEASED: &str = "202512";

/// The day on which a version, `YYYYMM`, stops working: as LinkedIn published it, otherwise the fifteenth, twelve months on.
/// `None` for what is no version.
pub fn version_ends(version: &str) -> Option<NaiveDate> {
    let is_month = version.len() == 6 && version.bytes().all(|byte| byte.is_ascii_digit());
    if !is_month || version == NEVER_RELEASED {
        return None;
    }
    let day = NOT_THE_FIFTEENTH
        .iter()
        .find(|(known, _)| *known == version)
        .map_or(15, |(_, day)| *day);
    let (year, month) = version.split_at(4);
    NaiveDate::from_ymd_opt(year.parse().ok()?, month.parse().ok()?, day)?
        .checked_add_months(Months::new(12))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(year: i32, month: u32, day: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(year, month, day).expect("a day")
    }

    #[test]
    fn known_versions_end_as_published() {
        for (version, ends) in [
            ("202510", day(2026, 10, 15)),
            ("202511", day(2026, 11, 16)),
            ("202601", day(2027, 1, 15)),
            ("202602", day(2027, 2, 15)),
            ("202603", day(2027, 3, 16)),
            ("202604", day(2027, 4, 15)),
            ("202605", day(2027, 5, 15)),
            ("202606", day(2027, 6, 15)),
            ("202607", day(2027, 7, 15)),
            ("202608", day(2027, 8, 17)),
            ("202609", day(2027, 9, 15)),
        ] {
            assert_eq!(version_ends(version), Some(ends), "{version}");
        }
        assert_eq!(
            version_ends("202701"),
            Some(day(2028, 1, 15)),
            "by the rule"
        );
    }

    #[test]
    fn what_is_no_version_has_no_end() {
        for text in [
            "",
            "202512",
            "202600",
            "202613",
            "2026-9",
            "20269",
            "2026090",
            "+20269",
            "２０２６",
        ] {
            assert_eq!(version_ends(text), None, "{text}");
        }
    }
}
