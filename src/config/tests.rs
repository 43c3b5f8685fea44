//! The configuration as a whole: the sample, defaults, overlay, many faults at once, and no secret in any output.

use std::time::Duration;

use super::*;
use crate::consent::{Kind, Signal};
use crate::destinations::{Settings, ga4, meta};

#[path = "sample_tests.rs"]
mod sample;

const MINIMAL: &str = r#"
[database]
url = { env = "DATABASE_URL" }
[[destination]]
name = "meta-eu"
platform = "meta"
dataset_id = "1"
access_token = { file = "/run/token" }
[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "G-1"
api_secret = { env = "GA4_SECRET" }
"#;

fn parse(text: &str, variables: &[(&str, &str)]) -> Result<Config, Faults> {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Config::parse(text, "config.toml", variables)
}

fn minimal_with(more: &str) -> String {
    MINIMAL.replace(
        "dataset_id = \"1\"\n",
        &format!("dataset_id = \"1\"\n{more}\n"),
    )
}

/// Exactly these faults, each by the start of its line.
#[track_caller]
fn check_faults(text: &str, variables: &[(&str, &str)], expected: &[&str]) {
    let report = parse(text, variables)
        .expect_err("there are faults")
        .to_string();
    let lines: Vec<&str> = report.lines().collect();
    assert_eq!(lines.len(), expected.len(), "{report}");
    for (line, start) in lines.iter().zip(expected) {
        assert!(line.starts_with(start), "expected {start}\nfound    {line}");
    }
}

#[test]
fn a_minimal_file_gets_the_defaults() {
    let config = parse(MINIMAL, &[]).expect("valid");
    assert_eq!(config.worker, WorkerConfig::default());
    let [meta, ga4] = &config.destinations[..] else {
        panic!("two destinations")
    };
    assert_eq!(
        (meta.batch_size, ga4.batch_size, meta.concurrency),
        (50, 1, 4)
    );
    assert_eq!(meta.base_url.as_str(), "https://graph.facebook.com/");
    assert!(!meta.fields.contains(&Kind::Demographics) && meta.fields.contains(&Kind::Email));
    assert_eq!(
        Vec::from_iter(meta.consent.requires(Kind::ClickId)),
        [&Signal::AdStorage, &Signal::AdUserData]
    );
    assert_eq!(
        Vec::from_iter(ga4.consent.requires(Kind::Email)),
        [&Signal::AnalyticsStorage, &Signal::AdUserData]
    );
    assert!(!meta.consent.unspecified_is_granted && meta.consent.gpc_denies_ads);
    let Settings::Ga4(settings) = &ga4.settings else {
        panic!("a GA4 stream")
    };
    assert_eq!(
        (settings.mode, settings.synthetic_client_id),
        (ga4::Mode::Live, false)
    );
}

#[test]
fn variables_win_over_the_file_and_the_file_over_defaults() {
    let text = MINIMAL.replace(
        "[[destination]]\nname = \"meta-eu\"",
        "[worker]\nlease_secs = 90\nsweep_secs = 7\n[[destination]]\nname = \"meta-eu\"",
    );
    let config = parse(
        &text,
        &[
            ("CONVERSION_OUTBOX__WORKER__LEASE_SECS", "120"),
            ("CONVERSION_OUTBOX__DATABASE__URL__FILE", "/run/url"),
            ("CONVERSION_OUTBOX__HTTP__LISTEN", "0.0.0.0:80"),
            ("CONVERSION_OUTBOX__DESTINATION__META_EU__ENABLED", "false"),
            (
                "CONVERSION_OUTBOX__DESTINATION__META_EU__EVENTS__ORDER_PAID",
                "Purchase",
            ),
            (
                "CONVERSION_OUTBOX__DESTINATION__META_EU__EVENTS__PURCHASE",
                "false",
            ),
            (
                "CONVERSION_OUTBOX__DESTINATION__META_EU__FIELDS",
                "email, phone",
            ),
            ("PATH", "/bin"),
        ],
    )
    .unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(
        (config.worker.lease, config.worker.sweep),
        (Duration::from_secs(120), Duration::from_secs(7))
    );
    assert_eq!(config.worker.drain, WorkerConfig::default().drain);
    assert_eq!(config.database.url.to_string(), "file /run/url");
    assert_eq!(config.http.listen.port(), 80);
    let meta = &config.destinations[0];
    assert!(!meta.is_enabled);
    assert_eq!(meta.events["order_paid"].as_deref(), Some("Purchase"));
    assert_eq!(meta.events["purchase"], None);
    assert_eq!(
        Vec::from_iter(&meta.fields),
        [&Kind::Event, &Kind::Email, &Kind::Phone]
    );
}

#[test]
fn faults_of_variables_name_the_variable() {
    check_faults(
        MINIMAL,
        &[
            ("CONVERSION_OUTBOX__DESTINATION__GA4__API_SECRET", "canary"),
            ("CONVERSION_OUTBOX__DESTINATION__LINKEDIN__ENABLED", "true"),
            ("CONVERSION_OUTBOX__WORKER_LEASE_SECS", "1"),
            ("CONVERSION_OUTBOX__WORKER__LEASE_SEC", "60"),
            ("CONVERSION_OUTBOX__WORKER__SWEEP_SECS", "often"),
        ],
        &[
            "environment variable CONVERSION_OUTBOX__DESTINATION__GA4__API_SECRET: destination \"ga4\": api_secret must be a reference, not a literal. Fix: set CONVERSION_OUTBOX__DESTINATION__GA4__API_SECRET__FILE",
            "environment variable CONVERSION_OUTBOX__DESTINATION__LINKEDIN__ENABLED: names a destination that the file does not have",
            "environment variable CONVERSION_OUTBOX__WORKER_LEASE_SECS: worker_lease_secs is not a known key",
            "environment variable CONVERSION_OUTBOX__WORKER__LEASE_SEC: worker.lease_sec is not a known key. Fix: did you mean lease_secs?",
            "environment variable CONVERSION_OUTBOX__WORKER__SWEEP_SECS: worker.sweep_secs must be a whole number",
        ],
    );
}

#[test]
fn all_faults_are_reported_at_once_by_line() {
    let text = r#"
[database]
insecure = "no"
[worker]
lease_secs = 15
drain_secs = 5
lese_secs = 1
[[destination]]
name = "Meta"
platform = "mta"
whatever = 1
[[destination]]
name = "meta"
platform = "meta"
access_token = "EAAcanary"
version = "26"
partner_agent = "1"
routes = { events = [] }
consent = { email = [], gpc = "no" }
events = { order_paid = "Purchase", purchase = "Purchase" }
base_url = "http://example.com"
[[destination]]
name = "meta"
platform = "ga4"
measurement_id = "123"
firebase_app_id = "1:2"
api_secret = { file = "/a", env = "B" }
events = { lead_created = "session_start" }
"#;
    check_faults(
        text,
        &[],
        &[
            "config.toml:2: database.url is required",
            "config.toml:3: database.insecure must be true or false",
            "config.toml:5: worker.lease_secs must exceed request_timeout_secs by 10",
            "config.toml:6: worker.drain_secs must not be below request_timeout_secs",
            "config.toml:7: worker.lese_secs is not a known key. Fix: did you mean lease_secs?",
            "config.toml:9: destination number 1: name must be 1 to 40 characters",
            "config.toml:10: destination number 1: platform must be one of \"meta\", \"ga4\", \"google_data_manager\", \"google_ads\", \"linkedin\". Fix: did you mean \"meta\"?",
            "config.toml:12: destination \"meta\": dataset_id is required",
            "config.toml:15: destination \"meta\": access_token must be a reference, not a literal",
            "config.toml:16: destination \"meta\": version must look like v26.0",
            "config.toml:17: destination \"meta\": partner_agent must be shorter",
            "config.toml:18: destination \"meta\": routes.events must not be empty",
            "config.toml:19: destination \"meta\": consent.email must name at least one signal",
            "config.toml:19: destination \"meta\": consent.gpc must be one of",
            "config.toml:20: destination \"meta\": events maps order_paid and purchase to the same conversion",
            "config.toml:21: destination \"meta\": base_url must be an https address",
            "config.toml:23: destination \"meta\": name is taken by a destination above",
            "config.toml:25: destination \"meta\": measurement_id must be G-",
            "config.toml:26: destination \"meta\": firebase_app_id belongs to an app stream",
            "config.toml:27: destination \"meta\": api_secret.file or env: exactly one",
            "config.toml:28: destination \"meta\": events holds a name the platform does not take",
        ],
    );
}

#[test]
fn a_refund_is_never_counted_as_a_conversion() {
    let fault = "config.toml:8: destination \"meta-eu\": events maps a refund or cancellation";
    for events in [
        "order_refunded = \"Purchase\"",
        "booking_cancelled = \"Own\", deal_won = \"Own\"",
    ] {
        check_faults(
            &minimal_with(&format!("events = {{ {events} }}")),
            &[],
            &[fault],
        );
    }
    for events in ["order_refunded = \"Refund\"", "order_refunded = false"] {
        let text = minimal_with(&format!("events = {{ {events} }}"));
        assert!(parse(&text, &[]).is_ok(), "{events}");
    }
    let ga4 = |name: &str| {
        let text = format!("{MINIMAL}events = {{ order_cancelled = \"{name}\" }}\n");
        parse(&text, &[]).is_ok()
    };
    assert!(ga4("refund") && !ga4("purchase"));
}

#[test]
fn a_name_that_no_event_has_is_a_fault() {
    let lines = "routes = { events = [\"orderPaid\"] }\nevents = { order-paid = \"Purchase\" }";
    check_faults(
        &minimal_with(lines),
        &[],
        &[
            "config.toml:8: destination \"meta-eu\": routes.events names what no event is called: orderPaid",
            "config.toml:9: destination \"meta-eu\": events maps order-paid and",
            "config.toml:9: destination \"meta-eu\": events names what no event is called: order-paid",
        ],
    );
    let google = "[[destination]]\nname = \"google\"\nplatform = \"google_ads\"\ncustomer_id = \"1\"\n\
                  service_account = { file = \"/run/key\" }\nconversion_actions = { \"Order Paid\" = \"7\" }\n";
    check_faults(
        &format!("{MINIMAL}{google}"),
        &[],
        &[
            "config.toml:19: destination \"google\": conversion_actions names what no event is called: Order Paid",
        ],
    );
}

#[test]
fn an_id_that_is_none_is_named_with_its_event_and_place() {
    let google = "[[destination]]\nname = \"google\"\nplatform = \"google_data_manager\"\noperating_account = \"1\"\n\
                  service_account = { file = \"/run/key\" }\nconversion_actions = { order_paid = \"7\" }\n\
                  events = { lead_created = \"AW-1/x\" }\n";
    let variable = "CONVERSION_OUTBOX__DESTINATION__GOOGLE__CONVERSION_ACTIONS__DEAL_WON";
    check_faults(
        &format!("{MINIMAL}{google}"),
        &[(variable, "AW-1/x")],
        &[
            "config.toml:20: destination \"google\": events holds a name the platform does not take, for lead_created. Fix: write the id of a conversion action",
            &format!(
                "environment variable {variable}: destination \"google\": conversion_actions.deal_won must be a conversion action's id"
            ),
        ],
    );
}

#[test]
fn names_are_unique_also_as_variables() {
    let text = MINIMAL.replace("\"ga4\"\nplatform", "\"meta_eu\"\nplatform");
    check_faults(
        &text,
        &[],
        &["config.toml:10: destination \"meta_eu\": name is taken"],
    );
}

#[test]
fn test_codes_are_refused_in_production_only() {
    let code = "test_event_code = \"TEST1\"";
    let production = "\n[telemetry]\nenvironment = \"production\"\n";
    assert!(parse(&minimal_with(code), &[]).is_ok());
    check_faults(
        &(minimal_with(code) + production),
        &[],
        &["config.toml:8: destination \"meta-eu\": test_event_code must not be set"],
    );
    let allowed = minimal_with(&format!("{code}\nallow_test_event_code = true")) + production;
    assert!(parse(&allowed, &[]).is_ok());
}

#[test]
fn the_page_of_a_trace_has_one_place_for_its_id() {
    let with = |url: &str| format!("{MINIMAL}\n[telemetry]\ntrace_url = \"{url}\"\n");
    let id = "4bf92f3577b34da6a3ce929d0e0e4736";
    let telemetry = parse(&with("https://tempo.example/t/{trace_id}?org=1"), &[])
        .expect("valid")
        .telemetry;
    let url = format!("https://tempo.example/t/{id}?org=1");
    assert_eq!(telemetry.trace_url(id), Some(url));
    for no_id in [
        "",
        "4bf9",
        &id.to_uppercase(),
        &format!("{id}0"),
        "<script>alert(1)</script>_______",
    ] {
        assert_eq!(telemetry.trace_url(no_id), None, "{no_id}");
    }
    let unset = parse(MINIMAL, &[]).expect("valid").telemetry;
    assert_eq!(unset.trace_url(id), None);
    for wrong in [
        "https://tempo.example/t/",
        "https://tempo.example/{trace_id}/{trace_id}",
        "javascript:alert('{trace_id}')",
        "file:///{trace_id}",
        "tempo.example/{trace_id}",
        "https://{trace_id}/",
    ] {
        let faults = parse(&with(wrong), &[]).expect_err(wrong).to_string();
        assert!(
            faults.contains("trace_url must be an http or https address"),
            "{faults}"
        );
    }
}

#[test]
fn limited_data_use_is_checked() {
    let read = |more: &str| {
        parse(&minimal_with(more), &[]).map(|config| match &config.destinations[0].settings {
            Settings::Meta(settings) => settings.data_processing,
            _ => None,
        })
    };
    assert_eq!(read(""), Ok(None));
    assert_eq!(
        read("data_processing_options = []"),
        Ok(Some(meta::DataProcessing::Off))
    );
    let california = "data_processing_options = [\"LDU\"]\ndata_processing_options_country = 1\ndata_processing_options_state = 1000";
    assert_eq!(
        read(california),
        Ok(Some(meta::DataProcessing::Limited {
            country: 1,
            state: 1000
        }))
    );
    assert!(read("data_processing_options_state = 1000").is_err());
    assert!(
        read("data_processing_options = [\"LDU\"]\ndata_processing_options_state = 7").is_err()
    );
    assert!(read("data_processing_options = []\ndata_processing_options_country = 1").is_err());
}

#[test]
fn addresses_must_be_encrypted_unless_of_this_machine() {
    for (url, is_valid) in [
        ("https://example.com/v1", true),
        ("http://127.0.0.1:8080", true),
        ("http://[::1]:8080", true),
        ("http://localhost:8080", true),
        ("http://example.com", false),
        ("https://user:canary@example.com", false),
        ("https://example.com?token=canary", false),
        ("ftp://localhost", false),
    ] {
        let result = parse(&minimal_with(&format!("base_url = \"{url}\"")), &[]);
        assert_eq!(result.is_ok(), is_valid, "{url}");
    }
}

#[test]
fn no_value_is_ever_repeated() {
    for text in [
        minimal_with("partner_agent = \"CANARY-0123456789-0123456789\""),
        minimal_with("test_event_code = [\"CANARY\"]"),
        minimal_with("token_in = \"CANARY\""),
        minimal_with("version = \"CANARY\""),
        MINIMAL.replace("{ file = \"/run/token\" }", "\"CANARY\""),
        MINIMAL.replace("{ file = \"/run/token\" }", "\"CANARY"),
        MINIMAL.replace("{ file = \"/run/token\" }", "CANARY"),
        MINIMAL.replace("{ file = \"/run/token\" }", "{ file = [\"CANARY\"] }"),
        MINIMAL.replace("{ env = \"DATABASE_URL\" }", "\"postgres://u:CANARY@db/x\""),
    ] {
        let faults = parse(&text, &[]).expect_err(&text);
        assert!(
            !format!("{faults} {faults:?}").contains("CANARY"),
            "{faults}"
        );
    }
}

#[test]
fn faults_of_syntax_have_their_lines() {
    check_faults(
        "[database]\nurl = \n[worker\n",
        &[],
        &[
            "config.toml:2: is not valid TOML",
            "config.toml:3: is not valid TOML",
        ],
    );
}

#[test]
fn a_missing_file_is_a_fault() {
    let report = Config::load(Path::new("/nowhere/config.toml"), [])
        .expect_err("no file")
        .to_string();
    assert!(
        report.starts_with("/nowhere/config.toml: the file cannot be read"),
        "{report}"
    );
}

const GOOGLE: &str = r#"
[[destination]]
name = "google"
platform = "google_data_manager"
operating_account = "1234567890"
service_account = { file = "/run/key.json" }
conversion_actions = { order_paid = "1" }
"#;

#[test]
fn a_limit_of_requests_is_the_documented_one_or_the_configured_one() {
    let limit = |text: &str, name: &str| {
        let config = parse(text, &[]).unwrap_or_else(|faults| panic!("{faults}"));
        let found = config.destinations.into_iter().find(|one| one.name == name);
        let limit = found.expect("it is there").rate_limit;
        limit.map(|limit| (limit.group, limit.requests, limit.per.as_secs()))
    };
    let google = format!("{MINIMAL}{GOOGLE}");
    assert_eq!(limit(&google, "meta-eu"), None, "Meta documents none");
    let of_project = Some(("google_data_manager".to_owned(), 300, 60));
    assert_eq!(limit(&google, "google"), of_project);
    let named = format!("{google}quota_project = \"mine\"\n");
    assert_eq!(
        limit(&named, "google").map(|limit| limit.0),
        Some("google_data_manager mine".to_owned())
    );
    let own = minimal_with("rate_limit = { requests = 5, per_secs = 1 }");
    assert_eq!(limit(&own, "meta-eu"), Some(("meta-eu".to_owned(), 5, 1)));
    let shared = minimal_with("rate_limit = { requests = 5, group = \"both\" }");
    assert_eq!(limit(&shared, "meta-eu"), Some(("both".to_owned(), 5, 60)));
}

#[test]
fn destinations_of_one_group_have_one_limit() {
    let text = format!(
        "{}rate_limit = {{ requests = 6, group = \"both\" }}\n",
        minimal_with("rate_limit = { requests = 5, group = \"both\" }")
    );
    check_faults(
        &text,
        &[],
        &[
            "config.toml:15: destination \"ga4\": rate_limit differs from that of another destination of the same group",
        ],
    );
    let text = minimal_with("rate_limit = { per_secs = 60 }");
    let report = parse(&text, &[]).expect_err("there is a fault").to_string();
    assert!(
        report.contains("rate_limit.requests is required"),
        "{report}"
    );
}
