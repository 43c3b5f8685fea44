//! What every platform must do alike, asked of each of them: a new platform is done when it passes here.

use chrono::TimeDelta;
use conversion_outbox::config::Config;
use conversion_outbox::destinations::Platform;
use conversion_outbox::sandbox::{self, FaultKind};
use serde_json::{Value, json};

use crate::rig::{Rig, SECRET, STREAM, Setup, TOKEN, order, with};

const ID: &str = "order_paid:o-1";

/// The emulator of a platform.
fn emulator(platform: Platform) -> sandbox::Platform {
    sandbox::Platform::named(platform.name()).expect("every platform has an emulator")
}

/// The state of a delivery that the platform took.
fn taken(platform: Platform) -> &'static str {
    match platform {
        Platform::Meta => "accepted",
        Platform::Ga4 => "sent",
    }
}

/// What becomes of a delivery whose only request was answered with this status and no body that says more.
fn after_status(platform: Platform, status: u16) -> &'static str {
    match (platform, status) {
        (_, 401 | 403) => "pending/destination_held",
        (Platform::Meta, 302 | 404 | 405) => "pending/destination_held",
        (Platform::Ga4, 302) => "pending/destination_held",
        (_, 429) => "pending/rate_limited",
        (_, 408 | 500..) => "pending/retry",
        // Tried once more before it is taken for a refusal.
        (Platform::Meta, 400..) => "pending/retry",
        (Platform::Ga4, 400..) => "rejected/refused_by_platform",
        _ => taken(platform),
    }
}

#[tokio::test]
async fn each_status_has_its_class() {
    for platform in Platform::ALL {
        for status in [
            302, 400, 401, 403, 404, 405, 408, 413, 429, 500, 502, 503, 504,
        ] {
            let rig = Rig::new().await;
            rig.fault(FaultKind::Status, emulator(platform), |fault| {
                (fault.status, fault.times) = (Some(status), Some(1))
            });
            let worker = rig.work();
            rig.insert(&[order("o-1")]).await;
            rig.until(&format!("exists (select from conversion_outbox.delivery where destination = '{}' and lease_until is null and tries > 0)", platform.name()))
                .await;
            assert_eq!(
                rig.state(platform.name(), ID).await,
                after_status(platform, status),
                "{} {status}",
                platform.name()
            );
            let code: i16 = rig
                .one(&format!(
                    "select response_code from conversion_outbox.delivery where destination = '{}'",
                    platform.name()
                ))
                .await;
            assert_eq!(code, i16::try_from(status).expect("small"));
            worker.drain().await;
        }
    }
}

#[tokio::test]
async fn every_failure_that_passes_ends_in_one_conversion_with_one_id() {
    let failures = [
        FaultKind::ResetUnread,
        FaultKind::ResetBefore,
        FaultKind::Html502,
    ];
    for platform in Platform::ALL {
        for kind in failures {
            let rig = Rig::new().await;
            rig.fault(kind, emulator(platform), |fault| fault.times = Some(1));
            let worker = rig.work();
            rig.insert(&[order("o-1")]).await;
            rig.until(&format!("exists (select from conversion_outbox.delivery where destination = '{}' and tries = 1 and lease_until is null)", platform.name()))
                .await;
            rig.pass(TimeDelta::hours(2));
            rig.until_state(platform.name(), ID, taken(platform)).await;
            let rows = rig.arrived(emulator(platform));
            assert!(
                rows.iter()
                    .all(|row| row.event_id.is_none()
                        || row.event_id == rows[rows.len() - 1].event_id),
                "{} {kind:?}",
                platform.name()
            );
            assert_eq!(rig.doubles(), 0, "{} {kind:?}", platform.name());
            worker.drain().await;
        }
    }
}

#[tokio::test]
async fn nothing_is_sent_without_consent_or_identifier() {
    let rig = Rig::new().await;
    let denied = json!({ "ad_storage": "denied", "analytics_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied" });
    let worker = rig.work();
    rig.insert(&[
        with(order("refused"), json!({ "consent": denied })),
        with(order("nobody"), json!({ "user_data": {}, "click_ids": {} })),
        order("o-1"),
    ])
    .await;
    rig.until_final().await;
    for platform in Platform::ALL {
        assert_eq!(
            rig.state(platform.name(), "order_paid:refused").await,
            "suppressed/consent_denied"
        );
        assert_eq!(
            rig.state(platform.name(), "order_paid:nobody").await,
            "skipped/no_identifier"
        );
        assert_eq!(rig.arrived(emulator(platform)).len(), 1);
    }
    worker.drain().await;
}

#[tokio::test]
async fn no_raw_identifier_is_in_the_bytes_and_a_path_before_the_api_is_kept() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup {
        is_proxied: true,
        ..Setup::default()
    });
    rig.insert(&[with(
        order("o-1"),
        json!({ "user_data": {
            "email": "Grace.Hopper@Example.com", "phone": "+49 170 7654321", "first_name": "Grace", "last_name": "Hopper",
            "street": "Harbour Street 12", "date_of_birth": "1906-12-09" } }),
    )])
    .await;
    rig.until_final().await;
    for platform in Platform::ALL {
        assert_eq!(rig.state(platform.name(), ID).await, taken(platform));
        let body = String::from_utf8(rig.arrived(emulator(platform))[0].body.to_vec())
            .expect("text")
            .to_lowercase();
        for raw in [
            "grace",
            "hopper",
            "example.com",
            "7654321",
            "harbour",
            "1906",
        ] {
            assert!(!body.contains(raw), "{}: {raw}", platform.name());
        }
        assert!(body.contains(&"0123456789abcdef"[..1]));
    }
    worker.drain().await;
}

#[tokio::test]
async fn no_request_carries_more_than_the_platform_takes() {
    let rig = Rig::new().await;
    rig.insert(
        &(0..60)
            .map(|n| order(&format!("o-{n}")))
            .collect::<Vec<Value>>(),
    )
    .await;
    let worker = rig.work_with(Setup {
        meta: "batch_size = 7",
        ..Setup::default()
    });
    rig.until_final().await;
    for (platform, most) in Platform::ALL.into_iter().zip([7, 1]) {
        let rows = rig.arrived(emulator(platform));
        assert_eq!(rows.len(), 60);
        let largest = rows
            .iter()
            .map(|row| {
                rows.iter()
                    .filter(|other| other.request == row.request)
                    .count()
            })
            .max();
        assert!(largest <= Some(most), "{}: {largest:?}", platform.name());
    }
    worker.drain().await;
    for (platform, keys) in Platform::ALL.into_iter().zip([true, false]) {
        let line = format!("batch_size = {}", platform.needs().batch.max + 1);
        let line: &'static str = line.leak();
        let setup = if keys {
            Setup {
                meta: line,
                ..Setup::default()
            }
        } else {
            Setup {
                ga4: line,
                ..Setup::default()
            }
        };
        assert!(
            Config::parse(&rig.configuration(setup), "rig.toml", []).is_err(),
            "{}",
            platform.name()
        );
    }
}

#[tokio::test]
async fn a_preview_shows_the_request_and_no_credential() {
    let rig = Rig::new().await;
    let config = rig.write("preview.toml", &rig.configuration(Setup::default()));
    let event = rig.write("event.json", &order("o-1").to_string());
    let args = [
        "preview",
        "--json",
        "--config",
        config.to_str().expect("text"),
        "--event",
        event.to_str().expect("text"),
    ];
    let output = crate::process::command(&args).await;
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(!text.contains(TOKEN) && !text.contains(SECRET));
    let previews: Vec<Value> = serde_json::from_str(&text).expect("a list");
    assert_eq!(previews.len(), Platform::ALL.len());
    for preview in &previews {
        assert_eq!(preview["decision"], "send");
        let request = &preview["requests"][0];
        assert_eq!(request["method"], "POST");
        assert!(request["body"].is_object());
        assert!(
            request["url"].as_str().expect("text").contains("***")
                || request["headers"]["authorization"] == "Bearer ***"
        );
    }
    assert!(text.contains(STREAM));
}
