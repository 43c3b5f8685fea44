//! Refunds and cancellations in the database: their order, and what is known of them.

use conversion_outbox::original::Left;
use conversion_outbox::outcome::State;
use conversion_outbox::settle::settle;

use crate::harness::{Event, Form, Outbox, Session};
use crate::work::{accepted, claim_events};

fn refund(id: &str, value: &str) -> Event {
    Event::order("order-1")
        .text("event_name", "order_refunded")
        .text("event_id", id)
        .text("depends_on", "order_paid:order-1")
        .set("value", value)
}

async fn numbers(session: &Session) -> Vec<String> {
    session
        .all(
            "select event_id || ' ' || coalesce(reversal_no::text, '-') from conversion_outbox.event
              order by reversal_no nulls first, event_no",
        )
        .await
}

#[tokio::test]
async fn reversals_of_one_original_are_numbered_and_others_are_not() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for (n, form) in Form::ALL.into_iter().enumerate() {
        app.run(&refund(&format!("r-{n}"), "1").sql(form)).await;
        app.run(&refund(&format!("r-{n}"), "1").sql(form)).await;
    }
    app.run(&Event::order("order-1").sql(Form::Plain)).await;
    let cancelled = refund("c-1", "1").text("event_name", "order_canceled");
    app.run(&cancelled.sql(Form::Plain)).await;
    let won = refund("w-1", "1").text("event_name", "deal_won");
    app.run(&won.sql(Form::Plain)).await;
    let alone = refund("a-1", "1").without("depends_on");
    app.run(&alone.sql(Form::Plain)).await;
    let other = refund("o-1", "1").text("depends_on", "another");
    app.run(&other.sql(Form::Plain)).await;
    assert_eq!(
        numbers(&outbox.admin().await).await,
        [
            "order_paid:order-1 -",
            "w-1 -",
            "a-1 -",
            "r-0 1",
            "o-1 1",
            "r-1 2",
            "r-2 3",
            "r-3 4",
            "c-1 5"
        ]
    );
}

#[tokio::test]
async fn one_statement_numbers_its_rows_one_after_another() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    app.run(&format!(
        "insert into conversion_outbox.event (event_id, event_name, business_id, depends_on, consent)
         select 'r-' || n, 'order_refunded', 'order-1', 'order_paid:order-1', {} from generate_series(1, 70) n",
        crate::harness::GRANTED
    ))
    .await;
    let distinct: i64 = outbox
        .admin()
        .await
        .one("select count(distinct reversal_no) from conversion_outbox.event")
        .await;
    assert_eq!(distinct, 70);
}

#[tokio::test]
async fn racing_refunds_are_numbered_in_the_order_of_their_commits() {
    for (end, expected) in [("commit", ["r-1 1", "r-2 2"]), ("rollback", ["r-2 1", ""])] {
        let outbox = Outbox::new().await;
        let (first, second) = (outbox.session("app").await, outbox.session("app").await);
        let pid = second.pid().await;
        first
            .run(&format!("begin; {}", refund("r-1", "1").sql(Form::Plain)))
            .await;
        let sql = refund("r-2", "2").sql(Form::Enqueue);
        let ending = async {
            outbox.until_blocked(pid).await;
            first.run(end).await;
        };
        tokio::join!(second.run(&sql), ending);
        let expected: Vec<&str> = expected.into_iter().filter(|one| !one.is_empty()).collect();
        assert_eq!(numbers(&outbox.admin().await).await, expected, "{end}");
    }
}

#[tokio::test]
async fn a_claim_tells_both_sides_of_each_other() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let order = Event::order("order-1")
        .text("source", "shop")
        .text("properties", r#"{"country": "de"}"#);
    app.run(&order.sql(Form::Plain)).await;
    app.run(&refund("r-1", "5").sql(Form::Plain)).await;
    app.run(&refund("r-2", "7.5").sql(Form::Plain)).await;
    let worker = outbox.worker();
    let claimed = claim_events(&worker, 10, 0).await;
    let [order, first, second] = &claimed[..] else {
        panic!("three events")
    };
    assert_eq!(order.around.reversals.len(), 2);
    assert!(order.around.original.is_none());
    let original = first.around.original.as_ref().expect("known");
    let original = original.event.as_ref().expect("a sound row");
    assert_eq!(original.source.as_deref(), Some("shop"));
    assert_eq!(original.property_text("country").as_deref(), Some("de"));
    let lefts = |claimed: &conversion_outbox::claim::Claimed| {
        claimed.around.original.as_ref().expect("known").left()
    };
    let amount = |left: Left| match left {
        Left::Amount(money) => money.amount.to_string(),
        Left::Nothing => "nothing".to_owned(),
        Left::Unknown => "unknown".to_owned(),
    };
    let (before, after) = lefts(first);
    assert_eq!(
        (amount(before), amount(after)),
        ("12.50".into(), "7.5".into())
    );
    let (before, after) = lefts(second);
    assert_eq!(
        (amount(before), amount(after)),
        ("7.5".into(), "nothing".into())
    );

    settle(&worker, &[accepted(first.ticket, "meta")], &[], 0)
        .await
        .expect("settled");
    let again = claim_events(&worker, 10, 61).await;
    let of_second = again[2].around.original.as_ref().expect("known");
    let earlier: Vec<_> = of_second.earlier().collect();
    assert_eq!(earlier.len(), 1);
    assert_eq!(earlier[0].standings["meta"].state, State::Accepted);
    assert_eq!(of_second.later().count(), 0);
}

#[tokio::test]
async fn refunds_that_cannot_see_each_other_have_an_order_all_the_same() {
    let outbox = Outbox::new().await;
    let (blind, other) = (outbox.session("app").await, outbox.session("app").await);
    other
        .run(&Event::order("order-1").set("value", "100").sql(Form::Plain))
        .await;
    blind
        .run("begin isolation level repeatable read; select 1")
        .await;
    other.run(&refund("r-1", "30").sql(Form::Plain)).await;
    blind
        .run(&format!("{}; commit", refund("r-2", "20").sql(Form::Plain)))
        .await;
    assert_eq!(
        numbers(&outbox.admin().await).await,
        ["order_paid:order-1 -", "r-1 1", "r-2 1"]
    );
    let claimed = claim_events(&outbox.worker(), 10, 0).await;
    let left: Vec<Left> = claimed[1..]
        .iter()
        .map(|one| one.around.original.as_ref().expect("known").left().1)
        .collect();
    let digits = |left: &Left| match left {
        Left::Amount(money) => money.amount.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(left.iter().map(digits).collect::<Vec<_>>(), ["70", "50"]);
    let of_second = claimed[2].around.original.as_ref().expect("known");
    assert_eq!(of_second.earlier().count(), 1, "it waits for the first");
}
