//! Several accounts of each platform in one configuration: each event lands where its routes say, under that account's name
//! for it and by that account's rules, and nowhere else.

use std::collections::BTreeSet;

use chrono::{TimeDelta, Utc};
use conversion_outbox::sandbox::google::ConversionAction;
use conversion_outbox::sandbox::linkedin::ConversionRule;
use conversion_outbox::sandbox::{Account, FaultKind, Platform};
use serde_json::{Value, json};

use crate::rig::{DATASET, Rig, STREAM, Setup, TOKEN, lead, order, with};

const OTHER_DATASET: &str = "200200300400500";
const OTHER_STREAM: &str = "G-TEST456";
/// Account, and its action or rule for orders and for leads.
const GOOGLE: [(&str, &str, &str); 4] = [
    ("1111111111", "7000000001", "7000000002"),
    ("2222222222", "7000000003", "7000000004"),
    ("3333333333", "7000000005", "7000000006"),
    ("4444444444", "7000000007", "7000000008"),
];
const LINKEDIN: [(&str, &str, &str); 2] = [
    ("508000001", "104001", "104002"),
    ("508000002", "104003", "104004"),
];

/// Ten destinations.
fn configuration(rig: &Rig) -> String {
    let (url, folder) = (rig.sandbox.url(), rig.folder.path().display());
    let one = |name: &str, platform: &str, lines: &str| {
        format!(
            "[[destination]]\nname = \"{name}\"\nplatform = \"{platform}\"\nbase_url = \"{url}\"\n{lines}\n"
        )
    };
    let google = |key: &str, n: usize, lines: &str| {
        let (account, order, lead) = GOOGLE[n];
        format!(
            "{key} = \"{account}\"\nservice_account = {{ file = \"{folder}/google.json\" }}\ntoken_url = \"{url}/token\"
conversion_actions = {{ order_paid = \"{order}\", lead_created = \"{lead}\" }}\n{lines}"
        )
    };
    let linkedin = |n: usize, lines: &str| {
        let (account, order, lead) = LINKEDIN[n];
        format!(
            "ad_account = \"{account}\"\naccess_token = {{ file = \"{folder}/linkedin.token\" }}
rules = {{ order_paid = \"{order}\", lead_created = \"{lead}\" }}\n{lines}"
        )
    };
    let meta = |id: &str| {
        format!("dataset_id = \"{id}\"\naccess_token = {{ file = \"{folder}/meta.token\" }}\n")
    };
    let ga4 = |id: &str| {
        format!("measurement_id = \"{id}\"\napi_secret = {{ file = \"{folder}/ga4.secret\" }}\n")
    };
    [
        one("meta-shop", "meta", &(meta(DATASET) + "routes = { sources = [\"shop\"] }")),
        one(
            "meta-leads",
            "meta",
            &(meta(OTHER_DATASET)
                + "routes = { events = [\"lead_created\"] }\nevents = { lead_created = \"SubmitApplication\" }
batch_size = 1\nfields = [\"email\"]\nconsent = { unspecified = \"granted\" }"),
        ),
        one("ga4-de", "ga4", &(ga4(STREAM) + "routes = { properties = { country = \"DE\" } }")),
        one(
            "ga4-leads",
            "ga4",
            &(ga4(OTHER_STREAM) + "events = { order_paid = false, lead_created = \"contact\" }"),
        ),
        one(
            "data-de",
            "google_data_manager",
            &google("operating_account", 0, "routes = { properties = { country = \"DE\" } }"),
        ),
        one(
            "data-crm",
            "google_data_manager",
            &google("operating_account", 1, "routes = { sources = [\"crm\"] }\nfields = [\"email\"]"),
        ),
        one("ads-orders", "google_ads", &google("customer_id", 2, "routes = { events = [\"order_paid\"] }")),
        one(
            "ads-none",
            "google_ads",
            &google(
                "customer_id",
                3,
                "routes = { events = [\"order_paid\"], sources = [\"crm\"], properties = { country = \"FR\" } }",
            ),
        ),
        one("linkedin-careful", "linkedin", &linkedin(0, "batch_size = 1")),
        one(
            "linkedin-bold",
            "linkedin",
            &linkedin(1, "batch_size = 1\nroutes = { sources = [\"shop\"] }\non_ambiguous = \"resend\""),
        ),
    ]
    .join("")
}

fn from(event: Value, source: &str, country: &str) -> Value {
    with(
        event,
        json!({ "source": source, "properties": { "country": country } }),
    )
}

/// What each account was told: its account, the name it knows, and the event's own id.
fn told(rig: &Rig, platform: Platform) -> BTreeSet<String> {
    let rows = rig.arrived(platform).into_iter();
    rows.map(|row| {
        let (name, id) = (row.event_name.unwrap_or_default(), row.event_id);
        let id = id.unwrap_or_else(|| "-".to_owned());
        format!("{} {name} {id}", row.account)
    })
    .collect()
}

#[tokio::test]
async fn each_event_lands_where_its_routes_say() {
    let rig = Rig::new().await;
    let made_at = Utc::now() - TimeDelta::days(30);
    rig.sandbox
        .put_account(Platform::Meta, OTHER_DATASET, Account::with_token(TOKEN));
    let secret = Account::with_token(crate::rig::SECRET);
    rig.sandbox.put_account(Platform::Ga4, OTHER_STREAM, secret);
    rig.sandbox.google(|world| {
        for (account, order, lead) in GOOGLE {
            for action in [order, lead] {
                world.add_action(ConversionAction::upload_clicks(account, action, made_at));
            }
        }
    });
    rig.sandbox.linkedin(|world| {
        for (account, order, lead) in LINKEDIN {
            world.add_rule(ConversionRule::new(order, account));
            world.add_rule(ConversionRule::new(lead, account));
        }
    });
    // One lost answer at each of LinkedIn's accounts.
    for (account, ..) in LINKEDIN {
        rig.event_fault(FaultKind::ResetAfter, Platform::LinkedIn, |fault| {
            (fault.account, fault.times) = (Some(account.to_owned()), Some(1));
            fault.event_id = Some("order_paid:o-de".to_owned());
        });
    }
    let worker = rig.work_with(Setup {
        rest: configuration(&rig).leak(),
        ..Setup::only(&[])
    });
    let mut unsaid = from(lead("l-unsaid"), "crm", "DE");
    unsaid["consent"]["ad_user_data"] = "unspecified".into();
    unsaid["consent"]["analytics_storage"] = "unspecified".into();
    rig.insert(&[
        from(order("o-de"), "shop", "DE"),
        from(order("o-fr"), "shop", "FR"),
        from(lead("l-fr"), "crm", "FR"),
        unsaid,
    ])
    .await;
    rig.until_state("linkedin-careful", "order_paid:o-de", "uncertain/no_answer")
        .await;
    rig.until_state("linkedin-bold", "order_paid:o-de", "pending/no_answer")
        .await;
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.later(TimeDelta::hours(1)).await;
    rig.until("not exists (select from conversion_outbox.request where settled_at is null)")
        .await;
    rig.until_final().await;

    let states: Vec<String> = {
        let told: String = rig
            .one("select string_agg(concat(destination, ': ', states), E'\\n' order by destination) from (
                    select destination, string_agg(state || coalesce('/' || reason, ''), ', ' order by event_no) as states
                      from conversion_outbox.delivery group by destination) d")
            .await;
        told.lines().map(str::to_owned).collect()
    };
    let (elsewhere, off) = ("skipped/filtered_by_route", "skipped/unsupported_event");
    let unsaid = "suppressed/consent_unspecified";
    assert_eq!(
        states,
        [
            format!("ads-none: {elsewhere}, {elsewhere}, {elsewhere}, {elsewhere}"),
            format!("ads-orders: accepted, accepted, {elsewhere}, {elsewhere}"),
            format!("data-crm: {elsewhere}, {elsewhere}, accepted, {unsaid}"),
            format!("data-de: accepted, {elsewhere}, {elsewhere}, {unsaid}"),
            format!("ga4-de: sent, {elsewhere}, {elsewhere}, {unsaid}"),
            format!("ga4-leads: {off}, {off}, sent, {unsaid}"),
            format!("linkedin-bold: accepted, accepted, {elsewhere}, {elsewhere}"),
            format!("linkedin-careful: uncertain/no_answer, accepted, accepted, {unsaid}"),
            format!("meta-leads: {elsewhere}, {elsewhere}, accepted, accepted"),
            format!("meta-shop: accepted, accepted, {elsewhere}, {elsewhere}"),
        ]
    );
    for (platform, expected) in [
        (
            Platform::Meta,
            vec![
                format!("{DATASET} Purchase order_paid:o-de"),
                format!("{DATASET} Purchase order_paid:o-fr"),
                format!("{OTHER_DATASET} SubmitApplication lead_created:l-fr"),
                format!("{OTHER_DATASET} SubmitApplication lead_created:l-unsaid"),
            ],
        ),
        (
            Platform::Ga4,
            vec![
                format!("{STREAM} purchase o-de"),
                format!("{OTHER_STREAM} contact -"),
            ],
        ),
        (
            Platform::GoogleDataManager,
            vec![
                "1111111111 7000000001 order_paid:o-de".to_owned(),
                "2222222222 7000000004 lead_created:l-fr".to_owned(),
            ],
        ),
        (
            Platform::GoogleAds,
            vec![
                "3333333333 7000000005 order_paid:o-de".to_owned(),
                "3333333333 7000000005 order_paid:o-fr".to_owned(),
            ],
        ),
        (
            Platform::LinkedIn,
            vec![
                "508000001 104001 order_paid:o-de".to_owned(),
                "508000001 104001 order_paid:o-fr".to_owned(),
                "508000001 104002 lead_created:l-fr".to_owned(),
                "508000002 104003 order_paid:o-de".to_owned(),
                "508000002 104003 order_paid:o-fr".to_owned(),
            ],
        ),
    ] {
        assert_eq!(
            told(&rig, platform),
            BTreeSet::from_iter(expected),
            "{platform}"
        );
    }
    // The accounts' own fields, and their own size of a request.
    let of_leads = |platform, account: &str| -> Vec<_> {
        let rows = rig.arrived(platform).into_iter();
        rows.filter(|row| row.account == account).collect()
    };
    let meta = of_leads(Platform::Meta, OTHER_DATASET);
    assert_ne!(meta[0].request, meta[1].request);
    assert!(
        meta.iter()
            .all(|row| row.event.contains("\"em\"") && !row.event.contains("fbp"))
    );
    let google = of_leads(Platform::GoogleDataManager, "2222222222");
    assert!(google[0].event.contains("emailAddress") && !google[0].event.contains("gclid"));
    worker.drain().await;
}
