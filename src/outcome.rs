//! The words for what happened: how an attempt ended, what became of a delivery, and why.
//!
//! All three are closed lists. Their texts are the values in the database, in metrics and on pages, so they change
//! only with a migration.

use std::time::Duration;

/// Declares a closed list whose variants have one text each.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)+ }

        impl $name {
            /// Every word of the list.
            pub const ALL: &'static [$name] = &[$($name::$variant,)+];

            /// The text in the database, in metrics and on pages.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }

            /// The word of this text.
            pub fn parse(text: &str) -> Option<$name> {
                $name::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }
    };
}

mod answer;

pub use answer::{Answer, LateAnswer, LateVerdict, Notice, RowAnswer, Verdict};

words! {
    /// What has become of a delivery.
    State {
        /// Due now, due later, or waiting for another event.
        Pending = "pending",
        /// The platform confirmed that it took the event.
        Accepted = "accepted",
        /// Handed over to a platform that never confirms, or has not yet.
        Sent = "sent",
        /// Consent, withdrawal or opt-out: nothing left the house.
        Suppressed = "suppressed",
        /// Cannot apply at this destination.
        Skipped = "skipped",
        /// Older than the platform takes.
        Expired = "expired",
        /// The platform, or our own check before sending, found this event wrong for good.
        Rejected = "rejected",
        /// It may have arrived and a resend might count twice, so it was not sent again.
        Uncertain = "uncertain",
        /// Attempts or age are used up.
        Exhausted = "exhausted",
        /// Stopped by an operator or an erasure.
        Cancelled = "cancelled",
    }
}

words! {
    /// Why a delivery is in its state.
    Reason {
        /// A consent signal that the destination needs was denied.
        ConsentDenied = "consent_denied",
        /// A consent signal that the destination needs was never asked for.
        ConsentUnspecified = "consent_unspecified",
        /// Consent was taken back after the event was written.
        Withdrawn = "withdrawn",
        /// Global Privacy Control.
        OptOut = "opt_out",
        /// The person is on the suppression list.
        SuppressedSubject = "suppressed_subject",
        /// There is a legal decision and it does not name this destination.
        NotInDecision = "not_in_decision",
        /// Nothing that the platform could match a person by.
        NoIdentifier = "no_identifier",
        /// The platform has no such event, or no mapping was configured.
        UnsupportedEvent = "unsupported_event",
        /// The destination's routes leave this event out.
        FilteredByRoute = "filtered_by_route",
        /// The event that this one adjusts never left.
        OriginalNotSent = "original_not_sent",
        /// The event that this one adjusts is not in the outbox.
        OriginalUnknown = "original_unknown",
        /// The platform never confirmed that it counts the original, and would count the adjustment as a new conversion.
        OriginalUnconfirmed = "original_unconfirmed",
        /// The destination only validates; the platform found nothing wrong.
        ValidatedOnly = "validated_only",
        /// Earlier refunds took everything back already.
        TakenBackBefore = "taken_back_before",
        /// A newer refund of the same order has left, and its total holds this one.
        Superseded = "superseded",
        /// A refund took everything back before this event left.
        TakenBack = "taken_back",
        /// The platform has it already; nothing was counted twice.
        Duplicate = "duplicate",
        /// The platform took it and finds nobody it belongs to.
        Unmatched = "unmatched",
        /// As unmatched, for some events of its request; the platform does not say which.
        PartlyUnmatched = "partly_unmatched",
        /// Some event of its request failed later; the platform does not say which, and nobody asks further.
        PartlyFailed = "partly_failed",
        /// The platform never said what became of it within the time it says so.
        NeverConfirmed = "never_confirmed",
        /// Older than the platform takes.
        TooOld = "too_old",
        /// Our own check before sending found the payload wrong.
        InvalidPayload = "invalid_payload",
        /// The row itself is no valid event.
        InvalidEvent = "invalid_event",
        /// The platform refused this event for good.
        RefusedByPlatform = "refused_by_platform",
        /// A retry would have said something else than the first try, and not because of consent.
        PayloadChanged = "payload_changed",
        /// The worker itself failed on this event.
        Defect = "defect",
        /// No answer came.
        NoAnswer = "no_answer",
        /// The platform counted other than what was sent, so nobody can say which events it took.
        CountMismatch = "count_mismatch",
        /// The time in which the platform recognises a repeat is over.
        RepeatWindowOver = "repeat_window_over",
        /// As many attempts failed as are allowed.
        AttemptsUsedUp = "attempts_used_up",
        /// Older than the configuration allows.
        AgeUsedUp = "age_used_up",
        /// The person was erased.
        Erased = "erased",
        /// A person ended it by hand.
        ByOperator = "by_operator",
        /// The platform failed; tried again later.
        Retry = "retry",
        /// The platform throttles.
        RateLimited = "rate_limited",
        /// The platform answers nobody at the moment.
        DestinationDown = "destination_down",
        /// The destination is held: credential, permission or version.
        DestinationHeld = "destination_held",
        /// The destination has more work than it can do now; others go on.
        DestinationBusy = "destination_busy",
        /// Its conversion action or rule is held; others of the destination go on.
        RuleHeld = "rule_held",
        /// The platform is not ready for it yet.
        TooEarly = "too_early",
        /// Some event of its request failed and the platform does not say which: it goes again in smaller company.
        Narrowing = "narrowing",
        /// Waits for the event that it adjusts.
        WaitingForOriginal = "waiting_for_original",
        /// The business clock is ahead of ours.
        InTheFuture = "in_the_future",
        /// Consent or the suppression list could not be looked at, and nothing is sent unjudged.
        Unjudged = "unjudged",
        /// A request is under way to a platform that does not deduplicate.
        Sending = "sending",
        /// A person asked for it again.
        Replayed = "replayed",
    }
}

words! {
    /// Why a destination is held.
    Hold {
        /// 401, or a token that is expired, revoked or wrong.
        Credential = "credential",
        /// 403: the credential is known and may not do this.
        Permission = "permission",
        /// The account or address in the configuration is wrong.
        Configuration = "configuration",
        /// The configured version of the API has ended.
        Version = "version",
        /// The platform opens this call to nobody new.
        NotAllowlisted = "not_allowlisted",
        /// A conversion action or rule does not exist, is switched off or is of the wrong kind.
        Rule = "rule",
    }
}

impl Hold {
    /// What a person should do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Hold::Credential => {
                "replace the token in the secret file; the worker notices and goes on by itself"
            }
            Hold::Permission => {
                "give the token's owner access to this account, or use another token; the worker probes again by itself"
            }
            Hold::Configuration => {
                "check account id, API version and base_url of this destination, then restart the worker"
            }
            Hold::Version => {
                "the configured API version has ended: set version to a current one and restart the worker"
            }
            Hold::NotAllowlisted => {
                "this API takes no new senders of conversions: configure the account as platform google_data_manager instead, and keep google_ads for retractions only"
            }
            Hold::Rule => {
                "check that the conversion action or rule exists on the platform, is enabled and takes server events; the worker probes again by itself"
            }
        }
    }
}

/// How one event fared in one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Confirmed.
    Accepted,
    /// The platform has it already, under the same key.
    Duplicate,
    /// Taken, and the platform finds no click or person it belongs to.
    Unmatched,
    /// Handed over to a platform that confirms nothing.
    Sent,
    /// The platform only validated it, as it was asked to.
    Validated,
    /// The platform is not ready for it: the click or the original is too young. Nobody's fault, so no attempt is burned.
    TooEarly {
        /// How long to wait.
        after: Duration,
        /// Tries after which it is taken for a refusal; for ever where there is none.
        tries_max: Option<i16>,
    },
    /// Failed for now. `after` is the platform's own wish.
    Retry {
        /// How long to wait at least.
        after: Option<Duration>,
        /// Whether the request reached the platform: if so, it may have been taken after all.
        delivered: bool,
    },
    /// Throttled: nobody's fault, so no attempt is burned.
    RateLimited {
        /// How long to wait at least.
        after: Option<Duration>,
    },
    /// The destination itself is wrong: a person or a new credential must help.
    Hold(Hold),
    /// One conversion action or rule of it is wrong; the others work.
    HoldRule,
    /// Refused together with another event of the request, and not stored: goes again at once, without that one.
    Bystander,
    /// Wrong for good.
    Rejected,
    /// Refused with a code that nobody has described: tried once more, then rejected.
    Unrecognised,
    /// Bytes were written and no answer came.
    Ambiguous,
    /// The platform took some of the events and did not say which.
    Miscounted,
}

impl Outcome {
    /// The text in `attempt.outcome` and in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Accepted | Outcome::Duplicate | Outcome::Unmatched => "accepted",
            Outcome::Sent | Outcome::Validated => "sent",
            Outcome::Retry { .. } => "retry",
            Outcome::TooEarly { .. } => "too_early",
            Outcome::RateLimited { .. } => "rate_limited",
            Outcome::Hold(_) | Outcome::HoldRule => "hold",
            Outcome::Bystander => "batch_rejected",
            Outcome::Rejected | Outcome::Unrecognised => "rejected",
            Outcome::Ambiguous | Outcome::Miscounted => "ambiguous",
        }
    }

    /// The platform finds that the event has not happened yet. What waits for its time never leaves before, so our clock is a
    /// little ahead of the platform's: once more in a minute, then it is the event's own fault.
    pub const AHEAD_OF_ITS_CLOCK: Outcome = Outcome::TooEarly {
        after: Duration::from_secs(60),
        tries_max: Some(2),
    };

    /// Every text of [`Outcome::as_str`], and that of a refused batch.
    pub const TEXTS: [&'static str; 9] = [
        "accepted",
        "sent",
        "retry",
        "too_early",
        "rate_limited",
        "hold",
        "rejected",
        "batch_rejected",
        "ambiguous",
    ];
}
