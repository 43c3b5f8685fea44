//! What an answer means for the destination, where all that is wanted is whether events would be taken. Pure.

use super::super::{Blame, Check};
use crate::outcome::{Answer, Hold, Notice, Outcome, Verdict};

/// An answer in the words of a doctor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Taken, or found good.
    Good,
    /// The platform refuses the content, so it has accepted all that comes before: token, account, version.
    Content,
    /// The conversion action or rule is wrong.
    Rule,
    /// The platform is not ready yet.
    TooEarly,
    /// The destination is wrong.
    Held(Hold),
    /// Throttled.
    Throttled,
    /// The platform fails by itself.
    Down,
    /// Nothing that is known.
    Unclear,
}

/// Reads an answer about at most one event.
pub(super) fn meaning(answer: &Answer) -> Meaning {
    let outcome = match &answer.verdict {
        Verdict::BatchRejected => return Meaning::Content,
        Verdict::All(outcome) => *outcome,
        Verdict::Each(rows) => match rows.first() {
            Some(row) => row.outcome,
            None => return Meaning::Unclear,
        },
    };
    match outcome {
        Outcome::Accepted
        | Outcome::Duplicate
        | Outcome::Unmatched
        | Outcome::Sent
        | Outcome::Validated => Meaning::Good,
        Outcome::Rejected | Outcome::Bystander => Meaning::Content,
        Outcome::TooEarly { .. } => Meaning::TooEarly,
        Outcome::HoldRule => Meaning::Rule,
        Outcome::Hold(hold) => Meaning::Held(hold),
        Outcome::RateLimited { .. } => Meaning::Throttled,
        Outcome::Retry { .. } => Meaning::Down,
        Outcome::Unrecognised | Outcome::Ambiguous | Outcome::Miscounted => Meaning::Unclear,
    }
}

/// The platform's own code, of the answer or of its only row, as the end of a phrase.
pub(super) fn code(answer: &Answer) -> String {
    let of_row = match &answer.verdict {
        Verdict::Each(rows) => rows.first().and_then(|row| row.code.as_deref()),
        _ => None,
    };
    match of_row.or(answer.code.as_deref()) {
        Some(code) => format!(" (code {code})"),
        None => String::new(),
    }
}

/// What is wrong by an answer that is no yes, apart from what only the platform's own file can judge. `status` is HTTP's.
pub(super) fn trouble(name: &'static str, meaning: Meaning, answer: &Answer, status: u16) -> Check {
    let code = code(answer);
    match meaning {
        Meaning::Held(hold) => Check::fail(
            name,
            format!("the platform refuses: {}{code}", hold.as_str()),
            hold.advice(),
        ),
        Meaning::Rule => Check::fail(
            name,
            format!("the platform refuses the conversion action or rule{code}"),
            Hold::Rule.advice(),
        ),
        Meaning::TooEarly => Check::warn(
            name,
            format!("the platform is not ready yet{code}"),
            "wait: what was just made there becomes usable some hours later",
        ),
        Meaning::Throttled => Check::warn(
            name,
            format!("the platform throttles{code}: it did not look at the request"),
            "ask again later",
        ),
        Meaning::Down => Check::fail(
            name,
            format!("the platform failed with status {status}{code}"),
            "ask again later; the platform's status page may know more",
        )
        .blame(Blame::Unavailable),
        Meaning::Good | Meaning::Content | Meaning::Unclear => Check::warn(
            name,
            format!("an answer that tells nothing: status {status}{code}"),
            "look the code up in the platform's documentation, or try a test event",
        ),
    }
}

/// What a platform says beside its answer.
pub(super) fn notice(answer: &Answer) -> Option<Check> {
    (answer.notice == Some(Notice::VersionWarning)).then(|| {
        Check::warn(
            "api_version",
            "the platform warns that this version of its API is about to end or has ended",
            "configure a newer version, after a look at the platform's list of changes",
        )
    })
}
