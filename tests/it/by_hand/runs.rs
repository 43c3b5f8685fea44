//! Runs by filter: what is refused and why, that looking changes nothing, and that many batches are one row of the record.

use chrono::{DateTime, TimeDelta, Utc};
use conversion_outbox::config::Config;
use conversion_outbox::config::destination::DestinationConfig;
use conversion_outbox::operations::dead_letters;
use conversion_outbox::operations::known::Unknown;
use conversion_outbox::operations::report::Report;
use conversion_outbox::operations::run::{self, Action, Order, RunError};
use conversion_outbox::operations::{Filter, life};

use super::totals_are_exact;
use crate::harness::{GRANTED, Outbox, Session};

const CONFIG: &str = r#"
[database]
url = { env = "X" }
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1234567890"
access_token = { env = "X" }
age_max_hours = 100
[[destination]]
name = "ga4"
platform = "ga4"
measurement_id = "G-ABC1234567"
api_secret = { env = "X" }
[[destination]]
name = "linkedin"
platform = "linkedin"
ad_account = "508000000"
access_token = { env = "X" }
rules = { lead_created = "104013" }
"#;

fn configured() -> Vec<DestinationConfig> {
    Config::parse(CONFIG, "t.toml", [])
        .expect("valid")
        .destinations
}

/// Dead letters of many kinds, with totals as workers keep them.
async fn graveyard(outbox: &Outbox) -> Session {
    let (app, admin) = (outbox.session("app").await, outbox.admin().await);
    admin
        .run("insert into conversion_outbox.destination (name, platform)
                values ('meta', 'meta'), ('ga4', 'ga4'), ('linkedin', 'linkedin'), ('gone', 'meta')")
        .await;
    app.run(&format!(
        "insert into conversion_outbox.event (event_id, event_name, business_id, consent, occurred_at)
         select h || ' ' || name, name, h::text, {GRANTED}, now() - make_interval(hours => h)
           from unnest('{{1,49,101,200}}'::int[]) h, unnest('{{order_paid,lead_created}}'::text[]) name"
    ))
    .await;
    admin
        .run(
            "delete from conversion_outbox.queue;
             insert into conversion_outbox.delivery (event_no, destination, state, reason, tries, attempts, tried_at, first_tried_at,
                 payload_hash, settled_at, duration_ms, error_code)
             select e.event_no, n.name, s.state, s.reason, 1, 1, e.occurred_at, case when s.state = 'uncertain' then e.occurred_at end,
                    sha256('x'), now() - interval '1 minute', 5, s.code
               from conversion_outbox.event e, conversion_outbox.destination n,
                    (values ('order_paid', 'uncertain', 'no_answer', null), ('lead_created', 'uncertain', 'no_answer', null)) s (name, state, reason, code)
              where s.name = e.event_name;
             update conversion_outbox.delivery d set state = 'rejected', reason = 'refused_by_platform', first_tried_at = null, error_code = '100'
               from conversion_outbox.event e where e.event_no = d.event_no and d.destination = 'meta' and e.event_name = 'lead_created';
             insert into conversion_outbox.delivery_total select destination, state, 0, count(*), 0 from conversion_outbox.delivery group by 1, 2",
        )
        .await;
    admin
}

async fn go(
    outbox: &Outbox,
    action: Action,
    filter: &Filter,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Report {
    let order = Order {
        action,
        filter,
        is_wide: true,
        reason,
    };
    run::run(&outbox.operator(), &order, &configured(), now)
        .await
        .expect("it runs")
}

/// `destination refusal count` of what is refused.
fn refused(report: &Report) -> Vec<String> {
    report
        .refused
        .iter()
        .map(|one| {
            format!(
                "{} {} {} {}",
                one.destination, one.state, one.refusal, one.count
            )
        })
        .collect()
}

fn allowed(report: &Report) -> Vec<String> {
    report
        .deliveries
        .iter()
        .map(|one| format!("{} {} {}", one.destination, one.state, one.count))
        .collect()
}

/// Everything that a run could change.
async fn everything(admin: &Session) -> String {
    admin
        .one(
            "select md5(concat((select string_agg(d::text, '' order by event_no, destination) from conversion_outbox.delivery d),
                (select string_agg(t::text, '' order by destination, state, slot) from conversion_outbox.delivery_total t),
                (select string_agg(a::text, '') from conversion_outbox.audit a), (select string_agg(a::text, '') from conversion_outbox.attempt a)))",
        )
        .await
}

#[tokio::test]
async fn what_may_count_twice_or_is_too_old_is_refused_and_looking_changes_nothing() {
    let outbox = Outbox::new().await;
    let admin = graveyard(&outbox).await;
    let (all, now) = (Filter::default(), Utc::now());
    let before = everything(&admin).await;
    let careful = Action::Replay { forced: false };
    let look = go(&outbox, careful, &all, None, now).await;
    // Meta knows a repeat for 48 hours and takes events for seven days; GA4 knows purchases and takes events for three
    // days; LinkedIn knows no repeat; what is not configured has no worker.
    assert_eq!(
        allowed(&look),
        ["ga4 uncertain 2", "meta rejected 2", "meta uncertain 1"]
    );
    assert_eq!(
        refused(&look),
        [
            "ga4 uncertain too_old 4",
            "ga4 uncertain may_count_twice 2",
            "gone uncertain not_configured 8",
            "linkedin uncertain not_mapped 4",
            "linkedin uncertain may_count_twice 4",
            "meta rejected too_old 1",
            "meta rejected age_used_up 1",
            "meta uncertain too_old 1",
            "meta uncertain window_over 2",
        ]
    );
    let forced = Action::Replay { forced: true };
    let look = go(&outbox, forced, &all, None, now).await;
    assert_eq!(
        allowed(&look),
        [
            "ga4 uncertain 4",
            "linkedin uncertain 4",
            "meta rejected 3",
            "meta uncertain 3"
        ]
    );
    assert!((look.dry_run, look.done, look.audit_no) == (true, 0, None));
    go(&outbox, Action::Skip, &all, None, now).await;
    assert_eq!(everything(&admin).await, before);

    let done = go(&outbox, careful, &all, Some("mended"), now).await;
    assert_eq!((done.total, done.done, done.refused_total), (5, 5, 27));
    totals_are_exact(&admin).await;
    let done = go(&outbox, forced, &all, Some("looked"), now).await;
    assert_eq!(done.done, 9);
    let forced: i64 = admin
        .one("select count(*) from conversion_outbox.delivery where forced_at is not null and state = 'pending'")
        .await;
    assert_eq!(forced, 9);
    totals_are_exact(&admin).await;
}

#[tokio::test]
async fn every_filter_filters_and_an_unknown_destination_is_no_empty_one() {
    let outbox = Outbox::new().await;
    let admin = graveyard(&outbox).await;
    let none = Filter::default();
    let is_meant = |filter: Filter| {
        let outbox = &outbox;
        async move {
            let report = go(outbox, Action::Skip, &filter, None, Utc::now()).await;
            let listed = dead_letters::list(&outbox.operator(), &filter).await;
            let listed = listed.expect("listed").len() as u64;
            let grouped = dead_letters::groups(
                &outbox.operator(),
                &Filter {
                    limit: None,
                    ..filter.clone()
                },
            )
            .await;
            let grouped: i64 = grouped
                .expect("grouped")
                .iter()
                .map(|group| group.count)
                .sum();
            assert!(
                filter.limit.is_some() || grouped as u64 == report.total,
                "{filter:?}"
            );
            assert_eq!(listed, report.total, "{filter:?}");
            report.total
        }
    };
    let text = |text: &str| Some(text.to_owned());
    for (filter, count) in [
        (none.clone(), 32),
        (
            Filter {
                destination: text("ga4"),
                ..none.clone()
            },
            8,
        ),
        (
            Filter {
                state: Some("rejected"),
                ..none.clone()
            },
            4,
        ),
        (
            Filter {
                reason: Some("no_answer"),
                ..none.clone()
            },
            28,
        ),
        (
            Filter {
                error_code: text("100"),
                ..none.clone()
            },
            4,
        ),
        (
            Filter {
                event_name: text("order_paid"),
                ..none.clone()
            },
            16,
        ),
        (
            Filter {
                event_ids: Some(vec!["1 order_paid".into()]),
                ..none.clone()
            },
            4,
        ),
        (
            Filter {
                since: Some(Utc::now()),
                ..none.clone()
            },
            0,
        ),
        (
            Filter {
                until: Some(Utc::now() - TimeDelta::hours(1)),
                ..none.clone()
            },
            0,
        ),
        (
            Filter {
                until: Some(Utc::now()),
                ..none.clone()
            },
            32,
        ),
        (
            Filter {
                limit: Some(5),
                ..none.clone()
            },
            5,
        ),
        (
            Filter {
                destination: text("meta"),
                state: Some("uncertain"),
                event_name: text("lead_created"),
                ..none.clone()
            },
            0,
        ),
    ] {
        let shown = format!("{filter:?}");
        assert_eq!(is_meant(filter).await, count, "{shown}");
    }
    let nowhere = Filter {
        destination: text("nowhere"),
        ..none.clone()
    };
    let nothing = Filter {
        event_ids: Some(vec!["1 order_paid".into(), "1 order_pad".into()]),
        ..none
    };
    for unknown in [nowhere, nothing] {
        let order = Order {
            action: Action::Skip,
            filter: &unknown,
            is_wide: true,
            reason: Some("why"),
        };
        let said = run::run(&outbox.operator(), &order, &configured(), Utc::now()).await;
        match said {
            Err(RunError::Unknown(Unknown::Destination { .. })) => {
                assert!(unknown.destination.is_some());
            }
            Err(RunError::Unknown(Unknown::Events { first, near, .. })) => {
                assert_eq!(
                    (first.as_str(), near),
                    ("1 order_pad", vec!["1 order_paid".to_owned()])
                );
            }
            other => panic!("{other:?}"),
        }
    }
    totals_are_exact(&admin).await;
}

#[tokio::test]
async fn thousands_are_many_short_transactions_and_one_row_of_the_record() {
    let outbox = Outbox::new().await;
    let admin = graveyard(&outbox).await;
    admin
        .run(&format!(
            "insert into conversion_outbox.event (event_id, event_name, business_id, consent)
               select 'many ' || n, 'order_paid', n::text, {GRANTED} from generate_series(1, 2500) n;
             delete from conversion_outbox.queue;
             insert into conversion_outbox.delivery (event_no, destination, state, reason, settled_at)
               select event_no, 'meta', 'rejected', 'invalid_payload', now() from conversion_outbox.event where event_id like 'many %';
             update conversion_outbox.delivery_total set total = total + 2500 where destination = 'meta' and state = 'rejected'"
        ))
        .await;
    let filter = Filter {
        reason: Some("invalid_payload"),
        ..Filter::default()
    };
    let action = Action::Replay { forced: false };
    let done = go(
        &outbox,
        action,
        &filter,
        Some("mended the mapping"),
        Utc::now(),
    )
    .await;
    assert_eq!((done.total, done.done, done.refused_total), (2500, 2500, 0));
    let audit: Vec<String> = admin
        .all("select concat_ws(' ', action, details ->> 'total', details ->> 'counts', details ->> 'filter') from conversion_outbox.audit")
        .await;
    assert_eq!(
        audit,
        [r#"replay 2500 {"meta rejected/invalid_payload": 2500} {"reason": "invalid_payload"}"#]
    );
    let batches: i64 = admin
        .one("select count(distinct xmin::text) from conversion_outbox.audit_delivery")
        .await;
    assert_eq!(batches, 3);
    totals_are_exact(&admin).await;
    // What waits is skipped by the same filter once it names what it waits for.
    let filter = Filter {
        reason: Some("replayed"),
        limit: Some(1200),
        ..filter
    };
    let skipped = go(
        &outbox,
        Action::Skip,
        &filter,
        Some("changed my mind"),
        Utc::now(),
    )
    .await;
    assert_eq!(skipped.done, 1200);
    // Also what no worker has looked at yet, at each of four destinations.
    app_writes(&outbox, 1100).await;
    let filter = Filter {
        event_name: Some("deal_won".to_owned()),
        ..Filter::default()
    };
    let reason = Some("a load test");
    let skipped = go(&outbox, Action::Skip, &filter, reason, Utc::now()).await;
    assert_eq!((skipped.total, skipped.done), (4400, 4400));
    totals_are_exact(&admin).await;
}

async fn app_writes(outbox: &Outbox, count: u32) {
    let app = outbox.session("app").await;
    app.run(&format!(
        "insert into conversion_outbox.event (event_name, business_id, consent)
         select 'deal_won', 'deal-' || n, {GRANTED} from generate_series(1, {count}) n"
    ))
    .await;
}

#[tokio::test]
async fn an_event_s_life_holds_nothing_of_the_person() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    app.run(
        r#"insert into conversion_outbox.event (event_id, event_name, business_id, value, currency, consent, user_data, click_ids, properties, page_url)
           values ('e-1', 'order_paid', 'o-1', 5, 'EUR',
             '{"ad_storage":"granted","analytics_storage":"denied","ad_user_data":"granted","ad_personalization":"granted","source":"banner","tcf":"canary","gpp":"canary","canary":1}',
             '{"email":"canary@example.com","external_id":"canary","canary":"x"}', '{"gclid":"canary","canary2":"x"}',
             '{"items":[{"id":"canary"}],"canary":"canary"}', 'https://shop.example/canary');
           insert into conversion_outbox.event (event_id, event_name, business_id, depends_on, consent)
             select 'r-1', 'order_refunded', 'o-1', 'e-1', '{"ad_storage":"granted","analytics_storage":"granted","ad_user_data":"granted","ad_personalization":"granted"}';
           select conversion_outbox.withdraw_consent(external_id => 'canary')"#,
    )
    .await;
    let admin = outbox.admin().await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform) values ('linkedin', 'linkedin'), ('meta', 'meta');
             insert into conversion_outbox.delivery (event_no, destination, state, reason, tries, attempts, tried_at, payload_hash, settled_at, first_tried_at)
               select event_no, 'linkedin', 'uncertain', 'no_answer', 1, 1, now(), sha256('x'), now(), now() from conversion_outbox.event where event_id = 'e-1'",
        )
        .await;
    let database = outbox.operator();
    let life = life::of(&database, "e-1")
        .await
        .expect("asked")
        .expect("it is there");
    assert!(!life.to_string().contains("canary"), "{life}");
    assert_eq!(
        life["data"]["user_data"],
        serde_json::json!(["email", "external_id"])
    );
    assert_eq!(life["consent"]["analytics_storage"], "denied");
    assert_eq!(life["consent"]["source"], "banner");
    assert_eq!(life["withdrawals"][0]["by"], "person");
    assert_eq!(life["reversals"][0]["event_id"], "r-1");
    assert_eq!(life["deliveries"][0]["attempt_log"][0]["try_no"], 1);
    assert_eq!(
        (
            &life["deliveries"][1]["destination"],
            &life["deliveries"][1]["state"]
        ),
        (&"meta".into(), &"pending".into()),
        "nobody has looked at it yet"
    );
    let dead = life::dead_letters(&life, &configured(), Utc::now());
    assert_eq!(dead.len(), 1);
    assert_eq!(dead[0]["repeat"]["key"], serde_json::Value::Null);
    assert_eq!(dead[0]["replay"]["refusal"], "not_mapped");
    let refund = life::of(&database, "r-1")
        .await
        .expect("asked")
        .expect("it is there");
    assert_eq!(
        refund["original"]["standings"]["linkedin"]["state"],
        "uncertain"
    );
    assert!(refund["original"]["occurred_at"].is_string());
    assert!(
        life::timeline(&life)
            .windows(2)
            .all(|pair| pair[0].at <= pair[1].at)
    );
    assert!(
        life::of(&database, "no such")
            .await
            .expect("asked")
            .is_none()
    );
}
