//! One event in, the exact request out, for every file under `tests/fixtures/<platform>`.
//!
//! A file says `about`, `now`, the `event` as an application writes it, and what is `expected` of `preview`; `destination`
//! adds lines to the destination's configuration, `withdrawn` names signals taken back. Hashes in there were made with
//! Python's `hashlib`, not with this program.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use conversion_outbox::config::Config;
use conversion_outbox::consent::Signal;
use conversion_outbox::decide::Surroundings;
use conversion_outbox::preview::{preview, row, supposed_original};
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

fn run_all(platform: &str, destination: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(platform);
    let files: Vec<_> = fs::read_dir(folder)
        .expect("fixtures")
        .map(|entry| entry.expect("a file").path())
        .collect();
    assert!(files.len() >= 8, "too few fixtures for {platform}");
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
    let event = row::read(&case.event, case.now)
        .unwrap_or_else(|fault| panic!("{}: {fault}", file.display()));
    let around = Surroundings {
        withdrawn: case
            .withdrawn
            .iter()
            .filter_map(|name| Signal::parse(name))
            .collect(),
        original: supposed_original(&event, &config),
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
