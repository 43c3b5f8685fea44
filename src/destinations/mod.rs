//! The platforms. One file or folder each, the same four parts in the same order: settings, needs, request, classify.
//!
//! Pure: no network, no clock, no environment. A platform sees a [`Conversion`] and never the raw row; it writes a
//! request without ever holding the credential, which `send.rs` puts in at the last moment. Adding a platform means
//! adding a variant here and a file beside this one; the compiler then says what is missing.

pub mod ga4;
pub mod google;
pub mod google_ads;
pub mod google_data_manager;
pub mod linkedin;
pub mod meta;
mod request;
pub mod request_number;
mod version;

pub(crate) use request::address;
pub use request::{Credential, HttpRequest, Item, Lot, Method, Reply, Unsendable};
pub use version::{Ending, Version};

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::NaiveTime;
use url::Url;

use crate::config::oauth::OAuth;
use crate::config::read::Reader;
use crate::config::secret::{SecretError, SecretRef};
use crate::consent::{Kind, Signal};
use crate::conversion::Conversion;
use crate::identity::{Family, Rules};
use crate::outcome::{Answer, LateAnswer};

/// A platform: its text is the configuration key, the database value and the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Meta Conversions API.
    Meta,
    /// Google Analytics 4 Measurement Protocol.
    Ga4,
    /// Google Data Manager API, the way to Google Ads for everybody.
    GoogleDataManager,
    /// Google Ads API, for those who may still use it, and for retractions.
    GoogleAds,
    /// LinkedIn Conversions API.
    LinkedIn,
}

/// What an operator filled in for one account on a platform. Everything a platform does starts from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// A Meta dataset.
    Meta(meta::Settings),
    /// A GA4 web stream.
    Ga4(ga4::Settings),
    /// A Google Ads account, told through Data Manager.
    GoogleDataManager(google_data_manager::Settings),
    /// A Google Ads account, told through its own API.
    GoogleAds(google_ads::Settings),
    /// A LinkedIn ad account.
    LinkedIn(linkedin::Settings),
}

/// What a platform asks of events.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// Whose normalisation rules its identifiers follow.
    pub family: Family,
    /// The signals that must be granted before data of a kind may go there, unless the destination says otherwise.
    pub consent: fn(Kind) -> &'static [Signal],
    /// Events per request.
    pub batch: BatchSize,
    /// Requests under way at once, unless the destination sets `concurrency`: enough to hide the platform's latency, few
    /// enough not to be throttled.
    pub concurrency: u32,
    /// Requests in a span of time that the platform documents, questions for late answers included; none where it
    /// documents none.
    pub rate_limit: Option<(u32, Duration)>,
    /// When a daily quota is new, in UTC, where the platform documents the hour and its throttling does not say that it is
    /// the day's.
    pub quota_resets_at: Option<NaiveTime>,
    /// How far the business clock may be ahead of ours; what is further ahead waits.
    pub ahead_max: Duration,
    /// Where its API lives, unless the destination sets `base_url`.
    pub base_url: &'static str,
}

/// How a platform hears of an event that takes something back of another: a refund, a cancellation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reversals {
    /// As an event of its own, with what is taken back; where it has a name for it.
    Events,
    /// As a change of the original's conversion to what is left of it. So they go in their order, one at a time, and only
    /// after the platform confirmed the original: it would take an unknown one for a new conversion.
    Totals,
}

/// What proves to a platform who is asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// A long-lived token or secret, sent as it is.
    Secret(&'a SecretRef),
    /// Exchanged for a short-lived access token.
    OAuth(&'a OAuth),
}

impl Credentials<'_> {
    /// Whether every secret can be read now.
    pub fn check(&self) -> Result<(), SecretError> {
        match self {
            Credentials::Secret(secret) => secret.load().map(drop),
            Credentials::OAuth(oauth) => oauth.load().map(drop),
        }
    }
}

/// When to ask a platform what became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AskLater {
    /// The first time, after the request.
    pub first: Duration,
    /// Each further pause is longer by so many percent.
    pub growth_percent: u32,
    /// Longest pause.
    pub pause_max: Duration,
    /// When to stop asking, after the request.
    pub give_up: Duration,
}

/// How many events one request may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// Unless the destination sets `batch_size`.
    pub default: u32,
    /// What the platform takes at most.
    pub max: u32,
}

impl Platform {
    /// Every platform, in the order of the documentation.
    pub const ALL: [Platform; 5] = [
        Platform::Meta,
        Platform::Ga4,
        Platform::GoogleDataManager,
        Platform::GoogleAds,
        Platform::LinkedIn,
    ];

    /// The words and what they name, for reading a configuration.
    pub const NAMES: [(&'static str, Platform); 5] = [
        ("meta", Platform::Meta),
        ("ga4", Platform::Ga4),
        ("google_data_manager", Platform::GoogleDataManager),
        ("google_ads", Platform::GoogleAds),
        ("linkedin", Platform::LinkedIn),
    ];

    /// The text that names it everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Meta => "meta",
            Platform::Ga4 => "ga4",
            Platform::GoogleDataManager => "google_data_manager",
            Platform::GoogleAds => "google_ads",
            Platform::LinkedIn => "linkedin",
        }
    }

    /// What it asks of events.
    pub fn needs(self) -> Needs {
        match self {
            Platform::Meta => meta::NEEDS,
            Platform::Ga4 => ga4::NEEDS,
            Platform::GoogleDataManager => google_data_manager::NEEDS,
            Platform::GoogleAds => google_ads::NEEDS,
            Platform::LinkedIn => linkedin::NEEDS,
        }
    }

    /// Whether it takes an event of this name; for Google Ads and LinkedIn, whether this can be an action's or rule's id.
    pub fn is_event_name(self, name: &str) -> bool {
        match self {
            Platform::Meta => meta::is_event_name(name),
            Platform::Ga4 => ga4::is_event_name(name),
            Platform::GoogleDataManager | Platform::GoogleAds => google::is_action_id(name),
            Platform::LinkedIn => linkedin::is_rule_id(name),
        }
    }
}

impl Settings {
    /// Which platform this is an account of.
    pub fn platform(&self) -> Platform {
        match self {
            Settings::Meta(_) => Platform::Meta,
            Settings::Ga4(_) => Platform::Ga4,
            Settings::GoogleDataManager(_) => Platform::GoogleDataManager,
            Settings::GoogleAds(_) => Platform::GoogleAds,
            Settings::LinkedIn(_) => Platform::LinkedIn,
        }
    }

    /// Reads the platform's own keys from a `[[destination]]`. `is_production` refuses what is for tests only.
    pub fn read(
        platform: Platform,
        reader: &mut Reader<'_>,
        is_production: bool,
    ) -> Option<Settings> {
        match platform {
            Platform::Meta => meta::Settings::read(reader, is_production).map(Settings::Meta),
            Platform::Ga4 => ga4::Settings::read(reader).map(Settings::Ga4),
            Platform::GoogleDataManager => {
                google_data_manager::Settings::read(reader).map(Settings::GoogleDataManager)
            }
            Platform::GoogleAds => google_ads::Settings::read(reader).map(Settings::GoogleAds),
            Platform::LinkedIn => linkedin::Settings::read(reader).map(Settings::LinkedIn),
        }
    }

    /// What its limit of requests is of, where that is not the account alone: destinations with the same word share it.
    pub fn quota_group(&self) -> Option<String> {
        match self {
            Settings::GoogleDataManager(settings) => Some(settings.quota_group()),
            Settings::Meta(_)
            | Settings::Ga4(_)
            | Settings::GoogleAds(_)
            | Settings::LinkedIn(_) => None,
        }
    }

    /// What every request is signed with.
    pub fn credentials(&self) -> Credentials<'_> {
        match self {
            Settings::Meta(settings) => Credentials::Secret(&settings.access_token),
            Settings::Ga4(settings) => Credentials::Secret(&settings.api_secret),
            Settings::GoogleDataManager(settings) => Credentials::OAuth(&settings.oauth),
            Settings::GoogleAds(settings) => Credentials::OAuth(&settings.oauth),
            Settings::LinkedIn(settings) => settings.credentials(),
        }
    }

    /// The account on the platform: dataset id, measurement id, customer id, ad account.
    pub fn account(&self) -> &str {
        match self {
            Settings::Meta(settings) => &settings.dataset_id,
            Settings::Ga4(settings) => &settings.measurement_id,
            Settings::GoogleDataManager(settings) => &settings.operating_account,
            Settings::GoogleAds(settings) => &settings.customer_id,
            Settings::LinkedIn(settings) => &settings.ad_account,
        }
    }

    /// The version of the API that is asked for, where the platform has versions that end.
    pub fn version(&self) -> Option<Version<'_>> {
        let (name, ends) = match self {
            Settings::Meta(settings) => (&settings.version, meta::version_ends(&settings.version)),
            Settings::GoogleAds(settings) => {
                let version = &settings.api_version;
                (version, google_ads::version_ends(version))
            }
            Settings::LinkedIn(settings) => {
                let version = &settings.version;
                (version, linkedin::version_ends(version))
            }
            Settings::Ga4(_) | Settings::GoogleDataManager(_) => return None,
        };
        Some(Version { name, ends })
    }

    /// How identifiers are normalised, beyond the family's own rules.
    pub fn rules(&self, default_calling_code: Option<u16>) -> Rules {
        let rules = Rules {
            default_calling_code,
            ..Rules::default()
        };
        match self {
            Settings::Meta(settings) => Rules {
                external_id_mode: settings.external_id_mode,
                ..rules
            },
            Settings::LinkedIn(settings) => settings.rules(rules),
            Settings::Ga4(_) | Settings::GoogleDataManager(_) | Settings::GoogleAds(_) => rules,
        }
    }

    /// The platform's name for an application's event, or the action or rule it is for; nothing where it has none.
    pub fn default_name(&self, event_name: &str) -> Option<&str> {
        match self {
            Settings::Meta(settings) => meta::default_name(settings, event_name),
            Settings::Ga4(_) => ga4::default_name(event_name),
            Settings::GoogleDataManager(settings) => settings.conversion_action(event_name),
            Settings::GoogleAds(settings) => settings.conversion_action(event_name),
            Settings::LinkedIn(settings) => settings.rule(event_name),
        }
    }

    /// The conversion actions or rules that are configured, by the event that is mapped to each; none where the platform
    /// has no such thing.
    pub fn actions(&self) -> Option<&BTreeMap<String, String>> {
        match self {
            Settings::Meta(_) | Settings::Ga4(_) => None,
            Settings::GoogleDataManager(settings) => Some(&settings.conversion_actions),
            Settings::GoogleAds(settings) => Some(&settings.conversion_actions),
            Settings::LinkedIn(settings) => Some(&settings.rules),
        }
    }

    /// How it hears of refunds and cancellations.
    pub fn reversals(&self) -> Reversals {
        match self {
            Settings::GoogleDataManager(settings) if settings.restates => Reversals::Totals,
            Settings::GoogleAds(_) => Reversals::Totals,
            _ => Reversals::Events,
        }
    }

    /// The destination whose conversions it adjusts, where these are not its own: it then sends adjustments only.
    pub fn adjusts_destination(&self) -> Option<&str> {
        match self {
            Settings::GoogleAds(settings) => settings.adjusts_destination.as_deref(),
            _ => None,
        }
    }

    /// Whether the platform only looks at what it is told, and records nothing.
    pub fn only_validates(&self) -> bool {
        match self {
            Settings::Ga4(settings) => settings.mode == ga4::Mode::ValidateOnly,
            Settings::GoogleDataManager(settings) => settings.validate_only,
            Settings::GoogleAds(settings) => settings.validate_only,
            Settings::Meta(_) | Settings::LinkedIn(_) => false,
        }
    }

    /// How old an event may be when it is sent; for a change of a conversion, how old that conversion.
    pub fn age_max(&self, action_source: Option<&str>, is_change: bool) -> Duration {
        match self {
            Settings::Meta(_) => meta::age_max(action_source),
            Settings::Ga4(_) => ga4::AGE_MAX,
            Settings::GoogleDataManager(_) => google_data_manager::AGE_MAX,
            Settings::GoogleAds(_) if is_change => google_ads::ADJUSTMENT_AGE_MAX,
            Settings::GoogleAds(_) => google_ads::AGE_MAX,
            Settings::LinkedIn(_) => linkedin::AGE_MAX,
        }
    }

    /// How long the platform recognises a repeat of this event as one; nothing where it does not promise to.
    pub fn repeat_window(&self, name: &str) -> Option<Duration> {
        match self {
            Settings::Meta(_) => Some(meta::REPEAT_WINDOW),
            Settings::Ga4(_) => ga4::repeat_window(name),
            Settings::GoogleDataManager(_) => Some(google_data_manager::AGE_MAX),
            Settings::GoogleAds(_) => Some(google_ads::AGE_MAX),
            Settings::LinkedIn(_) => None,
        }
    }

    /// By what the platform recognises a repeat of this event; nothing where it does not promise to.
    pub fn repeat_key(&self, name: &str) -> Option<&'static str> {
        match self {
            Settings::Meta(_) => Some("event name and event id"),
            Settings::Ga4(_) => {
                ga4::repeat_window(name).map(|_| "transaction_id, which is the business id")
            }
            Settings::GoogleDataManager(_) => Some(
                "conversion action and transaction id, which is made of the event id; a repeat overwrites",
            ),
            Settings::GoogleAds(_) => {
                Some("conversion action and order id, which is made of the event id")
            }
            Settings::LinkedIn(_) => None,
        }
    }

    /// When to ask what became of a request, where the platform says so later.
    pub fn asks_later(&self) -> Option<AskLater> {
        match self {
            Settings::GoogleDataManager(settings) if !self.only_validates() => {
                Some(settings.ask_later)
            }
            _ => None,
        }
    }

    /// One event's part of the body.
    pub fn item(&self, conversion: &Conversion<'_>) -> Result<Item, Unsendable> {
        match self {
            Settings::Meta(settings) => meta::item(settings, conversion),
            Settings::Ga4(settings) => ga4::item(settings, conversion),
            Settings::GoogleDataManager(settings) => {
                google_data_manager::item(settings, conversion)
            }
            Settings::GoogleAds(settings) => google_ads::item(settings, conversion),
            Settings::LinkedIn(settings) => linkedin::item(settings, conversion),
        }
    }

    /// The request that carries these events: at least one, at most [`BatchSize::max`], all of one [`Lot`].
    pub fn request(&self, base_url: &Url, items: &[&Item]) -> HttpRequest {
        match self {
            Settings::Meta(settings) => meta::request(settings, base_url, items),
            Settings::Ga4(settings) => ga4::request(settings, base_url, items),
            Settings::GoogleDataManager(settings) => {
                google_data_manager::request(settings, base_url, items)
            }
            Settings::GoogleAds(settings) => google_ads::request(settings, base_url, items),
            Settings::LinkedIn(settings) => linkedin::request(settings, base_url, items),
        }
    }

    /// What the answer says of the events of the request, in their order.
    pub fn classify(&self, reply: &Reply, items: &[&Item]) -> Answer {
        match self {
            Settings::Meta(_) => meta::classify(reply, items.len()),
            Settings::Ga4(settings) => ga4::classify(settings, reply),
            Settings::GoogleDataManager(settings) => {
                google_data_manager::classify(settings, reply, items.len())
            }
            Settings::GoogleAds(settings) => google_ads::classify(settings, reply, items),
            Settings::LinkedIn(_) => linkedin::classify(reply, items.len()),
        }
    }

    /// Asks what became of a request. Only where [`Settings::asks_later`].
    pub fn question(&self, base_url: &Url, receipt: &str) -> Option<HttpRequest> {
        match self {
            Settings::GoogleDataManager(settings) => {
                Some(google_data_manager::question(settings, base_url, receipt))
            }
            _ => None,
        }
    }

    /// What the answer to [`Settings::question`] says of the request's `sent` events.
    pub fn classify_late(&self, reply: &Reply, sent: usize) -> Option<LateAnswer> {
        match self {
            Settings::GoogleDataManager(settings) => {
                Some(google_data_manager::classify_late(settings, reply, sent))
            }
            _ => None,
        }
    }
}
