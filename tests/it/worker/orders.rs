//! Orders and refunds at random, under faults at random, against a model that can be read at a glance: what was paid, less
//! what was given back.
//!
//! The same seed makes the same orders, faults and steps. Two workers race, so not every run takes the same course; what must
//! hold holds in every one.

mod plot;

use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::sandbox::{Conversion, FaultKind, Platform, Verdict};
use serde_json::Value;

use self::plot::{Dice, Order, Plot};
use crate::rig::{ACTION, ADS_ACTION, Rig, Setup};

/// Hours that pass after the last order at most; every wait that is not for ever has ended by then.
const PATIENCE_HOURS: usize = 60;

#[tokio::test]
async fn seed_1() {
    tell(1).await;
}

#[tokio::test]
async fn seed_2() {
    tell(2).await;
}

#[tokio::test]
async fn seed_3() {
    tell(3).await;
}

#[tokio::test]
async fn seed_4() {
    tell(4).await;
}

async fn tell(seed: u64) {
    let rig = Rig::new().await;
    let mut dice = Dice(seed);
    let plot = Plot::new(&mut dice);
    faults(&rig, &mut dice);
    let setup = Setup {
        worker: "batch_events = 20",
        // What a server sends twice Meta may count twice.
        meta: "on_ambiguous = \"uncertain\"",
        google: "batch_size = 5",
        ..Setup::all()
    };
    let workers = [rig.work_with(setup), rig.work_with(setup)];
    for transactions in &plot.steps {
        for events in transactions {
            rig.insert(events).await;
        }
        settle_down(&rig).await;
        if dice.one_in(4) {
            rig.sandbox.google(|world| world.revoke_access_tokens());
        }
        rig.later(TimeDelta::seconds(dice.up_to(7200))).await;
    }
    rig.sandbox.clear_faults();
    let mut hours = 0;
    while !is_over(&rig).await && hours < PATIENCE_HOURS {
        rig.later(TimeDelta::hours(1)).await;
        settle_down(&rig).await;
        hours += 1;
    }
    for worker in workers {
        worker.drain().await;
    }
    let mut broken = Vec::new();
    if !is_over(&rig).await {
        broken.push("something is pending for ever".to_owned());
    }
    if rig.doubles() > 0 {
        broken.push("something was counted twice".to_owned());
    }
    let differs: i64 = rig
        .one("select count(*) from (select destination, state, count(*) from conversion_outbox.delivery group by 1, 2) d
              full join (select * from conversion_outbox.destination_total where total <> 0) t using (destination, state)
             where d.count is distinct from t.total")
        .await;
    if differs > 0 {
        broken.push("the running totals tell something else".to_owned());
    }
    let mut story = String::new();
    for order in &plot.orders {
        let found = check(&rig, order).await;
        if !found.is_empty() {
            let told = history(&rig, order).await;
            story.push_str(&format!(
                "{}: {found:?}
{told}
",
                order.id
            ));
            broken.extend(found);
        }
    }
    assert!(broken.is_empty(), "seed {seed}: {broken:?}\n{story}");
}

/// Every platform fails now and then, in each of its ways that pass.
fn faults(rig: &Rig, dice: &mut Dice) {
    for platform in Platform::ALL {
        for kind in [
            FaultKind::Status,
            FaultKind::Status,
            FaultKind::ResetBefore,
            FaultKind::ResetAfter,
        ] {
            let status = [500, 503, 429][dice.up_to(3) as usize];
            let probability = dice.up_to(12) as f64 / 100.0;
            rig.event_fault(kind, platform, |fault| {
                fault.status = (kind == FaultKind::Status).then_some(status);
                (fault.retry_after, fault.probability) = (Some(30), Some(probability));
            });
        }
    }
    let google = Platform::GoogleDataManager;
    let late = dice.up_to(5 * 3600);
    rig.fault(FaultKind::LateStatus, google, |fault| {
        (fault.late_secs, fault.probability) = (u32::try_from(late).ok(), Some(0.3));
    });
    for reason in ["INTERNAL_ERROR", "TOO_RECENT_CLICK"] {
        rig.event_fault(FaultKind::ProcessingError, google, |fault| {
            fault.reason = Some(format!("PROCESSING_ERROR_REASON_{reason}"));
            fault.probability = Some(0.08);
        });
    }
    rig.fault(FaultKind::Status, google, |fault| {
        (fault.path, fault.status, fault.probability) =
            (Some("requestStatus".into()), Some(503), Some(0.2));
    });
    rig.fault(FaultKind::AdsRowError, Platform::GoogleAds, |fault| {
        fault.reason = Some("conversionUploadError.TOO_RECENT_EVENT".into());
        fault.probability = Some(0.05);
    });
}

/// Gives the workers the time to do what is due; what a fault keeps waiting comes later.
async fn settle_down(rig: &Rig) {
    let now = rig.clock.now().to_rfc3339();
    let done = format!(
        "not exists (select from conversion_outbox.queue)
         and not exists (select from conversion_outbox.delivery where state = 'pending' and (lease_until > '{now}' or due_at <= '{now}'))
         and not exists (select from conversion_outbox.request where settled_at is null and due_at <= '{now}')"
    );
    rig.until_for(Duration::from_millis(800), &done).await;
}

async fn is_over(rig: &Rig) -> bool {
    rig.one(
        "select not exists (select from conversion_outbox.queue)
            and not exists (select from conversion_outbox.delivery where state = 'pending')
            and not exists (select from conversion_outbox.request where settled_at is null)",
    )
    .await
}

/// What is wrong with one order.
async fn check(rig: &Rig, order: &Order) -> Vec<String> {
    let mut broken = Vec::new();
    for (destination, platform, action) in [
        ("google_data_manager", Platform::GoogleDataManager, ACTION),
        ("google_ads", Platform::GoogleAds, ADS_ACTION),
    ] {
        let purchase = rig.state(destination, &order.event_id()).await;
        let counted = conversion(rig, platform, action, &order.event_id());
        match &counted {
            None if purchase == "cancelled/taken_back" => {}
            None => broken.push(format!("{destination} lost it: {purchase}")),
            Some(counted) => broken.extend(
                worth(rig, destination, order, counted)
                    .await
                    .map(|what| format!("{destination}: {what}")),
            ),
        }
    }
    let of_ga4: Vec<i64> = rig
        .arrived(Platform::Ga4)
        .iter()
        .filter(|row| row.event_id.as_deref() == Some(&order.id) && row.verdict == Verdict::Stored)
        .filter(|row| row.event_name.as_deref() == Some("refund"))
        .map(|row| cents(row.value.as_deref()))
        .collect();
    let given_back: i64 = of_ga4.iter().sum();
    let lost: i64 = rig
        .one(&format!(
            "select count(*) from conversion_outbox.delivery join conversion_outbox.event using (event_no)
              where destination = 'ga4' and business_id = '{}' and state = 'uncertain'",
            order.id
        ))
        .await;
    let left = rig.state("ga4", &order.event_id()).await == "sent";
    if given_back > order.paid || left && lost == 0 && given_back != order.paid - order.left() {
        broken.push(format!(
            "ga4 gave back {given_back} of {}: {of_ga4:?}",
            order.paid
        ));
    }
    if order.is_stillborn {
        for platform in Platform::ALL {
            let rows = rig.arrived(platform);
            let id = order.event_id();
            let is_its = |found: Option<&str>| found == Some(&id) || found == Some(&order.id);
            if rows.iter().any(|row| is_its(row.event_id.as_deref())) {
                broken.push(format!(
                    "{platform} heard of what was taken back before it left"
                ));
            }
        }
    }
    broken
}

/// What is wrong with a conversion at Google.
async fn worth(
    rig: &Rig,
    destination: &str,
    order: &Order,
    counted: &Conversion,
) -> Option<String> {
    let values: Vec<i64> = counted
        .history()
        .iter()
        .map(|change| cents(change.amount.value.as_deref()))
        .collect();
    if values.windows(2).any(|pair| pair[1] > pair[0]) {
        return Some(format!("its value went up: {values:?}"));
    }
    if counted.counted() > 1 {
        return Some("counted twice".to_owned());
    }
    let mut states = Vec::new();
    for id in order.reversal_ids() {
        states.push(rig.state(destination, &id).await);
    }
    let is_told = |state: &String| {
        [
            "accepted",
            "accepted/duplicate",
            "skipped/taken_back_before",
        ]
        .contains(&state.as_str())
    };
    let value = *values.last()?;
    if value != order.left() || !states.iter().all(is_told) {
        return Some(format!(
            "worth {value}, not {}: {values:?}, {states:?}",
            order.left()
        ));
    }
    None
}

fn conversion(rig: &Rig, platform: Platform, action: &str, key: &str) -> Option<Conversion> {
    rig.sandbox.read(|ledger| {
        let mut all = ledger.conversions();
        let found =
            all.find(|(of, _)| of.platform == platform && of.event_name == action && of.key == key);
        found.map(|(_, conversion)| conversion.clone())
    })
}

/// An amount as written, in cents.
fn cents(value: Option<&str>) -> i64 {
    let value: f64 = value.unwrap_or("0").parse().expect("a number");
    (value * 100.0).round() as i64
}

/// Everything that happened to an order: rows, deliveries, and what arrived.
async fn history(rig: &Rig, order: &Order) -> String {
    let mut told: String = rig
        .one(&format!(
            "select string_agg(concat_ws(' ', event_id, reversal_no, value, 'recorded', recorded_at, '|', destination, state, reason,
                      'tries', tries, attempts, 'tried', tried_at, 'settled', settled_at, 'due', due_at, response_code, error_code),
                    E'\\n' order by destination, event_no)
               from conversion_outbox.event left join conversion_outbox.delivery using (event_no) where business_id = '{}'",
            order.id
        ))
        .await;
    let id = order.event_id();
    for platform in Platform::ALL {
        for row in rig.arrived(platform) {
            let is_its =
                row.event_id.as_deref() == Some(&id) || row.event_id.as_deref() == Some(&order.id);
            if is_its {
                told.push_str(&format!(
                    "\n{platform} {} {:?} {:?} {:?} {}",
                    row.received_at, row.event_name, row.value, row.verdict, row.reason
                ));
            }
        }
    }
    told
}

/// Events of one transaction.
type Transaction = Vec<Value>;
