//! What both of Google's APIs share: credentials and access tokens, conversion actions, clicks, conversions, the
//! shape of errors and of JSON. Not for the rules of either API: those are `data_manager` and `google_ads`.

mod access;
mod actions;
mod assertion;
mod clicks;
mod conversions;
mod credentials;
pub(in crate::sandbox) mod error;
pub(in crate::sandbox) mod proto_json;
mod service_account;
mod token_endpoint;

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use self::access::Tokens;
pub use self::access::{ADS_SCOPE, ANALYTICS_SCOPE, DATA_MANAGER_SCOPE};
use self::actions::Actions;
pub use self::actions::{ActionKind, ActionStatus, ConversionAction, Counting};
use self::clicks::Clicks;
pub(in crate::sandbox) use self::clicks::Found;
pub use self::clicks::{Click, ClickKind};
pub(in crate::sandbox) use self::conversions::{Conversions, Stored};
use self::credentials::Credentials;
pub use self::credentials::RefreshClient;
pub use self::service_account::{ServiceAccount, sandbox_key_file};
pub(super) use self::token_endpoint::answer as answer_token;
use super::dedup::ConversionKey;
use super::exchange::Arrived;
use super::{data_manager, google_ads};

/// Where both APIs get their tokens (`oauth2.googleapis.com/token`).
pub(super) const TOKEN_PATH: &str = "/token";

/// What Google knows. A new one knows nothing, and then takes every credential, token, account, conversion action
/// and click: each of these lists counts from its first entry on.
#[derive(Default)]
pub struct World {
    credentials: Credentials,
    tokens: Tokens,
    actions: Actions,
    clicks: Clicks,
    /// What both APIs count: a conversion sent by one can be adjusted by the other.
    pub(in crate::sandbox) conversions: Conversions,
    /// What only Data Manager has.
    pub(in crate::sandbox) data_manager: data_manager::World,
    /// What only the Google Ads API has.
    pub(in crate::sandbox) ads: google_ads::World,
}

/// Additions to a [`World`], as the sandbox's own API takes them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Setup {
    /// Refresh tokens with their clients.
    pub clients: Vec<RefreshClient>,
    /// Service accounts, by their public keys.
    pub service_accounts: Vec<ServiceAccount>,
    /// Refresh tokens to take back.
    pub revoked_refresh_tokens: Vec<String>,
    /// How long access tokens live that are issued from now on.
    pub token_lifetime_secs: Option<u32>,
    /// Conversion actions, known by their ids.
    pub actions: Vec<ConversionAction>,
    /// Clicks on ads.
    pub clicks: Vec<Click>,
    /// Settings of Data Manager.
    pub data_manager: data_manager::Setup,
    /// Settings of the Google Ads API.
    pub ads: google_ads::Setup,
}

impl World {
    /// Adds what is set up; a conversion action or click of the same id is replaced.
    ///
    /// # Errors
    /// Something in it makes no sense; nothing was added then.
    pub fn set_up(&mut self, setup: Setup) -> Result<(), String> {
        self.data_manager.set_up(setup.data_manager)?;
        self.ads.set_up(setup.ads)?;
        for client in setup.clients {
            self.add_client(client);
        }
        for account in setup.service_accounts {
            self.add_service_account(account);
        }
        for token in setup.revoked_refresh_tokens {
            self.revoke_refresh_token(&token);
        }
        if let Some(seconds) = setup.token_lifetime_secs {
            self.set_token_lifetime(TimeDelta::seconds(seconds.into()));
        }
        for action in setup.actions {
            self.add_action(action);
        }
        for click in setup.clicks {
            self.add_click(click);
        }
        Ok(())
    }

    /// Lists a refresh token. From the first credential on, no other is good.
    pub fn add_client(&mut self, client: RefreshClient) {
        self.credentials.put_client(client);
    }

    /// Lists a service account. From the first credential on, no other is good.
    pub fn add_service_account(&mut self, account: ServiceAccount) {
        self.credentials.put_service_account(account);
    }

    /// Takes a refresh token back; access tokens it gave stay good.
    pub fn revoke_refresh_token(&mut self, refresh_token: &str) {
        self.credentials.revoke(refresh_token);
    }

    /// Makes a conversion action known, or changes it. From the first one on, no other action exists.
    pub fn add_action(&mut self, action: ConversionAction) {
        self.actions.put(action);
    }

    /// Makes a click known. From the first one on, no other click exists.
    pub fn add_click(&mut self, click: Click) {
        self.clicks.put(click);
    }

    /// What only the Google Ads API has: customers, versions.
    pub fn ads(&mut self) -> &mut google_ads::World {
        &mut self.ads
    }

    /// Takes every access token back that was issued: the APIs answer 401 to them from now on.
    pub fn revoke_access_tokens(&mut self) {
        self.tokens.revoke();
    }

    /// Issued access tokens live this long; 3599 seconds if never set.
    pub fn set_token_lifetime(&mut self, lifetime: TimeDelta) {
        self.tokens.lifetime = lifetime;
    }

    /// The conversion action with this id. Without any set up, none is listed and every one exists.
    pub(in crate::sandbox) fn action(&self, id: &str) -> Found<&ConversionAction> {
        self.actions.find(id)
    }

    /// Every conversion action that is listed.
    pub(in crate::sandbox) fn actions(&self) -> impl Iterator<Item = &ConversionAction> {
        self.actions.list()
    }

    /// The click with this id. Without any set up, none is listed and every one happened.
    pub(in crate::sandbox) fn click(&self, kind: ClickKind, id: &str) -> Found<&Click> {
        self.clicks.find(kind, id)
    }

    /// Whether a click with this id, but of another kind, is known.
    pub(in crate::sandbox) fn is_click_of_other_kind(&self, kind: ClickKind, id: &str) -> bool {
        self.clicks.is_of_other_kind(kind, id)
    }

    /// Whether the request's bearer token is good for a scope; if not, the answer of Google's front end.
    pub(in crate::sandbox) fn authorise(
        &self,
        arrived: &Arrived,
        scope: &str,
        now: DateTime<Utc>,
    ) -> Result<(), access::Unauthorised> {
        self.tokens
            .check(arrived, scope, self.credentials.are_listed, now)
    }

    /// Remembers a conversion that a tag on a website told, so that the APIs can change it. Gives the key of the
    /// conversion that was there before it, if there was one.
    pub(in crate::sandbox) fn hear_tag(
        &mut self,
        key: &ConversionKey,
        now: DateTime<Utc>,
    ) -> Option<ConversionKey> {
        let held = self.conversions.get(&key.event_name, &key.key);
        if let Some(held) = held.filter(|held| !held.is_retracted) {
            return Some(held.key.clone());
        }
        let stored = Stored {
            key: key.clone(),
            happened_at: now,
            has_user_data: false,
            adjusted_at: None,
            is_retracted: false,
        };
        self.conversions.put(&key.event_name, &key.key, stored);
        None
    }

    /// Forgets what arrived: conversions, and requests in processing. Tokens and everything set up stay.
    pub(in crate::sandbox) fn forget(&mut self) {
        self.conversions = Conversions::default();
        self.data_manager.forget();
        self.ads.forget();
    }

    /// What is known, in numbers; never a secret.
    pub(in crate::sandbox) fn show(&self) -> Value {
        json!({
            "credentials": self.credentials.show(),
            "actions": self.actions.list().collect::<Vec<_>>(),
            "clicks": self.clicks.len(),
            "tokens": self.tokens.len(),
            "conversions": self.conversions.len(),
            "data_manager": self.data_manager.show(),
            "ads": self.ads.show(),
        })
    }
}

/// Shows numbers, never secrets.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({})", self.show())
    }
}

#[cfg(test)]
mod tests;
