use proptest::prelude::*;

use super::*;

fn check(text: &str, expected: &str) {
    assert_eq!(scrub(text), expected, "{text:?}");
}

#[test]
fn hides_addresses_in_any_writing() {
    check(
        "user jane.doe+x@example.co.uk is unknown",
        "user [redacted] is unknown",
    );
    check(r#"{"em":"jane@example.com"}"#, r#"{"em":"[redacted]"}"#);
    check("email=jane%40example.com&x=1", "email=[redacted]=1");
    check(r#""jane\u0040example.com""#, r#""[redacted]""#);
    check(r#"to "jane doe"@example.com."#, "to [redacted]");
}

#[test]
fn hides_phones_and_ips() {
    check("call +49 (0)30 1234567 now", "call [redacted] now");
    check("call (030) 123-45-67.", "call ([redacted].");
    check("phone 15551234567", "phone [redacted]");
    check("from 10.1.2.3:443", "from [redacted]:443");
    check("from [2001:db8::1]:443: no", "from [[redacted]]:443: no");
    check(
        "listening on 0.0.0.0:9090 and ::1",
        "listening on 0.0.0.0:9090 and ::1",
    );
}

#[test]
fn hides_hashes_and_tokens() {
    check(&format!("em {} bad", "a1".repeat(32)), "em [redacted] bad");
    check(&format!("md5 {}", "C".repeat(32)), "md5 [redacted]");
    check("token EAABwzLix0 expired", "token [redacted] expired");
    check("api_secret=abc&x=1", "api_secret=[redacted]&x=1");
    check(
        r#"{"access_token": "abc"}"#,
        r#"{"access_token": "[redacted]"}"#,
    );
    check(
        "Authorization: Bearer abc.def",
        "Authorization: [redacted] [redacted]",
    );
    check("bearer abc", "bearer [redacted]");
}

#[test]
fn keeps_what_helps() {
    check(
        "Error validating access token: the session was invalidated",
        "Error validating access token: [redacted] session was invalidated",
    );
    check("token=[redacted]", "token=[redacted]");
    for text in [
        "(#190) Error validating the access token because the session was invalidated",
        "OAuthException code 190 subcode 2804019 at core::fmt and feed::x",
        "HTTP 503 after 1.234567s from graph.facebook.com/v25.0/events",
        "Token is required; value must be > 0 (version 25.0.1)",
        "größe: ungültig",
    ] {
        check(text, text);
    }
}

#[test]
fn keeps_two_kilobytes_cut_at_a_character() {
    let long = scrub("é ").repeat(4000);
    let kept = scrub(&long);
    assert!(kept.len() <= KEPT_BYTES && kept.len() > KEPT_BYTES - 4);
    let hash_over_the_edge = format!("{} {}", "é ".repeat(5459), "a1".repeat(32));
    assert!(!scrub(&hash_over_the_edge).contains("a1"));
    assert_eq!(scrub(&"x".repeat(100_000)), "");
}

#[test]
fn urls_keep_their_shape_only() {
    let url = |text| scrub_url(&Url::parse(text).unwrap());
    assert_eq!(
        url(
            "https://u:p@graph.facebook.com:8443/v25.0/1234567890123456/events?access_token=EAAB&x=jane@x.com#f"
        ),
        "https://graph.facebook.com:8443/v25.0/REDACTED/events?access_token=REDACTED&x=REDACTED"
    );
    assert_eq!(
        url("https://www.google-analytics.com/mp/collect"),
        "https://www.google-analytics.com/mp/collect"
    );
}

proptest! {
    #[test]
    fn planted_secrets_never_survive(
        before in "\\PC{0,60}",
        after in "\\PC{0,60}",
        email in "[a-z0-9._+]{1,20}@[a-z0-9]{1,12}\\.(com|de|co\\.uk)",
        hash in "[0-9a-f]{64}|[0-9A-F]{32}",
        token in "EAA[A-Za-z0-9]{20,60}",
        phone in "\\+[1-9][0-9]{7,14}",
    ) {
        for planted in [&email, &hash, &token, &phone] {
            let text = format!("{before}{planted}{after}");
            prop_assert!(!scrub(&text).contains(planted.as_str()), "{}", text);
            let url = Url::parse(&format!("https://host/a/{planted}?k={planted}")).unwrap();
            prop_assert!(!scrub_url(&url).contains(planted.as_str()));
        }
    }

    #[test]
    fn any_text_is_short_enough_and_breaks_nothing(text in "\\PC{0,3000}") {
        prop_assert!(scrub(&text).len() <= KEPT_BYTES);
    }
}
