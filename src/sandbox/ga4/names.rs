//! Which names GA4 allows for events, parameters and user properties
//! (`developers.google.com/analytics/devguides/collection/protocol/ga4/reference`, reserved names). Not for values.

/// Event names that only Google's own SDKs may send.
const RESERVED_EVENTS: [&str; 22] = [
    "ad_activeview",
    "ad_click",
    "ad_exposure",
    "ad_impression",
    "ad_query",
    "adunit_exposure",
    "app_clear_data",
    "app_install",
    "app_remove",
    "app_update",
    "error",
    "first_open",
    "first_visit",
    "in_app_purchase",
    "notification_dismiss",
    "notification_foreground",
    "notification_open",
    "notification_receive",
    "os_update",
    "screen_view",
    "session_start",
    "user_engagement",
];

const RESERVED_PREFIXES: [&str; 5] = ["_", "firebase_", "ga_", "google_", "gtag."];

const RESERVED_USER_PROPERTIES: [&str; 5] = [
    "first_open_after_install",
    "first_open_time",
    "first_visit_time",
    "last_deep_link_referrer",
    "user_id",
];

/// Why a name is refused, with GA4's validation code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BadName {
    pub(super) code: &'static str,
    pub(super) why: &'static str,
}

/// Checks the name of an event.
pub(super) fn event(name: &str) -> Result<(), BadName> {
    form(name, 40)?;
    free(name, &RESERVED_EVENTS)
}

/// Checks the name of a parameter.
pub(super) fn parameter(name: &str) -> Result<(), BadName> {
    form(name, 40)?;
    free(name, &["firebase_conversion"])
}

/// Checks the name of a user property.
pub(super) fn user_property(name: &str) -> Result<(), BadName> {
    form(name, 24)?;
    free(name, &RESERVED_USER_PROPERTIES)
}

fn form(name: &str, length_max: usize) -> Result<(), BadName> {
    let invalid = |why| {
        Err(BadName {
            code: "NAME_INVALID",
            why,
        })
    };
    if !name.starts_with(|first: char| first.is_ascii_alphabetic()) {
        invalid("Names must start with an alphabetic character.")
    } else if !name
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        invalid("Names must only contain alphanumeric characters and underscores.")
    } else if name.len() > length_max {
        invalid("Names must not be longer than 40 characters, 24 for user properties.")
    } else {
        Ok(())
    }
}

fn free(name: &str, reserved: &[&str]) -> Result<(), BadName> {
    let taken = reserved.contains(&name)
        || RESERVED_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix));
    let reserved = BadName {
        code: "NAME_RESERVED",
        why: "The name is reserved.",
    };
    if taken { Err(reserved) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_formed_and_free() {
        let forty = "a".repeat(40);
        for good in ["purchase", "Order_2", forty.as_str()] {
            assert_eq!(event(good), Ok(()), "{good}");
        }
        for (bad, code) in [
            ("_bad", "NAME_INVALID"),
            ("1st", "NAME_INVALID"),
            ("with space", "NAME_INVALID"),
            ("", "NAME_INVALID"),
            (&"a".repeat(41), "NAME_INVALID"),
            ("session_start", "NAME_RESERVED"),
            ("ga_x", "NAME_RESERVED"),
            ("firebase_x", "NAME_RESERVED"),
            ("google_x", "NAME_RESERVED"),
        ] {
            assert_eq!(event(bad).unwrap_err().code, code, "{bad}");
        }
        assert!(parameter("firebase_conversion").is_err() && parameter("session_start").is_ok());
        assert!(user_property("user_id").is_err() && user_property(&"a".repeat(25)).is_err());
        assert!(user_property("plan").is_ok());
    }
}
