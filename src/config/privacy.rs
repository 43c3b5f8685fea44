//! `[privacy]`: how long a person's data are kept, and the key of the suppression list.

use std::time::Duration;

use super::read::Reader;
use super::secret::SecretRef;
use crate::retention::Graces;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `[privacy]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivacyConfig {
    /// How long after its last delivery became final an event's personal data are kept. No default: nothing is removed
    /// from an application's database that nobody asked to remove.
    pub retention: Option<Duration>,
    /// The same where a delivery is a dead letter, which a replay needs the data for. Default 90 days: as long as the
    /// platform that takes the oldest events does. Never less than `retention`.
    pub dead_letters: Duration,
    /// What the digests of the suppression list are made with; at least 32 bytes.
    pub subject_key: Option<SecretRef>,
    /// Keys that older entries were made with.
    pub former_subject_keys: Vec<SecretRef>,
}

impl Default for PrivacyConfig {
    fn default() -> PrivacyConfig {
        PrivacyConfig {
            retention: None,
            dead_letters: DAY * 90,
            subject_key: None,
            former_subject_keys: Vec::new(),
        }
    }
}

impl PrivacyConfig {
    /// How long data are kept; nothing where they are kept for ever.
    pub fn graces(&self) -> Option<Graces> {
        Some(Graces {
            usual: self.retention?,
            dead_letters: self.dead_letters,
        })
    }

    /// Reads the section; what is absent keeps its default.
    pub fn read(reader: &mut Reader<'_>) -> Option<PrivacyConfig> {
        let default = PrivacyConfig::default();
        let days = |count: u32| DAY * count;
        let retention = reader.integer("retention_days", 1..=3650).map(days);
        let dead_letters = reader.integer("dead_letter_days", 1..=3650).map(days);
        let privacy = PrivacyConfig {
            dead_letters: dead_letters
                .unwrap_or(default.dead_letters.max(retention.unwrap_or_default())),
            retention,
            subject_key: reader.secret("subject_key"),
            former_subject_keys: reader.tables("former_subject_keys", SecretRef::read),
        };
        if privacy
            .retention
            .is_some_and(|kept| kept > privacy.dead_letters)
        {
            reader.fault(
                "dead_letter_days",
                "must not be below retention_days",
                "raise it: a dead letter that is replayed needs the data",
            );
        }
        if privacy.subject_key.is_none() && !privacy.former_subject_keys.is_empty() {
            reader.fault(
                "former_subject_keys",
                "needs a subject_key beside it",
                "name the key that new entries are made with",
            );
        }
        Some(privacy)
    }
}
