//! Reports over the wire: they tell what the ledger holds, and take nothing that is not documented.

use super::*;

const PIXEL: &str = "/v26.0/77/stats?event_source=SERVER_ONLY";
const PROPERTY: &str = "/v1beta/properties/345:runReport";
const SEARCH: &str = "/v26/customers/1234567890/googleAds:search";

/// LinkedIn's question, with one part of it replaced.
fn analytics(part: &str, by: &str) -> String {
    "/rest/adAnalytics?q=analytics&pivot=CONVERSION&timeGranularity=DAILY&\
     dateRange=(start:(year:2026,month:11,day:1),end:(year:2026,month:11,day:2))&\
     accounts=List(urn%3Ali%3AsponsoredAccount%3A5)&fields=externalWebsiteConversions,pivotValues"
        .replace(part, by)
}

async fn ask_linkedin(sandbox: &Sandbox, path: &str) -> (u16, Value) {
    let request = http("GET", path, &Value::Null).replace(
        "authorization",
        "linkedin-version: 202609\r\nx-restli-protocol-version: 2.0.0\r\nauthorization",
    );
    let answer = raw(sandbox, &request).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap())
}

/// GA4's question, with one member replaced.
fn question(member: &str, by: Value) -> Value {
    let today = chrono::Utc::now().date_naive().to_string();
    let mut body = json!({
        "dateRanges": [{"startDate": today, "endDate": today}],
        "dimensions": [{"name": "date"}, {"name": "eventName"}, {"name": "transactionId"}],
        "metrics": [{"name": "eventCount"}, {"name": "eventValue"}],
        "dimensionFilter": {"filter": {"fieldName": "eventName", "inListFilter": {"values": ["purchase"]}}},
    });
    body[member] = by;
    body
}

#[tokio::test]
async fn a_report_tells_what_was_taken_and_is_no_event_itself() {
    let sandbox = start().await;
    for id in ["o1", "o2"] {
        assert_eq!(meta(&sandbox, id).await.0, 200);
        assert_eq!(ga4(&sandbox, id).await, 204);
    }
    let (status, _, told) = call(&sandbox, "GET", PIXEL, &Value::Null).await;
    let hours = told["data"].as_array().unwrap();
    assert_eq!((status, hours.len()), (200, 24), "a page of a week");
    assert!(told["paging"]["next"].is_string());
    let start = chrono::Utc::now().timestamp() - 3600;
    let path = format!("{PIXEL}&start_time={start}");
    let (_, _, told) = call(&sandbox, "GET", &path, &Value::Null).await;
    let counts = told["data"].as_array().unwrap().iter();
    let counts: u64 = counts
        .filter_map(|hour| hour["data"][0]["count"].as_u64())
        .sum();
    assert_eq!(counts, 2);

    let (status, _, told) = call(&sandbox, "POST", PROPERTY, &question("offset", "1".into())).await;
    assert_eq!((status, &told["rowCount"]), (200, &json!(2)));
    assert_eq!(told["rows"].as_array().unwrap().len(), 1);
    assert_eq!(told["rows"][0]["dimensionValues"][2]["value"], "o2");
    assert_eq!(
        told["rows"][0]["metricValues"],
        json!([{"value": "1"}, {"value": "12.5"}])
    );
    assert_eq!(
        told["metadata"],
        json!({"currencyCode": "EUR", "timeZone": "Etc/UTC"})
    );
    assert_eq!(verdicts(&sandbox).len(), 4, "questions leave no row");
    sandbox.shutdown().await;
}

#[tokio::test]
async fn what_is_not_documented_is_refused() {
    let sandbox = start().await;
    for path in [
        "&colour=red",
        "&aggregation=host",
        "&start_time=yesterday",
        "&start_time=20&end_time=10",
    ] {
        let (status, _, told) =
            call(&sandbox, "GET", &format!("{PIXEL}{path}"), &Value::Null).await;
        assert_eq!(
            (status, &told["error"]["code"]),
            (400, &json!(100)),
            "{path}"
        );
    }
    for body in [
        question("colour", "red".into()),
        question(
            "dateRanges",
            json!([{"startDate": "2026-11-02", "endDate": "2026-11-01"}]),
        ),
        question("metrics", json!([{"name": "sessions"}])),
        question("dimensionFilter", json!({})),
    ] {
        let (status, _, told) = call(&sandbox, "POST", PROPERTY, &body).await;
        assert_eq!(
            (status, &told["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{body}"
        );
    }
    let account = "SELECT customer.time_zone, customer.currency_code FROM customer LIMIT 1";
    for (body, expected) in [
        (json!({"query": account, "pageToken": "invented"}), 400),
        (json!({"query": account, "pageSize": 10}), 400),
        (json!({"query": account.replace("LIMIT 1", "")}), 400),
        (json!({"query": account}), 200),
    ] {
        assert_eq!(
            call(&sandbox, "POST", SEARCH, &body).await.0,
            expected,
            "{body}"
        );
    }
    for (part, by, expected) in [
        ("CONVERSION", "CAMPAIGN", 400),
        ("DAILY", "ALL", 400),
        ("day:2", "day:0", 400),
        ("List(", "(", 400),
        ("pivotValues", "reach", 400),
        ("", "", 200),
    ] {
        let (status, told) = ask_linkedin(&sandbox, &analytics(part, by)).await;
        assert_eq!(status, expected, "{part} {told}");
    }
    sandbox.shutdown().await;
}

#[tokio::test]
async fn how_reports_stand_to_the_ledger_is_set_over_http() {
    let sandbox = start().await;
    ga4(&sandbox, "o1").await;
    let set = |settings: Value| async {
        let settings = settings;
        call(&sandbox, "PUT", "/_sandbox/reports", &settings)
            .await
            .0
    };
    let ask = || async {
        let (status, _, told) =
            call(&sandbox, "POST", PROPERTY, &question("offset", "0".into())).await;
        (status, told["rowCount"].as_u64())
    };
    assert_eq!(ask().await, (200, Some(1)));
    assert_eq!(set(json!({"late_secs": 3600})).await, 204);
    assert_eq!(ask().await, (200, None));
    sandbox.set_clock_offset(chrono::TimeDelta::seconds(3601));
    assert_eq!(ask().await, (200, Some(1)));
    assert_eq!(set(json!({"quota": 1})).await, 204);
    assert_eq!((ask().await.0, ask().await.0), (200, 429));
    assert_eq!(set(json!({"colour": "red"})).await, 400);
    sandbox.shutdown().await;
}
