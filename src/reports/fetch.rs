//! Asks a platform what it counted, question by question. The only part that does I/O.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;

use super::tally::Tally;
use super::{DayRange, Query, ReportError, ReportedDay, Settings, counts, shared_names};
use crate::config::destination::DestinationConfig;
use crate::config::secret::Secret;
use crate::destinations::Credentials;
use crate::send::Sender;
use crate::token::TokenSource;

/// Most questions that one fetch asks: half of what GA4 takes in an hour of reports that it may have to threshold
/// (google.analytics.data.v1beta, `PropertyQuota.potentially_thresholded_requests_per_hour`: 120).
pub const REQUESTS_MAX: u32 = 60;

/// Most days of one fetch; what is longer goes in parts.
const DAYS_MAX: i64 = 100;

/// What the platform counted of every event that is mapped there, on each of these days. Days that have not begun, and those
/// that the platform does not know any more, are left out; all others are there, with nought where it counted nothing.
///
/// Reads only, and costs nothing but quota.
///
/// # Errors
/// [`ReportError`] says what to do about it. Nothing of an answer that is not whole is given out.
pub async fn fetch(
    destination: &DestinationConfig,
    sender: &Sender,
    range: &DayRange,
    now: DateTime<Utc>,
) -> Result<Vec<ReportedDay>, ReportError> {
    let report = destination.report.as_ref();
    let report = report.ok_or(ReportError::NotConfigured)?;
    let events = shared_names(destination);
    let names: Vec<&str> = events.keys().copied().collect();
    if names.is_empty() {
        return Err(ReportError::Nothing("no event is mapped to anything there"));
    }
    let query = within_reach(report, &names, range, now)?;
    let sender = sender.within(destination.reach);
    let secret = secret(report.credentials(), &sender, now).await?;
    let mut tally = Tally::default();
    let counted = counts(destination.platform()).as_str();
    tally.details.insert("counts".to_owned(), json!(counted));
    let mut question = report.first(&query);
    for _ in 0..REQUESTS_MAX {
        let reply = sender
            .send(question, &secret, destination.request_timeout)
            .await?;
        match report.read_answer(&reply, &query, &mut tally)? {
            Some(next) => question = next,
            None => return tally.finish(&query, &events),
        }
    }
    Err(ReportError::TooMuch)
}

/// The days that the platform may know. A day begins somewhere on earth up to fourteen hours before it does in UTC.
fn within_reach<'a>(
    report: &'a Settings,
    names: &'a [&'a str],
    range: &DayRange,
    now: DateTime<Utc>,
) -> Result<Query<'a>, ReportError> {
    if (range.last - range.first).num_days() >= DAYS_MAX {
        return Err(ReportError::Nothing("that is more than a hundred days"));
    }
    let newest = (now + TimeDelta::hours(14)).date_naive();
    let oldest = report.oldest(now);
    let first = oldest.map_or(range.first, |oldest| oldest.max(range.first));
    let last = range.last.min(newest);
    if first > last {
        return Err(ReportError::Nothing(
            "the days are not begun, or the platform does not know them any more",
        ));
    }
    Ok(Query {
        base_url: &report.base_url,
        names,
        first,
        last,
        now,
    })
}

/// What the questions are signed with.
async fn secret(
    credentials: Credentials<'_>,
    sender: &Sender,
    now: DateTime<Utc>,
) -> Result<Secret, ReportError> {
    match credentials {
        Credentials::Secret(secret) => Ok(secret.load()?),
        Credentials::OAuth(oauth) => {
            let token = TokenSource::new(oauth.clone()).token(sender, now).await?;
            Ok(token.secret)
        }
    }
}
