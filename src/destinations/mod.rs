//! The platforms. One file each, the same four parts in the same order: settings, needs, request, classify.
//!
//! Pure: no network, no clock, no environment. A platform sees a [`Conversion`] and never the raw row; it writes a
//! request without ever holding the credential, which `send.rs` puts in at the last moment. Adding a platform means
//! adding a variant here and a file beside this one; the compiler then says what is missing.

pub mod ga4;
pub mod meta;

use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;

use crate::config::read::Reader;
use crate::config::secret::SecretRef;
use crate::consent::{Kind, Signal};
use crate::conversion::Conversion;
use crate::identity::{Family, Rules};
use crate::outcome::Answer;

/// A platform: its text is the configuration key, the database value and the metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Platform {
    /// Meta Conversions API.
    Meta,
    /// Google Analytics 4 Measurement Protocol.
    Ga4,
}

/// What an operator filled in for one account on a platform. Everything a platform does starts from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settings {
    /// A Meta dataset.
    Meta(meta::Settings),
    /// A GA4 web stream.
    Ga4(ga4::Settings),
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
    /// How far the business clock may be ahead of ours; what is further ahead waits.
    pub ahead_max: Duration,
    /// Where its API lives, unless the destination sets `base_url`.
    pub base_url: &'static str,
    /// Its name for a paid order. Two of our events mapped to it would count one order twice.
    pub purchase: &'static str,
}

/// How many events one request may carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSize {
    /// Unless the destination sets `batch_size`.
    pub default: u32,
    /// What the platform takes at most.
    pub max: u32,
}

/// One event's part of a request body, and its fingerprint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// JSON text. The same conversion gives the same bytes on every try.
    pub payload: String,
    /// SHA-256 of `payload`.
    pub hash: [u8; 32],
}

/// Why no request can be made of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsendable {
    /// Nothing that the platform could match a person by.
    NoIdentifier,
    /// The platform would refuse it. Names the field, never the value.
    Invalid(&'static str),
}

/// A request without its credential. The method is always POST: platforms offer no other for events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpRequest {
    /// Address, without secret query parameters.
    pub url: Url,
    /// Where the credential goes.
    pub credential: Credential,
    /// JSON text.
    pub body: String,
}

/// Where a platform wants its credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer …`
    Bearer,
    /// A query parameter of this name.
    Query(&'static str),
    /// A member of the JSON body of this name.
    Body(&'static str),
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Header names in lower case.
    pub headers: Vec<(String, String)>,
    /// The first 64 KiB.
    pub body: Vec<u8>,
}

impl Platform {
    /// Every platform, in the order of the documentation.
    pub const ALL: [Platform; 2] = [Platform::Meta, Platform::Ga4];

    /// The words and what they name, for reading a configuration.
    pub const NAMES: [(&'static str, Platform); 2] =
        [("meta", Platform::Meta), ("ga4", Platform::Ga4)];

    /// The text that names it everywhere.
    pub fn name(self) -> &'static str {
        match self {
            Platform::Meta => "meta",
            Platform::Ga4 => "ga4",
        }
    }

    /// What it asks of events.
    pub fn needs(self) -> Needs {
        match self {
            Platform::Meta => meta::NEEDS,
            Platform::Ga4 => ga4::NEEDS,
        }
    }

    /// Whether it takes an event of this name.
    pub fn is_event_name(self, name: &str) -> bool {
        match self {
            Platform::Meta => meta::is_event_name(name),
            Platform::Ga4 => ga4::is_event_name(name),
        }
    }
}

impl Settings {
    /// Which platform this is an account of.
    pub fn platform(&self) -> Platform {
        match self {
            Settings::Meta(_) => Platform::Meta,
            Settings::Ga4(_) => Platform::Ga4,
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
        }
    }

    /// The credential that every request carries.
    pub fn credential(&self) -> &SecretRef {
        match self {
            Settings::Meta(settings) => &settings.access_token,
            Settings::Ga4(settings) => &settings.api_secret,
        }
    }

    /// The account on the platform: dataset id, measurement id.
    pub fn account(&self) -> &str {
        match self {
            Settings::Meta(settings) => &settings.dataset_id,
            Settings::Ga4(settings) => &settings.measurement_id,
        }
    }

    /// How identifiers are normalised, beyond the family's own rules.
    pub fn rules(&self, default_calling_code: Option<u16>) -> Rules {
        match self {
            Settings::Meta(settings) => Rules {
                default_calling_code,
                external_id_mode: settings.external_id_mode,
            },
            Settings::Ga4(_) => Rules {
                default_calling_code,
                ..Rules::default()
            },
        }
    }

    /// The platform's name for an application's event; nothing where it has none.
    pub fn default_name(&self, event_name: &str) -> Option<&'static str> {
        match self {
            Settings::Meta(settings) => meta::default_name(settings, event_name),
            Settings::Ga4(_) => ga4::default_name(event_name),
        }
    }

    /// How old an event of this kind may be when it is sent.
    pub fn age_max(&self, conversion_action_source: Option<&str>) -> Duration {
        match self {
            Settings::Meta(_) => meta::age_max(conversion_action_source),
            Settings::Ga4(_) => ga4::AGE_MAX,
        }
    }

    /// How long the platform recognises a repeat of this event as one; nothing where it does not promise to.
    pub fn repeat_window(&self, name: &str) -> Option<Duration> {
        match self {
            Settings::Meta(_) => Some(meta::REPEAT_WINDOW),
            Settings::Ga4(_) => ga4::repeat_window(name),
        }
    }

    /// One event's part of the body.
    pub fn item(&self, conversion: &Conversion<'_>) -> Result<Item, Unsendable> {
        match self {
            Settings::Meta(settings) => meta::item(settings, conversion),
            Settings::Ga4(settings) => ga4::item(settings, conversion),
        }
    }

    /// The request that carries these events, at most [`BatchSize::max`] of them.
    pub fn request(&self, base_url: &Url, items: &[&Item]) -> HttpRequest {
        match self {
            Settings::Meta(settings) => meta::request(settings, base_url, items),
            Settings::Ga4(settings) => ga4::request(settings, base_url, items),
        }
    }

    /// What the answer says of the `sent` events.
    pub fn classify(&self, reply: &Reply, sent: usize) -> Answer {
        match self {
            Settings::Meta(_) => meta::classify(reply, sent),
            Settings::Ga4(settings) => ga4::classify(settings, reply),
        }
    }
}

impl Item {
    /// Fingerprints one event's part of a body.
    pub fn new(payload: String) -> Item {
        let hash = Sha256::digest(payload.as_bytes()).into();
        Item { payload, hash }
    }
}

impl Reply {
    /// A header by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// `Retry-After` in seconds. The form with a date is not read: no platform documents it.
    pub fn retry_after(&self) -> Option<Duration> {
        self.header("retry-after")?
            .trim()
            .parse()
            .ok()
            .map(Duration::from_secs)
    }
}

/// An address under the base, which may itself have a path (a proxy, a sandbox).
fn address(base_url: &Url, path: &str) -> Url {
    let mut url = base_url.clone();
    url.set_path(&format!("{}{path}", base_url.path().trim_end_matches('/')));
    url
}
