//! OAuth clients with their refresh tokens. Not for access tokens.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use super::tokens::{LIST_SCOPE, SEND_SCOPE};

/// How long a refresh token lives: 365 days (`…/linkedin/shared/authentication/programmatic-refresh-tokens`).
const LIFETIME: TimeDelta = TimeDelta::days(365);

/// A refresh token with the app it was issued to.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OAuthClient {
    /// The app's client id.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// A refresh token issued to it.
    pub refresh_token: String,
    /// What the member consented to; `rw_conversions` and `r_ads` unless said.
    #[serde(default = "both_scopes")]
    pub scopes: Vec<String>,
    /// When the refresh token ends; 365 days after its first use unless said.
    #[serde(default)]
    pub refresh_ends_at: Option<DateTime<Utc>>,
}

fn both_scopes() -> Vec<String> {
    [SEND_SCOPE, LIST_SCOPE].map(str::to_owned).to_vec()
}

impl OAuthClient {
    /// A refresh token that is good for sending events and for listing rules.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str, refresh_token: &str) -> OAuthClient {
        OAuthClient {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            refresh_token: refresh_token.to_owned(),
            scopes: both_scopes(),
            refresh_ends_at: None,
        }
    }
}

/// Shows the client, never its secrets.
impl fmt::Debug for OAuthClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthClient")
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .field("refresh_ends_at", &self.refresh_ends_at)
            .finish_non_exhaustive()
    }
}

/// Why a refresh token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadRefresh {
    /// Nobody knows the client, or its secret is wrong.
    Client,
    /// The token was never issued to this client, is over, or was taken back.
    Grant,
}

/// What a refresh token gives.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) scopes: Vec<String>,
    /// How long the refresh token itself goes on living.
    pub(super) refresh_left: TimeDelta,
}

/// Everybody who is listed. Without anybody, everybody may.
#[derive(Default)]
pub(super) struct Clients {
    /// By refresh token.
    listed: BTreeMap<String, OAuthClient>,
    /// When refresh tokens end that were used already.
    ends: BTreeMap<String, DateTime<Utc>>,
    revoked: BTreeSet<String>,
}

impl Clients {
    pub(super) fn put(&mut self, client: OAuthClient) {
        let token = client.refresh_token.clone();
        self.revoked.remove(&token);
        self.ends.remove(&token);
        if let Some(end) = client.refresh_ends_at {
            self.ends.insert(token.clone(), end);
        }
        self.listed.insert(token, client);
    }

    /// Takes a refresh token back.
    pub(super) fn revoke(&mut self, refresh_token: &str) {
        self.revoked.insert(refresh_token.to_owned());
    }

    pub(super) fn len(&self) -> usize {
        self.listed.len()
    }

    /// What a refresh token gives now. Its remaining life is what it was: using it does not renew it.
    pub(super) fn redeem(
        &mut self,
        client_id: &str,
        client_secret: &str,
        refresh_token: &str,
        now: DateTime<Utc>,
    ) -> Result<Grant, BadRefresh> {
        let mut clients = self.listed.values();
        let is_known = self.listed.is_empty()
            || clients
                .any(|known| known.client_id == client_id && known.client_secret == client_secret);
        if !is_known {
            return Err(BadRefresh::Client);
        }
        let own = self.listed.get(refresh_token);
        let scopes = match own.filter(|known| known.client_id == client_id) {
            Some(client) => client.scopes.clone(),
            None if self.listed.is_empty() => both_scopes(),
            None => return Err(BadRefresh::Grant),
        };
        let end = self.ends.entry(refresh_token.to_owned());
        let refresh_left = *end.or_insert(now + LIFETIME) - now;
        if self.revoked.contains(refresh_token) || refresh_left <= TimeDelta::zero() {
            return Err(BadRefresh::Grant);
        }
        Ok(Grant {
            scopes,
            refresh_left,
        })
    }
}
