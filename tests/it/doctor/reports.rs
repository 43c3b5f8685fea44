//! What `doctor` says of destinations whose platform is asked what it counted.

use conversion_outbox::destinations::Platform;
use conversion_outbox::sandbox::ReportSettings;
use conversion_outbox::sandbox::google_ads::Customer;
use conversion_outbox::sandbox::linkedin::{AccessToken, LIST_SCOPE, SEND_SCOPE};

use super::{counted, doctor, put_customer, sound};
use crate::reports::report_lines;
use crate::rig::{CUSTOMER, Rig, Setup, TOKEN};

/// Every platform is asked; the version of the Google Ads API ends in no reader's time.
fn asking(rig: &Rig) -> String {
    let setup = Platform::ALL
        .into_iter()
        .fold(Setup::all(), |setup, platform| {
            setup.lines(platform, report_lines(rig, platform))
        });
    let manager = report_lines(rig, Platform::GoogleDataManager);
    let lasting = format!("{manager}\napi_version = \"v99\"");
    rig.configuration(setup.lines(Platform::GoogleDataManager, lasting.leak()))
}

#[tokio::test]
async fn reports_are_tried_and_what_stands_in_their_way_is_told() {
    let rig = sound().await;
    put_customer(&rig, Customer::new(CUSTOMER));
    let config = asking(&rig);
    let told = doctor(&rig, &config, &["--online"]).await;
    told.is(0, &["linkedin/report warn"]);
    told.says("events received; days of UTC, final after 24 h");
    told.says("events received; days of Etc/UTC, final after 48 h");
    told.says("conversions attributed to ads, never the others; days of Etc/UTC, final after 72 h");
    told.says("its answer was empty");
    assert_eq!(counted(&rig), (0, 0));

    let ask = async |name: &str| {
        let args = ["--online", "--no-database", "--destination", name];
        doctor(&rig, &config, &args).await
    };
    let token = AccessToken::oauth(
        TOKEN,
        &[SEND_SCOPE, LIST_SCOPE],
        rig.clock.now() + chrono::TimeDelta::days(9),
    );
    rig.sandbox.linkedin(|world| world.add_token(token));
    let told = ask("linkedin").await;
    told.is(3, &["-/database skipped", "linkedin/report fail"]);
    told.says("r_ads_reporting");

    rig.sandbox.set_up_reports(ReportSettings {
        properties: [("1".to_owned(), Vec::new())].into(),
        ..ReportSettings::default()
    });
    let told = ask("ga4").await;
    told.is(3, &["-/database skipped", "ga4/report fail"]);
    told.says("GA4 Viewer on the property");

    rig.sandbox.set_up_reports(ReportSettings {
        quota: Some(0),
        ..ReportSettings::default()
    });
    let told = ask("google_data_manager").await;
    told.is(
        0,
        &["-/database skipped", "google_data_manager/report warn"],
    );
    told.says("throttles");
}
