//! What Data Manager answers at once: the fourth part. By reason and by the field it names; texts are never read.
//!
//! Source: `developers.google.com/data-manager/api/devguides/understand-errors`; google.ads.datamanager.v1, `ErrorReason`.

use std::time::Duration;

use serde_json::Value;

use super::super::Reply;
use super::super::google::answer::{
    self, TOO_YOUNG, TRANSIENT, by_status, code, coded, details, gravity, list, refused_rows,
};
use super::Settings;
use crate::outcome::{Answer, Hold, Notice, Outcome};

/// How long to wait where Google does not say: its quota is counted by the minute. Source: limits.
pub(super) const THROTTLED: Duration = Duration::from_secs(60);

/// A good answer says that the form is right, no more: an invented click id gets one too.
pub fn classify(settings: &Settings, reply: &Reply, sent: usize) -> Answer {
    if !(200..300).contains(&reply.status) {
        return refused(reply, sent);
    }
    let body = answer::body(reply);
    if settings.validate_only && body.is_object() {
        return Answer::all(Outcome::Validated);
    }
    if settings.validate_only {
        // Nothing is counted, so asking again costs nothing.
        return Answer::all(TRANSIENT);
    }
    match body["requestId"].as_str().filter(|id| is_receipt(id)) {
        Some(receipt) => Answer::all(Outcome::Sent).receipt(receipt),
        None => Answer::all(Outcome::Ambiguous),
    }
}

/// Whether this can be a request's number, and be kept and asked with. Google's are short; the bound is ours.
fn is_receipt(id: &str) -> bool {
    (1..=200).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What a violation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// As it stands: of its row if it names one and the outcome is final, else of the whole request.
    Known(Outcome),
    /// The request's form is wrong, whatever the events are.
    Form,
    /// Nobody has described it.
    Unknown,
}

/// A fault that Google names.
struct Violation<'a> {
    meaning: Meaning,
    /// The event it names; nothing where it concerns the request.
    row: Option<usize>,
    code: Option<&'a str>,
}

fn refused(reply: &Reply, sent: usize) -> Answer {
    let body = answer::body(reply);
    let error = &body["error"];
    let violations: Vec<Violation<'_>> = whole(error)
        .into_iter()
        .chain(violations(error, sent))
        .collect();
    let status = code(&error["status"]);
    let first = violations.iter().find_map(|one| one.code).or(status);

    // What concerns account, action or quota concerns all rows, whichever of them it was noticed at.
    let of_all = violations.iter().filter_map(|one| match one.meaning {
        Meaning::Known(outcome) if !is_of_row(outcome) => Some((outcome, one.code)),
        _ => None,
    });
    let of_all = of_all.max_by_key(|(outcome, _)| gravity(*outcome));
    let of_status = match reply.status {
        409 if first == Some("ALREADY_EXISTS") => Some(Outcome::Duplicate),
        _ => by_status(reply, THROTTLED),
    };
    match (of_status, of_all) {
        // Whatever else is said of it: only for this one another token is asked for.
        (Some(refused @ Outcome::Hold(Hold::Credential)), _) => coded(Answer::all(refused), first),
        (_, Some((outcome, code))) => coded(Answer::all(waiting(outcome, reply, error)), code),
        (Some(outcome), None) => coded(Answer::all(outcome), first),
        (None, None) => of_rows(error, &violations, sent, first),
    }
}

/// Some events are wrong, or nobody can say which.
fn of_rows(
    error: &Value,
    violations: &[Violation<'_>],
    sent: usize,
    first: Option<&str>,
) -> Answer {
    let rows = violations.iter().filter_map(|one| {
        let outcome = match one.meaning {
            Meaning::Known(outcome) => outcome,
            Meaning::Unknown => Outcome::Rejected,
            Meaning::Form => return None,
        };
        Some((one.row?, outcome, one.code))
    });
    let answer = refused_rows(rows, sent).unwrap_or_else(|| coded(Answer::batch_rejected(), first));
    match notice(error, violations) {
        Some(notice) => answer.notice(notice),
        None => answer,
    }
}

/// Whether an outcome is of one event alone.
fn is_of_row(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::Rejected | Outcome::Duplicate | Outcome::AHEAD_OF_ITS_CLOCK
    )
}

/// With the platform's wish to wait.
fn waiting(outcome: Outcome, reply: &Reply, error: &Value) -> Outcome {
    let wish = answer::wait(reply, error);
    match outcome {
        Outcome::RateLimited { .. } => Outcome::RateLimited {
            after: Some(wish.unwrap_or(THROTTLED)),
        },
        Outcome::Retry { delivered, .. } => Outcome::Retry {
            after: wish,
            delivered,
        },
        other => other,
    }
}

/// A body that Google could not even parse names no reason at all, and is our fault; so is one that is wrong beyond its
/// events.
fn notice(error: &Value, violations: &[Violation<'_>]) -> Option<Notice> {
    let is_unparsed = details(error).any(|detail| detail.get("fieldViolations").is_some())
        && details(error).all(|detail| code(&detail["reason"]).is_none())
        && violations.iter().all(|one| one.code.is_none());
    let is_form = |one: &Violation<'_>| {
        one.meaning == Meaning::Form
            || (one.row.is_none() && one.meaning == Meaning::Known(Outcome::Rejected))
    };
    if is_unparsed || violations.iter().any(is_form) {
        Some(Notice::BadRequestForm)
    } else if violations.iter().any(|one| one.meaning == Meaning::Unknown) {
        Some(Notice::UnrecognisedCode)
    } else {
        None
    }
}

/// `google.rpc.ErrorInfo`: the reason of the whole, unless it only says that there are others.
fn whole(error: &Value) -> Option<Violation<'_>> {
    let reason = details(error).find_map(|detail| code(&detail["reason"]))?;
    (reason != "INVALID_ARGUMENT").then(|| Violation {
        meaning: meaning(reason),
        row: None,
        code: Some(reason),
    })
}

/// `google.rpc.BadRequest`, all of it: Google lists every fault of the request.
fn violations(error: &Value, sent: usize) -> impl Iterator<Item = Violation<'_>> {
    let all = details(error).flat_map(|detail| list(&detail["fieldViolations"]));
    all.map(move |violation| {
        let field = violation["field"].as_str().unwrap_or_default();
        let code = code(&violation["reason"]);
        Violation {
            meaning: place(field, code.map_or(Meaning::Unknown, meaning)),
            row: row(field).filter(|row| *row < sent),
            code,
        }
    })
}

/// A fault of the destination's own fields is the configuration's, whatever its reason.
fn place(field: &str, meaning: Meaning) -> Meaning {
    let is_of_row = matches!(
        meaning,
        Meaning::Unknown | Meaning::Known(Outcome::Rejected)
    );
    if !is_of_row || !field.starts_with("destinations[") {
        return meaning;
    }
    let is_action = ["product_destination_id", "productDestinationId"]
        .iter()
        .any(|name| field.ends_with(name));
    Meaning::Known(match is_action {
        true => Outcome::HoldRule,
        false => Outcome::Hold(Hold::Configuration),
    })
}

/// The number in `events[3].transaction_id`. The documentation also shows `events.events[3]…`.
fn row(field: &str) -> Option<usize> {
    field.match_indices("events[").find_map(|(at, start)| {
        let is_whole = at == 0 || field[..at].ends_with('.');
        let (digits, _) = field[at + start.len()..].split_once(']')?;
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_whole && is_number).then(|| digits.parse().ok())?
    })
}

fn meaning(reason: &str) -> Meaning {
    Meaning::Known(match reason {
        "PERMISSION_DENIED"
        | "SERVICE_DISABLED"
        | "ACCESS_TOKEN_SCOPE_INSUFFICIENT"
        | "NOT_ALLOWLISTED"
        | "TERMS_AND_CONDITIONS_NOT_SIGNED"
        | "DESTINATION_ACCOUNT_NOT_ENABLED_ENHANCED_CONVERSIONS_FOR_LEADS"
        | "DESTINATION_ACCOUNT_ENHANCED_CONVERSIONS_TERMS_NOT_SIGNED"
        | "DESTINATION_ACCOUNT_DATA_POLICY_PROHIBITS_ENHANCED_CONVERSIONS"
        | "EU_POLITICAL_ADVERTISING_DECLARATION_REQUIRED" => Outcome::Hold(Hold::Permission),
        "INVALID_DESTINATION"
        | "DESTINATION_ACCOUNT_TYPE_MISMATCH"
        | "OPERATING_ACCOUNT_LOGIN_ACCOUNT_MISMATCH"
        | "LINKED_ACCOUNT_ONLY_ALLOWED_WITH_DATA_PARTNER_LOGIN_ACCOUNT"
        | "NOT_FOUND" => Outcome::Hold(Hold::Configuration),
        // These concern the one action of the request.
        "INVALID_CONVERSION_ACTION_ID"
        | "INVALID_CONVERSION_ACTION_TYPE"
        | "EVENT_SOURCE_AND_DESTINATION_MISMATCH" => Outcome::HoldRule,
        "RESOURCE_EXHAUSTED" => Outcome::RateLimited { after: None },
        "INTERNAL" | "INTERNAL_ERROR" | "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "UNKNOWN"
        | "ABORTED" => TRANSIENT,
        "CONVERSION_ACTION_TOO_RECENTLY_CREATED" => TOO_YOUNG,
        "ALREADY_EXISTS" => Outcome::Duplicate,
        "EVENT_TIME_INVALID" => Outcome::AHEAD_OF_ITS_CLOCK,
        "REQUIRED_FIELD_MISSING"
        | "INVALID_FORMAT"
        | "INVALID_HEX_ENCODING"
        | "INVALID_BASE64_ENCODING"
        | "INVALID_SHA256_FORMAT"
        | "INVALID_POSTAL_CODE"
        | "INVALID_REGION_CODE"
        | "INVALID_ENUM_VALUE"
        | "INVALID_NUMBER_FORMAT"
        | "INVALID_CURRENCY_CODE"
        | "INVALID_EVENT"
        | "NO_IDENTIFIERS_PROVIDED"
        | "TOO_MANY_USER_IDENTIFIERS"
        | "FIELD_VALUE_TOO_LONG"
        | "FIELD_VALUE_TOO_SHORT"
        | "TOO_MANY_ELEMENTS"
        | "TOO_FEW_ELEMENTS"
        | "CUSTOM_VARIABLE_VALUE_CONTAINS_PII"
        | "CUSTOM_VARIABLE_NOT_ENABLED"
        | "CUSTOM_VARIABLE_NOT_FOUND"
        | "INVALID_MERCHANT_ID"
        | "INVALID_COUPON_CODE"
        | "INVALID_AD_IDENTIFIER_FOR_ACCOUNT"
        | "INVALID_EVENT_NAME"
        | "RESERVED_NAME_USED" => Outcome::Rejected,
        "TOO_MANY_EVENTS"
        | "TOO_MANY_DESTINATIONS"
        | "DUPLICATE_DESTINATION_REFERENCE"
        | "MULTIPLE_DATA_TYPES_NOT_ALLOWED" => return Meaning::Form,
        _ => return Meaning::Unknown,
    })
}

#[cfg(test)]
mod tests;
