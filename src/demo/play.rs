//! The demo itself: a trading day with everything that goes wrong on such days.

use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::Utc;

use super::audit::{self, Counted};
use super::shop::Shop;
use super::stage::Stage;
use super::summary::Summary;
use crate::sandbox::{Fault, FaultKind, Platform};

/// Everything in the demo follows from it, so that two runs tell the same stories.
const SEED: u64 = 20_170_101;

/// How long a scene may take before something is wrong.
const PATIENCE: Duration = Duration::from_secs(30);

const META_WAITS: &str =
    "select pending > 0 from conversion_outbox.destination_backlog where destination = 'meta'";
const META_IS_HELD: &str =
    "select hold_reason is not null from conversion_outbox.destination where name = 'meta'";
const META_IS_FREE: &str =
    "select hold_reason is null from conversion_outbox.destination where name = 'meta'";
const ALL_DONE: &str =
    "select coalesce(sum(pending), 0) = 0 from conversion_outbox.destination_backlog";

/// How the demo is to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// Leave everything running until interrupted.
    pub keep: bool,
    /// Print the summary as one JSON object.
    pub json: bool,
}

/// Plays until `interrupted`. Progress goes to standard error, the summary to standard output. Returns whether nothing was lost, counted
/// twice or leaked.
pub async fn play(ending: Ending, interrupted: impl Future<Output = ()>) -> anyhow::Result<bool> {
    tokio::pin!(interrupted);
    let started = Instant::now();
    say(
        started,
        "starting a private PostgreSQL, the sandbox of Meta and GA4, and two workers",
    );
    let stage = tokio::select! {
        stage = Stage::set() => Some(stage?),
        () = &mut interrupted => None,
    };
    let Some(mut stage) = stage else {
        anyhow::bail!("interrupted before the beginning")
    };
    say(
        started,
        &format!(
            "database {}   sandbox {}",
            stage.database_url(),
            stage.sandbox.url()
        ),
    );

    let played = tokio::select! {
        played = scenes(&mut stage, started) => Some(played),
        _ = &mut interrupted => None,
    };
    let Some(played) = played else {
        eprintln!("cleaning up");
        stage.strike().await;
        anyhow::bail!("interrupted before the end");
    };
    let summary = match played {
        Ok(summary) => summary,
        Err(error) => {
            stage.strike().await;
            return Err(error);
        }
    };
    if ending.json {
        println!("{}", serde_json::to_string(&summary)?);
    } else {
        println!("\n{}", summary.table());
    }
    eprintln!(
        "Where to look next: README.md, \"First integration in five minutes\"; the sandbox's page; table conversion_outbox.delivery_log."
    );
    if ending.keep {
        eprintln!(
            "Everything keeps running until Ctrl-C:\n  sandbox   {}\n  database  psql '{}'\n  worker    {}",
            stage.sandbox.url(),
            stage.database_url(),
            stage.config_path().display()
        );
        interrupted.await;
        eprintln!("cleaning up");
    } else {
        eprintln!("Add --keep to leave everything running and look around.");
    }
    stage.strike().await;
    Ok(summary.lost == 0 && summary.double_counted == 0 && summary.leaked == 0)
}

async fn scenes(stage: &mut Stage, started: Instant) -> anyhow::Result<Summary> {
    let mut shop = Shop::open(&stage.database_url(), SEED, Utc::now()).await?;
    let orders = shop.remaining();
    let scene = orders / 6;

    say(
        started,
        "an ordinary morning: orders, repeated payment webhooks, roll-backs, refused consent, refunds, leads",
    );
    shop.trade(scene).await?;

    say(
        started,
        "Meta is down: every request gets 503. GA4 must not notice",
    );
    let outage = stage.sandbox.add_fault(Fault {
        platform: Some(Platform::Meta),
        status: Some(503),
        ..Fault::of(FaultKind::Status)
    })?;
    shop.trade(scene).await?;
    stage
        .wait_until("deliveries wait for Meta", META_WAITS, PATIENCE)
        .await?;
    stage.sandbox.remove_fault(outage);
    say(started, "Meta is back");

    say(
        started,
        "GA4 loses answers: it takes the event, and the connection breaks before it says so",
    );
    for (name, times) in [("purchase", 12), ("generate_lead", 2)] {
        stage.sandbox.add_fault(Fault {
            platform: Some(Platform::Ga4),
            event_name: Some(name.to_owned()),
            times: Some(times),
            ..Fault::of(FaultKind::ResetAfter)
        })?;
    }
    shop.trade(scene).await?;

    say(
        started,
        "Meta throttles, and cuts connections before it takes anything",
    );
    for (kind, times) in [(FaultKind::MetaError, 2), (FaultKind::ResetBefore, 2)] {
        stage.sandbox.add_fault(Fault {
            platform: Some(Platform::Meta),
            code: Some(17),
            regain_minutes: Some(0),
            times: Some(times),
            ..Fault::of(kind)
        })?;
    }
    shop.trade(scene).await?;

    say(started, "Meta's access token expires");
    stage.expire_token("first-token");
    shop.trade(scene).await?;
    stage
        .wait_until("the destination is held", META_IS_HELD, PATIENCE)
        .await?;
    say(
        started,
        "destination meta is held: nothing is sent to it, no attempt is used up, GA4 goes on",
    );
    stage.issue_token("second-token")?;
    stage
        .wait_until("the hold is lifted", META_IS_FREE, PATIENCE)
        .await?;
    say(
        started,
        "the token file was replaced: the hold lifted by itself",
    );

    say(started, "the rest of the day");
    shop.trade(shop.remaining()).await?;
    say(started, "closing time: waiting until nothing is pending");
    stage
        .wait_until("nothing is pending", ALL_DONE, PATIENCE)
        .await?;

    let counted = stage.sandbox.read(Counted::read);
    let audit = audit::audit(&stage.database, &counted, shop.truth()).await?;
    for (what, list) in [
        ("lost", &audit.lost),
        ("counted twice", &audit.double_counted),
        ("leaked", &audit.leaked),
        (
            "not counted, and visible as a dead letter",
            &audit.dead_uncounted,
        ),
        (
            "disputed between the shop's tables and its account",
            &audit.disputed,
        ),
    ] {
        for line in list.iter().take(10) {
            eprintln!("  {what}: {line}");
        }
    }
    anyhow::ensure!(
        audit.disputed.is_empty(),
        "the shop's tables and its own account disagree; the comparison is void"
    );
    Summary::gather(&stage.database, &audit)
        .await
        .context("the summary could not be gathered")
}

fn say(started: Instant, what: &str) {
    eprintln!("{:>6.1} s  {what}", started.elapsed().as_secs_f64());
}
