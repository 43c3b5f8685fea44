//! Which consent a destination needs, for which kind of data. Words and rules only; the decision about one
//! event is made elsewhere.

use std::collections::{BTreeMap, BTreeSet};

/// A kind of data that may leave or stay, each on its own. The names are those of a legal decision in
/// an event's `consent`. The order is that of the bits of a stored permit: add at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// That the event happened, with its value and items. Without it nothing is sent at all.
    Event,
    /// Click and browser ids: `gclid`, `fbc`, `fbp`, `ga_client_id` and the like.
    ClickId,
    /// E-mail addresses, hashed.
    Email,
    /// Phone numbers, hashed.
    Phone,
    /// First and last name, hashed, and in the clear only where the destination asks for it; employer and job title,
    /// which say who somebody is as a name does, only where it asks for them.
    Name,
    /// Street, city, region, postal code, country.
    Address,
    /// Date of birth and gender.
    Demographics,
    /// The application's own id of the person.
    ExternalId,
    /// The person's IP address.
    IpAddress,
    /// The person's browser.
    UserAgent,
}

/// One of Google's four Consent Mode signals, used for every platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Signal {
    /// Storage on the device for advertising.
    AdStorage,
    /// Storage on the device for analytics.
    AnalyticsStorage,
    /// Sending personal data to an advertising platform.
    AdUserData,
    /// Personalised advertising.
    AdPersonalization,
}

/// What one destination needs before a kind of data may leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsentPolicy {
    requires: BTreeMap<Kind, BTreeSet<Signal>>,
    /// Whether an unspecified signal counts as granted. Off unless configured.
    pub unspecified_is_granted: bool,
    /// Whether Global Privacy Control counts as a refusal of the three advertising signals. On unless configured.
    pub gpc_denies_ads: bool,
}

impl Kind {
    /// Every kind with its name.
    pub const NAMES: [(&'static str, Kind); 10] = [
        ("event", Kind::Event),
        ("click_id", Kind::ClickId),
        ("email", Kind::Email),
        ("phone", Kind::Phone),
        ("name", Kind::Name),
        ("address", Kind::Address),
        ("demographics", Kind::Demographics),
        ("external_id", Kind::ExternalId),
        ("ip_address", Kind::IpAddress),
        ("user_agent", Kind::UserAgent),
    ];

    /// The kind of this name.
    pub fn parse(name: &str) -> Option<Kind> {
        Kind::NAMES
            .into_iter()
            .find(|(one, _)| *one == name)
            .map(|(_, kind)| kind)
    }

    /// The kind's name.
    pub fn name(self) -> &'static str {
        name_of(self, &Kind::NAMES)
    }
}

impl Signal {
    /// Every signal with its name.
    pub const NAMES: [(&'static str, Signal); 4] = [
        ("ad_storage", Signal::AdStorage),
        ("analytics_storage", Signal::AnalyticsStorage),
        ("ad_user_data", Signal::AdUserData),
        ("ad_personalization", Signal::AdPersonalization),
    ];

    /// The signals that are about advertising.
    pub const ADVERTISING: [Signal; 3] = [
        Signal::AdStorage,
        Signal::AdUserData,
        Signal::AdPersonalization,
    ];

    /// The signal of this name.
    pub fn parse(name: &str) -> Option<Signal> {
        Signal::NAMES
            .into_iter()
            .find(|(one, _)| *one == name)
            .map(|(_, signal)| signal)
    }

    /// The signal's name.
    pub fn name(self) -> &'static str {
        name_of(self, &Signal::NAMES)
    }
}

impl ConsentPolicy {
    /// A policy that needs these signals for each kind, strict about everything else.
    pub fn new(needs: fn(Kind) -> &'static [Signal]) -> ConsentPolicy {
        ConsentPolicy {
            requires: Kind::NAMES
                .map(|(_, kind)| (kind, needs(kind).iter().copied().collect()))
                .into(),
            unspecified_is_granted: false,
            gpc_denies_ads: true,
        }
    }

    /// The signals that must all be granted before this kind may leave. Never empty.
    pub fn requires(&self, kind: Kind) -> &BTreeSet<Signal> {
        self.requires
            .get(&kind)
            .expect("a policy is made with every kind")
    }

    /// Replaces what a kind needs. No signals at all changes nothing: every kind needs some consent.
    pub fn require(&mut self, kind: Kind, signals: impl IntoIterator<Item = Signal>) {
        let signals: BTreeSet<Signal> = signals.into_iter().collect();
        if !signals.is_empty() {
            self.requires.insert(kind, signals);
        }
    }
}

fn name_of<T: PartialEq>(wanted: T, names: &[(&'static str, T)]) -> &'static str {
    names
        .iter()
        .find(|(_, one)| *one == wanted)
        .map(|(name, _)| *name)
        .expect("the list of names is complete")
}
