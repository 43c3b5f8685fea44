//! Settings that are allowed and that nobody should forget: for tests only, or at the price of double counting.

use super::Check;
use crate::config::USUAL;
use crate::config::destination::{DestinationConfig, OnAmbiguous};
use crate::config::reach::Reach;
use crate::destinations::{Platform, Settings};

const NAME: &str = "settings";

/// One check for each thing that a person should know of; one that says so where there is nothing.
pub(super) fn check(destination: &DestinationConfig) -> Vec<Check> {
    let mut checks: Vec<Check> = [
        test_code(destination),
        resends(destination),
        only_validates(destination),
        reaches_inside(destination),
    ]
    .into_iter()
    .flatten()
    .collect();
    if checks.is_empty() {
        checks.push(Check::ok(
            NAME,
            "nothing for tests only, nothing that may count twice",
        ));
    }
    checks
        .into_iter()
        .map(|check| check.at(&destination.name))
        .collect()
}

fn test_code(destination: &DestinationConfig) -> Option<Check> {
    match &destination.settings {
        Settings::Meta(settings) if settings.test_event_code.is_some() => Some(Check::warn(
            NAME,
            "test_event_code is set: every event is shown under Test Events, and counts all the same",
            "remove test_event_code when the test is over",
        )),
        _ => None,
    }
}

/// A resend after a lost answer, where the platform does not promise to notice it.
fn resends(destination: &DestinationConfig) -> Option<Check> {
    if destination.on_ambiguous != Some(OnAmbiguous::Resend) {
        return None;
    }
    let settings = &destination.settings;
    let actions = settings
        .actions()
        .into_iter()
        .flatten()
        .map(|(event, _)| event);
    let names = destination
        .events
        .keys()
        .chain(actions)
        .map(String::as_str)
        .chain(USUAL)
        .filter_map(|event| destination.name_of(event));
    let mut unprotected: Vec<&str> = names
        .filter(|name| settings.repeat_window(name).is_none())
        .collect();
    unprotected.sort_unstable();
    unprotected.dedup();
    (!unprotected.is_empty()).then(|| {
        Check::warn(
            NAME,
            format!(
                "on_ambiguous = \"resend\": after a lost answer these may count twice, for the platform does not promise \
                 to notice a repeat: {}",
                unprotected.join(", ")
            ),
            "leave on_ambiguous out, so that such a delivery ends as uncertain and a person decides",
        )
    })
}

/// A destination that may be turned on services of one's own network.
fn reaches_inside(destination: &DestinationConfig) -> Option<Check> {
    (destination.reach == Reach::Anywhere).then(|| {
        Check::warn(
            NAME,
            "allow_private_addresses is set: base_url, token_url and whatever their names lead to may be inside your network",
            "remove allow_private_addresses unless a gateway of your own is meant",
        )
    })
}

/// A destination that was only meant to be tried out.
fn only_validates(destination: &DestinationConfig) -> Option<Check> {
    let key = match destination.settings.platform() {
        Platform::Ga4 => "mode",
        _ => "validate_only",
    };
    destination.settings.only_validates().then(|| {
        Check::warn(
            NAME,
            "the destination only validates: the platform counts nothing of what is sent",
            format!("remove {key} when the test is over"),
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::doctor::Verdict;

    #[test]
    fn a_destination_that_reaches_inside_is_told_of() {
        let seen = |lines: &str| {
            let text = format!(
                "[database]\nurl = {{ env = \"X\" }}\n[[destination]]\nname = \"meta\"\nplatform = \"meta\"\ndataset_id = \"1\"
access_token = {{ env = \"TOKEN\" }}\n{lines}"
            );
            let config = Config::parse(&text, "c.toml", []).expect("valid");
            let checks = super::check(&config.destinations[0]);
            checks
                .into_iter()
                .map(|check| (check.verdict, check.seen))
                .collect::<Vec<_>>()
        };
        assert_eq!(seen("")[0].0, Verdict::Ok);
        let told = seen("allow_private_addresses = true");
        assert!(
            told[0].0 == Verdict::Warn && told[0].1.starts_with("allow_private_addresses is set"),
            "{told:?}"
        );
    }
}
