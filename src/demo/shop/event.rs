//! The one call that an application adds to its transaction: the event, by function or by plain insert.

use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio_postgres::Transaction;
use tokio_postgres::types::{ToSql, Type};

use super::ShopError;
use crate::demo::orders::Amount;
use crate::demo::people::Person;
use crate::demo::random::Random;

/// Everything sells in this currency.
const CURRENCY: &str = "USD";

/// What is particular to one row of `conversion_outbox.event`; the rest comes from the person.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) name: &'static str,
    pub(super) business_id: String,
    pub(super) at: DateTime<Utc>,
    pub(super) amount: Option<Amount>,
    pub(super) properties: Value,
    pub(super) origin: Origin,
    pub(super) depends_on: Option<String>,
}

/// Which system the event comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The shop's checkout.
    Checkout,
    /// The form that makes a lead.
    Form,
    /// Work that people do in the CRM.
    Crm,
}

/// What `enqueue` says became of the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    Created,
    Duplicate,
    Conflict,
}

impl Event {
    /// Writes the row through the function, which tells whether it was there already.
    pub(super) async fn enqueue(
        &self,
        transaction: &Transaction<'_>,
        person: &Person,
    ) -> Result<Written, ShopError> {
        let row = Row::new(self, person);
        let statement = include_str!("../../../sql/demo/enqueue.sql");
        let answer = transaction
            .query_typed_one(statement, &row.columns(self))
            .await?;
        match answer.try_get("outcome")? {
            "created" => Ok(Written::Created),
            "duplicate" => Ok(Written::Duplicate),
            "conflict" => Ok(Written::Conflict),
            other => Err(ShopError::Surprise {
                event_id: self.id.clone(),
                said: other.to_owned(),
            }),
        }
    }

    /// Writes the row by plain SQL.
    pub(super) async fn insert(
        &self,
        transaction: &Transaction<'_>,
        person: &Person,
    ) -> Result<(), ShopError> {
        let row = Row::new(self, person);
        let statement = include_str!("../../../sql/demo/insert_event.sql");
        transaction
            .execute_typed(statement, &row.columns(self))
            .await?;
        Ok(())
    }
}

impl Origin {
    /// `action_source`, `page_url` and `source`.
    fn columns(self) -> (&'static str, Option<&'static str>, &'static str) {
        match self {
            Self::Checkout => (
                "website",
                Some("https://shop.example/checkout/thanks"),
                "shop",
            ),
            Self::Form => (
                "website",
                Some("https://shop.example/business/contact"),
                "shop",
            ),
            Self::Crm => ("system_generated", None, "crm"),
        }
    }
}

/// The columns that have to be made first, alive while the statement runs.
struct Row {
    amount: Option<String>,
    currency: Option<&'static str>,
    consent: Value,
    user_data: Value,
    click_ids: Value,
    action_source: &'static str,
    page_url: Option<&'static str>,
    source: &'static str,
    traceparent: String,
}

impl Row {
    fn new(event: &Event, person: &Person) -> Self {
        let (action_source, page_url, source) = event.origin.columns();
        Self {
            amount: event.amount.map(|amount| amount.to_string()),
            currency: event.amount.map(|_| CURRENCY),
            consent: person.consent(event.at),
            user_data: person.user_data(),
            click_ids: person.click_ids(event.at),
            action_source,
            page_url,
            source,
            traceparent: traceparent(person, event.at),
        }
    }

    /// In the order of the parameters of both statements.
    fn columns<'a>(&'a self, event: &'a Event) -> [(&'a (dyn ToSql + Sync), Type); 15] {
        [
            (&event.id, Type::TEXT),
            (&event.name, Type::TEXT),
            (&event.business_id, Type::TEXT),
            (&event.at, Type::TIMESTAMPTZ),
            (&self.amount, Type::TEXT),
            (&self.currency, Type::TEXT),
            (&self.consent, Type::JSONB),
            (&self.user_data, Type::JSONB),
            (&self.click_ids, Type::JSONB),
            (&event.properties, Type::JSONB),
            (&self.action_source, Type::TEXT),
            (&self.page_url, Type::TEXT),
            (&self.source, Type::TEXT),
            (&event.depends_on, Type::TEXT),
            (&self.traceparent, Type::TEXT),
        ]
    }
}

/// The trace of the web request, as a framework's instrumentation would have it at hand.
fn traceparent(person: &Person, at: DateTime<Utc>) -> String {
    let mut random = Random::of(at.timestamp_millis().unsigned_abs(), person.number);
    // A trace or span of nothing but zeros would be invalid.
    format!(
        "00-{:016x}{:016x}-{:016x}-01",
        random.next() | 1,
        random.next(),
        random.next() | 1
    )
}
