//! Google's token endpoint and Data Manager over the wire, with everything around them: set-up, faults, counts.

use super::*;
use crate::sandbox::google::{
    Click, ClickKind, ConversionAction, RefreshClient, ServiceAccount, sandbox_key_file,
};

const MANAGER: Platform = Platform::GoogleDataManager;

fn key(id: &str) -> ConversionKey {
    ConversionKey {
        platform: MANAGER,
        account: "1234567890".to_owned(),
        event_name: "7".to_owned(),
        key: id.to_owned(),
    }
}

fn body(id: &str, value: f64) -> Value {
    json!({
        "destinations": [{"operatingAccount": {"accountType": "GOOGLE_ADS", "accountId": "1234567890"},
            "productDestinationId": "7"}],
        "events": [{"transactionId": id, "eventTimestamp": "2026-11-20T13:32:18Z", "eventSource": "WEB",
            "conversionValue": value, "currency": "EUR", "adIdentifiers": {"gclid": "Cj0KCQiA-example"}}],
    })
}

async fn ingest(sandbox: &Sandbox, id: &str, value: f64) -> (u16, Value) {
    let path = "/v1/events:ingest";
    let (status, _, body) = call(sandbox, "POST", path, &body(id, value)).await;
    (status, body)
}

/// What a look-up tells of the only destination of the request that was answered with this.
async fn outcome(sandbox: &Sandbox, ingested: &Value) -> Value {
    let id = ingested["requestId"].as_str().unwrap();
    let path = format!("/v1/requestStatus:retrieve?requestId={id}");
    let (status, _, told) = call(sandbox, "GET", &path, &Value::Null).await;
    assert_eq!(status, 200);
    told["requestStatusPerDestination"][0].clone()
}

fn form(path: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: sandbox\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

async fn refresh(sandbox: &Sandbox, path: &str) -> std::io::Result<(u16, Value)> {
    let body = "grant_type=refresh_token&client_id=id&client_secret=secret&refresh_token=refresh";
    let answer = raw(sandbox, &form(path, body)).await?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let status = head.split(' ').nth(1).unwrap_or("0").parse().unwrap();
    Ok((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}

/// A sandbox whose clock stands shortly after the events.
async fn start_in_november() -> Sandbox {
    let now = "2026-11-20T14:00:00Z".parse().unwrap();
    Sandbox::start(Options {
        clock: Clock::of(move || now),
        ..Options::default()
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn a_resend_and_a_new_value_are_one_conversion() {
    let sandbox = start_in_november().await;
    for value in [129.9, 129.9, 67.4] {
        assert_eq!(ingest(&sandbox, "o-1", value).await.0, 200);
    }
    let expected = [Verdict::Stored, Verdict::Adjusted, Verdict::Adjusted];
    assert_eq!(verdicts(&sandbox), expected);
    sandbox.read(|ledger| {
        let held = ledger.conversion(&key("o-1")).unwrap();
        let amount = held.amount();
        assert_eq!(
            (
                held.counted(),
                amount.value.as_deref(),
                amount.currency.as_deref()
            ),
            (1, Some("67.4"), Some("EUR"))
        );
        assert_eq!(held.history().len(), 3);
    });
    let (_, _, conversions) = call(&sandbox, "GET", "/_sandbox/conversions", &Value::Null).await;
    assert_eq!(
        (
            &conversions[0]["platform"],
            &conversions[0]["value"],
            &conversions[0]["counted"]
        ),
        (&json!("google_data_manager"), &json!("67.4"), &json!(1))
    );
    assert_eq!(conversions[0]["history"][0]["value"], "129.9");
    refresh(&sandbox, "/token").await.unwrap();
    let page = raw(&sandbox, &http("GET", "/", &Value::Null))
        .await
        .unwrap();
    for part in [
        "Conversions that met more than one event",
        "<span class=\"verdict adjusted\">adjusted</span> 67.4 EUR",
        "Calls without events",
        "1 × 200",
        "Google Data Manager",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[tokio::test]
async fn below_its_prefix_it_is_the_same_platform() {
    let sandbox = start_in_november().await;
    let path = "/google_data_manager/v1/events:ingest";
    assert_eq!(call(&sandbox, "POST", path, &body("o-1", 1.0)).await.0, 200);
    assert_eq!(ingest(&sandbox, "o-1", 1.0).await.0, 200);
    assert_eq!(verdicts(&sandbox), [Verdict::Stored, Verdict::Adjusted]);
    let google_ads = call(&sandbox, "POST", "/v26/customers/1:mutate", &json!({})).await;
    let linkedin = call(&sandbox, "POST", "/rest/nothing", &json!({})).await;
    assert_eq!((google_ads.0, linkedin.0), (404, 404));
}

#[tokio::test]
async fn tokens_are_issued_counted_and_taken_back() {
    let sandbox = start_in_november().await;
    sandbox.google(|world| world.add_client(RefreshClient::new("id", "secret", "refresh")));
    assert_eq!(ingest(&sandbox, "o-1", 1.0).await.0, 401);
    let (status, token) = refresh(&sandbox, "/token").await.unwrap();
    assert_eq!(status, 200);
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let request = http("POST", "/v1/events:ingest", &body("o-1", 1.0)).replace("Bearer t", &bearer);
    assert!(
        raw(&sandbox, &request)
            .await
            .unwrap()
            .starts_with("HTTP/1.1 200")
    );
    let path = "/_sandbox/google/tokens";
    assert_eq!(call(&sandbox, "DELETE", path, &Value::Null).await.0, 204);
    assert!(
        raw(&sandbox, &request)
            .await
            .unwrap()
            .starts_with("HTTP/1.1 401")
    );
    let calls = sandbox.read(|ledger| ledger.call(MANAGER, "/token"));
    assert_eq!((calls.calls, calls.at_once_max), (1, 1));
    assert_eq!(calls.statuses, [(200, 1)].into());
    // No call without events has a row.
    assert_eq!(
        verdicts(&sandbox),
        [Verdict::Rejected, Verdict::Stored, Verdict::Rejected]
    );
}

#[tokio::test]
async fn calls_of_the_token_endpoint_can_be_held_cut_and_refused() {
    let sandbox = start_in_november().await;
    let on_token = |kind| Fault {
        path: Some("/token".to_owned()),
        ..fault(kind)
    };
    let held = Fault {
        times: None,
        ..on_token(FaultKind::HoldBefore)
    };
    let rule = sandbox.add_fault(held).unwrap();
    let path = "/google_ads/token";
    let (one, two, ()) = tokio::join!(refresh(&sandbox, path), refresh(&sandbox, path), async {
        sandbox.held(rule, 2).await;
        sandbox.release(rule);
    });
    assert_eq!((one.unwrap().0, two.unwrap().0), (200, 200));
    sandbox.clear_faults();
    sandbox.add_fault(on_token(FaultKind::ResetAfter)).unwrap();
    assert!(refresh(&sandbox, path).await.is_err());
    let unavailable = Fault {
        status: Some(503),
        ..on_token(FaultKind::Status)
    };
    sandbox.add_fault(unavailable).unwrap();
    assert_eq!(refresh(&sandbox, path).await.unwrap().0, 503);
    let calls = sandbox.read(|ledger| ledger.call(Platform::GoogleAds, "/token"));
    assert_eq!((calls.calls, calls.at_once_max), (4, 2));
    assert_eq!(calls.statuses, [(200, 2), (503, 1)].into());
    assert_eq!(sandbox.read(|ledger| ledger.rows().len()), 0);
    let (_, _, summary) = call(&sandbox, "GET", "/_sandbox/summary", &Value::Null).await;
    assert_eq!(
        summary["calls"],
        json!([{"platform": "google_ads", "path": "/token", "calls": 4, "statuses": {"200": 2, "503": 1},
            "at_once_max": 2}])
    );
}

#[tokio::test]
async fn what_google_knows_is_set_up_over_http() {
    let sandbox = start_in_november().await;
    let setup = json!({
        "actions": [{"owner": "1234567890", "id": "7", "type": "UPLOAD_CLICKS", "created_at": "2026-01-01T00:00:00Z"}],
        "clicks": [{"id": "Cj0KCQiA-example", "kind": "gclid", "clicked_at": "2026-11-20T12:00:00Z",
            "customer": "1234567890"}],
        "data_manager": {"status_delay_secs": 60},
    });
    let path = "/_sandbox/google";
    assert_eq!(call(&sandbox, "POST", path, &setup).await.0, 204);
    let nonsense = json!({"data_manager": {"delay": 60}});
    assert_eq!(call(&sandbox, "POST", path, &nonsense).await.0, 400);
    let (_, _, shown) = call(&sandbox, "GET", path, &Value::Null).await;
    assert_eq!(
        (
            &shown["clicks"],
            &shown["data_manager"]["status_delay_secs"]
        ),
        (&json!(1), &json!(60))
    );
    let (_, ingested) = ingest(&sandbox, "o-1", 1.0).await;
    assert_eq!(verdicts(&sandbox), [Verdict::Dropped]);
    assert_eq!(
        outcome(&sandbox, &ingested).await["requestStatus"],
        "PROCESSING"
    );
    sandbox.set_clock_offset(TimeDelta::hours(5));
    let told = outcome(&sandbox, &ingested).await;
    assert_eq!(told["requestStatus"], "FAILED");
    let counts = &told["errorInfo"]["errorCounts"];
    let expected =
        json!([{"recordCount": "1", "reason": "PROCESSING_ERROR_REASON_TOO_RECENT_CLICK"}]);
    assert_eq!(counts, &expected);
    let (_, ingested) = ingest(&sandbox, "o-1", 1.0).await;
    sandbox.set_clock_offset(TimeDelta::hours(6));
    assert_eq!(
        outcome(&sandbox, &ingested).await["requestStatus"],
        "SUCCESS"
    );
    assert_eq!(verdicts(&sandbox), [Verdict::Dropped, Verdict::Stored]);
}

#[tokio::test]
async fn the_typed_doors_set_up_the_same() {
    let sandbox = start_in_november().await;
    sandbox.google(|world| {
        let long_ago = "2026-01-01T00:00:00Z".parse().unwrap();
        world.add_service_account(ServiceAccount::of_sandbox());
        world.add_action(ConversionAction::upload_clicks("5", "7", long_ago));
        world.add_click(Click {
            id: "c".to_owned(),
            kind: ClickKind::Gclid,
            clicked_at: long_ago,
            customer: "5".to_owned(),
        });
    });
    let file = sandbox_key_file(&format!("{}/token", sandbox.url()));
    assert!(file.contains(&sandbox.url()));
    let (_, _, shown) = call(&sandbox, "GET", "/_sandbox/google", &Value::Null).await;
    let accounts = &shown["credentials"]["service_accounts"];
    assert_eq!(accounts.as_array().map(Vec::len), Some(1));
    assert_eq!(shown["actions"][0]["owner"], "5");
}

#[tokio::test]
async fn faults_reach_processing_and_answers() {
    let sandbox = start_in_november().await;
    let rule = json!({"kind": "processing_error", "event_id": "o-2",
        "reason": "PROCESSING_ERROR_REASON_INTERNAL_ERROR", "times": 1});
    assert_eq!(
        call(&sandbox, "POST", "/_sandbox/faults", &rule).await.0,
        201
    );
    let late = json!({"kind": "late_status", "late_secs": 90, "event_id": "o-2"});
    assert_eq!(
        call(&sandbox, "POST", "/_sandbox/faults", &late).await.0,
        201
    );
    let mut two = body("o-1", 1.0);
    let other = body("o-2", 1.0)["events"][0].clone();
    two["events"].as_array_mut().unwrap().push(other);
    let (_, _, ingested) = call(&sandbox, "POST", "/v1/events:ingest", &two).await;
    assert_eq!(verdicts(&sandbox), [Verdict::Stored, Verdict::Dropped]);
    assert_eq!(
        outcome(&sandbox, &ingested).await["requestStatus"],
        "PROCESSING"
    );
    sandbox.set_clock_offset(TimeDelta::seconds(90));
    let told = outcome(&sandbox, &ingested).await;
    assert_eq!(told["requestStatus"], "PARTIAL_SUCCESS");
    sandbox.clear_faults();
    let throttled = json!({"kind": "google_error", "status": 429, "reason": "RATE_LIMIT_EXCEEDED",
        "retry_delay": 30, "retry_after": 31, "times": 1});
    assert_eq!(
        call(&sandbox, "POST", "/_sandbox/faults", &throttled)
            .await
            .0,
        201
    );
    let (status, head, error) = call(&sandbox, "POST", "/v1/events:ingest", &two).await;
    assert_eq!(
        (status, &error["error"]["status"]),
        (429, &json!("RESOURCE_EXHAUSTED"))
    );
    assert_eq!(error["error"]["details"][1]["retryDelay"], "30s");
    assert!(head.contains("retry-after: 31"));
    for nonsense in [
        json!({"kind": "late_status"}),
        json!({"kind": "processing_error"}),
        json!({"kind": "google_error", "platform": "meta"}),
    ] {
        let answered = call(&sandbox, "POST", "/_sandbox/faults", &nonsense).await;
        assert_eq!(answered.0, 400, "{nonsense}");
    }
}

#[tokio::test]
async fn a_lost_answer_is_stored_and_the_resend_changes_nothing() {
    let sandbox = start_in_november().await;
    sandbox.add_fault(fault(FaultKind::ResetAfter)).unwrap();
    let request = http("POST", "/v1/events:ingest", &body("o-1", 1.0));
    assert!(raw(&sandbox, &request).await.is_err());
    assert_eq!(ingest(&sandbox, "o-1", 1.0).await.0, 200);
    sandbox.read(|ledger| {
        assert_eq!(ledger.conversion(&key("o-1")).unwrap().counted(), 1);
    });
    assert_eq!(verdicts(&sandbox), [Verdict::Stored, Verdict::Adjusted]);
}

#[tokio::test]
async fn a_sink_gives_tokens_takes_events_and_knows_their_outcome() {
    let sandbox = Sandbox::start(Options {
        recording: Recording::CountOnly,
        ..Options::default()
    })
    .await
    .unwrap();
    assert_eq!(refresh(&sandbox, "/token").await.unwrap().0, 200);
    let (status, ingested) = ingest(&sandbox, "o-1", 1.0).await;
    assert_eq!(status, 200);
    assert_eq!(
        outcome(&sandbox, &ingested).await["requestStatus"],
        "SUCCESS"
    );
    assert_eq!(sandbox.sink_total(MANAGER).events, 1);
}

#[tokio::test]
async fn a_reset_forgets_conversions_and_keeps_what_was_set_up() {
    let sandbox = start_in_november().await;
    sandbox.google(|world| world.add_client(RefreshClient::new("id", "secret", "refresh")));
    let (_, token) = refresh(&sandbox, "/token").await.unwrap();
    let bearer = format!("Bearer {}", token["access_token"].as_str().unwrap());
    let request = http("POST", "/v1/events:ingest", &body("o-1", 1.0)).replace("Bearer t", &bearer);
    for _ in 0..2 {
        assert!(
            raw(&sandbox, &request)
                .await
                .unwrap()
                .starts_with("HTTP/1.1 200")
        );
        sandbox.read(|ledger| {
            let row = ledger.rows().next_back().unwrap();
            assert_eq!(row.verdict, Verdict::Stored);
        });
        sandbox.reset();
        assert_eq!(
            sandbox.read(|ledger| ledger.call(MANAGER, "/token").calls),
            0
        );
    }
}
