//! The credential as a platform wants it: as it lies there, or exchanged for an access token by the real token endpoint.

use chrono::{DateTime, Utc};

use super::super::{Blame, Check};
use crate::config::oauth::{Grant, OAuth};
use crate::config::secret::Secret;
use crate::destinations::Credentials;
use crate::send::Sender;
use crate::token::{TokenError, TokenSource};

const NAME: &str = "token";

/// What there is to say of it, and the secret to sign with. A secret that cannot be read was told before.
pub(super) async fn fetch(
    credentials: Credentials<'_>,
    sender: &Sender,
    now: DateTime<Utc>,
) -> (Option<Check>, Option<Secret>) {
    match credentials {
        Credentials::Secret(secret) => match secret.load() {
            Ok(secret) => (None, Some(secret)),
            Err(_) => (Some(unusable()), None),
        },
        Credentials::OAuth(oauth) => {
            let token = TokenSource::new(oauth.clone()).token(sender, now).await;
            match token {
                Ok(token) => (Some(given(oauth)), Some(token.secret)),
                Err(error) => (Some(refused(oauth, &error)), None),
            }
        }
    }
}

fn unusable() -> Check {
    Check::skipped(NAME, "not tried: the credential cannot be used")
}

fn given(oauth: &OAuth) -> Check {
    Check::ok(
        NAME,
        format!("{} gave an access token {}", host(oauth), by(oauth)),
    )
}

/// By which grant, for which scope.
fn by(oauth: &OAuth) -> String {
    match &oauth.grant {
        Grant::ServiceAccount { .. } => {
            format!("to the service account, for the scope {}", oauth.scope)
        }
        Grant::RefreshToken { .. } => {
            "for the refresh token, for the scopes that its owner consented to".to_owned()
        }
    }
}

fn refused(oauth: &OAuth, error: &TokenError) -> Check {
    match error {
        TokenError::Secret(_) | TokenError::Key(_) => unusable(),
        TokenError::Refused { code } => Check::fail(
            NAME,
            format!("{} refuses: {code}", host(oauth)),
            mend(oauth, code),
        ),
        TokenError::Private => Check::fail(
            NAME,
            format!(
                "{} leads to a private address, and nothing was asked",
                host(oauth)
            ),
            "check token_url and name resolution; allow_private_addresses = true lets it be",
        )
        .blame(Blame::Configuration),
        TokenError::Unavailable(why) => Check::fail(
            NAME,
            format!("{} cannot be used now ({why})", host(oauth)),
            "check token_url and what the firewall lets out, or ask again later",
        )
        .blame(Blame::Unavailable),
    }
}

/// Source of the codes: RFC 6749, section 5.2.
fn mend(oauth: &OAuth, code: &str) -> &'static str {
    match (&oauth.grant, code) {
        (Grant::ServiceAccount { .. }, "invalid_grant") => {
            "see that the service account exists and its key was not deleted, and that this host's clock is right"
        }
        (Grant::ServiceAccount { .. }, _) => "download a new JSON key of the service account",
        (Grant::RefreshToken { .. }, "invalid_client" | "unauthorized_client") => {
            "check client_id and client_secret: they must be those the refresh token was given to"
        }
        (Grant::RefreshToken { .. }, _) => {
            "the refresh token is revoked or over: have its owner consent again, and replace it"
        }
    }
}

fn host(oauth: &OAuth) -> &str {
    oauth.token_url.host_str().unwrap_or_default()
}
