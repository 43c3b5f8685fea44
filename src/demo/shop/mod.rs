//! A small shop with a CRM: a real application beside the outbox, with its own schema and its own idea of the truth.
//!
//! It works as a role that may do nothing but write events and use its own tables. It knows no platform's interface,
//! sends nothing and waits for nobody. Each story of this table is one order or one lead.
//!
//! | scenario | what happens | what must come of it |
//! |---|---|---|
//! | [`Plain`](Scenario::Plain) | order placed, paid once; plain `insert` | one purchase |
//! | [`WebhookAgain`](Scenario::WebhookAgain) | the payment webhook comes a second time | one purchase, one duplicate |
//! | [`WebhookRace`](Scenario::WebhookRace) | it comes twice at once on two connections, then again | one purchase, two duplicates |
//! | [`WebhookChanged`](Scenario::WebhookChanged) | it comes again with a dollar more | one purchase of the first amount, one conflict |
//! | [`RolledBack`](Scenario::RolledBack) | order and event are written, then rolled back | nothing, ever |
//! | [`PaidAtSecondTry`](Scenario::PaidAtSecondTry) | rolled back once, then committed | one purchase |
//! | [`Guest`](Scenario::Guest) | nothing to recognise the customer by | nothing leaves |
//! | [`FourDaysLate`](Scenario::FourDaysLate) | recorded after four days | one purchase, but expired at GA4 |
//! | [`TenDaysLate`](Scenario::TenDaysLate) | recorded after ten days | one purchase at Google Ads and LinkedIn, expired at GA4 and Meta |
//! | [`HundredDaysLate`](Scenario::HundredDaysLate) | recorded after a hundred days | expired everywhere |
//! | [`FullRefund`](Scenario::FullRefund) | paid, then all given back | purchase and refund, or neither if the refund was quicker |
//! | [`ReturnedLater`](Scenario::ReturnedLater) | paid, all given back when the shop trades again | the same; mostly both |
//! | [`TakenBackAtOnce`](Scenario::TakenBackAtOnce) | paid and given back in one transaction | nothing |
//! | [`PartRefunds`](Scenario::PartRefunds) | paid, then two parts given back | one purchase, less the two parts |
//! | [`LeadCreated`](Scenario::LeadCreated) | a form is sent | one lead |
//! | [`LeadQualified`](Scenario::LeadQualified) | and sales qualifies it | and one qualified lead |
//! | [`DealWon`](Scenario::DealWon) | and the deal is won | and one won deal |
//!
//! In plain orders and in leads people have also refused consent, lost their cookies or forgotten their e-mail address
//! ([`people`](super::people)); [`Truth`] says for each event which platform may count it.
//!
//! A refund is an event of its own at GA4. At Data Manager it changes the value of the order's conversion, at the Google
//! Ads API it changes or retracts it; Meta and LinkedIn hear of none.

mod crm;
mod event;
mod plan;
mod scenario;
mod selling;
mod truth;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use chrono::{DateTime, SubsecRound, Utc};
use tokio_postgres::{Client, NoTls};

pub use scenario::Scenario;
pub use truth::{Expected, Fate, Tally, Truth};

use super::orders::Amount;
use super::people::Person;
use crate::sandbox::Platform;
use crm::Lead;
use event::{Event, Written};
use selling::{Ending, Sale};

/// One lead comes with every so many orders.
const ORDERS_PER_LEAD: usize = 8;

/// Why the shop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum ShopError {
    /// The database refused or went away.
    #[error("the demo's shop could not use its database: {0}")]
    Database(#[from] tokio_postgres::Error),
    /// The outbox answered otherwise than the story says it must.
    #[error(
        "the outbox answered `{said}` for event {event_id}, which the demo's shop did not expect"
    )]
    Surprise {
        /// The event that was written.
        event_id: String,
        /// The answer.
        said: String,
    },
}

/// The application. Trades as much as it is told to, and keeps account.
#[derive(Debug)]
pub struct Shop {
    first: Client,
    second: Client,
    sales: Vec<Sale>,
    traded: usize,
    /// Orders whose goods are on their way back.
    returns: Vec<Sale>,
    now: DateTime<Utc>,
    seed: u64,
    truth: Truth,
}

impl Shop {
    /// Makes the shop's tables in a database that has the outbox's schema, and plans one story for every basket.
    ///
    /// `url` must belong to somebody who may create schemas and roles. `now` is the moment that ages count from.
    ///
    /// # Errors
    /// [`ShopError::Database`], also when the shop's tables are there already.
    pub async fn open(url: &str, seed: u64, now: DateTime<Utc>) -> Result<Self, ShopError> {
        let (first, second) = (connect(url).await?, connect(url).await?);
        first
            .batch_execute(include_str!("../../../sql/demo/schema.sql"))
            .await?;
        for client in [&first, &second] {
            client.batch_execute("set role demo_shop").await?;
        }
        // Finer times would be rounded on the way through the database, and then not be found again.
        let now = now.trunc_subsecs(3);
        Ok(Self {
            first,
            second,
            sales: plan::sales(seed, now),
            traded: 0,
            returns: Vec::new(),
            now,
            seed,
            truth: Truth::default(),
        })
    }

    /// Orders that have not been traded yet; 1,500 at first.
    pub fn remaining(&self) -> usize {
        self.sales.len() - self.traded
    }

    /// What the shop knows to be true by now.
    pub fn truth(&self) -> &Truth {
        &self.truth
    }

    /// The first order that will go through this story after so many others, so that something may be arranged for it.
    pub fn order_ahead(&self, scenario: Scenario, others: usize) -> Option<&str> {
        let mut ahead = self.sales.iter().skip(self.traded + others);
        ahead
            .find(|sale| sale.scenario == scenario)
            .map(|sale| sale.order_id.as_str())
    }

    /// Every click on an advertisement at Google that brought somebody here, today or before.
    pub fn google_clicks(&self) -> BTreeSet<String> {
        let leads = 0..self.sales.len().div_ceil(ORDERS_PER_LEAD);
        let leads = leads.map(|number| plan::lead(self.seed, number, self.now).person);
        let customers = self.sales.iter().map(|sale| sale.person.clone());
        customers
            .chain(leads)
            .filter_map(|person| person.google_click())
            .collect()
    }

    /// Takes back what customers return of the orders traded before, then lives through the next `orders` orders, and
    /// one lead with every eighth. Fewer when the baskets run out.
    ///
    /// # Errors
    /// [`ShopError`]. The stories up to there are committed and in the account.
    pub async fn trade(&mut self, orders: usize) -> Result<(), ShopError> {
        for sale in std::mem::take(&mut self.returns) {
            self.refund(&sale, 1, sale.basket.amount()).await?;
        }
        for _ in 0..orders.min(self.remaining()) {
            let sale = self.sales[self.traded].clone();
            if self.traded.is_multiple_of(ORDERS_PER_LEAD) {
                self.follow(&plan::lead(
                    self.seed,
                    self.traded / ORDERS_PER_LEAD,
                    sale.at,
                ))
                .await?;
            }
            self.traded += 1;
            self.sell(&sale).await?;
        }
        Ok(())
    }

    /// One order's story.
    async fn sell(&mut self, sale: &Sale) -> Result<(), ShopError> {
        let amount = sale.basket.amount();
        self.truth.told(sale.scenario);
        selling::place(&mut self.first, sale).await?;
        match sale.scenario {
            Scenario::WebhookAgain => {
                self.pay(sale).await?;
                self.pay_again(sale, amount, Written::Duplicate).await
            }
            Scenario::WebhookRace => {
                self.pay_twice_at_once(sale).await?;
                self.pay_again(sale, amount, Written::Duplicate).await
            }
            Scenario::WebhookChanged => {
                self.pay(sale).await?;
                self.pay_again(
                    sale,
                    Amount {
                        cents: amount.cents + 100,
                    },
                    Written::Conflict,
                )
                .await
            }
            Scenario::RolledBack => self.fail_to_pay(sale).await,
            Scenario::PaidAtSecondTry => {
                self.fail_to_pay(sale).await?;
                self.pay(sale).await
            }
            Scenario::FullRefund => {
                self.pay(sale).await?;
                self.refund(sale, 1, amount).await
            }
            Scenario::ReturnedLater => {
                self.returns.push(sale.clone());
                self.pay(sale).await
            }
            Scenario::TakenBackAtOnce => self.pay_and_refund(sale).await,
            Scenario::PartRefunds => {
                let part = Amount {
                    cents: (amount.cents / 3).max(1),
                };
                self.pay(sale).await?;
                self.refund(sale, 1, part).await?;
                self.refund(sale, 2, part).await
            }
            _ => {
                selling::pay_plainly(&mut self.first, sale, amount).await?;
                self.account(&sale.paid(amount), sale.scenario, &sale.person);
                Ok(())
            }
        }
    }

    /// One lead's story.
    async fn follow(&mut self, lead: &Lead) -> Result<(), ShopError> {
        self.truth.told(lead.scenario);
        for step in lead.steps() {
            let event = lead.event(*step);
            must_be(
                Written::Created,
                crm::take(&mut self.first, lead, *step).await?,
                &event.id,
            )?;
            self.account(&event, lead.scenario, &lead.person);
        }
        Ok(())
    }

    async fn pay(&mut self, sale: &Sale) -> Result<(), ShopError> {
        let amount = sale.basket.amount();
        let written = selling::pay(&mut self.first, sale, amount, Ending::Commit).await?;
        must_be(Written::Created, written, &sale.order_id)?;
        self.account(&sale.paid(amount), sale.scenario, &sale.person);
        Ok(())
    }

    async fn pay_again(
        &mut self,
        sale: &Sale,
        amount: Amount,
        answer: Written,
    ) -> Result<(), ShopError> {
        let written = selling::pay(&mut self.second, sale, amount, Ending::Commit).await?;
        must_be(answer, written, &sale.order_id)?;
        match answer {
            Written::Conflict => self.truth.committed_changed(sale.scenario),
            Written::Created | Written::Duplicate => self.truth.committed_again(sale.scenario),
        }
        Ok(())
    }

    /// Two calls race on two connections; exactly one of them makes the event, whichever.
    async fn pay_twice_at_once(&mut self, sale: &Sale) -> Result<(), ShopError> {
        let amount = sale.basket.amount();
        let (one, other) = tokio::join!(
            selling::pay(&mut self.first, sale, amount, Ending::Commit),
            selling::pay(&mut self.second, sale, amount, Ending::Commit),
        );
        let (winner, loser) = match (one?, other?) {
            (loser @ Written::Duplicate, winner) => (winner, loser),
            (winner, loser) => (winner, loser),
        };
        must_be(Written::Created, winner, &sale.order_id)?;
        must_be(Written::Duplicate, loser, &sale.order_id)?;
        self.account(&sale.paid(amount), sale.scenario, &sale.person);
        self.truth.committed_again(sale.scenario);
        Ok(())
    }

    async fn fail_to_pay(&mut self, sale: &Sale) -> Result<(), ShopError> {
        let written = selling::pay(
            &mut self.first,
            sale,
            sale.basket.amount(),
            Ending::Rollback,
        )
        .await?;
        must_be(Written::Created, written, &sale.order_id)?;
        self.truth.rolled_back(&sale.order_id, sale.scenario);
        Ok(())
    }

    /// Both in one transaction: nobody ever sees the payment without the refund.
    async fn pay_and_refund(&mut self, sale: &Sale) -> Result<(), ShopError> {
        let amount = sale.basket.amount();
        selling::pay_and_refund(&mut self.first, sale, amount).await?;
        self.account(&sale.paid(amount), sale.scenario, &sale.person);
        self.account(&sale.refunded(1, amount), sale.scenario, &sale.person);
        Ok(())
    }

    async fn refund(&mut self, sale: &Sale, n: i32, amount: Amount) -> Result<(), ShopError> {
        let event = sale.refunded(n, amount);
        must_be(
            Written::Created,
            selling::refund(&mut self.first, sale, n, amount).await?,
            &event.id,
        )?;
        self.account(&event, sale.scenario, &sale.person);
        Ok(())
    }

    /// Puts a new, committed event into the account.
    fn account(&mut self, event: &Event, scenario: Scenario, person: &Person) {
        let age = self.now - event.at;
        let fate = |platform| truth::fate(platform, event.name, scenario, person, age);
        let fates = Platform::ALL.map(|platform| (platform, fate(platform)));
        let expected = Expected {
            name: event.name,
            business_id: event.business_id.clone(),
            occurred_at: event.at,
            scenario,
            amount: event.amount,
            fates: fates.into(),
        };
        self.truth.committed_first(&event.id, expected);
    }
}

fn must_be(wanted: Written, written: Written, event_id: &str) -> Result<(), ShopError> {
    if written == wanted {
        return Ok(());
    }
    Err(ShopError::Surprise {
        event_id: event_id.to_owned(),
        said: format!("{written:?}").to_lowercase(),
    })
}

/// A connection whose background half ends with it.
async fn connect(url: &str) -> Result<Client, ShopError> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    // A connection that breaks is reported by the statement that needed it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(client)
}
