//! The demo itself: a trading day with everything that goes wrong on such days.

use std::time::Instant;

use super::scenes::{self, say};
use super::stage::Stage;

/// How the demo is to end.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ending {
    /// Leave everything running until interrupted.
    pub keep: bool,
    /// Print the summary as one JSON object.
    pub json: bool,
}

/// Plays until `interrupted`. Progress goes to standard error, the summary to standard output. Returns whether nothing was lost,
/// counted twice, leaked or counted at a wrong value.
pub async fn play(ending: Ending, interrupted: impl Future<Output = ()>) -> anyhow::Result<bool> {
    tokio::pin!(interrupted);
    let started = Instant::now();
    say(
        started,
        "starting a private PostgreSQL, the sandbox of five platforms, and two workers",
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
            "pages {}   sandbox {}   database {}",
            stage.pages(),
            stage.sandbox.url(),
            stage.database_url()
        ),
    );

    let played = tokio::select! {
        played = scenes::play(&mut stage, started) => Some(played),
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
        "Where to look next: README.md, \"First integration in five minutes\"; the pages; the sandbox's page; table conversion_outbox.delivery_log."
    );
    if ending.keep {
        eprintln!(
            "Everything keeps running until Ctrl-C:\n  pages     {}\n  sandbox   {}\n  database  psql '{}'\n  worker    {}",
            stage.pages(),
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
    Ok(summary.is_clean())
}
