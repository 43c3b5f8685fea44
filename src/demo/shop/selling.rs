//! Orders, payments and refunds: each changes a table of the shop and writes its event in one transaction.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Transaction};

use super::ShopError;
use super::event::{Event, Origin, Written};
use super::scenario::Scenario;
use crate::demo::orders::{Amount, Basket};
use crate::demo::people::Person;

/// A basket on its way through the shop.
#[derive(Debug, Clone)]
pub(super) struct Sale {
    pub(super) order_id: String,
    pub(super) at: DateTime<Utc>,
    pub(super) basket: Basket,
    pub(super) person: Person,
    pub(super) scenario: Scenario,
}

/// How a business transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Commit,
    Rollback,
}

impl Sale {
    /// The event of the payment of this amount.
    pub(super) fn paid(&self, amount: Amount) -> Event {
        let items = self.basket.items.iter().map(|item| {
            json!({
                "id": item.product.to_string(),
                "name": item.category,
                "category": item.category,
                "price": item.price().to_json(),
                "quantity": item.quantity,
            })
        });
        Event {
            id: self.order_id.clone(),
            name: "order_paid",
            business_id: self.order_id.clone(),
            at: self.at,
            amount: Some(amount),
            properties: json!({"items": items.collect::<Vec<_>>()}),
            origin: Origin::Checkout,
            depends_on: None,
        }
    }

    /// The event of the n-th refund, counted from one, n minutes after the payment.
    pub(super) fn refunded(&self, n: i32, amount: Amount) -> Event {
        Event {
            id: format!("{}_refund_{n}", self.order_id),
            name: "order_refunded",
            business_id: self.order_id.clone(),
            at: self.at + TimeDelta::minutes(i64::from(n)),
            amount: Some(amount),
            properties: json!({}),
            origin: Origin::Checkout,
            depends_on: Some(self.order_id.clone()),
        }
    }
}

/// The customer fills in the checkout.
pub(super) async fn place(client: &mut Client, sale: &Sale) -> Result<(), ShopError> {
    let customer = i64::try_from(sale.person.number).expect("people are numbered far below 2^63");
    let (name, total) = (sale.person.full_name(), sale.basket.amount().to_string());
    let transaction = client.transaction().await?;
    let statement = include_str!("../../../sql/demo/add_customer.sql");
    transaction
        .execute_typed(statement, &[(&customer, Type::INT8), (&name, Type::TEXT)])
        .await?;
    let statement = include_str!("../../../sql/demo/place_order.sql");
    let order = [
        (
            &sale.order_id as &(dyn tokio_postgres::types::ToSql + Sync),
            Type::TEXT,
        ),
        (&customer, Type::INT8),
        (&total, Type::TEXT),
        (&sale.at, Type::TIMESTAMPTZ),
    ];
    transaction.execute_typed(statement, &order).await?;
    end(transaction, Ending::Commit).await
}

/// The payment provider calls: the order is paid, and `enqueue` writes the event.
pub(super) async fn pay(
    client: &mut Client,
    sale: &Sale,
    amount: Amount,
    ending: Ending,
) -> Result<Written, ShopError> {
    let transaction = client.transaction().await?;
    record_webhook(&transaction, sale, amount).await?;
    // Before the order's row is locked, so that two calls at once really race for the event.
    let written = sale
        .paid(amount)
        .enqueue(&transaction, &sale.person)
        .await?;
    mark_paid(&transaction, sale).await?;
    end(transaction, ending).await?;
    Ok(written)
}

/// The same with a plain insert instead of the function.
pub(super) async fn pay_plainly(
    client: &mut Client,
    sale: &Sale,
    amount: Amount,
) -> Result<(), ShopError> {
    let transaction = client.transaction().await?;
    record_webhook(&transaction, sale, amount).await?;
    mark_paid(&transaction, sale).await?;
    sale.paid(amount).insert(&transaction, &sale.person).await?;
    end(transaction, Ending::Commit).await
}

/// Money goes back.
pub(super) async fn refund(
    client: &mut Client,
    sale: &Sale,
    n: i32,
    amount: Amount,
) -> Result<Written, ShopError> {
    let transaction = client.transaction().await?;
    record_refund(&transaction, sale, n, amount).await?;
    let written = sale
        .refunded(n, amount)
        .enqueue(&transaction, &sale.person)
        .await?;
    end(transaction, Ending::Commit).await?;
    Ok(written)
}

/// The payment provider tells of a payment that it has taken back already.
pub(super) async fn pay_and_refund(
    client: &mut Client,
    sale: &Sale,
    amount: Amount,
) -> Result<(), ShopError> {
    let transaction = client.transaction().await?;
    record_webhook(&transaction, sale, amount).await?;
    mark_paid(&transaction, sale).await?;
    record_refund(&transaction, sale, 1, amount).await?;
    sale.paid(amount).insert(&transaction, &sale.person).await?;
    let refunded = sale.refunded(1, amount);
    refunded.insert(&transaction, &sale.person).await?;
    end(transaction, Ending::Commit).await
}

/// Ends a business transaction one way or the other.
pub(super) async fn end(transaction: Transaction<'_>, ending: Ending) -> Result<(), ShopError> {
    match ending {
        Ending::Commit => transaction.commit().await?,
        Ending::Rollback => transaction.rollback().await?,
    }
    Ok(())
}

async fn record_webhook(
    transaction: &Transaction<'_>,
    sale: &Sale,
    amount: Amount,
) -> Result<(), ShopError> {
    let statement = include_str!("../../../sql/demo/record_webhook.sql");
    let amount = amount.to_string();
    transaction
        .execute_typed(
            statement,
            &[(&sale.order_id, Type::TEXT), (&amount, Type::TEXT)],
        )
        .await?;
    Ok(())
}

async fn record_refund(
    transaction: &Transaction<'_>,
    sale: &Sale,
    n: i32,
    amount: Amount,
) -> Result<(), ShopError> {
    let statement = include_str!("../../../sql/demo/record_refund.sql");
    let amount = amount.to_string();
    transaction
        .execute_typed(
            statement,
            &[
                (&sale.order_id, Type::TEXT),
                (&n, Type::INT4),
                (&amount, Type::TEXT),
            ],
        )
        .await?;
    Ok(())
}

async fn mark_paid(transaction: &Transaction<'_>, sale: &Sale) -> Result<(), ShopError> {
    let statement = include_str!("../../../sql/demo/mark_paid.sql");
    transaction
        .execute_typed(
            statement,
            &[(&sale.order_id, Type::TEXT), (&sale.at, Type::TIMESTAMPTZ)],
        )
        .await?;
    Ok(())
}
