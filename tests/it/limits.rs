//! What the database itself keeps of limits: turns are shared alike and never too many, replays go after all others, and one
//! worker has the probe.

use std::time::Duration;

use chrono::TimeDelta;
use conversion_outbox::claim;
use conversion_outbox::db::connect::Database;
use conversion_outbox::limit::{self, Granted, RateLimit};
use tokio::time::Instant;

use crate::harness::Outbox;
use crate::work::{at, terms, write_events};

const HORIZON: Duration = Duration::from_secs(20);

fn a_minute(requests: u32) -> RateLimit {
    RateLimit {
        group: "project".into(),
        requests,
        per: Duration::from_secs(60),
    }
}

/// Asks at a time and gives the times of the turns in seconds, or when to ask again.
async fn ask(worker: &Database, limit: &RateLimit, now: f64) -> Result<Vec<f64>, f64> {
    let clock = at(0) + TimeDelta::milliseconds((now * 1000.0) as i64);
    let granted = limit::take(worker, limit, limit.portion(), HORIZON, Some(clock)).await;
    match granted.expect("asked") {
        Granted::Turns { count, wait, .. } => Ok((0..count)
            .map(|n| now + wait.as_secs_f64() + f64::from(n) * limit.interval().as_secs_f64())
            .collect()),
        Granted::AskAgain(again) => {
            let wait = again.saturating_duration_since(Instant::now());
            Err(now + wait.as_secs_f64())
        }
    }
}

/// Workers that always want more, each with when it asks next and the turns it had; the one that is to die asks no more after
/// its time, and never uses what it was given last.
struct Asker {
    next: f64,
    dies_at: f64,
    turns: Vec<f64>,
}

async fn race(limit: &RateLimit, askers: &mut [Asker], seconds: f64) {
    let outbox = Outbox::new().await;
    let worker = outbox.worker();
    limit::open(&worker, limit).await.expect("on record");
    loop {
        let asker = askers
            .iter_mut()
            .filter(|asker| asker.next < asker.dies_at)
            .min_by(|one, other| one.next.total_cmp(&other.next))
            .expect("somebody lives");
        if asker.next > seconds {
            return;
        }
        match ask(&worker, limit, asker.next).await {
            Ok(turns) => {
                // A moment later than its last turn: whoever asked meanwhile was first.
                asker.next = turns.last().expect("a turn") + 0.001;
                asker.turns.extend(turns);
            }
            // None is told the very same moment.
            Err(again) => asker.next = again + 0.001,
        }
    }
}

#[tokio::test]
async fn workers_that_want_more_share_alike_and_one_that_dies_starves_nobody() {
    let limit = a_minute(120);
    let asker = |next, dies_at| Asker {
        next,
        dies_at,
        turns: Vec::new(),
    };
    let mut askers = [
        asker(0.0, f64::MAX),
        asker(0.1, f64::MAX),
        asker(0.2, 120.0),
    ];
    race(&limit, &mut askers, 240.0).await;
    let count = |asker: &Asker, from: f64, to: f64| {
        let turns = asker.turns.iter();
        turns.filter(|at| (from..to).contains(*at)).count()
    };
    let [first, second, dead] = [0, 1, 2].map(|n| count(&askers[n], 60.0, 120.0));
    assert!(
        first.abs_diff(second) <= 2 && first.abs_diff(dead) <= 2,
        "{first} {second} {dead}"
    );
    let [first, second] = [0, 1].map(|n| count(&askers[n], 125.0, 240.0));
    assert!(first.abs_diff(second) <= 2, "{first} {second}");
    assert!(
        first + second > 180,
        "all that is free is theirs: {first} + {second}"
    );

    let mut all: Vec<f64> = askers
        .iter()
        .flat_map(|asker| asker.turns.clone())
        .collect();
    all.sort_by(f64::total_cmp);
    let fullest = all
        .iter()
        .map(|from| {
            all.iter()
                .filter(|at| (*from..from + 60.0).contains(*at))
                .count()
        })
        .max();
    assert!(fullest <= Some(120), "{fullest:?}");
    assert!(
        fullest > Some(100),
        "most of the limit is used: {fullest:?}"
    );
}

#[tokio::test]
async fn nothing_is_given_away_beyond_the_horizon_nor_lost_when_the_clock_goes_back() {
    let outbox = Outbox::new().await;
    let worker = outbox.worker();
    let limit = a_minute(1);
    // It puts itself on record.
    assert_eq!(ask(&worker, &limit, 0.0).await.map_err(|_| ()), Err(()));
    assert_eq!(ask(&worker, &limit, 0.0).await, Ok(vec![0.0]));
    let again = ask(&worker, &limit, 0.0).await.expect_err("a minute away");
    assert!((41.9..42.1).contains(&again), "{again}");
    let turns = ask(&worker, &limit, 43.0)
        .await
        .expect("within the horizon");
    assert!((61.9..62.1).contains(&turns[0]), "{turns:?}");
    // As after a failover to a server whose clock is behind.
    let turns = ask(&worker, &limit, -36_000.0).await;
    assert_eq!(turns, Ok(vec![-36_000.0]), "nobody waits ten hours");
}

#[tokio::test]
async fn replays_go_after_all_others_and_are_bounded() {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    write_events(&outbox, 40).await;
    admin
        .run(
            "delete from conversion_outbox.queue;
             insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at, expires_at, replayed_at)
             select n, 'meta', 'pending', 'retry', to_timestamp(1800000000 - 1000 + n),
                    case when n % 10 = 0 then to_timestamp(1800000000 + 3600 - n) end,
                    case when n <= 30 then now() end
               from generate_series(1, 40) n",
        )
        .await;
    let worker = outbox.worker();
    let claim = async |limit: i64, replays: i64| {
        let claimed = claim::claim_due(&worker, "meta", replays, terms(limit, 0)).await;
        let mut numbers: Vec<(i64, bool)> = claimed
            .expect("claimed")
            .iter()
            .map(|one| (one.ticket.event_no, one.is_replayed))
            .collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(
        claim(2, 2).await,
        [(31, false), (40, false)],
        "what expires soon, and the first due"
    );
    assert_eq!(
        claim(12, 3).await,
        [(10, true), (20, true), (30, true)]
            .into_iter()
            .chain((32..40).map(|n| (n, false)))
            .collect::<Vec<_>>(),
        "all others, then the replays that expire soon"
    );
    assert_eq!(
        claim(12, 3).await,
        [(1, true), (2, true), (3, true)],
        "however much room there is"
    );
    let due = claim::next_due(&worker, &["meta".to_owned()], Some(at(0))).await;
    assert_eq!(
        due.expect("asked").get("meta"),
        Some(&at(-996)),
        "only replays are left"
    );
}
