//! Which deliveries somebody means.

use chrono::{DateTime, Utc};
use serde::Serialize;
use tokio_postgres::types::{ToSql, Type};

use crate::db::connect::Param;

/// Deliveries that have all of what is given. Its JSON stands in the audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Filter {
    /// At this destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// In this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<&'static str>,
    /// For this reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// With this code of the platform, or this field that our check refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Of events of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_name: Option<String>,
    /// Of these events; of any where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_ids: Option<Vec<String>>,
    /// Settled at or after this time; what waits: recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<DateTime<Utc>>,
    /// Settled before this time; what waits: recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// So many at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    /// By what way somebody asked, where it was not a command. Filters nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<&'static str>,
}

impl Filter {
    /// Whether it lets everything pass.
    pub fn is_empty(&self) -> bool {
        *self
            == Filter {
                limit: self.limit,
                by: self.by,
                ..Filter::default()
            }
    }

    /// The first parameters of every query that takes a filter, but for the destination and the limit.
    pub(super) fn params(&self) -> [Param<'_>; 7] {
        [
            (&self.state as &(dyn ToSql + Sync), Type::TEXT),
            (&self.reason, Type::TEXT),
            (&self.error_code, Type::TEXT),
            (&self.event_name, Type::TEXT),
            (&self.event_ids, Type::TEXT_ARRAY),
            (&self.since, Type::TIMESTAMPTZ),
            (&self.until, Type::TIMESTAMPTZ),
        ]
    }
}
