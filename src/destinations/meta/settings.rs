//! What an operator fills in for one Meta dataset.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::config::read::Reader;
use crate::config::secret::SecretRef;
use crate::identity::ExternalIdMode;

/// The Graph API version used unless configured: the newest one known, released 2026-07-29
/// (`developers.facebook.com/docs/graph-api/changelog/versions`).
pub(super) const DEFAULT_VERSION: &str = "v26.0";

/// When versions end, by the Graph API's table. An ended one is answered by the oldest that still works, with other rules than
/// were asked for (`developers.facebook.com/docs/graph-api/changelog/versions`, `…/guides/versioning`).
const ENDS: [(&str, (i32, u32, u32)); 6] = [
    ("v20.0", (2026, 9, 24)),
    ("v21.0", (2027, 1, 21)),
    ("v22.0", (2027, 5, 20)),
    ("v23.0", (2027, 10, 8)),
    ("v24.0", (2028, 2, 18)),
    ("v25.0", (2028, 7, 29)),
];

/// The state codes Meta knows for limited data use are 1000 (California) to this one (Rhode Island)
/// (`developers.facebook.com/documentation/ads-commerce/marketing-api/overview/data-processing-options`).
const LAST_STATE: u32 = 1013;

/// What an operator fills in for one Meta dataset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The dataset, also called pixel id: digits.
    pub dataset_id: String,
    /// A token of the dataset or of a system user it is assigned to.
    pub access_token: SecretRef,
    /// Graph API version, such as `v26.0`.
    pub version: String,
    /// Where the token travels.
    pub token_in: TokenPlace,
    /// Code from Events Manager that shows events under Test Events. They count as real all the same.
    pub test_event_code: Option<String>,
    /// Names the sender, for those who send on behalf of others.
    pub partner_agent: Option<String>,
    /// Event name to action source, over the defaults; ask [`Settings::action_source`].
    pub action_sources: BTreeMap<String, ActionSource>,
    /// How `external_id` is written. It must equal what the site's pixel sends.
    pub external_id_mode: ExternalIdMode,
    /// Limited data use for every event. `None` sends no such field.
    pub data_processing: Option<DataProcessing>,
    /// Whether refunds are sent, as a custom event `Refund`; Meta has no retraction.
    pub send_refunds: bool,
}

/// Where the access token travels. Never in the URL, which ends up in logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenPlace {
    /// `Authorization: Bearer`.
    Header,
    /// `access_token` in the JSON body.
    Body,
}

/// Where an event happened, for events without a page and a browser; those with both are `website`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionSource {
    /// In person, in a shop.
    PhysicalStore,
    /// On the telephone.
    PhoneCall,
    /// In a chat.
    Chat,
    /// By e-mail.
    Email,
    /// By a machine, such as a renewal or a change of stage in a CRM.
    SystemGenerated,
    /// Anything else.
    Other,
}

/// `data_processing_options` of every event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataProcessing {
    /// `[]`: explicitly off.
    Off,
    /// `["LDU"]`: limited data use.
    Limited {
        /// 1 for the USA, 0 to let Meta find out.
        country: u32,
        /// 1000 to 1013 for a state of the USA, 0 to let Meta find out.
        state: u32,
    },
}

impl Settings {
    /// Reads the keys of a Meta destination.
    pub fn read(reader: &mut Reader<'_>, is_production: bool) -> Option<Settings> {
        reader.require(
            "dataset_id",
            "the dataset's id from Events Manager, in quotes",
        );
        let dataset_id = reader.text_where(
            "dataset_id",
            |id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()),
            "must be digits only",
            "copy the dataset's id from Events Manager, in quotes",
        );
        let access_token =
            reader.required_secret("access_token", "{ file = \"/path\" } or { env = \"NAME\" }");
        let version = reader.text_where(
            "version",
            is_version,
            "must look like v26.0",
            "write v, a number, a dot, a number",
        );
        let token_in = reader.one_of(
            "token_in",
            &[("header", TokenPlace::Header), ("body", TokenPlace::Body)],
        );
        let partner_agent = reader.text_where(
            "partner_agent",
            |name| {
                name.chars().count() < 23 && name.chars().filter(|c| c.is_alphabetic()).count() >= 2
            },
            "must be shorter than 23 characters and have at least two letters",
            "shorten it, or leave it out",
        );
        let external_id_mode = reader.one_of(
            "external_id_mode",
            &[
                ("canonical", ExternalIdMode::Canonical),
                ("raw_sha256", ExternalIdMode::RawSha256),
                ("raw", ExternalIdMode::Raw),
            ],
        );
        let test_event_code = read_test_event_code(reader, is_production);
        let action_sources = reader.map_of("action_source", &ActionSource::NAMES);
        let data_processing = read_data_processing(reader);
        let send_refunds = reader.boolean("send_refunds").unwrap_or(false);
        // Every key has been asked for by now, so that giving up here hides no fault.
        Some(Settings {
            dataset_id: dataset_id?,
            access_token: access_token?,
            version: version.unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
            token_in: token_in.unwrap_or(TokenPlace::Header),
            test_event_code,
            partner_agent,
            action_sources,
            external_id_mode: external_id_mode.unwrap_or(ExternalIdMode::Canonical),
            data_processing,
            send_refunds,
        })
    }

    /// The action source of an event that has no page and no browser.
    pub fn action_source(&self, event_name: &str) -> ActionSource {
        self.action_sources
            .get(event_name)
            .copied()
            .unwrap_or(match event_name {
                "lead_qualified" | "deal_won" => ActionSource::SystemGenerated,
                _ => ActionSource::Other,
            })
    }
}

impl ActionSource {
    const NAMES: [(&'static str, ActionSource); 6] = [
        ("physical_store", ActionSource::PhysicalStore),
        ("phone_call", ActionSource::PhoneCall),
        ("chat", ActionSource::Chat),
        ("email", ActionSource::Email),
        ("system_generated", ActionSource::SystemGenerated),
        ("other", ActionSource::Other),
    ];

    /// Meta's word (`…/conversions-api/parameters/server-event`).
    pub fn name(self) -> &'static str {
        match self {
            ActionSource::PhysicalStore => "physical_store",
            ActionSource::PhoneCall => "phone_call",
            ActionSource::Chat => "chat",
            ActionSource::Email => "email",
            ActionSource::SystemGenerated => "system_generated",
            ActionSource::Other => "other",
        }
    }
}

/// The day on which Meta ends a version (`v25.0`), as far as that is announced. Versions before the oldest of the table ended
/// no later than that one.
pub fn version_ends(version: &str) -> Option<NaiveDate> {
    let major = |version: &str| {
        version
            .strip_prefix('v')?
            .split('.')
            .next()?
            .parse::<u32>()
            .ok()
    };
    let oldest = ENDS.first().and_then(|(name, _)| major(name));
    let (_, (year, month, day)) = match major(version).is_some_and(|own| Some(own) < oldest) {
        true => ENDS.first()?,
        false => ENDS.iter().find(|(name, _)| *name == version)?,
    };
    NaiveDate::from_ymd_opt(*year, *month, *day)
}

fn is_version(text: &str) -> bool {
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix('v')
        .and_then(|rest| rest.split_once('.'))
        .is_some_and(|(major, minor)| is_number(major) && is_number(minor))
}

/// Test events count for measurement and targeting, so a forgotten code spoils production.
fn read_test_event_code(reader: &mut Reader<'_>, is_production: bool) -> Option<String> {
    let is_allowed = reader.boolean("allow_test_event_code").unwrap_or(false);
    let code = reader.text_where(
        "test_event_code",
        |code| !code.is_empty(),
        "must not be empty",
        "leave it out",
    );
    if code.is_some() && is_production && !is_allowed {
        reader.fault(
            "test_event_code",
            "must not be set where telemetry.environment is production",
            "remove it, or set allow_test_event_code = true",
        );
    }
    code
}

fn read_data_processing(reader: &mut Reader<'_>) -> Option<DataProcessing> {
    let options = reader.list_of("data_processing_options", &[("LDU", ())]);
    let country = reader.integer("data_processing_options_country", 0..=1);
    let state = reader.integer("data_processing_options_state", 0..=LAST_STATE);
    let (country, state) = (country.unwrap_or(0), state.unwrap_or(0));
    if (1..1000).contains(&state) || (state > 0 && country == 0) {
        reader.fault(
            "data_processing_options_state",
            "must be 0, or 1000 to 1013 together with country 1",
            "take the state's code from Meta's page on data processing options",
        );
    }
    match options?.is_empty() {
        true if country > 0 || state > 0 => {
            reader.fault(
                "data_processing_options",
                "must be [\"LDU\"] where a country or state is given",
                "add \"LDU\", or remove country and state",
            );
            None
        }
        true => Some(DataProcessing::Off),
        false => Some(DataProcessing::Limited { country, state }),
    }
}
