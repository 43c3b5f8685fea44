//! What a destination signs with: of what kind, where it lies, since when, and by which eight digits two of them are told
//! apart. Never what it is.

use chrono::NaiveDate;

use crate::config::oauth::Grant;
use crate::config::secret::{SecretError, SecretRef};
use crate::destinations::{Credentials, Platform};
use crate::pages::html::{Markup, Tone, badge, day, html, time};

/// Fewer days are few to replace a secret in.
const NEAR: i64 = 30;

/// All secrets of a destination. `ends` is the day on which they end, as the configuration says it.
pub(super) fn shown(
    credentials: Credentials<'_>,
    platform: Platform,
    ends: Option<NaiveDate>,
    today: NaiveDate,
) -> Markup {
    html! {
        (secrets(credentials, platform))
        dt { "Credential ends" }
        dd {
            @match ends {
                Some(ends) => { (day(ends)) " " (ending(ends, today)) }
                None => { "not known: " code { "credential_expires" } " in the configuration says it here" }
            }
        }
    }
}

fn ending(ends: NaiveDate, today: NaiveDate) -> Markup {
    match (ends - today).num_days() {
        ..0 => badge(Tone::Bad, "over"),
        days if days < NEAR => badge(Tone::Warn, "within 30 days"),
        _ => html! {},
    }
}

fn secrets(credentials: Credentials<'_>, platform: Platform) -> Markup {
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
                Ok(fingerprint) => { ", fingerprint " code { (fingerprint) } }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_soon_is_said() {
        let at = |text: &str| text.parse::<NaiveDate>().expect("a day");
        let today = at("2026-11-25");
        for (ends, said) in [
            ("2026-11-24", "over"),
            ("2026-11-25", "within 30 days"),
            ("2026-12-25", ""),
        ] {
            let page = ending(at(ends), today).into_string();
            assert!(
                page.contains(said) && page.is_empty() == said.is_empty(),
                "{ends}: {page}"
            );
        }
    }
}
