//! LinkedIn: `adAnalytics` by conversion rule. Parts, in the order of every platform: settings, request, parse.
//!
//! **What is counted:** conversions that LinkedIn attributed to an ad, after a click or a view, and never the others: an event
//! that was taken may be missing here for good. **Day:** UNVERIFIED, in UTC unless
//! `time_zone` says otherwise; UNVERIFIED whether that of the conversion or of the ad.
//! **Value:** in the account's own currency, which no answer names: `currency` says it. **Ids:** none.
//!
//! LinkedIn answers with nothing, and no error, to who may not read the account's reports. So an answer without any row is
//! marked: `details.empty_answer`.
//!
//! Sources: `learn.microsoft.com/en-us/linkedin/marketing/integrations/ads-reporting/ads-reporting` (permissions
//! `r_ads_reporting`, Analytics finder, no paging, empty response without access, query encoding);
//! `…/linkedin/marketing/conversions/conversions-faq` (up to 72 hours until data are complete). UNVERIFIED: whether a token of
//! the Direct API may read reports, so another one can be given; and the URN of a rule in `pivotValues`, of which only the
//! number is read.

use std::time::Duration;

use chrono::{Datelike, Days, NaiveDate};
use serde_json::Value;
use url::Url;

use super::amount::Amount;
use super::tally::{Row, Tally};
use super::{Query, Refusal, ReportError, answer};
use crate::config::read::Reader;
use crate::destinations::linkedin::Access;
use crate::destinations::{self, Credential, Credentials, HttpRequest, Reply, address};

// --- settings ---

/// "It takes up to 24 hours to complete ingestion and an additional 48 hours for reporting" (`…/conversions-faq`).
pub(super) const FINAL_AFTER: Duration = Duration::from_secs(72 * 3600);

/// Days of one question: it is answered with every rule of the account, and has no pages.
const DAYS: u64 = 7;

/// What is known of one LinkedIn ad account, and what an operator fills in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The ad account: digits.
    pub ad_account: String,
    /// `LinkedIn-Version`, `YYYYMM`.
    pub version: String,
    /// The destination's own credential unless another one is given: reading needs `r_ads_reporting`.
    pub access: Access,
    /// The account's currency.
    pub currency: Option<String>,
    /// The zone of LinkedIn's days (IANA name), which no answer names.
    pub time_zone: String,
}

impl Settings {
    /// Reads the keys of `[destination.report]`.
    pub(super) fn read(
        reader: &mut Reader<'_>,
        own: Option<&destinations::Settings>,
    ) -> Option<Settings> {
        let has_access = reader.has("access_token") || reader.has("oauth");
        let given = has_access.then(|| Access::read(reader));
        let currency = reader.text_where(
            "currency",
            |text| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase()),
            "must be a currency's code such as EUR",
            "write the currency of the ad account, in capitals",
        );
        let time_zone = reader.text_where(
            "time_zone",
            answer::is_time_zone,
            "must be a time zone's name such as Europe/Berlin",
            "write the zone that Campaign Manager counts days in, or leave it out",
        );
        let destinations::Settings::LinkedIn(own) = own? else {
            return None;
        };
        Some(Settings {
            ad_account: own.ad_account.clone(),
            version: own.version.clone(),
            access: match given {
                Some(given) => given?,
                None => own.access.clone(),
            },
            currency,
            time_zone: time_zone.unwrap_or_else(|| "UTC".to_owned()),
        })
    }

    /// What questions are signed with.
    pub(super) fn credentials(&self) -> Credentials<'_> {
        self.access.credentials()
    }
}

// --- request ---

/// `GET /rest/adAnalytics`, for the first days.
pub(super) fn first(settings: &Settings, query: &Query<'_>) -> HttpRequest {
    days(settings, query, query.first)
}

/// Rest.li's own way of writing parameters: parentheses and commas stay as they are, the colons of a URN do not.
fn days(settings: &Settings, query: &Query<'_>, first: NaiveDate) -> HttpRequest {
    let last = first
        .checked_add_days(Days::new(DAYS - 1))
        .unwrap_or(query.last)
        .min(query.last);
    let date = |day: NaiveDate| {
        format!(
            "(year:{},month:{},day:{})",
            day.year(),
            day.month(),
            day.day()
        )
    };
    let mut url: Url = address(query.base_url, "/rest/adAnalytics");
    url.set_query(Some(&format!(
        "q=analytics&pivot=CONVERSION&timeGranularity=DAILY&dateRange=(start:{},end:{})\
         &accounts=List(urn%3Ali%3AsponsoredAccount%3A{})\
         &fields=externalWebsiteConversions,conversionValueInLocalCurrency,dateRange,pivotValues",
        date(first),
        date(last),
        settings.ad_account
    )));
    HttpRequest::get(url, Credential::Bearer)
        .header("LinkedIn-Version", &settings.version)
        .header("X-Restli-Protocol-Version", "2.0.0")
}

// --- parse ---

/// Reads the rows of some days.
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
    let elements = body.get("elements").and_then(Value::as_array);
    let elements = elements.ok_or(ReportError::Unreadable("it has no list of elements"))?;
    tally.time_zone = Some(settings.time_zone.clone());
    tally.currency.clone_from(&settings.currency);
    for element in elements {
        read_element(element, query, tally).ok_or(ReportError::Unreadable(
            "an element is none that was asked for",
        ))?;
    }
    let was_empty = tally.position == 0 || tally.details.contains_key(EMPTY);
    match elements.is_empty() && was_empty {
        true => tally.details.insert(EMPTY.to_owned(), true.into()),
        false => tally.details.remove(EMPTY),
    };
    tally.position += 1;
    let next = Days::new(DAYS.saturating_mul(tally.position));
    let next = query.first.checked_add_days(next);
    Ok(next
        .filter(|day| *day <= query.last)
        .map(|day| days(settings, query, day)))
}

/// Says that no answer had a row: there may be none, or the credential may not see them.
const EMPTY: &str = "empty_answer";

/// One rule on one day; `None` where it has not the form that was asked for. What is nought may be left out.
fn read_element(element: &Value, query: &Query<'_>, tally: &mut Tally) -> Option<()> {
    let start = &element["dateRange"]["start"];
    let part = |name: &str| start[name].as_u64()?.try_into().ok();
    let year = i32::try_from(start["year"].as_u64()?).ok()?;
    let number = |key: &str| match element.get(key) {
        None | Some(Value::Null) => Some(Amount::default()),
        Some(value) => Amount::of(value),
    };
    let urn = element["pivotValues"].as_array()?.first()?.as_str()?;
    let row = Row {
        name: urn.rsplit(':').next()?,
        day: NaiveDate::from_ymd_opt(year, part("month")?, part("day")?)?,
        conversions: number("externalWebsiteConversions")?,
        value: Some(number("conversionValueInLocalCurrency")?),
    };
    tally.add(query, &row);
    Some(())
}

/// LinkedIn's errors: `code` is a word where there is one
/// (`learn.microsoft.com/en-us/linkedin/shared/api-guide/concepts/error-handling`).
fn refusal(reply: &Reply) -> ReportError {
    let body = answer::error_body(reply);
    let code = body["code"].as_str().and_then(answer::word);
    match (reply.status, code.as_deref()) {
        (426, _) | (_, Some("VERSION_MISSING" | "NONEXISTENT_VERSION")) => ReportError::Refused {
            what: Refusal::Version,
            code,
        },
        _ => answer::by_status(reply, code),
    }
}
