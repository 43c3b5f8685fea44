//! LinkedIn through real sockets: events, a tag beside the API, faults, tokens, the setup over HTTP.

use super::*;
use crate::sandbox::linkedin::{AccessToken, ConversionRule, LIST_SCOPE, OAuthClient, SEND_SCOPE};

const ACCOUNT: &str = "512345";

/// A sandbox with one rule for servers and one for the tag, in the same ad account.
async fn start_with_rules() -> Sandbox {
    let sandbox = start().await;
    sandbox.linkedin(|world| {
        world.add_rule(ConversionRule::new("104012", ACCOUNT));
        world.add_rule(ConversionRule::new("104999", ACCOUNT));
    });
    sandbox
}

fn purchase(event_id: &str) -> Value {
    json!({
        "conversion": "urn:lla:llaPartnerConversion:104012",
        "conversionHappenedAt": chrono::Utc::now().timestamp_millis() - 1000,
        "conversionValue": {"currencyCode": "EUR", "amount": "12.50"},
        "eventId": event_id,
        "user": {"userIds": [{"idType": "SHA256_EMAIL", "idValue": HASH}]},
    })
}

async fn ask(sandbox: &Sandbox, request: &str, headers: &str) -> (u16, String, Value) {
    let request = request.replace("authorization: Bearer t\r\n", headers);
    let answer = raw(sandbox, &request).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = serde_json::from_str(body).unwrap_or(Value::Null);
    (status, head.to_owned(), body)
}

fn headers(token: &str) -> String {
    format!(
        "authorization: Bearer {token}\r\nlinkedin-version: 202609\r\nx-restli-protocol-version: 2.0.0\r\n"
    )
}

async fn send_as(sandbox: &Sandbox, token: &str, event_ids: &[&str]) -> (u16, String, Value) {
    let path = "/rest/conversionEvents";
    match event_ids {
        [one] => {
            ask(
                sandbox,
                &http("POST", path, &purchase(one)),
                &headers(token),
            )
            .await
        }
        many => {
            let events: Vec<Value> = many.iter().map(|id| purchase(id)).collect();
            let batch = format!("{}x-restli-method: BATCH_CREATE\r\n", headers(token));
            let request = http("POST", path, &json!({"elements": events}));
            ask(sandbox, &request, &batch).await
        }
    }
}

async fn send(sandbox: &Sandbox, event_ids: &[&str]) -> (u16, String, Value) {
    send_as(sandbox, "t", event_ids).await
}

fn tag(event_id: &str) -> BrowserEvent {
    BrowserEvent {
        platform: Platform::LinkedIn,
        account: ACCOUNT.to_owned(),
        event_name: "104999".to_owned(),
        event_id: event_id.to_owned(),
    }
}

#[tokio::test]
async fn events_are_taken_one_by_one_and_in_batches() {
    let sandbox = start_with_rules().await;
    let (status, head, body) = send(&sandbox, &["o1"]).await;
    assert_eq!((status, body), (201, Value::Null));
    assert!(head.contains("content-length: 0") && head.contains("x-li-uuid"));
    let (status, _, body) = send(&sandbox, &["o2", "o3"]).await;
    assert_eq!(
        (status, &body["elements"]),
        (200, &json!([{"status": 201}, {"status": 201}]))
    );
    let path = "/linkedin/rest/conversionEvents";
    let prefixed = ask(
        &sandbox,
        &http("POST", path, &purchase("o4")),
        &headers("t"),
    )
    .await;
    assert_eq!(prefixed.0, 201);
    sandbox.read(|ledger| {
        let row = ledger
            .of_event(Platform::LinkedIn, "104012", "o3")
            .next()
            .unwrap();
        assert_eq!(
            (row.account.as_str(), row.path.as_str()),
            (ACCOUNT, "/rest/conversionEvents")
        );
        assert_eq!(
            (row.value.as_deref(), row.currency.as_deref()),
            (Some("12.50"), Some("EUR"))
        );
        assert_eq!((row.status, row.verdict), (Some(200), Verdict::Stored));
        assert_eq!(ledger.count(Platform::LinkedIn, Verdict::Stored), 4);
    });
}

#[tokio::test]
async fn one_bad_event_refuses_the_batch() {
    let sandbox = start_with_rules().await;
    let mut bad = purchase("o2");
    bad["conversionValue"]["amount"] = json!(12.5);
    let batch = format!("{}x-restli-method: BATCH_CREATE\r\n", headers("t"));
    let body = json!({"elements": [purchase("o1"), bad]});
    let request = http("POST", "/rest/conversionEvents", &body);
    let (status, _, body) = ask(&sandbox, &request, &batch).await;
    assert_eq!(
        (status, &body["message"]),
        (
            422,
            &json!(
                "Index: 1, ERROR :: /conversionValue/amount :: 12.5 cannot be coerced to String\n"
            )
        )
    );
    assert_eq!(verdicts(&sandbox), [Verdict::Rejected; 2]);
    assert_eq!(sandbox.read(|ledger| ledger.conversions().count()), 0);
}

#[tokio::test]
async fn of_a_tags_event_and_the_apis_the_tags_counts() {
    let sandbox = start_with_rules().await;
    assert_eq!(sandbox.record_browser(tag("o1")), Verdict::Stored);
    assert_eq!(send(&sandbox, &["o1"]).await.0, 201);
    assert_eq!(send(&sandbox, &["o2"]).await.0, 201);
    assert_eq!(sandbox.record_browser(tag("o2")), Verdict::Deduplicated);
    assert_eq!(send(&sandbox, &["o3"]).await.0, 201);
    assert_eq!(send(&sandbox, &["o3", "o4"]).await.0, 200);
    let expected = [
        Verdict::Stored,
        Verdict::Deduplicated,
        Verdict::Stored,
        Verdict::Deduplicated,
        Verdict::Stored,
        Verdict::WouldDouble,
        Verdict::Stored,
    ];
    assert_eq!(verdicts(&sandbox), expected);
    sandbox.read(|ledger| {
        let (platform, account, count) = ledger.accounts().next().unwrap();
        assert_eq!((platform, account), (Platform::LinkedIn, ACCOUNT));
        assert_eq!((count.counted, count.conversions, count.doubles), (5, 4, 1));
    });
    let other = BrowserEvent {
        account: "598765".to_owned(),
        ..tag("o4")
    };
    assert_eq!(sandbox.record_browser(other), Verdict::Stored);
}

#[tokio::test]
async fn faults_have_linkedins_shape() {
    let sandbox = start_with_rules().await;
    let reason = |code: &str| Fault {
        platform: Some(Platform::LinkedIn),
        reason: Some(code.to_owned()),
        ..fault(FaultKind::LinkedinError)
    };
    for (code, status, service_code) in [
        ("EMPTY_ACCESS_TOKEN", 401, json!(65604)),
        ("INVALID_ACCESS_TOKEN", 401, json!(65600)),
        ("REVOKED_ACCESS_TOKEN", 401, json!(65601)),
        ("EXPIRED_ACCESS_TOKEN", 401, json!(65602)),
        ("NONEXISTENT_VERSION", 426, Value::Null),
        ("TOO_MANY_REQUESTS", 429, json!(101)),
        ("INTERNAL_SERVER_ERROR", 500, Value::Null),
    ] {
        sandbox.add_fault(reason(code)).unwrap();
        let (found, head, body) = send(&sandbox, &["o1"]).await;
        assert_eq!(
            (found, &body["code"], &body["status"]),
            (status, &json!(code), &json!(status))
        );
        assert_eq!(body["serviceErrorCode"], service_code);
        assert!(!head.contains("retry-after"));
    }
    let slow = Fault {
        retry_after: Some(30),
        ..reason("TOO_MANY_REQUESTS")
    };
    sandbox.add_fault(slow).unwrap();
    let (status, head, _) = send(&sandbox, &["o1"]).await;
    assert!(status == 429 && head.contains("retry-after: 30"));
    assert_eq!(verdicts(&sandbox), [Verdict::Fault; 8]);
    let plain = Fault {
        status: Some(503),
        ..fault(FaultKind::LinkedinError)
    };
    sandbox.add_fault(plain).unwrap();
    let (status, _, body) = send(&sandbox, &["o1"]).await;
    assert_eq!(
        (status, body.as_object().map(|body| body.len())),
        (503, Some(2))
    );
    // A version that ends is over for good.
    sandbox
        .add_fault(Fault {
            times: None,
            ..reason("NONEXISTENT_VERSION")
        })
        .unwrap();
    for _ in 0..2 {
        assert_eq!(send(&sandbox, &["o1"]).await.0, 426);
    }
}

#[tokio::test]
async fn an_event_of_a_batch_gets_a_status_of_its_own() {
    let sandbox = start_with_rules().await;
    let one = Fault {
        event_id: Some("o2".to_owned()),
        status: Some(429),
        ..fault(FaultKind::ElementStatus)
    };
    sandbox.add_fault(one).unwrap();
    let (status, _, body) = send(&sandbox, &["o1", "o2", "o3"]).await;
    assert_eq!(status, 200);
    let statuses = body["elements"].as_array().unwrap().iter();
    let statuses: Vec<_> = statuses.map(|element| element["status"].as_u64()).collect();
    assert_eq!(statuses, [Some(201), Some(429), Some(201)]);
    let expected = [Verdict::Stored, Verdict::Rejected, Verdict::Stored];
    assert_eq!(verdicts(&sandbox), expected);
    assert_eq!(send(&sandbox, &["o2"]).await.0, 201);
    sandbox.read(|ledger| assert_eq!(ledger.count(Platform::LinkedIn, Verdict::Stored), 3));
    let account = Fault {
        account: Some(ACCOUNT.to_owned()),
        ..fault(FaultKind::ElementStatus)
    };
    sandbox.add_fault(account).unwrap();
    assert_eq!(send(&sandbox, &["o5"]).await.0, 500);
    let other = Fault {
        platform: Some(Platform::Meta),
        ..fault(FaultKind::ElementStatus)
    };
    assert!(sandbox.add_fault(other).is_err());
}

fn refresh_request(path: &str) -> String {
    let form = "grant_type=refresh_token&refresh_token=r&client_id=id&client_secret=secret";
    format!(
        "POST {path} HTTP/1.1\r\nhost: sandbox\r\ncontent-type: application/x-www-form-urlencoded\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{form}",
        form.len()
    )
}

#[tokio::test]
async fn a_token_is_refreshed_used_and_taken_back() {
    let sandbox = start_with_rules().await;
    sandbox.linkedin(|world| world.add_client(OAuthClient::new("id", "secret", "r")));
    assert_eq!(
        send(&sandbox, &["o1"]).await.2["code"],
        "INVALID_ACCESS_TOKEN"
    );
    for path in ["/oauth/v2/accessToken", "/linkedin/oauth/v2/accessToken"] {
        let (status, _, body) = ask(&sandbox, &refresh_request(path), "").await;
        assert_eq!((status, &body["expires_in"]), (200, &json!(5_184_000)));
        let token = body["access_token"].as_str().unwrap();
        assert_eq!(send_as(&sandbox, token, &["o1"]).await.0, 201);
        let revoked = call(
            &sandbox,
            "DELETE",
            "/_sandbox/linkedin/tokens",
            &Value::Null,
        )
        .await;
        assert_eq!(revoked.0, 204);
        let (_, _, body) = send_as(&sandbox, token, &["o1"]).await;
        assert_eq!(body["code"], "REVOKED_ACCESS_TOKEN");
    }
    sandbox.linkedin(|world| world.revoke_refresh_token("r"));
    let (status, _, body) = ask(&sandbox, &refresh_request("/oauth/v2/accessToken"), "").await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_grant")));
    let calls = sandbox.read(|ledger| ledger.call(Platform::LinkedIn, "/oauth/v2/accessToken"));
    assert_eq!(calls.statuses, [(200, 2), (400, 1)].into());
}

#[tokio::test]
async fn rules_are_listed_for_tokens_with_the_scope() {
    let sandbox = start_with_rules().await;
    let end = chrono::Utc::now() + TimeDelta::days(1);
    sandbox.linkedin(|world| {
        world.add_token(AccessToken::oauth("send", &[SEND_SCOPE], end));
        world.add_token(AccessToken::oauth("list", &[SEND_SCOPE, LIST_SCOPE], end));
    });
    let path = "/rest/conversions?q=account&account=urn%3Ali%3AsponsoredAccount%3A512345&start=0&count=100";
    let request = http("GET", path, &Value::Null);
    let (status, _, body) = ask(&sandbox, &request, &headers("list")).await;
    assert_eq!(
        (status, body["elements"].as_array().map(Vec::len)),
        (200, Some(2))
    );
    let (status, _, body) = ask(&sandbox, &request, &headers("send")).await;
    assert_eq!(
        (status, &body["code"]),
        (403, &json!("USER_NOT_AUTHORIZED"))
    );
    sandbox.read(|ledger| {
        let calls = ledger.call(Platform::LinkedIn, "/rest/conversions");
        assert_eq!(calls.statuses, [(200, 1), (403, 1)].into());
        assert_eq!(ledger.rows().len(), 0);
    });
}

#[tokio::test]
async fn a_world_is_set_up_and_shown_over_http() {
    let sandbox = start().await;
    let set_up = async |setup: Value| call(&sandbox, "POST", "/_sandbox/linkedin", &setup).await.0;
    assert_eq!(send(&sandbox, &["o1"]).await.0, 201);
    let rule = json!({"id": "104012", "account": ACCOUNT, "enabled": false});
    let setup = json!({"rules": [rule], "tokens": [{"token": "t"}], "version_ends": {"202610": "2030-01-01"}});
    assert_eq!(set_up(setup).await, 204);
    assert_eq!(send(&sandbox, &["o1"]).await.0, 400);
    assert_eq!(
        set_up(json!({"rules": [{"id": "104012", "account": ACCOUNT}]})).await,
        204
    );
    assert_eq!(send(&sandbox, &["o1"]).await.0, 201);
    assert_eq!(set_up(json!({"revoked_tokens": ["t"]})).await, 204);
    assert_eq!(
        send(&sandbox, &["o1"]).await.2["code"],
        "REVOKED_ACCESS_TOKEN"
    );
    assert_eq!(set_up(json!({"rule": []})).await, 400);
    assert_eq!(
        set_up(json!({"rules": [{"id": "x", "account": "1"}]})).await,
        400
    );
    let (_, _, shown) = call(&sandbox, "GET", "/_sandbox/linkedin", &Value::Null).await;
    assert_eq!(
        (&shown["mode"], &shown["tokens"]),
        (&json!("strict"), &json!(1))
    );
    assert_eq!(shown["rules"][0]["id"], "104012");
    sandbox.reset();
    assert_eq!(send(&sandbox, &["o1"]).await.0, 401);
    let end = chrono::NaiveDate::from_ymd_opt(2020, 1, 1).unwrap();
    sandbox.linkedin(|world| world.set_version_end(202_609, end));
    assert_eq!(send(&sandbox, &["o1"]).await.0, 426);
}

#[tokio::test]
async fn a_sink_says_yes_to_every_event() {
    let sandbox = Sandbox::start(Options {
        recording: Recording::CountOnly,
        ..Options::default()
    })
    .await
    .unwrap();
    assert_eq!(send(&sandbox, &["o1"]).await.0, 201);
    let (status, _, body) = send(&sandbox, &["o1", "o2", "o3"]).await;
    assert_eq!(
        (status, body["elements"].as_array().map(Vec::len)),
        (200, Some(3))
    );
    assert_eq!(sandbox.sink_total(Platform::LinkedIn).events, 4);
}
