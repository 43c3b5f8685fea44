//! What Data Manager says later of a whole request: counts per reason, and never which event.
//!
//! Source: `developers.google.com/data-manager/api/devguides/diagnostics`; google.ads.datamanager.v1,
//! `RequestStatusPerDestination` and `ProcessingErrorReason`.

use std::mem::discriminant;

use serde_json::Value;

use super::super::Reply;
use super::super::google::answer::{
    self, ORIGINAL_NOT_FOUND, TOO_YOUNG, TRANSIENT, by_status, code, details, gravity, list,
};
use super::Settings;
use super::classify::THROTTLED;
use crate::outcome::{Hold, LateAnswer, LateVerdict, Notice, Outcome};

/// Why some events failed.
struct Failure<'a> {
    outcome: Outcome,
    notice: Option<Notice>,
    code: &'a str,
    count: u64,
}

/// Whom the failures of a request concern.
#[derive(Clone, Copy)]
struct Extent {
    /// It carried one event.
    is_single: bool,
    /// None of its events was taken.
    is_failed: bool,
}

/// What the answer says of the request's events. `sent` is how many of them still wait for it.
pub fn classify_late(settings: &Settings, reply: &Reply, sent: usize) -> LateAnswer {
    let body = answer::body(reply);
    if !(200..300).contains(&reply.status) {
        return said(unasked(reply, &body["error"]), None);
    }
    // A request has one destination.
    let told = &body["requestStatusPerDestination"][0];
    let status = code(&told["requestStatus"]);
    let verdict = match status {
        Some("SUCCESS") => LateVerdict::All(Outcome::Accepted),
        Some("FAILED" | "PARTIAL_SUCCESS") => return failed(settings, told, status, sent),
        // While it is processed, no errors are not the same as none.
        _ => LateVerdict::Open,
    };
    said(verdict, status)
}

fn said(verdict: LateVerdict, status: Option<&str>) -> LateAnswer {
    LateAnswer {
        verdict,
        status: status.map(str::to_owned),
        took_some: false,
        reasons: Vec::new(),
        notice: None,
    }
}

/// The question itself got no answer. Google forgets requests after about 50 days.
fn unasked(reply: &Reply, error: &Value) -> LateVerdict {
    let violations = details(error).flat_map(|detail| list(&detail["fieldViolations"]));
    let mut reasons = details(error).chain(violations);
    let is_forgotten = reply.status == 404
        || reasons.any(|one| {
            matches!(
                code(&one["reason"]),
                Some("REQUEST_TOO_OLD" | "INVALID_REQUEST_ID")
            )
        });
    if is_forgotten {
        return LateVerdict::Forgotten;
    }
    LateVerdict::Unasked(by_status(reply, THROTTLED).unwrap_or(Outcome::Unrecognised))
}

fn failed(settings: &Settings, told: &Value, status: Option<&str>, sent: usize) -> LateAnswer {
    let failures: Vec<Failure<'_>> = list(&told["errorInfo"]["errorCounts"])
        .map(|one| {
            let (outcome, notice) = meaning(code(&one["reason"]).unwrap_or_default());
            Failure {
                outcome,
                notice,
                code: code(&one["reason"]).unwrap_or("UNREADABLE"),
                count: number(&one["recordCount"]),
            }
        })
        .collect();
    // All that it carried, also what nobody waits for any more.
    let carried = number(&told["eventsIngestionStatus"]["recordCount"]);
    let extent = Extent {
        is_single: carried.max(sent as u64) <= 1,
        is_failed: status == Some("FAILED"),
    };
    let (verdict, decisive) = verdict(&failures, extent, settings.narrow_partial);

    let notices = failures.iter().filter_map(|one| one.notice);
    let mut reasons: Vec<&Failure<'_>> = failures.iter().collect();
    reasons
        .sort_by_key(|one| Some(discriminant(&one.outcome)) != decisive.as_ref().map(discriminant));
    LateAnswer {
        verdict,
        status: status.map(str::to_owned),
        took_some: !extent.is_failed && !extent.is_single,
        notice: notices.max_by_key(|notice| *notice == Notice::ConsentRefused),
        reasons: reasons
            .into_iter()
            .map(|one| (one.code.to_owned(), one.count))
            .collect(),
    }
}

/// What counts say of events, and the outcome that decided. A resend overwrites, so what only some events need may be done
/// to all.
fn verdict(
    failures: &[Failure<'_>],
    extent: Extent,
    narrow: bool,
) -> (LateVerdict, Option<Outcome>) {
    let outcomes = || failures.iter().map(|one| one.outcome);
    let Some(gravest) = outcomes().max_by_key(|outcome| gravity(*outcome)) else {
        // Failed, and Google does not say why.
        let verdict = match extent {
            Extent {
                is_failed: true, ..
            } => LateVerdict::All(Outcome::Unrecognised),
            Extent {
                is_single: true, ..
            } => LateVerdict::Open,
            _ => LateVerdict::SomeFailed { narrow },
        };
        return (verdict, None);
    };
    let is = |outcome: &Outcome, wanted: Outcome| discriminant(outcome) == discriminant(&wanted);
    let find = |wanted| outcomes().find(|outcome| is(outcome, wanted));
    let is_alike = outcomes().all(|outcome| is(&outcome, gravest));
    let concerns_all = matches!(gravest, Outcome::Hold(_));
    if extent.is_single || concerns_all || (extent.is_failed && is_alike) {
        return (LateVerdict::All(gravest), Some(gravest));
    }
    let is_rejected = find(Outcome::Rejected).is_some();
    match gravest {
        _ if is_rejected && narrow => (
            LateVerdict::SomeFailed { narrow: true },
            Some(Outcome::Rejected),
        ),
        Outcome::Retry { .. } => (LateVerdict::All(gravest), Some(gravest)),
        Outcome::Rejected => match find(TOO_YOUNG) {
            Some(early) => (LateVerdict::All(early), Some(early)),
            None => (LateVerdict::SomeFailed { narrow: false }, Some(gravest)),
        },
        Outcome::TooEarly { .. } => (LateVerdict::All(gravest), Some(gravest)),
        Outcome::Unmatched => (LateVerdict::SomeUnmatched, Some(gravest)),
        // Duplicates only: these were counted before, and the others now.
        _ => (LateVerdict::All(Outcome::Accepted), Some(gravest)),
    }
}

fn meaning(reason: &str) -> (Outcome, Option<Notice>) {
    // One of them is spelt without REASON.
    let word = reason
        .strip_prefix("PROCESSING_ERROR_")
        .map_or(reason, |rest| rest.strip_prefix("REASON_").unwrap_or(rest));
    let outcome = match word {
        "DUPLICATE_GCLID" | "DUPLICATE_TRANSACTION_ID" => Outcome::Duplicate,
        "TOO_RECENT_CLICK" => TOO_YOUNG,
        "INTERNAL_ERROR" => TRANSIENT,
        "INVALID_CLICK" | "CLICK_NOT_FOUND" => Outcome::Unmatched,
        _ if word.starts_with("USER_ID_NOT_FOUND") => Outcome::Unmatched,
        "DENIED_CONSENT" | "NO_CONSENT" | "UNKNOWN_CONSENT" => {
            return (Outcome::Rejected, Some(Notice::ConsentRefused));
        }
        "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"
        | "EXTERNAL_ATTRIBUTION_DATA_MISSING" => Outcome::Hold(Hold::Permission),
        // Encryption keys, which nothing here sends.
        _ if word
            .split('_')
            .any(|part| matches!(part, "KEK" | "DEK" | "WIP" | "AWS")) =>
        {
            Outcome::Hold(Hold::Configuration)
        }
        "ORIGINAL_CONVERSIONS_NOT_FOUND" => ORIGINAL_NOT_FOUND,
        "EVENT_TOO_OLD"
        | "CONVERSION_PRECEDES_CLICK"
        | "INVALID_GCLID"
        | "INVALID_GBRAID"
        | "INVALID_WBRAID"
        | "INVALID_EVENT"
        | "INVALID_FORMAT"
        | "INVALID_AD_IDENTIFIERS"
        | "INVALID_MERCHANT_ID"
        | "INVALID_OPERATING_ACCOUNT_FOR_CLICK"
        | "ONE_PER_CLICK_CONVERSION_ACTION_NOT_PERMITTED_WITH_BRAID"
        | "OPERATING_ACCOUNT_MISMATCH_FOR_AD_IDENTIFIER"
        | "CUSTOM_VARIABLE_NOT_ENABLED"
        | "INVALID_CUSTOM_VARIABLE" => Outcome::Rejected,
        _ => return (Outcome::Rejected, Some(Notice::UnrecognisedCode)),
    };
    (outcome, None)
}

/// 64-bit numbers are texts in Google's JSON. A request carries 2,000 events at most: a number of other size is no count, and
/// might be somebody's telephone's.
fn number(value: &Value) -> u64 {
    let written = value.as_str().and_then(|text| text.parse().ok());
    let count: u64 = written.or_else(|| value.as_u64()).unwrap_or(0);
    count.min(2_000)
}

#[cfg(test)]
mod tests;
