//! From the application's transaction to the platform's answer: what a collector sees of the real program, and what the log says.
//! `tests/traces.py` asks a collector of others the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::HeaderMap;
use axum::routing::post;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::number_data_point::Value as Number;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::collector::{Collector, attribute, hex};
use crate::process::Process;
use crate::rig::{Rig, Setup, order, with};

const SPAN: &str = "00f067aa0ba902b7";

/// The trace of an order, unlike those of others.
fn trace_of(business_id: &str) -> String {
    let letter = business_id
        .bytes()
        .fold(1_u8, |sum, byte| sum.wrapping_mul(31) ^ byte);
    format!("{letter:02x}").repeat(16)
}

/// An order that was paid within a trace.
fn traced(business_id: &str, flags: &str) -> Value {
    let traceparent = format!("00-{}-{SPAN}-{flags}", trace_of(business_id));
    with(
        order(business_id),
        json!({ "traceparent": traceparent, "tracestate": "shop=till-7" }),
    )
}

/// Meta and Data Manager, each event in a request of its own.
fn setup(telemetry: &str) -> Setup {
    let rest = format!("[telemetry]\nlog_level = \"debug\"\n{telemetry}\n");
    Setup {
        worker: "backoff_initial_secs = 1\nbackoff_cap_secs = 1",
        rest: rest.leak(),
        ..Setup::only(&[Destination::Meta, Destination::GoogleDataManager])
            .lines(Destination::Meta, "batch_size = 1")
            .lines(Destination::GoogleDataManager, "batch_size = 1")
    }
}

/// Sends the first order until Meta has failed once and taken it then; and asks Data Manager until it has confirmed.
async fn deliver(rig: &Rig, events: &[Value]) {
    rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.times) = (Some(503), Some(1));
    });
    rig.insert(&events[..1]).await;
    rig.until("exists (select from conversion_outbox.delivery where destination = 'meta' and tries = 1 and state = 'pending')")
        .await;
    rig.insert(&events[1..]).await;
    for round in 0.. {
        rig.run(
            "update conversion_outbox.delivery set due_at = now() where state = 'pending' and lease_until is null;
             update conversion_outbox.request set due_at = now() where settled_at is null and lease_until is null",
        )
        .await;
        let is_over = "not exists (select from conversion_outbox.queue)
            and not exists (select from conversion_outbox.delivery where state in ('pending', 'sent'))";
        if rig.until_for(Duration::from_millis(300), is_over).await {
            break;
        }
        assert!(round < 60, "not delivered");
    }
}

/// The spans of one delivery's tries, in their order.
fn tries<'a>(spans: &'a [Span], destination: &str, event_id: &str) -> Vec<&'a Span> {
    let mut found: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name == format!("process {destination}"))
        .filter(|span| attribute(&span.attributes, "messaging.message.id") == event_id)
        .collect();
    found.sort_by_key(|span| attribute(&span.attributes, "conversion_outbox.attempt"));
    found
}

fn children<'a>(spans: &'a [Span], parent: &Span) -> Vec<&'a Span> {
    spans
        .iter()
        .filter(|span| span.parent_span_id == parent.span_id && span.trace_id == parent.trace_id)
        .collect()
}

/// What a span links to, as (what, trace, span).
fn links(span: &Span) -> Vec<(String, String, String)> {
    span.links
        .iter()
        .map(|link| {
            let what = attribute(&link.attributes, "conversion_outbox.link");
            (what, hex(&link.trace_id), hex(&link.span_id))
        })
        .collect()
}

fn says(span: &Span, key: &str) -> String {
    attribute(&span.attributes, key)
}

#[tokio::test]
async fn one_trace_goes_from_the_order_to_each_platforms_answer() {
    let rig = Rig::new().await;
    let collector = Collector::start().await;
    let setup = setup(&format!(
        "otlp_endpoint = \"{}\"\ntrace_relation = \"parent\"\notlp_metrics = true\ntrace_url = \"https://traces.example/{{trace_id}}\"",
        collector.url
    ));
    let mut worker = Process::start(&rig, setup);
    let refused = json!({ "ad_storage": "denied", "analytics_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied" });
    let upper = format!("00-{}-{SPAN}-01", trace_of("upper").to_uppercase());
    deliver(
        &rig,
        &[
            traced("sampled", "01"),
            traced("unsampled", "00"),
            with(traced("refused", "01"), json!({ "consent": refused })),
            with(order("upper"), json!({ "traceparent": upper.replace(&trace_of("upper"), "ABCDEF0123456789ABCDEF0123456789") })),
            with(order("zero"), json!({ "traceparent": format!("00-{}-{SPAN}-01", "0".repeat(32)) })),
            order("bare"),
        ],
    )
    .await;
    let scrape = all_counted(&worker).await;
    worker.signal("-TERM").await;
    assert_eq!(worker.ended().await, Some(0));
    let spans = collector.spans();

    // The order's trace, parent included, whether it was sampled or not.
    for (business_id, tries_at_meta) in [("sampled", 2), ("unsampled", 1)] {
        let event_id = format!("order_paid:{business_id}");
        let trace = trace_of(business_id);
        let at_meta = tries(&spans, "meta", &event_id);
        assert_eq!(at_meta.len(), tries_at_meta, "{business_id}");
        let at_google = tries(&spans, "google_data_manager", &event_id);
        let application = ("application".to_owned(), trace.clone(), SPAN.to_owned());
        for first in [at_meta[0], at_google[0]] {
            assert_eq!(
                (hex(&first.trace_id), hex(&first.parent_span_id)),
                (trace.clone(), SPAN.into())
            );
            assert_eq!(
                first.flags & 0x301,
                0x301,
                "sampled, and the parent is remote"
            );
            assert_eq!(first.trace_state, "shop=till-7");
            assert_eq!(links(first), std::slice::from_ref(&application));
            let [post] = children(&spans, first)[..] else {
                panic!("not one request below {first:?}")
            };
            assert_eq!(
                (post.name.as_str(), says(post, "server.address").as_str()),
                ("POST", "127.0.0.1")
            );
            assert!(!says(post, "url.full").contains('?'), "no token, no query");
            assert!(
                !says(post, "conversion_outbox.platform_request_id").is_empty()
                    || says(post, "http.response.status_code") == "503"
            );
        }
        // Google's late answer: a span that links to what it is about.
        let late: Vec<&Span> = spans
            .iter()
            .filter(|span| {
                span.name == "process google_data_manager"
                    && says(span, "messaging.message.id").is_empty()
            })
            .filter(|span| links(span) == [("delivery".to_owned(), trace.clone(), SPAN.to_owned())])
            .collect();
        let confirmed = late
            .iter()
            .find(|span| says(span, "conversion_outbox.result_class") == "accepted")
            .expect("the answer is linked to the order's trace");
        let mut below: Vec<&str> = children(&spans, confirmed)
            .iter()
            .map(|span| span.name.as_str())
            .collect();
        below.sort_unstable();
        assert_eq!(below, ["GET", "settle conversion_outbox"]);
    }
    // A failure, and the try after it.
    let [failed, taken] = tries(&spans, "meta", "order_paid:sampled")[..] else {
        panic!("two tries")
    };
    assert_eq!(says(failed, "error.type"), "retry");
    assert_eq!(says(children(&spans, failed)[0], "error.type"), "503");
    assert!(taken.parent_span_id.is_empty() && links(taken)[0].1 == trace_of("sampled"));
    assert_eq!(says(taken, "conversion_outbox.result_class"), "accepted");
    assert!(taken.status.is_none() || taken.status.as_ref().is_some_and(|status| status.code == 0));
    // Suppressed is told, no failure, and asked nobody.
    let [suppressed] = tries(&spans, "meta", "order_paid:refused")[..] else {
        panic!("one end")
    };
    assert_eq!(
        says(suppressed, "conversion_outbox.reason"),
        "consent_denied"
    );
    assert_eq!(says(suppressed, "error.type"), "");
    assert_eq!(hex(&suppressed.trace_id), trace_of("refused"));
    assert!(children(&spans, suppressed).is_empty());
    // What was no trace context is none, and the order is delivered all the same.
    for business_id in ["upper", "zero", "bare"] {
        let [span] = tries(&spans, "meta", &format!("order_paid:{business_id}"))[..] else {
            panic!("one try of {business_id}")
        };
        assert!(
            span.parent_span_id.is_empty() && span.links.is_empty(),
            "{span:?}"
        );
        assert_eq!(says(span, "conversion_outbox.result_class"), "accepted");
    }
    // Claims: only those that took something, and no span below one.
    let claims: Vec<&Span> = spans
        .iter()
        .filter(|span| span.name == "receive conversion_outbox")
        .collect();
    assert!((2..40).contains(&claims.len()), "{}", claims.len());
    assert!(
        claims
            .iter()
            .all(|span| says(span, "messaging.batch.message_count") != "0"
                && children(&spans, span).is_empty())
    );
    assert!(
        claims
            .iter()
            .any(|span| links(span).iter().any(|link| link.1 == trace_of("sampled")))
    );
    let writes = spans
        .iter()
        .filter(|span| span.name == "UPDATE conversion_outbox.delivery");
    assert!(
        writes.clone().count() >= 3
            && writes
                .clone()
                .all(|span| says(span, "db.system.name") == "postgresql")
    );

    the_table_knows_the_traces(&rig, taken).await;
    log_lines_name_their_trace(&worker.log());
    the_collector_has_the_numbers_of_the_scrape(&scrape, &collector);
    rig.write("superuser.url", &rig.url_of("postgres"));
    let as_superuser = rig
        .configuration(setup)
        .replace("/database.url", "/superuser.url");
    let shown = crate::process::command(&[
        "events",
        "show",
        "order_paid:sampled",
        "--config",
        rig.write("show.toml", &as_superuser)
            .to_str()
            .expect("text"),
    ])
    .await;
    let shown = String::from_utf8(shown.stdout).expect("text");
    let page = format!("https://traces.example/{}", hex(&taken.trace_id));
    assert!(
        shown.contains(&page) && shown.contains(&trace_of("sampled")),
        "{shown}"
    );
}

/// Each try is stored with its trace, so that a person finds it from the event.
async fn the_table_knows_the_traces(rig: &Rig, taken: &Span) {
    let stored: Vec<String> = rig
        .one(
            "select array_agg(encode(trace_id, 'hex') order by try_no) from conversion_outbox.delivery_attempt
               join conversion_outbox.event using (event_no)
              where destination = 'meta' and event_id = 'order_paid:sampled'",
        )
        .await;
    assert_eq!(stored, [trace_of("sampled"), hex(&taken.trace_id)]);
}

/// Every line about a delivery names its trace and span; above DEBUG there is one at most for each that ended.
fn log_lines_name_their_trace(log: &str) {
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    let mut about = 0;
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"));
        let (Some(event), Some(destination)) =
            (line["event_id"].as_str(), line["destination"].as_str())
        else {
            continue;
        };
        about += 1;
        let digits = |key: &str| line[key].as_str().unwrap_or_default().len();
        assert_eq!((digits("trace_id"), digits("span_id")), (32, 16), "{line}");
        if line["level"] != "DEBUG" {
            *told.entry(format!("{event} {destination}")).or_default() += 1;
        }
    }
    assert!(about >= 20, "{about} lines of {log}");
    assert!(told.values().all(|lines| *lines <= 1), "{told:?}");
}

/// Final states that were entered: six at Meta, and at Google five that were sent before all six were final.
const ENDED: i64 = 6 + 5 + 6;

/// A scrape after the last delivery was counted, which is a moment after the database has it.
async fn all_counted(worker: &Process) -> String {
    let counted = |scrape: &str| -> i64 {
        let lines = scrape.lines();
        let values = lines.filter_map(|line| {
            line.strip_prefix("conversion_outbox_deliveries_total{")?
                .rsplit_once("} ")
        });
        values
            .map(|(_, value)| value.parse::<i64>().expect("a number"))
            .sum()
    };
    let all = async {
        loop {
            let scrape = worker.metrics().await;
            if counted(&scrape) >= ENDED {
                return scrape;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), all)
        .await
        .expect("all are counted in the end")
}

/// What was scraped last and what was pushed last are the same, since nothing was delivered in between.
fn the_collector_has_the_numbers_of_the_scrape(scrape: &str, collector: &Collector) {
    let metrics = collector.metrics();
    let deliveries = metrics
        .iter()
        .find(|metric| metric.name == "conversion_outbox.deliveries")
        .expect("pushed");
    let Some(Data::Sum(sum)) = &deliveries.data else {
        panic!("{deliveries:?}")
    };
    let mut compared = 0;
    for point in &sum.data_points {
        let of = |key| attribute(&point.attributes, key);
        let line = format!(
            "conversion_outbox_deliveries_total{{destination=\"{}\",event_type=\"{}\",state=\"{}\"}} ",
            of("destination"),
            of("event_type"),
            of("state")
        );
        let scraped = scrape
            .lines()
            .find_map(|found| found.strip_prefix(&line))
            .expect(&line);
        let Some(Number::AsInt(pushed)) = point.value else {
            panic!("{point:?}")
        };
        assert_eq!(scraped.parse::<i64>().expect("a number"), pushed, "{line}");
        compared += pushed;
    }
    assert_eq!(compared, ENDED);
}

#[tokio::test]
async fn a_retry_is_linked_to_the_try_before_it() {
    let rig = Rig::new().await;
    let collector = Collector::start().await;
    let mut worker = Process::start(
        &rig,
        setup(&format!("otlp_endpoint = \"{}\"", collector.url)),
    );
    rig.event_fault(FaultKind::VersionWarning, Platform::Meta, |fault| {
        fault.event_id = Some("order_paid:second".to_owned());
    });
    deliver(&rig, &[traced("first", "00"), order("second")]).await;
    worker.signal("-TERM").await;
    assert_eq!(worker.ended().await, Some(0));
    let spans = collector.spans();
    let [failed, taken] = tries(&spans, "meta", "order_paid:first")[..] else {
        panic!("two tries")
    };
    let application = ("application".to_owned(), trace_of("first"), SPAN.to_owned());
    assert_eq!(links(failed), std::slice::from_ref(&application));
    let earlier = (
        "earlier_try".to_owned(),
        hex(&failed.trace_id),
        hex(&failed.span_id),
    );
    assert_eq!(links(taken), [application, earlier]);
    assert!(
        [failed, taken]
            .iter()
            .all(|span| span.parent_span_id.is_empty())
    );
    // A line that nobody gave a trace to has that of the try in which it was written.
    let log = worker.log();
    let notice = log
        .lines()
        .find(|line| line.contains("version_warning"))
        .expect("told");
    let at_meta = tries(&spans, "meta", "order_paid:second")[0];
    let ids = [hex(&at_meta.trace_id), hex(&at_meta.span_id)];
    assert!(
        ids.iter().all(|id| notice.contains(id)),
        "{ids:?} in {notice}"
    );
    // What is written down links to the try that it is about, and so does what Google says later.
    let at_google = tries(&spans, "google_data_manager", "order_paid:second")[0];
    let delivery = (
        "delivery".to_owned(),
        hex(&at_google.trace_id),
        hex(&at_google.span_id),
    );
    for name in ["settle conversion_outbox", "process google_data_manager"] {
        let of_name = spans.iter().filter(|span| span.name == name);
        assert!(
            of_name.clone().any(|span| links(span).contains(&delivery)),
            "no {name} with {delivery:?}"
        );
    }
}

/// Meta, as far as this test needs it. Remembers the names of all headers it was sent.
async fn listening_meta() -> (String, Arc<Mutex<BTreeSet<String>>>) {
    let heard = Arc::new(Mutex::new(BTreeSet::new()));
    let remembered = heard.clone();
    let answer = async move |headers: HeaderMap, body: Bytes| {
        let names = headers.keys().map(|name| name.as_str().to_owned());
        remembered.lock().expect("whole").extend(names);
        let body: Value = serde_json::from_slice(&body).expect("JSON");
        let count = body["data"].as_array().map_or(0, Vec::len);
        json!({ "events_received": count, "fbtrace_id": "A1" }).to_string()
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let router = Router::new().fallback(post(answer));
    tokio::spawn(async move { axum::serve(listener, router).await.expect("served") });
    (url, heard)
}

/// It takes connections and answers nothing. Orders go out all the same, and the end of the worker does not wait for it. And no
/// platform is told of the application's trace.
#[tokio::test]
async fn a_collector_that_hangs_holds_up_no_delivery() {
    let rig = Rig::new().await;
    let hanging = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", hanging.local_addr().expect("bound"));
    let telemetry = format!("otlp_endpoint = \"{url}\"\notlp_metrics = true");
    let (meta, heard) = listening_meta().await;
    let setup = Setup {
        meta_url: Some(meta.leak()),
        rest: format!("[telemetry]\n{telemetry}\n").leak(),
        ..Setup::default()
    };
    let environment = [
        ("OTEL_BSP_MAX_QUEUE_SIZE", "16"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
    ];
    let mut worker = Process::start_in(&rig, setup, &environment);
    let orders: Vec<Value> = (0..100).map(|n| traced(&format!("o-{n}"), "01")).collect();
    rig.insert(&orders).await;
    rig.until_final().await;
    let metrics = worker.metrics().await;
    assert!(
        !metrics.contains("conversion_outbox_spans_lost_total 0\n"),
        "{metrics}"
    );
    let begun = Instant::now();
    worker.signal("-TERM").await;
    assert_eq!(worker.ended().await, Some(0));
    assert!(
        begun.elapsed() < Duration::from_secs(9),
        "{:?}",
        begun.elapsed()
    );
    let log = worker.log();
    let complaints = log
        .lines()
        .filter(|line| line.contains("telemetry could not be exported"));
    assert_eq!(
        complaints.count(),
        1,
        "one line a minute of spans; of metrics none was tried twice: {log}"
    );
    assert_eq!(rig.count("meta", "accepted").await, 100);
    let heard = heard.lock().expect("whole");
    assert!(heard.contains("content-type"), "{heard:?}");
    for name in ["traceparent", "tracestate", "baggage"] {
        assert!(!heard.contains(name), "{heard:?}");
    }
}
