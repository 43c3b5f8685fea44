//! Limits of requests, throttling, the circuit and fairness, with workers at work.

use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::{FaultKind, Platform};
use serde_json::Value;

use crate::rig::{Rig, Running, Setup, order};

fn orders(prefix: &str, count: usize) -> Vec<Value> {
    (0..count)
        .map(|n| order(&format!("{prefix}-{n}")))
        .collect()
}

/// Deliveries that wait for a destination since yesterday, without going through a queue.
async fn backlog(rig: &Rig, destination: &str, count: u32, replayed_at: &str) {
    rig.run(&format!(
        "set session_replication_role = replica;
         with written as (
           insert into conversion_outbox.event (event_id, event_name, business_id, occurred_at, value, currency, consent, user_data)
           select 'old-' || n, 'order_paid', 'old-' || n, now() - interval '1 hour', 1, 'EUR',
                  '{{\"ad_storage\":\"granted\",\"analytics_storage\":\"granted\",\"ad_user_data\":\"granted\",\"ad_personalization\":\"granted\"}}',
                  jsonb_build_object('email', n || '@example.com')
             from generate_series(1, {count}) n
           returning event_no)
         insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at, replayed_at)
         select event_no, '{destination}', 'pending', 'retry', now() - interval '1 day', {replayed_at} from written;
         set session_replication_role = origin;
         analyze conversion_outbox.delivery",
    ))
    .await;
}

/// That so many requests wait at a rule, and no more come in a while.
async fn exactly(rig: &Rig, rule: u64, count: u64) {
    rig.held(rule, count).await;
    rig.until_for(Duration::from_millis(400), "false").await;
    assert_eq!(rig.sandbox.struck(rule), Some(count));
}

#[tokio::test]
async fn two_workers_stay_under_one_limit_and_share_it() {
    const EVENTS: usize = 44;
    let rig = Rig::new().await;
    let setup = Setup {
        worker: "batch_events = 5",
        meta: "batch_size = 1\nrate_limit = { requests = 30, per_secs = 3 }",
        ..Setup::default()
    };
    let workers = [rig.work_with(setup), rig.work_with(setup)];
    for chunk in orders("o", EVENTS).chunks(11) {
        rig.insert(chunk).await;
    }
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'ga4' and state = 'sent') = 44")
        .await;
    assert!(
        rig.count("meta", "accepted").await < 40,
        "the other destination did not wait"
    );
    rig.until_final().await;
    let arrived: Vec<_> = rig
        .arrived(Platform::Meta)
        .iter()
        .map(|row| row.received_at)
        .collect();
    assert_eq!(arrived.len(), EVENTS, "each went once");
    let within = |from: chrono::DateTime<chrono::Utc>| {
        let span = from..from + TimeDelta::seconds(3);
        arrived.iter().filter(|at| span.contains(at)).count()
    };
    let fullest = arrived.iter().map(|from| within(*from)).max();
    assert!(fullest <= Some(30), "{fullest:?} in three seconds");
    for worker in workers {
        let sent = worker
            .metric("conversion_outbox_attempts_total{destination=\"meta\",result=\"accepted\"}");
        // Who gets how many depends on who comes when; nobody is left out.
        assert!(sent >= 1.0 && sent < EVENTS as f64, "{sent} of {EVENTS}");
        worker.drain().await;
    }
}

#[tokio::test]
async fn questions_for_late_answers_count_too() {
    let rig = Rig::new().await;
    let worker = rig.work_with(Setup {
        google: "batch_size = 1\nrate_limit = { requests = 2, per_secs = 86400 }",
        ..Setup::only(&[Destination::GoogleDataManager])
    });
    rig.insert(&[order("o-1")]).await;
    rig.until_state("google_data_manager", "order_paid:o-1", "sent")
        .await;
    // The one request at once is used up, and so is the limit for half a day: nobody asks.
    rig.later(TimeDelta::minutes(31)).await;
    rig.until_for(Duration::from_millis(1500), "false").await;
    assert_eq!(
        rig.one::<i64>("select sum(asked) from conversion_outbox.request")
            .await,
        0
    );
    rig.later(TimeDelta::hours(13)).await;
    worker.drain().await;
    let worker = rig.work_with(Setup {
        google: "batch_size = 1\nrate_limit = { requests = 2, per_secs = 86400 }",
        ..Setup::only(&[Destination::GoogleDataManager])
    });
    rig.until_state("google_data_manager", "order_paid:o-1", "accepted")
        .await;
    worker.drain().await;
}

#[tokio::test]
async fn what_throttles_one_worker_quiets_all_and_one_of_them_probes() {
    let rig = Rig::new().await;
    let setup = Setup {
        meta: "batch_size = 10",
        ..Setup::default()
    };
    let workers: Vec<Running> = (0..3).map(|_| rig.work_with(setup)).collect();
    rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
        (fault.code, fault.regain_minutes, fault.times) = (Some(4), Some(5), Some(1));
    });
    rig.insert(&[order("first")]).await;
    rig.until("exists (select from conversion_outbox.destination where throttles = 1 and throttled_until > now() + interval '4 minutes')")
        .await;
    // Within a second all of them obey; what goes out until then goes well.
    let is_quiet = |worker: &Running| {
        worker.metric("conversion_outbox_circuit_state{destination=\"meta\"}") == 2.0
    };
    let obeyed = async {
        while !workers.iter().all(is_quiet) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), obeyed)
        .await
        .expect("all follow");
    let requests = rig.arrived(Platform::Meta).len();
    for chunk in orders("later", 60).chunks(10) {
        rig.insert(chunk).await;
    }
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'meta' and state = 'pending' and lease_until is null) = 61")
        .await;
    assert_eq!(rig.arrived(Platform::Meta).len(), requests);

    let hold = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    rig.later(TimeDelta::minutes(6)).await;
    rig.held(hold, 1).await;
    rig.until_for(Duration::from_millis(1500), "false").await;
    assert_eq!(
        rig.sandbox.struck(hold),
        Some(1),
        "one probe of three workers"
    );
    rig.sandbox.remove_fault(hold);
    rig.later(TimeDelta::hours(1)).await;
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 61);
    assert!(
        rig.one::<bool>(
            "select throttles = 0 from conversion_outbox.destination where name = 'meta'"
        )
        .await
    );
    let burned: i16 = rig
        .one("select max(attempts) from conversion_outbox.delivery")
        .await;
    assert_eq!(burned, 1, "throttling burns no attempt");
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test]
async fn of_all_workers_one_probes_a_hold_with_one_delivery() {
    let rig = Rig::new().await;
    let fault = rig.fault(FaultKind::MetaError, Platform::Meta, |fault| {
        fault.code = Some(200);
    });
    let workers: Vec<Running> = (0..3).map(|_| rig.work()).collect();
    rig.insert(&orders("o", 30)).await;
    rig.until(
        "exists (select from conversion_outbox.destination where hold_reason = 'permission')",
    )
    .await;
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'meta' and state = 'pending' and lease_until is null) = 30")
        .await;
    rig.until_for(Duration::from_millis(1200), "false").await;
    rig.sandbox.remove_fault(fault);
    let before = rig.arrived(Platform::Meta).len();
    let hold = rig.event_fault(FaultKind::HoldAfter, Platform::Meta, |_| {});
    rig.later(TimeDelta::minutes(6)).await;
    rig.held(hold, 1).await;
    rig.until_for(Duration::from_millis(1500), "false").await;
    assert_eq!(
        rig.sandbox.struck(hold),
        Some(1),
        "one probe of three workers"
    );
    assert_eq!(
        rig.arrived(Platform::Meta).len(),
        before + 1,
        "and in it one delivery"
    );
    rig.sandbox.remove_fault(hold);
    rig.until_final().await;
    for worker in workers {
        worker.drain().await;
    }
}

#[tokio::test]
async fn after_an_outage_it_goes_step_by_step() {
    let rig = Rig::new().await;
    let down = rig.fault(FaultKind::Status, Platform::Meta, |fault| {
        fault.status = Some(503);
    });
    let worker = rig.work_with(Setup {
        worker: "attempts_max = 1\nbackoff_cap_secs = 5\nbackoff_initial_secs = 1",
        meta: "batch_size = 1\nconcurrency = 8",
        ..Setup::only(&[Destination::Meta])
    });
    rig.insert(&orders("o", 40)).await;
    rig.until("not exists (select from conversion_outbox.queue) and (select count(*) from conversion_outbox.delivery where state = 'pending') = 40")
        .await;
    let mut hold = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    rig.sandbox.remove_fault(down);
    rig.later(TimeDelta::minutes(3)).await;
    for at_once in [1, 1, 2, 4, 8] {
        exactly(&rig, hold, at_once).await;
        let next = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
        rig.sandbox.remove_fault(hold);
        hold = next;
    }
    rig.sandbox.clear_faults();
    rig.until_final().await;
    assert_eq!(
        rig.count("meta", "accepted").await,
        40,
        "no attempt was burned"
    );
    worker.drain().await;
}

#[tokio::test]
async fn a_destination_that_is_stuck_with_a_backlog_starves_no_other() {
    let rig = Rig::new().await;
    backlog(&rig, "meta", 20_000, "null").await;
    let hold = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    let worker = rig.work_with(Setup {
        worker: "batch_events = 20\nrequest_timeout_secs = 20\nlease_secs = 60",
        meta: "batch_size = 1\nconcurrency = 2",
        ..Setup::default()
    });
    rig.held(hold, 2).await;
    // Twice as many as there is place for in memory.
    for chunk in orders("fresh", 450).chunks(50) {
        rig.insert(chunk).await;
    }
    rig.until("(select count(*) from conversion_outbox.delivery where destination = 'ga4' and state = 'sent') = 450")
        .await;
    assert_eq!(rig.sandbox.struck(hold), Some(2), "nothing has moved there");
    assert_eq!(rig.count("meta", "accepted").await, 0);
    worker.stop();
    rig.sandbox.remove_fault(hold);
    worker.drain().await;
}

#[tokio::test]
async fn a_fresh_conversion_is_not_stuck_behind_a_replay_or_a_backlog() {
    for replayed_at in ["now()", "null"] {
        let rig = Rig::new().await;
        backlog(&rig, "meta", 2000, replayed_at).await;
        let hold = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
        let worker = rig.work_with(Setup {
            meta: "batch_size = 1\nconcurrency = 1",
            ..Setup::only(&[Destination::Meta])
        });
        rig.held(hold, 1).await;
        rig.insert(&[order("fresh")]).await;
        rig.until("not exists (select from conversion_outbox.queue where lease_until is null)")
            .await;
        rig.sandbox.remove_fault(hold);
        rig.until_state("meta", "order_paid:fresh", "accepted")
            .await;
        worker.stop();
        let place = rig
            .arrived(Platform::Meta)
            .iter()
            .position(|row| row.event_id.as_deref() == Some("order_paid:fresh"));
        assert!(place < Some(50), "{place:?} of 2000");
        worker.drain().await;
    }
}

#[tokio::test]
async fn a_daily_quota_is_waited_out_until_its_hour() {
    let rig = Rig::new().await;
    rig.fault(FaultKind::LinkedinError, Platform::LinkedIn, |fault| {
        fault.reason = Some("TOO_MANY_REQUESTS".into());
    });
    let worker = rig.work_with(Setup::only(&[Destination::LinkedIn]));
    rig.insert(&[order("o-1")]).await;
    let standing = "conversion_outbox.destination where throttles";
    rig.until(&format!("exists (select from {standing} = 1)"))
        .await;
    // The test may run at any time of the day: on to the early morning, when this day's quota cannot be new yet.
    let now = rig.clock.now();
    let morning = (now.date_naive() + chrono::Days::new(1)).and_hms_opt(3, 0, 0);
    rig.later(morning.expect("a time").and_utc() - now).await;
    let quiet_until =
        "select (throttled_until at time zone 'utc')::text from conversion_outbox.destination";
    rig.until(&format!("exists (select from {standing} > 1)"))
        .await;
    let until: String = rig.one(quiet_until).await;
    let expected = (now.date_naive() + chrono::Days::new(2)).to_string();
    assert!(
        until.starts_with(&format!("{expected} 00:0")) && &until[15..] >= "5",
        "{until}, not minutes after {expected} 00:05"
    );
    worker.drain().await;
}

#[tokio::test]
async fn the_backlog_tells_what_is_under_lease_whoever_asks() {
    let rig = Rig::new().await;
    let hold = rig.event_fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    backlog(&rig, "meta", 3, "null").await;
    let worker = rig.work_with(Setup {
        meta: "batch_size = 1\nconcurrency = 8",
        ..Setup::only(&[Destination::Meta])
    });
    rig.held(hold, 3).await;
    rig.insert(&[order("o-1"), order("o-2")]).await;
    rig.held(hold, 5).await;
    let leased =
        "select leased from conversion_outbox.destination_backlog where destination = 'meta'";
    assert_eq!(rig.one::<i64>(leased).await, 5);
    let other = rig.work_with(Setup::only(&[Destination::Meta]));
    let gauge = "conversion_outbox_backlog{destination=\"meta\",state=\"leased\"}";
    let told = async {
        while other.metric(gauge) != 5.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told)
        .await
        .expect("the other worker says the same");
    rig.sandbox.remove_fault(hold);
    rig.until_final().await;
    assert_eq!(rig.one::<i64>(leased).await, 0);
    worker.drain().await;
    other.drain().await;
}
