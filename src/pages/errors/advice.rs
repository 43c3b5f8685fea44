//! What a kind of answer means, and what to do about it. Pure; says nothing of a platform's own codes, which its manual
//! explains.

use super::kinds::Kind;
use crate::operations::advice::advice as of_reason;
use crate::outcome::{Hold, Reason};
use crate::pages::html::Tone;

/// How a destination stands now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Now {
    /// It is held, or a conversion action or rule of it.
    pub(super) is_held: bool,
    /// It has dead letters.
    pub(super) has_dead: bool,
}

/// The outcome of a try, as people say it.
pub(super) fn word(outcome: &str, now: Now) -> (Tone, &'static str) {
    match outcome {
        "hold" if !now.is_held => (Tone::Calm, "Was held"),
        "hold" => (Tone::Bad, "Held"),
        "rejected" => (Tone::Bad, "Refused"),
        "ambiguous" => (Tone::Warn, "No answer"),
        "batch_rejected" => (Tone::Warn, "Refused together"),
        "rate_limited" => (Tone::Calm, "Throttled"),
        "too_early" => (Tone::Calm, "Too early"),
        _ => (Tone::Calm, "Repeated"),
    }
}

/// Whether somebody has to look at it; else it is over, or the worker goes on by itself.
pub(super) fn needs_somebody(outcome: &str, now: Now) -> bool {
    match outcome {
        "hold" => now.is_held,
        "rejected" | "ambiguous" => now.has_dead,
        _ => false,
    }
}

/// Whether deliveries that end like this may be dead letters.
pub(super) fn may_be_dead(outcome: &str) -> bool {
    matches!(outcome, "rejected" | "ambiguous" | "retry")
}

/// One sentence for whoever looks at it.
pub(super) fn advice(kind: &Kind, now: Now) -> String {
    let (begin, advice) = match (
        kind.outcome.as_str(),
        kind.response_code,
        kind.error_code.as_deref(),
    ) {
        ("hold", _, _) if !now.is_held => (
            "The hold is over, and what it kept back went on",
            "nothing to do",
        ),
        ("rejected" | "ambiguous", _, _) if !now.has_dead => (
            "It is over: the destination has no dead letters",
            "nothing to do",
        ),
        ("hold", Some(401), _) => (
            "Nothing leaves until the credential works",
            Hold::Credential.advice(),
        ),
        ("hold", Some(403), _) => (
            "Nothing leaves until the credential may do this",
            Hold::Permission.advice(),
        ),
        ("hold", _, _) => (
            "Nothing leaves while the destination, or one conversion action or rule of it, is held",
            "the page Destinations says why, and what to do",
        ),
        ("rejected", _, _) => (
            "It is a dead letter now",
            of_reason(Some(Reason::RefusedByPlatform)),
        ),
        ("batch_rejected", _, _) => (
            "One event made its whole request fail",
            "nothing to do: the others went again without it, and the one is found under what was refused",
        ),
        ("rate_limited", _, _) => (
            "The platform throttles",
            "nothing to do: the worker waits as long as it is told; if it lasts, set the destination's limit lower",
        ),
        ("too_early", _, _) => (
            "The platform is not ready for the event yet",
            "nothing to do: the worker asks again later",
        ),
        ("ambiguous", _, Some("lease_lost")) => (
            "A worker did not come back with an answer",
            "see why it ended or hung; another one has taken over, and what may have arrived is not counted twice",
        ),
        ("ambiguous", _, _) => (
            "No answer came, so nobody knows whether it arrived",
            "the worker repeats it where the platform recognises a repeat; where it does not, it is a dead letter and a person decides",
        ),
        (_, Some(_), _) => (
            "The platform failed for the moment",
            "nothing to do: the worker repeats it ever more rarely; if it lasts, see what the platform says of its own state",
        ),
        (_, None, _) => (
            "The platform could not be reached",
            "the worker repeats it ever more rarely; if it lasts, see whether this machine reaches the platform at all: conversion-outbox doctor",
        ),
    };
    format!("{begin}: {advice}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Outcome;

    #[test]
    fn every_outcome_has_a_word_and_advice() {
        for outcome in Outcome::TEXTS
            .into_iter()
            .filter(|outcome| !matches!(*outcome, "accepted" | "sent"))
        {
            for (response_code, error_code) in [
                (None, None),
                (Some(401), None),
                (Some(503), Some("lease_lost")),
            ] {
                let kind = Kind {
                    destination: "meta".into(),
                    outcome: outcome.into(),
                    response_code,
                    error_code: error_code.map(str::to_owned),
                };
                for stands in [false, true] {
                    let now = Now {
                        is_held: stands,
                        has_dead: stands,
                    };
                    let advice = advice(&kind, now);
                    assert!(
                        advice.contains(": ") && advice.ends_with('.') && !advice.ends_with(".."),
                        "{advice}"
                    );
                    let word = word(outcome, now).1;
                    assert_eq!(word == "Repeated", outcome == "retry", "{outcome}");
                    // What is over wants nobody.
                    assert!(stands || !needs_somebody(outcome, now), "{outcome}");
                }
                let held = Now {
                    is_held: true,
                    has_dead: false,
                };
                assert_eq!(needs_somebody(outcome, held), outcome == "hold");
            }
        }
    }
}
