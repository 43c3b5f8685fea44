//! What the two ways to Google Ads have in common: ids of accounts, actions and transactions, consent, and carts.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::Unsendable;
use crate::config::read::Reader;
use crate::consent::{Choice, Kind, Permit, Signal};
use crate::conversion::{Adjusted, Clicks};
use crate::identity::Plain;
use crate::money::Money;
use crate::original::Left;

pub(super) mod answer;
mod cart;
pub mod probe;

pub use cart::Merchant;
pub(super) use cart::{CartKeys, cart};

/// Google uses what it gets for advertising, and click ids come from advertising storage on the device. Sending what
/// `ad_user_data` refuses is not left to Google's own consent fields: it does not leave at all.
pub(super) fn consent(kind: Kind) -> &'static [Signal] {
    match kind {
        Kind::ClickId => &[Signal::AdStorage, Signal::AdUserData],
        _ => &[Signal::AdUserData],
    }
}

/// Whether this can be an account's number: digits, without the hyphens that the web page shows.
pub(super) fn is_account(text: &str) -> bool {
    is_digits(text) && text.len() <= 20
}

/// Whether this can be a conversion action's id: digits.
pub(super) fn is_action_id(text: &str) -> bool {
    is_digits(text) && text.len() <= 20
}

/// Reads an account's number. Notes a fault where it is no number; says nothing where it is absent.
pub(super) fn read_account(reader: &mut Reader<'_>, key: &str) -> Option<String> {
    reader.text_where(
        key,
        is_account,
        "must be digits only",
        "write 123-456-7890 as \"1234567890\", in quotes",
    )
}

/// Reads `conversion_actions`: event name to the id of its action.
pub(super) fn read_actions(reader: &mut Reader<'_>) -> BTreeMap<String, String> {
    reader.map_of_text_where(
        "conversion_actions",
        is_action_id,
        "must be a conversion action's id, digits only",
        "copy the number after ctId= from the action's page; not AW-…/label",
    )
}

/// Longest transaction id that is sent as it stands, in bytes. Google publishes no length; ours.
const TRANSACTION_ID_MAX: usize = 64;

/// What an event id that cannot be sent as it stands is replaced by begins with. For ever: another one would be another
/// transaction to Google.
const TRANSACTION_ID_PREFIX: &str = "event-";

/// Google's key of a transaction, made of an event id; the same for ever.
///
/// Up to 64 visible ASCII characters pass unchanged, so that it can equal a tag's. Digits only become `event-1042`: a
/// purely numeric one was seen refused. All else becomes `event-` and the first 58 digits of its SHA-256.
///
/// An `@` is refused: Google takes no personal data there, and a hash of an address is one. Sources:
/// `developers.google.com/data-manager/api/devguides/events/google-ads/conversion-adjustments`;
/// `ConversionUploadError.ORDER_ID_CONTAINS_PII`; the refusal: github.com/superdesigndev/treg, pull 150.
pub(super) fn transaction_id(event_id: &str) -> Result<String, Unsendable> {
    if event_id.contains('@') {
        return Err(Unsendable::Invalid("event_id"));
    }
    let room = TRANSACTION_ID_MAX - TRANSACTION_ID_PREFIX.len();
    let is_short = (1..=TRANSACTION_ID_MAX).contains(&event_id.len());
    if is_short && event_id.bytes().all(|byte| byte.is_ascii_graphic()) && !is_digits(event_id) {
        return Ok(event_id.to_owned());
    }
    if is_digits(event_id) && event_id.len() <= room {
        return Ok(format!("{TRANSACTION_ID_PREFIX}{event_id}"));
    }
    let digest = Sha256::digest(event_id.as_bytes());
    let digits: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("{TRANSACTION_ID_PREFIX}{}", &digits[..room]))
}

/// The one click id that is told, under its own name: Google refuses two of them together. The most exact goes first.
pub(super) fn click(clicks: &Clicks) -> Option<(&'static str, &Plain)> {
    [
        ("gclid", &clicks.gclid),
        ("gbraid", &clicks.gbraid),
        ("wbraid", &clicks.wbraid),
    ]
    .into_iter()
    .find_map(|(name, id)| Some((name, id.as_ref()?)))
}

/// The two consent signals in Google's words. Unspecified is left out.
pub(super) fn told_consent(
    permit: Permit,
    granted: &'static str,
    denied: &'static str,
) -> Map<String, Value> {
    [
        ("adUserData", permit.ad_user_data()),
        ("adPersonalization", permit.ad_personalization()),
    ]
    .into_iter()
    .filter_map(|(key, choice)| match choice {
        Choice::Granted => Some((key.to_owned(), granted.into())),
        Choice::Denied => Some((key.to_owned(), denied.into())),
        Choice::Unspecified => None,
    })
    .collect()
}

/// What a change leaves of its original's value; `None` where nothing is left. What cannot be said is not told.
pub(super) fn left<'a>(original: &Adjusted<'a>) -> Result<Option<&'a Money>, Unsendable> {
    match original.after {
        Left::Amount(money) => Ok(Some(money)),
        Left::Nothing => Ok(None),
        Left::Unknown => Err(Unsendable::Invalid("value")),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests;
