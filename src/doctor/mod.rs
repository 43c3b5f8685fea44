//! Looks at everything that has to be right before events can leave, and says of each thing what was seen and how to
//! mend it.
//!
//! Judgements are pure; `admin`, `database`, `source`, `report` and `platform` fetch what they judge. Nothing is changed anywhere and no event is sent,
//! unless a test event is asked for. Not for printing, and not for exit codes.

mod admin;
mod asked;
mod credential;
mod database;
mod mapping;
mod platform;
mod report;
mod settings;
mod source;
mod version;

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::config::Config;
use crate::config::destination::DestinationConfig;
use crate::send::Sender;

pub use asked::asked;
pub use platform::test_event;

/// One thing that was looked at. Its JSON form is an interface: keys and their order stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in one word.
    pub name: &'static str,
    /// The destination it concerns; nothing where it concerns all.
    pub destination: Option<String>,
    /// How it stands.
    pub verdict: Verdict,
    /// What was seen. Never a secret, never personal data.
    pub seen: String,
    /// What to do about it.
    pub fix: Option<String>,
    /// What a failure is the fault of; an exit code tells it.
    #[serde(skip)]
    pub blame: Blame,
}

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and a person should know something about it.
    Warn,
    /// It does not work, or must not stay so.
    Fail,
    /// Not looked at.
    Skipped,
}

/// What a failure is the fault of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Blame {
    /// What was found.
    Finding,
    /// The database or a platform gives no answer, so that nothing was found at all.
    Unavailable,
    /// The configuration, or a secret that it names.
    Configuration,
}

/// What to look at.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// Whether the database is asked.
    pub database: bool,
    /// Asks the platforms; nothing where they are not asked.
    pub online: Option<&'a Sender>,
    /// Only this destination, also when it is disabled. Otherwise all that are enabled.
    pub only: Option<&'a str>,
    /// Whether each platform that is asked gets a test event, which counts like any other.
    pub test_event: bool,
}

impl Verdict {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "fail",
            Verdict::Skipped => "skipped",
        }
    }
}

impl Check {
    fn new(name: &'static str, verdict: Verdict, seen: impl Into<String>) -> Check {
        Check {
            name,
            destination: None,
            verdict,
            seen: seen.into(),
            fix: None,
            blame: Blame::Finding,
        }
    }

    /// As it should be.
    pub(crate) fn ok(name: &'static str, seen: impl Into<String>) -> Check {
        Check::new(name, Verdict::Ok, seen)
    }

    /// It works, but.
    fn warn(name: &'static str, seen: impl Into<String>, fix: impl Into<String>) -> Check {
        Check {
            fix: Some(fix.into()),
            ..Check::new(name, Verdict::Warn, seen)
        }
    }

    /// It does not work.
    pub(crate) fn fail(
        name: &'static str,
        seen: impl Into<String>,
        fix: impl Into<String>,
    ) -> Check {
        Check {
            fix: Some(fix.into()),
            ..Check::new(name, Verdict::Fail, seen)
        }
    }

    /// Not looked at.
    pub(crate) fn skipped(name: &'static str, seen: impl Into<String>) -> Check {
        Check::new(name, Verdict::Skipped, seen)
    }

    /// It does not work, as an error tells; many tell a fix too.
    fn error(name: &'static str, text: &str) -> Check {
        let (seen, fix) = match text.split_once(". Fix: ") {
            Some((seen, fix)) => (seen, Some(fix.to_owned())),
            None => (text, None),
        };
        Check {
            fix,
            ..Check::new(name, Verdict::Fail, seen)
        }
    }

    fn at(mut self, destination: &str) -> Check {
        self.destination = Some(destination.to_owned());
        self
    }

    pub(crate) fn blame(mut self, blame: Blame) -> Check {
        self.blame = blame;
        self
    }
}

/// Looks at everything in the scope: the configuration, then the database, then the platforms one after another.
pub async fn examine(config: &Config, scope: &Scope<'_>, now: DateTime<Utc>) -> Vec<Check> {
    let destinations: Vec<&DestinationConfig> = config
        .destinations
        .iter()
        .filter(|one| match scope.only {
            Some(name) => one.name == name,
            None => true,
        })
        .collect();
    let (asked, left): (Vec<&DestinationConfig>, Vec<&DestinationConfig>) = destinations
        .into_iter()
        .partition(|one| one.is_enabled || scope.only.is_some());

    let mut checks = Vec::new();
    for destination in left {
        let seen = "not looked at: the destination is disabled";
        checks.push(Check::skipped("destination", seen).at(&destination.name));
    }
    for destination in &asked {
        checks.push(credential::check(destination, now));
        checks.extend(report::credential(destination, now));
        checks.extend(version::check(destination, now.date_naive()));
        checks.extend(settings::check(destination));
        checks.extend(mapping::routes(destination));
        checks.extend(mapping::idle(destination));
        checks.extend(mapping::refunds(destination, &config.destinations));
    }
    if scope.database {
        checks.extend(database::examine(config, &asked).await);
        checks.extend(source::examine(config, now).await);
    } else {
        checks.push(Check::skipped(
            "database",
            "not looked at: --no-database was given",
        ));
    }
    checks.extend(admin::examine(config, scope.database).await);
    match scope.online {
        Some(sender) => {
            for destination in &asked {
                let patient = platform::Patient {
                    destination,
                    calling_code: config.identity.default_calling_code,
                    test_event: scope.test_event,
                };
                checks.extend(platform::examine(&patient, sender, now).await);
                checks.extend(report::examine(destination, sender, now).await);
            }
        }
        None => checks.push(Check::skipped(
            "platforms",
            "not asked: --online was not given",
        )),
    }
    checks
}
