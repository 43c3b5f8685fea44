//! Workers killed at the worst moments, and a database that goes away: real processes, real signals.

use chrono::TimeDelta;
use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::postgres::{Durability, Options};
use conversion_outbox::sandbox::{FaultKind, Platform, Verdict};

use crate::process::Process;
use crate::rig::{
    self, ACTION, ADS_ACTION, ADS_LEAD_ACTION, LEAD_ACTION, LEAD_RULE, RULE, Rig, Setup, lead,
    order, refund,
};

/// All platforms, each event in a request of its own: none waits for another.
fn one_by_one() -> Setup {
    let setup = Destination::ALL.into_iter();
    setup.fold(Setup::all(), |setup, platform| {
        setup.lines(platform, "batch_size = 1")
    })
}

#[tokio::test]
async fn a_worker_killed_before_the_platform_took_anything_loses_nothing() {
    let rig = Rig::new().await;
    let held = Platform::ALL.map(|platform| {
        rig.event_fault(FaultKind::ResetBefore, platform, |fault| {
            fault.latency_ms = Some(600_000)
        })
    });
    let worker = Process::start(&rig, one_by_one());
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    // All are under way: the purchase under the queue's lease, what must not be repeated announced.
    for rule in held {
        struck(&rig, rule, 2).await;
    }
    let announced: String = rig
        .one("select string_agg(destination, ' ' order by destination) from conversion_outbox.delivery where reason = 'sending'")
        .await;
    assert_eq!(announced, "ga4 linkedin linkedin");
    worker.kill().await;
    rig.sandbox.clear_faults();
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work_with(Setup::all());
    rig.until_final().await;
    for (destination, state, count) in [
        ("meta", "accepted", 2),
        ("ga4", "sent", 1),
        ("google_data_manager", "sent", 2),
        ("google_ads", "accepted", 2),
        // Nobody knows that they never arrived.
        ("ga4", "uncertain", 1),
        ("linkedin", "uncertain", 2),
    ] {
        assert_eq!(
            rig.count(destination, state).await,
            count,
            "{destination} {state}"
        );
    }
    assert_eq!(
        rig.state("ga4", "lead_created:l-1").await,
        "uncertain/no_answer"
    );
    assert_eq!(rig.doubles(), 0);
    assert!(rig.arrived(Platform::LinkedIn).is_empty());
    second.drain().await;
}

/// A rule has struck so often: its requests have been read.
async fn struck(rig: &Rig, rule: u64, least: u64) {
    let striking = async {
        while rig.sandbox.struck(rule) < Some(least) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), striking)
        .await
        .expect("the requests arrive");
}

#[tokio::test]
async fn a_worker_killed_after_the_platform_took_it_doubles_nothing_that_counts() {
    let rig = Rig::new().await;
    let held = Platform::ALL.map(|platform| {
        rig.event_fault(FaultKind::HoldAfter, platform, |fault| {
            fault.times = Some(2)
        })
    });
    let worker = Process::start(&rig, one_by_one());
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    for rule in held {
        rig.held(rule, 2).await;
    }
    worker.kill().await;
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work_with(Setup::all());
    rig.until_final().await;
    assert_eq!(
        rig.count("meta", "accepted").await,
        2,
        "sent again with the same id, within the window"
    );
    let of = |platform: Platform, name: &str| {
        let rows = rig.arrived(platform);
        let named = rows
            .iter()
            .filter(|row| row.event_name.as_deref() == Some(name));
        named.map(|row| row.verdict).collect::<Vec<_>>()
    };
    assert_eq!(
        of(Platform::Ga4, "generate_lead"),
        [Verdict::Stored],
        "a lead is not sent again"
    );
    assert_eq!(
        of(Platform::Ga4, "purchase"),
        [Verdict::Stored, Verdict::Deduplicated]
    );
    for action in [ACTION, LEAD_ACTION] {
        assert_eq!(
            of(Platform::GoogleDataManager, action),
            [Verdict::Stored, Verdict::Adjusted],
            "a resend is an upsert"
        );
    }
    for action in [ADS_ACTION, ADS_LEAD_ACTION] {
        assert_eq!(
            of(Platform::GoogleAds, action),
            [Verdict::Stored, Verdict::Deduplicated]
        );
    }
    for rule in [RULE, LEAD_RULE] {
        assert_eq!(of(Platform::LinkedIn, rule), [Verdict::Stored]);
    }
    for (destination, purchase, lead) in [
        ("ga4", "sent", "uncertain/no_answer"),
        ("google_data_manager", "sent", "sent"),
        ("google_ads", "accepted/duplicate", "accepted/duplicate"),
        ("linkedin", "uncertain/no_answer", "uncertain/no_answer"),
    ] {
        let found = [
            rig.state(destination, "order_paid:o-1").await,
            rig.state(destination, "lead_created:l-1").await,
        ];
        assert_eq!(found, [purchase, lead], "{destination}");
    }
    // Meta promises nothing between two requests of a server: its emulator calls a repeat a double.
    let doubles = rig.sandbox.read(|ledger| {
        let others = ledger
            .accounts()
            .filter(|(platform, _, _)| *platform != Platform::Meta);
        others.map(|(_, _, count)| count.doubles).sum::<u64>()
    });
    assert_eq!(doubles, 0);
    second.drain().await;
}

#[tokio::test]
async fn a_worker_killed_between_a_late_answer_and_its_record_asks_again() {
    let rig = Rig::new().await;
    let setup = Setup::only(&[Destination::GoogleDataManager]);
    let worker = Process::start(&rig, setup);
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    let held = rig.fault(FaultKind::HoldAfter, Platform::GoogleDataManager, |fault| {
        (fault.path, fault.times) = (Some("requestStatus".into()), Some(1));
    });
    // A process has a clock of its own: its question is made due, and Google is ready to answer.
    rig.later(TimeDelta::minutes(31)).await;
    rig.run("update conversion_outbox.request set due_at = now()")
        .await;
    rig.held(held, 1).await;
    worker.kill().await;
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work_with(setup);
    rig.until_state("google_data_manager", "order_paid:o-1", "accepted")
        .await;
    let asked: i16 = rig.one("select asked from conversion_outbox.request").await;
    assert_eq!(asked, 1, "what was not written down does not count");
    assert_eq!(rig.arrived(Platform::GoogleDataManager).len(), 1);
    let totals: String = rig
        .one("select string_agg(state || ' ' || total, ', ' order by state) from conversion_outbox.destination_total where total <> 0")
        .await;
    assert_eq!(totals, "accepted 1");
    second.drain().await;
}

#[tokio::test]
async fn a_worker_killed_with_a_refund_in_its_hands_takes_it_back_once() {
    const PLATFORMS: [Destination; 3] = [
        Destination::Ga4,
        Destination::GoogleDataManager,
        Destination::GoogleAds,
    ];
    let rig = Rig::new().await;
    let setup = Setup::only(&PLATFORMS);
    let first = rig.work_with(setup);
    rig.insert(&[order("o-1")]).await;
    rig.until_final().await;
    rig.later(TimeDelta::minutes(31)).await;
    rig.until_state("google_data_manager", "order_paid:o-1", "accepted")
        .await;
    first.drain().await;
    let held = [
        Platform::Ga4,
        Platform::GoogleDataManager,
        Platform::GoogleAds,
    ]
    .map(|platform| {
        rig.event_fault(FaultKind::HoldAfter, platform, |fault| {
            fault.times = Some(1)
        })
    });
    let worker = Process::start(&rig, setup);
    rig.insert(&[refund("o-1", 1, Some(9.90))]).await;
    for rule in held {
        rig.held(rule, 1).await;
    }
    worker.kill().await;
    rig.insert(&[refund("o-1", 2, Some(10.0))]).await;
    rig.pass(TimeDelta::minutes(2));
    let second = rig.work_with(setup);
    // The first refund is confirmed, then the second one goes, and is confirmed.
    for n in 1..=2 {
        let refund = format!("o-1_refund_{n}");
        for state in ["sent", "accepted"] {
            rig.until_state("google_data_manager", &refund, state).await;
            rig.later(TimeDelta::minutes(45)).await;
        }
    }
    rig.until_final().await;
    for (platform, action) in [
        (Platform::GoogleDataManager, ACTION),
        (Platform::GoogleAds, ADS_ACTION),
    ] {
        let values = rig.sandbox.read(|ledger| {
            let mut all = ledger.conversions();
            let found = all.find(|(key, _)| key.platform == platform && key.event_name == action);
            let (_, conversion) = found.expect("counted");
            let history = conversion.history().iter();
            let mut values: Vec<String> = history
                .filter_map(|change| change.amount.value.clone())
                .collect();
            values.dedup();
            (conversion.counted(), values)
        });
        assert_eq!(
            values,
            (1, ["49.9", "40", "30"].map(str::to_owned).to_vec()),
            "{platform}"
        );
    }
    // GA4 does not recognise a refund that comes again.
    assert_eq!(
        rig.state("ga4", "o-1_refund_1").await,
        "uncertain/no_answer"
    );
    assert_eq!(rig.state("ga4", "o-1_refund_2").await, "sent");
    let refunds = rig
        .arrived(Platform::Ga4)
        .into_iter()
        .filter(|row| row.event_name.as_deref() == Some("refund"));
    assert_eq!(refunds.count(), 2, "each once");
    second.drain().await;
}

#[tokio::test]
async fn killed_again_and_again_it_still_delivers_everything() {
    let rig = Rig::new().await;
    rig.insert(
        &(0..200)
            .map(|n| order(&format!("o-{n}")))
            .collect::<Vec<_>>(),
    )
    .await;
    for round in 1..=4_i64 {
        let worker = Process::start(
            &rig,
            Setup {
                worker: "batch_events = 20",
                ga4: "concurrency = 1",
                ..Setup::default()
            },
        );
        rig.until(&format!("(select count(*) from conversion_outbox.delivery where state in ('accepted', 'sent')) > {}", round * 20)).await;
        worker.kill().await;
        // Leases of a killed worker run out.
        rig.run("update conversion_outbox.queue set lease_until = now() - interval '1 s' where lease_until is not null").await;
        rig.run("update conversion_outbox.delivery set lease_until = now() - interval '1 s' where lease_until is not null").await;
    }
    let last = rig.work();
    rig.until_final().await;
    assert_eq!(
        (
            rig.count("meta", "accepted").await,
            rig.count("ga4", "sent").await
        ),
        (200, 200)
    );
    let counted = rig.sandbox.read(|ledger| ledger.conversions().count());
    assert_eq!(counted, 400);
    let purchases_doubled = rig
        .sandbox
        .read(|ledger| ledger.count(Platform::Ga4, Verdict::WouldDouble));
    assert_eq!(purchases_doubled, 0);
    last.drain().await;
}

#[tokio::test]
async fn sigterm_drains_and_gives_back_what_was_not_sent() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    let mut worker = Process::start(
        &rig,
        Setup {
            meta: "batch_size = 1\nconcurrency = 2",
            ..Setup::default()
        },
    );
    rig.insert(
        &(0..10)
            .map(|n| order(&format!("o-{n}")))
            .collect::<Vec<_>>(),
    )
    .await;
    rig.held(hold, 2).await;
    worker.signal("-TERM").await;
    rig.sandbox.release(hold);
    let ended = worker.ended().await;
    assert_eq!(ended, Some(0));
    let leased: i64 = rig
        .one("select (select count(*) from conversion_outbox.queue where lease_until is not null)
                   + (select count(*) from conversion_outbox.delivery where lease_until is not null)")
        .await;
    assert_eq!(leased, 0);
    let second = rig.work();
    rig.until_final().await;
    assert_eq!(rig.count("meta", "accepted").await, 10);
    assert_eq!(rig.doubles(), 0);
    second.drain().await;
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let rig = Rig::new().await;
    let hold = rig.fault(FaultKind::HoldBefore, Platform::Meta, |_| {});
    let mut worker = Process::start(&rig, Setup::default());
    rig.insert(&[order("o-1")]).await;
    rig.held(hold, 1).await;
    worker.signal("-TERM").await;
    worker.signal("-INT").await;
    let ended = worker.ended().await;
    assert_eq!(ended, Some(1));
    rig.sandbox.release(hold);
}

#[tokio::test]
async fn a_database_that_crashes_at_settle_loses_and_doubles_nothing() {
    let server = rig::start(Options {
        durability: Durability::Real,
        ..Options::default()
    })
    .await;
    let mut rig = Rig::on(&server).await;
    let held =
        Platform::ALL.map(|platform| rig.event_fault(FaultKind::HoldAfter, platform, |_| {}));
    let patient = Setup {
        worker: "request_timeout_secs = 45\ndrain_secs = 45",
        ..one_by_one()
    };
    let worker = rig.work_with(patient);
    rig.insert(&[order("o-1"), lead("l-1")]).await;
    for rule in held {
        rig.held(rule, 2).await;
    }
    server.crash().expect("it was running");
    for rule in held {
        rig.sandbox.release(rule);
    }
    // The answers arrive while there is nowhere to write them, and the leases run out: it is still this worker that knows.
    let waiting = async {
        while worker.metric("conversion_outbox_unwritten_results") < 1.0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), waiting)
        .await
        .expect("the results wait");
    rig.pass(TimeDelta::minutes(2));
    server.restart().expect("it recovers");
    rig.reconnect().await;
    rig.until_final().await;
    for platform in Platform::ALL {
        let state = match platform {
            Platform::Ga4 | Platform::GoogleDataManager => "sent",
            _ => "accepted",
        };
        assert_eq!(rig.count(platform.as_str(), state).await, 2, "{platform}");
        assert_eq!(
            rig.arrived(platform).len(),
            2,
            "{platform}: the results were kept, so nothing is sent again"
        );
    }
    worker.drain().await;
}
