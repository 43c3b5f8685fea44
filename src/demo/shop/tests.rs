//! Runs the shop against the outbox's real schema on a private PostgreSQL, and compares its account with the tables.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use tokio_postgres::Row;

use super::*;
use crate::sandbox::postgres::{Options, Postgres};

/// Twice round the rota of stories.
const ORDERS: usize = 160;

/// A migrated server and a shop that has traded.
async fn traded() -> (Postgres, Client, Shop) {
    let server =
        Postgres::start(Options::default()).expect("PostgreSQL is installed where the tests run");
    let url = server.url("postgres");
    let admin = connect(&url).await.expect("the server takes connections");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("sql/migrations");
    let files = fs::read_dir(folder).expect("the migrations are in the repository");
    let files: BTreeSet<PathBuf> = files
        .map(|file| file.expect("a readable folder").path())
        .collect();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable file");
        admin
            .batch_execute(&format!("begin;\n{text}\n;commit"))
            .await
            .expect("the migration applies");
    }
    let mut shop = Shop::open(&url, 1, Utc::now())
        .await
        .expect("the shop opens");
    shop.trade(ORDERS).await.expect("every story goes as told");
    (server, admin, shop)
}

async fn rows(admin: &Client, statement: &str) -> Vec<Row> {
    admin
        .query_typed(statement, &[])
        .await
        .expect("the statement is right")
}

#[tokio::test]
async fn the_account_agrees_with_the_tables() {
    let (_server, admin, shop) = traded().await;
    let truth = shop.truth();

    let events = rows(
        &admin,
        "select event_id, coalesce(value::text, '') from conversion_outbox.event",
    )
    .await;
    let stored: BTreeMap<String, String> =
        events.iter().map(|row| (row.get(0), row.get(1))).collect();
    let amount = |expected: &Expected| {
        expected
            .amount
            .map(|amount| amount.to_string())
            .unwrap_or_default()
    };
    let account: BTreeMap<String, String> = truth
        .committed()
        .iter()
        .map(|(id, expected)| (id.clone(), amount(expected)))
        .collect();
    assert_eq!(stored, account);
    assert!(
        truth
            .never_happened()
            .iter()
            .all(|id| !stored.contains_key(*id))
    );
    assert_eq!(truth.never_happened().len(), 6);

    let total = truth.total();
    let repeats = rows(
        &admin,
        "select sum(duplicates)::bigint, sum(conflicts)::bigint from conversion_outbox.repeat",
    )
    .await;
    let repeats: (i64, i64) = (repeats[0].get(0), repeats[0].get(1));
    assert_eq!(repeats, (20, 2));
    assert_eq!(
        (total.duplicates, total.conflicts, total.rolled_back),
        (20, 2, 10)
    );

    let queued = rows(&admin, "select count(*) from conversion_outbox.queue").await;
    assert_eq!(
        queued[0].get::<_, i64>(0),
        i64::try_from(stored.len()).expect("few")
    );
}

#[tokio::test]
async fn the_shop_uses_the_columns_as_they_are_meant() {
    let (_server, admin, _shop) = traded().await;
    let warned = rows(
        &admin,
        "select distinct warnings::text from conversion_outbox.event where warnings is not null",
    )
    .await;
    let warned: Vec<String> = warned.iter().map(|row| row.get(0)).collect();
    assert!(warned.is_empty(), "{warned:?}");

    let paid = rows(
        &admin,
        "select count(*) from shop.orders o left join conversion_outbox.event e on e.event_id = o.order_id
          where (o.paid_at is null) <> (e.event_id is null)",
    )
    .await;
    assert_eq!(
        paid[0].get::<_, i64>(0),
        0,
        "an order is paid exactly where its event exists"
    );
    let future = rows(
        &admin,
        "select count(*) from conversion_outbox.event where occurred_at > now()",
    )
    .await;
    assert_eq!(future[0].get::<_, i64>(0), 0);
}

#[tokio::test]
async fn every_story_and_every_fate_occurs() {
    let (_server, _admin, mut shop) = traded().await;
    assert!(
        Scenario::ALL
            .iter()
            .all(|scenario| shop.truth().tally(*scenario).stories > 0)
    );
    for platform in Platform::ALL {
        let fates = |fate| {
            shop.truth()
                .committed()
                .values()
                .filter(|event| event.at(platform) == fate)
                .count()
        };
        for fate in [
            Fate::Counted,
            Fate::Withheld,
            Fate::Unrecognisable,
            Fate::TooOld,
            Fate::TakenBack,
        ] {
            assert!(fates(fate) > 0, "{platform:?} {fate:?}");
        }
    }
    assert_eq!(shop.remaining(), 1_500 - ORDERS);
    shop.trade(usize::MAX).await.expect("the rest goes as told");
    assert_eq!(shop.remaining(), 0);

    let events = shop.truth().committed().values();
    let leads: Vec<_> = events
        .filter(|event| !event.name.starts_with("order"))
        .collect();
    let told_apart: BTreeSet<_> = leads
        .iter()
        .map(|event| (event.name, event.occurred_at))
        .collect();
    assert_eq!(leads.len(), told_apart.len());
}
