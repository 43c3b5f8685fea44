//! The closed lists of label values, and a row of counters over one of them.
//!
//! A value outside its list is a bug of the caller: tests panic, a release build leaves it uncounted.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use crate::outcome::Outcome;

/// Final states of a delivery.
pub const FINAL_STATES: [&str; 9] = [
    "accepted",
    "sent",
    "suppressed",
    "skipped",
    "expired",
    "rejected",
    "uncertain",
    "exhausted",
    "cancelled",
];

/// Outcomes of an attempt.
pub const RESULTS: [&str; 9] = Outcome::TEXTS;

/// Why the platform was not told, of deliveries that end as suppressed, skipped or expired. The rest, mostly about refunds and
/// what they adjust, is [`OTHER`].
pub const SUPPRESSED: [&str; 11] = [
    "consent_denied",
    "consent_unspecified",
    "withdrawn",
    "opt_out",
    "suppressed_subject",
    "not_in_decision",
    "no_identifier",
    "unsupported_event",
    "filtered_by_route",
    "too_old",
    OTHER,
];

/// Deliveries not yet final, as [`super::Backlog`] has them: each is in one of these.
pub const BACKLOG: [&str; 5] = ["due", "retry", "waiting", "leased", "held"];

/// What a look for work found.
pub const POLLS: [&str; 4] = ["empty", "partial", "full", "error"];

/// Where a repeat was noticed.
pub const DUPLICATES: [&str; 3] = ["enqueue", "dispatch", "platform"];

/// How far the outbox has come.
pub const STAGES: [&str; 3] = ["enqueued", "claimed", "settled"];

/// What a platform says beside its verdict.
pub const NOTICES: [&str; 6] = [
    "version_warning",
    "count_mismatch",
    "unrecognised_code",
    "wrong_address",
    "consent_refused",
    "bad_request_form",
];

/// Why a destination is held.
pub const HOLDS: [&str; 7] = [
    "credential",
    "permission",
    "configuration",
    "version",
    "not_allowlisted",
    "rule",
    "paused",
];

/// What an event may carry.
pub const SIGNALS: [&str; 4] = ["click_id", "email", "phone", "external_id"];

/// Whether it does.
pub const PRESENCE: [&str; 2] = ["present", "absent"];

/// What is on record about consent.
pub const CONSENT: [&str; 3] = ["granted", "denied", "unspecified"];

/// Circuit of a destination; the position is the value of the gauge.
pub const CIRCUIT: [&str; 3] = ["closed", "half_open", "open"];

/// Connections of the pool.
pub const POOL: [&str; 3] = ["idle", "busy", "max"];

/// HTTP status codes that are told apart; the rest is [`OTHER`].
pub const CODES: [u16; 11] = [200, 201, 204, 400, 401, 403, 404, 422, 429, 500, 503];

/// Why the admin listener let somebody stay outside.
pub const ADMIN_REFUSALS: [&str; 8] = [
    "token",
    "throttled",
    "host",
    "unreadable",
    "session",
    "origin",
    "form",
    "repeat",
];

/// Label value for what is not on a list.
pub const OTHER: &str = "other";

/// Names and values of labels, in the order they are shown.
pub(super) type Labels = Vec<(&'static str, String)>;

/// One counter for each word of a closed list, found by comparing a few short words.
#[derive(Debug)]
pub(super) struct Closed<const N: usize> {
    words: &'static [&'static str; N],
    counters: [Counter; N],
}

impl<const N: usize> Closed<N> {
    /// Counters of `family` with `labels` and one more label, `name`; all exist at zero from now on.
    pub(super) fn new(
        family: &Family<Labels, Counter>,
        labels: Labels,
        name: &'static str,
        words: &'static [&'static str; N],
    ) -> Self {
        let counters = words.map(|word| {
            let mut labels = labels.clone();
            labels.push((name, word.to_owned()));
            family.get_or_create_owned(&labels)
        });
        Self { words, counters }
    }

    pub(super) fn add(&self, word: &'static str, count: u64) {
        let position = self.words.iter().position(|known| *known == word);
        debug_assert!(position.is_some(), "{word} is not one of {:?}", self.words);
        if let Some(position) = position {
            self.counters[position].inc_by(count);
        }
    }
}

/// The word of a closed list, or [`OTHER`].
pub(super) fn word_of(list: &[&'static str], word: &str) -> &'static str {
    list.iter()
        .copied()
        .find(|known| *known == word)
        .unwrap_or(OTHER)
}

/// A status code as a label; `none` without an answer.
pub(super) fn code(code: Option<u16>) -> String {
    match code {
        None => "none".to_owned(),
        Some(code) if CODES.contains(&code) => code.to_string(),
        Some(_) => OTHER.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{Hold, Notice, Reason, State};

    #[test]
    fn the_lists_are_those_of_the_outcomes() {
        let last = State::ALL.iter().filter(|&&state| state != State::Pending);
        assert!(last.map(|state| state.as_str()).eq(FINAL_STATES));
        let reasons: Vec<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let (other, named) = SUPPRESSED.split_last().unwrap();
        assert!(named.iter().all(|word| reasons.contains(word)) && *other == OTHER);
        let notices = Notice::ALL.iter().map(|notice| notice.as_str());
        assert!(notices.eq(NOTICES));
        let holds = Hold::ALL.iter().map(|hold| hold.as_str());
        assert!(holds.chain(["paused"]).eq(HOLDS));
    }
}
