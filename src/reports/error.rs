//! Why a platform's numbers are not there, and what to do about it. Holds words and codes only: never an answer's text, an
//! account's id or a secret.

use std::time::Duration;

use crate::config::secret::SecretError;
use crate::send::SendError;
use crate::token::TokenError;

/// Why a platform's numbers are not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// The destination has no `[destination.report]`.
    #[error("the destination has no [destination.report], so its platform is not asked")]
    NotConfigured,
    /// No event has a name, action or rule there, or the days are none, too many or out of the platform's reach.
    #[error("there is nothing to ask: {0}")]
    Nothing(&'static str),
    /// A secret cannot be read or used. The text says which and why.
    #[error("{0}")]
    Credential(String),
    /// The platform, or its token endpoint, says no, and will until a person did something.
    #[error("the platform refuses: {}{}", what.as_str(), coded(code.as_deref()))]
    Refused {
        /// What it refuses.
        what: Refusal,
        /// Its own word or number for it.
        code: Option<String>,
    },
    /// Too many questions, here or by whoever shares the quota.
    #[error("the platform throttles{}", coded(code.as_deref()))]
    RateLimited {
        /// When to ask again, where it says.
        after: Option<Duration>,
        /// Its own word or number for it.
        code: Option<String>,
    },
    /// No answer, or the platform failed: it may have one later.
    #[error("the platform gives no answer now: {0}")]
    Later(String),
    /// The answer is none that its documentation knows.
    #[error("the platform's answer cannot be read: {0}")]
    Unreadable(&'static str),
    /// So many questions were asked, and the answer is still not whole.
    #[error("the answer is not whole after {} questions", super::REQUESTS_MAX)]
    TooMuch,
}

/// What a platform refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The credential.
    Credential,
    /// What the credential may do.
    Permission,
    /// The account: unknown, or not this credential's.
    Account,
    /// The version of the API.
    Version,
    /// The question itself.
    Question,
}

impl Refusal {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Credential => "the credential",
            Refusal::Permission => "the credential may not read reports",
            Refusal::Account => "the account",
            Refusal::Version => "the version of its API",
            Refusal::Question => "the question",
        }
    }
}

impl ReportError {
    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            ReportError::NotConfigured => {
                "add [destination.report] below the destination, or import the numbers from a file"
            }
            ReportError::Nothing(_) => {
                "map events to names, actions or rules, or ask for other days"
            }
            ReportError::Credential(_) => {
                "put the credential where the configuration says, as it was given out"
            }
            ReportError::Refused { what, .. } => match what {
                Refusal::Credential => {
                    "make a new credential and put it where the configuration says"
                }
                Refusal::Permission => {
                    "give the credential the right to read reports: Meta ads_read on the dataset, GA4 Viewer on the property with \
                     scope analytics.readonly and the Analytics Data API enabled, Google Ads scope adwords and access to the \
                     account, LinkedIn r_ads_reporting and a role on the ad account"
                }
                Refusal::Account => {
                    "check the account's id under [destination.report] or of the destination, and that the credential may see it"
                }
                Refusal::Version => {
                    "configure a newer version of the API, after a look at the platform's list of changes"
                }
                Refusal::Question => {
                    "look the code up in the platform's documentation; if it has changed, a newer release may know"
                }
            },
            ReportError::RateLimited { .. } => {
                "ask again later; fewer days or a longer pause ask less of the quota"
            }
            ReportError::Later(_) => {
                "ask again later; if it stays so, check base_url, proxies on the way and the platform's status page"
            }
            ReportError::Unreadable(_) => {
                "check base_url and what a proxy on the way makes of answers; if both are right, a newer release may know"
            }
            ReportError::TooMuch => "ask for fewer days at a time",
        }
    }

    /// Whether the same question may be answered later without anybody doing anything.
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            ReportError::RateLimited { .. } | ReportError::Later(_)
        )
    }

    /// When to ask again, where the platform says.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            ReportError::RateLimited { after, .. } => *after,
            _ => None,
        }
    }

    /// For metrics: a word of a fixed set.
    pub fn as_str(&self) -> &'static str {
        match self {
            ReportError::NotConfigured => "not_configured",
            ReportError::Nothing(_) => "nothing_to_ask",
            ReportError::Credential(_) => "credential",
            ReportError::Refused { .. } => "refused",
            ReportError::RateLimited { .. } => "rate_limited",
            ReportError::Later(_) => "later",
            ReportError::Unreadable(_) => "unreadable",
            ReportError::TooMuch => "too_much",
        }
    }
}

fn coded(code: Option<&str>) -> String {
    code.map_or_else(String::new, |code| format!(" (code {code})"))
}

impl From<SecretError> for ReportError {
    fn from(error: SecretError) -> ReportError {
        ReportError::Credential(error.to_string())
    }
}

impl From<TokenError> for ReportError {
    fn from(error: TokenError) -> ReportError {
        match error {
            TokenError::Refused { code } => ReportError::Refused {
                what: Refusal::Credential,
                code: Some(code),
            },
            TokenError::Unavailable(_) => ReportError::Later(error.to_string()),
            TokenError::Secret(_) | TokenError::Key(_) | TokenError::Private => {
                ReportError::Credential(error.to_string())
            }
        }
    }
}

impl From<SendError> for ReportError {
    fn from(error: SendError) -> ReportError {
        match error {
            SendError::Connect => ReportError::Later("no connection".to_owned()),
            SendError::Timeout => ReportError::Later("no answer in time".to_owned()),
            SendError::Broken => ReportError::Later("the connection broke".to_owned()),
            SendError::Credential | SendError::Private => {
                ReportError::Credential(error.to_string())
            }
        }
    }
}
