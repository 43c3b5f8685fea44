//! What a person allowed, as an application records it, and what that means for each platform.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::demo::random::Random;
use crate::sandbox::Platform;

/// A person's consent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// All four Consent Mode signals granted.
    Granted,
    /// Measurement yes, advertising no.
    AnalyticsOnly,
    /// All four denied.
    Denied,
    /// Nothing was chosen, which is not a yes.
    Unspecified,
    /// Advertising was granted once, but the browser sends Global Privacy Control, which outweighs it.
    PrivacyControl,
    /// A legal decision names Meta and nobody else.
    DecidedMeta,
    /// A legal decision names every platform, each with few kinds of data.
    DecidedAll,
}

/// How often each choice is made.
const FREQUENCY: [(Choice, usize); 7] = [
    (Choice::Granted, 12),
    (Choice::AnalyticsOnly, 2),
    (Choice::Denied, 2),
    (Choice::Unspecified, 1),
    (Choice::PrivacyControl, 1),
    (Choice::DecidedMeta, 1),
    (Choice::DecidedAll, 1),
];

impl Choice {
    pub(super) fn of(random: &mut Random) -> Self {
        let urn: Vec<Self> = FREQUENCY
            .iter()
            .flat_map(|(choice, times)| std::iter::repeat_n(*choice, *times))
            .collect();
        *random.pick(&urn)
    }

    /// Whether the event may leave for this platform at all, under the safe default policy.
    pub fn allows(self, platform: Platform) -> bool {
        match self {
            Self::Granted | Self::DecidedAll => true,
            Self::AnalyticsOnly => platform == Platform::Ga4,
            Self::DecidedMeta => platform == Platform::Meta,
            Self::Denied | Self::Unspecified | Self::PrivacyControl => false,
        }
    }

    /// Whether it is a legal decision that allows e-mail, so that the person must have one to be found.
    pub(super) fn rests_on_email(self) -> bool {
        matches!(self, Self::DecidedMeta | Self::DecidedAll)
    }

    /// The `consent` column.
    pub(super) fn column(self, given_at: DateTime<Utc>, region: &str) -> Value {
        let mut consent = match self {
            Self::Granted => signals("granted", "granted"),
            Self::AnalyticsOnly => signals("denied", "granted"),
            Self::Denied => signals("denied", "denied"),
            Self::Unspecified => signals("unspecified", "unspecified"),
            Self::PrivacyControl => signals("granted", "denied"),
            Self::DecidedMeta => {
                json!({"decision": {"meta": ["event", "email", "phone", "user_agent"]}})
            }
            Self::DecidedAll => json!({"decision": {
                "meta": ["event", "email", "phone", "user_agent"],
                "ga4": ["event", "click_id"],
                "google_data_manager": ["event", "email", "click_id"],
                "google_ads": ["event", "email"],
                "linkedin": ["event", "email"],
            }}),
        };
        consent["given_at"] = given_at.to_rfc3339_opts(SecondsFormat::Secs, true).into();
        consent["source"] = "consent banner".into();
        consent["version"] = "2026-10".into();
        consent["legal_basis"] = "consent".into();
        consent["region"] = region.into();
        if self == Self::PrivacyControl {
            consent["gpc"] = true.into();
        }
        consent
    }
}

fn signals(advertising: &str, analytics: &str) -> Value {
    json!({
        "ad_storage": advertising,
        "ad_user_data": advertising,
        "ad_personalization": advertising,
        "analytics_storage": analytics,
    })
}
