//! What `doctor --online` says of each platform, and its test events.

use chrono::{TimeDelta, Utc};
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::google::{ActionStatus, ConversionAction, RefreshClient};
use conversion_outbox::sandbox::google_ads::Customer;
use conversion_outbox::sandbox::linkedin::{AccessToken, ConversionRule, SEND_SCOPE};
use conversion_outbox::sandbox::{Platform, Verdict};

use super::{all, counted, doctor, put_customer, sound};
use crate::rig::{
    ACTION, AD_ACCOUNT, ADS_ACTION, ADS_CUSTOMER, ADS_LEAD_ACTION, CUSTOMER, LEAD_ACTION, RULE,
    SECRET, Setup, TOKEN,
};

#[tokio::test]
async fn each_fault_of_a_platform_is_its_own_finding() {
    let rig = sound().await;
    let long_ago = Utc::now() - TimeDelta::days(30);
    let config = all(&rig);
    let ask = async |config: &str, name: &str| {
        doctor(
            &rig,
            config,
            &["--online", "--no-database", "--destination", name],
        )
        .await
    };
    let with_database = "-/database skipped";

    rig.sandbox.google(|world| {
        let mut action = ConversionAction::upload_clicks(ADS_CUSTOMER, ADS_LEAD_ACTION, long_ago);
        action.status = ActionStatus::Removed;
        world.add_action(action);
    });
    let told = ask(&config, "google_ads").await;
    told.is(3, &[with_database, "google_ads/conversion_action fail"]);
    told.says(&format!(
        "action {ADS_LEAD_ACTION} (lead_created) is not enabled: REMOVED"
    ));

    let give = |ads_owner, owner| {
        rig.sandbox.google(|world| {
            for (owner, id) in [(ads_owner, ADS_LEAD_ACTION), (owner, LEAD_ACTION)] {
                world.add_action(ConversionAction::upload_clicks(owner, id, long_ago));
            }
        });
    };
    give("9999999999", "9999999999");
    ask(&config, "google_ads")
        .await
        .is(3, &[with_database, "google_ads/conversion_action fail"]);
    let told = ask(&config, "google_data_manager").await;
    told.is(
        3,
        &[with_database, "google_data_manager/conversion_action fail"],
    );
    told.says("INVALID_CONVERSION_ACTION_ID");

    give(ADS_CUSTOMER, CUSTOMER);
    put_customer(&rig, Customer::new(ADS_CUSTOMER));
    let told = ask(&config, "google_ads").await;
    told.is(0, &[with_database, "google_ads/upload warn"]);
    told.says("google_data_manager instead");

    let rule = |change: fn(&mut ConversionRule)| {
        let mut rule = ConversionRule::new(RULE, AD_ACCOUNT);
        change(&mut rule);
        rig.sandbox.linkedin(|world| world.add_rule(rule));
    };
    for (change, said) in [
        (
            (|rule| rule.enabled = false) as fn(&mut ConversionRule),
            "is disabled",
        ),
        (
            |rule| rule.method = "INSIGHT_TAG".to_owned(),
            "its method is INSIGHT_TAG",
        ),
        (
            |rule| rule.account = "1".to_owned(),
            "is not in the ad account",
        ),
    ] {
        rule(change);
        let told = ask(&config, "linkedin").await;
        told.is(3, &[with_database, "linkedin/rule fail"]);
        told.says(said);
    }
    rule(|_| {});

    let old = config.replace("rules = {", "version = \"202510\"\nrules = {");
    let told = ask(&old, "linkedin").await;
    told.is(
        3,
        &[
            "linkedin/api_version fail",
            with_database,
            "linkedin/platform fail",
        ],
    );
    told.says("202510 ended on 2026-10-15");
    let offline = ["--no-database", "--destination", "linkedin"];
    let told = doctor(&rig, &old, &offline).await;
    told.is(
        3,
        &[
            "linkedin/api_version fail",
            with_database,
            "-/platforms skipped",
        ],
    );

    rig.sandbox.linkedin(|world| {
        let narrow = AccessToken::oauth(TOKEN, &[SEND_SCOPE], Utc::now() + TimeDelta::days(60));
        world.add_token(narrow);
    });
    let told = ask(&config, "linkedin").await;
    told.is(0, &[with_database, "linkedin/platform warn"]);
    told.says("r_ads");
    rig.sandbox.linkedin(|world| world.revoke_token(TOKEN));
    let told = ask(&config, "linkedin").await;
    told.is(3, &[with_database, "linkedin/platform fail"]);
    told.says("REVOKED_ACCESS_TOKEN");

    rig.write("meta.token", "somebody else's");
    ask(&config, "meta")
        .await
        .is(3, &[with_database, "meta/platform fail"]);
    let away = config.replace(
        &format!("base_url = \"{}\"", rig.sandbox.url()),
        "base_url = \"http://127.0.0.1:1\"",
    );
    let told = ask(&away, "ga4").await;
    told.is(69, &[with_database, "ga4/platform fail"]);
    told.says("no connection to 127.0.0.1");
    assert_eq!(counted(&rig), (0, 0));
}

#[tokio::test]
async fn a_refused_exchange_of_tokens_is_told_with_its_mending() {
    let rig = sound().await;
    let client = RefreshClient::new("the-client", SECRET, TOKEN);
    rig.sandbox.google(|world| world.add_client(client));
    rig.write("client.secret", SECRET);
    rig.write("refresh.token", TOKEN);
    let folder = rig.folder.path().display();
    let config = rig.configuration(Setup::only(&[Destination::GoogleDataManager]));
    let config = config.replace(
        &format!("service_account = {{ file = \"{folder}/google.json\" }}"),
        &format!(
            "oauth = {{ client_id = \"the-client\", client_secret = {{ file = \"{folder}/client.secret\" }}, \
             refresh_token = {{ file = \"{folder}/refresh.token\" }} }}"
        ),
    );
    let told = doctor(&rig, &config, &["--online"]).await;
    told.is(0, &[]);
    told.says("for the refresh token");

    rig.sandbox
        .google(|world| world.revoke_refresh_token(TOKEN));
    let told = doctor(&rig, &config, &["--online"]).await;
    told.is(3, &["google_data_manager/token fail"]);
    told.says("refuses: invalid_grant [the refresh token is revoked");

    std::fs::remove_file(rig.folder.path().join("client.secret")).expect("removed");
    let told = doctor(&rig, &config, &["--online"]).await;
    told.is(
        78,
        &[
            "google_data_manager/credential fail",
            "google_data_manager/token skipped",
        ],
    );
}

#[tokio::test]
async fn a_test_event_is_one_event_and_is_marked() {
    for platform in Platform::ALL {
        let rig = sound().await;
        let name = platform.as_str();
        let args = [
            "--online",
            "--no-database",
            "--send-test",
            "--destination",
            name,
        ];
        let told = doctor(&rig, &all(&rig), &args).await;
        told.is(0, &["-/database skipped"]);
        told.says("conversion-outbox-test-");
        assert_eq!(counted(&rig), (1, 1), "{name}");
        let rows = rig.arrived(platform);
        let stored = rows.iter().find(|row| row.verdict == Verdict::Stored);
        let body = String::from_utf8_lossy(&stored.expect("one").body).into_owned();
        assert!(!body.contains("@example.com"), "{body}");
        if name == "ga4" {
            assert!(body.contains("\"debug_mode\":true"), "{body}");
        }
    }
}

#[tokio::test]
async fn no_test_event_is_sent_where_something_is_wrong() {
    let rig = sound().await;
    rig.write("meta.token", "wrong");
    let args = [
        "--online",
        "--no-database",
        "--send-test",
        "--destination",
        "meta",
    ];
    let told = doctor(&rig, &all(&rig), &args).await;
    told.is(
        3,
        &[
            "-/database skipped",
            "meta/platform fail",
            "meta/test_event skipped",
        ],
    );
}

#[tokio::test]
async fn a_destination_that_only_adjusts_needs_no_allowlist_and_gets_no_test_event() {
    let rig = sound().await;
    put_customer(&rig, Customer::new(ADS_CUSTOMER));
    let setup = Setup {
        google: "refund_mode = \"ads_api_retraction\"",
        ads: "adjusts_destination = \"google_data_manager\"",
        ..Setup::all()
    };
    let args = [
        "--online",
        "--no-database",
        "--send-test",
        "--destination",
        "google_ads",
    ];
    // One account: what the one counts, the other takes back.
    let config = rig
        .configuration(setup)
        .replace(ACTION, ADS_ACTION)
        .replace(LEAD_ACTION, ADS_LEAD_ACTION);
    let told = doctor(&rig, &config, &args).await;
    told.is(0, &["-/database skipped", "google_ads/test_event skipped"]);
    told.says("only adjusts");
    assert_eq!(counted(&rig), (0, 0));
}
