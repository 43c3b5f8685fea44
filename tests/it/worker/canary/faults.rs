//! Every way to fail that may repeat what was sent.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::json;

use super::person::{canaries, event};
use crate::rig::{Rig, ago, with};

/// Answers that echo what was sent, refusals, resets, expired tokens, rows that cannot be read, a failing database. Gives
/// the rules that must strike.
pub(super) async fn fail_in_every_way(rig: &Rig) -> BTreeSet<u64> {
    let echo = canaries().join(" ");
    let meta_error = json!({ "error": { "message": echo, "type": "OAuthException", "code": 100, "error_subcode": 2_804_050,
        "error_user_msg": echo, "fbtrace_id": echo } })
    .to_string();
    // A reason that is no word of the platform's is one more place where somebody may be named.
    let detail = json!({ "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "491709876543", "domain": echo,
        "metadata": { "email": echo } });
    let violation =
        json!({ "field": format!("events[0].{echo}"), "description": echo, "reason": echo });
    let google_error = json!({ "error": { "code": 400, "message": echo, "status": "INVALID_ARGUMENT", "details": [
        detail, { "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation] }] } })
    .to_string();
    let trigger = json!({ "errorCode": { "conversionUploadError": "UNPARSEABLE_GCLID" }, "message": echo,
        "trigger": { "stringValue": echo }, "location": { "fieldPathElements": [
            { "fieldName": "conversions", "index": 0 }, { "fieldName": echo }] } });
    let partial = json!({ "partialFailureError": { "code": 3, "message": echo, "details": [
        { "@type": "type.googleapis.com/google.ads.googleads.v26.errors.GoogleAdsFailure", "errors": [trigger], "requestId": echo }] },
        "results": [{}], "jobId": "1" })
    .to_string();
    let status = json!({ "requestStatusPerDestination": [{ "requestStatus": "FAILED",
        "destination": { "reference": echo }, "eventsIngestionStatus": { "recordCount": "1" },
        "errorInfo": { "errorCounts": [{ "recordCount": "1", "reason": echo },
            { "recordCount": "1", "reason": "491709876543" }, { "recordCount": "1", "reason": "PROCESSING_ERROR_REASON_INVALID_GCLID" }] } }] })
    .to_string();
    let linkedin = json!({ "status": 422, "serviceErrorCode": 100, "code": echo, "message": format!("ERROR :: /user :: {echo}") })
        .to_string();
    let token = json!({ "error": "invalid_request", "error_description": echo }).to_string();
    let odd_token = json!({ "error": echo, "error_description": echo }).to_string();

    let (meta, ga4, data_manager, ads, li) = (
        Platform::Meta,
        Platform::Ga4,
        Platform::GoogleDataManager,
        Platform::GoogleAds,
        Platform::LinkedIn,
    );
    let mut rules = BTreeSet::new();
    // Each strikes an order of its own.
    let mut fail = |kind, platform, order: u32, answer: Option<(u16, &str)>, code| {
        let rule = rig.event_fault(kind, platform, |fault| {
            let id = match platform {
                Platform::Ga4 => format!("o-{order}"),
                _ => format!("order_paid:o-{order}"),
            };
            (fault.times, fault.event_id, fault.code) = (Some(1), Some(id), code);
            fault.status = answer.map(|(status, _)| status);
            fault.body = answer.map(|(_, body)| body.to_owned());
        });
        rules.insert(rule);
    };
    fail(FaultKind::Status, meta, 0, Some((400, &meta_error)), None);
    fail(FaultKind::Status, meta, 1, Some((500, &echo)), None);
    fail(FaultKind::ResetAfter, meta, 2, None, None);
    fail(FaultKind::FewerReceived, meta, 3, None, None);
    fail(FaultKind::MetaError, meta, 4, None, Some(190));
    fail(FaultKind::Status, meta, 5, Some((418, &echo)), None);
    fail(FaultKind::Status, ga4, 0, Some((400, &echo)), None);
    fail(FaultKind::Status, ga4, 1, Some((503, &echo)), None);
    fail(FaultKind::ResetBefore, ga4, 2, None, None);
    fail(FaultKind::Status, ga4, 3, Some((200, &echo)), None);
    for platform in [data_manager, ads] {
        fail(
            FaultKind::Status,
            platform,
            0,
            Some((400, &google_error)),
            None,
        );
        fail(
            FaultKind::Status,
            platform,
            1,
            Some((403, &google_error)),
            None,
        );
        fail(FaultKind::Status, platform, 2, Some((503, &echo)), None);
        fail(FaultKind::Status, platform, 3, Some((200, &echo)), None);
        fail(FaultKind::ResetAfter, platform, 4, None, None);
    }
    let odd_receipt = json!({ "requestId": echo }).to_string();
    fail(
        FaultKind::Status,
        data_manager,
        5,
        Some((200, &odd_receipt)),
        None,
    );
    fail(FaultKind::Status, ads, 6, Some((200, &partial)), None);
    fail(FaultKind::Status, li, 0, Some((422, &linkedin)), None);
    fail(FaultKind::Status, li, 1, Some((401, &linkedin)), None);
    fail(FaultKind::Status, li, 2, Some((500, &echo)), None);
    fail(FaultKind::Status, li, 3, Some((201, &echo)), None);
    let mut call = |platform, path: &str, times, status, body: &str| {
        let rule = rig.fault(FaultKind::Status, platform, |fault| {
            (fault.path, fault.times) = (Some(path.to_owned()), Some(times));
            (fault.status, fault.body) = (Some(status), Some(body.to_owned()));
        });
        rules.insert(rule);
    };
    call(data_manager, "/token", 1, 400, &token);
    call(ads, "/token", 1, 400, &odd_token);
    call(data_manager, "requestStatus", 2, 200, &status);
    call(data_manager, "requestStatus", 3, 403, &google_error);
    rig.insert(&[
        event("broken"),
        event("deep"),
        with(
            event("old"),
            json!({ "occurred_at": ago(TimeDelta::days(9)) }),
        ),
    ])
    .await;
    rig.run(
        "update conversion_outbox.event set consent = jsonb_build_object('ad_storage', user_data ->> 'email') where business_id = 'broken';
         update conversion_outbox.event set properties = (repeat('[', 300) || '\"canary gift\"' || repeat(']', 300))::jsonb where business_id = 'deep';
         create sequence public.failures;
         grant usage on sequence public.failures to public;
         create function public.fail() returns trigger language plpgsql as $$ begin
           -- An intent that cannot be written is not sent, and comes back when its lease runs out: too long for a test.
           if new.reason is distinct from 'sending' and nextval('public.failures') <= 2 then
             raise exception 'Canary.Person+Shop@Gmail.com' using errcode = 'serialization_failure', detail = 'canaryfirst canarylast';
           end if;
           return new; end $$;
         create trigger fail before insert on conversion_outbox.delivery for each row execute function public.fail()",
    )
    .await;
    rules
}
