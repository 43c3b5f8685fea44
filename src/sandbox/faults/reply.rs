//! The answers of faults, and what a fault changes in a platform's own answer. Not for deciding which request
//! gets one.

use serde_json::{Value, json};

use super::{Fault, FaultKind, Question};
use crate::sandbox::exchange::Reply;
use crate::sandbox::google::error::{self, GoogleError};
use crate::sandbox::{google_ads, linkedin, meta};

/// Meta's throttling codes (`developers.facebook.com/docs/graph-api/overview/rate-limiting`): their answers carry
/// the usage headers.
fn throttles(code: i64) -> bool {
    matches!(code, 4 | 17 | 32 | 341 | 613 | 80_000..=80_014)
}

/// The answer of a rule that answers by itself.
pub(super) fn of(fault: &Fault, question: &Question<'_>) -> Reply {
    let account = question.account.unwrap_or_default();
    let reply = match fault.kind {
        FaultKind::Html502 => html_502(),
        FaultKind::MetaError => meta_error(fault, account),
        FaultKind::GoogleError => google_error(fault),
        FaultKind::LinkedinError => linkedin::scripted(fault.status, fault.reason.as_deref()),
        FaultKind::AdsVersionSunset => google_ads::scripted_sunset(question.path),
        FaultKind::AdsThrottled => {
            google_ads::scripted_throttle(question.path, fault.retry_delay.unwrap_or(30))
        }
        _ => {
            let status = fault.status.unwrap_or(500);
            Reply::text(
                status,
                "text/plain; charset=utf-8",
                fault.body.clone().unwrap_or_default(),
            )
        }
    };
    match fault.retry_after {
        Some(seconds) => reply.with_header("retry-after", seconds.to_string()),
        None => reply,
    }
}

fn html_502() -> Reply {
    let page = "<!DOCTYPE html>\n<html><head><title>502 Bad Gateway</title></head>\
        <body><center><h1>502 Bad Gateway</h1></center><hr><center>proxy</center></body></html>\n";
    Reply::text(502, "text/html", page.to_owned())
}

fn meta_error(fault: &Fault, account: &str) -> Reply {
    let code = fault.code.unwrap_or(1);
    // Recorded answers disagree on the status (190 with 401, 17 with 500, 21009 with 400): a client must not go
    // by it, so these defaults follow the recordings.
    let status = fault.status.unwrap_or(match code {
        190 => 401,
        10 | 200..=299 => 403,
        1 | 2 | 17 => 500,
        _ => 400,
    });
    let reply = meta::refusal::scripted(status, code, fault.subcode, fault.is_transient);
    if !throttles(code) {
        return reply;
    }
    let minutes = fault.regain_minutes.unwrap_or(1);
    let usage = json!({account: [{
        "type": "ads_management", "call_count": 100, "total_cputime": 42, "total_time": 57,
        "estimated_time_to_regain_access": minutes,
    }]});
    let app = json!({"call_count": 100, "total_cputime": 42, "total_time": 57});
    let ad_account = json!({"acc_id_util_pct": 100, "reset_time_duration": minutes * 60});
    reply
        .with_header("x-business-use-case-usage", usage.to_string())
        .with_header("x-app-usage", app.to_string())
        .with_header("x-ad-account-usage", ad_account.to_string())
}

fn google_error(fault: &Fault) -> Reply {
    let status = fault.status.unwrap_or(500);
    let named = fault.google_status.as_deref();
    let mut details = Vec::new();
    if let Some(reason) = &fault.reason {
        details.push(error::error_info(reason, "googleapis.com", json!({})));
    }
    if let Some(seconds) = fault.retry_delay {
        details.push(error::retry_info(seconds));
    }
    GoogleError {
        code: status,
        status: named.unwrap_or_else(|| error::status_of(status)).to_owned(),
        message: "Scripted by a fault rule of the sandbox".to_owned(),
        details,
    }
    .reply()
}

/// With the texts for people in French, as an answer to a French business was observed.
pub(super) fn localised(reply: Reply) -> Reply {
    change_object(reply, |body| {
        if let Some(Value::Object(error)) = body.get_mut("error") {
            error.insert("error_user_title".to_owned(), "Paramètre non valide".into());
            error.insert(
                "error_user_msg".to_owned(),
                "Un paramètre de votre requête n’est pas valide.".into(),
            );
        }
    })
}

/// Without `messages`.
pub(super) fn without_messages(reply: Reply) -> Reply {
    change_object(reply, |body| {
        body.remove("messages");
    })
}

/// With `events_received` one lower.
pub(super) fn with_fewer_received(reply: Reply) -> Reply {
    change_object(reply, |body| {
        if let Some(count) = body.get("events_received").and_then(Value::as_u64) {
            body.insert("events_received".to_owned(), count.saturating_sub(1).into());
        }
    })
}

/// Changes a JSON object; any other body stays as it is.
fn change_object(
    mut reply: Reply,
    change: impl FnOnce(&mut serde_json::Map<String, Value>),
) -> Reply {
    if let Ok(Value::Object(mut body)) = serde_json::from_str(&reply.body) {
        change(&mut body);
        reply.body = Value::Object(body).to_string();
    }
    reply
}
