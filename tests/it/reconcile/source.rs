//! What a query may not do, and what is said of one that is wrong.

use std::time::Duration;

use conversion_outbox::reconcile::source::SourceError;

use super::{QUERY, Shop, time};

const GOOD: &str = "select id as business_id, paid_at as occurred_at, total as value, currency from shop.orders where paid_at >= $1 and paid_at < $2";

async fn error(shop: &Shop) -> SourceError {
    let (from, to) = (time("2024-10-10T00:00:00Z"), time("2024-10-11T00:00:00Z"));
    let rows = shop.source().rows(from, to, false).await;
    rows.expect_err("refused")
}

#[tokio::test]
async fn it_can_only_read() {
    for (query, said) in [
        (
            "with x as (insert into shop.orders (id) values ('x') returning id) select id as business_id, $1 as occurred_at, 1 as value, $2::text as currency from x",
            "0A000",
        ),
        (
            "select shop.sneak() as business_id, $1 as occurred_at, 1 as value, 'EUR' as currency where $2 > $1",
            "25006",
        ),
        (
            "select id as business_id, paid_at as occurred_at, total as value, currency from shop.orders where paid_at between $1 and $2 for update",
            "25006",
        ),
        (
            "select id as business_id from shop.orders where $1 < $2) s; delete from shop.orders; --",
            "42601",
        ),
        (
            "select set_config('transaction_read_only', 'off', true) as business_id, shop.sneak_at($1) as occurred_at, 1 as value, 'EUR' as currency where $2 > $1",
            "",
        ),
    ] {
        let shop = Shop::asking(query, "").await;
        shop.both("o-1", "2024-10-10 12:00+00", "accepted").await;
        shop.admin
            .run(
                "create function shop.sneak() returns text language sql volatile as $$ insert into shop.orders (id) values ('x') returning id $$;
                 create function shop.sneak_at(timestamptz) returns timestamptz language sql volatile as $$ insert into shop.orders (id) values ('x') returning $1 $$;
                 grant all on shop.orders to conversion_outbox_worker",
            )
            .await;
        let said_of = error(&shop).await.to_string();
        assert!(said_of.contains(said), "{query}: {said_of}");
        assert_eq!(
            shop.admin
                .one::<i64>("select count(*) from shop.orders")
                .await,
            1,
            "{query}"
        );
    }
}

#[tokio::test]
async fn it_is_stopped_in_time_and_leaves_nothing_behind() {
    let query = "select id as business_id, paid_at as occurred_at, total as value, currency from shop.orders, pg_sleep(600) where paid_at >= $1 and paid_at < $2";
    let shop = Shop::asking(query, "statement_timeout_secs = 1").await;
    shop.both("o-1", "2024-10-10 12:00+00", "accepted").await;
    let error = error(&shop).await;
    assert!(matches!(error, SourceError::TooLong(1)), "{error}");
    // The server tells of the error a moment before it shows that it is idle again.
    let gone = async {
        let left = "select exists (select from pg_stat_activity where datname = current_database() and query like '%pg_sleep(600)%'
                                      and state = 'active' and pid <> pg_backend_pid())";
        while shop.admin.one::<bool>(left).await {}
    };
    tokio::time::timeout(Duration::from_secs(30), gone)
        .await
        .expect("it would have slept for ten minutes");
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let cast = |from: &str, to: &str| GOOD.replace(from, to);
    for (query, entry, said) in [
        (
            cast("total as value", "total::float8 as value"),
            "",
            "value is double precision and must be numeric",
        ),
        (
            cast("paid_at as", "paid_at::date as"),
            "",
            "occurred_at is date and must be timestamp with time zone",
        ),
        (
            cast(", currency from", ", consent from"),
            "",
            "currency is missing",
        ),
        (
            cast("id as business_id", "id, id as event_id, 1 as consent"),
            "",
            "business_id is missing; consent is integer and must be jsonb, or json",
        ),
        (
            cast("currency from", "null as currency from"),
            "",
            "of business_id \"o-1\" with a value and no currency",
        ),
        (cast("id as", "null::text as"), "", "without a business_id"),
        (
            cast("paid_at as", "paid_at - interval '1 day' as"),
            "",
            "of business_id \"o-1\" of 2024-10-09 12:00:00 UTC, outside of",
        ),
        (
            cast("shop.orders", "shop.orders, generate_series(1, 3)"),
            "rows_max = 2",
            "more than 2 rows",
        ),
        (
            cast("shop.orders", "conversion_outbox.kept_data"),
            "",
            "42703",
        ),
        (
            cast("shop.orders", "shop.secret"),
            "",
            "42501): permission denied for table secret",
        ),
        (
            cast("shop.orders", "shop.orderz"),
            "",
            "42P01): relation \"shop.orderz\" does not exist",
        ),
        (
            cast("total as", "(id::integer) as"),
            "",
            "SQLSTATE 22P02). Fix",
        ),
    ] {
        let shop = Shop::asking(&query, entry).await;
        shop.admin
            .run("create table shop.secret as select * from shop.orders")
            .await;
        shop.both("o-1", "2024-10-10 12:00+00", "accepted").await;
        let text = error(&shop).await.to_string();
        assert!(text.contains(said), "{query}: {text}");
    }
    let shop = Shop::open("time_zone = \"Europe/Nowhere\"").await;
    let error = shop
        .days("2024-10-10", "2024-10-10")
        .await
        .expect_err("no such zone");
    assert!(
        error
            .to_string()
            .contains("knows no time zone Europe/Nowhere"),
        "{error}"
    );
}

#[tokio::test]
async fn other_forms_of_a_query_do_as_well() {
    for query in [
        GOOD.to_owned(),
        format!("{QUERY} -- of one day"),
        format!("with o as ({GOOD}) select * from o order by occurred_at;"),
        GOOD.replace("id as", "1042 as")
            .replace("total as", "10 as")
            .replace(", currency", ", 'eur'::char(5) as currency"),
    ] {
        let shop = Shop::asking(&query, "").await;
        shop.both("1042", "2024-10-10 12:00+00", "accepted").await;
        let day = shop.day("2024-10-10").await;
        assert_eq!((day.matched, day.gaps.len()), (1, 0), "{query}");
    }
}
