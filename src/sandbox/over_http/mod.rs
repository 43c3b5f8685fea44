//! The sandbox through real sockets: routes, faults on the wire, waiting, shutdown, the API and the page.

mod api;
mod faults;
mod google;
mod google_ads;
mod linkedin;
mod reports;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const HASH: &str = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f";

async fn start() -> Sandbox {
    Sandbox::start(Options::default()).await.unwrap()
}

fn meta_body(event_id: &str) -> Value {
    json!({"data": [{"event_name": "Purchase", "event_time": chrono::Utc::now().timestamp(), "event_id": event_id,
        "action_source": "other", "user_data": {"em": [HASH]}, "custom_data": {"value": 12.50, "currency": "EUR"}}]})
}

fn ga4_body(transaction_id: &str) -> Value {
    json!({"client_id": "1.2", "events": [{"name": "purchase",
        "params": {"transaction_id": transaction_id, "value": 12.5, "currency": "EUR"}}]})
}

fn http(method: &str, path: &str, body: &Value) -> String {
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: sandbox\r\nauthorization: Bearer t\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Everything the server answers on one connection: the raw text, or the error of the socket.
async fn raw(sandbox: &Sandbox, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(sandbox.addr()).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

async fn call(sandbox: &Sandbox, method: &str, path: &str, body: &Value) -> (u16, String, Value) {
    let answer = raw(sandbox, &http(method, path, body)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (
        status,
        head.to_owned(),
        serde_json::from_str(body).unwrap_or(Value::Null),
    )
}

async fn meta(sandbox: &Sandbox, event_id: &str) -> (u16, String, Value) {
    call(sandbox, "POST", "/v26.0/77/events", &meta_body(event_id)).await
}

async fn ga4(sandbox: &Sandbox, transaction_id: &str) -> u16 {
    let path = "/mp/collect?measurement_id=G-1&api_secret=s";
    call(sandbox, "POST", path, &ga4_body(transaction_id))
        .await
        .0
}

fn verdicts(sandbox: &Sandbox) -> Vec<Verdict> {
    sandbox.read(|ledger| ledger.rows().map(|row| row.verdict).collect())
}

fn fault(kind: FaultKind) -> Fault {
    Fault {
        times: Some(1),
        ..Fault::of(kind)
    }
}

#[tokio::test]
async fn only_loopback_is_bound() {
    let options = Options {
        bind: "0.0.0.0:0".parse().unwrap(),
        ..Options::default()
    };
    assert!(matches!(
        Sandbox::start(options).await,
        Err(StartError::NotLoopback(_))
    ));
    let sandbox = start().await;
    let options = Options {
        bind: sandbox.addr(),
        ..Options::default()
    };
    assert!(matches!(
        Sandbox::start(options).await,
        Err(StartError::Bind { .. })
    ));
}

#[tokio::test]
async fn both_platforms_answer_with_and_without_prefix() {
    let sandbox = start().await;
    assert_eq!(meta(&sandbox, "o1").await.0, 200);
    assert_eq!(
        call(&sandbox, "POST", "/meta/v26.0/77/events", &meta_body("o2"))
            .await
            .0,
        200
    );
    assert_eq!(ga4(&sandbox, "o1").await, 204);
    let path = "/ga4/mp/collect?measurement_id=G-1&api_secret=s";
    assert_eq!(call(&sandbox, "POST", path, &ga4_body("o2")).await.0, 204);
    assert_eq!(call(&sandbox, "GET", "/nowhere", &Value::Null).await.0, 404);
    assert_eq!(
        call(&sandbox, "POST", "/v99.0/77/events", &meta_body("o3"))
            .await
            .2["error"]["code"],
        2500
    );
    sandbox.read(|ledger| {
        let row = ledger
            .of_event(Platform::Meta, "Purchase", "o2")
            .next()
            .unwrap();
        assert_eq!(
            (row.account.as_str(), row.path.as_str()),
            ("77", "/v26.0/77/events")
        );
        assert_eq!(
            (row.value.as_deref(), row.currency.as_deref()),
            (Some("12.5"), Some("EUR"))
        );
        assert_eq!(
            (row.status, row.digest.len(), row.verdict),
            (Some(200), 64, Verdict::Stored)
        );
        assert!(row.body.starts_with(b"{\"data\":["));
    });
}

#[tokio::test]
async fn repeats_show_on_each_platform() {
    let sandbox = start().await;
    let tag = |event_id: &str| BrowserEvent {
        platform: Platform::Meta,
        account: "77".to_owned(),
        event_name: "Purchase".to_owned(),
        event_id: event_id.to_owned(),
    };
    assert_eq!(sandbox.record_browser(tag("o1")), Verdict::Stored);
    assert_eq!(meta(&sandbox, "o1").await.0, 200);
    assert_eq!(meta(&sandbox, "o2").await.0, 200);
    assert_eq!(meta(&sandbox, "o2").await.0, 200);
    ga4(&sandbox, "o1").await;
    ga4(&sandbox, "o1").await;
    let expected = [
        Verdict::Stored,
        Verdict::Deduplicated,
        Verdict::Stored,
        Verdict::WouldDouble,
        Verdict::Stored,
        Verdict::Deduplicated,
    ];
    assert_eq!(verdicts(&sandbox), expected);
    sandbox.set_clock_offset(TimeDelta::hours(-49));
    sandbox.reset();
    sandbox.record_browser(tag("o9"));
    sandbox.set_clock_offset(TimeDelta::zero());
    meta(&sandbox, "o9").await;
    assert_eq!(verdicts(&sandbox), [Verdict::Stored, Verdict::Stored]);
}

#[tokio::test]
async fn a_sink_counts_and_keeps_nothing() {
    let sandbox = Sandbox::start(Options {
        recording: Recording::CountOnly,
        ..Options::default()
    })
    .await
    .unwrap();
    let event = meta_body("o1")["data"][0].clone();
    let (status, _, body) = call(
        &sandbox,
        "POST",
        "/v26.0/77/events",
        &json!({"data": [event, event, event]}),
    )
    .await;
    assert_eq!((status, &body["events_received"]), (200, &json!(3)));
    assert_eq!(ga4(&sandbox, "o1").await, 204);
    assert_eq!(
        (
            sandbox.sink_total(Platform::Meta).events,
            sandbox.sink_total(Platform::Ga4).requests
        ),
        (3, 1)
    );
    assert_eq!(sandbox.read(|ledger| ledger.rows().len()), 0);
}

#[tokio::test]
async fn shutdown_lets_held_requests_go_and_closes_idle_connections() {
    let sandbox = start().await;
    let addr = sandbox.addr();
    let mut idle = TcpStream::connect(addr).await.unwrap();
    let request =
        http("GET", "/_sandbox/summary", &Value::Null).replace("connection: close\r\n", "");
    idle.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = [0; 4096];
    assert!(idle.read(&mut buffer).await.unwrap() > 0);
    let rule = sandbox.add_fault(Fault::of(FaultKind::HoldBefore)).unwrap();
    let mut held = TcpStream::connect(addr).await.unwrap();
    held.write_all(http("POST", "/v26.0/77/events", &meta_body("o1")).as_bytes())
        .await
        .unwrap();
    sandbox.held(rule, 1).await;
    let before = std::time::Instant::now();
    sandbox.shutdown().await;
    assert!(before.elapsed() < STOP_GRACE);
    assert_eq!(idle.read(&mut buffer).await.unwrap(), 0);
    let mut answer = String::new();
    held.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"));
    assert!(TcpStream::connect(addr).await.is_err());
}

#[tokio::test]
async fn serve_runs_until_its_shutdown() {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let started = |addr: SocketAddr| {
        assert!(addr.ip().is_loopback());
        stop.send(()).unwrap();
    };
    serve(Options::default(), started, async {
        stopped.await.unwrap()
    })
    .await
    .unwrap();
}
