//! What a destination's requests are signed with: a token that lies in a file, or one that is asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use super::Shared;
use crate::config::reach::Reach;
use crate::config::secret::{CredentialSource, SecretError};
use crate::destinations::Credentials;
use crate::token::{Token, TokenError, TokenSource};

/// The credential of one destination.
#[derive(Debug)]
pub(super) enum Credential {
    /// Sent as it is.
    Lying(Mutex<CredentialSource>),
    /// Exchanged for short-lived tokens.
    Exchanged(Box<TokenSource>),
}

impl Credential {
    /// Reads it for the first time.
    pub(super) fn open(credentials: Credentials<'_>) -> Result<Credential, SecretError> {
        credentials.check()?;
        match credentials {
            Credentials::Secret(secret) => {
                let source = CredentialSource::open(secret.clone())?;
                Ok(Credential::Lying(Mutex::new(source)))
            }
            Credentials::OAuth(oauth) => {
                let source = TokenSource::new(oauth.clone());
                Ok(Credential::Exchanged(Box::new(source)))
            }
        }
    }

    /// What the next request is signed with.
    pub(super) async fn token(&self, reach: Reach, shared: &Shared) -> Result<Token, TokenError> {
        match self {
            Credential::Lying(source) => {
                let secret = lock(source).current().clone();
                let fingerprint = secret.fingerprint();
                Ok(Token {
                    secret,
                    fingerprint,
                })
            }
            Credential::Exchanged(source) => {
                let sender = shared.sender.within(reach);
                source.token(&sender, shared.clock.now()).await
            }
        }
    }

    /// A platform refused this token. Returns whether another one can be asked for.
    pub(super) async fn refuse(&self, token: &Token) -> bool {
        match self {
            Credential::Lying(_) => false,
            Credential::Exchanged(source) => {
                source.forget(&token.secret).await;
                true
            }
        }
    }

    /// When the part of it ends that a person must replace, as far as an answer has said.
    pub(super) fn expires_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Credential::Lying(_) => None,
            Credential::Exchanged(source) => source.expires_at(),
        }
    }

    /// Reads the credential again and gives its fingerprint; nothing where it cannot be read now.
    pub(super) fn fingerprint(&self) -> Option<String> {
        match self {
            Credential::Lying(source) => {
                let mut source = lock(source);
                // One that cannot be read counts as unchanged.
                drop(source.reload());
                Some(source.current().fingerprint())
            }
            Credential::Exchanged(source) => source.fingerprint().ok(),
        }
    }
}

fn lock(source: &Mutex<CredentialSource>) -> MutexGuard<'_, CredentialSource> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}
