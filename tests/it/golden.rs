//! One event in, the exact request out, for every file under `tests/fixtures/<platform>`.
//!
//! A file says `about`, `now`, the `event` as an application writes it, and what is `expected` of `preview`; `destination`
//! adds lines to the destination's configuration, `withdrawn` names signals taken back, `original` is the event that this
//! one adjusts, `earlier` are reversals of it that came before. Hashes in there were made with Python's `hashlib`, not with
//! this program.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use conversion_outbox::config::Config;
use conversion_outbox::consent::Signal;
use conversion_outbox::decide::Surroundings;
use conversion_outbox::event::OutboxEvent;
use conversion_outbox::preview::{given_original, preview, row, supposed_original};
use serde::Deserialize;
use serde_json::{Map, Value};

const META: &str = "
[[destination]]
name = \"meta\"
platform = \"meta\"
dataset_id = \"1234567890\"
access_token = { env = \"NOT_SET\" }
";

const GA4: &str = "
[[destination]]
name = \"ga4\"
platform = \"ga4\"
measurement_id = \"G-ABC1234567\"
api_secret = { env = \"NOT_SET\" }
";

const LINKEDIN: &str = "
[[destination]]
name = \"linkedin\"
platform = \"linkedin\"
ad_account = \"512345678\"
rules = { order_paid = \"104012\", lead_created = \"104013\" }
access_token = { env = \"NOT_SET\" }
";

const GOOGLE_DATA_MANAGER: &str = "
[[destination]]
name = \"google\"
platform = \"google_data_manager\"
operating_account = \"1234567890\"
service_account = { env = \"NOT_SET\" }
conversion_actions = { order_paid = \"7712337565\", lead_created = \"7712337566\" }
";

const GOOGLE_ADS: &str = "
[[destination]]
name = \"google-ads\"
platform = \"google_ads\"
customer_id = \"1234567890\"
service_account = { env = \"NOT_SET\" }
conversion_actions = { order_paid = \"7712337565\", lead_created = \"7712337566\" }
";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    about: String,
    now: DateTime<Utc>,
    #[serde(default)]
    destination: String,
    #[serde(default)]
    withdrawn: Vec<String>,
    event: Map<String, Value>,
    original: Option<Map<String, Value>>,
    #[serde(default)]
    earlier: Vec<Map<String, Value>>,
    expected: Value,
}

#[test]
fn meta_requests_are_exact() {
    run_all("meta", META);
}

#[test]
fn ga4_requests_are_exact() {
    run_all("ga4", GA4);
}

#[test]
fn linkedin_requests_are_exact() {
    run_all("linkedin", LINKEDIN);
}

#[test]
fn google_data_manager_requests_are_exact() {
    run_all("google_data_manager", GOOGLE_DATA_MANAGER);
}

#[test]
fn google_ads_requests_are_exact() {
    run_all("google_ads", GOOGLE_ADS);
}

fn run_all(platform: &str, destination: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(platform);
    let files: Vec<_> = fs::read_dir(folder)
        .expect("fixtures")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert!(files.len() >= 15, "too few fixtures for {platform}");
    let failures: Vec<String> = files
        .iter()
        .filter_map(|file| failure(file, destination))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
}

fn failure(file: &Path, destination: &str) -> Option<String> {
    let text = fs::read_to_string(file).expect("readable");
    let case: Case =
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let head = "[database]\nurl = { env = \"NOT_SET\" }\n[identity]\ndefault_calling_code = 49\n";
    let toml = format!("{head}{destination}{}", case.destination);
    let config = Config::parse(&toml, "fixture", [])
        .unwrap_or_else(|faults| panic!("{}: {faults}", file.display()));
    let read = |columns| -> OutboxEvent {
        row::read(columns, case.now).unwrap_or_else(|fault| panic!("{}: {fault}", file.display()))
    };
    let event = read(&case.event);
    let earlier: Vec<OutboxEvent> = case.earlier.iter().map(read).collect();
    let original = match &case.original {
        Some(original) => Some(given_original(&event, read(original), &earlier, &config)),
        None => supposed_original(&event, &config),
    };
    let around = Surroundings {
        withdrawn: case
            .withdrawn
            .iter()
            .filter_map(|name| Signal::parse(name))
            .collect(),
        original,
        ..Surroundings::default()
    };
    let found =
        serde_json::to_value(&preview(&event, &around, &config, None, case.now)[0]).expect("json");
    (found != case.expected).then(|| {
        format!(
            "{}: {}\nfound    {found}\nexpected {}",
            file.display(),
            case.about,
            case.expected
        )
    })
}
