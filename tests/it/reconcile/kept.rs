//! Days as the database keeps them: read back as they were computed, changed when something late changes, and said so.

use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::reconcile::platform::{self, NewReport};
use conversion_outbox::reconcile::stored::{self, At};
use serde_json::json;

use super::{Shop, date, time};

const DAY: &str = "2024-10-10";

#[tokio::test]
async fn a_closed_day_that_changes_says_so() {
    let shop = Shop::open("").await;
    shop.both("good", "2024-10-10 12:00+00", "accepted").await;
    shop.both(
        "refused",
        "2024-10-10 12:00+00",
        "rejected/refused_by_platform",
    )
    .await;
    shop.sells("forgotten", "2024-10-10 12:00+00", "0.10").await;
    let database = &shop.database;
    let day = shop.day(DAY).await;
    assert!(!stored::store(database, &day).await.expect("stored"));
    assert!(
        !stored::store(database, &day).await.expect("stored again"),
        "nothing is different"
    );
    let read = stored::days(database, Some("orders"), date(DAY), date(DAY))
        .await
        .expect("read");
    let mut expected = day.clone();
    expected.closed_at = Some(day.computed_at);
    let gaps = std::mem::take(&mut expected.gaps);
    assert_eq!(read, [expected.clone()]);
    let part = async |at, skip, limit| {
        let part = stored::Part { limit, skip };
        stored::gaps(database, "orders", date(DAY), at, part)
            .await
            .expect("read")
    };
    let of = async |at, limit| part(at, 0, limit).await;
    assert_eq!(of(At::Anywhere, 100).await, gaps);
    assert_eq!(of(At::Outbox, 100).await, gaps[..1]);
    assert_eq!(of(At::Destination("meta"), 100).await, gaps[1..]);
    assert_eq!(of(At::Anywhere, 1).await, gaps[..1]);
    assert_eq!(part(At::Anywhere, 1, 100).await, gaps[1..]);

    shop.tells("forgotten", "2024-10-10 12:00+00", "0.10", "accepted")
        .await;
    let mut later = shop.day(DAY).await;
    later.computed_at += TimeDelta::days(1);
    assert!(
        stored::store(database, &later).await.expect("stored"),
        "it had been closed"
    );
    let read = stored::last_closed(database).await.expect("read");
    assert!(read.is_empty(), "no worker has run");
    let reader = &shop.outbox.operator();
    let read = stored::days(reader, None, date("2024-01-01"), date(DAY))
        .await
        .expect("read");
    assert_eq!(
        (read[0].closed_at, read[0].changed_at, read[0].changes),
        (Some(day.computed_at), Some(later.computed_at), 1)
    );
    assert_eq!((read[0].missing, read[0].matched), (0, 3));

    shop.admin
        .run(
            "insert into conversion_outbox.platform_report (destination, event_name, day, time_zone, source, conversions, ids)
             select 'ga4', 'order_paid', d, 'UTC', 'api', 1, '{\"o-1\": 1}' from unnest('{2024-10-10,2024-10-11}'::date[]) d",
        )
        .await;
    stored::forget_gaps(database, "orders", "order_paid", date("2024-10-11"))
        .await
        .expect("forgotten");
    assert!(of(At::Anywhere, 100).await.is_empty());
    let ids = "select string_agg(day || ' ' || (ids is null), ', ' order by day) from conversion_outbox.platform_report";
    assert_eq!(
        shop.admin.one::<String>(ids).await,
        "2024-10-10 true, 2024-10-11 false"
    );
    assert_eq!(
        stored::days(reader, None, date(DAY), date(DAY))
            .await
            .expect("read")
            .len(),
        1
    );
}

#[tokio::test]
async fn one_worker_computes_and_not_too_often() {
    let shop = Shop::open("").await;
    let (every, lease) = (Duration::from_secs(3600), Duration::from_secs(600));
    let start = time("2024-10-10T00:00:00Z");
    let claim = async |minutes| {
        let now = start + TimeDelta::minutes(minutes);
        stored::claim(&shop.database, "orders", every, lease, now)
            .await
            .expect("asked")
    };
    let race = futures::future::join_all((0..8).map(|_| claim(0))).await;
    assert_eq!(race.iter().filter(|claimed| **claimed).count(), 1);
    assert!(!claim(9).await, "it is at it");
    assert!(claim(10).await, "it was broken off");
    stored::finish(
        &shop.database,
        "orders",
        Some("no answer"),
        &["ga4: refused".to_owned()],
        start + TimeDelta::minutes(10),
    )
    .await
    .expect("written");
    let runs = stored::runs(&shop.outbox.operator()).await.expect("read");
    assert_eq!(
        (runs[0].failed.as_deref(), runs[0].notes.len()),
        (Some("no answer"), 1)
    );
    assert!(
        !claim(24).await && claim(25).await,
        "what failed is tried again soon"
    );
    let end = start + TimeDelta::minutes(26);
    stored::finish(&shop.database, "orders", None, &[], end)
        .await
        .expect("written");
    assert!(!claim(84).await && claim(85).await, "once an hour");
}

#[tokio::test]
async fn the_same_report_twice_changes_nothing() {
    let shop = Shop::open("").await;
    let report = NewReport {
        destination: "meta".to_owned(),
        event_name: "order_paid".to_owned(),
        day: date(DAY),
        time_zone: "UTC".to_owned(),
        source: "csv",
        conversions: "12.5".parse_exact(),
        value: Some("100.10".parse_exact()),
        currency: Some("EUR".to_owned()),
        ids: None,
        details: json!({ "counts": "attributed" }),
        fetched_at: time("2024-10-12T00:00:00Z"),
    };
    let store = async |report: &NewReport| {
        platform::store(&shop.database, std::slice::from_ref(report))
            .await
            .expect("stored")
    };
    assert_eq!(store(&report).await, 1);
    let later = NewReport {
        fetched_at: time("2024-10-13T00:00:00Z"),
        ..report.clone()
    };
    assert_eq!(store(&later).await, 0);
    assert_eq!(
        store(&NewReport {
            conversions: "13".parse_exact(),
            ..report
        })
        .await,
        1
    );
    let kept = shop.admin.one::<String>("select conversions || ' ' || value || ' ' || currency from conversion_outbox.platform_report");
    assert_eq!(kept.await, "13 100.10 EUR");
    let meta = &shop.day(DAY).await.destinations[1];
    assert_eq!(
        (
            meta.reported_counts.as_deref(),
            meta.difference.to_string().as_str()
        ),
        (Some("attributed"), "0")
    );
}

trait ParseExact {
    fn parse_exact(&self) -> conversion_outbox::reconcile::exact::Exact;
}

impl ParseExact for str {
    fn parse_exact(&self) -> conversion_outbox::reconcile::exact::Exact {
        conversion_outbox::reconcile::exact::Exact::parse(self).expect("a number")
    }
}

#[tokio::test]
async fn a_number_said_again_is_a_later_word_and_no_change() {
    let shop = Shop::open("").await;
    shop.both("one", "2024-10-10 12:00+00", "accepted").await;
    let said = |at: &str, conversions: &str, source| NewReport {
        destination: "meta".to_owned(),
        event_name: "order_paid".to_owned(),
        day: date(DAY),
        time_zone: "UTC".to_owned(),
        source,
        conversions: conversions.parse_exact(),
        value: None,
        currency: None,
        ids: None,
        details: json!({ "counts": "received" }),
        fetched_at: time(at),
    };
    let database = &shop.database;
    let store = async |report| platform::store(database, &[report]).await.expect("stored");
    assert_eq!(store(said("2024-10-11T00:00:00Z", "1", "api")).await, 1);
    let day = shop.day(DAY).await;
    stored::store(database, &day).await.expect("stored");
    assert_eq!(
        store(said("2024-10-20T00:00:00Z", "1", "api")).await,
        0,
        "the same number"
    );
    let later = shop.day(DAY).await;
    assert_eq!(
        later
            .destinations
            .iter()
            .find(|one| one.destination == "meta")
            .expect("compared")
            .reported_at,
        Some(time("2024-10-20T00:00:00Z"))
    );
    assert!(
        !stored::store(database, &later).await.expect("stored"),
        "nothing but the time of the word is different"
    );
    // A file that is taken later is the later word, and so is an answer after it.
    assert_eq!(store(said("2024-10-21T00:00:00Z", "5", "csv")).await, 1);
    assert_eq!(store(said("2024-10-22T00:00:00Z", "1", "api")).await, 0);
    let last = shop.day(DAY).await;
    let meta = last
        .destinations
        .iter()
        .find(|one| one.destination == "meta")
        .expect("compared");
    assert_eq!(
        (meta.reported, meta.reported_source.as_deref()),
        (Some("1".parse_exact()), Some("api"))
    );
}
