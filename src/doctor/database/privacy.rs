//! Whether personal data go some time, and whether the suppression list can be obeyed. Pure.

use super::super::{Blame, Check};
use crate::config::privacy::PrivacyConfig;
use crate::suppression::{self, SubjectKeys};

const RETENTION: &str = "retention";
const SUPPRESSION: &str = "suppression";

/// Judges the configuration, given the keys that entries of the list were made with.
pub(super) fn judge(config: &PrivacyConfig, used: &[String]) -> Vec<Check> {
    vec![retention(config), list(config, used)]
}

fn retention(config: &PrivacyConfig) -> Check {
    let days = |time: std::time::Duration| time.as_secs() / 86_400;
    match config.graces() {
        Some(graces) => Check::ok(
            RETENTION,
            format!(
                "personal data go {} days after the last delivery is final, {} days where one is a dead letter",
                days(graces.usual),
                days(graces.dead_letters)
            ),
        ),
        None => Check::warn(
            RETENTION,
            "personal data stay in conversion_outbox.event for ever",
            "set retention_days under [privacy]; the proof of what was sent stays",
        ),
    }
}

fn list(config: &PrivacyConfig, used: &[String]) -> Check {
    let keys = match SubjectKeys::load(config) {
        Ok(keys) => keys,
        Err(error) => {
            return Check::error(SUPPRESSION, &error.to_string()).blame(Blame::Configuration);
        }
    };
    match suppression::missing(keys.as_ref(), used).as_slice() {
        [] if used.is_empty() => Check::ok(SUPPRESSION, "nobody is on the suppression list"),
        [] => Check::ok(SUPPRESSION, "every entry of the list can be compared"),
        missing => Check::fail(
            SUPPRESSION,
            format!(
                "the list has entries of a key that is not configured ({}): no worker starts, and none that runs sends anything",
                missing.join(", ")
            ),
            "name the key under [privacy] as subject_key, or among former_subject_keys",
        ),
    }
}
