//! Is it working? Judged from what stands, and said as a person would. Pure.

use super::standing::{Standing, Tally};
use crate::pages::frame::Page;
use crate::pages::html::{Tone, age, count, percent, sentence};

/// Of what should leave, so much is to be taken within 15 minutes, in per cent.
pub(super) const SLO: i64 = 99;

/// Due for longer, and something is stuck, in seconds.
const STALLED: f64 = 900.0;

/// Fewer deliveries in a week say nothing about a share.
const FEW: i64 = 20;

pub(super) struct Verdict {
    pub(super) tone: Tone,
    /// The sentence that people came for.
    pub(super) answer: String,
    /// What today looks like so far.
    pub(super) so_far: String,
    /// The worst first.
    pub(super) concerns: Vec<Concern>,
}

/// One thing that somebody should look at, with all that it is about.
#[derive(Clone, Debug)]
pub(super) struct Concern {
    pub(super) tone: Tone,
    pub(super) word: &'static str,
    pub(super) said: String,
    pub(super) advice: Option<String>,
    /// Where there is more about it.
    pub(super) page: Page,
    /// Which it is about, each with how bad it is there.
    pub(super) whose: Whose,
}

/// What a concern is about, by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// All of it.
    Everything,
    /// Destinations.
    Destinations(Vec<(String, String)>),
    /// Entries of `[[reconcile]]`.
    Entries(Vec<(String, String)>),
}

impl Whose {
    /// Those of another concern that says the same belong to this one.
    fn extend(&mut self, other: Whose) {
        match (self, other) {
            (Whose::Destinations(all), Whose::Destinations(more))
            | (Whose::Entries(all), Whose::Entries(more)) => all.extend(more),
            _ => {}
        }
    }
}

pub(super) fn meets_slo(in_time: i64, due: i64) -> bool {
    i128::from(in_time) * 100 >= i128::from(due) * i128::from(SLO)
}

impl Verdict {
    /// `compared` is what the comparison with the application's own tables found; `has_events` whether the application wrote
    /// any in the time that is shown.
    pub(super) fn of(
        standings: &[(Standing, Tally)],
        compared: Vec<Concern>,
        has_events: bool,
    ) -> Verdict {
        let served: Vec<&Standing> = standings
            .iter()
            .map(|(one, _)| one)
            .filter(|one| one.is_served())
            .collect();
        let mut concerns: Vec<Concern> = Vec::new();
        if !served.is_empty() && served.iter().all(|one| one.is_unseen) {
            concerns.push(no_worker());
        }
        for concern in standings
            .iter()
            .flat_map(|(standing, tally)| of_one(standing, tally))
        {
            let same = |one: &&mut Concern| {
                (one.word, &one.said, &one.advice) == (concern.word, &concern.said, &concern.advice)
            };
            match concerns.iter_mut().find(same) {
                Some(known) => known.whose.extend(concern.whose),
                None => concerns.push(concern),
            }
        }
        // What never came is worse than what is late.
        concerns.splice(0..0, compared);
        concerns.sort_by_key(|concern| std::cmp::Reverse(concern.tone));
        let worst = concerns.first().map_or(Tone::Good, |concern| concern.tone);
        let broken = concerns
            .iter()
            .filter(|concern| concern.tone == Tone::Bad)
            .count() as i64;
        let (tone, answer) = match worst {
            _ if standings.is_empty() => (
                Tone::Calm,
                "Nothing is set up yet: no worker has told the database of a destination.".to_owned(),
            ),
            _ if served.is_empty() => (
                Tone::Bad,
                "No. No worker serves any of the destinations.".to_owned(),
            ),
            Tone::Bad if served.iter().all(|one| one.word().0 == Tone::Bad) => {
                (Tone::Bad, "No. Nothing is being delivered.".to_owned())
            }
            Tone::Bad => (
                Tone::Bad,
                format!("Not everything works: {} somebody now.", match broken {
                    1 => "one thing needs".to_owned(),
                    _ => format!("{broken} things need"),
                }),
            ),
            Tone::Warn => (
                Tone::Warn,
                format!("Yes, it works, and {} a look.", match concerns.len() {
                    1 => "one thing deserves".to_owned(),
                    many => format!("{many} things deserve"),
                }),
            ),
            Tone::Good | Tone::Calm if !has_events => (
                Tone::Calm,
                match served.len() {
                    1 => "Ready: the one destination waits for the first event.".to_owned(),
                    many => format!("Ready: {many} destinations wait for the first event."),
                },
            ),
            Tone::Good | Tone::Calm => (
                Tone::Good,
                match served.len() {
                    1 => "Yes, it works. What is to reach the one destination is on its way or has arrived.".to_owned(),
                    many => format!("Yes, it works. What is to reach the {many} destinations is on its way or has arrived."),
                },
            ),
        };
        Verdict {
            tone,
            answer,
            so_far: so_far(standings, has_events),
            concerns,
        }
    }
}

fn so_far(standings: &[(Standing, Tally)], has_events: bool) -> String {
    let sum = |of: fn(&super::standing::Day) -> i64| -> i64 {
        standings.iter().map(|(_, tally)| of(&tally.today())).sum()
    };
    let (taken, lost) = (sum(super::standing::Day::taken), sum(|day| day.lost));
    let waiting: i64 = standings.iter().map(|(one, _)| one.pending).sum();
    if standings.is_empty() {
        return "Start one with: conversion-outbox run".to_owned();
    }
    if !has_events && waiting == 0 {
        return "No event was written in the last 30 days: see below how one is.".to_owned();
    }
    format!(
        "Of today's events, {} taken by a platform and {} not; {} at this moment.",
        were(taken, "delivery", "deliveries"),
        count(lost),
        match waiting {
            0 => "nothing waits".to_owned(),
            1 => "one waits".to_owned(),
            many => format!("{} wait", count(many)),
        }
    )
}

fn were(number: i64, one: &str, many: &str) -> String {
    match number {
        1 => format!("1 {one} was"),
        _ => format!("{} {many} were", count(number)),
    }
}

fn no_worker() -> Concern {
    Concern {
        tone: Tone::Bad,
        word: "No worker",
        said: "No worker has given a sign of life for more than two minutes.".to_owned(),
        advice: Some("See whether the process runs and what its log says last. Nothing is lost meanwhile; it waits.".to_owned()),
        page: Page::Destinations,
        whose: Whose::Everything,
    }
}

/// What is not as it should be at one destination.
fn of_one(standing: &Standing, tally: &Tally) -> Vec<Concern> {
    let mut found = Vec::new();
    let mut add = |tone, word, said: &str, advice: Option<&str>, page, how: String| {
        found.push(Concern {
            tone,
            word,
            said: said.to_owned(),
            advice: advice.map(sentence),
            page,
            whose: Whose::Destinations(vec![(standing.name.clone(), how)]),
        });
    };
    if !standing.is_served() {
        if standing.pending > 0 {
            let advice = "Put it back into a worker's configuration, or skip what waits for it.";
            add(
                Tone::Warn,
                "Not served",
                "Deliveries wait for what no worker serves.",
                Some(advice),
                Page::Destinations,
                wait(standing.pending),
            );
        }
        return found;
    }
    match &standing.hold {
        Some(hold) => {
            let since = hold.since.format("since %F %H:%M UTC");
            let waiting = wait(standing.pending);
            let advice = hold.advice.as_deref();
            match (hold.is_pause, &hold.code) {
                (true, _) => add(
                    Tone::Warn,
                    "Paused",
                    "Paused by hand.",
                    advice,
                    Page::Destinations,
                    format!("{since}, {waiting}"),
                ),
                (false, Some(code)) => {
                    add(
                        Tone::Bad,
                        "Held",
                        "The platform refuses everything.",
                        advice,
                        Page::Destinations,
                        format!("{since}, code {code}, {waiting}"),
                    );
                }
                (false, None) => add(
                    Tone::Bad,
                    "Held",
                    "The platform refuses everything.",
                    advice,
                    Page::Destinations,
                    format!("{since}, {waiting}"),
                ),
            }
        }
        None => {
            if let Some(seconds) = standing.oldest_due.filter(|seconds| *seconds > STALLED) {
                let advice =
                    "See what tries end with, and whether the worker says anything in its log.";
                add(
                    Tone::Bad,
                    "Stalled",
                    "What is due does not leave.",
                    Some(advice),
                    Page::Errors,
                    format!("the oldest for {}", age(seconds)),
                );
            }
        }
    }
    if standing.held_rules > 0 {
        let how = format!("{} of them", count(standing.held_rules));
        add(
            Tone::Bad,
            "Partly held",
            "Conversion actions or rules are held.",
            None,
            Page::Destinations,
            how,
        );
    }
    if standing.expiring > 0 {
        let advice = "Mend what holds them, or they are lost.";
        let how = wait(standing.expiring);
        add(
            Tone::Bad,
            "Expiring",
            "In less than a day the platform does not take them any more.",
            Some(advice),
            Page::Errors,
            how,
        );
    }
    if standing.dead > 0 {
        let dead = count(standing.dead);
        let said = "Deliveries ended without having arrived for certain.";
        let advice = "Each wants a decision: mend the cause and replay, or skip.";
        add(
            Tone::Warn,
            "Dead letters",
            said,
            Some(advice),
            Page::DeadLetters,
            dead,
        );
    }
    let (in_time, due) = tally.in_time(7);
    if due >= FEW && !meets_slo(in_time, due) {
        let said = format!("In 7 days, fewer than {SLO} % were taken within 15 minutes.");
        let how = format!("{} of {}", percent(in_time, due), count(due));
        let advice = "See what tries ended with; what was refused for good counts here too.";
        add(
            Tone::Warn,
            "Late or lost",
            &said,
            Some(advice),
            Page::Errors,
            how,
        );
    }
    found
}

fn wait(number: i64) -> String {
    match number {
        0 => "nothing waits".to_owned(),
        1 => "1 waits".to_owned(),
        many => format!("{} wait", count(many)),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::super::standing::Hold;
    use super::*;

    fn standing(name: &str) -> Standing {
        Standing {
            name: name.to_owned(),
            platform: "meta".to_owned(),
            is_enabled: true,
            hold: None,
            is_throttled: false,
            is_live: true,
            last_seen_at: DateTime::UNIX_EPOCH,
            is_unseen: false,
            pending: 0,
            due: 0,
            oldest_due: None,
            expiring: 0,
            dead: 0,
            held_rules: 0,
        }
    }

    fn verdict(standings: &[Standing]) -> (Tone, String, Vec<&'static str>) {
        let all: Vec<(Standing, Tally)> = standings
            .iter()
            .map(|one| (one.clone(), Tally::new(30)))
            .collect();
        let verdict = Verdict::of(&all, Vec::new(), true);
        let words = verdict
            .concerns
            .iter()
            .map(|concern| concern.word)
            .collect();
        (verdict.tone, verdict.answer, words)
    }

    #[test]
    fn the_answer_is_no_better_than_its_worst_part() {
        assert_eq!(verdict(&[]).0, Tone::Calm);
        let (tone, answer, words) = verdict(&[standing("a"), standing("b")]);
        assert!(
            tone == Tone::Good && answer.starts_with("Yes") && words.is_empty(),
            "{answer}"
        );

        let dead = Standing {
            dead: 3,
            ..standing("a")
        };
        let (tone, answer, words) = verdict(&[dead.clone(), standing("b")]);
        assert!(
            tone == Tone::Warn && answer.starts_with("Yes, it works, and one"),
            "{answer}"
        );
        assert_eq!(words, ["Dead letters"]);

        let hold = Hold {
            is_pause: false,
            code: Some("190".into()),
            advice: None,
            since: DateTime::UNIX_EPOCH,
        };
        let held = Standing {
            hold: Some(hold.clone()),
            ..standing("c")
        };
        let (tone, answer, words) = verdict(&[dead, held.clone()]);
        assert!(
            tone == Tone::Bad && answer.starts_with("Not everything"),
            "{answer}"
        );
        assert_eq!(words, ["Held", "Dead letters"], "the worst first");
        assert!(verdict(std::slice::from_ref(&held)).1.starts_with("No."));

        let paused = Standing {
            hold: Some(Hold {
                is_pause: true,
                ..hold
            }),
            ..standing("c")
        };
        assert_eq!(verdict(&[paused]).0, Tone::Warn);
        let stalled = Standing {
            oldest_due: Some(901.0),
            ..standing("c")
        };
        assert_eq!(verdict(&[stalled]).2, ["Stalled"]);
        let gone = Standing {
            is_unseen: true,
            ..standing("c")
        };
        assert_eq!(verdict(&[gone]).2, ["No worker"]);
        let left = Standing {
            is_live: false,
            pending: 2,
            ..standing("c")
        };
        assert!(verdict(&[left]).1.starts_with("No."));
    }

    #[test]
    fn nothing_written_is_not_called_working() {
        let all = [(standing("a"), Tally::new(30))];
        let verdict = Verdict::of(&all, Vec::new(), false);
        assert!(
            verdict.tone == Tone::Calm && verdict.answer.starts_with("Ready"),
            "{}",
            verdict.answer
        );
        let held = Standing {
            is_unseen: true,
            ..standing("a")
        };
        let verdict = Verdict::of(&[(held, Tally::new(30))], Vec::new(), false);
        assert!(verdict.answer.starts_with("No."), "{}", verdict.answer);
    }

    #[test]
    fn a_share_is_judged_only_where_there_is_enough() {
        let slow = |deliveries: i64| {
            let mut tally = Tally::new(30);
            tally.add(29, "accepted", deliveries, 0);
            Verdict::of(&[(standing("a"), tally)], Vec::new(), true).tone
        };
        assert_eq!((slow(19), slow(20)), (Tone::Good, Tone::Warn));
        assert!(meets_slo(99, 100) && !meets_slo(98, 100) && meets_slo(0, 0));
    }
}
