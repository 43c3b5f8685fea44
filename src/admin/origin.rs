//! Where a request says that it comes from and goes to. All of it is the browser's word, and a browser is what it protects.

use axum::http::{HeaderMap, header};

/// Whether the request says `localhost`, `127.…` or `[::1]`, with any port.
pub(super) fn names_this_machine(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return false;
    };
    let Ok(url) = url::Url::parse(&format!("http://{}", host.to_str().unwrap_or_default())) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Whether a page of our own sent this form: every browser says so in at least one of two headers, and what says otherwise in
/// either is refused. Tools that are no browsers send the token instead.
pub(super) fn is_from_here(headers: &HeaderMap) -> bool {
    let site = one(headers, "sec-fetch-site");
    let origin = one(headers, header::ORIGIN.as_str());
    let host = one(headers, header::HOST.as_str());
    let (Ok(site), Ok(origin), Ok(Some(host))) = (site, origin, host) else {
        return false;
    };
    let same_site = site.map(|site| site == "same-origin");
    let same_origin = origin.map(|origin| {
        origin
            .strip_prefix("http://")
            .or_else(|| origin.strip_prefix("https://"))
            .is_some_and(|named| named.eq_ignore_ascii_case(host))
    });
    matches!(
        (same_site, same_origin),
        (Some(true), None | Some(true)) | (None, Some(true))
    )
}

/// Whether the browser's way here must be encrypted: always, but on this machine itself.
pub(super) fn is_beyond_this_machine(headers: &HeaderMap) -> bool {
    let forwarded = one(headers, "x-forwarded-proto");
    !names_this_machine(headers) || forwarded.is_ok_and(|proto| proto == Some("https"))
}

/// The only value of a header; an error where there are several or it is no text.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// An address within these pages, to go to after logging in; the first page where it is anything else. Another site's page must
/// not be able to send people on to a third.
pub(super) fn own_path(asked: &str) -> &str {
    let is_own = asked.starts_with('/')
        && !asked.starts_with("//")
        && !asked.starts_with("/login")
        && asked.len() <= 600
        && asked
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { asked } else { "/" }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn only_our_own_pages_send_forms() {
        let host = ("host", "outbox.example:9465");
        for ours in [
            &[host, ("origin", "http://outbox.example:9465")][..],
            &[host, ("origin", "https://OUTBOX.example:9465")],
            &[host, ("sec-fetch-site", "same-origin")],
            &[
                host,
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://outbox.example:9465"),
            ],
        ] {
            assert!(is_from_here(&headers(ours)), "{ours:?}");
        }
        for others in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "http://outbox.example")],
            &[host, ("origin", "http://outbox.example:94650")],
            &[host, ("origin", "http://outbox.example:9465.evil.example")],
            &[host, ("origin", "ftp://outbox.example:9465")],
            &[
                host,
                ("sec-fetch-site", "same-site"),
                ("origin", "http://outbox.example:9465"),
            ],
            &[host, ("sec-fetch-site", "none")],
            &[
                host,
                ("sec-fetch-site", "same-origin"),
                ("origin", "http://evil.example"),
            ],
            &[
                host,
                ("origin", "http://outbox.example:9465"),
                ("origin", "http://evil.example"),
            ],
            &[("origin", "http://outbox.example:9465")],
        ] {
            assert!(!is_from_here(&headers(others)), "{others:?}");
        }
    }

    #[test]
    fn the_way_is_encrypted_but_on_this_machine() {
        for (lines, beyond) in [
            (&[("host", "localhost:9465")][..], false),
            (
                &[("host", "127.0.0.1:9465"), ("x-forwarded-proto", "http")],
                false,
            ),
            (
                &[("host", "localhost"), ("x-forwarded-proto", "https")],
                true,
            ),
            (&[("host", "outbox.example")], true),
            (&[], true),
        ] {
            assert_eq!(is_beyond_this_machine(&headers(lines)), beyond, "{lines:?}");
        }
    }

    #[test]
    fn nobody_is_sent_to_another_site() {
        for own in [
            "/",
            "/dead-letters?destination=meta&code=100%2F1",
            "/events/a%2F..%2Fb",
        ] {
            assert_eq!(own_path(own), own);
        }
        for other in [
            "",
            "//evil.example",
            "https://evil.example",
            "/\\evil.example",
            "\\/evil.example",
            "evil.example",
            "/a\r\nSet-Cookie: x=y",
            "/\t/evil.example",
            "/ä",
            "/login?next=/login",
            "javascript:alert(1)",
            " /",
        ] {
            assert_eq!(own_path(other), "/", "{other:?}");
        }
        assert_eq!(own_path(&format!("/{}", "x".repeat(600))), "/");
    }
}
