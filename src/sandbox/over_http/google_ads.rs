//! The Google Ads API over the wire, and that both of Google's APIs tell one account.

use super::*;
use crate::sandbox::google::{ActionKind, ConversionAction};
use crate::sandbox::google_ads::Customer;

const ADS: Platform = Platform::GoogleAds;
const CUSTOMER: &str = "1234567890";
const ACTION: &str = "customers/1234567890/conversionActions/7";
const CLICKS: &str = "/v26/customers/1234567890:uploadClickConversions";
const ADJUSTMENTS: &str = "/v26/customers/1234567890:uploadConversionAdjustments";

fn key(platform: Platform, id: &str) -> ConversionKey {
    ConversionKey {
        platform,
        account: CUSTOMER.to_owned(),
        event_name: "7".to_owned(),
        key: id.to_owned(),
    }
}

fn conversion(order_id: &str) -> Value {
    json!({"gclid": "Cj0KCQiA-example", "conversionAction": ACTION,
        "conversionDateTime": "2026-11-20 14:32:18+01:00", "conversionValue": 129.9, "currencyCode": "EUR",
        "orderId": order_id})
}

fn restatement(order_id: &str, value: f64) -> Value {
    json!({"adjustmentType": "RESTATEMENT", "conversionAction": ACTION, "orderId": order_id,
        "adjustmentDateTime": "2026-11-22 10:00:00+00:00",
        "restatementValue": {"adjustedValue": value, "currencyCode": "EUR"}})
}

fn retraction(order_id: &str) -> Value {
    json!({"adjustmentType": "RETRACTION", "conversionAction": ACTION, "orderId": order_id,
        "adjustmentDateTime": "2026-11-22 11:00:00+00:00"})
}

/// Three days after the conversions.
async fn start_in_november() -> Sandbox {
    let now = "2026-11-23T14:00:00Z".parse().unwrap();
    Sandbox::start(Options {
        clock: Clock::of(move || now),
        ..Options::default()
    })
    .await
    .unwrap()
}

async fn upload(sandbox: &Sandbox, rows: &[Value]) -> (u16, Value) {
    let body = json!({"conversions": rows, "partialFailure": true});
    let (status, _, answer) = call(sandbox, "POST", CLICKS, &body).await;
    (status, answer)
}

async fn adjust(sandbox: &Sandbox, rows: &[Value]) -> (u16, Value) {
    let body = json!({"conversionAdjustments": rows, "partialFailure": true});
    let (status, _, answer) = call(sandbox, "POST", ADJUSTMENTS, &body).await;
    (status, answer)
}

async fn ingest(sandbox: &Sandbox, id: &str, value: f64) {
    let body = json!({
        "destinations": [{"operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": CUSTOMER},
            "productDestinationId": "7"}],
        "events": [{"transactionId": id, "eventTimestamp": "2026-11-20T13:32:18Z", "eventSource": "WEB",
            "conversionValue": value, "currency": "EUR", "adIdentifiers": {"gclid": "Cj0KCQiA-example"}}],
    });
    let (status, ..) = call(sandbox, "POST", "/v1/events:ingest", &body).await;
    assert_eq!(status, 200);
}

/// The errors of rows in an answer, by code.
fn codes(answer: &Value) -> Vec<Value> {
    let errors = &answer["partialFailureError"]["details"][0]["errors"];
    let errors = errors.as_array().into_iter().flatten();
    errors.map(|error| error["errorCode"].clone()).collect()
}

/// How often the conversion counts, and what it is worth.
fn worth(sandbox: &Sandbox, key: &ConversionKey) -> (u64, Option<String>) {
    sandbox.read(|ledger| {
        let held = ledger.conversion(key).unwrap();
        (held.counted(), held.amount().value.clone())
    })
}

#[tokio::test]
async fn an_order_is_stored_once_restated_and_taken_back() {
    let sandbox = start_in_november().await;
    let o1 = key(ADS, "o-1");
    assert_eq!(upload(&sandbox, &[conversion("o-1")]).await.0, 200);
    let (status, again) = upload(&sandbox, &[conversion("o-1"), conversion("o-2")]).await;
    assert_eq!(status, 200);
    assert_eq!(
        codes(&again),
        [json!({"conversionUploadError": "ORDER_ID_ALREADY_IN_USE"})]
    );
    assert_eq!(worth(&sandbox, &o1), (1, Some("129.9".to_owned())));
    adjust(&sandbox, &[restatement("o-1", 70.5)]).await;
    assert_eq!(worth(&sandbox, &o1), (1, Some("70.5".to_owned())));
    let (_, answer) = adjust(&sandbox, &[retraction("o-1"), retraction("o-3")]).await;
    let not_found = json!({"conversionAdjustmentUploadError": "CONVERSION_NOT_FOUND"});
    assert_eq!(codes(&answer), [not_found]);
    assert_eq!(worth(&sandbox, &o1), (0, Some("0".to_owned())));
    let (_, answer) = adjust(&sandbox, &[retraction("o-1")]).await;
    let retracted = json!({"conversionAdjustmentUploadError": "CONVERSION_ALREADY_RETRACTED"});
    assert_eq!(codes(&answer), [retracted]);
    let expected = [
        Verdict::Stored,
        Verdict::Deduplicated,
        Verdict::Stored,
        Verdict::Adjusted,
        Verdict::Retracted,
        Verdict::Rejected,
        Verdict::Deduplicated,
    ];
    assert_eq!(verdicts(&sandbox), expected);
    sandbox.read(|ledger| {
        let (_, account, count) = ledger.accounts().next().unwrap();
        assert_eq!(account, CUSTOMER);
        assert_eq!((count.counted, count.conversions, count.doubles), (1, 1, 0));
        let row = ledger.of_event(ADS, "7", "o-1").next().unwrap();
        assert_eq!(
            (row.value.as_deref(), row.status),
            (Some("129.9"), Some(200))
        );
        let rejected = ledger.of_event(ADS, "7", "o-3").next().unwrap();
        assert_eq!(
            rejected.reason,
            "conversionAdjustmentUploadError.CONVERSION_NOT_FOUND"
        );
    });
}

#[tokio::test]
async fn what_one_api_took_the_other_changes() {
    let sandbox = start_in_november().await;
    let managed = key(Platform::GoogleDataManager, "o-1");
    ingest(&sandbox, "o-1", 129.9).await;
    let (_, answer) = upload(&sandbox, &[conversion("o-1")]).await;
    assert_eq!(
        codes(&answer),
        [json!({"conversionUploadError": "ORDER_ID_ALREADY_IN_USE"})]
    );
    adjust(&sandbox, &[restatement("o-1", 70.5)]).await;
    assert_eq!(worth(&sandbox, &managed), (1, Some("70.5".to_owned())));
    adjust(&sandbox, &[retraction("o-1")]).await;
    assert_eq!(worth(&sandbox, &managed), (0, Some("0".to_owned())));
    upload(&sandbox, &[conversion("o-2")]).await;
    ingest(&sandbox, "o-2", 50.5).await;
    assert_eq!(
        worth(&sandbox, &key(ADS, "o-2")),
        (1, Some("50.5".to_owned()))
    );
    sandbox.read(|ledger| {
        assert_eq!(ledger.conversions().count(), 2);
        let counted: Vec<u64> = ledger
            .accounts()
            .map(|(_, _, count)| count.counted)
            .collect();
        assert_eq!(counted, [0, 1]);
    });
}

#[tokio::test]
async fn what_a_tag_told_is_one_conversion_with_what_servers_add() {
    let sandbox = start_in_november().await;
    sandbox.google(|world| {
        world.add_action(ConversionAction {
            kind: ActionKind::Webpage,
            ..ConversionAction::upload_clicks(
                CUSTOMER,
                "7",
                "2026-01-01T00:00:00Z".parse().unwrap(),
            )
        });
    });
    let tag = |platform| BrowserEvent {
        platform,
        account: CUSTOMER.to_owned(),
        event_name: "7".to_owned(),
        event_id: "o-1".to_owned(),
    };
    assert_eq!(sandbox.record_browser(tag(ADS)), Verdict::Stored);
    assert_eq!(sandbox.record_browser(tag(ADS)), Verdict::Adjusted);
    let other = tag(Platform::GoogleDataManager);
    assert_eq!(sandbox.record_browser(other), Verdict::Adjusted);
    let enhancement = json!({"adjustmentType": "ENHANCEMENT", "conversionAction": ACTION, "orderId": "o-1",
        "userIdentifiers": [{"hashedEmail": HASH}]});
    let (_, answer) = adjust(&sandbox, std::slice::from_ref(&enhancement)).await;
    assert_eq!(codes(&answer), [json!(null); 0]);
    let (_, answer) = adjust(&sandbox, &[enhancement]).await;
    let enhanced = json!({"conversionAdjustmentUploadError": "CONVERSION_ALREADY_ENHANCED"});
    assert_eq!(codes(&answer), [enhanced]);
    ingest(&sandbox, "o-1", 60.0).await;
    assert_eq!(
        worth(&sandbox, &key(ADS, "o-1")),
        (1, Some("60.0".to_owned()))
    );
    sandbox.read(|ledger| assert_eq!(ledger.conversions().count(), 1));
}

#[tokio::test]
async fn faults_hit_rows_versions_and_quotas() {
    let sandbox = start_in_november().await;
    let add = async |rule: Value| {
        let (status, _, _) = call(&sandbox, "POST", "/_sandbox/faults", &rule).await;
        status
    };
    let rule = json!({"kind": "ads_row_error", "event_id": "o-2", "times": 1,
        "reason": "conversionUploadError.TOO_RECENT_EVENT"});
    assert_eq!(add(rule).await, 201);
    let rows = [conversion("o-1"), conversion("o-2")];
    let (status, answer) = upload(&sandbox, &rows).await;
    assert_eq!(status, 200);
    let error = &answer["partialFailureError"]["details"][0]["errors"][0];
    assert_eq!(
        (&error["errorCode"], &error["location"]["fieldPathElements"]),
        (
            &json!({"conversionUploadError": "TOO_RECENT_EVENT"}),
            &json!([{"fieldName": "conversions", "index": 1}])
        )
    );
    assert_eq!(
        add(json!({"kind": "ads_not_allowlisted", "times": 1})).await,
        201
    );
    let (_, answer) = upload(&sandbox, &rows[1..]).await;
    let closed = json!({"notAllowlistedError": "CUSTOMER_NOT_ALLOWLISTED_FOR_THIS_FEATURE"});
    assert_eq!(codes(&answer), [closed]);
    assert_eq!(
        add(json!({"kind": "ads_version_sunset", "times": 1})).await,
        201
    );
    let (status, answer) = upload(&sandbox, &rows[1..]).await;
    let error = &answer["error"]["details"][0]["errors"][0];
    assert_eq!(
        (status, &error["errorCode"]),
        (400, &json!({"requestError": "UNSUPPORTED_VERSION"}))
    );
    let throttled = json!({"kind": "ads_throttled", "retry_delay": 45, "times": 1});
    assert_eq!(add(throttled).await, 201);
    let (status, answer) = upload(&sandbox, &rows[1..]).await;
    let details = &answer["error"]["details"][0]["errors"][0]["details"]["quotaErrorDetails"];
    assert_eq!((status, &details["retryDelay"]), (429, &json!("45s")));
    assert_eq!(
        upload(&sandbox, &rows[1..]).await.1["results"][0]["gclid"],
        "Cj0KCQiA-example"
    );
    let expected = [
        Verdict::Stored,
        Verdict::Rejected,
        Verdict::Rejected,
        Verdict::Fault,
        Verdict::Fault,
        Verdict::Stored,
    ];
    assert_eq!(verdicts(&sandbox), expected);
    for nonsense in [
        json!({"kind": "ads_row_error"}),
        json!({"kind": "ads_row_error", "reason": "TOO_RECENT_EVENT"}),
        json!({"kind": "ads_throttled", "platform": "meta"}),
    ] {
        assert_eq!(add(nonsense.clone()).await, 400, "{nonsense}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_stored_and_the_resend_is_a_duplicate() {
    let sandbox = start_in_november().await;
    sandbox.add_fault(fault(FaultKind::ResetAfter)).unwrap();
    let body = json!({"conversions": [conversion("o-1")], "partialFailure": true});
    assert!(raw(&sandbox, &http("POST", CLICKS, &body)).await.is_err());
    upload(&sandbox, &[conversion("o-1")]).await;
    assert_eq!(verdicts(&sandbox), [Verdict::Stored, Verdict::Deduplicated]);
    sandbox.reset();
    upload(&sandbox, &[conversion("o-1")]).await;
    assert_eq!(verdicts(&sandbox), [Verdict::Stored]);
}

#[tokio::test]
async fn customers_and_actions_are_set_up_over_http_and_searched() {
    let sandbox = start_in_november().await;
    let setup = json!({
        "actions": [{"owner": CUSTOMER, "id": "7", "name": "Paid order", "status": "HIDDEN", "type": "UPLOAD_CLICKS",
            "created_at": "2026-01-01T00:00:00Z"}],
        "ads": {"customers": [{"id": CUSTOMER}], "omit_zero_index": true},
    });
    let path = "/_sandbox/google";
    assert_eq!(call(&sandbox, "POST", path, &setup).await.0, 204);
    let nonsense = json!({"ads": {"customers": [{"id": "1"}]}});
    assert_eq!(call(&sandbox, "POST", path, &nonsense).await.0, 400);
    let (_, _, shown) = call(&sandbox, "GET", path, &Value::Null).await;
    assert_eq!(
        (&shown["ads"]["customers"], &shown["actions"][0]["name"]),
        (&json!(1), &json!("Paid order"))
    );
    let (_, answer) = upload(&sandbox, &[conversion("o-1")]).await;
    let error = &answer["partialFailureError"]["details"][0]["errors"][0];
    assert_eq!(
        error["location"]["fieldPathElements"],
        json!([{"fieldName": "conversions"}])
    );
    let path = "/v26/customers/1234567890/googleAds:search";
    let query = json!({"query": "SELECT conversion_action.name, conversion_action.status FROM conversion_action"});
    let (status, _, found) = call(&sandbox, "POST", path, &query).await;
    assert_eq!(
        (status, &found["results"][0]["conversionAction"]),
        (
            200,
            &json!({"resourceName": ACTION, "name": "Paid order", "status": "HIDDEN"})
        )
    );
    // A search is no event: it has a count and no row.
    assert_eq!(sandbox.read(|ledger| ledger.call(ADS, path).calls), 1);
    assert_eq!(verdicts(&sandbox), [Verdict::Rejected]);
    sandbox.google(|world| world.ads().put_customer(Customer::new("9876543210")));
    let (status, _, _) = call(
        &sandbox,
        "POST",
        &path.replace(CUSTOMER, "9876543210"),
        &query,
    )
    .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_sink_takes_every_row() {
    let sandbox = Sandbox::start(Options {
        recording: Recording::CountOnly,
        ..Options::default()
    })
    .await
    .unwrap();
    let (status, answer) = upload(&sandbox, &[conversion("o-1"), conversion("o-2")]).await;
    assert_eq!(
        (status, answer["results"].as_array().map(Vec::len)),
        (200, Some(2))
    );
    let (_, answer) = adjust(&sandbox, &[retraction("o-1")]).await;
    assert_eq!(answer["results"].as_array().map(Vec::len), Some(1));
    assert_eq!(sandbox.sink_total(ADS).events, 3);
}
