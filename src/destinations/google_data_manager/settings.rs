//! What an operator fills in for one Google Ads account that is told through Data Manager.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::AskLater;
use super::super::google::{self, Merchant};
use crate::config::oauth::OAuth;
use crate::config::read::Reader;

const SCOPE: &str = "https://www.googleapis.com/auth/datamanager";

/// How much longer each pause between questions is than the one before, and the longest time of asking that makes sense:
/// Google keeps a status for about 50 days (`developers.google.com/data-manager/api/devguides/diagnostics`).
const GROWTH_PERCENT: u32 = 30;
const GIVE_UP_HOURS_MAX: u32 = 50 * 24;

/// What an operator fills in for one Google Ads account that is told through Data Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The account that owns the conversion actions: digits. Neither its manager nor an account below it will do.
    pub operating_account: String,
    /// The manager account through which access is granted: digits. `None` where it is the operating account itself.
    pub login_account: Option<String>,
    /// The credential.
    pub oauth: OAuth,
    /// Event name to the id of its conversion action.
    pub conversion_actions: BTreeMap<String, String>,
    /// Whether refunds change the value of the conversion here. Otherwise the Google Ads API is told of them.
    pub restates: bool,
    /// Whether events are only validated. Google then checks less than it would, and tells nothing later.
    pub validate_only: bool,
    /// Whether a request of which some events failed goes again in smaller parts, to find them.
    pub narrow_partial: bool,
    /// Event name to its source, over what follows from where the event happened; ask [`Settings::event_source`].
    pub event_sources: BTreeMap<String, EventSource>,
    /// The shop whose products carts name. `None` sends no carts.
    pub merchant: Option<Merchant>,
    /// The Cloud project that the requests count for, where it is not the credential's own.
    pub quota_project: Option<String>,
    /// When to ask what became of a request.
    pub ask_later: AskLater,
}

/// Where an event happened, in Google's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventSource {
    /// In a browser.
    Web,
    /// In an app.
    App,
    /// In a shop.
    InStore,
    /// On the telephone.
    Phone,
    /// In a message.
    Message,
    /// Anywhere else, such as in a CRM.
    Other,
}

impl Settings {
    /// What the limit of requests is of: the Cloud project. Where none is named it is the credential's own, and destinations
    /// of one configuration are taken to share it.
    pub fn quota_group(&self) -> String {
        let project = self.quota_project.as_deref();
        project.map_or_else(
            || "google_data_manager".to_owned(),
            |project| format!("google_data_manager {project}"),
        )
    }

    /// Reads the keys of a Data Manager destination.
    pub fn read(reader: &mut Reader<'_>) -> Option<Settings> {
        reader.require(
            "operating_account",
            "the customer id of the Google Ads account that owns the conversion actions, digits in quotes",
        );
        let operating_account = google::read_account(reader, "operating_account");
        let login_account = google::read_account(reader, "login_account");
        let oauth = OAuth::read_google(reader, SCOPE);
        let conversion_actions = google::read_actions(reader);
        let restates = reader.one_of(
            "refund_mode",
            &[("restate_zero", true), ("ads_api_retraction", false)],
        );
        let validate_only = reader.boolean("validate_only").unwrap_or(false);
        let narrow_partial = reader.boolean("narrow_partial").unwrap_or(true);
        let event_sources = reader.map_of("event_source", &EventSource::NAMES);
        let merchant = Merchant::read(reader);
        let quota_project = reader.text_where(
            "quota_project",
            |id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()),
            "must be a Cloud project's id",
            "copy the id from the Cloud console, or leave it out",
        );
        let ask_later = read_ask_later(reader);
        // Every key has been asked for by now, so that giving up here hides no fault.
        let operating_account = operating_account?;
        Some(Settings {
            login_account: login_account.filter(|account| *account != operating_account),
            operating_account,
            oauth: oauth?,
            conversion_actions,
            restates: restates.unwrap_or(true),
            validate_only,
            narrow_partial,
            event_sources,
            merchant,
            quota_project,
            ask_later,
        })
    }

    /// The action of an event.
    pub fn conversion_action(&self, event_name: &str) -> Option<&str> {
        self.conversion_actions.get(event_name).map(String::as_str)
    }

    /// The source that is configured for an event.
    pub fn event_source(&self, event_name: &str) -> Option<EventSource> {
        self.event_sources.get(event_name).copied()
    }

    /// The source that is configured for the events of an action.
    pub fn event_source_of_action(&self, action: &str) -> Option<EventSource> {
        self.conversion_actions
            .iter()
            .filter(|(_, id)| *id == action)
            .find_map(|(event_name, _)| self.event_source(event_name))
    }
}

impl EventSource {
    const NAMES: [(&'static str, EventSource); 6] = [
        ("WEB", EventSource::Web),
        ("APP", EventSource::App),
        ("IN_STORE", EventSource::InStore),
        ("PHONE", EventSource::Phone),
        ("MESSAGE", EventSource::Message),
        ("OTHER", EventSource::Other),
    ];

    /// Google's word (google.ads.datamanager.v1, `EventSource`).
    pub fn name(self) -> &'static str {
        match self {
            EventSource::Web => "WEB",
            EventSource::App => "APP",
            EventSource::InStore => "IN_STORE",
            EventSource::Phone => "PHONE",
            EventSource::Message => "MESSAGE",
            EventSource::Other => "OTHER",
        }
    }
}

/// First after half an hour, then ever more rarely for a day, so that questions leave the quota to events.
fn read_ask_later(reader: &mut Reader<'_>) -> AskLater {
    let first = reader.seconds("status_first_secs", 1..=86_400);
    let pause_max = reader.seconds("status_pause_max_secs", 1..=86_400);
    let give_up = reader.hours("status_give_up_hours", 1..=GIVE_UP_HOURS_MAX);
    AskLater {
        first: first.unwrap_or(Duration::from_secs(1800)),
        growth_percent: GROWTH_PERCENT,
        pause_max: pause_max.unwrap_or(Duration::from_secs(3600)),
        give_up: give_up.unwrap_or(Duration::from_secs(24 * 3600)),
    }
}
