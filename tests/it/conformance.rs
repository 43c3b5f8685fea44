//! What every platform must do alike, asked of each of them: a new platform is done when it passes here.

use chrono::TimeDelta;
use conversion_outbox::config::Config;
use conversion_outbox::destinations::{Credentials, Platform};
use conversion_outbox::sandbox::{self, FaultKind};
use serde_json::{Value, json};

use crate::rig::{Rig, SECRET, STREAM, Setup, TOKEN, order, with};

const ID: &str = "order_paid:o-1";

/// The emulator of a platform.
fn emulator(platform: Platform) -> sandbox::Platform {
    sandbox::Platform::named(platform.name()).expect("every platform has an emulator")
}

/// A worker that serves this platform alone.
fn only(platform: Platform) -> Setup {
    Setup::only(match platform {
        Platform::Meta => &[Platform::Meta],
        Platform::Ga4 => &[Platform::Ga4],
        Platform::GoogleDataManager => &[Platform::GoogleDataManager],
        Platform::GoogleAds => &[Platform::GoogleAds],
        Platform::LinkedIn => &[Platform::LinkedIn],
    })
}

/// The state of a delivery that the platform took.
fn taken(platform: Platform) -> &'static str {
    match platform {
        // The one confirms nothing, the other does so later.
        Platform::Ga4 | Platform::GoogleDataManager => "sent",
        Platform::Meta | Platform::GoogleAds | Platform::LinkedIn => "accepted",
    }
}

/// Whether its access tokens are asked for, so that one that was refused is renewed at once.
fn renews_tokens(platform: Platform) -> bool {
    matches!(platform, Platform::GoogleDataManager | Platform::GoogleAds)
}

/// What becomes of a delivery whose only request was answered with this status and no body that says more.
fn after_status(platform: Platform, status: u16) -> &'static str {
    use Platform::{Ga4, GoogleAds, GoogleDataManager, LinkedIn, Meta};
    match (platform, status) {
        (_, 401) if renews_tokens(platform) => taken(platform),
        // A rule that does not exist gets the same answer as a token that may not use it.
        (LinkedIn, 403) => "pending/rule_held",
        (_, 302 | 401 | 403) => "pending/destination_held",
        (_, 429) => "pending/rate_limited",
        (_, 408 | 500..) => "pending/retry",
        (Meta | GoogleDataManager | GoogleAds | LinkedIn, 404 | 405) => "pending/destination_held",
        // No body says what is wrong: the batch is split, and one alone is refused.
        (Ga4 | GoogleDataManager | GoogleAds, 400..) | (LinkedIn, 400 | 413 | 422) => {
            "rejected/refused_by_platform"
        }
        // Tried once more before it is taken for a refusal.
        (Meta | LinkedIn, 400..) => "pending/retry",
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
                // Not the token endpoint.
                fault.path = Some(api_path(platform).to_owned());
                (fault.status, fault.times) = (Some(status), Some(1));
            });
            let worker = rig.work_with(only(platform));
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
            let is_renewed = status == 401 && renews_tokens(platform);
            assert_eq!(
                code,
                if is_renewed {
                    200
                } else {
                    i16::try_from(status).expect("small")
                }
            );
            worker.drain().await;
        }
    }
}

/// A part of the path of every request that carries events.
fn api_path(platform: Platform) -> &'static str {
    match platform {
        Platform::Meta => "/events",
        Platform::Ga4 => "/mp/collect",
        Platform::GoogleDataManager => "events:ingest",
        Platform::GoogleAds => "/customers/",
        Platform::LinkedIn => "/rest/conversionEvents",
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
            let is_ambiguous = kind != FaultKind::Html502;
            let rig = Rig::new().await;
            rig.fault(kind, emulator(platform), |fault| {
                (fault.path, fault.times) = (Some(api_path(platform).to_owned()), Some(1))
            });
            let worker = rig.work_with(only(platform));
            rig.insert(&[order("o-1")]).await;
            rig.until(&format!("exists (select from conversion_outbox.delivery where destination = '{}' and tries = 1 and lease_until is null)", platform.name()))
                .await;
            if is_ambiguous && platform == Platform::LinkedIn {
                // It does not promise to discard a repeat of the server's own, so there is none.
                assert_eq!(rig.state(platform.name(), ID).await, "uncertain/no_answer");
                worker.drain().await;
                continue;
            }
            rig.later(TimeDelta::hours(2)).await;
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
async fn an_answer_that_is_lost_counts_nothing_twice() {
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        rig.fault(FaultKind::ResetAfter, emulator(platform), |fault| {
            (fault.path, fault.times) = (Some(api_path(platform).to_owned()), Some(1))
        });
        // Meta's emulator counts a repeat of the server's own, for Meta promises nothing.
        let careful = only(platform).lines(Platform::Meta, "on_ambiguous = \"uncertain\"");
        let worker = rig.work_with(careful);
        rig.insert(&[order("o-1")]).await;
        let may_repeat = !matches!(platform, Platform::Meta | Platform::LinkedIn);
        if may_repeat {
            rig.until_state(platform.name(), ID, "pending/no_answer")
                .await;
            rig.later(TimeDelta::hours(2)).await;
            rig.until_state(platform.name(), ID, taken(platform)).await;
        } else {
            rig.until_state(platform.name(), ID, "uncertain/no_answer")
                .await;
        }
        let counted = rig.sandbox.read(|ledger| {
            ledger
                .conversions()
                .map(|(_, one)| one.counted())
                .sum::<u64>()
        });
        assert_eq!(counted, 1, "{}", platform.name());
        assert_eq!(rig.doubles(), 0, "{}", platform.name());
        worker.drain().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_without_consent_or_identifier() {
    let rig = Rig::new().await;
    let denied = json!({ "ad_storage": "denied", "analytics_storage": "denied", "ad_user_data": "denied", "ad_personalization": "denied" });
    let worker = rig.work_with(Setup::all());
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
            "skipped/no_identifier",
            "{}",
            platform.name()
        );
        assert_eq!(rig.arrived(emulator(platform)).len(), 1);
    }
    worker.drain().await;
}

#[tokio::test]
async fn what_is_too_old_spoils_no_batch_and_what_is_ahead_waits() {
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        let old = TimeDelta::days(if matches!(platform, Platform::Meta | Platform::Ga4) {
            8
        } else {
            91
        });
        let at = |ago: TimeDelta| json!({ "occurred_at": crate::rig::ago(ago) });
        rig.insert(&[
            with(order("old"), at(old)),
            order("o-1"),
            with(order("ahead"), at(-TimeDelta::hours(1))),
        ])
        .await;
        let worker = rig.work_with(only(platform));
        let name = platform.name();
        rig.until_state(name, ID, taken(platform)).await;
        rig.until_state(name, "order_paid:old", "expired/too_old")
            .await;
        rig.until_state(name, "order_paid:ahead", "pending/in_the_future")
            .await;
        assert_eq!(rig.arrived(emulator(platform)).len(), 1, "{name}");
        rig.later(TimeDelta::minutes(61)).await;
        rig.until_state(name, "order_paid:ahead", taken(platform))
            .await;
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_platform_whose_clock_is_behind_takes_it_a_minute_later() {
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        rig.sandbox.set_clock_offset(-TimeDelta::seconds(20));
        let worker = rig.work_with(only(platform));
        rig.insert(&[order("o-1")]).await;
        let name = platform.name();
        if matches!(platform, Platform::Meta | Platform::Ga4) {
            // They allow for more skew than that.
            rig.until_state(name, ID, taken(platform)).await;
        } else {
            rig.until("exists (select from conversion_outbox.delivery where state = 'pending' and tries = 1 and lease_until is null)")
                .await;
            rig.later(TimeDelta::seconds(61)).await;
            rig.until_state(name, ID, taken(platform)).await;
        }
        assert_eq!(rig.doubles(), 0, "{name}");
        worker.drain().await;
    }
}

#[tokio::test]
async fn no_raw_identifier_is_in_the_bytes_and_a_path_before_the_api_is_kept() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup {
        is_proxied: true,
        ..Setup::all()
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
        assert!(body.len() > 100, "there is something in it");
    }
    worker.drain().await;
}

#[tokio::test]
async fn no_request_carries_more_than_the_platform_takes() {
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        rig.insert(
            &(0..60)
                .map(|n| order(&format!("o-{n}")))
                .collect::<Vec<Value>>(),
        )
        .await;
        let is_single = platform.needs().batch.max == 1;
        let few = if is_single { "" } else { "batch_size = 7" };
        let worker = rig.work_with(only(platform).lines(platform, few));
        rig.until_final().await;
        let rows = rig.arrived(emulator(platform));
        assert_eq!(rows.len(), 60, "{}", platform.name());
        let company =
            |of: &sandbox::Row| rows.iter().filter(|row| row.request == of.request).count();
        let largest = rows.iter().map(company).max();
        assert!(
            largest <= Some(if is_single { 1 } else { 7 }),
            "{}: {largest:?}",
            platform.name()
        );
        worker.drain().await;
        let line = format!("batch_size = {}", platform.needs().batch.max + 1);
        let setup = only(platform).lines(platform, line.leak());
        assert!(
            Config::parse(&rig.configuration(setup), "rig.toml", []).is_err(),
            "{}",
            platform.name()
        );
    }
}

#[tokio::test]
async fn one_bad_event_spoils_no_other() {
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        let events: Vec<Value> = (0..8).map(|n| order(&format!("o-{n}"))).collect();
        rig.insert(&events).await;
        // Whatever request it is in fails.
        rig.fault(FaultKind::Status, emulator(platform), |fault| {
            fault.event_id = Some(match platform {
                Platform::Ga4 => "o-3".to_owned(),
                _ => "order_paid:o-3".to_owned(),
            });
            fault.status = Some(if platform == Platform::GoogleAds {
                500
            } else {
                400
            });
        });
        let setup = only(platform).lines(platform, "attempts_max = 2");
        let worker = rig.work_with(setup);
        let name = platform.name();
        let good = format!(
            "(select count(*) from conversion_outbox.delivery where state = '{}') >= 7",
            taken(platform)
        );
        let dead = "exists (select from conversion_outbox.delivery where state in ('rejected', 'exhausted'))";
        for n in 0..30 {
            // As long as others pass, the destination is not down: the event is at fault.
            rig.insert(&[order(&format!("later-{n}"))]).await;
            rig.until(&format!(
                "not exists (select from conversion_outbox.queue) and not exists (select from conversion_outbox.delivery
                   where state = 'pending' and (lease_until is not null or due_at <= '{}'))",
                rig.clock.now().to_rfc3339()
            ))
            .await;
            if rig.one::<bool>(&format!("select {good} and {dead}")).await {
                break;
            }
            rig.later(TimeDelta::hours(1)).await;
        }
        assert!(
            rig.one::<bool>(&format!("select {good} and {dead}")).await,
            "{name}"
        );
        assert_eq!(rig.doubles(), 0, "{name}");
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_preview_shows_the_request_and_no_credential() {
    let rig = Rig::new().await;
    let config = rig.write("preview.toml", &rig.configuration(Setup::all()));
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
    assert!(!text.contains(TOKEN) && !text.contains(SECRET) && !text.contains("PRIVATE KEY"));
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

#[tokio::test]
async fn a_credential_that_is_refused_holds_and_another_one_lifts_the_hold() {
    for platform in Platform::ALL {
        let rig = Rig::new().await;
        let config = Config::parse(&rig.configuration(only(platform)), "rig.toml", [])
            .expect("a valid configuration");
        let is_exchanged = matches!(
            config.destinations[0].settings.credentials(),
            Credentials::OAuth(_)
        );
        // For ever: only what a person does helps.
        let fault = rig.fault(FaultKind::Status, emulator(platform), |fault| {
            fault.path = Some(
                if is_exchanged {
                    "/token"
                } else {
                    api_path(platform)
                }
                .to_owned(),
            );
            fault.status = Some(if is_exchanged { 400 } else { 401 });
            fault.body = is_exchanged.then(|| r#"{"error":"invalid_grant"}"#.to_owned());
        });
        let worker = rig.work_with(only(platform));
        rig.insert(&[order("o-1")]).await;
        let name = platform.name();
        rig.until_state(name, ID, "pending/destination_held").await;
        let attempts: i16 = rig
            .one("select attempts from conversion_outbox.delivery")
            .await;
        assert_eq!(attempts, 0, "{name}");
        rig.sandbox.remove_fault(fault);
        match platform {
            Platform::Meta => {
                rig.sandbox.put_account(
                    emulator(platform),
                    crate::rig::DATASET,
                    sandbox::Account::with_token("another"),
                );
                rig.write("meta.token", "another");
            }
            Platform::Ga4 => {
                rig.write("ga4.secret", "another");
            }
            Platform::LinkedIn => {
                rig.write("linkedin.token", "another");
            }
            Platform::GoogleDataManager | Platform::GoogleAds => {
                let same = std::fs::read_to_string(rig.folder.path().join("google.json"))
                    .expect("readable");
                rig.write("google.json", &format!("{same}\n "));
                // White space is no other credential: an operator resumes it.
                rig.run(&format!(
                    "select conversion_outbox.resume_destination('{name}')"
                ))
                .await;
            }
        }
        rig.until_state(name, ID, taken(platform)).await;
        worker.drain().await;
    }
}
