//! The sandbox's own API and the page.

use super::*;

#[tokio::test]
async fn accounts_and_tokens_change_over_http() {
    let sandbox = start().await;
    let put = async |tokens: Value| {
        call(
            &sandbox,
            "PUT",
            "/_sandbox/accounts/meta/77",
            &json!({"tokens": tokens}),
        )
        .await
        .0
    };
    assert_eq!(put(json!({"t": "expired"})).await, 204);
    assert_eq!(meta(&sandbox, "o1").await.2["error"]["error_subcode"], 463);
    assert_eq!(put(json!({"t": "revoked"})).await, 204);
    assert_eq!(meta(&sandbox, "o1").await.2["error"]["error_subcode"], 460);
    assert_eq!(put(json!({"t": "valid"})).await, 204);
    assert_eq!(meta(&sandbox, "o1").await.0, 200);
    let other = call(&sandbox, "POST", "/v26.0/78/events", &meta_body("o1"))
        .await
        .2;
    assert_eq!(
        (&other["error"]["error_subcode"], &other["error"]["type"]),
        (&json!(33), &json!("GraphMethodException"))
    );
    let (_, _, list) = call(&sandbox, "GET", "/_sandbox/accounts", &Value::Null).await;
    assert_eq!(
        list,
        json!([{"platform": "meta", "account": "77", "tokens": 1}])
    );
    assert_eq!(
        call(
            &sandbox,
            "DELETE",
            "/_sandbox/accounts/meta/77",
            &Value::Null
        )
        .await
        .0,
        204
    );
    assert_eq!(
        call(
            &sandbox,
            "DELETE",
            "/_sandbox/accounts/meta/77",
            &Value::Null
        )
        .await
        .0,
        404
    );
    assert_eq!(
        call(&sandbox, "PUT", "/_sandbox/accounts/tiktok/1", &json!({}))
            .await
            .0,
        400
    );
    let (status, _, advice) = call(
        &sandbox,
        "PUT",
        "/_sandbox/accounts/google_ads/1",
        &json!({}),
    )
    .await;
    assert_eq!(status, 400);
    assert!(
        advice["error"]
            .as_str()
            .unwrap()
            .contains("/_sandbox/google")
    );
}

#[tokio::test]
async fn faults_and_clock_change_over_http() {
    let sandbox = start().await;
    let rule = json!({"kind": "status", "platform": "meta", "status": 429, "times": 1});
    let (status, _, added) = call(&sandbox, "POST", "/_sandbox/faults", &rule).await;
    assert_eq!((status, &added), (201, &json!({"id": 1})));
    assert_eq!(meta(&sandbox, "o1").await.0, 429);
    let (_, _, list) = call(&sandbox, "GET", "/_sandbox/faults", &Value::Null).await;
    assert_eq!(
        (&list[0]["struck"], &list[0]["fault"]["kind"]),
        (&json!(1), &json!("status"))
    );
    assert_eq!(
        call(&sandbox, "POST", "/_sandbox/faults/1/release", &Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        call(&sandbox, "DELETE", "/_sandbox/faults/1", &Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        call(&sandbox, "DELETE", "/_sandbox/faults/1", &Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        call(&sandbox, "DELETE", "/_sandbox/faults", &Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(
        call(
            &sandbox,
            "POST",
            "/_sandbox/faults",
            &json!({"kind": "latency"})
        )
        .await
        .0,
        400
    );

    let (status, _, clock) = call(
        &sandbox,
        "PUT",
        "/_sandbox/clock",
        &json!({"offset_secs": 864_000}),
    )
    .await;
    assert_eq!((status, &clock["offset_secs"]), (200, &json!(864_000)));
    assert_eq!(
        meta(&sandbox, "o1").await.2["error"]["error_subcode"],
        2_804_003
    );
    assert_eq!(
        call(&sandbox, "PUT", "/_sandbox/clock", &json!({"offset": 1}))
            .await
            .0,
        400
    );
}

#[tokio::test]
async fn events_and_summary_over_http() {
    let sandbox = start().await;
    for id in ["o1", "o2", "o2"] {
        meta(&sandbox, id).await;
    }
    ga4(&sandbox, "o1").await;
    let tag =
        json!({"platform": "meta", "account": "77", "event_name": "Purchase", "event_id": "o3"});
    assert_eq!(
        call(&sandbox, "POST", "/_sandbox/browser", &tag).await.2,
        json!({"verdict": "stored"})
    );
    let count = async |query: &str| {
        let (status, _, list) = call(
            &sandbox,
            "GET",
            &format!("/_sandbox/events?{query}"),
            &Value::Null,
        )
        .await;
        (status, list.as_array().map(Vec::len))
    };
    assert_eq!(count("").await, (200, Some(5)));
    assert_eq!(count("platform=ga4").await, (200, Some(1)));
    assert_eq!(count("verdict=would_double").await, (200, Some(1)));
    assert_eq!(
        count("event_id=o2&account=77&event_name=Purchase").await,
        (200, Some(2))
    );
    assert_eq!(count("after=3&limit=1").await, (200, Some(1)));
    assert_eq!(count("verdict=nonsense").await.0, 400);
    let (_, _, list) = call(
        &sandbox,
        "GET",
        "/_sandbox/events?event_id=o1&bodies=true",
        &Value::Null,
    )
    .await;
    assert_eq!(
        (&list[0]["event"]["event_id"], &list[0]["status"]),
        (&json!("o1"), &json!(200))
    );
    assert!(list[0]["body"].as_str().unwrap().contains("\"data\""));
    let (_, _, summary) = call(&sandbox, "GET", "/_sandbox/summary", &Value::Null).await;
    assert_eq!(
        summary["accounts"][0],
        json!({"platform": "meta", "account": "77", "requests": 4,
        "verdicts": {"stored": 3, "would_double": 1}, "counted": 4, "conversions": 3, "doubles": 1})
    );
    let (_, _, conversions) = call(&sandbox, "GET", "/_sandbox/conversions", &Value::Null).await;
    assert_eq!(
        conversions[1],
        json!({"platform": "meta", "account": "77", "event_name": "Purchase", "key": "o2", "counted": 2,
            "value": "12.5", "currency": "EUR", "history": conversions[1]["history"]})
    );
    let change = &conversions[1]["history"][1];
    assert_eq!(
        (&change["verdict"], &change["value"]),
        (&json!("would_double"), &json!("12.5"))
    );
    assert_eq!(
        call(&sandbox, "DELETE", "/_sandbox/events", &Value::Null)
            .await
            .0,
        204
    );
    assert_eq!(count("").await, (200, Some(0)));
}

#[tokio::test]
async fn the_page_shows_and_escapes_what_arrived() {
    let sandbox = start().await;
    meta(&sandbox, "<script>alert(1)</script>").await;
    for path in ["/", "/_sandbox/", "/?verdict=stored&platform="] {
        let answer = raw(&sandbox, &http("GET", path, &Value::Null))
            .await
            .unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200")
                && answer.contains("content-security-policy: default-src 'none'")
        );
        assert!(answer.contains("&lt;script&gt;alert(1)") && !answer.contains("<script>alert(1)"));
        assert!(!answer.contains("{{"), "a placeholder is left");
    }
    let filtered = raw(&sandbox, &http("GET", "/?verdict=rejected", &Value::Null))
        .await
        .unwrap();
    assert!(filtered.contains("No event matches."));
}
