//! The closed list of what can be wrong with one business id. Its texts stand in the database, in JSON and on pages.

use serde::{Deserialize, Serialize};

use crate::outcome::State;

/// Why a business id is missing, extra or different.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// In the source, and no event at all: the application forgot it, or its transaction wrote only one of both.
    NoRow,
    /// The outbox has fewer events of this id than the source has rows.
    FewerRows,
    /// The same id but for case, spaces or leading zeros is an event without a row: most likely its own.
    OtherSpelling,
    /// The event is there, on another day: late, or at the edge of a time zone.
    OtherDay,
    /// The amount or the currency is another one.
    ValueDiffers,
    /// So it is, and the application wrote the event again with other content, which was not taken.
    Conflict,
    /// An event of this day that no row of the source belongs to.
    NotInSource,
    /// The source gave the identical row more than once; counted once.
    DuplicateInSource,
    /// Consent, withdrawal or opt-out.
    Suppressed,
    /// Cannot apply at this destination.
    Skipped,
    /// Too old for the platform.
    Expired,
    /// Wrong for good.
    Rejected,
    /// May have arrived.
    Uncertain,
    /// Attempts or age used up.
    Exhausted,
    /// Taken back, erased or ended by hand.
    Cancelled,
    /// Waits for another try.
    Pending,
    /// No worker has looked at it yet.
    InQueue,
    /// Was finished before the destination was there.
    NoDelivery,
    /// The platform counted it, and nothing of this id was sent to it.
    ReportedNeverSent,
    /// It was accepted or sent, and the platform's list of ids does not have it.
    NotReported,
    /// The platform counted it more than once.
    ReportedAgain,
}

impl Why {
    /// Every word of the list.
    pub const ALL: [Why; 21] = [
        Why::NoRow,
        Why::FewerRows,
        Why::OtherSpelling,
        Why::OtherDay,
        Why::ValueDiffers,
        Why::Conflict,
        Why::NotInSource,
        Why::DuplicateInSource,
        Why::Suppressed,
        Why::Skipped,
        Why::Expired,
        Why::Rejected,
        Why::Uncertain,
        Why::Exhausted,
        Why::Cancelled,
        Why::Pending,
        Why::InQueue,
        Why::NoDelivery,
        Why::ReportedNeverSent,
        Why::NotReported,
        Why::ReportedAgain,
    ];

    /// Whether it stays away on purpose: a thousand refusals of consent must not hide one event that was lost.
    pub fn is_kept_at_home(self) -> bool {
        matches!(self, Why::Suppressed | Why::Skipped | Why::Cancelled)
    }

    /// The text in the database, in JSON and on pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Why::NoRow => "no_row",
            Why::FewerRows => "fewer_rows",
            Why::OtherSpelling => "other_spelling",
            Why::OtherDay => "other_day",
            Why::ValueDiffers => "value_differs",
            Why::Conflict => "conflict",
            Why::NotInSource => "not_in_source",
            Why::DuplicateInSource => "duplicate_in_source",
            Why::Suppressed => "suppressed",
            Why::Skipped => "skipped",
            Why::Expired => "expired",
            Why::Rejected => "rejected",
            Why::Uncertain => "uncertain",
            Why::Exhausted => "exhausted",
            Why::Cancelled => "cancelled",
            Why::Pending => "pending",
            Why::InQueue => "in_queue",
            Why::NoDelivery => "no_delivery",
            Why::ReportedNeverSent => "reported_never_sent",
            Why::NotReported => "not_reported",
            Why::ReportedAgain => "reported_again",
        }
    }

    /// What it means, for people.
    pub fn explained(self) -> &'static str {
        match self {
            Why::NoRow => "no event was written: the application forgot it",
            Why::FewerRows => "the outbox has fewer events of this id than the source has rows",
            Why::OtherSpelling => {
                "an event of the same id in another spelling (case, spaces, leading zeros) has no row"
            }
            Why::OtherDay => {
                "the event is there, on another day: late, or at the edge of a time zone"
            }
            Why::ValueDiffers => "another amount or currency than in the source",
            Why::Conflict => {
                "another amount or currency; the event was written again with other content, which was not taken"
            }
            Why::NotInSource => "an event that no row of the source belongs to",
            Why::DuplicateInSource => {
                "the source gave the identical row more than once; counted once"
            }
            Why::Suppressed => "consent, withdrawal or opt-out: nothing left the house",
            Why::Skipped => "cannot apply at this destination",
            Why::Expired => "older than the platform takes",
            Why::Rejected => "found wrong for good; see dead-letters",
            Why::Uncertain => "may have arrived; see dead-letters",
            Why::Exhausted => "attempts or age are used up; see dead-letters",
            Why::Cancelled => "taken back, erased or ended by hand",
            Why::Pending => "waits for another try",
            Why::InQueue => "no worker has looked at it yet",
            Why::NoDelivery => "was finished before this destination was there",
            Why::ReportedNeverSent => {
                "the platform counted it, and nothing of this id was sent to it from here"
            }
            Why::NotReported => "accepted or sent, and not in the platform's list of ids",
            Why::ReportedAgain => "the platform counted it more than once",
        }
    }

    /// Why a delivery in this state has not arrived; `None` where it has.
    pub(super) fn of_state(state: State) -> Option<Why> {
        Some(match state {
            State::Accepted | State::Sent => return None,
            State::Pending => Why::Pending,
            State::Suppressed => Why::Suppressed,
            State::Skipped => Why::Skipped,
            State::Expired => Why::Expired,
            State::Rejected => Why::Rejected,
            State::Uncertain => Why::Uncertain,
            State::Exhausted => Why::Exhausted,
            State::Cancelled => Why::Cancelled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_those_of_json() {
        for why in Why::ALL {
            assert_eq!(serde_json::to_value(why).expect("a word"), why.as_str());
        }
    }
}
