use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::super::TelemetrySettings;
use super::super::traces::receiver::{attribute, exported, spans, the, with_subscriber};
use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn row(flags: &str) -> RowContext {
    RowContext::parse(Some(&format!("00-{TRACE}-{SPAN}-{flags}")), None).unwrap()
}

fn delivery(attempt: u32, row: Option<&RowContext>) -> Delivery<'_> {
    Delivery {
        destination: "meta_eu",
        event_id: "event-1",
        business_id: "order-1042",
        event_type: "order_paid",
        attempt,
        row,
        earlier: None,
    }
}

fn traced(work: impl FnOnce()) -> Vec<opentelemetry_proto::tonic::trace::v1::Span> {
    spans(&exported(TelemetrySettings::default(), work))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_delivery_links_to_its_row_also_when_the_row_was_not_sampled() {
    for flags in ["00", "01"] {
        let sent = traced(|| {
            let row = row(flags);
            let span = process(&delivery(1, Some(&row)), Relation::Link);
            let place = place(&span, Some(&row), false).unwrap();
            assert_ne!(
                place.stored_id(),
                row.trace_id(),
                "in link mode the delivery has a trace of its own"
            );
            finish(&span, "accepted", None);
        });
        let span = the(&sent, "process meta_eu");
        assert_eq!(span.kind(), SpanKind::Consumer);
        assert!(span.parent_span_id.is_empty());
        assert_eq!(span.links.len(), 1);
        assert_eq!(hex(&span.links[0].trace_id), TRACE);
        assert_eq!(hex(&span.links[0].span_id), SPAN);
        assert_eq!(
            attribute(&span.attributes, "messaging.message.id"),
            "event-1"
        );
        assert_eq!(
            attribute(&span.attributes, "messaging.message.conversation_id"),
            "order-1042"
        );
        assert_eq!(
            attribute(&span.attributes, "conversion_outbox.attempt"),
            "1"
        );
        assert_eq!(
            attribute(&span.attributes, "conversion_outbox.result_class"),
            "accepted"
        );
        assert_eq!(
            span.status.clone().unwrap_or_default().code(),
            StatusCode::Unset
        );
    }
}

#[test]
fn parent_mode_is_for_the_first_attempt_and_keeps_unsampled_rows() {
    let sent = traced(|| {
        let row = row("00");
        let claim = receive();
        received(&claim, [("event-1", Some(row.clone()))].into_iter());
        claim.in_scope(|| {
            let span = process(&delivery(1, Some(&row)), Relation::Parent);
            let place = place(&span, None, false).unwrap();
            assert_eq!(place.stored_id(), row.trace_id());
        });
    });
    let span = the(&sent, "process meta_eu");
    assert_eq!(
        (hex(&span.trace_id), hex(&span.parent_span_id)),
        (TRACE.into(), SPAN.into())
    );
    assert_eq!(span.flags & 0x200, 0x200, "the parent is remote");
    assert_eq!(span.links.len(), 1);

    let sent = traced(|| drop(process(&delivery(2, Some(&row("01"))), Relation::Parent)));
    let retry = the(&sent, "process meta_eu");
    assert!(retry.parent_span_id.is_empty() && retry.links.len() == 1);
}

/// What is stored of a try is its trace id alone, and it must lead to that very span.
#[test]
fn a_retry_links_to_the_span_of_the_try_before() {
    let sent = traced(|| {
        let row = row("01");
        let first = process(&delivery(1, Some(&row)), Relation::Link);
        let stored = place(&first, Some(&row), false).unwrap().stored_id();
        finish(&first, "retry", Some("retry"));
        drop(first);
        let earlier = Place::stored(Some(stored), None);
        let again = Delivery {
            earlier: earlier.as_ref(),
            ..delivery(2, Some(&row))
        };
        finish(&process(&again, Relation::Link), "accepted", None);
        // A first try that was told in the row's own trace is where the row's link leads.
        let in_row = Place::of_row(&row);
        let again = Delivery {
            earlier: Some(&in_row),
            ..again
        };
        finish(&process(&again, Relation::Link), "sent", None);
    });
    let of = |result: &str| {
        let mut found = sent
            .iter()
            .filter(|span| attribute(&span.attributes, "conversion_outbox.result_class") == result);
        found.next().unwrap()
    };
    let (first, second) = (of("retry"), of("accepted"));
    let kinds: Vec<String> = second
        .links
        .iter()
        .map(|link| attribute(&link.attributes, "conversion_outbox.link"))
        .collect();
    assert_eq!(kinds, ["application", "earlier_try"]);
    assert_eq!(second.links[1].trace_id, first.trace_id);
    assert_eq!(second.links[1].span_id, first.span_id);
    assert_ne!(second.trace_id, first.trace_id);
    assert_eq!(of("sent").links.len(), 1);
}

#[test]
fn a_claim_that_found_nothing_leaves_no_span() {
    let sent = traced(|| {
        nothing_received(&receive());
        received(&receive(), [("event-1", None)].into_iter());
    });
    assert_eq!(sent.len(), 1, "{sent:?}");
}

#[test]
fn the_applications_trace_state_comes_along() {
    let sent = traced(|| {
        let text = format!("00-{TRACE}-{SPAN}-01");
        let row = RowContext::parse(Some(&text), Some("vendor=1,other=x")).unwrap();
        drop(process(&delivery(1, Some(&row)), Relation::Parent));
    });
    let span = the(&sent, "process meta_eu");
    assert_eq!(span.trace_state, "vendor=1,other=x");
    assert_eq!(span.links[0].trace_state, "vendor=1,other=x");
}

#[test]
fn a_claim_links_every_row() {
    let sent = traced(|| {
        let row = row("01");
        let rows: Vec<_> = (0..200).map(|_| ("event-1", Some(row.clone()))).collect();
        received(&receive(), rows.into_iter());
    });
    let span = the(&sent, "receive conversion_outbox");
    assert_eq!(span.kind(), SpanKind::Client);
    assert_eq!(span.links.len(), 200);
    assert_eq!(
        attribute(&span.links[0].attributes, "messaging.message.id"),
        "event-1"
    );
    assert_eq!(
        attribute(&span.attributes, "messaging.batch.message_count"),
        "200"
    );
}

#[test]
fn a_request_is_a_child_of_its_delivery_and_shows_no_secret() {
    let sent = traced(|| {
        let span = process(&delivery(1, None), Relation::Link);
        let url =
            Url::parse("https://graph.facebook.com/v25.0/1/events?access_token=EAABtoken").unwrap();
        let request = request("POST", &url, std::slice::from_ref(&span));
        answered(&request, Some(503), None);
        finish(&span, "retry", Some("503"));
    });
    let (span, request) = (the(&sent, "process meta_eu"), the(&sent, "POST"));
    assert_eq!(request.parent_span_id, span.span_id);
    assert_eq!(request.kind(), SpanKind::Client);
    assert_eq!(
        attribute(&request.attributes, "url.full"),
        "https://graph.facebook.com/v25.0/1/events?access_token=REDACTED"
    );
    assert_eq!(attribute(&request.attributes, "server.port"), "443");
    assert_eq!(
        attribute(&request.attributes, "http.response.status_code"),
        "503"
    );
    for span in [span, request] {
        assert_eq!(attribute(&span.attributes, "error.type"), "503");
        assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Error);
    }
}

#[test]
fn a_batch_request_and_its_deliveries_link_each_other() {
    let sent = traced(|| {
        let deliveries = [1, 2].map(|attempt| process(&delivery(attempt, None), Relation::Link));
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        drop(request("POST", &url, &deliveries));
    });
    let request = the(&sent, "POST");
    assert!(request.parent_span_id.is_empty());
    let deliveries: Vec<_> = sent
        .iter()
        .filter(|span| span.name == "process meta_eu")
        .collect();
    assert_eq!(deliveries.len(), 2);
    for delivery in deliveries {
        assert_eq!(delivery.links[0].span_id, request.span_id);
        assert!(
            request
                .links
                .iter()
                .any(|link| link.span_id == delivery.span_id)
        );
    }
}

#[test]
fn a_write_back_links_its_deliveries_and_shows_each_statement() {
    let row = row("01");
    let sent = traced(|| {
        let span = settle([Place::of_row(&row)].into_iter(), 3);
        write_failed(&write(&span), Some("57014"));
        drop(write(&span));
    });
    let settle = the(&sent, "settle conversion_outbox");
    assert_eq!(hex(&settle.links[0].span_id), SPAN);
    assert_eq!(
        settle.status.clone().unwrap_or_default().code(),
        StatusCode::Unset,
        "it was written in the end"
    );
    let mut writes: Vec<_> = sent.iter().filter(|span| span.name == WRITE).collect();
    writes.sort_by_key(|span| span.attributes.len());
    assert!(
        writes
            .iter()
            .all(|span| span.parent_span_id == settle.span_id && span.kind() == SpanKind::Client)
    );
    for (write, code) in writes.iter().zip(["", "57014"]) {
        assert_eq!(attribute(&write.attributes, "db.system.name"), "postgresql");
        assert_eq!(attribute(&write.attributes, "db.query.summary"), WRITE);
        assert_eq!(
            attribute(&write.attributes, "db.response.status_code"),
            code
        );
        assert_eq!(attribute(&write.attributes, "error.type"), code);
    }
}

#[test]
fn a_late_answer_links_what_it_is_about() {
    let row = row("01");
    let sent = traced(|| {
        let span = late("google", &[Place::of_row(&row)], 40);
        let url = Url::parse("http://127.0.0.1:1/").unwrap();
        let question = request("GET", &url, std::slice::from_ref(&span));
        numbered(&question, Some("request-id"), "qTx3".into());
        drop(question);
        finish(&span, "partly_failed", Some("partly_failed"));
    });
    let (late, question) = (the(&sent, "process google"), the(&sent, "GET"));
    assert_eq!(hex(&late.links[0].trace_id), TRACE);
    assert_eq!(question.parent_span_id, late.span_id);
    assert_eq!(
        attribute(&late.attributes, "messaging.batch.message_count"),
        "40"
    );
    let keys: Vec<&str> = question
        .attributes
        .iter()
        .map(|one| one.key.as_str())
        .collect();
    assert!(keys.contains(&"http.response.header.request-id"));
}

#[test]
fn without_an_exporter_the_rows_trace_is_recorded() {
    let row = row("01");
    with_subscriber(None, || {
        // A call site that the thread of another test meets for the first time at this very moment may count as wanted until
        // everybody is asked anew.
        drop(process(&delivery(1, Some(&row)), Relation::Parent));
        tracing::callsite::rebuild_interest_cache();
        let span = process(&delivery(1, Some(&row)), Relation::Parent);
        assert!(span.is_disabled());
        let of_row = place(&span, Some(&row), false).unwrap();
        assert_eq!(of_row.stored_id(), row.trace_id());
        assert_eq!(place(&span, None, false), None);
        nothing_received(&receive());
    });
}

#[test]
fn what_fails_is_recorded_whatever_the_share() {
    let settings = TelemetrySettings {
        sample_ratio: Some(0.0),
        ..TelemetrySettings::default()
    };
    let url = Url::parse("https://graph.facebook.com/v1/events").unwrap();
    let mut told = None;
    let sent = spans(&exported(settings, || {
        let row = row("00");
        let good = process(&delivery(1, Some(&row)), Relation::Link);
        assert_eq!(place(&good, Some(&row), false), Some(Place::of_row(&row)));
        finish(&good, "accepted", None);
        let bad = process(&delivery(2, Some(&row)), Relation::Link);
        answered(
            &request("POST", &url, std::slice::from_ref(&bad)),
            Some(503),
            None,
        );
        told = place(&bad, Some(&row), true);
        finish(&bad, "retry", Some("retry"));
    }));
    let names: Vec<&str> = sent.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["POST", "process meta_eu"]);
    let [request, bad] = [&sent[0], &sent[1]];
    assert_eq!(request.parent_span_id, bad.span_id);
    assert_eq!(bad.flags & 1, 1, "a collector would drop it otherwise");
    let told = told.expect("it is told somewhere");
    assert_eq!(
        (told.trace_id(), told.span_id()),
        (hex(&bad.trace_id), hex(&bad.span_id)),
        "what is stored leads to it"
    );
}
