//! What LinkedIn knows: conversion rules, tokens, clients, versions. Not for conversions, which the ledger keeps.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{NaiveDate, TimeDelta};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clients::{Clients, OAuthClient};
use super::rules::{ConversionRule, Rules};
use super::tokens::{AccessToken, Tokens};
use super::versions::Versions;

/// What happens to an event that LinkedIn takes and can never use: an unhashed e-mail, an invented currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Refused, so that a test sees the mistake.
    #[default]
    Strict,
    /// Taken, as measured, and the ledger's row says `would_not_match`.
    Observed,
}

/// What LinkedIn knows. A new one knows nothing, and then takes every rule, every non-empty token and every refresh
/// token: rules count from the first rule on, tokens from the first token or client on.
#[derive(Default)]
pub struct World {
    pub(super) mode: Mode,
    pub(super) rules: Rules,
    pub(super) tokens: Tokens,
    pub(super) clients: Clients,
    pub(super) versions: Versions,
}

/// Additions to a [`World`], as the sandbox's own API takes them.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Setup {
    /// How strict LinkedIn is from now on.
    pub mode: Option<Mode>,
    /// Conversion rules; one of the same id is replaced.
    pub rules: Vec<ConversionRule>,
    /// Access tokens.
    pub tokens: Vec<AccessToken>,
    /// Access tokens to take back.
    pub revoked_tokens: Vec<String>,
    /// Refresh tokens with their clients.
    pub clients: Vec<OAuthClient>,
    /// Refresh tokens to take back.
    pub revoked_refresh_tokens: Vec<String>,
    /// How long access tokens live that are issued from now on.
    pub token_lifetime_secs: Option<u32>,
    /// Versions such as `202609`, each with the day it ends.
    pub version_ends: BTreeMap<u32, NaiveDate>,
}

impl World {
    /// Adds what is set up.
    ///
    /// # Errors
    /// Something in it makes no sense; nothing was added then.
    pub fn set_up(&mut self, setup: Setup) -> Result<(), String> {
        let is_id = |text: &str| !text.is_empty() && text.bytes().all(|it| it.is_ascii_digit());
        let mut rules = setup.rules.iter();
        if !rules.all(|rule| is_id(&rule.id) && is_id(&rule.account)) {
            return Err("a rule's id and account are digits, without urn:".to_owned());
        }
        if !setup
            .version_ends
            .keys()
            .all(|version| (200_001..=999_912).contains(version))
        {
            return Err("a version is written as YYYYMM, such as 202609".to_owned());
        }
        self.mode = setup.mode.unwrap_or(self.mode);
        for rule in setup.rules {
            self.add_rule(rule);
        }
        for token in setup.tokens {
            self.add_token(token);
        }
        for token in setup.revoked_tokens {
            self.revoke_token(&token);
        }
        for client in setup.clients {
            self.add_client(client);
        }
        for token in setup.revoked_refresh_tokens {
            self.revoke_refresh_token(&token);
        }
        if let Some(seconds) = setup.token_lifetime_secs {
            self.set_token_lifetime(TimeDelta::seconds(seconds.into()));
        }
        for (version, day) in setup.version_ends {
            self.set_version_end(version, day);
        }
        Ok(())
    }

    /// How strict LinkedIn is from now on.
    pub fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }

    /// Makes a conversion rule known, or changes it. From the first one on, no other rule exists.
    pub fn add_rule(&mut self, rule: ConversionRule) {
        self.rules.insert(rule.id.clone(), rule);
    }

    /// Makes an access token known. From the first token or client on, no other token is good.
    pub fn add_token(&mut self, token: AccessToken) {
        self.tokens.are_listed = true;
        self.tokens.put(token);
    }

    /// Takes an access token back, however it came to be.
    pub fn revoke_token(&mut self, token: &str) {
        self.tokens.revoke(token);
    }

    /// Takes every known access token back, issued ones included.
    pub fn revoke_access_tokens(&mut self) {
        self.tokens.revoke_all();
    }

    /// Lists a refresh token. From the first one on, no other is good, and no access token that was not set up or
    /// issued here.
    pub fn add_client(&mut self, client: OAuthClient) {
        self.tokens.are_listed = true;
        self.clients.put(client);
    }

    /// Takes a refresh token back; access tokens it gave stay good.
    pub fn revoke_refresh_token(&mut self, refresh_token: &str) {
        self.clients.revoke(refresh_token);
    }

    /// Issued access tokens live this long; 60 days if never set.
    pub fn set_token_lifetime(&mut self, lifetime: TimeDelta) {
        self.tokens.lifetime = lifetime;
    }

    /// Lets a version such as 202609 end on this day. One that is not known yet exists from now on.
    pub fn set_version_end(&mut self, version: u32, day: NaiveDate) {
        self.versions.set_end(version, day);
    }

    /// The rule with this id, if it was set up.
    pub(super) fn rule(&self, id: &str) -> Option<&ConversionRule> {
        self.rules.get(id)
    }

    /// What is known, in numbers; never a secret.
    pub(in crate::sandbox) fn show(&self) -> Value {
        json!({
            "mode": self.mode,
            "rules": self.rules.values().collect::<Vec<_>>(),
            "tokens": self.tokens.len(),
            "clients": self.clients.len(),
        })
    }
}

/// Shows numbers, never secrets.
impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "World({})", self.show())
    }
}
