//! Which method a path calls, for which customer, in which version. Not for whether any of them is good.

/// A method of the API that is emulated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    UploadClickConversions,
    UploadConversionAdjustments,
    Search,
}

/// How the path of a search ends.
pub(super) const SEARCH: &str = "/googleAds:search";

/// The version in the details of errors when the path has none that could be a version.
const NEWEST: &str = "v26";

/// What a path says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Call<'a> {
    /// As it was written, for example `v26`.
    pub(super) version: &'a str,
    /// As it was written: ten digits if it is right.
    pub(super) customer: &'a str,
    pub(super) method: Method,
}

impl Call<'_> {
    /// Reads `/{version}/customers/{customer}:{method}` or `/{version}/customers/{customer}/googleAds:search`
    /// (`google/ads/googleads/v25/services/conversion_upload_service.proto` and its neighbours, `google.api.http`).
    pub(super) fn of(path: &str) -> Option<Call<'_>> {
        let (version, rest) = path.strip_prefix('/')?.split_once("/customers/")?;
        if let Some(customer) = rest.strip_suffix(SEARCH) {
            return Some(Call {
                version,
                customer,
                method: Method::Search,
            });
        }
        let (customer, method) = rest.split_once(':')?;
        let method = match method {
            "uploadClickConversions" => Method::UploadClickConversions,
            "uploadConversionAdjustments" => Method::UploadConversionAdjustments,
            _ => return None,
        };
        Some(Call {
            version,
            customer,
            method,
        })
    }
}

/// The version whose error type an answer to this path names: Google names the one that was asked for, even if it
/// is no more.
pub(super) fn version_in(path: &str) -> &str {
    let version = path.split('/').nth(1).unwrap_or_default();
    if number_of(version).is_some() {
        version
    } else {
        NEWEST
    }
}

/// The number of a version: 26 for `v26`.
pub(super) fn number_of(version: &str) -> Option<u32> {
    let digits = version.strip_prefix('v')?;
    let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_others_refused() {
        let call = |method| {
            Some(Call {
                version: "v26",
                customer: "1234567890",
                method,
            })
        };
        for (path, expected) in [
            (
                "/v26/customers/1234567890:uploadClickConversions",
                call(Method::UploadClickConversions),
            ),
            (
                "/v26/customers/1234567890:uploadConversionAdjustments",
                call(Method::UploadConversionAdjustments),
            ),
            (
                "/v26/customers/1234567890/googleAds:search",
                call(Method::Search),
            ),
            ("/v26/customers/1234567890:uploadCallConversions", None),
            ("/v26/customers/1234567890", None),
            ("/v26/customers", None),
            ("/token", None),
        ] {
            assert_eq!(Call::of(path), expected, "{path}");
        }
    }

    #[test]
    fn the_version_of_errors_is_the_one_asked_for() {
        assert_eq!(version_in("/v14/customers/1:x"), "v14");
        assert_eq!(version_in("/26/customers/1:x"), "v26");
        assert_eq!(version_in("/v2x/customers/1:x"), "v26");
        assert_eq!(number_of("v+6"), None);
    }
}
