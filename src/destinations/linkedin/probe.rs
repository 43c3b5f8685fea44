//! Asking LinkedIn for the conversion rules of the ad account, without telling it anything.
//!
//! Source: `learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/conversions-api-schema`, "Conversions";
//! needs the scope `r_ads` beside the one for events.

use serde_json::Value;
use url::Url;

use super::super::{Credential, HttpRequest, Reply, address};
use super::Settings;

/// Rules in one page. Each may carry its campaigns, and only the beginning of an answer is read.
pub const PAGE: usize = 25;

/// A conversion rule as LinkedIn lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its id: digits.
    pub id: String,
    /// Whether it takes events.
    pub is_enabled: bool,
    /// What it counts: `CONVERSIONS_API` for events of this API.
    pub method: String,
}

impl Rule {
    /// Whether events may be sent for it by this API.
    pub fn takes_events(&self) -> bool {
        self.method == "CONVERSIONS_API"
    }
}

/// `GET /rest/conversions?q=account`: one page of the rules, from this one on.
pub fn list_rules(settings: &Settings, base_url: &Url, start: usize) -> HttpRequest {
    let mut url = address(base_url, "/rest/conversions");
    url.query_pairs_mut()
        .append_pair("q", "account")
        .append_pair(
            "account",
            &format!("urn:li:sponsoredAccount:{}", settings.ad_account),
        )
        .append_pair("start", &start.to_string())
        .append_pair("count", &PAGE.to_string());
    HttpRequest::get(url, Credential::Bearer)
        .header("LinkedIn-Version", &settings.version)
        .header("X-Restli-Protocol-Version", "2.0.0")
}

/// The rules of a page. Nothing where the answer is no such page.
pub fn read_rules(reply: &Reply) -> Option<Vec<Rule>> {
    let body: Value = serde_json::from_slice(&reply.body).ok()?;
    let rule = |rule: &Value| {
        Some(Rule {
            id: id(&rule["id"])?,
            is_enabled: rule["enabled"].as_bool().unwrap_or(true),
            method: rule["conversionMethod"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
        })
    };
    body["elements"].as_array()?.iter().map(rule).collect()
}

/// Written as a number; a URN ends with it.
fn id(value: &Value) -> Option<String> {
    match value {
        Value::Number(id) => Some(id.to_string()),
        Value::String(id) => Some(id.rsplit(':').next().unwrap_or_default().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Option<Vec<Rule>> {
        read_rules(&Reply {
            status: 200,
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
        })
    }

    #[test]
    fn rules_are_read_by_their_number() {
        let rules = read(
            r#"{"elements":[{"id":104012,"enabled":true,"conversionMethod":"CONVERSIONS_API","name":"x"},
                {"id":"urn:lla:llaPartnerConversion:7","enabled":false,"conversionMethod":"TAG"}]}"#,
        );
        let rule = |id: &str, is_enabled, method: &str| Rule {
            id: id.to_owned(),
            is_enabled,
            method: method.to_owned(),
        };
        assert_eq!(
            rules,
            Some(vec![
                rule("104012", true, "CONVERSIONS_API"),
                rule("7", false, "TAG")
            ])
        );
        assert_eq!(read(r#"{"elements":[]}"#), Some(Vec::new()));
        for body in ["", "{}", r#"{"elements":[{}]}"#, "<html>"] {
            assert_eq!(read(body), None, "{body}");
        }
    }
}
