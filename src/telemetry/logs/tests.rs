use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::layer::SubscriberExt;

use super::*;

/// Everything logged inside `work`, as text.
fn logged(format: LogFormat, filter: &str, work: impl FnOnce()) -> String {
    let buffer = Buffer::default();
    let sink = buffer.clone();
    let layer = to_writer(
        format,
        filter.parse().unwrap(),
        BoxMakeWriter::new(move || sink.clone()),
    );
    tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), work);
    String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap()
}

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl io::Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_json_line_parses_and_keeps_types_and_order() {
    let event_id = "5f2b9c0d".repeat(4);
    let text = logged(LogFormat::Json, "info", || {
        tracing::info!(
            event_id,
            attempt = 2,
            code = 200_u16,
            "delivery \"settled\"\nhere"
        );
    });
    assert_eq!(text.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["level"], "INFO");
    assert_eq!(line["msg"], "delivery \"settled\"\nhere");
    assert_eq!(line["event_id"], event_id, "identifiers are not scrubbed");
    assert_eq!(line["attempt"], 2);
    assert!(text.starts_with(r#"{"ts":""#));
    assert!(
        line["target"]
            .as_str()
            .unwrap()
            .starts_with("conversion_outbox")
    );
}

#[test]
fn text_is_scrubbed_in_both_formats() {
    let error = io::Error::other("refused for jane@example.com");
    for format in [LogFormat::Json, LogFormat::Pretty] {
        let text = logged(format, "info", || {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "saw jane@example.com"
            );
            tracing::warn!(error = %error, body = ?"jane@example.com", "again");
        });
        assert!(!text.contains("jane"), "{text}");
        assert!(text.contains("refused for"), "{text}");
    }
}

#[test]
fn dependencies_are_capped_whatever_the_filter_says() {
    let text = logged(
        LogFormat::Json,
        "trace,hyper::proto=trace,tokio_postgres=debug",
        || {
            tracing::trace!(target: "hyper::proto", "body");
            tracing::debug!(target: "tokio_postgres", "row");
            tracing::info!(target: "rustls", "hello");
            tracing::warn!(target: "hyper", "heard");
            tracing::trace!(target: "conversion_outbox::worker", "own");
        },
    );
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("heard") && text.contains("own"));
}

#[test]
fn spans_are_not_created_for_logs() {
    logged(LogFormat::Json, "trace", || {
        assert!(tracing::error_span!("any").is_disabled());
    });
}

#[test]
fn rust_log_wins_and_a_bad_filter_names_its_origin() {
    let settings = TelemetrySettings {
        filter: "warn".into(),
        ..Default::default()
    };
    let read = |value: &'static str| {
        wanted(&settings, &move |name| {
            (name == "RUST_LOG").then(|| value.to_owned())
        })
    };
    assert_eq!(read("debug").unwrap().to_string(), "debug");
    assert_eq!(read("").unwrap().to_string(), "warn");
    assert!(
        read("conversion_outbox=lots")
            .unwrap_err()
            .to_string()
            .contains("RUST_LOG")
    );
}

#[test]
fn a_line_names_the_trace_it_belongs_to_unless_the_caller_does() {
    use crate::telemetry::context::RowContext;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let _guard = RowContext::parse(Some(traceparent), None)
        .unwrap()
        .as_parent()
        .attach();
    let text = logged(LogFormat::Json, "info", || {
        tracing::info!("in a span");
        tracing::info!(trace_id = "of the row", "by hand");
    });
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].contains(
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7""#
        )
    );
    assert!(lines[1].contains(r#""trace_id":"of the row""#) && !lines[1].contains("span_id"));
}

#[test]
fn a_panic_says_where_and_not_what() {
    let text = logged(LogFormat::Json, "info", || {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(report));
        let caught = std::panic::catch_unwind(|| panic!("jane and her secret"));
        std::panic::set_hook(before);
        assert!(caught.is_err());
    });
    assert!(text.contains("logs/tests.rs:"), "{text}");
    assert!(!text.contains("jane"), "{text}");
}
