//! What an operator fills in for one GA4 web stream, and which event names GA4 takes.

use crate::config::read::Reader;
use crate::config::secret::SecretRef;

/// Names the protocol keeps for itself on web streams (`…/protocol/ga4/reference`, reserved names).
const RESERVED_NAMES: [&str; 22] = [
    "ad_activeview",
    "ad_click",
    "ad_exposure",
    "ad_impression",
    "ad_query",
    "adunit_exposure",
    "app_clear_data",
    "app_install",
    "app_remove",
    "app_update",
    "error",
    "first_open",
    "first_visit",
    "in_app_purchase",
    "notification_dismiss",
    "notification_foreground",
    "notification_open",
    "notification_receive",
    "os_update",
    "screen_view",
    "session_start",
    "user_engagement",
];

/// Beginnings of names the protocol keeps for itself. The underscore is covered by the first letter rule.
const RESERVED_PREFIXES: [&str; 3] = ["firebase_", "ga_", "google_"];

/// What an operator fills in for one GA4 web stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The web stream, `G-…`.
    pub measurement_id: String,
    /// A secret of the stream. It travels in the query, so URLs of this platform are never logged whole.
    pub api_secret: SecretRef,
    /// Whether a client id is derived from the user id where none was captured. Sessions do not join then.
    pub synthetic_client_id: bool,
    /// Whether events count or are only validated.
    pub mode: Mode,
}

/// Whether events count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `/mp/collect`.
    Live,
    /// `/debug/mp/collect`, which records nothing (`…/protocol/ga4/validating-events`).
    ValidateOnly,
}

impl Settings {
    /// Reads the keys of a GA4 destination.
    pub fn read(reader: &mut Reader<'_>) -> Option<Settings> {
        if reader.text("firebase_app_id").is_some() {
            reader.fault(
                "firebase_app_id",
                "belongs to an app stream, which is not supported",
                "use a web stream's measurement_id",
            );
        }
        reader.require(
            "measurement_id",
            "the web stream's id, which starts with G-",
        );
        let measurement_id = reader.text_where(
            "measurement_id",
            is_measurement_id,
            "must be G- followed by capital letters and digits",
            "copy it from Admin, Data streams; it is not the numeric stream id",
        );
        let api_secret =
            reader.required_secret("api_secret", "{ file = \"/path\" } or { env = \"NAME\" }");
        let synthetic_client_id = reader.boolean("synthetic_client_id").unwrap_or(false);
        let mode = reader.one_of(
            "mode",
            &[("live", Mode::Live), ("validate_only", Mode::ValidateOnly)],
        );
        Some(Settings {
            measurement_id: measurement_id?,
            api_secret: api_secret?,
            synthetic_client_id,
            mode: mode.unwrap_or(Mode::Live),
        })
    }
}

/// A letter, then letters, digits and underscores, 40 characters at most, and not reserved.
pub fn is_event_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !RESERVED_NAMES.contains(&name)
        && !RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
}

fn is_measurement_id(text: &str) -> bool {
    text.strip_prefix("G-").is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
    })
}
