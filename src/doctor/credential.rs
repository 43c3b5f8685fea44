//! Whether the secrets of a destination are there and usable, without asking anybody.

use chrono::{DateTime, Utc};

use super::{Blame, Check};
use crate::config::destination::DestinationConfig;
use crate::config::oauth::Grant;
use crate::destinations::Credentials;
use crate::token;

const NAME: &str = "credential";

/// Reads every secret, and signs with a service account's key.
pub(super) fn check(destination: &DestinationConfig, now: DateTime<Utc>) -> Check {
    let credentials = destination.settings.credentials();
    usable(NAME, credentials, now).at(&destination.name)
}

/// The same of any credential.
pub(super) fn usable(
    name: &'static str,
    credentials: Credentials<'_>,
    now: DateTime<Utc>,
) -> Check {
    let usable = match credentials {
        Credentials::Secret(secret) => secret.load().map(drop).map_err(|error| error.to_string()),
        Credentials::OAuth(oauth) => token::try_out(oauth, now).map_err(|error| error.to_string()),
    };
    match usable {
        Ok(()) => Check::ok(name, described(credentials)),
        Err(error) => Check::error(name, &error).blame(Blame::Configuration),
    }
}

fn described(credentials: Credentials<'_>) -> String {
    match credentials {
        Credentials::Secret(secret) => format!("{secret} can be read"),
        Credentials::OAuth(oauth) => match &oauth.grant {
            Grant::ServiceAccount { key } => {
                format!("the service account's key can be read and signs ({key})")
            }
            Grant::RefreshToken {
                client_secret,
                refresh_token,
                ..
            } => format!(
                "client secret ({client_secret}) and refresh token ({refresh_token}) can be read"
            ),
        },
    }
}
