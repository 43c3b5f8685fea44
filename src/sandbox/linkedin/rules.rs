//! Conversion rules: which exist, whose they are, what they take, and the call that lists them. Not for judging
//! events.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::tokens::LIST_SCOPE;
use super::world::World;
use super::{error, headers};
use crate::sandbox::exchange::{Arrived, Reply};

const ACCOUNT_PREFIX: &str = "urn:li:sponsoredAccount:";

/// The only method whose rules take events of this API.
pub(super) const API_METHOD: &str = "CONVERSIONS_API";

/// How many rules a page has unless the request says: Rest.li's default.
const PAGE: usize = 10;

/// A conversion rule, as `POST /rest/conversions` would have made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversionRule {
    /// Its id: the digits of `urn:lla:llaPartnerConversion:{id}`.
    pub id: String,
    /// The ad account it belongs to: the digits of `urn:li:sponsoredAccount:{id}`.
    pub account: String,
    /// Whether it takes events.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// Its `conversionMethod`; `CONVERSIONS_API` unless said.
    #[serde(default = "api_method")]
    pub method: String,
    /// Its `type`; `PURCHASE` unless said.
    #[serde(default = "purchase", rename = "type")]
    pub kind: String,
}

fn enabled() -> bool {
    true
}

fn api_method() -> String {
    API_METHOD.to_owned()
}

fn purchase() -> String {
    "PURCHASE".to_owned()
}

impl ConversionRule {
    /// A rule that takes events of this API.
    #[must_use]
    pub fn new(id: &str, account: &str) -> ConversionRule {
        ConversionRule {
            id: id.to_owned(),
            account: account.to_owned(),
            enabled: enabled(),
            method: api_method(),
            kind: purchase(),
        }
    }

    /// The rule as the list shows it
    /// (`…/marketing/integrations/ads-reporting/conversions-api-schema`, section "Conversions").
    fn show(&self) -> Value {
        let id = self.id.parse::<u64>().map_or(json!(self.id), Value::from);
        json!({
            "id": id,
            "name": format!("Rule {}", self.id),
            "account": format!("{ACCOUNT_PREFIX}{}", self.account),
            "conversionMethod": self.method,
            "type": self.kind,
            "enabled": self.enabled,
            "attributionType": "LAST_TOUCH_BY_CAMPAIGN",
            "postClickAttributionWindowSize": 30,
            "viewThroughAttributionWindowSize": 7,
        })
    }
}

/// All known rules, by id. Without any, every rule exists.
pub(super) type Rules = BTreeMap<String, ConversionRule>;

/// Answers `GET /rest/conversions?q=account&account={urn}&start={n}&count={n}`.
pub(super) fn answer(arrived: &Arrived, world: &World, now: DateTime<Utc>) -> Reply {
    page(arrived, world, now).unwrap_or_else(|reply| reply)
}

fn page(arrived: &Arrived, world: &World, now: DateTime<Utc>) -> Result<Reply, Reply> {
    world
        .versions
        .of(arrived, now)
        .map_err(|(_, reply)| reply)?;
    let access = world.tokens.check(arrived, LIST_SCOPE, now);
    let access = access.map_err(|coded| coded.reply())?;
    headers::protocol(arrived, world.mode).map_err(|must| error::plain(400, must))?;
    if arrived.query("q") != Some("account") {
        return Err(error::plain(400, "Parameter 'q' must be 'account'"));
    }
    let urn = arrived
        .query("account")
        .ok_or_else(|| error::plain(400, "Parameter 'account' is required"))?;
    let account = urn
        .strip_prefix(ACCOUNT_PREFIX)
        .filter(|id| !id.is_empty())
        .ok_or_else(|| error::plain(400, "Invalid Urn format. Invalid prefix."))?;
    if access.is_some_and(|token| !token.may_use(account)) {
        return Err(error::plain(403, "No ad accounts found"));
    }
    let (start, count) = (
        number(arrived, "start", 0)?,
        number(arrived, "count", PAGE)?,
    );
    let own: Vec<&ConversionRule> = world
        .rules
        .values()
        .filter(|rule| rule.account == account)
        .collect();
    let elements: Vec<Value> = own
        .iter()
        .skip(start)
        .take(count)
        .map(|rule| rule.show())
        .collect();
    let body = json!({
        "elements": elements,
        "paging": {"start": start, "count": count, "links": [], "total": own.len()},
    });
    Ok(Reply::json(200, &body))
}

fn number(arrived: &Arrived, name: &str, default: usize) -> Result<usize, Reply> {
    let Some(text) = arrived.query(name) else {
        return Ok(default);
    };
    text.parse()
        .map_err(|_| error::plain(400, &format!("Parameter '{name}' is not a number")))
}
