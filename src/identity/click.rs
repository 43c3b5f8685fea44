//! Click and browser ids: made by a platform's own tag or link, sent back to it unchanged, never hashed.
//!
//! Not a person's own data, yet personal: they leave as [`Plain`], which hides them from logs.

use super::text;
use super::value::Plain;

/// Longest click id taken, in bytes. No platform publishes a limit; Google's are near 100, Meta's near 200.
const LENGTH_MAX: usize = 512;

/// A click id as a platform issued it (`gclid`, `gbraid`, `wbraid`, `ttclid`, `msclkid`, …), trimmed.
///
/// Opaque: no platform publishes how its ids are made. `None` for what cannot be one: white space or `@` within, a
/// character outside printable ASCII, or too long.
pub fn click_id(raw: &str) -> Option<Plain> {
    let id = text::trim(raw);
    let sound = id.len() <= LENGTH_MAX
        && id
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'@');
    sound.then(|| Plain::id(id)).flatten()
}

/// LinkedIn's `li_fat_id`, unchanged: even white space around it makes it another id, so it is refused, not trimmed.
///
/// Source: `learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/conversions-api-schema`, type
/// `LINKEDIN_FIRST_PARTY_ADS_TRACKING_UUID`. Its form is not published.
pub fn li_fat_id(raw: &str) -> Option<Plain> {
    click_id(raw).filter(|id| id.as_str() == raw)
}

/// Meta's `fbc`, made of the `fbclid` of a landing page and of when it was first seen, in milliseconds since 1970.
///
/// Index 1 says that a server made it; the case of the click id is kept. Source:
/// `developers.facebook.com/documentation/ads-commerce/conversions-api/parameters/fbp-and-fbc`.
pub fn fbc(fbclid: &str, observed_at_ms: u64) -> Option<Plain> {
    let fbclid = click_id(fbclid)?;
    fb_cookie(&format!("fb.1.{observed_at_ms}.{}", fbclid.as_str()))
}

/// Meta's `_fbc` or `_fbp` cookie, unchanged: `fb.{index}.{ms}.{id}`, and a fifth part that Meta's Parameter Builder adds.
///
/// Source: as [`fbc`]. Never made up: without the cookie there is none.
pub fn fb_cookie(raw: &str) -> Option<Plain> {
    let cookie = click_id(raw)?;
    let parts: Vec<&str> = cookie.as_str().split('.').collect();
    let sound = match parts[..] {
        ["fb", index, ms, id] => is_number(index) && is_number(ms) && !id.is_empty(),
        ["fb", index, ms, id, appendix] => {
            is_number(index) && is_number(ms) && !id.is_empty() && matches!(appendix.len(), 2 | 8)
        }
        _ => false,
    };
    sound.then_some(cookie)
}

/// Google Analytics' client id, from the bare `1234567890.1700000000` or a whole `_ga` cookie.
///
/// Source: `developers.google.com/analytics/devguides/collection/protocol/ga4/reference`. Other forms that an
/// application chose itself pass unchanged.
pub fn ga_client_id(raw: &str) -> Option<Plain> {
    let id = click_id(raw)?;
    let parts: Vec<&str> = id.as_str().split('.').collect();
    match parts[..] {
        [version, _, first, second]
            if version.starts_with("GA") && is_number(first) && is_number(second) =>
        {
            Plain::id(&format!("{first}.{second}"))
        }
        _ => Some(id),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(id: Option<Plain>) -> Option<String> {
        id.map(|id| id.as_str().to_owned())
    }

    #[test]
    fn an_address_is_no_click_id() {
        assert_eq!(sent(click_id(" Cj0KCQ-_ ")).as_deref(), Some("Cj0KCQ-_"));
        for raw in [
            "",
            "jane@example.com",
            "two words",
            "a\u{7}b",
            "ü",
            &"x".repeat(513),
        ] {
            assert_eq!(click_id(raw), None, "{raw}");
        }
    }

    #[test]
    fn an_id_of_linkedin_is_never_repaired() {
        let id = "Df5gf5-gh6t7-ph4j7h-fgf6n1";
        assert_eq!(sent(li_fat_id(id)).as_deref(), Some(id));
        for raw in ["", " Df5gf5-gh6t7", "Df5gf5\n", "Df5\0gf5"] {
            assert_eq!(li_fat_id(raw), None, "{raw:?}");
        }
    }

    #[test]
    fn a_cookie_of_the_parameter_builder_passes() {
        let cookie = "fb.1.1596403881668.1116446470.AQ";
        assert_eq!(sent(fb_cookie(cookie)).as_deref(), Some(cookie));
        for raw in [
            "fb.1.2",
            "fb.x.1.2",
            "fb.1..2",
            "fb.1.2.",
            "fb.1.2.3.toolong",
            "1116446470",
        ] {
            assert_eq!(fb_cookie(raw), None, "{raw}");
        }
    }

    #[test]
    fn a_ga_cookie_gives_its_client_id() {
        assert_eq!(
            sent(ga_client_id("GA1.1.1234567890.1700000000")).as_deref(),
            Some("1234567890.1700000000")
        );
        assert_eq!(
            sent(ga_client_id("1234567890.1700000000")).as_deref(),
            Some("1234567890.1700000000")
        );
        assert_eq!(
            sent(ga_client_id("GA1.1.x.y")).as_deref(),
            Some("GA1.1.x.y")
        );
    }
}
