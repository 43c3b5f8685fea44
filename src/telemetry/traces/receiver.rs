//! A collector for tests: takes OTLP over HTTP on loopback and hands out the spans it was sent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;

use super::super::{LogStream, subscriber};
use super::*;

/// Everything the exporter sends for the spans made in `work`.
pub(in crate::telemetry) fn exported(
    settings: TelemetrySettings,
    work: impl FnOnce(),
) -> Vec<ResourceSpans> {
    let collector = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let settings = TelemetrySettings {
        otlp_endpoint: Some(format!("http://{}", collector.local_addr().unwrap())),
        ..settings
    };
    let received = receive(collector);
    let export = Export::start(&settings, &|_| None, Losses::default())
        .unwrap()
        .unwrap();
    with_subscriber(Some(&export), work);
    export.shutdown();
    received
        .try_iter()
        .flat_map(|request| request.resource_spans)
        .collect()
}

/// Does `work` under the subscriber of a real process, with logs off.
pub(in crate::telemetry) fn with_subscriber(export: Option<&Export>, work: impl FnOnce()) {
    let settings = TelemetrySettings {
        filter: "off".into(),
        ..Default::default()
    };
    let subscriber = subscriber(export, &settings, LogStream::Stderr, &|_| None).unwrap();
    tracing::subscriber::with_default(subscriber, work);
}

/// The spans alone.
pub(in crate::telemetry) fn spans(exported: &[ResourceSpans]) -> Vec<Span> {
    exported
        .iter()
        .flat_map(|resource| &resource.scope_spans)
        .flat_map(|scope| scope.spans.clone())
        .collect()
}

/// The only span of this name.
pub(in crate::telemetry) fn the<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let mut found = spans.iter().filter(|span| span.name == name);
    let span = found
        .next()
        .unwrap_or_else(|| panic!("no span {name} in {spans:?}"));
    assert!(found.next().is_none(), "more than one span {name}");
    span
}

/// An attribute as text; empty when missing.
pub(in crate::telemetry) fn attribute(attributes: &[KeyValue], key: &str) -> String {
    let value = attributes
        .iter()
        .find(|attribute| attribute.key == key)
        .and_then(|found| found.value.clone());
    match value.and_then(|value| value.value) {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => panic!("{key} is {other:?}"),
        None => String::new(),
    }
}

/// Hands every request out before it answers it, so that what is flushed has been received.
fn receive(collector: TcpListener) -> Receiver<ExportTraceServiceRequest> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for stream in collector.incoming() {
            let mut stream = stream.unwrap();
            let body = read(&stream, "/v1/traces");
            if sender
                .send(ExportTraceServiceRequest::decode(&body[..]).unwrap())
                .is_err()
            {
                return;
            }
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
        }
    });
    receiver
}

/// The body of one request to this path.
pub(in crate::telemetry) fn read(stream: &TcpStream, path: &str) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines().map(Result::unwrap);
    let first = lines.next().unwrap();
    assert!(first.starts_with(&format!("POST {path} ")), "{first}");
    let length: Option<usize> = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            line.to_lowercase()
                .strip_prefix("content-length:")?
                .trim()
                .parse()
                .ok()
        })
        .last();
    let mut body = vec![0; length.unwrap()];
    reader.read_exact(&mut body).unwrap();
    body
}
