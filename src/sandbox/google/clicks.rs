//! Clicks on ads: which happened, when, and on whose ad. Not for judging a conversion by its click.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Which of Google's three click ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClickKind {
    /// Of a click on the web.
    Gclid,
    /// Of a click that led to an app.
    Gbraid,
    /// Of a click in an app that led to the web.
    Wbraid,
}

impl ClickKind {
    /// All three, in the order in which they are looked for.
    pub const ALL: [ClickKind; 3] = [ClickKind::Gclid, ClickKind::Gbraid, ClickKind::Wbraid];

    /// The name of its field.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            ClickKind::Gclid => "gclid",
            ClickKind::Gbraid => "gbraid",
            ClickKind::Wbraid => "wbraid",
        }
    }
}

/// A click on an ad.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Click {
    /// The click id.
    pub id: String,
    /// Which kind of id it is.
    pub kind: ClickKind,
    /// When it happened.
    pub clicked_at: DateTime<Utc>,
    /// The customer whose ad it was.
    pub customer: String,
}

/// What a list says of an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sandbox) enum Found<T> {
    /// It is listed.
    Listed(T),
    /// Others are listed, it is not.
    Unknown,
    /// Nothing is listed, so everything is good.
    AnyGoes,
}

impl<T> Found<T> {
    pub(super) fn of(found: Option<T>, list_is_empty: bool) -> Found<T> {
        match found {
            Some(entry) => Found::Listed(entry),
            None if list_is_empty => Found::AnyGoes,
            None => Found::Unknown,
        }
    }
}

/// All known clicks.
#[derive(Debug, Default)]
pub(super) struct Clicks(BTreeMap<(ClickKind, String), Click>);

impl Clicks {
    pub(super) fn put(&mut self, click: Click) {
        self.0.insert((click.kind, click.id.clone()), click);
    }

    pub(super) fn find(&self, kind: ClickKind, id: &str) -> Found<&Click> {
        Found::of(self.0.get(&(kind, id.to_owned())), self.0.is_empty())
    }

    pub(super) fn is_of_other_kind(&self, kind: ClickKind, id: &str) -> bool {
        let mut others = ClickKind::ALL.into_iter().filter(|other| *other != kind);
        others.any(|other| self.0.contains_key(&(other, id.to_owned())))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
