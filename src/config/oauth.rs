//! Credentials that are exchanged for short-lived access tokens: a service account's key, or a refresh token.

use url::Url;

use super::read::Reader;
use super::secret::{Secret, SecretError, SecretRef};

/// What a token is asked for with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OAuth {
    /// Where tokens come from.
    pub token_url: Url,
    /// What proves who asks.
    pub grant: Grant,
    /// What the token is to be good for; only a service account names it, a refresh token was made for its scopes.
    pub scope: &'static str,
}

/// What proves who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// A Google service account: the JSON key file as downloaded.
    ServiceAccount {
        /// The file's whole content.
        key: SecretRef,
    },
    /// A user's consent, given once.
    RefreshToken {
        /// The application's id. No secret.
        client_id: String,
        /// The application's secret.
        client_secret: SecretRef,
        /// What the consent gave.
        refresh_token: SecretRef,
    },
}

impl OAuth {
    /// Reads every secret it is made of, in a fixed order.
    pub fn load(&self) -> Result<Vec<Secret>, SecretError> {
        match &self.grant {
            Grant::ServiceAccount { key } => Ok(vec![key.load_document()?]),
            Grant::RefreshToken {
                client_secret,
                refresh_token,
                ..
            } => Ok(vec![client_secret.load()?, refresh_token.load()?]),
        }
    }

    /// Reads `service_account = { file = "…" }` or `[destination.oauth]`, exactly one of them, and `token_url`.
    pub fn read_google(reader: &mut Reader<'_>, scope: &'static str) -> Option<OAuth> {
        let has_key = reader.has("service_account");
        let has_user = reader.has("oauth");
        let key = reader.secret("service_account");
        let user = reader.table("oauth", read_refresh_token);
        let token_url = reader.address("token_url", "https://oauth2.googleapis.com/token");
        if has_key == has_user {
            reader.fault(
                "service_account",
                "or oauth: exactly one of them must be given",
                "write service_account = { file = \"/path/key.json\" }, or a table oauth with client_id, client_secret and refresh_token",
            );
            return None;
        }
        let grant = key.map(|key| Grant::ServiceAccount { key }).or(user)?;
        Some(OAuth {
            token_url,
            grant,
            scope,
        })
    }

    /// Reads a table with `client_id`, `client_secret` and `refresh_token`, and the destination's `token_url`.
    pub fn read_user(reader: &mut Reader<'_>, token_url: &str) -> Option<OAuth> {
        let grant = reader.table("oauth", read_refresh_token);
        let token_url = reader.address("token_url", token_url);
        Some(OAuth {
            token_url,
            grant: grant?,
            scope: "",
        })
    }
}

fn read_refresh_token(reader: &mut Reader<'_>) -> Option<Grant> {
    let reference = "{ file = \"/path\" } or { env = \"NAME\" }";
    let client_id = reader.required_text("client_id", "the OAuth client's id");
    let client_secret = reader.required_secret("client_secret", reference);
    let refresh_token = reader.required_secret("refresh_token", reference);
    Some(Grant::RefreshToken {
        client_id: client_id?,
        client_secret: client_secret?,
        refresh_token: refresh_token?,
    })
}
