//! Short-lived access tokens: asked for with a service account's key or a refresh token, kept, and renewed early.
//!
//! One request for a token is under way at a time; whoever needs one meanwhile waits for it. Not for deciding what a
//! refusal means for the destination.

mod assertion;

use std::sync::PoisonError;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Deserializer};
use tokio::sync::Mutex;

use crate::config::oauth::{Grant, OAuth};
use crate::config::secret::{Secret, SecretError};
use crate::destinations::Reply;
use crate::send::{SendError, Sender};

/// A token that is good for less than this is renewed before it is used, so that it outlasts the request; one that never
/// was good for much longer, after half its time. Source: google-auth, `REFRESH_THRESHOLD`: 3 minutes 45 seconds.
const RENEW_BEFORE: TimeDelta = TimeDelta::seconds(225);

/// How long a token endpoint may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// A token whose answer names no lifetime is taken for one of this many seconds.
const LIFETIME: i64 = 3600;

/// More than this many seconds nobody means: ten years.
const LEFT_MAX: i64 = 10 * 365 * 86_400;

/// Gives access tokens of one credential.
#[derive(Debug)]
pub struct TokenSource {
    oauth: OAuth,
    kept: Mutex<Option<Kept>>,
    /// When what tokens are asked for with ends, as far as the endpoint said.
    ends_at: std::sync::Mutex<Option<DateTime<Utc>>>,
}

#[derive(Debug)]
struct Kept {
    token: Secret,
    renew_at: DateTime<Utc>,
    /// Of the secrets it was asked for with.
    fingerprint: String,
}

/// An access token and the fingerprint of what it was asked for with.
#[derive(Debug, Clone)]
pub struct Token {
    /// For the `Authorization` header.
    pub secret: Secret,
    /// Changes when the operator replaces the credential, not when a token is renewed.
    pub fingerprint: String,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A secret that it is made of cannot be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The service account's key is none.
    #[error("the service account key {0}. Fix: download a new JSON key of the account")]
    Key(&'static str),
    /// The token endpoint refused: revoked, expired, unknown client. `code` is its own word.
    #[error("the token endpoint refused: {code}")]
    Refused {
        /// `invalid_grant`, `invalid_client`, …
        code: String,
    },
    /// The token endpoint's address is a private one: nobody was asked.
    #[error("the token endpoint: {}", SendError::Private)]
    Private,
    /// The token endpoint did not answer, or failed.
    #[error("the token endpoint cannot be used now: {0}")]
    Unavailable(String),
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    expires_in: Option<i64>,
    /// Google says so of a refresh token that ends by itself (`developers.google.com/identity/protocols/oauth2/web-server`).
    #[serde(default, deserialize_with = "seconds_or_none")]
    refresh_token_expires_in: Option<i64>,
}

/// What an endpoint says beside the token must not cost the token.
fn seconds_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Ok(serde_json::Value::deserialize(deserializer)?.as_i64())
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

/// How long a token of this lifetime is used before it is renewed.
fn good_for(lifetime: TimeDelta) -> TimeDelta {
    (lifetime - RENEW_BEFORE).max(lifetime / 2)
}

impl TokenSource {
    /// A source that has asked for nothing yet.
    pub fn new(oauth: OAuth) -> TokenSource {
        TokenSource {
            oauth,
            kept: Mutex::default(),
            ends_at: std::sync::Mutex::default(),
        }
    }

    /// The token in use, or a new one where there is none, it ends soon, or the credential was replaced.
    pub async fn token(&self, sender: &Sender, now: DateTime<Utc>) -> Result<Token, TokenError> {
        let mut kept = self.kept.lock().await;
        let secrets = self.oauth.load()?;
        let fingerprint = fingerprint(&secrets);
        if let Some(kept) = kept.as_ref()
            && kept.fingerprint == fingerprint
            && now < kept.renew_at
        {
            return Ok(Token {
                secret: kept.token.clone(),
                fingerprint,
            });
        }
        let granted = self.ask(&secrets, sender, now).await?;
        let lifetime = TimeDelta::seconds(granted.expires_in.unwrap_or(LIFETIME).clamp(0, 86_400));
        *self.ends_at() = granted
            .refresh_token_expires_in
            .map(|left| now + TimeDelta::seconds(left.clamp(0, LEFT_MAX)));
        let token = Secret::new(granted.access_token);
        *kept = Some(Kept {
            token: token.clone(),
            renew_at: now + good_for(lifetime),
            fingerprint: fingerprint.clone(),
        });
        Ok(Token {
            secret: token,
            fingerprint,
        })
    }

    /// Drops a token that a platform refused, unless it was renewed meanwhile.
    pub async fn forget(&self, refused: &Secret) {
        let mut kept = self.kept.lock().await;
        if kept
            .as_ref()
            .is_some_and(|kept| kept.token.expose() == refused.expose())
        {
            *kept = None;
        }
    }

    /// When the refresh token ends, as far as the endpoint has said with its last answer. The tokens that it gives end much
    /// sooner, and are renewed without anybody's help.
    pub fn expires_at(&self) -> Option<DateTime<Utc>> {
        *self.ends_at()
    }

    fn ends_at(&self) -> std::sync::MutexGuard<'_, Option<DateTime<Utc>>> {
        self.ends_at.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fingerprint of the credential as it lies there now.
    pub fn fingerprint(&self) -> Result<String, SecretError> {
        Ok(fingerprint(&self.oauth.load()?))
    }

    async fn ask(
        &self,
        secrets: &[Secret],
        sender: &Sender,
        now: DateTime<Utc>,
    ) -> Result<Granted, TokenError> {
        let url = &self.oauth.token_url;
        let reply = match (&self.oauth.grant, secrets) {
            (Grant::ServiceAccount { .. }, [key]) => {
                let assertion =
                    assertion::signed(key, self.oauth.scope, url, now).map_err(TokenError::Key)?;
                let form = [
                    ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
                    ("assertion", assertion.as_str()),
                ];
                sender.ask_token(url, &form, PATIENCE).await
            }
            (Grant::RefreshToken { client_id, .. }, [client_secret, refresh_token]) => {
                let form = [
                    ("grant_type", "refresh_token"),
                    ("refresh_token", refresh_token.expose()),
                    ("client_id", client_id.as_str()),
                    ("client_secret", client_secret.expose()),
                ];
                sender.ask_token(url, &form, PATIENCE).await
            }
            _ => unreachable!("each grant has its own number of secrets"),
        };
        read_answer(&reply.map_err(|error| match error {
            SendError::Private => TokenError::Private,
            other => TokenError::Unavailable(other.as_str().to_owned()),
        })?)
    }
}

/// Whether a token could be asked for: every secret can be read, and a service account's key signs. Asks nobody.
pub fn try_out(oauth: &OAuth, now: DateTime<Utc>) -> Result<(), TokenError> {
    let secrets = oauth.load()?;
    if let (Grant::ServiceAccount { .. }, [key]) = (&oauth.grant, secrets.as_slice()) {
        assertion::signed(key, oauth.scope, &oauth.token_url, now).map_err(TokenError::Key)?;
    }
    Ok(())
}

/// Reads a token endpoint's answer. Source: RFC 6749, sections 5.1 and 5.2; what is transient beyond 5xx by google-auth,
/// `_can_retry`.
fn read_answer(reply: &Reply) -> Result<Granted, TokenError> {
    if (200..300).contains(&reply.status) {
        return serde_json::from_slice::<Granted>(&reply.body)
            .ok()
            .filter(|granted| is_token(&granted.access_token))
            .ok_or_else(|| TokenError::Unavailable("an answer without a token".to_owned()));
    }
    let code = serde_json::from_slice::<Refusal>(&reply.body)
        .ok()
        .map(|refusal| refusal.error)
        .filter(|code| is_code(code));
    let is_transient = matches!(reply.status, 408 | 429 | 500..)
        || matches!(
            code.as_deref(),
            Some("internal_failure" | "server_error" | "temporarily_unavailable")
        );
    let code = code.unwrap_or_else(|| format!("status {}", reply.status));
    Err(if is_transient {
        TokenError::Unavailable(code)
    } else {
        TokenError::Refused { code }
    })
}

/// What a header can carry.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// An error word, not a text that might repeat what was sent.
fn is_code(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

fn fingerprint(secrets: &[Secret]) -> String {
    let fingerprints: Vec<String> = secrets.iter().map(Secret::fingerprint).collect();
    Secret::new(fingerprints.join("-")).fingerprint()
}

#[cfg(test)]
mod tests;
