//! Questions and answers without a network: what is asked, what is read, and what is not taken for an answer.

use chrono::TimeZone as _;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::Config;
use crate::destinations::Credential;

const DAY: &str = "2026-11-20";

/// A destination with `[destination.report]` and these lines in it.
fn destination(platform: Platform, above: &str, lines: &str) -> Result<DestinationConfig, String> {
    let google = "service_account = { file = \"/key.json\" }\nconversion_actions = { order_paid = \"7\", lead_created = \"8\" }";
    let keys = match platform {
        Platform::Meta => "dataset_id = \"100\"\naccess_token = { file = \"/meta\" }".to_owned(),
        Platform::Ga4 => "measurement_id = \"G-1\"\napi_secret = { file = \"/ga4\" }".to_owned(),
        Platform::GoogleDataManager => format!("operating_account = \"1234567890\"\nlogin_account = \"99\"\n{google}"),
        Platform::GoogleAds => format!("customer_id = \"1234567890\"\n{google}"),
        Platform::LinkedIn => {
            "ad_account = \"508\"\naccess_token = { file = \"/li\" }\nrules = { order_paid = \"104\" }".to_owned()
        }
    };
    let text = format!(
        "[database]\nurl = {{ file = \"/url\" }}\n[[destination]]\nname = \"one\"\nplatform = \"{}\"\n{above}\n{keys}\n[destination.report]\n{lines}",
        platform.name()
    );
    match Config::parse(&text, "test.toml", []) {
        Ok(mut config) => Ok(config.destinations.remove(0)),
        Err(faults) => Err(faults.to_string()),
    }
}

fn plain(platform: Platform) -> DestinationConfig {
    let lines = match platform {
        Platform::Ga4 => "property_id = \"345\"\nservice_account = { file = \"/key.json\" }",
        _ => "",
    };
    destination(platform, "", lines).expect("valid")
}

fn day(text: &str) -> NaiveDate {
    text.parse().expect("a day")
}

/// Asks, and answers each question with the next of these bodies; gives the questions too.
fn converse(
    destination: &DestinationConfig,
    days: (&str, &str),
    answers: &[(u16, Value)],
) -> (Vec<HttpRequest>, Result<Vec<ReportedDay>, ReportError>) {
    let report = destination.report.as_ref().expect("configured");
    let events = shared_names(destination);
    let names: Vec<&str> = events.keys().copied().collect();
    let query = Query {
        base_url: &report.base_url,
        names: &names,
        first: day(days.0),
        last: day(days.1),
        now: Utc.with_ymd_and_hms(2026, 11, 25, 12, 0, 0).unwrap(),
    };
    let mut tally = Tally::default();
    let mut asked = vec![report.first(&query)];
    for (status, body) in answers {
        let reply = Reply {
            status: *status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        };
        match report.read_answer(&reply, &query, &mut tally) {
            Ok(Some(next)) => asked.push(next),
            Ok(None) => return (asked, tally.finish(&query, &events)),
            Err(error) => return (asked, Err(error)),
        }
    }
    panic!("it asks on: {:?}", asked.last());
}

fn told(days: &[ReportedDay], event: &str, on: &str) -> ReportedDay {
    let mut found = days.iter();
    let found = found.find(|told| told.event_name == event && told.day == day(on));
    found.expect("it is told").clone()
}

#[test]
fn meta_is_asked_in_half_days_and_hours_are_counted_once_on_their_day() {
    let meta = plain(Platform::Meta);
    let hour = |start: &str, count: Value| {
        json!({"start_time": start, "aggregation": "event", "data": [
        {"value": "Purchase", "count": count}, {"value": "PageView", "count": 900}]})
    };
    // 23:00 in UTC is the next day's midnight in Berlin.
    let first = json!({"data": [hour("2026-11-20T12:00:00+0100", 2.into()), hour("2026-11-21T00:00:00+0100", 3.into())]});
    let second = json!({"data": [hour("2026-11-20T23:00:00+0000", 3.into()), hour("2026-11-20T16:00:00-0500", "4".into())],
        "paging": {"next": "https://elsewhere.example/?access_token=x"}});
    let quality = json!({"web": [{"event_name": "Purchase", "event_match_quality": {"composite_score": 6.5}}]});
    let (asked, days) = converse(
        &meta,
        (DAY, DAY),
        &[(200, first), (200, second), (200, quality)],
    );
    let urls: Vec<&str> = asked.iter().map(|request| request.url.as_str()).collect();
    let stats =
        "https://graph.facebook.com/v26.0/100/stats?aggregation=event&event_source=SERVER_ONLY";
    assert_eq!(
        urls,
        [
            format!("{stats}&start_time=1795132800&end_time=1795176000"),
            format!("{stats}&start_time=1795176000&end_time=1795219200"),
            "https://graph.facebook.com/v26.0/dataset_quality?dataset_id=100&fields=web%7Bevent_name%2Cevent_match_quality%7Bcomposite_score%7D%7D".to_owned(),
        ]
    );
    assert!(
        asked
            .iter()
            .all(|request| request.credential == Credential::Bearer)
    );
    let days = days.expect("whole");
    let purchase = told(&days, "order_paid", DAY);
    assert_eq!(
        (purchase.conversions.as_str(), purchase.time_zone.as_str()),
        ("9", "UTC")
    );
    assert_eq!(
        purchase.details,
        json!({"events": ["order_paid", "purchase"], "event_match_quality": "6.5"})
    );
    assert_eq!((purchase.value, purchase.ids), (None, None));
    assert_eq!(told(&days, "lead_created", DAY).conversions, "0");
}

#[test]
fn analytics_is_asked_page_by_page_and_ids_are_kept() {
    let ga4 = plain(Platform::Ga4);
    let row = |day: &str, name: &str, id: &str, count: &str, value: &str| {
        json!({
        "dimensionValues": [{"value": day}, {"value": name}, {"value": id}],
        "metricValues": [{"value": count}, {"value": value}]})
    };
    let metadata = json!({"timeZone": "Europe/Berlin", "currencyCode": "EUR"});
    let first = json!({"rows": [row("20261120", "purchase", "o-1", "1", "49.9"), row("20261120", "purchase", "o-2", "2", "0.2")],
        "rowCount": 4, "metadata": metadata});
    let second = json!({"rows": [row("20261120", "generate_lead", "(not set)", "5", "0"), row("20261120", "purchase", "(other)", "1", "1e1")],
        "rowCount": 4, "metadata": metadata});
    let nothing = json!({"metadata": metadata});
    let (_, days) = converse(&ga4, (DAY, DAY), &[(200, nothing)]);
    let days = days.expect("whole");
    assert_eq!(
        told(&days, "order_paid", DAY).ids,
        Some(BTreeMap::new()),
        "none was counted"
    );
    assert_eq!(told(&days, "lead_created", DAY).ids, None, "none are told");
    let (asked, days) = converse(&ga4, (DAY, DAY), &[(200, first), (200, second)]);
    let bodies: Vec<Value> = asked
        .iter()
        .map(|request| serde_json::from_str(&request.body).expect("json"))
        .collect();
    assert_eq!(
        asked[0].url.as_str(),
        "https://analyticsdata.googleapis.com/v1beta/properties/345:runReport"
    );
    assert_eq!(
        bodies[0]["dateRanges"],
        json!([{"startDate": DAY, "endDate": DAY}])
    );
    assert_eq!(
        (&bodies[0]["offset"], &bodies[1]["offset"]),
        (&json!("0"), &json!("2"))
    );
    let names = &bodies[0]["dimensionFilter"]["filter"]["inListFilter"]["values"];
    assert!(
        names
            .as_array()
            .expect("a list")
            .contains(&json!("purchase"))
    );
    let days = days.expect("whole");
    let purchase = told(&days, "order_paid", DAY);
    assert_eq!(
        (purchase.conversions.as_str(), purchase.value.as_deref()),
        ("4", Some("60.1"))
    );
    assert_eq!(
        purchase.ids,
        Some([("o-1".to_owned(), 1), ("o-2".to_owned(), 2)].into())
    );
    assert_eq!(
        (purchase.time_zone.as_str(), purchase.currency.as_deref()),
        ("Europe/Berlin", Some("EUR"))
    );
    assert_eq!(purchase.details["other_row"], true);
    let lead = told(&days, "lead_created", DAY);
    assert_eq!((lead.conversions.as_str(), lead.ids), ("5", None));
}

#[test]
fn google_ads_is_asked_for_conversion_dates_and_tells_parts() {
    for platform in [Platform::GoogleAds, Platform::GoogleDataManager] {
        let ads = plain(platform);
        let account = json!({"results": [{"customer": {"timeZone": "America/New_York", "currencyCode": "USD"}}]});
        let row = |action: &str, count: Value| {
            json!({"segments": {"date": DAY, "conversionAction": format!("customers/1234567890/conversionActions/{action}")},
            "metrics": {"allConversionsByConversionDate": count}})
        };
        let first = json!({"results": [row("7", 1.333333.into())], "nextPageToken": "more"});
        let second = json!({"results": [row("7", 0.5.into()), row("9", 100.into())]});
        let (asked, days) = converse(
            &ads,
            (DAY, DAY),
            &[(200, account), (200, first), (200, second)],
        );
        assert_eq!(
            asked[0].url.as_str(),
            "https://googleads.googleapis.com/v26/customers/1234567890/googleAds:search"
        );
        let login = asked[1]
            .headers
            .iter()
            .find(|(name, _)| *name == "login-customer-id");
        assert_eq!(login.is_some(), platform == Platform::GoogleDataManager);
        let body: Value = serde_json::from_str(&asked[2].body).expect("json");
        assert_eq!(body["pageToken"], "more");
        let query = body["query"].as_str().expect("text");
        assert!(
            query.contains("metrics.all_conversions_by_conversion_date")
                && query.contains("BETWEEN '2026-11-20' AND '2026-11-20'")
        );
        let days = days.expect("whole");
        let order = told(&days, "order_paid", DAY);
        assert_eq!(
            (order.conversions.as_str(), order.value.as_deref()),
            ("1.833333", Some("0"))
        );
        assert_eq!(
            (order.time_zone.as_str(), order.currency.as_deref()),
            ("America/New_York", Some("USD"))
        );
        assert_eq!(told(&days, "lead_created", DAY).conversions, "0");
        assert_eq!(days.len(), 2, "what was not asked for is not told");
    }
}

#[test]
fn linkedin_is_asked_week_by_week_in_its_own_way_of_writing() {
    let linkedin = plain(Platform::LinkedIn);
    let row = json!({"pivotValues": ["urn:lla:llaPartnerConversion:104"], "externalWebsiteConversions": 3,
        "conversionValueInLocalCurrency": "12.50", "dateRange": {"start": {"year": 2026, "month": 11, "day": 20}}});
    let (asked, days) = converse(
        &linkedin,
        ("2026-11-13", DAY),
        &[
            (200, json!({"elements": []})),
            (200, json!({"elements": [row]})),
        ],
    );
    assert_eq!(
        asked[0].url.as_str(),
        "https://api.linkedin.com/rest/adAnalytics?q=analytics&pivot=CONVERSION&timeGranularity=DAILY\
         &dateRange=(start:(year:2026,month:11,day:13),end:(year:2026,month:11,day:19))\
         &accounts=List(urn%3Ali%3AsponsoredAccount%3A508)\
         &fields=externalWebsiteConversions,conversionValueInLocalCurrency,dateRange,pivotValues"
    );
    assert!(
        asked[1]
            .url
            .as_str()
            .contains("start:(year:2026,month:11,day:20),end:(year:2026,month:11,day:20)")
    );
    let days = days.expect("whole");
    assert_eq!(days.len(), 8);
    let order = told(&days, "order_paid", DAY);
    assert_eq!(
        (
            order.conversions.as_str(),
            order.value.as_deref(),
            order.currency
        ),
        ("3", Some("12.5"), None)
    );
    assert_eq!(order.details.get("empty_answer"), None);
    let berlin = destination(Platform::LinkedIn, "", "time_zone = \"Europe/Berlin\"");
    let (_, days) = converse(
        &berlin.expect("valid"),
        (DAY, DAY),
        &[(200, json!({"elements": []}))],
    );
    assert_eq!(days.expect("whole")[0].time_zone, "Europe/Berlin");
    let (_, days) = converse(&linkedin, (DAY, DAY), &[(200, json!({"elements": []}))]);
    assert_eq!(
        told(&days.expect("whole"), "order_paid", DAY).details["empty_answer"],
        true
    );
}

#[test]
fn each_platform_s_own_words_for_no_are_known() {
    use Refusal::{Account, Credential, Permission, Question, Version};
    let meta =
        |code: i64| json!({"error": {"message": "secret text", "code": code, "error_subcode": 33}});
    let google =
        |status: &str| json!({"error": {"code": 1, "message": "secret text", "status": status}});
    let ads = |key: &str, value: &str| {
        json!({"error": {"status": "INVALID_ARGUMENT", "details": [
        {"errors": [{"errorCode": {key: value}, "message": "secret text"}]}]}})
    };
    let linkedin = |code: &str| json!({"status": 1, "code": code, "message": "secret text"});
    for (platform, status, body, expected) in [
        (Platform::Meta, 400, meta(190), Some(Credential)),
        (Platform::Meta, 403, meta(200), Some(Permission)),
        (Platform::Meta, 400, meta(100), Some(Account)),
        (Platform::Meta, 400, meta(80_004), None),
        (Platform::Meta, 500, meta(2), None),
        (Platform::Meta, 400, Value::Null, Some(Question)),
        (
            Platform::Ga4,
            403,
            google("PERMISSION_DENIED"),
            Some(Permission),
        ),
        (Platform::Ga4, 429, google("RESOURCE_EXHAUSTED"), None),
        (
            Platform::Ga4,
            400,
            google("INVALID_ARGUMENT"),
            Some(Question),
        ),
        (Platform::Ga4, 503, Value::Null, None),
        (
            Platform::GoogleAds,
            401,
            google("UNAUTHENTICATED"),
            Some(Credential),
        ),
        (
            Platform::GoogleAds,
            403,
            ads("authorizationError", "USER_PERMISSION_DENIED"),
            Some(Permission),
        ),
        (
            Platform::GoogleAds,
            400,
            ads("requestError", "UNSUPPORTED_VERSION"),
            Some(Version),
        ),
        (
            Platform::GoogleAds,
            429,
            ads("quotaError", "RESOURCE_EXHAUSTED"),
            None,
        ),
        (
            Platform::LinkedIn,
            401,
            linkedin("REVOKED_ACCESS_TOKEN"),
            Some(Credential),
        ),
        (
            Platform::LinkedIn,
            403,
            linkedin("ACCESS_DENIED"),
            Some(Permission),
        ),
        (
            Platform::LinkedIn,
            426,
            linkedin("NONEXISTENT_VERSION"),
            Some(Version),
        ),
        (Platform::LinkedIn, 429, Value::Null, None),
    ] {
        let (_, answer) = converse(&plain(platform), (DAY, DAY), &[(status, body.clone())]);
        let error = answer.expect_err("a refusal");
        let what = match &error {
            ReportError::Refused { what, .. } => Some(*what),
            _ => None,
        };
        assert_eq!(what, expected, "{platform:?} {status} {body}: {error:?}");
        assert_eq!(error.is_passing(), expected.is_none(), "{error:?}");
        assert!(
            !format!("{error} {error:?}").contains("secret"),
            "{error:?}"
        );
    }
}

#[test]
fn answers_that_are_none_are_told_apart_from_nought() {
    let wrong = [
        json!({}),
        json!([]),
        json!({"data": {}, "rows": {}, "results": {}, "elements": {}}),
        json!({"data": [{}], "rows": [{}], "results": [{}], "elements": [{}], "metadata": {"timeZone": "UTC"}}),
        json!({"data": [{"start_time": "2026-11-20T00:00:00+0000", "data": [{"value": "Purchase", "count": -1}]}],
            "rows": [{"dimensionValues": [{"value": "20261120"}, {"value": "purchase"}, {"value": "x"}], "metricValues": [{"value": "NaN"}, {"value": "0"}]}],
            "metadata": {"timeZone": "UTC"}, "results": [{"customer": {"timeZone": "<script>"}}],
            "elements": [{"pivotValues": [], "dateRange": {"start": {"year": 1e9, "month": 13, "day": 0}}}]}),
        // A row that is promised and never comes.
        json!({"rowCount": 5, "metadata": {"timeZone": "UTC"}, "data": 1, "results": [], "elements": null}),
    ];
    for platform in Platform::ALL {
        for body in &wrong {
            let (_, answer) = converse(&plain(platform), (DAY, DAY), &[(200, body.clone())]);
            assert!(
                matches!(answer, Err(ReportError::Unreadable(_))),
                "{platform:?} {body}: {answer:?}"
            );
        }
    }
}

#[test]
fn a_report_of_data_manager_needs_a_credential_of_its_own_scope() {
    let shared = plain(Platform::GoogleDataManager)
        .report
        .expect("configured");
    let Credentials::OAuth(oauth) = shared.credentials() else {
        panic!("Google's are exchanged");
    };
    assert!(oauth.scope.ends_with("/adwords"));
    let user = "oauth = { client_id = \"a\", client_secret = { file = \"/a\" }, refresh_token = { file = \"/b\" } }";
    let text = format!(
        "[database]\nurl = {{ file = \"/url\" }}\n[[destination]]\nname = \"one\"\nplatform = \"google_data_manager\"\n\
         operating_account = \"1\"\nconversion_actions = {{ order_paid = \"7\" }}\n{user}\n[destination.report]\n"
    );
    let faults = Config::parse(&text, "test.toml", [])
        .expect_err("another scope")
        .to_string();
    assert!(faults.contains("report.oauth is required"), "{faults}");
    assert!(Config::parse(&format!("{text}{user}\n"), "test.toml", []).is_ok());
    let faults = destination(Platform::Ga4, "", "").expect_err("nothing given");
    assert!(
        faults.contains("report.property_id is required"),
        "{faults}"
    );
    let faults =
        destination(Platform::Meta, "", "base_url = \"https://10.0.0.1\"").expect_err("private");
    assert!(
        faults.contains("report names a private address"),
        "{faults}"
    );
    let faults = destination(Platform::LinkedIn, "", "currency = \"eur\"").expect_err("no code");
    assert!(
        faults.contains("currency must be a currency's code"),
        "{faults}"
    );
}

#[test]
fn a_name_that_several_events_share_is_told_once() {
    let routed = "routes = { events = [\"purchase\", \"lead_created\"] }";
    let meta = destination(Platform::Meta, routed, "").expect("valid");
    let names: Vec<(&str, Vec<&str>)> = shared_names(&meta).into_iter().collect();
    assert_eq!(
        names,
        [
            ("Lead", vec!["lead_created"]),
            ("Purchase", vec!["purchase"])
        ]
    );
    let off = "events = { lead_created = false, deal_won = \"Won\" }";
    let meta = destination(Platform::Meta, off, "").expect("valid");
    let names = shared_names(&meta);
    assert!(
        !names.contains_key("Lead") && names.contains_key("Won") && !names.contains_key("DealWon")
    );
    assert_eq!(names["Purchase"], ["order_paid", "purchase"]);
}

#[test]
fn no_platform_is_asked_for_what_it_does_not_know_any_more() {
    let now = "2026-11-25T12:00:00Z".parse().expect("a time");
    let day = |text: &str| text.parse().expect("a day");
    let meta = plain(Platform::Meta);
    assert!(is_asked(&meta, day("2026-11-19"), now));
    assert!(!is_asked(&meta, day("2026-11-18"), now), "seven days back");
    assert!(is_asked(&plain(Platform::Ga4), day("2025-01-01"), now));
    let mut silent = meta;
    silent.report = None;
    assert!(!is_asked(&silent, day("2026-11-25"), now));
}

proptest! {
    /// Whatever an answer holds, it is read or refused, and what is told is only what was asked for.
    #[test]
    fn no_answer_breaks_anything(text in "[ -~]{0,60}", number in any::<i64>(), fraction in any::<f64>(), status in 100_u16..600) {
        let body = json!({
            "data": [{"start_time": text, "data": [{"value": text, "count": number}]}],
            "rows": [{"dimensionValues": [{"value": text}, {"value": text}, {"value": text}],
                "metricValues": [{"value": number.to_string()}, {"value": fraction.to_string()}]}],
            "metadata": {"timeZone": text, "currencyCode": text}, "rowCount": number, "nextPageToken": text,
            "results": [{"customer": {"timeZone": text}, "segments": {"date": text, "conversionAction": text}, "metrics": {"allConversionsByConversionDate": fraction}}],
            "elements": [{"pivotValues": [text], "externalWebsiteConversions": number, "dateRange": {"start": {"year": number, "month": 1, "day": 1}}}],
            "error": {"code": number, "status": text, "details": [{"retryDelay": text, "errors": [{"errorCode": {"a": text}}]}]},
            "code": text,
        });
        for platform in Platform::ALL {
            let destination = plain(platform);
            let report = destination.report.as_ref().expect("configured");
            let query = Query { base_url: &report.base_url, names: &["7", "Purchase"], first: day(DAY), last: day(DAY), now: Utc::now() };
            let reply = Reply { status, headers: Vec::new(), body: body.to_string().into_bytes() };
            let mut tally = Tally::default();
            tally.time_zone = Some("UTC".to_owned());
            if let Err(error) = report.read_answer(&reply, &query, &mut tally) {
                prop_assert!(error.to_string().len() < 200);
            }
            let events = BTreeMap::from([("7", vec!["a"])]);
            prop_assert!(tally.finish(&query, &events).is_ok_and(|days| days.len() == 1));
        }
    }
}
