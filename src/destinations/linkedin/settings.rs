//! What an operator fills in for one LinkedIn ad account.

use std::collections::BTreeMap;

use super::super::Credentials;
use super::version;
use crate::config::oauth::OAuth;
use crate::config::read::Reader;
use crate::config::secret::SecretRef;
use crate::event::is_reversal;
use crate::identity::Rules;

/// The version of the API used unless configured: the newest one known (`…/linkedin/marketing/versioning`, 2026-09-16).
pub(super) const DEFAULT_VERSION: &str = "202609";

/// The first version that takes hashed names; older ones refuse the fields
/// (`…/conversions-api-schema`, userInfo; `…/linkedin/marketing/integrations/recent-changes`, September 2026).
const HASHED_NAMES_SINCE: &str = "202609";

/// Where a partner app's tokens come from (as `segmentio/action-destinations`, linkedin-conversions, asks for them).
const TOKEN_URL: &str = "https://www.linkedin.com/oauth/v2/accessToken";

/// What an operator fills in for one LinkedIn ad account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The ad account: digits. It is in no request, for a rule belongs to one account; status and checks name it.
    pub ad_account: String,
    /// Event name to the id of its conversion rule.
    pub rules: BTreeMap<String, String>,
    /// `LinkedIn-Version` of every request, `YYYYMM`.
    pub version: String,
    /// What proves who asks.
    pub access: Access,
    /// Whether names leave as they were written instead of hashed.
    pub clear_names: bool,
    /// Whether employer and job title leave.
    pub send_employment: bool,
    /// Whether the customer's IPv4 address leaves. LinkedIn hashes it itself, so it would be in the clear.
    pub send_ip: bool,
}

/// What proves who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// A token of the Direct API, from Campaign Manager. It does not expire
    /// (`…/linkedin/marketing/conversions/getting-access-conversions`).
    Direct(SecretRef),
    /// A partner app's refresh token, good for a year, which gives access tokens of sixty days.
    Partner(OAuth),
}

impl Settings {
    /// Reads the keys of a LinkedIn destination.
    pub fn read(reader: &mut Reader<'_>) -> Option<Settings> {
        reader.require("ad_account", "the ad account's number, in quotes");
        let ad_account = reader.text_where(
            "ad_account",
            is_number,
            "must be digits only",
            "copy the number at the end of urn:li:sponsoredAccount:…, in quotes",
        );
        let rules = read_rules(reader);
        let version = reader.text_where(
            "version",
            |text| version::version_ends(text).is_some(),
            "must be a version of LinkedIn's API such as 202609",
            "write year and month of a release; there was none in December 2025",
        );
        let access = Access::read(reader);
        let clear_names = reader.boolean("clear_names").unwrap_or(false);
        let send_employment = reader.boolean("send_employment").unwrap_or(false);
        let send_ip = reader.boolean("send_ip").unwrap_or(false);
        // Every key has been asked for by now, so that giving up here hides no fault.
        Some(Settings {
            ad_account: ad_account?,
            rules,
            version: version.unwrap_or_else(|| DEFAULT_VERSION.to_owned()),
            access: access?,
            clear_names,
            send_employment,
            send_ip,
        })
    }

    /// The id of the conversion rule for an event; nothing where none is configured.
    pub fn rule(&self, event_name: &str) -> Option<&str> {
        self.rules.get(event_name).map(String::as_str)
    }

    /// What every request is signed with.
    pub fn credentials(&self) -> Credentials<'_> {
        self.access.credentials()
    }

    /// How a person is normalised: what leaves in the clear is the operator's word.
    pub fn rules(&self, rules: Rules) -> Rules {
        Rules {
            clear_names: self.clear_names,
            employment: self.send_employment,
            ..rules
        }
    }

    /// Whether the configured version knows hashed names.
    pub(super) fn takes_hashed_names(&self) -> bool {
        self.version.as_str() >= HASHED_NAMES_SINCE
    }
}

impl Access {
    /// What requests are signed with.
    pub(crate) fn credentials(&self) -> Credentials<'_> {
        match self {
            Access::Direct(token) => Credentials::Secret(token),
            Access::Partner(oauth) => Credentials::OAuth(oauth),
        }
    }

    /// Exactly one of the two kinds of tokens.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Option<Access> {
        let has_token = reader.has("access_token");
        let has_app = reader.has("oauth");
        let token = reader.secret("access_token");
        let app = OAuth::read_user(reader, TOKEN_URL);
        if has_token == has_app {
            reader.fault(
                "access_token",
                "or oauth: exactly one of them must be given",
                "write access_token = { file = \"/path\" } for a token from Campaign Manager, or for a partner app a table oauth with client_id, client_secret and refresh_token",
            );
            return None;
        }
        token.map(Access::Direct).or(app.map(Access::Partner))
    }
}

/// Whether this can be a conversion rule's id: digits.
pub fn is_rule_id(text: &str) -> bool {
    is_number(text)
}

/// The length is our own bound: no id is nearly as long.
fn is_number(text: &str) -> bool {
    !text.is_empty() && text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A refund has no rule: LinkedIn knows no refund, and would count one as a conversion.
fn read_rules(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    reader.require(
        "rules",
        "event names and the id of each one's conversion rule",
    );
    let rules = reader.map_of_text_where(
        "rules",
        is_rule_id,
        "must be a conversion rule's id, digits only",
        "copy the number at the end of urn:lla:llaPartnerConversion:…, in quotes",
    );
    if rules.keys().any(|event| is_reversal(event)) {
        reader.fault(
            "rules",
            "maps a refund or cancellation to a rule, which would count it as a conversion",
            "leave it out: LinkedIn takes nothing back",
        );
    }
    rules
}
