//! What workers count against what the tables say: several workers, one of them killed.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::sandbox::{FaultKind, Platform};
use conversion_outbox::telemetry::metrics::Metrics;
use serde_json::{Value, json};

use crate::process::Process;
use crate::rig::{Rig, Running, Setup, granted, lead, order, with};

/// Every series that has a number other than nought, summed over workers.
type Sums = BTreeMap<String, i64>;

/// What each counter must say by the tables, as rows of a series and its number.
const TRUTH: &str = r#"
select format('deliveries_total{destination="%s",event_type="%s",state="%s"}', d.destination, e.event_name, d.state), count(*)
  from conversion_outbox.delivery d join conversion_outbox.event e using (event_no) where d.state <> 'pending'
 group by d.destination, e.event_name, d.state
union all
select format('attempts_total{destination="%s",result="%s"}', destination, outcome), count(*)
  from conversion_outbox.delivery_attempt group by destination, outcome
union all
select format('retries_total{destination="%s"}', destination), sum(tries - 1)
  from conversion_outbox.delivery where tries > 1 group by destination
union all
select format('delivery_latency_seconds_count{destination="%s"}', destination), count(*)
  from conversion_outbox.delivery where state in ('accepted', 'sent') group by destination
union all
select format('suppressed_total{destination="%s",reason="%s"}', destination, reason), count(*)
  from conversion_outbox.delivery where state in ('suppressed', 'skipped', 'expired') group by destination, reason
union all
select format('coverage_events_total{event_type="%s",signal="%s",value="%s"}', e.event_name, s.signal, s.value), sum(s.n)
  from conversion_outbox.event_day e
 cross join lateral (values ('email', 'present', email), ('email', 'absent', events - email),
   ('click_id', 'present', click_id), ('click_id', 'absent', events - click_id), ('phone', 'present', phone),
   ('phone', 'absent', events - phone), ('external_id', 'present', external_id), ('external_id', 'absent', events - external_id),
   ('consent', 'granted', consent_granted), ('consent', 'denied', consent_denied),
   ('consent', 'unspecified', consent_unspecified)) s (signal, value, n)
 group by e.event_name, s.signal, s.value having sum(s.n) > 0
union all
select 'duplicates_total{source="enqueue"}', sum(duplicates) from conversion_outbox.repeat having sum(duplicates) > 0
union all
select 'conflicts_total', sum(conflicts) from conversion_outbox.repeat having sum(conflicts) > 0
"#;

/// What [`TRUTH`] tells of.
const COUNTERS: [&str; 8] = [
    "deliveries_total",
    "attempts_total",
    "retries_total",
    "delivery_latency_seconds_count",
    "suppressed_total",
    "coverage_events_total",
    "duplicates_total",
    "conflicts_total",
];

async fn truth(rig: &Rig) -> Sums {
    let rows: Value = rig
        .one(&format!(
            "select jsonb_object_agg(series, n) from ({TRUTH}) t (series, n)"
        ))
        .await;
    let rows = rows.as_object().expect("an object");
    rows.iter()
        .map(|(series, n)| (series.clone(), n.as_i64().expect("a number")))
        .collect()
}

/// What the workers say together.
fn sums(pages: &[Metrics]) -> Sums {
    let mut sums = Sums::new();
    for page in pages {
        for line in page.render_plain().lines() {
            let Some(line) = line.strip_prefix("conversion_outbox_") else {
                continue;
            };
            let (series, value) = line.rsplit_once(' ').expect("a number");
            let name = series.split('{').next().expect("a name");
            let value: f64 = value.parse().expect("a number");
            if COUNTERS.contains(&name) && value != 0.0 {
                *sums.entry(series.to_owned()).or_default() += value as i64;
            }
        }
    }
    sums
}

/// Waits until the workers say what the tables say; of what has just been written, counters follow in the same moment.
async fn agree(rig: &Rig, pages: &[Metrics]) -> Sums {
    let truth = truth(rig).await;
    let said = async {
        while sums(pages) != truth {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), said)
        .await
        .is_err()
    {
        assert_eq!(sums(pages), truth);
    }
    truth
}

fn total(sums: &Sums, name: &str) -> i64 {
    let of_it = sums.iter().filter(|(series, _)| series.starts_with(name));
    of_it.map(|(_, n)| n).sum()
}

/// Waits until a worker's metric is at least so much.
async fn reaches(worker: &Running, metric: &str, least: f64) {
    let waiting = async {
        while worker.metric(metric) < least {
            tokio::task::yield_now().await;
        }
    };
    if tokio::time::timeout(Duration::from_secs(10), waiting)
        .await
        .is_err()
    {
        panic!("{metric} is {}", worker.metric(metric));
    }
}

/// Waits until this worker has looked at the database once, as it does when it begins.
async fn looked(worker: &Running) {
    reaches(worker, "conversion_outbox_snapshot_timestamp_seconds", 1.0).await;
}

/// Kinds of events that end in different ways, over and over.
fn events(from: usize, count: usize) -> Vec<Value> {
    (from..from + count)
        .map(|n| {
            let id = format!("x-{n}");
            let mut denied = granted();
            denied["ad_user_data"] = "denied".into();
            match n % 5 {
                0 => lead(&id),
                1 => with(order(&id), json!({ "consent": denied })),
                2 => with(
                    order(&id),
                    json!({ "user_data": { "external_id": "c" }, "click_ids": {} }),
                ),
                3 => with(
                    order(&id),
                    json!({ "occurred_at": crate::rig::ago(TimeDelta::days(9)) }),
                ),
                _ => order(&id),
            }
        })
        .collect()
}

#[tokio::test]
async fn the_counters_of_all_workers_add_up_to_the_tables_also_after_one_is_killed() {
    let rig = Rig::new().await;
    let setup = Setup {
        worker: "batch_events = 3",
        ..Setup::default()
    };
    // One request fails and one event is refused, so that there are retries and dead letters.
    rig.event_fault(FaultKind::Status, Platform::Meta, |fault| {
        (fault.status, fault.times) = (Some(503), Some(1));
    });
    let [first, second] = [rig.work_with(setup), rig.work_with(setup)];
    looked(&first).await;
    looked(&second).await;
    let both = [first.metrics.clone(), second.metrics.clone()];
    let mut count = 0;
    while both
        .iter()
        .any(|page| total(&sums(std::slice::from_ref(page)), "deliveries_total") < 5)
    {
        rig.insert(&events(count, 25)).await;
        count += 25;
        assert!(count < 2000, "one worker takes everything");
        rig.until("(select count(*) from conversion_outbox.queue) = 0")
            .await;
    }
    // What Meta's failure put off is due by now.
    rig.later(TimeDelta::minutes(2)).await;
    rig.until_final().await;
    let said = agree(&rig, &both).await;
    for name in ["retries_total", "suppressed_total", "coverage_events_total"] {
        assert!(total(&said, name) > 0, "{name} in {said:?}");
    }

    // A killed worker says nothing more; what it had said stays true.
    first.task.abort();
    assert!(first.task.await.is_err(), "it was killed");
    // Repeats are counted by one worker, whoever looks first.
    let again: Vec<Value> = (0..2).flat_map(|_| events(0, 7)).collect();
    rig.insert(&again).await;
    rig.insert(&[with(events(4, 1).remove(0), json!({ "value": 1.0 }))])
        .await;
    let third = rig.work_with(setup);
    rig.insert(&events(count, 40)).await;
    rig.until_final().await;
    let all = [both[0].clone(), both[1].clone(), third.metrics.clone()];
    let said = agree(&rig, &all).await;
    assert_eq!(said["duplicates_total{source=\"enqueue\"}"], 14);
    assert_eq!(said["conflicts_total"], 1);
    assert!(third.metric("conversion_outbox_heartbeat_timestamp_seconds{stage=\"claimed\"}") > 1e9);
    assert!(
        third.metric("conversion_outbox_heartbeat_timestamp_seconds{stage=\"enqueued\"}") > 1e9
    );
    second.drain().await;
    third.drain().await;
}

/// Each worker says what the database holds: the greatest is the truth, the sum is not, and a dead worker is not missed.
#[tokio::test]
async fn gauges_from_the_database_are_the_same_in_every_worker() {
    let rig = Rig::new().await;
    let early = rig.work();
    looked(&early).await;
    rig.insert(&[order("o-1"), order("o-2"), lead("l-1")]).await;
    rig.until_final().await;
    // They wait again, for longer than this test.
    rig.run(
        "update conversion_outbox.delivery set state = 'pending', reason = 'retry', settled_at = null, due_at = now() + interval '1 hour'
          where destination = 'meta';
         select conversion_outbox.pause_destination('meta', 'a test')",
    )
    .await;
    let late = [rig.work(), rig.work()];
    let gauge = "conversion_outbox_backlog{destination=\"meta\",state=\"held\"}";
    for worker in &late {
        looked(worker).await;
        assert_eq!(worker.metric(gauge), 3.0);
        let others = ["due", "retry", "waiting", "leased"]
            .map(|state| worker.metric(&gauge.replace("held", state)));
        assert_eq!(others, [0.0; 4], "each delivery is in one state");
        assert_eq!(
            worker.metric("conversion_outbox_hold_info{destination=\"meta\",reason=\"paused\"}"),
            1.0
        );
        let open = "conversion_outbox_oldest_open_age_seconds{destination=\"meta\"}";
        assert!(worker.metric(open) > 0.0);
    }
    let [killed, living] = late;
    killed.task.abort();
    drop(killed.task.await);
    let max = [&early, &living].map(|worker| worker.metric(gauge));
    assert_eq!(max.into_iter().fold(0.0, f64::max), 3.0);
    early.drain().await;
    living.drain().await;
}

/// A bucket leads to a trace that somebody keeps, and to no other.
#[tokio::test]
async fn a_latency_bucket_names_the_order_that_fell_into_it() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup::only(&[
        conversion_outbox::destinations::Platform::Meta,
    ]));
    let traced = |id, trace: &str, flags: &str| {
        with(
            order(id),
            json!({ "traceparent": format!("00-{}-00f067aa0ba902b7-{flags}", trace.repeat(16)) }),
        )
    };
    rig.insert(&[traced("o-1", "ab", "01")]).await;
    rig.until_final().await;
    rig.insert(&[traced("o-2", "cd", "00")]).await;
    rig.until_final().await;
    let count = "conversion_outbox_delivery_latency_seconds_count{destination=\"meta\"}";
    reaches(&worker, count, 2.0).await;
    let text = worker.metrics.render();
    let is_named = |trace: &str| text.contains(&format!("# {{trace_id=\"{}\"}}", trace.repeat(16)));
    assert!(is_named("ab") && !is_named("cd"), "{text}");
    worker.drain().await;
}

/// With nothing to do, a worker shows that it could; a database that refuses its results is no heartbeat.
#[tokio::test]
async fn an_idle_worker_has_a_heartbeat_and_one_that_cannot_write_has_none() {
    let stage =
        |stage| format!("conversion_outbox_heartbeat_timestamp_seconds{{stage=\"{stage}\"}}");
    let rig = Rig::new().await;
    let idle = rig.work();
    reaches(&idle, &stage("claimed"), 1e9).await;
    reaches(&idle, &stage("settled"), 1e9).await;
    assert_eq!(idle.metric(&stage("enqueued")), 0.0, "there was no event");
    idle.drain().await;
    rig.run("revoke insert on conversion_outbox.attempt from conversion_outbox_worker")
        .await;
    let mute = rig.work();
    reaches(&mute, &stage("claimed"), 1e9).await;
    looked(&mute).await;
    assert_eq!(mute.metric(&stage("settled")), 0.0);
    mute.drain().await;
}

/// What is known of a credential's end, and of the API's version.
#[tokio::test]
async fn the_end_of_a_credential_shows_where_it_is_known() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup {
        meta: "credential_expires = \"2033-05-18\"",
        ..Setup::default()
    });
    looked(&worker).await;
    let expiry = |name| {
        let series = "conversion_outbox_credential_expiry_timestamp_seconds";
        worker.metric(&format!("{series}{{destination=\"{name}\"}}"))
    };
    assert_eq!((expiry("meta"), expiry("ga4")), (1_999_987_200.0, 0.0));
    assert!(
        !worker
            .metrics
            .render()
            .contains("expiry_timestamp_seconds{destination=\"ga4\"}")
    );
    worker.drain().await;
}

/// The program itself says which one it is, in both formats. The page stays in `target/tmp` for `promtool check metrics`.
#[tokio::test]
async fn the_program_says_which_one_it_is() {
    let rig = Rig::new().await;
    let mut worker = Process::start(&rig, Setup::default());
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    rig.until_final().await;
    let page = worker.metrics().await;
    let version = env!("CARGO_PKG_VERSION");
    let info = format!("conversion_outbox_build_info{{version=\"{version}\",revision=\"");
    let line = page.lines().find(|line| line.starts_with(&info));
    let schema: i32 = rig
        .one("select max(version)::integer from conversion_outbox.schema_migration")
        .await;
    assert!(
        line.is_some_and(|line| line.ends_with(&format!("schema_version=\"{schema}\"}} 1"))),
        "{page}"
    );
    let (head, body) = page.split_once("\r\n\r\n").expect("a head and a body");
    assert!(
        head.contains("content-type: text/plain; version=0.0.4"),
        "{head}"
    );
    let openmetrics = worker.openmetrics().await;
    let (head, modern) = openmetrics
        .split_once("\r\n\r\n")
        .expect("a head and a body");
    assert!(
        head.contains("content-type: application/openmetrics-text"),
        "{head}"
    );
    let folder = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(folder.join("metrics.txt"), body).expect("written");
    std::fs::write(folder.join("openmetrics.txt"), modern).expect("written");
    worker.signal("-TERM").await;
    assert_eq!(worker.ended().await, Some(0));
}
