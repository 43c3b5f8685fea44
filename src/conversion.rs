//! What a platform is told: the sole input of an adapter.
//!
//! A conversion is made of a [`Permitted`] event only, so consent has been judged, and it holds a person only as
//! [`Identity`], so everything is normalised and hashed. There is no way back to the raw row from here.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use crate::consent::{Permit, Permitted};
use crate::identity::{self, Family, Identity, Plain, Rules};
use crate::money::Money;
use crate::original::Left;

/// One event as one platform may know it.
#[derive(Clone, Debug)]
pub struct Conversion<'a> {
    /// The platform's name for the event: `Purchase`.
    pub name: &'a str,
    /// Stable id, the same as the browser's and on every retry.
    pub event_id: &'a str,
    /// The application's name for the event.
    pub event_name: &'a str,
    /// The order's, lead's or deal's id; for an adjustment, that of the event it adjusts.
    pub business_id: &'a str,
    /// When the business action happened.
    pub occurred_at: DateTime<Utc>,
    /// When the application wrote the row.
    pub recorded_at: DateTime<Utc>,
    /// Amount and currency; of a reversal, what is taken back.
    pub money: Option<&'a Money>,
    /// The person, hashed.
    pub identity: Identity,
    /// Click and browser ids.
    pub clicks: Clicks,
    /// Where it happened, if the row says.
    pub action_source: Option<&'a str>,
    /// The page, if there was one.
    pub page_url: Option<&'a str>,
    /// Items, tax, shipping and the like. Adapters read the keys they document and pass on nothing else.
    pub properties: &'a Map<String, Value>,
    /// What it was built from: platforms that take consent signals are told them.
    pub permit: Permit,
    /// Whether it takes something back of its original: a refund, a cancellation.
    pub is_reversal: bool,
    /// The event that this one adjusts or follows.
    pub original: Option<Adjusted<'a>>,
}

/// The event that another one adjusts, as far as a platform needs to know it.
#[derive(Clone, Debug)]
pub struct Adjusted<'a> {
    /// Its stable id.
    pub event_id: &'a str,
    /// Its order, lead or deal id.
    pub business_id: &'a str,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Its full value.
    pub money: Option<&'a Money>,
    /// Where it happened, if its row says.
    pub action_source: Option<&'a str>,
    /// Its page, if there was one.
    pub page_url: Option<&'a str>,
    /// When it is changed: a second or more after it happened and after each change before.
    pub changed_at: DateTime<Utc>,
    /// When the row of the change was written: never before its own row or those of the changes before.
    pub updated_at: DateTime<Utc>,
    /// What stood of its value before this adjustment.
    pub before: &'a Left,
    /// What stands after it.
    pub after: &'a Left,
}

/// Click and browser ids, each in the form its platform documents.
#[derive(Clone, Debug, Default)]
pub struct Clicks {
    /// Meta's click id.
    pub fbc: Option<Plain>,
    /// Meta's browser id.
    pub fbp: Option<Plain>,
    /// Google Analytics' browser id.
    pub ga_client_id: Option<Plain>,
    /// Google Analytics' session.
    pub ga_session_id: Option<Plain>,
    /// Google's click id.
    pub gclid: Option<Plain>,
    /// Google's click id of web campaigns where the device hides the click.
    pub gbraid: Option<Plain>,
    /// Google's click id of app campaigns where the device hides the click.
    pub wbraid: Option<Plain>,
    /// LinkedIn's click id.
    pub li_fat_id: Option<Plain>,
}

impl<'a> Conversion<'a> {
    /// Normalises and hashes what is permitted, by the rules of one family of platforms.
    pub fn new(
        name: &'a str,
        permitted: &Permitted<'a>,
        is_reversal: bool,
        original: Option<Adjusted<'a>>,
        family: Family,
        rules: &Rules,
    ) -> Conversion<'a> {
        let event = permitted.event();
        let business_id = original
            .as_ref()
            .map_or(event.business_id.as_str(), |original| original.business_id);
        Conversion {
            name,
            event_id: &event.event_id,
            event_name: &event.event_name,
            business_id,
            occurred_at: event.occurred_at,
            recorded_at: event.recorded_at,
            money: event.money.as_ref(),
            identity: identity::identify(&permitted.person(), family, rules),
            clicks: clicks(permitted, family),
            action_source: event.action_source.as_deref(),
            page_url: event.page_url.as_deref(),
            properties: &event.properties,
            permit: permitted.permit(),
            is_reversal,
            original,
        }
    }

    /// A property as text.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.properties
            .get(key)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// The line items, if the row has any that are objects.
    pub fn items(&self) -> impl Iterator<Item = &'a Map<String, Value>> {
        let list = self.properties.get("items").and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_object)
    }
}

/// Only the ids of the family itself: another platform's click id is none of its business.
fn clicks(permitted: &Permitted<'_>, family: Family) -> Clicks {
    let id = |key| permitted.click_id(key);
    match family {
        Family::Meta => Clicks {
            fbc: id("fbc").and_then(identity::fb_cookie).or_else(|| {
                // The time of the first sight of the click is not in the row; that of the event is the latest it can be.
                let observed_at =
                    u64::try_from(permitted.event().occurred_at.timestamp_millis()).ok()?;
                identity::fbc(id("fbclid")?, observed_at)
            }),
            fbp: id("fbp").and_then(identity::fb_cookie),
            ..Clicks::default()
        },
        Family::Ga4 => Clicks {
            ga_client_id: id("ga_client_id").and_then(identity::ga_client_id),
            ga_session_id: id("ga_session_id")
                .filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(identity::click_id),
            ..Clicks::default()
        },
        Family::GoogleDataManager | Family::GoogleAds => Clicks {
            gclid: id("gclid").and_then(identity::click_id),
            gbraid: id("gbraid").and_then(identity::click_id),
            wbraid: id("wbraid").and_then(identity::click_id),
            ..Clicks::default()
        },
        Family::LinkedIn => Clicks {
            li_fat_id: id("li_fat_id").and_then(identity::li_fat_id),
            ..Clicks::default()
        },
    }
}

#[cfg(test)]
mod tests;
