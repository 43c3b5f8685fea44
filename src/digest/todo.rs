//! Draws conclusions: what a person should do, and in which order. Pure.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Digest, Events};
use crate::funnel::Step;
use crate::reconcile::result::DayResult;
use crate::reconcile::stored::Run;

/// Fewer events than this say nothing about shares.
const ENOUGH: i64 = 20;

/// What has been due for longer than this, in seconds, is stuck.
const LATE: f64 = 3600.0;

/// Points of a share that are a change.
const POINTS: i64 = 20;

/// How soon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Urgency {
    /// Conversions are being lost, or will be within a day.
    Now,
    /// Something was lost that a person can bring back.
    Soon,
    /// Something changed that somebody should know of.
    Look,
}

impl Urgency {
    /// The word in texts.
    pub fn as_str(self) -> &'static str {
        match self {
            Urgency::Now => "now",
            Urgency::Soon => "soon",
            Urgency::Look => "look",
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Task {
    /// How soon.
    pub urgency: Urgency,
    /// What is the matter.
    pub what: String,
    /// What helps.
    pub how: String,
    /// The command that does it or shows more.
    pub command: Option<String>,
}

/// Everything that follows from the figures.
pub(super) fn conclude(digest: &Digest) -> Vec<Task> {
    let mut tasks = Vec::new();
    standing(digest, &mut tasks);
    dead_letters(digest, &mut tasks);
    for run in &digest.runs {
        compared(run, digest.read_at, &mut tasks);
    }
    for day in &digest.reconciliation {
        reconciled(day, &mut tasks);
    }
    arrival(digest, &mut tasks);
    for events in &digest.events {
        changes(events, digest.is_over(), &mut tasks);
    }
    repeats(digest, &mut tasks);
    tasks.sort_by_key(|task| task.urgency);
    tasks
}

fn task(urgency: Urgency, what: String, how: &str, command: Option<String>) -> Task {
    Task {
        urgency,
        what,
        how: sentence(how),
        command,
    }
}

/// Advice that was written to stand behind a colon begins a sentence here.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_uppercase().chain(letters).collect(),
        None => String::new(),
    }
}

fn standing(digest: &Digest, tasks: &mut Vec<Task>) {
    for one in &digest.standing {
        let name = &one.destination;
        let resume = Some(format!("conversion-outbox destinations resume {name}"));
        let advice = one.hold_advice.as_deref();
        match one.hold_reason.as_deref() {
            Some("paused") => tasks.push(task(
                Urgency::Look,
                format!("{name} is paused; {} wait", one.pending),
                advice.unwrap_or("resume it when its cause is over"),
                resume,
            )),
            Some(reason) => tasks.push(task(
                Urgency::Now,
                format!("nothing is sent to {name} ({reason}); {} wait", one.pending),
                advice.unwrap_or("mend its credential or account"),
                resume,
            )),
            None => {}
        }
        if one.held_rules > 0 {
            tasks.push(task(
                Urgency::Now,
                match one.held_rules {
                    1 => format!("one rule of {name} is held"),
                    more => format!("{more} rules of {name} are held"),
                },
                "see what the platform says of each",
                Some("conversion-outbox destinations list".to_owned()),
            ));
        }
        if one.expiring > 0 {
            tasks.push(task(
                Urgency::Now,
                format!(
                    "{name} will refuse {} deliveries as too old within a day",
                    one.expiring
                ),
                "mend what they wait for, or they are lost",
                Some("conversion-outbox status".to_owned()),
            ));
        }
        if !one.is_served && one.pending > 0 {
            tasks.push(task(
                Urgency::Now,
                format!("no worker serves {name}, and {} wait", one.pending),
                "start a worker that is configured for it, or end what waits with events skip",
                Some("conversion-outbox destinations list".to_owned()),
            ));
        }
        let late = one.oldest_due_secs.filter(|secs| *secs > LATE);
        if let Some(secs) = late.filter(|_| one.is_served && one.hold_reason.is_none()) {
            tasks.push(task(
                Urgency::Now,
                format!(
                    "{} wait for {name}, and the oldest has been due for {:.0} hours",
                    one.pending,
                    (secs / 3600.0).max(1.0)
                ),
                "see in the worker's log what keeps them: limits, an outage of the platform, or too few workers",
                Some("conversion-outbox status".to_owned()),
            ));
        }
    }
    let written: i64 = digest.events.iter().map(|events| events.today.events).sum();
    if digest.standing.is_empty() && written > 0 {
        tasks.push(task(
            Urgency::Now,
            format!("{written} events were written, and no worker has ever run"),
            "start one",
            Some("conversion-outbox run".to_owned()),
        ));
    }
}

fn dead_letters(digest: &Digest, tasks: &mut Vec<Task>) {
    for group in &digest.dead_letters {
        let reason = group.reason.as_deref().unwrap_or(&group.state);
        let code = group
            .error_code
            .as_ref()
            .map(|code| format!(", code {code}"))
            .unwrap_or_default();
        tasks.push(task(
            Urgency::Soon,
            format!(
                "{} {} arrive at {}: {reason}{code}",
                group.count,
                match group.state.as_str() {
                    "uncertain" => "may or may not have arrived, and did not for certain",
                    _ => "did not",
                },
                group.destination
            ),
            group.advice,
            Some(format!(
                "conversion-outbox dead-letters list --destination {} --reason {reason}",
                group.destination
            )),
        ));
    }
}

/// Longest pause between two comparisons that a configuration may ask for, and one more.
const SILENT: TimeDelta = TimeDelta::days(2);

/// Whether the comparison itself works: while it does not, no difference is found.
fn compared(run: &Run, now: DateTime<Utc>, tasks: &mut Vec<Task>) {
    let entry = &run.entry;
    // A fault that is told once brings its own advice.
    let mut tell = |what: &str, told: &str, command: String| {
        let (cause, fix) = told
            .split_once(". Fix: ")
            .unwrap_or((told, "see what the command says"));
        let what = format!("{what}: {cause}");
        tasks.push(task(Urgency::Soon, what, fix, Some(command)));
    };
    if let Some(failed) = &run.failed {
        let command = format!("conversion-outbox reconcile report --entry {entry}");
        tell(&format!("{entry} cannot be compared"), failed, command);
    }
    for note in &run.notes {
        let command = "conversion-outbox doctor --online".to_owned();
        tell(
            &format!("{entry} is compared without a platform's word"),
            note,
            command,
        );
    }
    if let Some(began_at) = run.began_at.filter(|began_at| now - *began_at > SILENT) {
        tasks.push(task(
            Urgency::Soon,
            format!(
                "no worker has compared {entry} since {}",
                began_at.format("%F %R UTC")
            ),
            "start a worker whose configuration has the entry",
            Some("conversion-outbox status".to_owned()),
        ));
    }
}

fn reconciled(day: &DayResult, tasks: &mut Vec<Task>) {
    let command = |more: &str| {
        Some(format!(
            "conversion-outbox reconcile missing --entry {} --day {}{more}",
            day.entry, day.day
        ))
    };
    if day.missing > 0 {
        let urgency = if day.is_closed {
            Urgency::Soon
        } else {
            Urgency::Look
        };
        tasks.push(task(
            urgency,
            format!(
                "{} of {} rows of {} on {} have no event",
                day.missing, day.source_rows, day.entry, day.day
            ),
            "find out which code forgets them; write them later with the command",
            command(" --backfill"),
        ));
    }
    if !day.is_closed {
        return;
    }
    if !day.is_outbox_within() && day.missing == 0 {
        tasks.push(task(
            Urgency::Soon,
            format!(
                "{} events of {} on {} are extra, and {} have another amount",
                day.extra, day.entry, day.day, day.value_differs
            ),
            "compare what the application writes with its own table",
            command(""),
        ));
    }
    for one in day.destinations.iter().filter(|one| !one.is_within) {
        tasks.push(task(
            Urgency::Soon,
            format!(
                "{} differs by {} of {} expected for {} on {}",
                one.destination, one.difference, one.expected, day.entry, day.day
            ),
            "see which are missing and why",
            command(&format!(" --destination {}", one.destination)),
        ));
    }
}

fn arrival(digest: &Digest, tasks: &mut Vec<Task>) {
    for (destination, (funnel, in_time)) in digest.by_destination() {
        let sent = funnel.reached(Step::Accepted);
        if sent >= ENOUGH && in_time * 100 < sent * 99 {
            tasks.push(task(
                Urgency::Look,
                format!(
                    "{} of {sent} deliveries to {destination} took longer than 15 minutes",
                    sent - in_time
                ),
                "see whether it was down, throttling or held",
                Some(format!(
                    "conversion-outbox events list --since {}T00:00:00Z",
                    digest.day
                )),
            ));
        }
        let consented = funnel.reached(Step::Consented);
        let nameless = consented - funnel.reached(Step::Identified);
        if consented >= ENOUGH && nameless * 5 > consented {
            tasks.push(task(
                Urgency::Look,
                format!("{nameless} of {consented} events allowed to go to {destination} carried nothing it could match"),
                "store click ids with the order or lead, and pass address and number where consent allows",
                None,
            ));
        }
    }
}

fn changes(events: &Events, is_over: bool, tasks: &mut Vec<Task>) {
    let (name, today, before) = (&events.event_name, events.today, events.week_before);
    if is_over && before.events >= 7 * ENOUGH && today.events * 14 < before.events {
        tasks.push(task(
            Urgency::Look,
            format!(
                "{} {name}, after {} a day in the week before",
                today.events,
                before.events / 7
            ),
            "see whether the application still writes them",
            None,
        ));
    }
    for (what, now, then) in [
        ("a click id", today.click_id, before.click_id),
        ("an e-mail address", today.email, before.email),
        ("consent", today.consent_granted, before.consent_granted),
    ] {
        if let Some((now, then)) = fell(now, today.events, then, before.events) {
            tasks.push(task(
                Urgency::Look,
                format!("{now} % of {name} had {what}, after {then} % in the week before"),
                "see what changed in forms, landing pages or the consent banner",
                None,
            ));
        }
    }
    if today.events >= ENOUGH && today.consent_unspecified * 20 > today.events {
        tasks.push(task(
            Urgency::Look,
            format!("{} of {} {name} carry no answer about consent (ad_user_data)", today.consent_unspecified, today.events),
            "pass what the banner recorded; what is unspecified is not sent unless a destination's policy says so",
            None,
        ));
    }
}

/// Both shares in whole per cent, where the first is lower by more than a few points and both stand for enough events.
fn fell(now: i64, of_now: i64, then: i64, of_then: i64) -> Option<(i64, i64)> {
    if of_now < ENOUGH || of_then < ENOUGH {
        return None;
    }
    let (now, then) = (now * 100 / of_now, then * 100 / of_then);
    (now + POINTS < then).then_some((now, then))
}

fn repeats(digest: &Digest, tasks: &mut Vec<Task>) {
    let repeats = &digest.repeats;
    if repeats.with_conflict > 0 {
        let example = repeats.conflicting.first();
        tasks.push(task(
            Urgency::Look,
            format!("{} events came again with other content, which was not taken", repeats.with_conflict),
            "let the application use one id for one business event, and another for what changes it",
            example.map(|id| format!("conversion-outbox events show {}", quoted(id))),
        ));
    }
}

/// As a shell takes it.
fn quoted(id: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/@".contains(&b);
    if id.bytes().all(is_plain) && !id.starts_with('-') {
        id.to_owned()
    } else {
        format!("-- '{}'", id.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::super::{Carried, Deliveries, Standing};
    use super::*;
    use crate::funnel::Funnel;
    use crate::outcome::{Reason, State};

    fn digest() -> Digest {
        Digest {
            day: NaiveDate::from_ymd_opt(2026, 11, 24).expect("a day"),
            read_at: DateTime::parse_from_rfc3339("2026-11-25T06:00:00Z")
                .expect("a time")
                .to_utc(),
            environment: None,
            events: vec![],
            deliveries: vec![],
            failures: vec![],
            dead_letters: vec![],
            repeats: Default::default(),
            reconciliation: vec![],
            runs: vec![],
            standing: vec![],
            to_do: vec![],
        }
    }

    fn whats(digest: &Digest) -> Vec<(Urgency, String)> {
        let tasks = conclude(digest);
        tasks.into_iter().map(|t| (t.urgency, t.what)).collect()
    }

    fn standing() -> Standing {
        Standing {
            destination: "meta".to_owned(),
            is_served: true,
            pending: 5,
            ..Standing::default()
        }
    }

    #[test]
    fn a_good_day_asks_for_nothing() {
        let mut digest = digest();
        digest.standing = vec![standing()];
        digest.events = vec![Events {
            event_name: "order_paid".to_owned(),
            today: Carried {
                events: 100,
                click_id: 30,
                email: 80,
                consent_granted: 70,
                consent_denied: 30,
                ..Carried::default()
            },
            week_before: Carried {
                events: 700,
                click_id: 350,
                email: 700,
                consent_granted: 630,
                ..Carried::default()
            },
        }];
        let mut funnel = Funnel::default();
        funnel.add(State::Accepted, None, 99);
        funnel.add(State::Suppressed, Some(Reason::ConsentDenied), 30);
        digest.deliveries = vec![Deliveries {
            destination: "meta".to_owned(),
            event_name: "order_paid".to_owned(),
            funnel,
            in_time: 99,
        }];
        assert_eq!(whats(&digest), []);
    }

    #[test]
    fn what_is_urgent_comes_first() {
        let mut digest = digest();
        digest.standing = vec![
            Standing {
                hold_reason: Some("paused".to_owned()),
                ..standing()
            },
            Standing {
                destination: "ga4".to_owned(),
                hold_reason: Some("auth".to_owned()),
                expiring: 3,
                held_rules: 1,
                ..standing()
            },
            Standing {
                destination: "old".to_owned(),
                is_served: false,
                ..standing()
            },
        ];
        digest.repeats.with_conflict = 2;
        digest.repeats.conflicting = vec!["it's; rm -rf /".to_owned()];
        let told = whats(&digest);
        assert_eq!(
            told,
            [
                (Urgency::Now, "nothing is sent to ga4 (auth); 5 wait".into()),
                (Urgency::Now, "one rule of ga4 is held".into()),
                (
                    Urgency::Now,
                    "ga4 will refuse 3 deliveries as too old within a day".into()
                ),
                (Urgency::Now, "no worker serves old, and 5 wait".into()),
                (Urgency::Look, "meta is paused; 5 wait".into()),
                (
                    Urgency::Look,
                    "2 events came again with other content, which was not taken".into()
                ),
            ]
        );
        let command = conclude(&digest).pop().and_then(|task| task.command);
        assert_eq!(
            command.as_deref(),
            Some("conversion-outbox events show -- 'it'\\''s; rm -rf /'")
        );
    }

    #[test]
    fn a_comparison_that_fails_or_stands_still_is_told() {
        let mut digest = digest();
        let run = |entry: &str, hours| Run {
            entry: entry.to_owned(),
            began_at: Some(digest.read_at - TimeDelta::hours(hours)),
            ended_at: None,
            failed: None,
            notes: vec![],
        };
        let failed = "the query took longer than 30 s for one day. Fix: an index".to_owned();
        digest.runs = vec![
            Run {
                failed: Some(failed),
                ..run("orders", 1)
            },
            Run {
                notes: vec!["meta: the credential is refused. Fix: make another".to_owned()],
                ..run("leads", 47)
            },
            run("refunds", 49),
        ];
        let told: Vec<String> = conclude(&digest)
            .into_iter()
            .map(|task| format!("{}. {}", task.what, task.how))
            .collect();
        assert_eq!(
            told,
            [
                "orders cannot be compared: the query took longer than 30 s for one day. An index",
                "leads is compared without a platform's word: meta: the credential is refused. Make another",
                "no worker has compared refunds since 2026-11-23 05:00 UTC. Start a worker whose configuration has the entry",
            ]
        );
    }

    #[test]
    fn a_share_that_falls_is_told_once_it_stands_for_enough() {
        let events = |events, click_id, before, click_id_before| Events {
            event_name: "lead_created".to_owned(),
            today: Carried {
                events,
                click_id,
                ..Carried::default()
            },
            week_before: Carried {
                events: before,
                click_id: click_id_before,
                ..Carried::default()
            },
        };
        let told = |row: Events| {
            let mut digest = digest();
            digest.standing = vec![standing()];
            digest.events = vec![row];
            whats(&digest)
                .into_iter()
                .map(|(_, what)| what)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            told(events(100, 29, 200, 100)),
            ["29 % of lead_created had a click id, after 50 % in the week before"]
        );
        assert!(told(events(100, 30, 200, 100)).is_empty(), "20 points");
        assert!(told(events(19, 0, 100, 100)).is_empty(), "too few");
        assert_eq!(
            told(events(9, 9, 140, 140)),
            ["9 lead_created, after 20 a day in the week before"]
        );
    }

    #[test]
    fn late_and_nameless_deliveries_are_told() {
        let mut digest = digest();
        let mut funnel = Funnel::default();
        funnel.add(State::Sent, None, 100);
        funnel.add(State::Skipped, Some(Reason::NoIdentifier), 26);
        digest.deliveries = vec![Deliveries {
            destination: "ga4".to_owned(),
            event_name: "order_paid".to_owned(),
            funnel,
            in_time: 98,
        }];
        assert_eq!(
            whats(&digest),
            [
                (
                    Urgency::Look,
                    "2 of 100 deliveries to ga4 took longer than 15 minutes".into()
                ),
                (
                    Urgency::Look,
                    "26 of 126 events allowed to go to ga4 carried nothing it could match".into()
                ),
            ]
        );
    }
}
