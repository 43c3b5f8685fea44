//! `doctor` as a process: a sound installation is all right, each fault gives its finding and no other, and nothing is
//! counted anywhere.

mod house;
mod platforms;
mod reports;

use chrono::{NaiveDate, TimeDelta, Utc};
use conversion_outbox::sandbox::google::{ConversionAction, ServiceAccount};
use conversion_outbox::sandbox::google_ads::Customer;
use conversion_outbox::sandbox::linkedin::{AccessToken, ConversionRule};
use conversion_outbox::sandbox::{Verdict, google, google_ads};
use serde_json::Value;

use crate::desk::CANARY;
use crate::process;
use crate::rig::{
    ACTION, AD_ACCOUNT, ADS_ACTION, ADS_CUSTOMER, ADS_LEAD_ACTION, CUSTOMER, LEAD_ACTION,
    LEAD_RULE, RULE, Rig, SECRET, Setup, TOKEN, order,
};

/// What a run told.
struct Told {
    code: i32,
    /// Everything that is not `ok`, as `destination/name verdict`.
    findings: Vec<String>,
    /// What was seen and how to mend it, of all checks.
    text: String,
    report: Value,
}

/// Runs `doctor` with this configuration.
async fn doctor(rig: &Rig, configuration: &str, args: &[&str]) -> Told {
    let config = rig.write("doctor.toml", &lasting(configuration));
    let config = config.to_str().expect("text");
    let output =
        process::command(&[&["doctor", "--json", "--config", config], args].concat()).await;
    let out = String::from_utf8(output.stdout).expect("text");
    let err = String::from_utf8(output.stderr).expect("text");
    for secret in [TOKEN, SECRET, "PRIVATE KEY", CANARY] {
        assert!(!out.contains(secret) && !err.contains(secret), "{out}{err}");
    }
    let report: Value = serde_json::from_str(&out).unwrap_or_else(|_| panic!("{out}{err}"));
    told(output.status.code().expect("an exit code"), report)
}

/// The same configuration; where it names no versions, with some that end in no reader's time, and where it says nothing of
/// privacy, with a retention: so that only what a test breaks is found.
fn lasting(configuration: &str) -> String {
    let versions = [
        ("linkedin", "version", "209901"),
        ("google_ads", "api_version", "v99"),
    ];
    let mut text = configuration.to_owned();
    for (platform, key, version) in versions {
        if !text.contains(&format!("\n{key} = ")) {
            let line = format!("platform = \"{platform}\"\n");
            text = text.replace(&line, &format!("{line}{key} = \"{version}\"\n"));
        }
    }
    if !text.contains("[privacy]") {
        text.push_str("[privacy]\nretention_days = 30\n");
    }
    text
}

fn told(code: i32, report: Value) -> Told {
    let checks = report["checks"].as_array().expect("a list").clone();
    let word = |check: &Value, key: &str| check[key].as_str().unwrap_or("-").to_owned();
    let findings = checks
        .iter()
        .filter(|check| check["verdict"] != "ok")
        .map(|check| {
            let part = |key| word(check, key);
            format!(
                "{}/{} {}",
                part("destination"),
                part("name"),
                part("verdict")
            )
        })
        .collect();
    let text: Vec<String> = checks
        .iter()
        .map(|check| format!("{} [{}]", word(check, "seen"), word(check, "fix")))
        .collect();
    Told {
        code,
        findings,
        text: text.join("\n"),
        report,
    }
}

impl Told {
    #[track_caller]
    fn is(&self, code: i32, findings: &[&str]) {
        assert_eq!(self.findings, findings, "{}", self.text);
        assert_eq!(self.code, code, "{}", self.text);
    }

    #[track_caller]
    fn says(&self, part: &str) {
        assert!(self.text.contains(part), "{part}: {}", self.text);
    }
}

/// A rig where everything is as it should be, at every platform and in the database.
async fn sound() -> Rig {
    let rig = Rig::new().await;
    let long_ago = Utc::now() - TimeDelta::days(30);
    rig.sandbox.google(|world| {
        world.add_service_account(ServiceAccount::of_sandbox());
        for (customer, id) in [
            (CUSTOMER, ACTION),
            (CUSTOMER, LEAD_ACTION),
            (ADS_CUSTOMER, ADS_ACTION),
            (ADS_CUSTOMER, ADS_LEAD_ACTION),
        ] {
            world.add_action(ConversionAction::upload_clicks(customer, id, long_ago));
        }
    });
    put_customer(&rig, Customer::new(ADS_CUSTOMER).allowlisted());
    rig.sandbox.linkedin(|world| {
        world.add_token(AccessToken::direct(TOKEN));
        for id in [RULE, LEAD_RULE] {
            world.add_rule(ConversionRule::new(id, AD_ACCOUNT));
        }
        world.set_version_end(209_901, NaiveDate::MAX);
    });
    rig.run(
        "insert into conversion_outbox.destination (name, platform)
         select name, name from unnest(array['meta', 'ga4', 'google_data_manager', 'google_ads', 'linkedin']) name",
    )
    .await;
    rig
}

/// Makes a customer of the Google Ads API known, where the version in use goes on for a while.
fn put_customer(rig: &Rig, customer: Customer) {
    let ads = google_ads::Setup {
        customers: vec![customer],
        version_ends: [("v99".to_owned(), Utc::now() + TimeDelta::days(400))].into(),
        ..google_ads::Setup::default()
    };
    let setup = google::Setup {
        ads,
        ..google::Setup::default()
    };
    rig.sandbox
        .google(|world| world.set_up(setup))
        .expect("sensible");
}

/// Conversions that any platform counts, and events that it took.
fn counted(rig: &Rig) -> (usize, usize) {
    rig.sandbox.read(|ledger| {
        let stored = ledger.rows().filter(|row| row.verdict == Verdict::Stored);
        (ledger.conversions().count(), stored.count())
    })
}

fn all(rig: &Rig) -> String {
    rig.configuration(Setup::all())
}

#[tokio::test]
async fn all_is_well_and_nothing_is_counted() {
    let rig = sound().await;
    rig.insert(&[order("o-1")]).await;
    let told = doctor(&rig, &all(&rig), &["--online"]).await;
    told.is(0, &[]);
    assert_eq!(counted(&rig), (0, 0));
    assert_eq!(told.report["fail"], 0);
    told.says("GA4 never checks api_secret");
    told.says("to the service account, for the scope https://www.googleapis.com/auth/datamanager");
    told.says(&format!("action {ACTION} (order_paid) would take an event"));
    told.says("an upload was validated");
    told.says(&format!("rule {RULE} (order_paid) is enabled"));
    told.says("answers \"rig_worker\"");

    let offline = doctor(&rig, &all(&rig), &["--no-database"]).await;
    offline.is(0, &["-/database skipped", "-/platforms skipped"]);
    assert_eq!(offline.report["skipped"], 2);
}

#[tokio::test]
async fn a_reader_gets_lines_with_fixes() {
    let rig = sound().await;
    let config = rig.write("doctor.toml", &all(&rig));
    rig.write("meta.token", "wrong");
    let args = ["doctor", "--online", "--destination", "meta", "--config"];
    let output = process::command(&[&args[..], &[config.to_str().expect("text")]].concat()).await;
    let out = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(3), "{out}");
    assert!(
        out.contains("fail     meta platform: the platform refuses: credential (code 190)\n         fix: replace the token"),
        "{out}"
    );
    assert!(
        out.lines()
            .last()
            .is_some_and(|sum| sum.contains(" ok, ") && sum.contains("1 fail")),
        "{out}"
    );
    let err = String::from_utf8(output.stderr).expect("text");
    assert!(err.starts_with("error: 1 of "), "{err}");
}
