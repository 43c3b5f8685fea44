//! Conversion actions: which exist, whose they are, what they take. Not for counting conversions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::clicks::Found;

/// What kind of conversions an action takes
/// (`developers.google.com/google-ads/api/reference/rpc/v26/ConversionActionTypeEnum.ConversionActionType`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionKind {
    /// Offline conversions by click id or user data.
    UploadClicks,
    /// Conversions of a tag on a website, which a server may add to.
    Webpage,
    /// Phone calls.
    UploadCalls,
    /// Sales in a store.
    StoreSales,
}

/// Whether an action records anything
/// (`developers.google.com/google-ads/api/reference/rpc/v26/ConversionActionStatusEnum.ConversionActionStatus`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActionStatus {
    /// It does.
    #[default]
    Enabled,
    /// It does not.
    Removed,
    /// It does not, and nobody sees it.
    Hidden,
}

/// How many conversions of one click count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Counting {
    /// Every one.
    #[default]
    ManyPerClick,
    /// The first one.
    OnePerClick,
}

/// A conversion action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConversionAction {
    /// The customer that owns it: ten digits without hyphens.
    pub owner: String,
    /// Its id: digits.
    pub id: String,
    /// What people call it; by default its id in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it records anything; enabled unless set.
    #[serde(default)]
    pub status: ActionStatus,
    /// What it takes.
    #[serde(rename = "type")]
    pub kind: ActionKind,
    /// When it was made: for six hours it takes nothing.
    pub created_at: DateTime<Utc>,
    /// Customers above or below the owner that use it by cross-account conversion tracking.
    #[serde(default)]
    pub shared_with: Vec<String>,
    /// How many conversions of one click count.
    #[serde(default)]
    pub counting: Counting,
    /// Days after a click in which a conversion counts; 90 unless set.
    #[serde(default = "default_lookback")]
    pub lookback_days: u32,
}

fn default_lookback() -> u32 {
    90
}

impl ConversionAction {
    /// An action for offline conversions that counts each of them.
    #[must_use]
    pub fn upload_clicks(owner: &str, id: &str, created_at: DateTime<Utc>) -> ConversionAction {
        ConversionAction {
            owner: owner.to_owned(),
            id: id.to_owned(),
            name: None,
            status: ActionStatus::default(),
            kind: ActionKind::UploadClicks,
            created_at,
            shared_with: Vec::new(),
            counting: Counting::default(),
            lookback_days: default_lookback(),
        }
    }

    /// Whether the customer owns the action or shares it.
    pub(in crate::sandbox) fn is_used_by(&self, customer: &str) -> bool {
        self.owner == customer || self.shared_with.iter().any(|other| other == customer)
    }
}

/// All known actions.
#[derive(Debug, Default)]
pub(super) struct Actions(BTreeMap<String, ConversionAction>);

impl Actions {
    pub(super) fn put(&mut self, action: ConversionAction) {
        self.0.insert(action.id.clone(), action);
    }

    pub(super) fn find(&self, id: &str) -> Found<&ConversionAction> {
        Found::of(self.0.get(id), self.0.is_empty())
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &ConversionAction> {
        self.0.values()
    }
}
