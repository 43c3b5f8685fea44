//! Leads and deals: each step changes a table of the CRM and writes its event in one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::ShopError;
use super::event::{Event, Origin, Written};
use super::scenario::Scenario;
use super::selling::{Ending, end};
use crate::demo::orders::Amount;
use crate::demo::people::Person;

/// Somebody who asked to be called, and how far it goes.
#[derive(Debug, Clone)]
pub(super) struct Lead {
    pub(super) number: i64,
    pub(super) at: DateTime<Utc>,
    pub(super) person: Person,
    pub(super) worth: Amount,
    pub(super) scenario: Scenario,
}

/// How far a lead has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Created,
    Qualified,
    Won,
}

impl Lead {
    /// The steps of this lead's story.
    pub(super) fn steps(&self) -> &'static [Step] {
        match self.scenario {
            Scenario::DealWon => &[Step::Created, Step::Qualified, Step::Won],
            Scenario::LeadQualified => &[Step::Created, Step::Qualified],
            _ => &[Step::Created],
        }
    }

    /// The event of one step; the steps follow each other by a minute.
    pub(super) fn event(&self, step: Step) -> Event {
        let lead = format!("lead_{}", self.number);
        let deal = format!("deal_{}", self.number);
        let (id, name, business_id, minutes, origin) = match step {
            Step::Created => (lead.clone(), "lead_created", lead, 0, Origin::Form),
            Step::Qualified => (
                format!("{lead}_qualified"),
                "lead_qualified",
                lead,
                1,
                Origin::Crm,
            ),
            Step::Won => (format!("{deal}_won"), "deal_won", deal, 2, Origin::Crm),
        };
        Event {
            id,
            name,
            business_id,
            at: self.at + TimeDelta::minutes(minutes),
            // Until a deal is won, a lead has no amount, and none is guessed.
            amount: (step == Step::Won).then_some(self.worth),
            properties: json!({"lead_source": "contact form"}),
            origin,
            depends_on: None,
        }
    }
}

/// Takes one step.
pub(super) async fn take(
    client: &mut Client,
    lead: &Lead,
    step: Step,
) -> Result<Written, ShopError> {
    let event = lead.event(step);
    let (name, worth) = (lead.person.full_name(), lead.worth.to_string());
    let number: (&(dyn ToSql + Sync), Type) = (&lead.number, Type::INT8);
    let at: (&(dyn ToSql + Sync), Type) = (&event.at, Type::TIMESTAMPTZ);
    let (statement, parameters) = match step {
        Step::Created => (
            include_str!("../../../sql/demo/create_lead.sql"),
            vec![number, (&name, Type::TEXT), at],
        ),
        Step::Qualified => (
            include_str!("../../../sql/demo/qualify_lead.sql"),
            vec![number],
        ),
        Step::Won => (
            include_str!("../../../sql/demo/win_deal.sql"),
            vec![number, (&worth, Type::TEXT), at],
        ),
    };
    let transaction = client.transaction().await?;
    transaction.execute_typed(statement, &parameters).await?;
    let written = event.enqueue(&transaction, &lead.person).await?;
    end(transaction, Ending::Commit).await?;
    Ok(written)
}
