//! No secret and no personal datum, raw or hashed, in anything that a person or a machine may read of the worker.

use std::sync::{Arc, Mutex};

use chrono::TimeDelta;
use conversion_outbox::sandbox::{Account, FaultKind, Platform};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::process::{Process, command};
use crate::rig::{DATASET, Rig, STREAM, Setup, order, with};

const META_TOKEN: &str = "EAAcanaryMetaToken1234567890abcdefghij";
const GA4_SECRET: &str = "CanarySecretOfGa4";

/// Everything personal of an event, each value recognisable.
const PERSON: [(&str, &str); 15] = [
    ("email", "canary.person@canary-mail.example"),
    ("phone", "+491709876543"),
    ("first_name", "canaryfirst"),
    ("last_name", "canarylast"),
    ("street", "canarystreet 99"),
    ("city", "canarycity"),
    ("region", "canaryregion"),
    ("postal_code", "98765"),
    ("date_of_birth", "1987-06-05"),
    ("external_id", "canary-external-id"),
    ("company", "canary company"),
    ("job_title", "canary job"),
    ("ip_address", "203.0.113.177"),
    ("user_agent", "CanaryBrowser/1.0"),
    ("country", "de"),
];
const CLICKS: [(&str, &str); 5] = [
    ("fbp", "fb.1.1690000000000.9876543210"),
    ("fbclid", "IwAR0canaryClick"),
    ("gclid", "CjwCanaryGclid"),
    ("ga_client_id", "9876543210.1690000001"),
    ("ga_session_id", "1690000099"),
];
const PAGE: &str = "https://shop.example/thanks?mail=canary-page";

/// What must not be found, raw and hashed as platforms want it.
fn canaries() -> Vec<String> {
    let raw: Vec<String> = PERSON
        .iter()
        .chain(&CLICKS)
        .filter(|(key, _)| *key != "country")
        .map(|(_, value)| (*value).to_owned())
        .chain([
            PAGE.to_owned(),
            "canary-page".to_owned(),
            "491709876543".to_owned(),
            "19870605".to_owned(),
            "canary gift".to_owned(),
        ])
        .collect();
    let hashed = raw
        .iter()
        .map(|value| hex(&Sha256::digest(value.as_bytes())));
    let secrets = [META_TOKEN, GA4_SECRET].map(str::to_owned);
    hashed.chain(secrets).chain(raw.iter().cloned()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn event(business_id: &str) -> Value {
    with(
        order(business_id),
        json!({
            "user_data": PERSON.map(|(key, value)| (key.to_owned(), Value::from(value))).into_iter().collect::<serde_json::Map<_, _>>(),
            "click_ids": CLICKS.map(|(key, value)| (key.to_owned(), Value::from(value))).into_iter().collect::<serde_json::Map<_, _>>(),
            "page_url": PAGE, "action_source": "website",
            "properties": { "gift_message": "canary gift", "items": [{ "id": "sku-1" }] },
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }),
    )
}

#[tokio::test]
async fn no_secret_and_no_personal_datum_is_found_anywhere() {
    let rig = Rig::new().await;
    rig.write("meta.token", META_TOKEN);
    rig.write("ga4.secret", GA4_SECRET);
    rig.sandbox
        .put_account(Platform::Meta, DATASET, Account::with_token(META_TOKEN));
    rig.sandbox
        .put_account(Platform::Ga4, STREAM, Account::with_token(GA4_SECRET));
    let (collector, spans) = collector().await;
    fail_in_every_way(&rig).await;

    let telemetry =
        format!("[telemetry]\nlog_level = \"trace\"\notlp_endpoint = \"{collector}\"\n");
    let setup = Setup {
        rest: telemetry.leak(),
        meta: "batch_size = 1",
        ..Setup::default()
    };
    let mut worker = Process::start(&rig, setup);
    rig.insert(
        &(0..12)
            .map(|n| event(&format!("o-{n}")))
            .collect::<Vec<_>>(),
    )
    .await;
    rig.until("exists (select from conversion_outbox.destination where hold_reason is not null)")
        .await;
    rig.run("select conversion_outbox.resume_destination('meta')")
        .await;
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.until("(select count(*) from conversion_outbox.delivery where state in ('accepted', 'sent', 'rejected')) >= 12").await;
    // The same again, changed: a conflict.
    rig.insert(&[with(event("o-1"), json!({ "value": 1 }))])
        .await;
    let metrics = worker.metrics().await;
    let config = rig.write("status.toml", &rig.configuration(setup));
    let config = config.to_str().expect("text");
    let mut told = vec![("metrics", metrics)];
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["check"],
        &["config", "check"],
    ] {
        let args: Vec<&str> = args.iter().copied().chain(["--config", config]).collect();
        let output = command(&args).await;
        told.push((
            "a command",
            String::from_utf8([output.stdout, output.stderr].concat()).expect("text"),
        ));
    }
    let preview = command(&[
        "preview",
        "--event-id",
        "order_paid:o-1",
        "--json",
        "--config",
        config,
    ])
    .await;
    let preview = String::from_utf8([preview.stdout, preview.stderr].concat()).expect("text");
    assert!(
        preview.contains("***") && !preview.contains(META_TOKEN) && !preview.contains(GA4_SECRET)
    );
    worker.signal("-TERM").await;
    assert_eq!(worker.ended().await, Some(0));

    let log = worker.log();
    assert!(
        log.contains("40001") && log.contains("dead letter"),
        "the failures did happen: {log}"
    );
    told.push(("the log", log));
    told.push((
        "spans",
        String::from_utf8_lossy(&spans.lock().expect("whole")).into_owned(),
    ));
    for table in [
        "delivery",
        "attempt",
        "destination",
        "repeat",
        "delivery_total",
        "queue",
        "delivery_log",
        "delivery_attempt",
    ] {
        let sql = format!(
            "select coalesce(string_agg(t::text, E'\\n'), '') from conversion_outbox.{table} t"
        );
        told.push((table, rig.one(&sql).await));
    }
    for (place, text) in &told {
        assert!(
            place == &"queue" || place == &"a command" || text.len() > 50,
            "{place} says nothing: {text}"
        );
        for canary in canaries() {
            assert!(
                !text.to_lowercase().contains(&canary.to_lowercase()),
                "{canary} in {place}:\n{text}"
            );
        }
    }
    let spans = &told
        .iter()
        .find(|(place, _)| *place == "spans")
        .expect("pushed")
        .1;
    assert!(
        spans.contains("order_paid:o-1"),
        "the spans are those of these deliveries"
    );
}

/// Answers that echo what was sent, refusals, resets, an expired token, rows that cannot be read, a failing database.
async fn fail_in_every_way(rig: &Rig) {
    let echo = canaries().join(" ");
    let error = json!({ "error": { "message": echo, "type": "OAuthException", "code": 100, "error_subcode": 2_804_050,
        "error_user_msg": echo, "fbtrace_id": echo } });
    // Each strikes an order of its own.
    let fail = |kind, platform, order: &str, status, body: Option<&String>, code| {
        rig.fault(kind, platform, |fault| {
            let id = if platform == Platform::Meta {
                format!("order_paid:{order}")
            } else {
                order.to_owned()
            };
            (fault.times, fault.event_id) = (Some(1), Some(id));
            (fault.status, fault.body, fault.code) = (status, body.cloned(), code);
        });
    };
    let (meta, ga4) = (Platform::Meta, Platform::Ga4);
    fail(
        FaultKind::Status,
        meta,
        "o-0",
        Some(400),
        Some(&error.to_string()),
        None,
    );
    fail(FaultKind::Status, meta, "o-1", Some(500), Some(&echo), None);
    fail(FaultKind::ResetAfter, meta, "o-2", None, None, None);
    fail(FaultKind::FewerReceived, meta, "o-3", None, None, None);
    fail(FaultKind::MetaError, meta, "o-4", None, None, Some(190));
    fail(FaultKind::Status, meta, "o-5", Some(418), Some(&echo), None);
    fail(FaultKind::Status, ga4, "o-0", Some(400), Some(&echo), None);
    fail(FaultKind::Status, ga4, "o-1", Some(503), Some(&echo), None);
    fail(FaultKind::ResetBefore, ga4, "o-2", None, None, None);
    fail(FaultKind::Status, ga4, "o-3", Some(200), Some(&echo), None);
    rig.insert(&[
        event("broken"),
        event("deep"),
        with(
            event("old"),
            json!({ "occurred_at": crate::rig::ago(TimeDelta::days(9)) }),
        ),
    ])
    .await;
    rig.run(
        "update conversion_outbox.event set consent = jsonb_build_object('ad_storage', user_data ->> 'email') where business_id = 'broken';
         update conversion_outbox.event set properties = (repeat('[', 300) || '\"canary gift\"' || repeat(']', 300))::jsonb where business_id = 'deep';
         create sequence public.failures;
         grant usage on sequence public.failures to public;
         create function public.fail() returns trigger language plpgsql as $$ begin
           if nextval('public.failures') <= 2 then
             raise exception 'canary.person@canary-mail.example' using errcode = 'serialization_failure', detail = 'canaryfirst canarylast';
           end if;
           return new; end $$;
         create trigger fail before insert on conversion_outbox.delivery for each row execute function public.fail()",
    )
    .await;
}

/// A collector on loopback that keeps every byte it is sent.
async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let keep = keep.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut part = [0; 8192];
                while !is_whole(&request) {
                    match stream.read(&mut part).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => request.extend_from_slice(&part[..read]),
                    }
                }
                keep.lock().expect("whole").extend_from_slice(&request);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                drop(stream.write_all(answer).await);
            });
        }
    });
    (format!("http://{address}"), kept)
}

/// Whether head and body of a request have been read.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| {
        line.strip_prefix("content-length:")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    request.len() >= end + 4 + length.unwrap_or(0)
}
