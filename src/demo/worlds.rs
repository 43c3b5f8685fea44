//! What the platforms know before the day begins: who may ask, conversion actions, rules and clicks on advertisements.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::outlets::{AD_ACCOUNT, CUSTOMER, OLD_CUSTOMER, OUTLETS, Outlet, RETRACTING_CUSTOMER};
use crate::sandbox::google::{self, Click, ClickKind, ConversionAction, RefreshClient};
use crate::sandbox::google_ads::{self, Customer};
use crate::sandbox::linkedin::{self, AccessToken, ConversionRule};
use crate::sandbox::{Platform, data_manager};

/// The OAuth client of the Google Ads API, with its secret and what a person's consent gave it.
pub(crate) const ADS_CLIENT: [&str; 3] = ["demo-client", "demo-client-secret", "demo-refresh"];

/// The direct API token of the LinkedIn ad account.
pub(crate) const LINKEDIN_TOKEN: &str = "demo-linkedin-token";

/// How long Data Manager processes a request before it tells what became of it.
const PROCESSING_SECS: u32 = 1;

/// How long ago people clicked: before every order, and far within every conversion window.
const CLICKED_BEFORE: TimeDelta = TimeDelta::days(12);

/// Google's: a service account for Data Manager, a person's consent for the Google Ads API.
pub(crate) fn google(now: DateTime<Utc>) -> google::Setup {
    let [client, secret, refresh_token] = ADS_CLIENT;
    google::Setup {
        clients: vec![RefreshClient::new(client, secret, refresh_token)],
        service_accounts: vec![google::ServiceAccount::of_sandbox()],
        actions: OUTLETS
            .iter()
            .flat_map(|outlet| actions(outlet, now))
            .collect(),
        data_manager: data_manager::Setup {
            status_delay_secs: Some(PROCESSING_SECS),
            ..data_manager::Setup::default()
        },
        ads: google_ads::Setup {
            customers: vec![
                Customer::new(CUSTOMER),
                Customer::new(OLD_CUSTOMER).allowlisted(),
                Customer::new(RETRACTING_CUSTOMER),
            ],
            ..google_ads::Setup::default()
        },
        ..google::Setup::default()
    }
}

/// Clicks on the first customer's advertisements.
pub(crate) fn clicks(ids: BTreeSet<String>, now: DateTime<Utc>) -> google::Setup {
    let click = |id| Click {
        id,
        kind: ClickKind::Gclid,
        clicked_at: now - CLICKED_BEFORE,
        customer: CUSTOMER.to_owned(),
    };
    google::Setup {
        clicks: ids.into_iter().map(click).collect(),
        ..google::Setup::default()
    }
}

/// LinkedIn's.
pub(crate) fn linkedin() -> linkedin::Setup {
    let outlets = OUTLETS.iter();
    let names = outlets
        .filter(|outlet| outlet.platform == Platform::LinkedIn)
        .flat_map(|outlet| outlet.names);
    linkedin::Setup {
        rules: names.map(|(_, id)| rule(id, true)).collect(),
        tokens: vec![AccessToken::direct(LINKEDIN_TOKEN)],
        ..linkedin::Setup::default()
    }
}

/// A conversion rule at LinkedIn.
pub(crate) fn rule(id: &str, enabled: bool) -> ConversionRule {
    ConversionRule {
        enabled,
        ..ConversionRule::new(id, AD_ACCOUNT)
    }
}

fn actions(outlet: &Outlet, now: DateTime<Utc>) -> Vec<ConversionAction> {
    let is_google = matches!(
        outlet.platform,
        Platform::GoogleDataManager | Platform::GoogleAds
    );
    let names = outlet.names.iter().filter(|_| is_google);
    let action = |(_, id): &(&str, &str)| ConversionAction {
        shared_with: vec![CUSTOMER.to_owned()],
        ..ConversionAction::upload_clicks(outlet.account, id, now - TimeDelta::days(200))
    };
    names.map(action).collect()
}
