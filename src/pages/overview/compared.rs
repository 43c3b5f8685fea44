//! Whether what arrived agrees with the application's own tables: what of the Reconciliation page belongs on the first one.
//! Pure.

use std::collections::BTreeMap;

use super::verdict::{Concern, Whose};
use crate::pages::frame::Page;
use crate::pages::html::{Tone, counted};
use crate::reconcile::result::DayResult;
use crate::reconcile::stored::Run;

/// How many days are looked at, as many as the page of all entries shows.
pub(super) const SPAN: u64 = 14;

/// Closed days that differ, and comparisons that failed; each told once, with all the entries that it is about.
pub(super) fn concerns(days: &[DayResult], runs: &[Run]) -> Vec<Concern> {
    let mut differing: BTreeMap<&str, Vec<&DayResult>> = BTreeMap::new();
    for day in days.iter().filter(|day| day.is_finding()) {
        differing.entry(&day.entry).or_default().push(day);
    }
    let differing: Vec<(String, String)> = differing
        .into_iter()
        .map(|(entry, days)| (entry.to_owned(), how_far(&days)))
        .collect();
    let failed: Vec<(String, String)> = runs
        .iter()
        .filter(|run| run.failed.is_some())
        .map(|run| {
            let ended = run.ended_at.map(|at| at.format("at %F %H:%M UTC"));
            (
                run.entry.clone(),
                ended.map_or_else(String::new, |at| at.to_string()),
            )
        })
        .collect();
    let concern = |word, said: String, advice: &str, entries| Concern {
        tone: Tone::Warn,
        word,
        said,
        advice: Some(advice.to_owned()),
        page: Page::Reconciliation,
        whose: Whose::Entries(entries),
    };
    let mut found = Vec::new();
    if !differing.is_empty() {
        found.push(concern(
            "Differs",
            format!(
                "In {SPAN} days, closed days differ from your own tables by more than is tolerated."
            ),
            "Each day lists the ids, why, and how to write what was forgotten.",
            differing,
        ));
    }
    if !failed.is_empty() {
        found.push(concern(
            "Not compared",
            "The last comparison with your own tables failed.".to_owned(),
            "The page says why.",
            failed,
        ));
    }
    found
}

fn how_far(days: &[&DayResult]) -> String {
    let latest = days.iter().max_by_key(|day| day.day);
    let missing: u64 = days.iter().map(|day| day.missing).sum();
    let mut said = counted(days.len() as i64, "day");
    if let Some(latest) = latest {
        said.push_str(&format!(", the latest {}", latest.day.format("%-d %b")));
    }
    if missing > 0 {
        said.push_str(&format!(
            ", {} without an event",
            counted(missing as i64, "row")
        ));
    }
    said
}
