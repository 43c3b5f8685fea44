//! What a destination signs with: of what kind, where it lies, since when, and by which eight digits two of them are told
//! apart. Never what it is.

use crate::config::oauth::Grant;
use crate::config::secret::{SecretError, SecretRef};
use crate::destinations::{Credentials, Platform};
use crate::pages::html::{Markup, Tone, badge, html, time};

/// All secrets of a destination.
pub(super) fn shown(credentials: Credentials<'_>, platform: Platform) -> Markup {
    match credentials {
        Credentials::Secret(secret) => {
            let kind = match platform {
                Platform::Ga4 => "API secret",
                _ => "Access token",
            };
            one(kind, secret, false)
        }
        Credentials::OAuth(oauth) => match &oauth.grant {
            Grant::ServiceAccount { key } => one("Service account", key, true),
            Grant::RefreshToken {
                client_secret,
                refresh_token,
                ..
            } => html! {
                (one("Client secret", client_secret, false))
                (one("Refresh token", refresh_token, false))
            },
        },
    }
}

fn one(kind: &str, secret: &SecretRef, is_document: bool) -> Markup {
    let fingerprint = if is_document {
        secret.load_document()
    } else {
        secret.load()
    }
    .map(|secret| secret.fingerprint());
    html! {
        dt { (kind) }
        dd {
            "from " (secret)
            @if let Some(at) = secret.changed_at() { ", changed " (time(at)) }
            @match fingerprint {
                Ok(fingerprint) => { ", fingerprint " code { (fingerprint) } "; no end of it is known" }
                Err(error) => { " " (badge(Tone::Bad, wrong(&error))) }
            }
        }
    }
}

fn wrong(error: &SecretError) -> &'static str {
    match error {
        SecretError::Unreadable { .. } => "cannot be read",
        SecretError::Unset { .. } => "is not set",
        SecretError::Empty { .. } => "is empty",
        SecretError::Control { .. } => "holds a line feed",
    }
}
