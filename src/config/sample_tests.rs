//! The sample in `deploy/`: it loads, each key in its comments is one, and the defaults it tells are the defaults.

use super::*;

const SAMPLE: &str = include_str!("../../deploy/conversion-outbox.toml");

#[test]
fn the_sample_is_the_default() {
    let sample = parse(SAMPLE, &[]).expect("the sample is valid");
    let names: Vec<&str> = sample
        .destinations
        .iter()
        .map(|destination| destination.name.as_str())
        .collect();
    assert_eq!(names, ["meta", "ga4", "google", "google-ads", "linkedin"]);
    assert_eq!(sample.worker, WorkerConfig::default());
    assert_eq!(sample.http, HttpConfig::default());
    assert_eq!(sample.admin, Some(AdminConfig::default()));
    assert_eq!(sample.reconcile, []);
}

/// The sample with its comments taken off the keys, but for some.
fn uncommented(except: &[&str]) -> String {
    SAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if ["[destination.", "[admin]", "[[reconcile]]"]
                    .iter()
                    .any(|head| rest.starts_with(head)) =>
            {
                rest
            }
            Some(rest) => match rest.split_once(" = ") {
                Some((key, _)) if !except.contains(&key) && !key.contains([' ', ':', ',']) => rest,
                _ => line,
            },
            None => line,
        })
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[test]
fn every_documented_key_is_one() {
    // What these need stands beside them: another environment, another credential, another refund_mode.
    let all = uncommented(&["test_event_code", "oauth", "adjusts_destination"]);
    assert!(all.contains("\nshared_conversions = ") && all.contains("\nquota_project = "));
    parse(&all, &[]).unwrap_or_else(|faults| panic!("{faults}"));
}

/// Uncommenting a documented default must change nothing; this keeps the comments true.
#[test]
fn the_documented_defaults_are_the_defaults() {
    let without_default = [
        "age_max_hours",
        "otlp_endpoint",
        "trace_url",
        "sample_ratio",
        "default_calling_code",
        "subject_key",
        "former_subject_keys",
        "test_event_code",
        "partner_agent",
        "data_processing_options",
        "data_processing_options_country",
        "data_processing_options_state",
        "events",
        "routes",
        "shared_conversions",
        "credential_expires",
        "on_ambiguous",
        "allow_test_event_code",
        "login_account",
        "login_customer_id",
        "event_source",
        "merchant_id",
        "merchant_feed_label",
        "merchant_feed_language",
        "quota_project",
        "adjusts_destination",
        "oauth",
        "token",
        "database_url",
        "destinations",
    ];
    let uncommented = uncommented(&without_default);
    assert!(uncommented.contains("\npool_size = 4") && uncommented.contains("\nmode = \"live\""));
    let expected = parse(SAMPLE, &[]).expect("the sample is valid");
    let mut found = parse(&uncommented, &[]).unwrap_or_else(|faults| panic!("{faults}"));
    // What is configured as by default is configured.
    if let Some(admin) = &mut found.admin {
        admin.is_default = true;
    }
    // What its entry says beyond what must be said is what would hold anyway.
    let [entry] = found.reconcile.as_slice() else {
        panic!("one entry is documented")
    };
    let (name, event, query) = (&entry.name, &entry.event, &entry.query);
    let least = format!(
        "[database]\nurl = {{ env = \"X\" }}\n[[reconcile]]\nname = \"{name}\"\nevent = \"{event}\"\nquery = \"{query}\""
    );
    assert_eq!(
        found.reconcile,
        parse(&least, &[]).expect("valid").reconcile
    );
    found.reconcile.clear();
    // The sample spells the default action sources out.
    for destination in &mut found.destinations {
        // A platform that is not asked for reports has no defaults for that; one that is has these.
        let platform = destination.platform();
        if let Some(report) = destination.report.take() {
            assert_eq!(report.final_after, crate::reports::delay(platform));
            assert_eq!(report.base_url.scheme(), "https");
        } else {
            assert_eq!(platform, crate::destinations::Platform::GoogleAds);
        }
        if let Settings::Meta(settings) = &mut destination.settings {
            assert_eq!(
                settings.action_source("deal_won"),
                meta::ActionSource::SystemGenerated
            );
            settings.action_sources.clear();
        }
    }
    assert_eq!(found, expected);
}
