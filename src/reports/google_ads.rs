//! Google Ads: `googleAds:search`, for events told through Data Manager too. Parts, in the order of every platform: settings,
//! request, parse.
//!
//! **What is counted:** conversions that Google attributed to an ad, by conversion action, and never the others: a conversion
//! that was taken may be missing here for good. Parts of one (0.33) are counted where several ads share it.
//! **Day:** that of the conversion, in the account's time zone, because the metrics are those by conversion date; the usual
//! ones count on the day of the click, and never agree with ours. **Value:** in the account's currency. **Ids:** none.
//! Actions are told whether or not they are among the account's conversion goals (`all_conversions`).
//!
//! Sources: google.ads.googleads.v26 (GoogleAdsService.Search; common/metrics.proto,
//! `all_conversions_by_conversion_date`: "When this column is selected with date, the values in date column means the
//! conversion date"); `developers.google.com/google-ads/api/docs/conversions/reporting` (rows of nought are left out);
//! `…/docs/reporting/paging`. Developer tokens ended on 2026-09-09: none is sent. UNVERIFIED in Google's own text: that these
//! metrics go with `segments.conversion_action` of `customer`; public code asks so.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use serde_json::{Value, json};

use super::amount::Amount;
use super::tally::{Row, Tally};
use super::{Query, Refusal, ReportError, answer};
use crate::config::oauth::{Grant, OAuth};
use crate::config::read::Reader;
use crate::destinations::{
    self, Credential, HttpRequest, Platform, Reply, address, google_ads as ads,
};

// --- settings ---

/// Where the Google Ads API lives.
pub(super) const BASE_URL: &str = "https://googleads.googleapis.com";

/// UNVERIFIED. Conversions that are not attributed to the last click alone take up to 15 hours to show
/// (`support.google.com/google-ads/answer/2544985`), and what is uploaded takes some more.
pub(super) const FINAL_AFTER: Duration = Duration::from_secs(72 * 3600);

const SCOPE: &str = "https://www.googleapis.com/auth/adwords";

/// Rows of one question, one for each action and day: Google's pages of 10,000 would be longer than is read.
const ROWS: u64 = 1500;

/// Longest page token that is sent back.
const TOKEN_MAX: usize = 4096;

/// What is known of one Google Ads account, and what an operator fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The account that owns the conversion actions: digits.
    pub customer_id: String,
    /// The manager account through which access is granted: digits. `None` where it is the customer itself.
    pub login_customer_id: Option<String>,
    /// The API's version, such as `v26`.
    pub api_version: String,
    /// The credential, for the Google Ads API.
    pub oauth: OAuth,
}

impl Settings {
    /// Reads the keys of `[destination.report]`. A destination of the Google Ads API has everything already; one of Data
    /// Manager shares its service account, and needs another refresh token, for its own has another scope.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        platform: Platform,
        own: Option<&destinations::Settings>,
    ) -> Option<Settings> {
        if platform == Platform::GoogleAds {
            let destinations::Settings::GoogleAds(own) = own? else {
                return None;
            };
            return Some(Settings {
                customer_id: own.customer_id.clone(),
                login_customer_id: own.login_customer_id.clone(),
                api_version: own.api_version.clone(),
                oauth: own.oauth.clone(),
            });
        }
        let api_version = ads::read_version(reader);
        let has_credential = reader.has("service_account") || reader.has("oauth");
        let given = match has_credential {
            true => Some(OAuth::read_google(reader, SCOPE)?),
            false => None,
        };
        let destinations::Settings::GoogleDataManager(own) = own? else {
            return None;
        };
        let is_shared = matches!(own.oauth.grant, Grant::ServiceAccount { .. });
        if given.is_none() && !is_shared {
            reader.fault(
                "oauth",
                "is required, for the destination's own refresh token was made for another scope",
                "add oauth with client_id, client_secret and a refresh_token made for …/auth/adwords, or a service_account",
            );
            return None;
        }
        Some(Settings {
            customer_id: own.operating_account.clone(),
            login_customer_id: own.login_account.clone(),
            api_version,
            oauth: given.unwrap_or_else(|| OAuth {
                scope: SCOPE,
                ..own.oauth.clone()
            }),
        })
    }
}

// --- request ---

/// Whose days they are: asked first, for an account without conversions has no row that would tell.
pub(super) fn first(settings: &Settings, query: &Query<'_>) -> HttpRequest {
    let account = "SELECT customer.time_zone, customer.currency_code FROM customer LIMIT 1";
    search(settings, query, account, None)
}

/// The conversions of the n-th part of the days.
fn conversions(
    settings: &Settings,
    query: &Query<'_>,
    part: u64,
    page_token: Option<&str>,
) -> Option<HttpRequest> {
    let days = (ROWS / u64::try_from(query.names.len()).unwrap_or(ROWS)).max(1);
    let first = query
        .first
        .checked_add_days(Days::new(days.saturating_mul(part)))?;
    if first > query.last {
        return None;
    }
    let last = first.checked_add_days(Days::new(days - 1))?.min(query.last);
    let action = |id: &&str| {
        format!(
            "'customers/{}/conversionActions/{id}'",
            settings.customer_id
        )
    };
    let actions: Vec<String> = query.names.iter().map(action).collect();
    let text = format!(
        "SELECT segments.date, segments.conversion_action, metrics.all_conversions_by_conversion_date, \
         metrics.all_conversions_value_by_conversion_date FROM customer \
         WHERE segments.date BETWEEN '{first}' AND '{last}' AND segments.conversion_action IN ({})",
        actions.join(", ")
    );
    Some(search(settings, query, &text, page_token))
}

/// `POST /{version}/customers/{customer_id}/googleAds:search`.
fn search(
    settings: &Settings,
    query: &Query<'_>,
    text: &str,
    page_token: Option<&str>,
) -> HttpRequest {
    let path = format!(
        "/{}/customers/{}/googleAds:search",
        settings.api_version, settings.customer_id
    );
    let mut body = json!({ "query": text });
    if let Some(token) = page_token {
        body["pageToken"] = token.into();
    }
    let url = address(query.base_url, &path);
    let request = HttpRequest::post(url, Credential::Bearer, body.to_string());
    match &settings.login_customer_id {
        Some(login) => request.header("login-customer-id", login.as_str()),
        None => request,
    }
}

// --- parse ---

/// Reads the account, then the conversions part by part and page by page.
pub(super) fn read(
    settings: &Settings,
    reply: &Reply,
    query: &Query<'_>,
    tally: &mut Tally,
) -> Result<Option<HttpRequest>, ReportError> {
    if !answer::is_good(reply) {
        return Err(refusal(reply));
    }
    let body = answer::object(reply)?;
    let empty = Vec::new();
    let rows = match body.get("results") {
        None => &empty,
        Some(rows) => rows
            .as_array()
            .ok_or(ReportError::Unreadable("its results are no list"))?,
    };
    if tally.time_zone.is_none() {
        let customer = rows.first().map(|row| &row["customer"]);
        let zone = customer.and_then(|customer| answer::time_zone(&customer["timeZone"]));
        let zone = zone.ok_or(ReportError::Unreadable("it names no time zone"))?;
        tally.time_zone = Some(zone);
        tally.currency = customer.and_then(|customer| answer::currency(&customer["currencyCode"]));
        return Ok(conversions(settings, query, 0, None));
    }
    for row in rows {
        read_row(row, query, tally)
            .ok_or(ReportError::Unreadable("a row is none that was asked for"))?;
    }
    let token = body.get("nextPageToken").and_then(Value::as_str);
    match token.filter(|token| !token.is_empty()) {
        Some(token) if token.len() > TOKEN_MAX => {
            Err(ReportError::Unreadable("its page token is too long"))
        }
        Some(token) => Ok(conversions(settings, query, tally.position, Some(token))),
        None => {
            tally.position += 1;
            Ok(conversions(settings, query, tally.position, None))
        }
    }
}

/// One action on one day; `None` where the row has not the form that was asked for. What is nought may be left out.
fn read_row(row: &Value, query: &Query<'_>, tally: &mut Tally) -> Option<()> {
    let (segments, metrics) = (&row["segments"], &row["metrics"]);
    let number = |key: &str| match metrics.get(key) {
        None => Some(Amount::default()),
        Some(value) => Amount::of(value),
    };
    let action = segments["conversionAction"].as_str()?;
    let row = Row {
        name: action.rsplit_once('/')?.1,
        day: NaiveDate::parse_from_str(segments["date"].as_str()?, "%Y-%m-%d").ok()?,
        conversions: number("allConversionsByConversionDate")?,
        value: Some(number("allConversionsValueByConversionDate")?),
    };
    tally.add(query, &row);
    Some(())
}

/// Errors of the API itself stand in the details, by key and value (google/ads/googleads/v26/errors/errors.proto).
fn refusal(reply: &Reply) -> ReportError {
    let body = answer::error_body(reply);
    let error = &body["error"];
    let failures = error["details"].as_array().into_iter().flatten();
    let mut codes = failures
        .flat_map(|detail| detail["errors"].as_array().into_iter().flatten())
        .flat_map(|error| error["errorCode"].as_object().into_iter().flatten());
    let named = codes.find_map(|(key, value)| Some((key.clone(), answer::word(value.as_str()?)?)));
    let (key, code) = match named {
        Some((key, code)) => (key, Some(code)),
        None => (
            String::new(),
            error["status"].as_str().and_then(answer::word),
        ),
    };
    let refused = |what| ReportError::Refused {
        what,
        code: code.clone(),
    };
    match (key.as_str(), code.as_deref()) {
        ("quotaError", _) | (_, Some("RESOURCE_EXHAUSTED")) => ReportError::RateLimited {
            after: answer::wait(reply, error),
            code,
        },
        (_, Some("UNSUPPORTED_VERSION")) => refused(Refusal::Version),
        (_, Some("INVALID_CUSTOMER_ID" | "CUSTOMER_NOT_FOUND" | "CUSTOMER_NOT_ENABLED")) => {
            refused(Refusal::Account)
        }
        ("authenticationError", _) => refused(Refusal::Credential),
        ("authorizationError" | "headerError", _) => refused(Refusal::Permission),
        _ => answer::by_status(reply, code),
    }
}
