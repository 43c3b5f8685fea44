//! Which platform a path belongs to. Not for what the platform makes of it.

use super::exchange::Platform;

/// Said where no platform lives.
pub(super) const ADVICE: &str = "nothing here: Meta is at /{version}/{dataset id}/events, GA4 at /mp/collect, \
    Google Data Manager at /v1/events:ingest, Google Ads at /{version}/customers/…, LinkedIn at /rest/…, Google's \
    tokens at /token, LinkedIn's at /oauth/v2/accessToken, reports at each platform's own path; all of it also below /{platform}, the sandbox's own API \
    at /_sandbox/";

/// The platform of a path, and the path as the platform sees it.
///
/// Both Google platforms have the same token endpoint. Without a prefix it counts as Data Manager's.
pub(super) fn route(path: &str) -> Option<(Platform, &str)> {
    for platform in Platform::ALL {
        let below = path
            .strip_prefix('/')
            .and_then(|path| path.strip_prefix(platform.as_str()));
        if let Some(rest) = below.filter(|rest| rest.starts_with('/')) {
            return Some((platform, rest));
        }
    }
    let mut segments = path.split('/').skip(1);
    let (first, second) = (
        segments.next().unwrap_or_default(),
        segments.next().unwrap_or_default(),
    );
    let version = first.strip_prefix('v').unwrap_or(first);
    let versioned = version.starts_with(|first: char| first.is_ascii_digit());
    let platform = match (first, second) {
        ("mp", _) | ("debug", "mp") | ("v1beta", "properties") => Platform::Ga4,
        ("token", "") | ("v1", "events:ingest" | "requestStatus:retrieve") => {
            Platform::GoogleDataManager
        }
        ("rest", _) | ("oauth", "v2") => Platform::LinkedIn,
        (_, "customers") if versioned => Platform::GoogleAds,
        _ if versioned => Platform::Meta,
        _ => return None,
    };
    Some((platform, path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_find_their_platform() {
        let (meta, ga4) = (Platform::Meta, Platform::Ga4);
        let (manager, ads) = (Platform::GoogleDataManager, Platform::GoogleAds);
        let linkedin = Platform::LinkedIn;
        for (path, expected) in [
            ("/v26.0/1/events", Some((meta, "/v26.0/1/events"))),
            ("/meta/v26.0/1/events", Some((meta, "/v26.0/1/events"))),
            ("/meta/anything", Some((meta, "/anything"))),
            ("/12/events", Some((meta, "/12/events"))),
            ("/mp/collect", Some((ga4, "/mp/collect"))),
            ("/ga4/debug/mp/collect", Some((ga4, "/debug/mp/collect"))),
            ("/debug/mp/collect", Some((ga4, "/debug/mp/collect"))),
            ("/v1/events:ingest", Some((manager, "/v1/events:ingest"))),
            (
                "/v1/requestStatus:retrieve",
                Some((manager, "/v1/requestStatus:retrieve")),
            ),
            (
                "/v1beta/properties/1:runReport",
                Some((ga4, "/v1beta/properties/1:runReport")),
            ),
            ("/token", Some((manager, "/token"))),
            ("/google_data_manager/token", Some((manager, "/token"))),
            ("/google_ads/token", Some((ads, "/token"))),
            ("/google_ads/v26/x", Some((ads, "/v26/x"))),
            (
                "/v26/customers/1:uploadClickConversions",
                Some((ads, "/v26/customers/1:uploadClickConversions")),
            ),
            (
                "/rest/conversionEvents",
                Some((linkedin, "/rest/conversionEvents")),
            ),
            (
                "/oauth/v2/accessToken",
                Some((linkedin, "/oauth/v2/accessToken")),
            ),
            (
                "/linkedin/rest/conversionEvents",
                Some((linkedin, "/rest/conversionEvents")),
            ),
            ("/metal/x", None),
            ("/versions", None),
            ("/tokens", None),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
