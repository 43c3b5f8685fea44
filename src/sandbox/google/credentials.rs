//! Who may ask for access tokens: OAuth clients with their refresh tokens, and service accounts. Not for the tokens
//! themselves.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::{Value, json};

use super::access::{ADS_SCOPE, DATA_MANAGER_SCOPE};
use super::service_account::ServiceAccount;

/// A refresh token with the client it was issued to.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshClient {
    /// `client_id` of the OAuth client.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// A refresh token issued to it.
    pub refresh_token: String,
    /// What the person consented to; both scopes unless said.
    #[serde(default = "both_scopes")]
    pub scopes: Vec<String>,
}

/// The scopes of both APIs.
pub(super) fn both_scopes() -> Vec<String> {
    [DATA_MANAGER_SCOPE, ADS_SCOPE].map(str::to_owned).to_vec()
}

impl RefreshClient {
    /// A refresh token that is good for both scopes.
    #[must_use]
    pub fn new(client_id: &str, client_secret: &str, refresh_token: &str) -> RefreshClient {
        RefreshClient {
            client_id: client_id.to_owned(),
            client_secret: client_secret.to_owned(),
            refresh_token: refresh_token.to_owned(),
            scopes: both_scopes(),
        }
    }
}

/// Shows the client, never its secrets.
impl fmt::Debug for RefreshClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RefreshClient")
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

/// Why a refresh token is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadRefresh {
    /// Nobody knows the client, or its secret is wrong.
    Client,
    /// The token was never issued to this client, or was taken back.
    Grant,
}

/// Everybody who is listed. Without anybody, everybody may.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    /// By refresh token.
    clients: BTreeMap<String, RefreshClient>,
    /// By address.
    service_accounts: BTreeMap<String, ServiceAccount>,
    /// Whether somebody was ever listed: taking the last one back does not open the door to all.
    pub(super) are_listed: bool,
    revoked: Vec<String>,
}

impl Credentials {
    pub(super) fn put_client(&mut self, client: RefreshClient) {
        self.are_listed = true;
        self.revoked.retain(|token| *token != client.refresh_token);
        self.clients.insert(client.refresh_token.clone(), client);
    }

    pub(super) fn put_service_account(&mut self, account: ServiceAccount) {
        self.are_listed = true;
        self.service_accounts
            .insert(account.client_email.clone(), account);
    }

    /// Takes a refresh token back.
    pub(super) fn revoke(&mut self, refresh_token: &str) {
        self.revoked.push(refresh_token.to_owned());
    }

    /// What a refresh token is good for.
    pub(super) fn scopes_of(
        &self,
        client_id: &str,
        client_secret: &str,
        refresh_token: &str,
    ) -> Result<Vec<String>, BadRefresh> {
        let is_revoked = self.revoked.iter().any(|token| token == refresh_token);
        if !self.are_listed {
            return if is_revoked {
                Err(BadRefresh::Grant)
            } else {
                Ok(both_scopes())
            };
        }
        let mut clients = self.clients.values();
        let is_known = clients
            .any(|known| known.client_id == client_id && known.client_secret == client_secret);
        if !is_known {
            return Err(BadRefresh::Client);
        }
        let client = self.clients.get(refresh_token);
        let client = client.filter(|known| known.client_id == client_id && !is_revoked);
        client
            .map(|known| known.scopes.clone())
            .ok_or(BadRefresh::Grant)
    }

    /// The service account with this address.
    pub(super) fn service_account(&self, client_email: &str) -> Option<&ServiceAccount> {
        self.service_accounts.get(client_email)
    }

    /// Who is listed, without secrets.
    pub(super) fn show(&self) -> Value {
        let accounts = self.service_accounts.values().map(ServiceAccount::show);
        json!({"clients": self.clients.len(), "service_accounts": accounts.collect::<Vec<_>>()})
    }
}
