//! What the Google Ads API answers: the fourth part. By error code and the row it names; texts are never read.
//!
//! Sources: google.ads.googleads.v26.errors (GoogleAdsFailure and the enums named below);
//! `developers.google.com/google-ads/api/docs/best-practices/error-types`.

use std::time::Duration;

use serde_json::Value;

use super::super::google::answer::{
    self, by_status, code, coded, details, duration, gravity, list, refused_rows,
};
use super::super::{Item, Reply};
use super::Settings;
use crate::outcome::{Answer, Notice, Outcome, RowAnswer};

mod codes;

use codes::{Meaning, meaning};

/// How long to wait where Google does not say.
const THROTTLED: Duration = Duration::from_secs(30);

/// One error of a `GoogleAdsFailure`.
struct Failure<'a> {
    meaning: Meaning,
    /// The row it names; nothing where it concerns the request.
    row: Option<usize>,
    code: Option<&'a str>,
}

/// Row by row where the request was read at all.
pub fn classify(settings: &Settings, reply: &Reply, items: &[&Item]) -> Answer {
    let sent = items.len();
    let body = answer::body(reply);
    let is_taken = (200..300).contains(&reply.status);
    let error = &body[if is_taken {
        "partialFailureError"
    } else {
        "error"
    }];
    let failures: Vec<Failure<'_>> = failures(error, reply).collect();
    // An answer that tells of other rows than were sent tells of none.
    let is_foreign = failures
        .iter()
        .any(|one| one.row.is_some_and(|row| row >= sent));
    let answer = if is_foreign {
        Answer::all(Outcome::Ambiguous)
    } else if failures.iter().any(|one| one.meaning == Meaning::Form) {
        let form = failures.iter().find(|one| one.meaning == Meaning::Form);
        coded(Answer::batch_rejected(), form.and_then(|one| one.code))
            .notice(Notice::BadRequestForm)
    } else if is_taken {
        rows(settings, reply, &body, &failures, sent)
    } else {
        refused(reply, error, &failures, sent)
    };
    let is_unknown = failures.iter().any(|one| one.meaning == Meaning::Unknown);
    match is_unknown && answer.notice.is_none() {
        true => answer.notice(Notice::UnrecognisedCode),
        false => answer,
    }
}

/// HTTP 2xx: every row has its error, its result, or, where they are only validated, nothing at all.
fn rows(
    settings: &Settings,
    reply: &Reply,
    body: &Value,
    failures: &[Failure<'_>],
    sent: usize,
) -> Answer {
    if !body.is_object() {
        // Too long to be read whole: smaller requests have shorter answers, and rows that were taken say so then.
        let is_cut = reply.body.len() >= Reply::BODY_MAX && sent > 1;
        return match is_cut {
            true => Answer::batch_rejected(),
            false => Answer::all(Outcome::Ambiguous),
        };
    }
    let row = |number: usize| {
        let is_told = body["results"][number]
            .as_object()
            .is_some_and(|result| !result.is_empty());
        // A row that has a result was taken, whatever is said of no row in particular.
        let own = failures
            .iter()
            .filter(|one| one.row.map_or(!is_told, |row| row == number));
        let gravest = own.max_by_key(|one| gravity(one.meaning.outcome()));
        RowAnswer {
            outcome: match gravest {
                Some(failure) => failure.meaning.outcome(),
                None if settings.validate_only => Outcome::Validated,
                None if is_told => Outcome::Accepted,
                // Failed, and Google does not say why.
                None if body["partialFailureError"].is_object() => Outcome::Unrecognised,
                None => Outcome::Ambiguous,
            },
            code: gravest.and_then(|one| one.code).map(str::to_owned),
        }
    };
    Answer::each((0..sent).map(row).collect())
}

/// Any other status: nothing was stored.
fn refused(reply: &Reply, error: &Value, failures: &[Failure<'_>], sent: usize) -> Answer {
    // What concerns account, action or quota concerns all rows, whichever of them it was noticed at.
    let of_all = failures.iter().filter_map(|one| match one.meaning {
        Meaning::Known(outcome) if gravity(outcome) > gravity(Outcome::Rejected) => {
            Some((outcome, one.code))
        }
        Meaning::Known(outcome @ Outcome::TooEarly { .. }) if one.row.is_none() => {
            Some((outcome, one.code))
        }
        _ => None,
    });
    if let Some((outcome, code)) = of_all.max_by_key(|(outcome, _)| gravity(*outcome)) {
        return coded(Answer::all(outcome), code);
    }
    let reason = details(error).find_map(|detail| code(&detail["reason"]));
    let first = failures.iter().find_map(|one| one.code);
    let generic = first.or(reason).or_else(|| code(&error["status"]));
    if let Some(outcome) = by_status(reply, THROTTLED) {
        return coded(Answer::all(outcome), generic);
    }
    let rows = failures
        .iter()
        .filter_map(|one| Some((one.row?, one.meaning.outcome(), one.code)));
    if let Some(answer) = refused_rows(rows, sent) {
        return answer;
    }
    let answer = coded(Answer::batch_rejected(), generic);
    // A body that Google could not even parse, or a fault of no row.
    let is_unparsed = details(error).any(|detail| detail.get("fieldViolations").is_some());
    let is_of_no_row = failures.iter().any(|one| one.meaning != Meaning::Unknown);
    match is_unparsed || is_of_no_row {
        true => answer.notice(Notice::BadRequestForm),
        false => answer,
    }
}

fn failures<'a>(error: &'a Value, reply: &Reply) -> impl Iterator<Item = Failure<'a>> {
    let wish = answer::wait(reply, error);
    let all = details(error).flat_map(|detail| list(&detail["errors"]));
    all.map(move |error| {
        let path = &error["location"]["fieldPathElements"];
        let field = list(path)
            .last()
            .and_then(|part| part["fieldName"].as_str());
        let (key, code) = match error["errorCode"]
            .as_object()
            .and_then(|one| one.iter().next())
        {
            Some((key, value)) => (key.as_str(), code(value)),
            None => ("", None),
        };
        let delay = duration(&error["details"]["quotaErrorDetails"]["retryDelay"]).or(wish);
        let meaning = match meaning(key, code.unwrap_or_default(), field.unwrap_or_default()) {
            Meaning::Known(Outcome::RateLimited { .. }) => Meaning::Known(Outcome::RateLimited {
                after: Some(delay.unwrap_or(THROTTLED)),
            }),
            other => other,
        };
        Failure {
            meaning,
            row: row(path),
            code,
        }
    })
}

/// The row that a location begins with. Protobuf leaves a nought out.
fn row(path: &Value) -> Option<usize> {
    let first = &path[0];
    let is_row = matches!(
        first["fieldName"].as_str(),
        Some("conversions" | "conversion_adjustments" | "conversionAdjustments")
    );
    match &first["index"] {
        _ if !is_row => None,
        Value::Null => Some(0),
        // A place that cannot be read is no row of ours.
        index => {
            let index = index.as_u64().and_then(|index| usize::try_from(index).ok());
            Some(index.unwrap_or(usize::MAX))
        }
    }
}

#[cfg(test)]
mod tests;
