//! One `[[destination]]`: an account on a platform, and what may go there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::NaiveDate;
use url::Url;

use super::mapping::{Mapping, check_names};
use super::reach::Reach;
use super::read::{Reader, is_name, shown};
use super::tree::variable_form;
use super::worker::WorkerConfig;
use crate::consent::{ConsentPolicy, Kind, Signal};
use crate::destinations::{Credentials, Platform, Settings};
use crate::limit::RateLimit;
use crate::reports;

/// One configured account on a platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DestinationConfig {
    /// Unique; the word for it in the database, metrics and commands.
    pub name: String,
    /// Whether it takes part at all.
    pub is_enabled: bool,
    /// The platform's own settings.
    pub settings: Settings,
    /// Where the API lives; the platform's own address unless configured. Has no query and no user.
    pub base_url: Url,
    /// Whether its requests may go to private addresses.
    pub reach: Reach,
    /// Event name to the platform's name, over the platform's defaults. `None` switches an event off here.
    pub events: BTreeMap<String, Option<String>>,
    /// Which events come here.
    pub routes: Routes,
    /// What consent each kind of data needs.
    pub consent: ConsentPolicy,
    /// The kinds of data that are sent at all; always holds [`Kind::Event`].
    pub fields: BTreeSet<Kind>,
    /// What to do after an answer that never came. `None` leaves it to the platform's deduplication.
    pub on_ambiguous: Option<OnAmbiguous>,
    /// The day on which its credential ends, where its maker says so and no answer does.
    pub credential_expires: Option<NaiveDate>,
    /// Events in one request.
    pub batch_size: u32,
    /// Requests under way at once.
    pub concurrency: u32,
    /// How many requests all workers together may make; nothing where there is no limit.
    pub rate_limit: Option<RateLimit>,
    /// Attempts before a delivery is exhausted.
    pub attempts_max: u32,
    /// Age at which a delivery is given up, if that comes before the platform's own limit.
    pub age_max: Option<Duration>,
    /// How long one request may take, connecting included.
    pub request_timeout: Duration,
    /// How the platform is asked what it counted; nothing where it is not.
    pub report: Option<reports::Settings>,
}

/// Which events come to a destination. Whatever is not given lets everything pass; what is given must all hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Routes {
    /// Event names.
    pub events: Option<BTreeSet<String>>,
    /// Values of the event's `source`.
    pub sources: Option<BTreeSet<String>>,
    /// Properties of the event that must have exactly this text.
    pub properties: BTreeMap<String, String>,
}

/// What to do after an answer that never came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnAmbiguous {
    /// Send again with the same id; right where the platform discards a repeat.
    Resend,
    /// Stop and let a person look.
    Uncertain,
}

impl DestinationConfig {
    /// Reads one `[[destination]]`. `worker` gives the defaults it may override; `taken` holds the names seen so
    /// far, as they stand in variables, where - and _ are the same.
    pub fn read(
        reader: &mut Reader<'_>,
        worker: &WorkerConfig,
        is_production: bool,
        taken: &mut BTreeSet<String>,
    ) -> Option<DestinationConfig> {
        reader.require("name", "a short name of your own, such as \"meta-eu\"");
        let name = reader.text_where(
            "name",
            is_name,
            "must be 1 to 40 characters: lower-case letters and digits, with single - or _ between words",
            "choose a name such as \"meta-eu\"",
        );
        if name
            .as_deref()
            .is_some_and(|name| !taken.insert(variable_form(name)))
        {
            reader.fault(
                "name",
                "is taken by a destination above",
                "choose another name",
            );
        }
        reader.require("platform", "one of the platforms, such as \"meta\"");
        let Some(platform) = reader.one_of("platform", &Platform::NAMES) else {
            // Without the platform nobody knows which keys belong here.
            reader.accept_rest();
            return None;
        };
        let settings = Settings::read(platform, reader, is_production);
        let size = platform.needs().batch;
        let events = read_events(reader, platform);
        Mapping {
            platform,
            settings: settings.as_ref(),
            events: &events,
        }
        .check(reader);
        let base_url = reader.address("base_url", platform.needs().base_url);
        let config = DestinationConfig {
            is_enabled: reader.boolean("enabled").unwrap_or(true),
            report: reader.table("report", |reader| {
                reports::Settings::read(reader, platform, settings.as_ref(), &base_url)
            }),
            base_url,
            reach: match reader.boolean("allow_private_addresses") {
                Some(true) => Reach::Anywhere,
                _ => Reach::Public,
            },
            events,
            routes: reader.table("routes", read_routes).unwrap_or_default(),
            consent: read_consent(reader, platform),
            fields: read_fields(reader),
            on_ambiguous: reader.one_of(
                "on_ambiguous",
                &[
                    ("resend", OnAmbiguous::Resend),
                    ("uncertain", OnAmbiguous::Uncertain),
                ],
            ),
            credential_expires: reader
                .text_where(
                    "credential_expires",
                    |text| text.parse::<NaiveDate>().is_ok(),
                    "must be a day",
                    "write it as \"2027-01-31\", in quotes, or leave it out",
                )
                .and_then(|text| text.parse().ok()),
            batch_size: reader
                .integer("batch_size", 1..=size.max)
                .unwrap_or(size.default),
            concurrency: reader
                .integer("concurrency", 1..=256)
                .unwrap_or(platform.needs().concurrency),
            rate_limit: read_rate_limit(reader, platform, settings.as_ref(), name.as_deref()),
            attempts_max: reader
                .integer("attempts_max", 1..=100)
                .unwrap_or(worker.attempts_max),
            age_max: reader
                .hours("age_max_hours", 1..=24 * 365)
                .or(worker.age_max),
            request_timeout: reader
                .seconds("request_timeout_secs", 1..=600)
                .unwrap_or(worker.request_timeout),
            settings: settings?,
            name: name?,
        };
        check_reach(reader, &config);
        if config.report.is_some() && config.settings.adjusts_destination().is_some() {
            reader.fault(
                "report",
                "belongs to the destination whose conversions this one adjusts",
                "move it there: both have the same numbers",
            );
        }
        let longest = worker.request_timeout_max();
        if reader.has("request_timeout_secs") && config.request_timeout > longest {
            reader.fault(
                "request_timeout_secs",
                "must leave 10 s of worker.lease_secs and not exceed worker.drain_secs",
                &format!("write {} or less, or raise those", longest.as_secs()),
            );
        }
        Some(config)
    }

    /// The platform it is an account on.
    pub fn platform(&self) -> Platform {
        self.settings.platform()
    }

    /// The platform's name for an event, or the id of its action or rule: this destination's own mapping, else the
    /// platform's default.
    pub fn name_of<'a>(&'a self, event_name: &str) -> Option<&'a str> {
        match self.events.get(event_name) {
            Some(configured) => configured.as_deref(),
            None => self.settings.default_name(event_name),
        }
    }

    /// Whether the mapping says that this event never comes here.
    pub fn is_switched_off(&self, event_name: &str) -> bool {
        self.events.get(event_name).is_some_and(Option::is_none)
    }
}

/// A number that is written in an address is seen here; what a name leads to, when a connection is made.
fn check_reach(reader: &mut Reader<'_>, config: &DestinationConfig) {
    let token_url = |credentials| match credentials {
        Credentials::OAuth(oauth) => Some(&oauth.token_url),
        Credentials::Secret(_) => None,
    };
    let report = config.report.as_ref();
    let addresses = [
        ("base_url", Some(&config.base_url)),
        ("token_url", token_url(config.settings.credentials())),
        ("report", report.map(|report| &report.base_url)),
        (
            "report",
            report.and_then(|report| token_url(report.credentials())),
        ),
    ];
    for (key, url) in addresses {
        if url.is_some_and(|url| !config.reach.takes(url)) {
            reader.fault(
                key,
                match key {
                    "report" => "names a private address",
                    _ => "is a private address",
                },
                "write the platform's public address, or allow_private_addresses = true if it is meant to be inside your network",
            );
        }
    }
}

fn read_events(reader: &mut Reader<'_>, platform: Platform) -> BTreeMap<String, Option<String>> {
    let events = reader.map_of_text_or_false("events");
    let is_wrong = |name: &Option<String>| {
        name.as_ref()
            .is_some_and(|name| !platform.is_event_name(name))
    };
    let wrong: Vec<&str> = events
        .iter()
        .filter(|(_, name)| is_wrong(name))
        .map(|(event, _)| shown(event))
        .collect();
    if !wrong.is_empty() {
        let fix = match platform {
            Platform::Meta | Platform::Ga4 => {
                "use one of the platform's event names, or a custom name by its rules that is not reserved"
            }
            Platform::GoogleDataManager | Platform::GoogleAds => {
                "write the id of a conversion action, digits only; better still, under conversion_actions"
            }
            Platform::LinkedIn => {
                "write the id of a conversion rule, digits only; better still, under rules"
            }
        };
        reader.fault(
            "events",
            &format!(
                "holds a name the platform does not take, for {}",
                wrong.join(" and ")
            ),
            fix,
        );
    }
    events
}

fn read_routes(reader: &mut Reader<'_>) -> Option<Routes> {
    let mut list = |key: &str| {
        let list: BTreeSet<String> = reader.list_of_text(key)?.into_iter().collect();
        if list.is_empty() {
            reader.fault(
                key,
                "must not be empty, for then nothing would pass",
                "leave it out to let all pass",
            );
        }
        Some(list)
    };
    let (events, sources) = (list("events"), list("sources"));
    check_names(reader, "events", events.iter().flatten());
    Some(Routes {
        events,
        sources,
        properties: reader.map_of_text("properties"),
    })
}

/// What is configured, else what the platform documents.
fn read_rate_limit(
    reader: &mut Reader<'_>,
    platform: Platform,
    settings: Option<&Settings>,
    name: Option<&str>,
) -> Option<RateLimit> {
    let documented = platform.needs().rate_limit;
    let configured = reader.table("rate_limit", |reader| {
        reader.require("requests", "how many requests the platform takes");
        let requests = reader.integer("requests", 1..=1_000_000);
        let per = reader
            .seconds("per_secs", 1..=86_400)
            .unwrap_or(Duration::from_secs(60));
        let group = reader.text_where(
            "group",
            |group| !group.is_empty() && group.chars().count() <= 100,
            "must be 1 to 100 characters",
            "name what the limit is of, such as \"project my-project\"",
        );
        Some((requests?, per, group))
    });
    let (requests, per, group) = match (configured, documented) {
        (Some(configured), _) => configured,
        (None, Some((requests, per))) => (requests, per, None),
        (None, None) => return None,
    };
    let group = group
        .or_else(|| settings.and_then(Settings::quota_group))
        .or_else(|| name.map(str::to_owned))?;
    Some(RateLimit {
        group,
        requests,
        per,
    })
}

fn read_consent(reader: &mut Reader<'_>, platform: Platform) -> ConsentPolicy {
    let mut policy = ConsentPolicy::new(platform.needs().consent);
    reader.table("consent", |reader| {
        for (name, kind) in Kind::NAMES {
            let Some(signals) = reader.list_of(name, &Signal::NAMES) else {
                continue;
            };
            if signals.is_empty() {
                reader.fault(
                    name,
                    "must name at least one signal, for nothing leaves without consent",
                    "name a signal; to keep this kind of data at home, leave it out of fields",
                );
            }
            policy.require(kind, signals);
        }
        if let Some(is_granted) =
            reader.one_of("unspecified", &[("denied", false), ("granted", true)])
        {
            policy.unspecified_is_granted = is_granted;
        }
        if let Some(denies) = reader.one_of("gpc", &[("deny_ads", true), ("ignore", false)]) {
            policy.gpc_denies_ads = denies;
        }
        Some(())
    });
    policy
}

fn read_fields(reader: &mut Reader<'_>) -> BTreeSet<Kind> {
    let mut fields: BTreeSet<Kind> = match reader.list_of("fields", &Kind::NAMES) {
        Some(kinds) => kinds.into_iter().collect(),
        None => Kind::NAMES
            .iter()
            .map(|(_, kind)| *kind)
            .filter(|kind| *kind != Kind::Demographics)
            .collect(),
    };
    fields.insert(Kind::Event);
    fields
}
