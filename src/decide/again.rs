//! Whether a person may ask for a dead letter again: what a worker would make of it, told beforehand.
//!
//! Pure. The same windows and ages as for every attempt; the worker judges again when it sends.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::adjustment::{self, Role};
use super::{Repeat, older_than, repeat};
use crate::config::destination::DestinationConfig;
use crate::outcome::State;

/// What is known of a delivery without reading anything of the person.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The application's name of the event.
    pub event_name: &'a str,
    /// When it happened.
    pub occurred_at: DateTime<Utc>,
    /// Where it happened.
    pub action_source: Option<&'a str>,
    /// Whether it names an event that it adjusts.
    pub adjusts: bool,
    /// When that event happened, if it is known.
    pub original_occurred_at: Option<DateTime<Utc>>,
    /// How the delivery ended.
    pub state: State,
    /// Whether the person was erased.
    pub is_erased: bool,
    /// Whether some of its requests was never answered.
    pub answer_lost: bool,
    /// Since when it may have been taken.
    pub first_tried_at: Option<DateTime<Utc>>,
    /// When the last request was sent.
    pub tried_at: Option<DateTime<Utc>>,
}

/// Why a delivery is not sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Refusal {
    /// The person was erased: nothing is told of them any more.
    Erased,
    /// No destination of that name is configured and enabled.
    NotConfigured,
    /// The destination has no name, action or rule for the event.
    NotMapped,
    /// The platform does not take events of that age.
    TooOld,
    /// The configuration gives up events of that age.
    AgeUsedUp,
    /// It may have arrived, and the platform does not recognise a repeat.
    MayCountTwice,
    /// It may have arrived, and the time in which the platform recognises a repeat is over.
    WindowOver,
}

impl Refusal {
    /// The word for it in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Refusal::Erased => "erased",
            Refusal::NotConfigured => "not_configured",
            Refusal::NotMapped => "not_mapped",
            Refusal::TooOld => "too_old",
            Refusal::AgeUsedUp => "age_used_up",
            Refusal::MayCountTwice => "may_count_twice",
            Refusal::WindowOver => "window_over",
        }
    }

    /// Whether a person may have it sent all the same.
    pub fn can_be_forced(self) -> bool {
        matches!(
            self,
            Refusal::AgeUsedUp | Refusal::MayCountTwice | Refusal::WindowOver
        )
    }

    /// Why, for people.
    pub fn because(self) -> &'static str {
        match self {
            Refusal::Erased => "the person was erased: nothing is told of them any more",
            Refusal::NotConfigured => {
                "this destination is not configured, or disabled: no worker would send it"
            }
            Refusal::NotMapped => {
                "the destination has no name, action or rule for this event: map it first"
            }
            Refusal::TooOld => "older than the platform takes: it would only be refused again",
            Refusal::AgeUsedUp => "older than age_max_hours of the configuration: raise that",
            Refusal::MayCountTwice => {
                "it may have arrived and the platform does not recognise a repeat: look there first"
            }
            Refusal::WindowOver => {
                "it may have arrived and the time in which the platform recognises a repeat is over: look there first"
            }
        }
    }

    /// Why, and what the command can do about it.
    pub fn explained(self) -> String {
        let because = self.because();
        match self {
            Refusal::AgeUsedUp => {
                format!("{because}, or --force gives it that time once more")
            }
            Refusal::MayCountTwice | Refusal::WindowOver => {
                format!("{because}; --force takes the risk of a second conversion")
            }
            Refusal::Erased | Refusal::NotConfigured | Refusal::NotMapped | Refusal::TooOld => {
                format!("{because}; --force does not help")
            }
        }
    }
}

impl Facts<'_> {
    /// Since when the platform may have taken it without our knowing; nothing when it certainly did not.
    pub fn in_doubt_since(&self) -> Option<DateTime<Utc>> {
        let last = || self.tried_at.filter(|_| self.state == State::Uncertain);
        self.first_tried_at.or_else(last)
    }

    /// Whether it may be sent again as things stand. The gravest objection is told: one that cannot be overruled first.
    pub fn judge(
        &self,
        destination: Option<&DestinationConfig>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        if self.is_erased {
            return Err(Refusal::Erased);
        }
        let destination = destination
            .filter(|one| one.is_enabled)
            .ok_or(Refusal::NotConfigured)?;
        let role = self.role(destination);
        let name = match role {
            // It goes where its original went.
            Role::Change => "",
            Role::Event | Role::Reversal => destination
                .name_of(self.event_name)
                .ok_or(Refusal::NotMapped)?,
        };
        if older_than(self.born_at(role), self.platform_age_max(destination), now) {
            return Err(Refusal::TooOld);
        }
        if let Some(since) = self.in_doubt_since() {
            match repeat(destination, name) {
                Repeat::Within(window) if older_than(since, window, now) => {
                    return Err(Refusal::WindowOver);
                }
                Repeat::Never if self.answer_lost || self.state == State::Uncertain => {
                    return Err(Refusal::MayCountTwice);
                }
                _ => {}
            }
        }
        let is_past = |limit| older_than(self.occurred_at, limit, now);
        if destination.age_max.is_some_and(is_past) {
            return Err(Refusal::AgeUsedUp);
        }
        Ok(())
    }

    /// Whether the platform recognises a repeat of it, and for how long.
    pub fn repeat(&self, destination: &DestinationConfig) -> Repeat {
        repeat(
            destination,
            destination.name_of(self.event_name).unwrap_or_default(),
        )
    }

    fn role(&self, destination: &DestinationConfig) -> Role {
        adjustment::role_of(self.event_name, self.adjusts, destination)
    }

    /// What its age counts from. A change of an unknown conversion has no age of its own: the worker tells what it lacks.
    fn born_at(&self, role: Role) -> DateTime<Utc> {
        match role {
            Role::Change => self.original_occurred_at.unwrap_or(self.occurred_at),
            Role::Event | Role::Reversal => self.occurred_at,
        }
    }

    fn platform_age_max(&self, destination: &DestinationConfig) -> Duration {
        let is_change = self.role(destination) == Role::Change;
        destination.settings.age_max(self.action_source, is_change)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use chrono::TimeDelta;

    fn destination(toml: &str) -> DestinationConfig {
        let text =
            format!("[database]\nurl = {{ env = \"X\" }}\n[[destination]]\nname = \"d\"\n{toml}\n");
        let config = Config::parse(&text, "t.toml", []).expect("valid");
        config.destinations.into_iter().next().expect("one")
    }

    fn meta(lines: &str) -> DestinationConfig {
        destination(&format!(
            "platform = \"meta\"\ndataset_id = \"1234567890\"\naccess_token = {{ env = \"X\" }}\n{lines}"
        ))
    }

    fn ga4() -> DestinationConfig {
        destination(
            "platform = \"ga4\"\nmeasurement_id = \"G-ABC1234567\"\napi_secret = { env = \"X\" }",
        )
    }

    fn linkedin(lines: &str) -> DestinationConfig {
        destination(&format!(
            "platform = \"linkedin\"\nad_account = \"508000000\"\naccess_token = {{ env = \"X\" }}\nrules = {{ lead_created = \"104013\" }}\n{lines}"
        ))
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_795_428_000, 0).expect("a time")
    }

    fn hours_ago(hours: i64) -> DateTime<Utc> {
        now() - TimeDelta::hours(hours)
    }

    fn facts(event_name: &'static str, state: State, hours: i64) -> Facts<'static> {
        Facts {
            event_name,
            occurred_at: hours_ago(hours),
            action_source: None,
            adjusts: false,
            original_occurred_at: None,
            state,
            is_erased: false,
            answer_lost: false,
            first_tried_at: None,
            tried_at: Some(hours_ago(hours)),
        }
    }

    #[test]
    fn who_was_erased_is_told_of_no_more_whoever_insists() {
        let erased = Facts {
            is_erased: true,
            ..facts("order_paid", State::Rejected, 1)
        };
        let refusal = erased.judge(None, now()).expect_err("refused");
        assert_eq!(refusal, Refusal::Erased);
        assert!(!refusal.can_be_forced());
    }

    #[test]
    fn what_was_refused_for_certain_may_go_until_the_platform_finds_it_too_old() {
        let rejected = |hours| facts("order_paid", State::Rejected, hours);
        assert_eq!(rejected(100).judge(Some(&meta("")), now()), Ok(()));
        assert_eq!(
            rejected(24 * 7 + 1).judge(Some(&meta("")), now()),
            Err(Refusal::TooOld)
        );
        let own = meta("age_max_hours = 24");
        assert_eq!(
            rejected(25).judge(Some(&own), now()),
            Err(Refusal::AgeUsedUp)
        );
        assert_eq!(
            rejected(1).judge(None, now()),
            Err(Refusal::NotConfigured),
            "gone"
        );
        let off = meta("enabled = false");
        assert_eq!(
            rejected(1).judge(Some(&off), now()),
            Err(Refusal::NotConfigured)
        );
        let unknown = facts("deal_won", State::Rejected, 1);
        assert_eq!(
            unknown.judge(Some(&linkedin("")), now()),
            Err(Refusal::NotMapped)
        );
    }

    #[test]
    fn what_may_have_arrived_goes_again_only_where_a_repeat_is_recognised() {
        let uncertain = |name, hours| facts(name, State::Uncertain, hours);
        // Meta: 48 hours. GA4: purchases only. LinkedIn: never, unless the operator takes the risk in the configuration.
        assert_eq!(
            uncertain("order_paid", 47).judge(Some(&meta("")), now()),
            Ok(())
        );
        assert_eq!(
            uncertain("order_paid", 49).judge(Some(&meta("")), now()),
            Err(Refusal::WindowOver)
        );
        let careful = meta("on_ambiguous = \"uncertain\"");
        assert_eq!(
            uncertain("order_paid", 1).judge(Some(&careful), now()),
            Err(Refusal::MayCountTwice)
        );
        assert_eq!(
            uncertain("order_paid", 71).judge(Some(&ga4()), now()),
            Ok(())
        );
        assert_eq!(
            uncertain("lead_created", 1).judge(Some(&ga4()), now()),
            Err(Refusal::MayCountTwice)
        );
        assert_eq!(
            uncertain("lead_created", 1).judge(Some(&linkedin("")), now()),
            Err(Refusal::MayCountTwice)
        );
        let bold = linkedin("on_ambiguous = \"resend\"");
        assert_eq!(
            uncertain("lead_created", 1).judge(Some(&bold), now()),
            Ok(())
        );
        // What an operator skipped stays in doubt.
        let skipped = Facts {
            state: State::Cancelled,
            answer_lost: true,
            first_tried_at: Some(hours_ago(1)),
            ..uncertain("lead_created", 1)
        };
        assert_eq!(
            skipped.judge(Some(&linkedin("")), now()),
            Err(Refusal::MayCountTwice)
        );
        // Answered each time, if with failures: the worker itself would have gone on.
        let exhausted = Facts {
            answer_lost: false,
            state: State::Exhausted,
            ..skipped
        };
        assert_eq!(exhausted.judge(Some(&linkedin("")), now()), Ok(()));
    }

    #[test]
    fn too_old_outweighs_what_could_be_forced() {
        let both = facts("lead_created", State::Uncertain, 24 * 100);
        let refusal = both.judge(Some(&linkedin("age_max_hours = 1")), now());
        assert_eq!(refusal, Err(Refusal::TooOld));
        assert!(!Refusal::TooOld.can_be_forced());
        assert!(Refusal::AgeUsedUp.can_be_forced() && Refusal::WindowOver.can_be_forced());
    }
}
