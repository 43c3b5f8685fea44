//! How Google's APIs write errors: `google.rpc.Status`, its details, and what an HTTP status means without them.
//!
//! Texts are never read or kept: they may echo what was sent. Sources: googleapis/googleapis, google/rpc (status.proto,
//! error_details.proto, code.proto).

use std::time::Duration;

use serde_json::Value;

use super::super::Reply;
use crate::outcome::{Answer, Hold, Outcome, RowAnswer};

/// Clicks, conversion actions and accounts become usable six hours after they came to be.
/// Source: `ConversionUploadError.TOO_RECENT_EVENT` and `TOO_RECENT_CONVERSION_ACTION`.
pub(in super::super) const TOO_YOUNG: Outcome = Outcome::TooEarly {
    after: Duration::from_secs(6 * 3600),
    tries_max: None,
};

/// A conversion may be found up to two days after it was taken: the first try, and one after each of eight waits.
pub(in super::super) const ORIGINAL_NOT_FOUND: Outcome = Outcome::TooEarly {
    after: Duration::from_secs(6 * 3600),
    tries_max: Some(9),
};

/// Failed for now, with no wish of the platform's own.
pub(in super::super) const TRANSIENT: Outcome = Outcome::Retry {
    after: None,
    delivered: true,
};

/// Which of several outcomes of one event or of one request counts: what concerns the destination first, then what may
/// pass, then what is final.
pub(in super::super) fn gravity(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Hold(_) => 8,
        Outcome::HoldRule => 7,
        Outcome::RateLimited { .. } => 6,
        Outcome::Retry { .. } => 5,
        Outcome::Rejected => 4,
        Outcome::TooEarly { .. } => 3,
        Outcome::Unmatched => 2,
        Outcome::Duplicate => 1,
        _ => 0,
    }
}

/// The body as JSON; null where it is none.
pub(in super::super) fn body(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_default()
}

/// What follows from the status alone; nothing where it says that the request itself is wrong.
/// `throttled` is how long to wait where the platform does not say.
pub(in super::super) fn by_status(reply: &Reply, throttled: Duration) -> Option<Outcome> {
    let body = body(reply);
    let error = &body["error"];
    Some(match reply.status {
        401 => Outcome::Hold(Hold::Credential),
        403 => Outcome::Hold(Hold::Permission),
        300..=399 | 404 | 405 => Outcome::Hold(Hold::Configuration),
        429 => Outcome::RateLimited {
            after: Some(wait(reply, error).unwrap_or(throttled)),
        },
        408 | 409 | 500.. => Outcome::Retry {
            after: wait(reply, error),
            delivered: true,
        },
        _ => return None,
    })
}

/// How long the platform asks to wait: `google.rpc.RetryInfo`, else the header.
pub(in super::super) fn wait(reply: &Reply, error: &Value) -> Option<Duration> {
    details(error)
        .find_map(|detail| duration(&detail["retryDelay"]))
        .or_else(|| reply.retry_after())
}

/// The details of an error.
pub(in super::super) fn details(error: &Value) -> impl Iterator<Item = &Value> {
    list(&error["details"])
}

/// The elements of a list; none of anything else.
pub(in super::super) fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// `google.protobuf.Duration` in JSON: `"30s"`, `"1.5s"`.
pub(in super::super) fn duration(value: &Value) -> Option<Duration> {
    let seconds: f64 = value.as_str()?.strip_suffix('s')?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A code of the platform's that may be kept: a word in upper case. Anything else might be an echo of what was sent.
pub(in super::super) fn code(value: &Value) -> Option<&str> {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    value
        .as_str()
        .filter(|code| {
            code.len() <= 120 && code.starts_with(|first: char| first.is_ascii_uppercase())
        })
        .filter(|code| code.bytes().all(is_letter))
}

/// An answer with or without a code.
pub(in super::super) fn coded(answer: Answer, code: Option<&str>) -> Answer {
    match code {
        Some(code) => answer.code(code),
        None => answer,
    }
}

/// A refusal of everything because of some rows: nothing was stored, so the others go again at once. Rows are numbered
/// from nought, all below `sent`; the gravest of one row's outcomes counts. Nothing where no row is named.
pub(in super::super) fn refused_rows<'a>(
    rows: impl Iterator<Item = (usize, Outcome, Option<&'a str>)>,
    sent: usize,
) -> Option<Answer> {
    let bystander = RowAnswer {
        outcome: Outcome::Bystander,
        code: None,
    };
    let mut answers = vec![bystander; sent];
    let mut is_any = false;
    for (row, outcome, code) in rows {
        is_any = true;
        if gravity(outcome) >= gravity(answers[row].outcome) {
            answers[row] = RowAnswer {
                outcome,
                code: code.map(str::to_owned),
            };
        }
    }
    is_any.then(|| Answer::each(answers))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::code;

    #[test]
    fn a_code_is_a_word_and_never_what_was_sent() {
        for word in ["INVALID_GCLID", "X", "A1_B2"] {
            assert_eq!(code(&json!(word)), Some(word));
        }
        let long = "A".repeat(121);
        for text in [
            "",
            "491709876543",
            "_X",
            "jane",
            "A person",
            "a@b.example",
            &long,
        ] {
            assert_eq!(code(&json!(text)), None, "{text}");
        }
    }
}
