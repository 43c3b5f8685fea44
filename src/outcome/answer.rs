//! What a platform's answer says: at once, and later.

use super::Outcome;

/// What a platform's answer says of the events of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of all events alike, or of none in particular.
    pub verdict: Verdict,
    /// The platform's own code, such as `190/463`; never its text, which may echo what was sent.
    pub code: Option<String>,
    /// Something an operator should read once: a version about to end, a count that does not add up.
    pub notice: Option<Notice>,
    /// The platform's number for the request, where it says later what became of it.
    pub receipt: Option<String>,
}

/// Whom an answer concerns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// All events of the request fared alike.
    All(Outcome),
    /// The request was refused whole because of at least one event, and nothing was stored. Split it.
    BatchRejected,
    /// Each event by itself, in the order of the request.
    Each(Vec<RowAnswer>),
}

/// How one event of a request fared, where the platform says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowAnswer {
    /// How.
    pub outcome: Outcome,
    /// The platform's own code.
    pub code: Option<String>,
}

/// What a platform says of a request some time after it took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LateAnswer {
    /// What it means for the request's events.
    pub verdict: LateVerdict,
    /// The platform's word for the state of the request.
    pub status: Option<String>,
    /// Whether it took some of the events whatever the verdict: what goes again may be counted already.
    pub took_some: bool,
    /// Its reasons and how many events each concerns, the one that decided first; it does not say which ones.
    pub reasons: Vec<(String, u64)>,
    /// Something an operator should read.
    pub notice: Option<Notice>,
}

/// Whom a late answer concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LateVerdict {
    /// Not known yet: ask again.
    Open,
    /// All events of the request fared alike.
    All(Outcome),
    /// Some failed for good, and the platform does not say which.
    SomeFailed {
        /// Whether to send again in smaller company until the culprits are found.
        narrow: bool,
    },
    /// Taken, and for some the platform finds nobody they belong to.
    SomeUnmatched,
    /// The platform has forgotten the request, or never knew it.
    Forgotten,
    /// The question itself failed: throttled, refused or down.
    Unasked(Outcome),
}

words! {
    /// What an answer says beside the verdict.
    Notice {
        /// The platform warns that the API version is about to end.
        VersionWarning = "version_warning",
        /// The platform counted fewer events than were sent.
        CountMismatch = "count_mismatch",
        /// A code that nobody has described.
        UnrecognisedCode = "unrecognised_code",
        /// The address is not the platform's: 404 or 405.
        WrongAddress = "wrong_address",
        /// The platform says that events were sent without the consent it needs.
        ConsentRefused = "consent_refused",
        /// The platform calls the form of the request itself wrong, which is our fault and not the event's.
        BadRequestForm = "bad_request_form",
    }
}

impl Answer {
    /// All events fared alike, and there is nothing more to say.
    pub fn all(outcome: Outcome) -> Answer {
        Answer {
            verdict: Verdict::All(outcome),
            code: None,
            notice: None,
            receipt: None,
        }
    }

    /// Each event fared by itself.
    pub fn each(rows: Vec<RowAnswer>) -> Answer {
        Answer {
            verdict: Verdict::Each(rows),
            code: None,
            notice: None,
            receipt: None,
        }
    }

    /// The whole request was refused because of its events.
    pub fn batch_rejected() -> Answer {
        Answer {
            verdict: Verdict::BatchRejected,
            code: None,
            notice: None,
            receipt: None,
        }
    }

    /// With the platform's own code.
    pub fn code(mut self, code: impl Into<String>) -> Answer {
        self.code = Some(code.into());
        self
    }

    /// With the platform's number for the request.
    pub fn receipt(mut self, receipt: impl Into<String>) -> Answer {
        self.receipt = Some(receipt.into());
        self
    }

    /// With something an operator should read.
    pub fn notice(mut self, notice: Notice) -> Answer {
        self.notice = Some(notice);
        self
    }
}
