//! What an operator fills in for one Google Ads customer, and when the API's versions end.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::super::google::{self, Merchant};
use crate::config::oauth::OAuth;
use crate::config::read::Reader;

const SCOPE: &str = "https://www.googleapis.com/auth/adwords";

/// The version used unless configured: the newest one known, of October 2026.
const DEFAULT_VERSION: &str = "v26";

/// When versions end; where only a month is announced, its first day.
/// Source: `developers.google.com/google-ads/api/docs/sunset-dates`.
const ENDS: [(&str, (i32, u32, u32)); 5] = [
    ("v22", (2026, 10, 7)),
    ("v23", (2027, 2, 1)),
    ("v24", (2027, 5, 1)),
    ("v25", (2027, 8, 1)),
    ("v26", (2027, 11, 1)),
];

/// What an operator fills in for one Google Ads customer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The customer: digits.
    pub customer_id: String,
    /// The manager account through which access is granted: digits. `None` where it is the customer itself.
    pub login_customer_id: Option<String>,
    /// The API's version, such as `v26`.
    pub api_version: String,
    /// The credential.
    pub oauth: OAuth,
    /// Event name to the id of its conversion action.
    pub conversion_actions: BTreeMap<String, String>,
    /// Whether events are only validated.
    pub validate_only: bool,
    /// The destination whose conversions it adjusts, and sends none itself.
    pub adjusts_destination: Option<String>,
    /// The shop whose products carts name. `None` sends no carts.
    pub merchant: Option<Merchant>,
}

impl Settings {
    /// Reads the keys of a Google Ads destination.
    pub fn read(reader: &mut Reader<'_>) -> Option<Settings> {
        reader.require(
            "customer_id",
            "the customer id of the Google Ads account, digits in quotes",
        );
        let customer_id = google::read_account(reader, "customer_id");
        let login_customer_id = google::read_account(reader, "login_customer_id");
        let api_version = read_version(reader);
        let oauth = OAuth::read_google(reader, SCOPE);
        let conversion_actions = google::read_actions(reader);
        let validate_only = reader.boolean("validate_only").unwrap_or(false);
        let adjusts_destination = reader.text("adjusts_destination");
        let merchant = Merchant::read(reader);
        // Every key has been asked for by now, so that giving up here hides no fault.
        let customer_id = customer_id?;
        Some(Settings {
            login_customer_id: login_customer_id.filter(|login| *login != customer_id),
            customer_id,
            api_version,
            oauth: oauth?,
            conversion_actions,
            validate_only,
            adjusts_destination,
            merchant,
        })
    }

    /// The action of an event.
    pub fn conversion_action(&self, event_name: &str) -> Option<&str> {
        self.conversion_actions.get(event_name).map(String::as_str)
    }
}

/// The day on which Google ends a version (`v26`), as far as that is announced; it may be a month early. Versions before the
/// oldest of the table ended no later than that one.
pub fn version_ends(version: &str) -> Option<NaiveDate> {
    let number = |version: &str| version.strip_prefix('v')?.parse::<u32>().ok();
    let oldest = ENDS.first().and_then(|(name, _)| number(name));
    let (_, (year, month, day)) = match number(version).is_some_and(|own| Some(own) < oldest) {
        true => ENDS.first()?,
        false => ENDS.iter().find(|(name, _)| *name == version)?,
    };
    NaiveDate::from_ymd_opt(*year, *month, *day)
}

/// Reads `api_version`, by default the newest one known.
pub(crate) fn read_version(reader: &mut Reader<'_>) -> String {
    let version = reader.text_where(
        "api_version",
        is_version,
        "must look like v26",
        "write v and a number",
    );
    version.unwrap_or_else(|| DEFAULT_VERSION.to_owned())
}

fn is_version(text: &str) -> bool {
    text.strip_prefix('v').is_some_and(|number| {
        (1..=3).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}
