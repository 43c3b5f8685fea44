//! Makes the planned faults happen, and everything heal at the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::history::History;
use super::plan::{Planned, Trouble};
use super::shop::CAREFUL_DATASET;
use super::stage::{LEASE_SECS, Stage, Worker, replace};
use crate::demo::outlets::{DATASET, LEAD_RULE};
use crate::demo::worlds;
use crate::sandbox::{Account, Fault, FaultKind, Platform, Sandbox, TokenState};

/// A drain may take this long: its requests and its last results.
const DRAIN: Duration = Duration::from_secs(30);

/// How a worker ends that finds no database at its start: `EX_UNAVAILABLE`.
const UNAVAILABLE: i32 = 69;

/// How long the platforms' clock is off.
const STEP: Duration = Duration::from_secs(5);

/// Makes all of them happen, each at its time.
pub(super) async fn strike_all(
    plan: &[Planned],
    stage: &mut Stage,
    history: &Arc<History>,
) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut lasting = JoinSet::new();
    let mut tokens = 0;
    for planned in plan {
        tokio::time::sleep_until(began + planned.at).await;
        mourn(stage, history)?;
        let trouble = planned.trouble;
        history.struck(format!("{trouble:?}"));
        eprintln!("{:>6.1} s  {trouble:?}", began.elapsed().as_secs_f64());
        match trouble {
            Trouble::Kill(worker) => {
                stage.workers[worker].kill().await;
                stage.workers[worker].start()?;
            }
            Trouble::Stop(worker) => {
                stop(stage.workers[worker].process(), history, &mut lasting).await?
            }
            Trouble::Terminate(worker) => {
                let worker = &mut stage.workers[worker];
                signal(worker.process(), "-CONT").await?;
                signal(worker.process(), "-TERM").await?;
                match worker.ended(DRAIN).await {
                    Some(0) => {}
                    ended => history
                        .noted()
                        .deaths
                        .push(format!("told to end, it ended with {ended:?}")),
                }
                worker.kill().await;
                worker.start()?;
            }
            Trouble::Cut(worker) => {
                stage.workers[worker].wire.cut();
                stage.workers[worker].cut_off();
            }
            Trouble::LoseCommit(worker) => stage.workers[worker].wire.lose_answers(),
            Trouble::CutAll => {
                for worker in &mut stage.workers {
                    worker.wire.cut();
                    worker.cut_off();
                }
            }
            Trouble::Restart | Trouble::Crash => {
                let postgres = stage.postgres.clone();
                tokio::task::spawn_blocking(move || {
                    if trouble == Trouble::Crash {
                        postgres.crash()?;
                    }
                    postgres.restart()
                })
                .await??;
                stage.workers.iter_mut().for_each(Worker::cut_off);
            }
            Trouble::ExpireToken(secs) => {
                expire(&stage.sandbox, tokens);
                tokens += 1;
                let fresh = format!("torture-token-{tokens}");
                let (sandbox, file) = (stage.sandbox.clone(), stage.token_file());
                lasting.spawn(async move {
                    tokio::time::sleep(Duration::from_secs(secs)).await;
                    for dataset in [DATASET, CAREFUL_DATASET] {
                        sandbox.put_account(Platform::Meta, dataset, Account::with_token(&fresh));
                    }
                    replace(&file, &fresh)
                });
            }
            Trouble::RevokeTokens => stage.sandbox.google(|world| world.revoke_access_tokens()),
            Trouble::DisableRule(secs) => {
                let sandbox = stage.sandbox.clone();
                sandbox.linkedin(|world| world.add_rule(worlds::rule(LEAD_RULE, false)));
                lasting.spawn(async move {
                    tokio::time::sleep(Duration::from_secs(secs)).await;
                    sandbox.linkedin(|world| world.add_rule(worlds::rule(LEAD_RULE, true)));
                    Ok(())
                });
            }
            Trouble::StepClock(secs) => step(
                &stage.sandbox,
                history,
                TimeDelta::seconds(secs),
                &mut lasting,
            ),
            Trouble::Outage(platform, secs) => {
                let down = Fault {
                    platform: Some(platform),
                    status: Some(503),
                    ..Fault::of(FaultKind::Status)
                };
                let (sandbox, id) = (stage.sandbox.clone(), stage.sandbox.add_fault(down)?);
                lasting.spawn(async move {
                    tokio::time::sleep(Duration::from_secs(secs)).await;
                    sandbox.remove_fault(id);
                    Ok(())
                });
            }
            Trouble::LoseAnswers(..)
            | Trouble::Reset(..)
            | Trouble::Throttle(..)
            | Trouble::Slow(..) => {
                stage.sandbox.add_fault(bounded(trouble))?;
            }
        }
    }
    while let Some(ended) = lasting.join_next().await {
        ended??;
    }
    Ok(())
}

/// Everything works again, and every worker runs.
pub(super) async fn heal(stage: &mut Stage, history: &Arc<History>) -> anyhow::Result<()> {
    mourn(stage, history)?;
    for worker in &mut stage.workers {
        signal(worker.process(), "-CONT").await?;
    }
    history.struck("everything heals".to_owned());
    Ok(())
}

/// A worker that ended by itself is noted and replaced. One that finds no database at its start says so and ends, to be started
/// again: that is what it promises.
fn mourn(stage: &mut Stage, history: &History) -> anyhow::Result<()> {
    for (number, worker) in stage.workers.iter_mut().enumerate() {
        if let Some(status) = worker.has_died() {
            let is_promised = status.code() == Some(UNAVAILABLE) && worker.was_cut_off();
            if !is_promised {
                let told = format!("worker {number} ended by itself: {status}");
                history.noted().deaths.push(told);
            }
            worker.start()?;
        }
    }
    Ok(())
}

/// Lets a process stand still for longer than its lease.
async fn stop(
    process: Option<u32>,
    history: &Arc<History>,
    lasting: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    signal(process, "-STOP").await?;
    let history = history.clone();
    lasting.spawn(async move {
        tokio::time::sleep(Duration::from_secs(LEASE_SECS + 2)).await;
        history.noted().continued.push(Utc::now());
        // It may have been killed meanwhile, and then there is nobody to tell.
        signal(process, "-CONT").await
    });
    Ok(())
}

async fn signal(process: Option<u32>, name: &str) -> anyhow::Result<()> {
    if let Some(process) = process {
        let mut kill = Command::new("kill");
        kill.args([name, &process.to_string()]);
        kill.stderr(std::process::Stdio::null()).status().await?;
    }
    Ok(())
}

fn step(
    sandbox: &Arc<Sandbox>,
    history: &Arc<History>,
    by: TimeDelta,
    lasting: &mut JoinSet<anyhow::Result<()>>,
) {
    let (sandbox, history) = (sandbox.clone(), history.clone());
    let set = move |offset| {
        sandbox.set_clock_offset(offset);
        history.noted().clock_steps.push((Utc::now(), offset));
    };
    set(by);
    lasting.spawn(async move {
        tokio::time::sleep(STEP).await;
        set(TimeDelta::zero());
        Ok(())
    });
}

fn expire(sandbox: &Sandbox, token: u64) {
    let token = format!("torture-token-{token}");
    let account = Account {
        tokens: BTreeMap::from([(token, TokenState::Expired)]),
    };
    for dataset in [DATASET, CAREFUL_DATASET] {
        sandbox.put_account(Platform::Meta, dataset, account.clone());
    }
}

/// A fault that strikes a number of requests that carry events.
fn bounded(trouble: Trouble) -> Fault {
    let of = |kind, platform, times| Fault {
        platform: Some(platform),
        path: Some(events_path(platform).to_owned()),
        times: Some(times),
        ..Fault::of(kind)
    };
    match trouble {
        Trouble::LoseAnswers(platform, times) => of(FaultKind::ResetAfter, platform, times),
        Trouble::Reset(platform, times) => of(FaultKind::ResetBefore, platform, times),
        Trouble::Slow(platform, times) => Fault {
            latency_ms: Some(3000),
            ..of(FaultKind::Latency, platform, times)
        },
        Trouble::Throttle(platform, times) => Fault {
            status: Some(429),
            retry_after: Some(1),
            ..of(FaultKind::Status, platform, times)
        },
        other => unreachable!("{other:?} is no fault of single requests"),
    }
}

/// Part of the path of every request that carries events, and of no other.
fn events_path(platform: Platform) -> &'static str {
    match platform {
        Platform::Meta => "/events",
        Platform::Ga4 => "/collect",
        Platform::GoogleDataManager => "events:ingest",
        Platform::GoogleAds => ":upload",
        Platform::LinkedIn => "/conversionEvents",
    }
}
