//! Access tokens: set up or issued, checked, taken back. Not for refresh tokens, which `clients` knows.

use std::collections::BTreeMap;
use std::fmt;

use axum::http::header;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::error::{self, Coded};
use crate::sandbox::exchange::Arrived;

/// What a token must be good for to send events.
pub const SEND_SCOPE: &str = "rw_conversions";

/// What a token must be good for to list conversion rules.
pub const LIST_SCOPE: &str = "r_ads";

/// What a token must be good for to read reports.
pub const REPORT_SCOPE: &str = "r_ads_reporting";

/// How long an access token from the token endpoint lives: 60 days.
const LIFETIME: TimeDelta = TimeDelta::seconds(5_184_000);

/// An access token that LinkedIn knows.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessToken {
    /// Its text.
    pub token: String,
    /// What it is good for; without a list, everything.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// When it ends; without a time, never.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
    /// The ad accounts its member may use, by their ids; an empty list allows all.
    #[serde(default)]
    pub accounts: Vec<String>,
}

impl AccessToken {
    /// A direct API token, as Campaign Manager generates it: without scopes, and it does not expire
    /// (`…/marketing/conversions/getting-access-conversions`).
    #[must_use]
    pub fn direct(token: &str) -> AccessToken {
        AccessToken {
            token: token.to_owned(),
            scopes: None,
            expires_at: None,
            accounts: Vec::new(),
        }
    }

    /// A token of an OAuth app.
    #[must_use]
    pub fn oauth(token: &str, scopes: &[&str], expires_at: DateTime<Utc>) -> AccessToken {
        AccessToken {
            scopes: Some(scopes.iter().map(|scope| (*scope).to_owned()).collect()),
            expires_at: Some(expires_at),
            ..AccessToken::direct(token)
        }
    }

    /// Whether its member may use this ad account.
    pub(super) fn may_use(&self, account: &str) -> bool {
        self.accounts.is_empty() || self.accounts.iter().any(|own| own == account)
    }
}

/// Shows what it is good for, never its text.
impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("scopes", &self.scopes)
            .field("expires_at", &self.expires_at)
            .field("accounts", &self.accounts)
            .finish_non_exhaustive()
    }
}

/// A token, and whether it was taken back.
#[derive(Debug)]
struct Held {
    token: AccessToken,
    is_revoked: bool,
}

/// All known tokens.
pub(super) struct Tokens {
    known: BTreeMap<String, Held>,
    issued: usize,
    /// Whether no other token is good.
    pub(super) are_listed: bool,
    /// How long a new one lives.
    pub(super) lifetime: TimeDelta,
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens {
            known: BTreeMap::new(),
            issued: 0,
            are_listed: false,
            lifetime: LIFETIME,
        }
    }
}

impl Tokens {
    /// Makes a token known.
    pub(super) fn put(&mut self, token: AccessToken) {
        let held = Held {
            is_revoked: false,
            token,
        };
        self.known.insert(held.token.token.clone(), held);
    }

    /// Issues a token and gives its text.
    pub(super) fn issue(&mut self, scopes: Vec<String>, now: DateTime<Utc>) -> String {
        self.issued += 1;
        let number = self.issued;
        let digest = Sha256::digest(format!("{number} {}", now.timestamp_micros()));
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        let token = format!("AQsandbox-{number}-{hex}");
        self.put(AccessToken {
            scopes: Some(scopes),
            expires_at: Some(now + self.lifetime),
            ..AccessToken::direct(&token)
        });
        token
    }

    /// Takes a token back; one that was never known is known as taken back from now on.
    pub(super) fn revoke(&mut self, token: &str) {
        if !self.known.contains_key(token) {
            self.put(AccessToken::direct(token));
        }
        if let Some(held) = self.known.get_mut(token) {
            held.is_revoked = true;
        }
    }

    /// Takes all known tokens back.
    pub(super) fn revoke_all(&mut self) {
        self.known
            .values_mut()
            .for_each(|held| held.is_revoked = true);
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// Checks the request's token. A good one that nobody set up is none: it may everything.
    pub(super) fn check(
        &self,
        arrived: &Arrived,
        scope: &str,
        now: DateTime<Utc>,
    ) -> Result<Option<&AccessToken>, Coded> {
        let text = bearer(arrived).ok_or(error::EMPTY_TOKEN)?;
        let Some(held) = self.known.get(text) else {
            return if self.are_listed {
                Err(error::INVALID_TOKEN)
            } else {
                Ok(None)
            };
        };
        let token = &held.token;
        let has_scope = |scopes: &Vec<String>| scopes.iter().any(|own| own == scope);
        if held.is_revoked {
            Err(error::REVOKED_TOKEN)
        } else if token.expires_at.is_some_and(|end| end <= now) {
            Err(error::EXPIRED_TOKEN)
        } else if !token.scopes.as_ref().is_none_or(has_scope) {
            Err(error::NOT_AUTHORIZED)
        } else {
            Ok(Some(token))
        }
    }
}

/// The bearer token of a request. In a query or a body it does not count.
fn bearer(arrived: &Arrived) -> Option<&str> {
    let header = arrived.headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (kind, token) = header.split_once(' ')?;
    (kind.eq_ignore_ascii_case("bearer") && !token.trim().is_empty()).then(|| token.trim())
}
