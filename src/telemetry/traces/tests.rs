use super::super::Telemetry;
use super::receiver::{attribute, exported, spans as spans_of, with_subscriber};
use super::*;

fn resolved(configured: Option<&str>, env: &[(&str, &str)]) -> Option<String> {
    let settings = TelemetrySettings {
        otlp_endpoint: configured.map(str::to_owned),
        ..Default::default()
    };
    endpoint(&settings, &|name| from(env, name)).unwrap()
}

fn from(env: &[(&str, &str)], name: &str) -> Option<String> {
    env.iter()
        .find(|(key, _)| *key == name)
        .map(|(_, value)| (*value).to_owned())
}

#[test]
fn the_endpoint_is_resolved_as_the_specification_says() {
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://base:4318/");
    let signal = (
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "http://signal:4318/custom",
    );
    assert_eq!(resolved(None, &[]), None);
    assert_eq!(
        resolved(None, &[base]).unwrap(),
        "http://base:4318/v1/traces"
    );
    assert_eq!(
        resolved(None, &[base, signal]).unwrap(),
        "http://signal:4318/custom"
    );
    assert_eq!(
        resolved(Some("https://own/otlp"), &[base]).unwrap(),
        "https://own/otlp/v1/traces"
    );
    assert_eq!(
        resolved(Some("https://own/v1/traces"), &[]).unwrap(),
        "https://own/v1/traces"
    );
    assert_eq!(resolved(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]), None);
    assert_eq!(resolved(None, &[base, ("OTEL_SDK_DISABLED", "True")]), None);
    assert_eq!(
        resolved(Some("http://own"), &[("OTEL_TRACES_EXPORTER", "none")]),
        None
    );
}

#[test]
fn a_bad_endpoint_is_named_by_its_origin_and_not_repeated() {
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://user:hunter2@base")];
    let error = endpoint(&TelemetrySettings::default(), &|name| from(&env, name))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("OTEL_EXPORTER_OTLP_ENDPOINT") && !error.contains("hunter2"),
        "{error}"
    );
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
fn no_endpoint_means_no_exporter_and_no_spans() {
    let export =
        Export::start(&TelemetrySettings::default(), &|_| None, Counter::default()).unwrap();
    assert!(export.is_none());
    with_subscriber(export.as_ref(), || {
        assert!(spans::settle(1).is_disabled());
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
    let sent = exported(settings, || drop(spans::settle(1)));
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
        let own = spans::settle(1);
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
fn a_collector_that_is_down_is_counted_and_spoken_of_once_a_minute() {
    let failures = Counter::default();
    let settings = TelemetrySettings {
        // Port 9 of loopback is the discard service; nothing listens on it here.
        otlp_endpoint: Some("http://127.0.0.1:9".into()),
        ..Default::default()
    };
    let export = Export::start(&settings, &|_| None, failures.clone())
        .unwrap()
        .unwrap();
    with_subscriber(Some(&export), || drop(spans::settle(1)));
    export.shutdown();
    assert_eq!(failures.get(), 1);

    let watched = Watched::new((), Counter::default());
    let error = OTelSdkError::InternalFailure("secret".into());
    let start = Instant::now();
    watched.failed(&error, start);
    watched.failed(&error, start + Duration::from_secs(59));
    assert_eq!(*watched.complained.lock().unwrap(), Some(start));
    watched.failed(&error, start + Duration::from_secs(60));
    assert_eq!(
        *watched.complained.lock().unwrap(),
        Some(start + Duration::from_secs(60))
    );
    assert_eq!(watched.failures.get(), 3);
}

/// Both the client's construction and the flush would panic or hang if they ran on the runtime's own thread.
#[tokio::test(flavor = "current_thread")]
async fn it_starts_and_stops_inside_a_runtime_of_one_thread() {
    let settings = TelemetrySettings {
        otlp_endpoint: Some("http://127.0.0.1:9".into()),
        ..Default::default()
    };
    let failures = Counter::default();
    let export = Export::start(&settings, &|_| None, failures.clone()).unwrap();
    with_subscriber(export.as_ref(), || drop(spans::settle(1)));
    Telemetry { export }.shutdown().await;
    assert_eq!(failures.get(), 1);
}
