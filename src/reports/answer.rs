//! What all answers have in common: JSON or not, and what a status means. Texts are never kept: they may echo what was sent.

use std::time::Duration;

use serde_json::{Map, Value};

use super::{Refusal, ReportError};
use crate::destinations::Reply;

/// The object of a good answer.
pub(super) fn object(reply: &Reply) -> Result<Map<String, Value>, ReportError> {
    if reply.is_page() {
        return Err(ReportError::Unreadable("it is a page for people"));
    }
    if reply.body.len() >= Reply::BODY_MAX {
        return Err(ReportError::Unreadable("it is longer than is read"));
    }
    match serde_json::from_slice(&reply.body) {
        Ok(Value::Object(object)) => Ok(object),
        _ => Err(ReportError::Unreadable("it is no JSON object")),
    }
}

/// Whether the status says that the answer is one.
pub(super) fn is_good(reply: &Reply) -> bool {
    (200..300).contains(&reply.status)
}

/// The error of an answer, as an object; empty where it has none.
pub(super) fn error_body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

/// What a status means where the platform says nothing better.
pub(super) fn by_status(reply: &Reply, code: Option<String>) -> ReportError {
    let refused = |what| ReportError::Refused {
        what,
        code: code.clone(),
    };
    match reply.status {
        401 => refused(Refusal::Credential),
        403 => refused(Refusal::Permission),
        404 => refused(Refusal::Account),
        429 => ReportError::RateLimited {
            after: reply.retry_after(),
            code,
        },
        408 | 409 | 500.. => ReportError::Later(format!("status {}", reply.status)),
        300..=399 => ReportError::Unreadable("it sends elsewhere"),
        200..=299 => ReportError::Unreadable("it is no report"),
        _ => refused(Refusal::Question),
    }
}

/// How long Google asks to wait: `google.rpc.RetryInfo`, the quota details of the Google Ads API, or the header.
pub(super) fn wait(reply: &Reply, error: &Value) -> Option<Duration> {
    let details = || error["details"].as_array().into_iter().flatten();
    let of_ads = details()
        .flat_map(|detail| detail["errors"].as_array().into_iter().flatten())
        .map(|error| &error["details"]["quotaErrorDetails"]);
    let seconds = details().chain(of_ads).find_map(|detail| {
        let text = detail["retryDelay"].as_str()?.strip_suffix('s')?;
        text.split('.').next()?.parse::<u64>().ok()
    });
    seconds.map(Duration::from_secs).or(reply.retry_after())
}

/// A word of the platform's, such as `RESOURCE_EXHAUSTED` or `80004`: short, and made of letters, digits, `_` and `.`.
pub(super) fn word(text: &str) -> Option<String> {
    let is_word = (1..=80).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'));
    is_word.then(|| text.to_owned())
}

/// A time zone's name, such as `America/Los_Angeles`.
pub(super) fn time_zone(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    is_time_zone(text).then(|| text.to_owned())
}

/// Whether a text can be a time zone's name.
pub(super) fn is_time_zone(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"/_+-".contains(&byte))
}

/// A currency's code.
pub(super) fn currency(value: &Value) -> Option<String> {
    let text = value.as_str()?;
    let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    is_code.then(|| text.to_owned())
}
