use super::super::Telemetry;
use super::super::names;
use super::receiver::{attribute, exported, spans as spans_of, with_subscriber};
use super::*;

fn settle() -> tracing::Span {
    spans::settle(std::iter::empty(), 1)
}

fn from(env: &[(&str, &str)], name: &str) -> Option<String> {
    env.iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| (*value).to_owned())
}

#[test]
fn the_standard_sampler_variables_are_read() {
    let ratio = |env: &[(&str, &str)]| ratio_from_env(&|name| from(env, name));
    assert_eq!(ratio(&[]), 1.0);
    assert_eq!(ratio(&[("OTEL_TRACES_SAMPLER", "always_off")]), 0.0);
    let quarter = [
        ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
    ];
    assert_eq!(ratio(&quarter), 0.25);
}

#[test]
fn always_off_means_failures_too() {
    let off = |name: &str| from(&[("OTEL_TRACES_SAMPLER", "always_off")], name);
    assert!(is_off(&TelemetrySettings::default(), &off));
    let failures_alone = TelemetrySettings {
        sample_ratio: Some(0.0),
        ..Default::default()
    };
    assert!(!is_off(&failures_alone, &off) && !is_off(&failures_alone, &|_| None));
}

#[test]
fn no_endpoint_means_no_exporter_and_no_spans() {
    let export =
        Export::start(&TelemetrySettings::default(), &|_| None, Losses::default()).unwrap();
    assert!(export.is_none());
    with_subscriber(export.as_ref(), || {
        // As in the tests of `spans`: another thread may just have met the call site for the first time.
        drop(settle());
        tracing::callsite::rebuild_interest_cache();
        assert!(settle().is_disabled());
        assert!(!tracing::enabled!(target: spans::TARGET, tracing::Level::INFO));
    });
}

#[test]
fn the_resource_says_who_speaks() {
    let settings = TelemetrySettings {
        environment: Some("production".into()),
        service_instance_id: "pod-1".into(),
        ..Default::default()
    };
    let sent = exported(settings, || drop(settle()));
    let resource = sent[0].resource.as_ref().unwrap();
    assert_eq!(
        attribute(&resource.attributes, names::SERVICE_NAME),
        "conversion-outbox"
    );
    assert_eq!(
        attribute(&resource.attributes, names::SERVICE_INSTANCE_ID),
        "pod-1"
    );
    assert_eq!(
        attribute(&resource.attributes, names::DEPLOYMENT_ENVIRONMENT_NAME),
        "production"
    );
    assert_eq!(sent[0].scope_spans[0].schema_url, names::SCHEMA_URL);
}

#[test]
fn only_our_spans_are_exported() {
    let sent = exported(TelemetrySettings::default(), || {
        let own = settle();
        own.in_scope(|| {
            tracing::error_span!(target: "hyper", "foreign")
                .in_scope(|| tracing::error!("not an event of a span"));
        });
    });
    let sent = spans_of(&sent);
    assert_eq!(sent.len(), 1);
    assert!(sent[0].events.is_empty());
}

#[test]
fn a_collector_that_is_down_is_counted() {
    let losses = Losses::default();
    let (failures, lost) = (losses.failures.clone(), losses.lost.clone());
    let settings = TelemetrySettings {
        // Port 9 of loopback is the discard service; nothing listens on it here.
        otlp_endpoint: Some("http://127.0.0.1:9".into()),
        ..Default::default()
    };
    let export = Export::start(&settings, &|_| None, losses)
        .unwrap()
        .unwrap();
    with_subscriber(Some(&export), || drop(settle()));
    export.shutdown();
    assert_eq!((failures.get(), lost.get()), (1, 1));
}

/// A collector's key stays with the collector.
#[test]
fn a_redirect_is_a_failure_and_is_not_followed() {
    let elsewhere = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    elsewhere.set_nonblocking(true).unwrap();
    let collector = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let settings = TelemetrySettings {
        otlp_endpoint: Some(format!("http://{}", collector.local_addr().unwrap())),
        ..Default::default()
    };
    let location = format!("http://{}/v1/traces", elsewhere.local_addr().unwrap());
    let answering = std::thread::spawn(move || {
        use std::io::Write;
        let (mut stream, _) = collector.accept().unwrap();
        super::receiver::read(&stream, "/v1/traces");
        let head = "HTTP/1.1 307 Temporary Redirect\r\nContent-Length: 0\r\nConnection: close";
        write!(stream, "{head}\r\nLocation: {location}\r\n\r\n").unwrap();
    });
    let losses = Losses::default();
    let lost = losses.lost.clone();
    let env = |name: &str| (name == "OTEL_EXPORTER_OTLP_TIMEOUT").then(|| "2000".to_owned());
    let export = Export::start(&settings, &env, losses).unwrap().unwrap();
    with_subscriber(Some(&export), || drop(settle()));
    export.shutdown();
    answering.join().unwrap();
    assert_eq!(lost.get(), 1);
    assert!(elsewhere.accept().is_err(), "the spans went elsewhere");
}

/// It takes the connection and never answers. Spans find no room, and the end of the process does not wait for it.
#[test]
fn a_collector_that_hangs_costs_spans_and_no_time() {
    let hanging = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let settings = TelemetrySettings {
        otlp_endpoint: Some(format!("http://{}", hanging.local_addr().unwrap())),
        ..Default::default()
    };
    let losses = Losses::default();
    let lost = losses.lost.clone();
    let env = |name: &str| (name == "OTEL_BSP_MAX_QUEUE_SIZE").then(|| "512".to_owned());
    let export = Export::start(&settings, &env, losses).unwrap().unwrap();
    let begun = std::time::Instant::now();
    with_subscriber(Some(&export), || {
        // A first batch hangs at the collector, a second one fills the queue, and the rest is one too many each.
        (0..3000).for_each(|_| drop(settle()));
    });
    assert!(begun.elapsed() < Duration::from_secs(2), "nothing waits");
    assert!(lost.get() >= 3000 - 2 * 512, "{}", lost.get());
    export.shutdown_within(Duration::from_millis(200));
    assert!(begun.elapsed() < Duration::from_secs(4));
    assert!(
        lost.get() >= 3000 - 512,
        "what is left at the end is counted too"
    );
    drop(hanging);
}

/// Both the client's construction and the flush would panic or hang if they ran on the runtime's own thread.
#[tokio::test(flavor = "current_thread")]
async fn it_starts_and_stops_inside_a_runtime_of_one_thread() {
    let settings = TelemetrySettings {
        otlp_endpoint: Some("http://127.0.0.1:9".into()),
        ..Default::default()
    };
    let losses = Losses::default();
    let failures = losses.failures.clone();
    let export = Export::start(&settings, &|_| None, losses).unwrap();
    with_subscriber(export.as_ref(), || drop(settle()));
    Telemetry {
        export,
        metrics: None,
    }
    .shutdown()
    .await;
    assert_eq!(failures.get(), 1);
}
