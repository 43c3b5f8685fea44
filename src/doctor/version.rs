//! When the configured version of a platform's API ends.

use chrono::NaiveDate;

use super::Check;
use crate::config::destination::DestinationConfig;
use crate::destinations::{Ending, Version};

const NAME: &str = "api_version";

/// How near the end is. Nothing where the platform has no versions that end.
pub(super) fn check(destination: &DestinationConfig, today: NaiveDate) -> Option<Check> {
    let version = destination.settings.version()?;
    Some(judge(version, today).at(&destination.name))
}

fn judge(version: Version<'_>, today: NaiveDate) -> Check {
    let name = version.name;
    let seen = match version.ends {
        None => format!("{name}; no end of it is known"),
        Some(ends) if ends <= today => format!("{name} ended on {ends}"),
        Some(ends) => format!(
            "{name} ends on {ends}, in {} days",
            (ends - today).num_days()
        ),
    };
    let fix = "configure a newer version, after a look at the platform's list of changes";
    match version.ending(today) {
        None => Check::ok(NAME, seen),
        Some(Ending::Near) => Check::warn(NAME, seen, fix),
        Some(Ending::Urgent | Ending::Past) => Check::fail(NAME, seen, fix),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn an_end_is_told_in_time() {
        let today = NaiveDate::from_ymd_opt(2026, 11, 23).expect("a day");
        let judged = |days: Option<i64>| {
            let ends = days.map(|days| today + TimeDelta::days(days));
            judge(Version { name: "v1", ends }, today)
        };
        let (ok, warn, fail) = (Verdict::Ok, Verdict::Warn, Verdict::Fail);
        for (days, verdict, seen) in [
            (None, ok, "v1; no end of it is known"),
            (Some(91), ok, "v1 ends on 2027-02-22, in 91 days"),
            (Some(90), warn, "v1 ends on 2027-02-21, in 90 days"),
            (Some(30), fail, "v1 ends on 2026-12-23, in 30 days"),
            (Some(0), fail, "v1 ended on 2026-11-23"),
        ] {
            let check = judged(days);
            assert_eq!((check.verdict, check.seen.as_str()), (verdict, seen));
        }
    }
}
