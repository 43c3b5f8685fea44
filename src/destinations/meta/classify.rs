//! What Meta's answers mean: the fourth part. By code and subcode; texts are never read.

use std::time::Duration;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::super::Reply;
use crate::outcome::{Answer, Hold, Notice, Outcome};

#[derive(Deserialize)]
struct Success {
    events_received: Option<u64>,
    /// Whatever form it has, a body with an error is no success.
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Failure {
    error: ErrorObject,
}

/// Texts are localised and may echo what was sent: only the numbers are read.
#[derive(Deserialize)]
struct ErrorObject {
    code: i64,
    error_subcode: Option<i64>,
    #[serde(default)]
    is_transient: bool,
}

/// By code and subcode; the status only where there is no JSON body, since 401, 400 and 500 were all seen with codes
/// of other classes. Source: marketing-api/error-reference; graph-api/guides/error-handling.
pub fn classify(reply: &Reply, sent: usize) -> Answer {
    let answer = match serde_json::from_slice::<Failure>(&reply.body) {
        Ok(Failure { error }) => failed(reply, &error),
        Err(_) if (200..300).contains(&reply.status) => received(reply, sent),
        Err(_) => by_status(reply),
    };
    match reply.header("x-ad-api-version-warning") {
        Some(_) if answer.notice.is_none() => answer.notice(Notice::VersionWarning),
        _ => answer,
    }
}

fn received(reply: &Reply, sent: usize) -> Answer {
    match serde_json::from_slice::<Success>(&reply.body) {
        Ok(Success { error: Some(_), .. }) => Answer::all(Outcome::Ambiguous),
        Ok(Success {
            events_received: Some(count),
            ..
        }) if count == sent as u64 => Answer::all(Outcome::Accepted),
        // Fewer than were sent: nobody can say which ones were taken.
        Ok(Success {
            events_received: Some(_),
            ..
        }) => Answer::all(Outcome::Miscounted).notice(Notice::CountMismatch),
        Ok(_) => Answer::all(Outcome::Ambiguous).notice(Notice::CountMismatch),
        Err(_) => Answer::all(Outcome::Ambiguous),
    }
}

fn failed(reply: &Reply, error: &ErrorObject) -> Answer {
    // A longer number might be somebody's telephone's.
    let is_code = |number: i64| number.unsigned_abs() < 10_000_000;
    let subcode = error.error_subcode.filter(|subcode| is_code(*subcode));
    let answer = verdict(reply, error);
    match (is_code(error.code), subcode) {
        (false, _) => answer.code("unreadable"),
        (true, Some(subcode)) => answer.code(format!("{}/{subcode}", error.code)),
        (true, None) => answer.code(error.code.to_string()),
    }
}

fn verdict(reply: &Reply, error: &ErrorObject) -> Answer {
    let transient = Answer::all(Outcome::Retry {
        after: reply.retry_after(),
        delivered: true,
    });
    if error.is_transient {
        return transient;
    }
    match (error.code, error.error_subcode) {
        (100, Some(33)) => Answer::all(Outcome::Hold(Hold::Configuration)),
        (100 | 105, _) => Answer::batch_rejected(),
        (190 | 102 | 104, _) => Answer::all(Outcome::Hold(Hold::Credential)),
        (3 | 10 | 200..=299 | 2655, _) => Answer::all(Outcome::Hold(Hold::Permission)),
        (2500 | 2635, _) => Answer::all(Outcome::Hold(Hold::Configuration)),
        (4 | 17 | 32 | 341 | 613 | 80000..=80014, _) => Answer::all(Outcome::RateLimited {
            after: throttled_for(reply),
        }),
        (1 | 2 | 5000 | 21009 | 368, _) => transient,
        (code, _) if code < 0 => transient,
        _ if reply.status == 429 => Answer::all(Outcome::RateLimited {
            after: throttled_for(reply),
        }),
        _ if reply.status >= 500 => transient,
        _ => Answer::all(Outcome::Unrecognised).notice(Notice::UnrecognisedCode),
    }
}

fn by_status(reply: &Reply) -> Answer {
    Answer::all(match reply.status {
        429 => Outcome::RateLimited {
            after: throttled_for(reply),
        },
        401 => Outcome::Hold(Hold::Credential),
        403 => Outcome::Hold(Hold::Permission),
        408 | 500.. => Outcome::Retry {
            after: reply.retry_after(),
            delivered: true,
        },
        300..=399 | 404 | 405 => Outcome::Hold(Hold::Configuration),
        _ => Outcome::Unrecognised,
    })
}

/// How long the usage headers ask to wait. Meta itself sends no `Retry-After`; a proxy may.
/// Source: marketing-api/overview/rate-limiting: `estimated_time_to_regain_access` in minutes,
/// `reset_time_duration` in seconds.
fn throttled_for(reply: &Reply) -> Option<Duration> {
    let business = reply
        .header("x-business-use-case-usage")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let minutes = business
        .as_ref()
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(Map::values)
        .filter_map(Value::as_array)
        .flatten()
        .filter_map(|usage| usage["estimated_time_to_regain_access"].as_u64())
        .max();
    let account = reply
        .header("x-ad-account-usage")
        .and_then(|text| serde_json::from_str::<Value>(text).ok());
    let seconds = account
        .as_ref()
        .and_then(|usage| usage["reset_time_duration"].as_u64());
    [
        minutes.map(|minutes| Duration::from_secs(minutes.saturating_mul(60))),
        seconds.map(Duration::from_secs),
        reply.retry_after(),
    ]
    .into_iter()
    .flatten()
    .filter(|wait| !wait.is_zero())
    .max()
}

#[cfg(test)]
mod tests;
