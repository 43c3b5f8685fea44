//! Workers that compare by themselves, beside delivering.

use super::TABLES;
use crate::reports::report_lines;
use chrono::TimeDelta;
use conversion_outbox::destinations::Platform;
use conversion_outbox::sandbox::{self, FaultKind, ReportSettings, Zone};
use serde_json::json;

use crate::rig::{Rig, Setup, order, with};

const ENTRY: &str = r#"
[[reconcile]]
name = "orders"
event = "order_paid"
query = "select id as business_id, paid_at as occurred_at, total as value, currency from shop.orders where paid_at >= $1 and paid_at < $2"
days = 14
late_days = 3
"#;

#[tokio::test]
async fn two_replicas_compare_once_and_the_next_day_is_closed() {
    let rig = Rig::new().await;
    rig.run(TABLES).await;
    rig.run("create table public.runs (began_at timestamptz);
             create function public.note() returns trigger language plpgsql security definer as
               $$ begin insert into public.runs values (new.began_at); return null; end $$;
             create trigger note after insert or update of began_at on conversion_outbox.reconciliation_run
               for each row execute function public.note();
             create trigger tell after insert or update on conversion_outbox.reconciliation_run
               for each statement execute function public.tell();
             insert into shop.orders (id, paid_at, total) select 'o-' || n, now(), 49.90 from generate_series(1, 3) n").await;
    let setup = Setup {
        rest: ENTRY,
        ..Setup::default()
    };
    rig.insert(&[order("o-1"), order("o-2")]).await;
    let workers = [rig.work_with(setup), rig.work_with(setup)];
    rig.until(
        "exists (select from conversion_outbox.reconciliation_run where ended_at is not null)",
    )
    .await;
    rig.until_final().await;
    for worker in workers {
        worker.drain().await;
    }
    assert_eq!(rig.one::<i64>("select count(*) from public.runs").await, 1);
    let run = rig.one::<Option<String>>("select failed from conversion_outbox.reconciliation_run");
    assert_eq!(run.await, None);
    let today = "select format('%s %s %s %s', source_rows, matched, missing, is_closed) from conversion_outbox.reconciliation_day order by day desc limit 1";
    assert_eq!(rig.one::<String>(today).await, "3 2 1 f");
    assert_eq!(
        rig.one::<i64>("select count(*) from conversion_outbox.reconciliation_day")
            .await,
        14
    );

    // When late rows are not waited for any more, a worker closes the day, and its gauges say what is missing.
    rig.pass(TimeDelta::days(4));
    rig.run("update conversion_outbox.reconciliation_run set ended_at = null")
        .await;
    let worker = rig.work_with(setup);
    rig.until(
        "exists (select from conversion_outbox.reconciliation_run where ended_at is not null)",
    )
    .await;
    let lacks = "conversion_outbox_reconciliation_difference{destination=\"meta\",event_type=\"order_paid\"}";
    let told = async {
        while worker.metric(lacks) != 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), told)
        .await
        .expect("the gauge says so");
    let source =
        "conversion_outbox_reconciliation_source{destination=\"meta\",event_type=\"order_paid\"}";
    assert_eq!(worker.metric(source), 3.0);
    worker.drain().await;
    let first = "select format('%s %s', is_closed, missing) from conversion_outbox.reconciliation_day where source_rows > 0";
    assert_eq!(rig.one::<String>(first).await, "t 1");
    let ids = rig.one::<String>("select string_agg(business_id, ',') from conversion_outbox.reconciliation_gap where why = 'no_row'");
    assert_eq!(ids.await, "o-3");
}

#[tokio::test]
async fn what_platforms_report_is_asked_and_held_against_what_they_took() {
    let rig = Rig::new().await;
    rig.run(TABLES).await;
    // GA4 counts days of Tokyo, the entry those of UTC. All happened on a day that has begun in both.
    rig.sandbox.set_up_reports(ReportSettings {
        google_zone: Zone {
            name: "Asia/Tokyo".to_owned(),
            ahead_secs: 9 * 3600,
        },
        ..ReportSettings::default()
    });
    let hours = [10, 18, 26, 34, 42, 50, 58];
    for (n, hour) in hours.iter().enumerate() {
        let at = rig.clock.now() - TimeDelta::hours(*hour);
        let event = with(
            order(&format!("o-{n}")),
            json!({ "occurred_at": at.to_rfc3339() }),
        );
        rig.insert(&[event]).await;
        rig.run(&format!(
            "insert into shop.orders (id, paid_at, total) values ('o-{n}', '{}', 49.90)",
            at.to_rfc3339()
        ))
        .await;
    }
    let setup = Setup {
        meta: report_lines(&rig, Platform::Meta),
        ga4: report_lines(&rig, Platform::Ga4),
        ..Setup::default()
    };
    let worker = rig.work_with(setup);
    rig.until_final().await;
    worker.drain().await;
    rig.run(
        "create trigger tell after insert or update on conversion_outbox.reconciliation_run
           for each statement execute function public.tell()",
    )
    .await;
    let worker = rig.work_with(Setup {
        rest: ENTRY,
        ..setup
    });
    rig.until(
        "exists (select from conversion_outbox.reconciliation_run where ended_at is not null)",
    )
    .await;
    worker.drain().await;
    let run = "select concat_ws(' ', failed, notes) from conversion_outbox.reconciliation_run";
    assert_eq!(rig.one::<String>(run).await, "[]");
    // Both reported everything, and no day differs, whoever's it is.
    let told = "select string_agg(x, ' ' order by x) from (
        select format('%s %s %s %s', destination, sum(reported), min(reported_time_zone), sum(abs(difference))) as x
          from conversion_outbox.reconciliation_destination group by destination) x";
    assert_eq!(
        rig.one::<String>(told).await,
        "ga4 7 Asia/Tokyo 0 meta 7 UTC 0"
    );
    let gaps = "select count(*) from conversion_outbox.reconciliation_gap";
    assert_eq!(rig.one::<i64>(gaps).await, 0);

    // GA4 refuses to tell: the day is compared all the same, and the run says what is missing.
    rig.fault(FaultKind::Status, sandbox::Platform::Ga4, |fault| {
        fault.path = Some(":runReport".to_owned());
        fault.status = Some(403);
    });
    rig.run("update conversion_outbox.reconciliation_run set began_at = null, ended_at = null")
        .await;
    let worker = rig.work_with(Setup {
        rest: ENTRY,
        ..setup
    });
    rig.until(
        "exists (select from conversion_outbox.reconciliation_run where ended_at is not null)",
    )
    .await;
    worker.drain().await;
    let run = "select concat_ws(' ', failed, notes) from conversion_outbox.reconciliation_run";
    let said = rig.one::<String>(run).await;
    assert!(
        said.starts_with("[\"ga4: the platform refuses") && said.contains("Fix: "),
        "{said}"
    );
    assert_eq!(
        rig.one::<String>(told).await,
        "ga4 7 Asia/Tokyo 0 meta 7 UTC 0"
    );
}
