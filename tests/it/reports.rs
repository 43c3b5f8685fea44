//! What the platforms say they counted, fetched over real HTTP from emulators that tell it from their own ledgers: the same
//! body for every platform.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, TimeDelta, Utc};
use conversion_outbox::config::Config;
use conversion_outbox::config::destination::DestinationConfig;
use conversion_outbox::destinations::Platform;
use conversion_outbox::reports::{
    self, Counts, DayRange, Refusal, ReportError, ReportedDay, counts,
};
use conversion_outbox::sandbox::google::RefreshClient;
use conversion_outbox::sandbox::linkedin::AccessToken;
use conversion_outbox::sandbox::{self, FaultKind, ReportSettings, Verdict, Zone};
use conversion_outbox::send::Sender;
use serde_json::{Value, json};

use crate::rig::{
    ACTION, AD_ACCOUNT, ADS_CUSTOMER, CUSTOMER, DATASET, Rig, SECRET, Setup, TOKEN, lead, order,
    refund, with,
};

const PROPERTY: &str = "345678901";

/// Tokyo's days begin nine hours before UTC's.
const AHEAD_SECS: i32 = 9 * 3600;

fn emulator(platform: Platform) -> sandbox::Platform {
    sandbox::Platform::named(platform.name()).expect("every platform has an emulator")
}

/// Whose days a platform counts.
fn zone(platform: Platform) -> (&'static str, i32) {
    match platform {
        Platform::Meta | Platform::LinkedIn => ("UTC", 0),
        Platform::Ga4 | Platform::GoogleDataManager | Platform::GoogleAds => {
            ("Asia/Tokyo", AHEAD_SECS)
        }
    }
}

/// A part of the path of every question for numbers, and of nothing else.
fn report_path(platform: Platform) -> &'static str {
    match platform {
        Platform::Meta => "/stats",
        Platform::Ga4 => ":runReport",
        Platform::GoogleDataManager | Platform::GoogleAds => "googleAds:search",
        Platform::LinkedIn => "/adAnalytics",
    }
}

/// The emulator that answers questions for numbers.
fn reporter(platform: Platform) -> sandbox::Platform {
    match platform {
        Platform::GoogleDataManager => sandbox::Platform::GoogleAds,
        other => emulator(other),
    }
}

/// A destination of this platform alone that is asked for numbers.
fn asked(rig: &Rig, platform: Platform) -> Setup {
    Setup::only(match platform {
        Platform::Meta => &[Platform::Meta],
        Platform::Ga4 => &[Platform::Ga4],
        Platform::GoogleDataManager => &[Platform::GoogleDataManager],
        Platform::GoogleAds => &[Platform::GoogleAds],
        Platform::LinkedIn => &[Platform::LinkedIn],
    })
    .lines(platform, report_lines(rig, platform))
}

/// `[destination.report]` of a destination of this platform.
pub(crate) fn report_lines(rig: &Rig, platform: Platform) -> &'static str {
    let (folder, sandbox) = (rig.folder.path().display(), rig.sandbox.url());
    let keys = match platform {
        Platform::Meta | Platform::GoogleAds => String::new(),
        Platform::Ga4 => format!(
            "property_id = \"{PROPERTY}\"\nbase_url = \"{sandbox}\"\ntoken_url = \"{sandbox}/token\"
service_account = {{ file = \"{folder}/google.json\" }}"
        ),
        Platform::GoogleDataManager => format!("base_url = \"{sandbox}\""),
        Platform::LinkedIn => "currency = \"EUR\"".to_owned(),
    };
    format!("[destination.report]\n{keys}").leak()
}

fn destination(rig: &Rig, setup: Setup) -> DestinationConfig {
    let config = Config::parse(&rig.configuration(setup), "rig.toml", []);
    config
        .expect("a valid configuration")
        .destinations
        .remove(0)
}

async fn fetch(rig: &Rig, setup: Setup) -> Result<Vec<ReportedDay>, ReportError> {
    let now = rig.clock.now();
    let range = DayRange {
        first: (now - TimeDelta::days(3)).date_naive(),
        last: (now + TimeDelta::days(1)).date_naive(),
        time_zone: "UTC".to_owned(),
    };
    let sender = Sender::new().expect("a sender");
    reports::fetch(&destination(rig, setup), &sender, &range, now).await
}

/// The day of a time at the platform.
fn day(platform: Platform, time: DateTime<Utc>) -> NaiveDate {
    let offset = FixedOffset::east_opt(zone(platform).1).expect("an offset");
    time.with_timezone(&offset).date_naive()
}

/// Reports of a world whose Google counts Tokyo's days, in small pages.
fn settings() -> ReportSettings {
    ReportSettings {
        google_zone: Zone {
            name: "Asia/Tokyo".to_owned(),
            ahead_secs: AHEAD_SECS,
        },
        page_rows: Some(3),
        ..ReportSettings::default()
    }
}

/// Orders and leads over three days, and two events that never leave.
fn events(now: DateTime<Utc>) -> Vec<(Value, DateTime<Utc>)> {
    let hours = [1, 2, 5, 11, 17, 23, 26, 31, 38, 47, 55, 62];
    let numbered = hours.iter().enumerate();
    let mut events: Vec<(Value, DateTime<Utc>)> = numbered
        .flat_map(|(n, hours)| {
            let at = now - TimeDelta::hours(*hours);
            let mut both = vec![(order(&format!("o-{n}")), at)];
            if n % 3 == 0 {
                both.push((lead(&format!("l-{n}")), at));
            }
            both
        })
        .collect();
    for (event, at) in &mut events {
        event["occurred_at"] = at.to_rfc3339().into();
    }
    events
}

async fn delivered(rig: &Rig, setup: Setup) -> Vec<(Value, DateTime<Utc>)> {
    rig.sandbox.set_up_reports(settings());
    let events = events(rig.clock.now());
    let rows: Vec<Value> = events.iter().map(|(event, _)| event.clone()).collect();
    let denied = json!({ "ad_storage": "denied", "analytics_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied" });
    rig.insert(&rows).await;
    rig.insert(&[with(order("refused"), json!({ "consent": denied }))])
        .await;
    let worker = rig.work_with(setup);
    rig.until_final().await;
    worker.drain().await;
    events
}

#[tokio::test]
async fn what_is_fetched_is_what_the_platform_counted() {
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        let setup = asked(&rig, platform);
        let events = delivered(&rig, setup).await;
        told_to_the_last_event(&rig, setup, platform, &events).await;
        missing_where_no_ad_is_thanked(&rig, setup, platform).await;
        nought_until_it_shows(&rig, setup, platform).await;
    }
}

async fn told_to_the_last_event(
    rig: &Rig,
    setup: Setup,
    platform: Platform,
    events: &[(Value, DateTime<Utc>)],
) {
    let days = fetch(rig, setup).await.expect("an answer");

    let mut expected: BTreeMap<(&str, NaiveDate), u64> = BTreeMap::new();
    for (event, at) in events {
        let name = event["event_name"].as_str().expect("text");
        *expected.entry((name, day(platform, *at))).or_default() += 1;
    }
    let name = platform.name();
    let (zone, _) = zone(platform);
    let mut total = 0;
    for told in &days {
        let wanted = expected.remove(&(told.event_name.as_str(), told.day));
        let wanted = wanted.unwrap_or(0);
        assert_eq!(told.conversions, wanted.to_string(), "{name} {told:?}");
        assert_eq!(told.time_zone, zone, "{name}");
        assert_eq!(told.details["counts"], counts(platform).as_str(), "{name}");
        let value = (wanted > 0 && platform != Platform::Meta)
            .then(|| format!("{}", (wanted * 4990) as f64 / 100.0));
        assert_eq!(told.value, value, "{name} {told:?}");
        assert_eq!(told.currency.as_deref(), value.map(|_| "EUR"), "{name}");
        total += wanted;
    }
    assert!(expected.is_empty(), "{name}: {expected:?}");
    // The emulator's own books, by another way than its report.
    let counted: u64 = rig.sandbox.read(|ledger| {
        let of_platform = ledger
            .accounts()
            .filter(|(of, _, _)| *of == emulator(platform));
        of_platform.map(|(_, _, count)| count.counted).sum()
    });
    assert_eq!((total, counted), (16, 16), "{name}");

    let ids: BTreeSet<&str> = days
        .iter()
        .filter(|told| told.event_name == "order_paid")
        .filter_map(|told| told.ids.as_ref())
        .flat_map(|ids| ids.keys().map(String::as_str))
        .collect();
    let orders: BTreeSet<String> = (0..12).map(|n| format!("o-{n}")).collect();
    match platform {
        Platform::Ga4 => assert_eq!(ids, orders.iter().map(String::as_str).collect()),
        _ => assert!(ids.is_empty(), "{name}"),
    }
    let asked: u64 = rig.sandbox.read(|ledger| {
        let calls = ledger.calls();
        calls
            .filter(|(_, path, _)| path.contains(report_path(platform)))
            .map(|(_, _, count)| count.calls)
            .sum()
    });
    let is_paged = platform != Platform::LinkedIn;
    assert_eq!(asked > 2, is_paged, "{name}: {asked}");
    assert!(asked <= u64::from(reports::REQUESTS_MAX), "{name}: {asked}");
}

async fn missing_where_no_ad_is_thanked(rig: &Rig, setup: Setup, platform: Platform) {
    rig.sandbox.set_up_reports(ReportSettings {
        unattributed: rig
            .arrived(emulator(platform))
            .iter()
            .filter(|row| row.verdict == Verdict::Stored)
            .filter_map(|row| row.event_id.clone())
            .take(5)
            .collect(),
        ..settings()
    });
    let days = fetch(rig, setup).await.expect("an answer");
    let told: f64 = days
        .iter()
        .map(|told| told.conversions.parse::<f64>().expect("a number"))
        .sum();
    let expected = match counts(platform) {
        Counts::Received => 16.0,
        Counts::Attributed => 11.0,
    };
    assert_eq!(told, expected, "{}", platform.name());
}

async fn nought_until_it_shows(rig: &Rig, setup: Setup, platform: Platform) {
    rig.sandbox.set_up_reports(ReportSettings {
        late_secs: 3600,
        ..settings()
    });
    let sum = |days: &[ReportedDay]| -> u64 {
        let counts = days.iter().map(|told| told.conversions.parse::<u64>());
        counts.sum::<Result<u64, _>>().expect("whole numbers")
    };
    let early = fetch(rig, setup).await.expect("an answer");
    assert_eq!(sum(&early), 0, "{}", platform.name());
    assert!(!early.is_empty(), "days of nought are told");
    rig.pass(TimeDelta::hours(2));
    let late = fetch(rig, setup).await.expect("an answer");
    assert_eq!(sum(&late), 16, "{}", platform.name());
    assert!(reports::delay(platform) >= Duration::from_secs(24 * 3600));
}

/// No secret, no id of an account and no event may be in an error.
fn assert_silent(error: &ReportError, what: &str) {
    let text = format!("{error} {error:?} {}", error.advice());
    for hidden in [
        TOKEN,
        SECRET,
        DATASET,
        CUSTOMER,
        ADS_CUSTOMER,
        AD_ACCOUNT,
        PROPERTY,
        ACTION,
        "ya29",
        "127.0.0.1",
        "BEGIN",
    ] {
        assert!(!text.contains(hidden), "{what}: {hidden} in {text}");
    }
    assert!(error.advice().len() > 10);
}

#[tokio::test]
async fn a_refusal_says_what_to_do_and_a_failure_that_it_may_pass() {
    use Platform::{Ga4, GoogleAds, GoogleDataManager, LinkedIn, Meta};
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        let setup = asked(&rig, platform);
        rig.sandbox.set_up_reports(settings());
        let name = platform.name();
        fetch(&rig, setup).await.expect("all is well at first");

        // The quota is used up, in the platform's own words.
        rig.sandbox.set_up_reports(ReportSettings {
            quota: Some(0),
            ..settings()
        });
        let throttled = fetch(&rig, setup).await.expect_err("a quota of nought");
        assert!(
            matches!(throttled, ReportError::RateLimited { .. }),
            "{name}: {throttled:?}"
        );
        assert!(throttled.is_passing(), "{name}");
        let says_when = matches!(platform, GoogleAds | GoogleDataManager);
        assert_eq!(throttled.retry_after().is_some(), says_when, "{name}");
        assert_silent(&throttled, name);
        rig.sandbox.set_up_reports(settings());

        // The credential is no good.
        match platform {
            Meta => drop(rig.write("meta.token", "another")),
            LinkedIn => rig
                .sandbox
                .linkedin(|world| world.add_token(AccessToken::direct("other"))),
            Ga4 | GoogleDataManager | GoogleAds => rig
                .sandbox
                .google(|world| world.add_client(RefreshClient::new("app", "secret", "refresh"))),
        }
        let refused = fetch(&rig, setup).await.expect_err("a wrong credential");
        let is_credential = matches!(
            &refused,
            ReportError::Refused {
                what: Refusal::Credential,
                code: Some(_)
            }
        );
        assert!(
            is_credential && !refused.is_passing(),
            "{name}: {refused:?}"
        );
        assert_silent(&refused, name);

        // The credential cannot be read at all.
        for file in ["meta.token", "google.json", "linkedin.token"] {
            std::fs::remove_file(rig.folder.path().join(file)).expect("it was there");
        }
        let unread = fetch(&rig, setup).await.expect_err("no credential");
        assert!(
            matches!(unread, ReportError::Credential(_)),
            "{name}: {unread:?}"
        );
    }
}

#[tokio::test]
async fn a_token_that_may_not_read_reports_is_told_so() {
    let rig = Rig::new().await;
    let setup = asked(&rig, Platform::LinkedIn);
    let ends = rig.clock.now() + TimeDelta::days(1);
    rig.sandbox.linkedin(|world| {
        world.add_token(AccessToken::oauth(
            TOKEN,
            &["rw_conversions", "r_ads"],
            ends,
        ));
    });
    let error = fetch(&rig, setup).await.expect_err("a scope is missing");
    assert!(
        matches!(&error, ReportError::Refused { what: Refusal::Permission, code: Some(code) } if code == "USER_NOT_AUTHORIZED"),
        "{error:?}"
    );
    assert!(error.advice().contains("r_ads_reporting"));
    // One that may not read the account hears nothing, and no error: that is marked.
    rig.sandbox.linkedin(|world| {
        world.add_token(AccessToken {
            accounts: vec!["1".to_owned()],
            ..AccessToken::direct(TOKEN)
        });
    });
    let days = fetch(&rig, setup).await.expect("an answer");
    assert!(days.iter().all(|told| told.details["empty_answer"] == true));
}

#[tokio::test]
async fn hostile_answers_are_bounded_and_are_no_numbers() {
    let hostile = [
        FaultKind::Status,
        FaultKind::Html502,
        FaultKind::Huge,
        FaultKind::Truncated,
        FaultKind::Empty,
        FaultKind::Garbage,
        FaultKind::DeepJson,
        FaultKind::WrongTypes,
        FaultKind::LoginPage,
        FaultKind::GzipBomb,
        FaultKind::Redirect,
        FaultKind::Http10,
    ];
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        let setup = asked(&rig, platform);
        for kind in hostile {
            let fault = rig.fault(kind, reporter(platform), |fault| {
                fault.path = Some(report_path(platform).to_owned());
            });
            let name = format!("{} {kind:?}", platform.name());
            let error = fetch(&rig, setup).await.expect_err(&name);
            let may_pass = matches!(
                kind,
                FaultKind::Status | FaultKind::Html502 | FaultKind::Truncated | FaultKind::Empty
            );
            let is_unreadable = matches!(error, ReportError::Unreadable(_));
            assert_eq!(
                (error.is_passing(), is_unreadable),
                (may_pass, !may_pass),
                "{name}: {error:?}"
            );
            assert_silent(&error, &name);
            rig.sandbox.remove_fault(fault);
        }
        fetch(&rig, setup).await.expect("it was the answers");
    }
}

#[tokio::test]
async fn analytics_says_what_it_withholds_and_rolls_together() {
    let rig = Rig::new().await;
    let setup = asked(&rig, Platform::Ga4);
    delivered(&rig, setup).await;
    rig.sandbox.set_up_reports(ReportSettings {
        withhold_below: 2,
        ..settings()
    });
    let days = fetch(&rig, setup).await.expect("an answer");
    assert!(days.iter().all(|told| told.details["thresholded"] == true));
    rig.sandbox.set_up_reports(ReportSettings {
        rows_kept: Some(4),
        ..settings()
    });
    let days = fetch(&rig, setup).await.expect("an answer");
    assert!(days.iter().all(|told| told.details["other_row"] == true));
    // A property that the credential may not see.
    rig.sandbox.set_up_reports(ReportSettings {
        properties: [("1".to_owned(), Vec::new())].into(),
        ..settings()
    });
    let error = fetch(&rig, setup).await.expect_err("another property");
    assert!(
        matches!(
            error,
            ReportError::Refused {
                what: Refusal::Permission,
                ..
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn meta_tells_quality_where_it_may_and_no_day_that_it_forgot() {
    let rig = Rig::new().await;
    let setup = asked(&rig, Platform::Meta);
    rig.sandbox.set_up_reports(settings());
    let refused = fetch(&rig, setup).await.expect("numbers without quality");
    assert!(
        refused
            .iter()
            .all(|told| told.details["quality"] == "refused")
    );
    rig.sandbox.set_up_reports(ReportSettings {
        match_quality: [("Purchase".to_owned(), 7.25)].into(),
        ..settings()
    });
    let told = fetch(&rig, setup).await.expect("numbers and quality");
    for day in &told {
        let is_purchase = day.platform_name == "Purchase";
        let expected = if is_purchase {
            json!("7.25")
        } else {
            Value::Null
        };
        assert_eq!(day.details["event_match_quality"], expected);
    }
    let sender = Sender::new().expect("a sender");
    let now = rig.clock.now();
    let range = DayRange {
        first: (now - TimeDelta::days(30)).date_naive(),
        last: now.date_naive(),
        time_zone: "UTC".to_owned(),
    };
    let meta = destination(&rig, setup);
    let days = reports::fetch(&meta, &sender, &range, now).await;
    let days = days.expect("as far back as it goes");
    let first = days.iter().map(|told| told.day).min();
    assert_eq!(first, Some((now - TimeDelta::days(6)).date_naive()));
    let gone = DayRange {
        last: range.first,
        ..range
    };
    let error = reports::fetch(&meta, &sender, &gone, now).await;
    assert!(matches!(error, Err(ReportError::Nothing(_))), "{error:?}");
}

#[tokio::test]
async fn who_is_not_configured_is_not_asked() {
    let rig = Rig::new().await;
    let setup = Setup::only(&[Platform::Meta]);
    let error = fetch(&rig, setup)
        .await
        .expect_err("no [destination.report]");
    assert_eq!(error, ReportError::NotConfigured);
    assert_eq!(rig.sandbox.read(|ledger| ledger.calls().count()), 0);
}

#[tokio::test]
async fn what_was_taken_back_is_worth_less_or_nothing() {
    let rig = Rig::new().await;
    let setup = asked(&rig, Platform::GoogleAds);
    let worker = rig.work_with(setup);
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.until_final().await;
    rig.insert(&[refund("o-1", 1, Some(9.90)), refund("o-2", 1, None)])
        .await;
    rig.until_final().await;
    let days = fetch(&rig, setup).await.expect("an answer");
    let told: Vec<(&str, Option<&str>)> = days
        .iter()
        .filter(|told| told.conversions != "0")
        .map(|told| (told.conversions.as_str(), told.value.as_deref()))
        .collect();
    assert_eq!(told, [("1", Some("40"))]);
    worker.drain().await;
}
