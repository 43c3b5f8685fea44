//! Whether the platform would say what it counted, where it is to be asked: its numbers of yesterday are fetched and thrown
//! away. Reads only, and costs nothing but quota.

use chrono::{DateTime, Days, Utc};

use super::{Blame, Check, credential};
use crate::config::destination::DestinationConfig;
use crate::reports::{self, Counts, DayRange, ReportError, ReportedDay};
use crate::send::Sender;

const CREDENTIAL: &str = "report_credential";
const NAME: &str = "report";

/// Whether the secrets for reports are there and usable, without asking anybody.
pub(super) fn credential(destination: &DestinationConfig, now: DateTime<Utc>) -> Option<Check> {
    let report = destination.report.as_ref()?;
    let check = credential::usable(CREDENTIAL, report.credentials(), now);
    Some(check.at(&destination.name))
}

/// Asks for yesterday.
pub(super) async fn examine(
    destination: &DestinationConfig,
    sender: &Sender,
    now: DateTime<Utc>,
) -> Option<Check> {
    destination.report.as_ref()?;
    let yesterday = now
        .date_naive()
        .checked_sub_days(Days::new(1))
        .unwrap_or_default();
    let range = DayRange {
        first: yesterday,
        last: yesterday,
        time_zone: "UTC".to_owned(),
    };
    let check = match reports::fetch(destination, sender, &range, now).await {
        Ok(days) => told(destination, &days),
        Err(error) => untold(&error),
    };
    Some(check.at(&destination.name))
}

fn told(destination: &DestinationConfig, days: &[ReportedDay]) -> Check {
    let zone = days.first().map_or("UTC", |day| &day.time_zone);
    let what = match reports::counts(destination.platform()) {
        Counts::Received => "events received",
        Counts::Attributed => "conversions attributed to ads, never the others",
    };
    let hours = reports::delay_of(destination).as_secs() / 3600;
    let seen =
        format!("the platform tells its numbers: {what}; days of {zone}, final after {hours} h");
    if days.iter().any(|day| day.details["empty_answer"] == true) {
        return Check::warn(
            NAME,
            format!(
                "{seen}; its answer was empty, as it is for a credential that may not read the account"
            ),
            "compare with the platform's own page; give the credential a role on the ad account if that shows more",
        );
    }
    Check::ok(NAME, seen)
}

fn untold(error: &ReportError) -> Check {
    match error {
        ReportError::Nothing(_) | ReportError::RateLimited { .. } => {
            Check::warn(NAME, error.to_string(), error.advice())
        }
        ReportError::Credential(_) => {
            Check::skipped(NAME, "not asked: the credential cannot be used")
        }
        ReportError::Later(_) => {
            Check::fail(NAME, error.to_string(), error.advice()).blame(Blame::Unavailable)
        }
        _ => Check::fail(NAME, error.to_string(), error.advice()),
    }
}
