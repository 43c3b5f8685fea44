//! Meta's rules, each with a request that passes and one that does not.

mod event;
mod user_data;

use axum::http::{HeaderMap, HeaderValue};
use bytes::Bytes;
use chrono::TimeDelta;

use super::*;
use crate::sandbox::accounts::{Account, TokenState};

const HASH: &str = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_428_000, 0).unwrap()
}

fn purchase() -> Value {
    json!({
        "event_name": "Purchase", "event_time": 1_795_427_000, "event_id": "order-1042",
        "action_source": "website", "event_source_url": "https://shop.example/thanks",
        "user_data": {"em": [HASH], "client_user_agent": "Mozilla/5.0", "client_ip_address": "2001:db8::1",
            "fbc": "fb.1.1795427000000.IwAR2F4-dbP_0l7", "fbp": "fb.1.1795427000000.1098115397"},
        "custom_data": {"value": 129.90, "currency": "EUR", "order_id": "order-1042",
            "contents": [{"id": "SKU-7", "quantity": 2, "item_price": 62.5}]},
    })
}

/// A purchase with some values replaced or, by null, removed; `a.b` reaches into an object.
fn with(changes: Value) -> Value {
    let mut event = purchase();
    for (path, value) in changes.as_object().unwrap() {
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
        let target = if parent.is_empty() {
            &mut event
        } else {
            &mut event[parent]
        };
        match value {
            Value::Null => drop(target.as_object_mut().unwrap().remove(name)),
            value => target[name] = value.clone(),
        }
    }
    event
}

fn post(
    path: &str,
    content_type: &'static str,
    authorization: Option<&'static str>,
    body: String,
) -> Arrived {
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(authorization) = authorization {
        headers.insert(
            header::AUTHORIZATION,
            HeaderValue::from_static(authorization),
        );
    }
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = url::form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    Arrived {
        platform: Platform::Meta,
        method: Method::POST,
        path: path.to_owned(),
        query,
        headers,
        body: Bytes::from(body),
    }
}

fn judged(arrived: &Arrived, accounts: &Accounts, mode: MetaMode) -> (u16, Value, Judgement) {
    let judgement = judge(arrived, &read(arrived), accounts, mode, now());
    let body = serde_json::from_str(&judgement.reply.body).unwrap();
    (judgement.reply.status, body, judgement)
}

fn send(body: &Value) -> (u16, Value, Judgement) {
    let arrived = post(
        "/v26.0/77/events",
        "application/json",
        Some("Bearer t"),
        body.to_string(),
    );
    judged(&arrived, &Accounts::default(), MetaMode::Docs)
}

#[track_caller]
fn accepts(changes: Value) {
    let (status, body, _) = send(&json!({"data": [with(changes.clone())]}));
    assert_eq!(status, 200, "{changes}: {body}");
    assert_eq!(body["events_received"], 1);
}

#[track_caller]
fn refuses(changes: Value, field: &str, subcode: Option<i64>) {
    let (status, body, judgement) = send(&json!({"data": [with(changes.clone())]}));
    let error = &body["error"];
    assert_eq!(
        (status, error["code"].as_i64()),
        (400, Some(100)),
        "{changes}: {body}"
    );
    assert_eq!(
        error["error_subcode"].as_i64(),
        subcode,
        "{changes}: {body}"
    );
    assert_eq!(
        error["error_data"]["blame_field_specs"][0][0],
        format!("data[0]{field}"),
        "{body}"
    );
    assert!(error["fbtrace_id"].is_string() && error["type"] == "OAuthException");
    assert_eq!(judgement.events[0].ruling, Ruling::Reject);
}

#[test]
fn a_good_batch_is_taken_whole() {
    let (status, body, judgement) =
        send(&json!({"data": [purchase(), with(json!({"event_id": "o2"}))]}));
    assert_eq!(
        (status, &body["events_received"], &body["messages"]),
        (200, &json!(2), &json!([]))
    );
    assert!(body["fbtrace_id"].is_string());
    let key = |index: usize| match &judgement.events[index].ruling {
        Ruling::Take {
            key,
            repeats: Repeats::DropAcrossChannels,
        } => key.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((key(0), key(1)), ("order-1042".to_owned(), "o2".to_owned()));
}

#[test]
fn one_bad_event_refuses_the_batch() {
    let bad = with(json!({"event_time": 1}));
    let (status, body, judgement) =
        send(&json!({"data": [purchase(), bad, with(json!({"currency": 1}))]}));
    assert_eq!(
        (status, body["error"]["error_subcode"].as_i64()),
        (400, Some(2_804_003))
    );
    assert!(
        judgement
            .events
            .iter()
            .all(|event| event.ruling == Ruling::Reject)
    );
    assert!(judgement.events[0].reason.contains("refused for event 1"));
    assert!(judgement.events[1].reason.starts_with("100/2804003"));
}

#[test]
fn one_to_a_thousand_events() {
    let batch = |count: usize| json!({"data": vec![purchase(); count]});
    assert_eq!(send(&batch(0)).0, 400);
    assert_eq!(send(&batch(1000)).0, 200);
    assert_eq!(send(&batch(1001)).0, 400);
    assert_eq!(send(&json!({"data": purchase()})).0, 400);
    assert_eq!(send(&json!({})).0, 400);
}

#[test]
fn fields_beside_data() {
    let batch = |name: &str, value: Value| send(&json!({"data": [purchase()], name: value})).0;
    assert_eq!(batch("test_event_code", json!("TEST1")), 200);
    assert_eq!(batch("test_event_code", json!(1)), 400);
    assert_eq!(batch("partner_agent", json!("outbox-1.0")), 200);
    assert_eq!(batch("partner_agent", json!("a12345")), 400);
    assert_eq!(
        batch("partner_agent", json!("a-name-that-is-too-long")),
        400
    );
    assert_eq!(batch("surprise", json!(1)), 400);
}

#[test]
fn path_method_and_version() {
    let code = |path: &str, method: Method| {
        let mut arrived = post(
            path,
            "application/json",
            Some("Bearer t"),
            json!({"data": [purchase()]}).to_string(),
        );
        arrived.method = method;
        let (status, body, judgement) = judged(&arrived, &Accounts::default(), MetaMode::Docs);
        let warned = judgement
            .reply
            .headers
            .iter()
            .any(|(name, _)| name == "x-ad-api-version-warning");
        (status, body["error"]["code"].as_i64(), warned)
    };
    assert_eq!(code("/v26.0/77/events", Method::POST), (200, None, false));
    assert_eq!(code("/v21.0/77/events", Method::POST), (200, None, false));
    assert_eq!(code("/v20.0/77/events", Method::POST), (200, None, true));
    for path in [
        "/v99.0/77/events",
        "/v26/77/events",
        "/v026.0/77/events",
        "/v26.0/abc/events",
        "/v26.0/77/leads",
        "/77/events",
        "/v26.0/77/events/",
    ] {
        assert_eq!(code(path, Method::POST), (400, Some(2500), false), "{path}");
    }
    assert_eq!(
        code("/v26.0/77/events", Method::GET),
        (400, Some(2500), false)
    );
}

#[test]
fn tokens_from_every_place_but_only_one() {
    let code = |path: &str, authorization: Option<&'static str>, inside: Value| {
        let mut body = json!({"data": [purchase()]});
        if !inside.is_null() {
            body["access_token"] = inside;
        }
        let arrived = post(path, "application/json", authorization, body.to_string());
        let (status, body, _) = judged(&arrived, &Accounts::default(), MetaMode::Docs);
        (status, body["error"]["code"].as_i64())
    };
    let path = "/v26.0/77/events";
    assert_eq!(code(path, Some("Bearer t"), Value::Null), (200, None));
    assert_eq!(
        code("/v26.0/77/events?access_token=t", None, Value::Null),
        (200, None)
    );
    assert_eq!(code(path, None, json!("t")), (200, None));
    assert_eq!(
        code(
            "/v26.0/77/events?access_token=t",
            Some("Bearer t"),
            json!("t")
        ),
        (200, None)
    );
    assert_eq!(
        code(
            "/v26.0/77/events?access_token=u",
            Some("Bearer t"),
            Value::Null
        ),
        (401, Some(190))
    );
    assert_eq!(code(path, None, Value::Null), (401, Some(190)));
    assert_eq!(code(path, Some("Bearer "), json!("")), (401, Some(190)));
    assert_eq!(code(path, Some("Basic t"), Value::Null), (401, Some(190)));
}

#[test]
fn datasets_and_tokens_by_list() {
    let mut accounts = Accounts::default();
    let tokens = [
        ("good", TokenState::Valid),
        ("late", TokenState::Expired),
        ("gone", TokenState::Revoked),
    ];
    let tokens = tokens
        .map(|(token, state)| (token.to_owned(), state))
        .into();
    accounts.put(Platform::Meta, "77".to_owned(), Account { tokens });
    let code = |path: &str, authorization: &'static str| {
        let body = json!({"data": [purchase()]}).to_string();
        let (status, body, _) = judged(
            &post(path, "application/json", Some(authorization), body),
            &accounts,
            MetaMode::Docs,
        );
        (
            status,
            body["error"]["code"].as_i64(),
            body["error"]["error_subcode"].as_i64(),
        )
    };
    assert_eq!(code("/v26.0/77/events", "Bearer good"), (200, None, None));
    assert_eq!(
        code("/v26.0/77/events", "Bearer bad"),
        (401, Some(190), None)
    );
    assert_eq!(
        code("/v26.0/77/events", "Bearer late"),
        (401, Some(190), Some(463))
    );
    assert_eq!(
        code("/v26.0/77/events", "Bearer gone"),
        (401, Some(190), Some(460))
    );
    assert_eq!(
        code("/v26.0/78/events", "Bearer good"),
        (400, Some(100), Some(33))
    );
}

#[test]
fn forms_are_read_too() {
    let data = json!([purchase()]).to_string();
    let form = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("data", &data)
        .append_pair("access_token", "t")
        .finish();
    let urlencoded = post(
        "/v26.0/77/events",
        "application/x-www-form-urlencoded",
        None,
        form,
    );
    let multipart = format!(
        "--b\r\nContent-Disposition: form-data; name=\"data\"\r\n\r\n{data}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\nt\r\n--b--\r\n"
    );
    let multipart = post(
        "/v26.0/77/events",
        "multipart/form-data; boundary=b",
        None,
        multipart,
    );
    for arrived in [urlencoded, multipart] {
        let (status, body, judgement) = judged(&arrived, &Accounts::default(), MetaMode::Docs);
        assert_eq!((status, judgement.events.len()), (200, 1), "{body}");
    }
    for (content_type, body) in [
        ("application/json", "{"),
        ("application/json", "[]"),
        ("text/plain", "{}"),
        ("application/x-www-form-urlencoded", "data=nonsense"),
        ("multipart/form-data", "--b--"),
    ] {
        let arrived = post(
            "/v26.0/77/events",
            content_type,
            Some("Bearer t"),
            body.to_owned(),
        );
        let (status, answer, _) = judged(&arrived, &Accounts::default(), MetaMode::Docs);
        assert_eq!(
            (status, answer["error"]["code"].as_i64()),
            (400, Some(100)),
            "{content_type} {body}"
        );
    }
}
