//! Which datasets and measurement ids exist, and which of their tokens are good. Not for judging a request: an
//! emulator asks here and decides what a standing means on its platform.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::exchange::Platform;

/// The state of a token, changeable at run time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenState {
    /// Works.
    Valid,
    /// Its time is over: Meta answers 190/463.
    Expired,
    /// Taken back by a person: Meta answers 190/460.
    Revoked,
}

/// One known account with its tokens. Without any token listed, every non-empty token is good.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Token text to its state.
    #[serde(default)]
    pub tokens: BTreeMap<String, TokenState>,
}

impl Account {
    /// An account with one valid token.
    #[must_use]
    pub fn with_token(token: &str) -> Account {
        Account {
            tokens: BTreeMap::from([(token.to_owned(), TokenState::Valid)]),
        }
    }
}

/// Shows how many tokens there are, never the tokens.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account")
            .field("token_count", &self.tokens.len())
            .finish()
    }
}

/// How an account and a token stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Good,
    UnknownAccount,
    UnknownToken,
    ExpiredToken,
    RevokedToken,
}

/// All known accounts. A platform without any listed takes every account and every non-empty token.
#[derive(Debug, Clone, Default)]
pub(super) struct Accounts {
    known: BTreeMap<(Platform, String), Account>,
}

impl Accounts {
    pub(super) fn put(&mut self, platform: Platform, id: String, account: Account) {
        self.known.insert((platform, id), account);
    }

    /// Forgets an account; says whether it was known.
    pub(super) fn remove(&mut self, platform: Platform, id: &str) -> bool {
        self.known.remove(&(platform, id.to_owned())).is_some()
    }

    /// How this account and this non-empty token stand now.
    ///
    /// The token is judged before the account, as Graph does: a token nobody knows tells nothing about datasets.
    pub(super) fn standing(&self, platform: Platform, id: &str, token: &str) -> Standing {
        let listed = self.known.keys().any(|(of, _)| *of == platform);
        let Some(account) = self.known.get(&(platform, id.to_owned())) else {
            return match (listed, self.token_known_elsewhere(platform, token)) {
                (false, _) => Standing::Good,
                (true, true) => Standing::UnknownAccount,
                (true, false) => Standing::UnknownToken,
            };
        };
        match account.tokens.get(token) {
            Some(TokenState::Valid) => Standing::Good,
            Some(TokenState::Expired) => Standing::ExpiredToken,
            Some(TokenState::Revoked) => Standing::RevokedToken,
            None if account.tokens.is_empty() => Standing::Good,
            // A good token of another dataset: the platform knows it, but it may not use this account.
            None if self.token_known_elsewhere(platform, token) => Standing::UnknownAccount,
            None => Standing::UnknownToken,
        }
    }

    /// Platform, id and the number of tokens of each account; the tokens themselves stay inside.
    pub(super) fn list(&self) -> impl Iterator<Item = (Platform, &str, usize)> {
        self.known
            .iter()
            .map(|((platform, id), account)| (*platform, id.as_str(), account.tokens.len()))
    }

    /// Whether the token is a valid one of some account, or some account takes any token.
    fn token_known_elsewhere(&self, platform: Platform, token: &str) -> bool {
        self.known
            .iter()
            .filter(|((of, _), _)| *of == platform)
            .any(|(_, account)| {
                account.tokens.is_empty() || account.tokens.get(token) == Some(&TokenState::Valid)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(accounts: &Accounts, id: &str, token: &str) -> Standing {
        accounts.standing(Platform::Meta, id, token)
    }

    #[test]
    fn without_a_list_everything_is_good() {
        assert_eq!(standing(&Accounts::default(), "1", "any"), Standing::Good);
    }

    #[test]
    fn a_list_makes_accounts_and_tokens_matter() {
        let mut accounts = Accounts::default();
        accounts.put(Platform::Meta, "1".to_owned(), Account::with_token("good"));
        accounts.put(Platform::Ga4, "G-1".to_owned(), Account::default());
        assert_eq!(standing(&accounts, "1", "good"), Standing::Good);
        assert_eq!(standing(&accounts, "1", "bad"), Standing::UnknownToken);
        assert_eq!(standing(&accounts, "2", "good"), Standing::UnknownAccount);
        assert_eq!(standing(&accounts, "2", "bad"), Standing::UnknownToken);
        assert_eq!(
            accounts.standing(Platform::Ga4, "G-1", "any"),
            Standing::Good
        );
        assert_eq!(
            accounts.standing(Platform::Ga4, "G-2", "any"),
            Standing::UnknownAccount
        );
    }

    #[test]
    fn a_token_expires_is_revoked_and_is_replaced() {
        let mut accounts = Accounts::default();
        let tokens = [
            ("old", TokenState::Expired),
            ("gone", TokenState::Revoked),
            ("new", TokenState::Valid),
        ];
        let tokens = tokens
            .map(|(token, state)| (token.to_owned(), state))
            .into();
        accounts.put(Platform::Meta, "1".to_owned(), Account { tokens });
        accounts.put(Platform::Meta, "2".to_owned(), Account::with_token("other"));
        assert_eq!(standing(&accounts, "1", "old"), Standing::ExpiredToken);
        assert_eq!(standing(&accounts, "1", "gone"), Standing::RevokedToken);
        assert_eq!(standing(&accounts, "1", "new"), Standing::Good);
        assert_eq!(standing(&accounts, "1", "other"), Standing::UnknownAccount);
        assert!(!format!("{accounts:?}").contains("gone"));
    }
}
