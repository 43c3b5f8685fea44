//! Every kind of gap, at the edges of days, and what platforms report; held against SQL that counts by hand.

use super::{Shop, date, listed, time};

/// In Berlin this day has 25 hours; two o'clock comes twice.
const DAY: &str = "2024-10-27";

#[tokio::test]
async fn every_id_that_is_missing_is_named_with_its_reason() {
    let shop = Shop::open("time_zone = \"Europe/Berlin\"").await;
    for (id, at, state) in [
        ("good", "2024-10-27 10:00+01", "accepted"),
        ("sent", "2024-10-27 10:00+01", "sent"),
        ("midnight", "2024-10-27 00:00+02", "accepted"),
        ("two-again", "2024-10-27 02:30+01", "accepted"),
        ("evening", "2024-10-27 23:30+01", "accepted"),
        ("day-before", "2024-10-26 23:59:59.999+02", "accepted"),
        ("day-after", "2024-10-28 00:00+01", "accepted"),
        (
            "no-consent",
            "2024-10-27 11:00+01",
            "suppressed/consent_denied",
        ),
        ("stranger", "2024-10-27 11:00+01", "skipped/no_identifier"),
        ("old", "2024-10-27 11:00+01", "expired/too_old"),
        (
            "refused",
            "2024-10-27 11:00+01",
            "rejected/refused_by_platform",
        ),
        ("doubt", "2024-10-27 11:00+01", "uncertain/no_answer"),
        ("tired", "2024-10-27 11:00+01", "exhausted/attempts_used_up"),
        ("gone", "2024-10-27 11:00+01", "cancelled/erased"),
        ("waiting", "2024-10-27 11:00+01", "pending/retry"),
        ("queued", "2024-10-27 11:00+01", "queued"),
    ] {
        shop.both(id, at, state).await;
    }
    shop.sells("forgotten", "2024-10-27 12:00+01", "10").await;
    shop.sells("dearer", "2024-10-27 12:00+01", "10.01").await;
    shop.tells("dearer", "2024-10-27 12:00+01", "10.00", "accepted")
        .await;
    // Its event says the time of day as if it were UTC: another day.
    shop.sells("one-zone-off", "2024-10-27 23:30+01", "10")
        .await;
    shop.tells("one-zone-off", "2024-10-27 23:30+00", "10", "accepted")
        .await;
    shop.tells("unasked", "2024-10-27 13:00+01", "10", "accepted")
        .await;
    shop.sells("twice", "2024-10-27 14:00+01", "10").await;
    shop.both("twice", "2024-10-27 14:00+01", "accepted").await;
    shop.admin
        .run("update conversion_outbox.delivery set error_code = '100/2804019' where state = 'rejected'")
        .await;
    // The application told its other amount too, later, and the first one stands.
    shop.admin
        .run(&format!(
            "select conversion_outbox.enqueue(event_name => 'order_paid', business_id => 'dearer', value => 10.01, currency => 'EUR', consent => {})",
            crate::harness::GRANTED
        ))
        .await;

    let day = shop.day(DAY).await;
    let mut found = listed(&day);
    found.retain(|gap| !gap.starts_with("ga4"));
    assert_eq!(
        found,
        [
            "outbox no_row forgotten",
            "outbox other_day one-zone-off 2024-10-27T23:30:00+00:00 in the outbox",
            "outbox conflict dearer",
            "outbox not_in_source unasked",
            "outbox duplicate_in_source twice",
            "meta expired old too_old",
            "meta rejected refused refused_by_platform (100/2804019)",
            "meta uncertain doubt no_answer",
            "meta exhausted tired attempts_used_up",
            "meta pending waiting retry",
            "meta in_queue queued",
            "meta suppressed no-consent consent_denied",
            "meta skipped stranger no_identifier",
            "meta cancelled gone erased",
        ]
    );
    // By hand.
    let count = async |sql: &str| {
        let sql = format!("select count(*) {sql}");
        shop.admin.one::<i64>(&sql).await
    };
    let berlin = |column: &str| format!("({column} at time zone 'Europe/Berlin')::date = '{DAY}'");
    let source = count(&format!(
        "from (select distinct * from shop.orders where {}) o",
        berlin("paid_at")
    ))
    .await;
    assert_eq!(day.source_rows as i64, source);
    let events = format!(
        "from conversion_outbox.event where {}",
        berlin("occurred_at")
    );
    assert_eq!(day.outbox_rows as i64, count(&events).await);
    let accepted = format!(
        "from conversion_outbox.delivery d join conversion_outbox.event e using (event_no) join (select distinct id, paid_at from shop.orders) o
           on o.id = e.business_id where d.destination = 'meta' and d.state = 'accepted' and {}", berlin("o.paid_at")
    );
    let meta = &day.destinations[1];
    assert_eq!(
        meta.accepted as i64,
        count(&accepted).await + 1,
        "and the unasked one"
    );
    assert_eq!((meta.expected, meta.arrived()), (15, 9));
    assert_eq!(
        meta.difference.to_string(),
        "-6",
        "forgotten, old, refused, doubt, tired, waiting and queued, less unasked"
    );
    assert_eq!(
        (
            day.source_value["EUR"].to_string(),
            day.outbox_value["EUR"].to_string()
        ),
        ("180.01".into(), "170".into())
    );
    assert!(!day.is_closed, "one waits");
    assert_eq!(
        day.open_because,
        ["ga4: 1 still wait", "meta: 2 still wait"]
    );
    // The days beside it hold what is theirs and nothing else.
    let beside = shop
        .days("2024-10-26", "2024-10-28")
        .await
        .expect("computed");
    let counts: Vec<_> = beside
        .iter()
        .map(|day| (day.source_rows, day.missing, day.extra))
        .collect();
    assert_eq!((counts[0], counts[2]), ((1, 0, 0), (1, 0, 0)));
    assert_eq!(beside[1], day);
    assert_eq!((day.ends_at - day.begins_at).num_hours(), 25);
    assert_eq!(
        (shop.day("2024-03-31").await.ends_at - shop.day("2024-03-31").await.begins_at).num_hours(),
        23
    );
}

#[tokio::test]
async fn refunds_are_an_entry_of_their_own() {
    let query = "select order_id as business_id, event_id, at as occurred_at, amount as value, 'EUR' as currency \
        from shop.refunds where at >= $1 and at < $2";
    let shop = Shop::asking(query, "event = \"order_refunded\"").await;
    shop.admin
        .run(
            "create table shop.refunds as select 'o-1' as order_id, 'r-' || n as event_id, timestamptz '2024-10-05 10:00+00' as at, 5.00 as amount
               from generate_series(1, 3) n;
             grant select on shop.refunds to conversion_outbox_worker",
        )
        .await;
    for refund in ["r-1", "r-3"] {
        let event = crate::harness::Event::order("o-1")
            .text("event_name", "order_refunded")
            .text("event_id", refund)
            .text("occurred_at", "2024-10-05 10:00+00")
            .text("depends_on", "order_paid:o-1")
            .set("value", "5");
        shop.admin
            .run(&event.sql(crate::harness::Form::Plain))
            .await;
    }
    let day = shop.day("2024-10-05").await;
    assert_eq!((day.source_rows, day.matched, day.missing), (3, 2, 1));
    let gap = &day.gaps[0];
    assert_eq!(
        (gap.why.as_str(), gap.event_id.as_deref()),
        ("fewer_rows", Some("r-2"))
    );
}

#[tokio::test]
async fn an_event_of_a_later_row_hides_no_forgotten_one() {
    let shop = Shop::open("time_zone = \"UTC\"").await;
    // Two instalments of one order; the application forgot the first.
    shop.sells("twice", "2024-10-10 12:00+00", "10.00").await;
    shop.both("twice", "2024-10-18 12:00+00", "accepted").await;
    for (day, expected) in [
        ("2024-10-10", vec!["outbox fewer_rows twice"]),
        ("2024-10-18", vec![]),
    ] {
        let day = shop.day(day).await;
        assert_eq!(listed(&day), expected, "{}", day.day);
        assert_eq!(day.missing, expected.len() as u64);
        let arrived: u64 = day.destinations.iter().map(|one| one.arrived()).sum();
        assert_eq!(
            arrived,
            2 - 2 * expected.len() as u64,
            "it is counted on its own day alone"
        );
    }
}

#[tokio::test]
async fn a_late_event_is_extra_nowhere() {
    let shop = Shop::open("time_zone = \"UTC\"").await;
    shop.sells("late", "2024-10-11 12:00+00", "10.00").await;
    shop.tells("late", "2024-10-16 12:00+00", "10.00", "accepted")
        .await;
    let own = shop.day("2024-10-11").await;
    assert_eq!((own.missing, own.other_day, own.extra), (0, 1, 0));
    let later = shop.day("2024-10-16").await;
    assert_eq!(
        (later.outbox_rows, later.extra, later.is_outbox_within()),
        (1, 0, true),
        "{:?}",
        listed(&later)
    );
    // What no row anywhere belongs to is extra all the same.
    shop.tells("stranger", "2024-10-16 13:00+00", "10.00", "accepted")
        .await;
    let later = shop.day("2024-10-16").await;
    assert_eq!(listed(&later), ["outbox not_in_source stranger"]);
}

#[tokio::test]
async fn platforms_are_held_against_what_arrived_on_their_own_day() {
    let shop = Shop::open("time_zone = \"UTC\"").await;
    for (id, at) in [
        ("a", "2024-10-10 01:00+00"),
        ("b", "2024-10-10 12:00+00"),
        ("c", "2024-10-10 23:00+00"),
    ] {
        shop.both(id, at, "accepted").await;
    }
    // GA4's property counts days of New York: of these three, one is of the day before. It saw one order twice and one that
    // nobody sent, and lacks one.
    shop.admin
        .run(
            r#"insert into conversion_outbox.platform_report (destination, event_name, day, time_zone, source, conversions, ids)
               values ('ga4', 'order_paid', '2024-10-10', 'America/New_York', 'api', 3, '{"b": 2, "tag-only": 1}'),
                      ('meta', 'order_paid', '2024-10-10', 'UTC', 'csv', 9, null),
                      ('meta', 'order_paid', '2024-10-09', 'UTC', 'csv', 1, null);
               insert into conversion_outbox.platform_report (destination, event_name, day, time_zone, source, conversions, fetched_at)
               values ('meta', 'order_paid', '2024-10-10', 'UTC', 'api', 7, now() - interval '1 day')"#,
        )
        .await;
    let day = shop.day("2024-10-10").await;
    assert_eq!(
        listed(&day),
        [
            "ga4 reported_never_sent tag-only no event",
            "ga4 not_reported c",
            "ga4 reported_again b 2 times"
        ]
    );
    let [ga4, meta] = day.destinations.as_slice() else {
        panic!("two destinations")
    };
    assert_eq!(
        (
            ga4.arrived_in_reported_day,
            ga4.difference.to_string().as_str()
        ),
        (Some(2), "1")
    );
    assert_eq!(ga4.reported_time_zone.as_deref(), Some("America/New_York"));
    assert_eq!(
        meta.reported.map(|n| n.to_string()).as_deref(),
        Some("9"),
        "the latest word"
    );
    assert_eq!(
        (meta.difference.to_string().as_str(), meta.is_within),
        ("6", false)
    );
    assert!(day.is_closed && day.is_finding());
}

#[tokio::test]
async fn a_platform_whose_midnight_comes_twice_begins_its_day_with_the_first() {
    let shop = Shop::open("time_zone = \"America/Havana\"").await;
    shop.admin
        .run(
            "insert into conversion_outbox.platform_report (destination, event_name, day, time_zone, source, conversions)
             select 'meta', 'order_paid', d::date, 'America/Havana', 'csv', 0
               from generate_series(timestamp '2024-11-02', '2024-11-03', '1 day') d",
        )
        .await;
    // Two hours are called midnight there, from 04:00 and from 05:00 UTC on: both are of the third.
    shop.both("first", "2024-11-03 04:30+00", "accepted").await;
    shop.both("second", "2024-11-03 05:30+00", "accepted").await;
    for (day, arrived) in [("2024-11-02", 0), ("2024-11-03", 2)] {
        let meta = &shop.day(day).await.destinations[1];
        assert_eq!(meta.arrived_in_reported_day, Some(arrived), "{day}");
    }
}

#[tokio::test]
async fn days_are_whole_whatever_the_clocks_do() {
    let shop = Shop::open("").await;
    for (zone, first, begins, hours) in [
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00:00Z", 23),
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00:00Z", 25),
        // Midnight comes twice here, and the first one begins the day.
        ("America/Havana", "2026-11-01", "2026-11-01T04:00:00Z", 25),
        ("Atlantic/Azores", "2026-10-25", "2026-10-25T00:00:00Z", 25),
        // Here it does not come at all.
        ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", 23),
        ("Asia/Tokyo", "2026-10-25", "2026-10-24T15:00:00Z", 24),
    ] {
        let last = date(first) + chrono::Days::new(1);
        let days = conversion_outbox::reconcile::day::days(&shop.database, zone, date(first), last)
            .await
            .expect("known");
        assert_eq!(days[0].begins_at, time(begins), "{zone}");
        assert_eq!(
            (days[0].ends_at - days[0].begins_at).num_hours(),
            hours,
            "{zone}"
        );
        assert_eq!(days[0].ends_at, days[1].begins_at, "{zone}");
    }
}
