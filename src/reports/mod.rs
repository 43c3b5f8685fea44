//! What the platforms themselves say they counted, per day and event. One file for each platform, the same parts in the same
//! order: settings, request, parse.
//!
//! Request and parse are pure; [`fetch`] alone asks, through the sender that everything leaves by. Not for comparing the
//! numbers with anything, and not for keeping them.
//!
//! | platform | what is counted | whose day | ids |
//! |---|---|---|---|
//! | Meta | events received from servers, attributed or not | UTC | no |
//! | GA4 | events of the property, tags' events too | the property's | transaction ids |
//! | Google, both | conversions attributed to an ad, also in parts | the account's | no |
//! | LinkedIn | conversions attributed to an ad | UTC, unverified | no |

mod amount;
mod answer;
mod error;
mod fetch;
mod ga4;
mod google_ads;
mod linkedin;
mod meta;
mod names;
mod tally;
#[cfg(test)]
mod tests;

pub use error::{Refusal, ReportError};
pub use fetch::{REQUESTS_MAX, fetch};
pub use names::shared_names;

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, TimeDelta, Utc};
use url::Url;

use crate::config::destination::DestinationConfig;
use crate::config::read::Reader;
use crate::destinations::{self, Credentials, HttpRequest, Platform, Reply};
pub(crate) use tally::ID_MAX;
use tally::Tally;

/// Days, the first and the last one included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayRange {
    /// The first day.
    pub first: NaiveDate,
    /// The last day, not before the first.
    pub last: NaiveDate,
    /// The zone in which whoever asks counts days (IANA name). A platform that has a zone of its own answers in that one;
    /// [`ReportedDay::time_zone`] says which it was.
    pub time_zone: String,
}

/// What a platform counted of one event on one day. A day on which it counted nothing is told too, with nought.
#[derive(Clone, Debug, PartialEq)]
pub struct ReportedDay {
    /// Our event. Where several share the platform's name, the first of them; `details.events` then lists all.
    pub event_name: String,
    /// The platform's event name, or the id of its action or rule.
    pub platform_name: String,
    /// The day in `time_zone`.
    pub day: NaiveDate,
    /// The zone whose day it is (IANA name).
    pub time_zone: String,
    /// How many, as a decimal number: Google Ads counts parts.
    pub conversions: String,
    /// What they are worth in major units, as a decimal number, where the platform says.
    pub value: Option<String>,
    /// ISO 4217, where the platform or the configuration says.
    pub currency: Option<String>,
    /// How often each business or transaction id was counted, where the platform names them.
    pub ids: Option<BTreeMap<String, u64>>,
    /// What else is to be known of the number: an object. Never personal data.
    pub details: serde_json::Value,
}

/// What a platform's number is a number of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counts {
    /// Everything it took: what is missing there is missing.
    Received,
    /// What it connected with an ad: what is missing there may have no ad to thank.
    Attributed,
}

impl Counts {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Counts::Received => "received",
            Counts::Attributed => "attributed",
        }
    }
}

/// What a platform's number is a number of. Each platform's file names the source.
pub fn counts(platform: Platform) -> Counts {
    match platform {
        Platform::Meta | Platform::Ga4 => Counts::Received,
        Platform::GoogleDataManager | Platform::GoogleAds | Platform::LinkedIn => {
            Counts::Attributed
        }
    }
}

/// How long after a day's end its numbers are final, unless `final_after_hours` says otherwise. Each platform's file names
/// the source.
pub fn delay(platform: Platform) -> Duration {
    match platform {
        Platform::Meta => meta::FINAL_AFTER,
        Platform::Ga4 => ga4::FINAL_AFTER,
        Platform::GoogleDataManager | Platform::GoogleAds => google_ads::FINAL_AFTER,
        Platform::LinkedIn => linkedin::FINAL_AFTER,
    }
}

/// `[destination.report]`: how the platform is asked what it counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where the reporting API lives; the platform's own address unless configured.
    pub base_url: Url,
    /// How long after a day's end its numbers are final.
    pub final_after: Duration,
    /// The platform's own part.
    pub of: PlatformSettings,
}

/// The part of [`Settings`] that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlatformSettings {
    /// A Meta dataset.
    Meta(meta::Settings),
    /// A GA4 property.
    Ga4(ga4::Settings),
    /// A Google Ads account, however it is told of conversions.
    GoogleAds(google_ads::Settings),
    /// A LinkedIn ad account.
    LinkedIn(linkedin::Settings),
}

impl Settings {
    /// Reads `[destination.report]` of a destination whose own settings are these; nothing where they are at fault
    /// themselves. `base_url` is the destination's own.
    pub fn read(
        reader: &mut Reader<'_>,
        platform: Platform,
        own: Option<&destinations::Settings>,
        base_url: &Url,
    ) -> Option<Settings> {
        let address = match platform {
            Platform::Ga4 => ga4::BASE_URL,
            Platform::GoogleDataManager => google_ads::BASE_URL,
            // The same API takes events and tells numbers.
            Platform::Meta | Platform::GoogleAds | Platform::LinkedIn => base_url.as_str(),
        };
        let base_url = reader.address("base_url", address);
        let final_after = reader
            .hours("final_after_hours", 1..=24 * 100)
            .unwrap_or(delay(platform));
        let of = match platform {
            Platform::Meta => meta::Settings::read(reader, own).map(PlatformSettings::Meta),
            Platform::Ga4 => ga4::Settings::read(reader).map(PlatformSettings::Ga4),
            Platform::GoogleDataManager | Platform::GoogleAds => {
                google_ads::Settings::read(reader, platform, own).map(PlatformSettings::GoogleAds)
            }
            Platform::LinkedIn => {
                linkedin::Settings::read(reader, own).map(PlatformSettings::LinkedIn)
            }
        };
        Some(Settings {
            base_url,
            final_after,
            of: of?,
        })
    }

    /// What questions are signed with.
    pub fn credentials(&self) -> Credentials<'_> {
        match &self.of {
            PlatformSettings::Meta(settings) => Credentials::Secret(&settings.access_token),
            PlatformSettings::Ga4(settings) => Credentials::OAuth(&settings.oauth),
            PlatformSettings::GoogleAds(settings) => Credentials::OAuth(&settings.oauth),
            PlatformSettings::LinkedIn(settings) => settings.credentials(),
        }
    }

    /// How far back the platform knows its numbers; nothing where that is not limited.
    fn reach(&self) -> Option<TimeDelta> {
        match &self.of {
            PlatformSettings::Meta(settings) => Some(settings.reach()),
            _ => None,
        }
    }

    /// The oldest day that the platform can be asked about; nothing where that is not limited.
    fn oldest(&self, now: DateTime<Utc>) -> Option<NaiveDate> {
        let part = (now - self.reach()?).date_naive();
        part.checked_add_days(Days::new(1))
    }

    /// The first question.
    fn first(&self, query: &Query<'_>) -> HttpRequest {
        match &self.of {
            PlatformSettings::Meta(settings) => meta::first(settings, query),
            PlatformSettings::Ga4(settings) => ga4::first(settings, query),
            PlatformSettings::GoogleAds(settings) => google_ads::first(settings, query),
            PlatformSettings::LinkedIn(settings) => linkedin::first(settings, query),
        }
    }

    /// Reads one answer into the tally, and gives the next question where there is one.
    fn read_answer(
        &self,
        reply: &Reply,
        query: &Query<'_>,
        tally: &mut Tally,
    ) -> Result<Option<HttpRequest>, ReportError> {
        match &self.of {
            PlatformSettings::Meta(settings) => meta::read(settings, reply, query, tally),
            PlatformSettings::Ga4(settings) => ga4::read(settings, reply, query, tally),
            PlatformSettings::GoogleAds(settings) => {
                google_ads::read(settings, reply, query, tally)
            }
            PlatformSettings::LinkedIn(settings) => linkedin::read(settings, reply, query, tally),
        }
    }
}

/// What is asked for: these names on these days, of this address.
#[derive(Clone, Copy, Debug)]
struct Query<'a> {
    base_url: &'a Url,
    /// The platform's names, actions or rules, sorted.
    names: &'a [&'a str],
    first: NaiveDate,
    last: NaiveDate,
    now: DateTime<Utc>,
}

impl Query<'_> {
    /// Whether a name and a day were asked for: an answer may hold more.
    fn wants(&self, name: &str, day: NaiveDate) -> bool {
        (self.first..=self.last).contains(&day) && self.names.binary_search(&name).is_ok()
    }
}

/// Whether this destination is asked what it counted on this day, and can still be: no platform knows its numbers for ever.
pub fn is_asked(destination: &DestinationConfig, day: NaiveDate, now: DateTime<Utc>) -> bool {
    let report = destination.report.as_ref();
    report.is_some_and(|report| report.oldest(now).is_none_or(|oldest| oldest <= day))
}

/// How long after a day's end this destination's numbers are final.
pub fn delay_of(destination: &DestinationConfig) -> Duration {
    match &destination.report {
        Some(report) => report.final_after,
        None => delay(destination.platform()),
    }
}
