//! The number that a platform gave one request: what its support asks for first.
//!
//! From others, so taken on no trust: only short words of characters that such numbers are made of.

use serde_json::Value;

use super::{Platform, Reply};

/// A number longer than this is none.
const CHARS_MAX: usize = 128;

/// A platform's number of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestNumber {
    /// Lower-case name of the header it came in; none for one of the body.
    pub header: Option<&'static str>,
    /// The number.
    pub number: String,
}

/// Every number an answer holds, in places that the platform documents or that were seen.
///
/// Google Ads API: `developers.google.com/google-ads/api/docs/concepts/call-structure`, request id. Data Manager: `requestId` of
/// an answer, `RequestInfo` of an error. Meta: `fbtrace_id`. LinkedIn: headers that others describe; UNVERIFIED. GA4 tells
/// nothing of the kind.
pub fn of(platform: Platform, reply: &Reply) -> Vec<RequestNumber> {
    let headers: &[&'static str] = match platform {
        Platform::LinkedIn => &["x-li-uuid", "x-li-request-id", "x-li-fabric"],
        Platform::GoogleAds => &["request-id"],
        Platform::Meta | Platform::Ga4 | Platform::GoogleDataManager => &[],
    };
    let of_headers = headers.iter().filter_map(|name| {
        Some(RequestNumber {
            header: Some(name),
            number: readable(reply.header(name)?)?,
        })
    });
    let of_body = of_body(platform, &reply.body).map(|number| RequestNumber {
        header: None,
        number,
    });
    of_headers.chain(of_body).collect()
}

fn of_body(platform: Platform, body: &[u8]) -> Option<String> {
    if matches!(platform, Platform::Ga4 | Platform::LinkedIn) {
        return None;
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    let found = match platform {
        Platform::Meta => body
            .pointer("/fbtrace_id")
            .or_else(|| body.pointer("/error/fbtrace_id")),
        _ => body
            .get("requestId")
            .or_else(|| of_details(&body["error"]))
            .or_else(|| of_details(&body["partialFailureError"])),
    };
    readable(found?.as_str()?)
}

/// Google's errors carry it in one of their details.
fn of_details(error: &Value) -> Option<&Value> {
    error["details"]
        .as_array()?
        .iter()
        .find_map(|detail| detail.get("requestId"))
}

fn readable(number: &str) -> Option<String> {
    let is_one = !number.is_empty()
        && number.len() <= CHARS_MAX
        && number
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_+/=.:".contains(&byte));
    is_one.then(|| number.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(platform: Platform, headers: &[(&str, &str)], body: &str) -> Vec<String> {
        let reply = Reply {
            status: 200,
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.as_bytes().to_vec(),
        };
        of(platform, &reply)
            .into_iter()
            .map(|one| format!("{}={}", one.header.unwrap_or("body"), one.number))
            .collect()
    }

    #[test]
    fn each_platform_names_it_elsewhere() {
        let none: Vec<String> = Vec::new();
        for (platform, headers, body, expected) in [
            (
                Platform::Meta,
                &[][..],
                r#"{"fbtrace_id":"AbC+1/x="}"#,
                "body=AbC+1/x=",
            ),
            (
                Platform::Meta,
                &[],
                r#"{"error":{"code":190,"fbtrace_id":"A1"}}"#,
                "body=A1",
            ),
            (
                Platform::LinkedIn,
                &[("x-li-uuid", "AAYF==")],
                "",
                "x-li-uuid=AAYF==",
            ),
            (
                Platform::GoogleAds,
                &[("request-id", "qTx3-_")],
                "{}",
                "request-id=qTx3-_",
            ),
            (
                Platform::GoogleAds,
                &[],
                r#"{"partialFailureError":{"details":[{"errors":[]},{"requestId":"abc"}]}}"#,
                "body=abc",
            ),
            (
                Platform::GoogleDataManager,
                &[],
                r#"{"requestId":"126365e1-16d0"}"#,
                "body=126365e1-16d0",
            ),
            (
                Platform::GoogleDataManager,
                &[],
                r#"{"error":{"details":[{"@type":"x"},{"@type":"RequestInfo","requestId":"t-59"}]}}"#,
                "body=t-59",
            ),
        ] {
            assert_eq!(numbers(platform, headers, body), [expected], "{body}");
        }
        assert_eq!(
            numbers(
                Platform::Ga4,
                &[("request-id", "x")],
                r#"{"requestId":"x"}"#
            ),
            none
        );
    }

    #[test]
    fn nothing_else_passes_for_one() {
        let long = "a".repeat(CHARS_MAX + 1);
        for number in ["", "jane@example.com", "a b", "<b>", "é", long.as_str()] {
            let body = serde_json::json!({ "fbtrace_id": number }).to_string();
            assert_eq!(
                numbers(Platform::Meta, &[], &body),
                Vec::<String>::new(),
                "{number}"
            );
        }
        assert!(numbers(Platform::Meta, &[], r#"{"fbtrace_id":7}"#).is_empty());
        assert!(numbers(Platform::Meta, &[], "<html>").is_empty());
    }
}
