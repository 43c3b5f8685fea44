use super::super::Config;

const TWO: &str = r#"
[database]
url = { env = "DATABASE_URL" }
[[destination]]
name = "google"
platform = "google_data_manager"
operating_account = "1234567890"
service_account = { file = "/run/key" }
conversion_actions = { order_paid = "77", lead_created = "78" }
[[destination]]
name = "google-ads"
platform = "google_ads"
customer_id = "1234567890"
service_account = { file = "/run/key" }
conversion_actions = { order_paid = "77" }
"#;

/// The report; empty where there is no fault.
fn faults(text: &str) -> String {
    match Config::parse(text, "config.toml", []) {
        Ok(_) => String::new(),
        Err(faults) => faults.to_string(),
    }
}

#[test]
fn two_destinations_must_not_count_the_same_conversion() {
    let report = faults(TWO);
    assert!(
        report.starts_with("config.toml:15: destination \"google-ads\": conversion_actions counts order_paid for the same conversion as \"google\" does"),
        "{report}"
    );
    assert_eq!(report.lines().count(), 1, "{report}");
    for apart in [
        TWO.replace("\"1234567890\"\nservice_account = { file = \"/run/key\" }\nconversion_actions = { order_paid = \"77\" }", "\"99\"\nservice_account = { file = \"/run/key\" }\nconversion_actions = { order_paid = \"77\" }"),
        TWO.replace("order_paid = \"77\" }", "order_paid = \"79\" }"),
        format!("{TWO}enabled = false\n"),
        format!("{TWO}events = {{ order_paid = false }}\n"),
        with_routes("sources = [\"shop\"]", "sources = [\"crm\"]"),
        with_routes("events = [\"lead_created\"]", "events = [\"order_paid\"]"),
        with_routes(
            "properties = { country = \"DE\" }",
            "properties = { country = \"FR\" }",
        ),
    ] {
        assert_eq!(faults(&apart), "", "{apart}");
    }
    let meeting = with_routes(
        "properties = { country = \"DE\" }",
        "properties = { plan = \"gold\" }",
    );
    assert!(faults(&meeting).contains("counts order_paid"));
}

fn with_routes(first: &str, second: &str) -> String {
    let routed = TWO.replace(
        "lead_created = \"78\" }",
        &format!("lead_created = \"78\" }}\nroutes = {{ {first} }}"),
    );
    format!("{routed}routes = {{ {second} }}\n")
}

#[test]
fn two_rules_of_linkedin_are_one_where_they_are_the_same() {
    let one = "[[destination]]\nname = \"NAME\"\nplatform = \"linkedin\"\nad_account = \"5\"\n\
               access_token = { file = \"/run/token\" }\nrules = { lead_created = \"104\" }\n";
    let text = format!(
        "[database]\nurl = {{ env = \"DATABASE_URL\" }}\n{}{}",
        one.replace("NAME", "here"),
        one.replace("NAME", "there")
    );
    assert!(
        faults(&text)
            .starts_with("config.toml:14: destination \"there\": rules counts lead_created"),
        "{}",
        faults(&text)
    );
}

#[test]
fn one_dataset_or_stream_hears_of_an_event_once() {
    let two = |platform: &str, one: &str, other: &str| {
        let text = |name: &str, more: &str| {
            format!("[[destination]]\nname = \"{name}\"\nplatform = \"{platform}\"\n{more}\n")
        };
        let head = "[database]\nurl = { env = \"DATABASE_URL\" }\n";
        faults(&format!(
            "{head}{}{}",
            text("here", one),
            text("there", other)
        ))
    };
    let meta = "dataset_id = \"123\"\naccess_token = { env = \"TOKEN\" }";
    let ga4 = "measurement_id = \"G-ABC1234567\"\napi_secret = { env = \"SECRET\" }";
    let told = two("meta", meta, meta);
    assert!(
        told.contains("destination \"there\": dataset_id counts booking_confirmed and"),
        "{told}"
    );
    assert!(two("ga4", ga4, ga4).contains("measurement_id counts"));

    let orders = format!("{meta}\nroutes = {{ events = [\"order_paid\", \"deal_won\"] }}");
    let leads = format!("{meta}\nroutes = {{ events = [\"lead_created\", \"deal_won\"] }}");
    let told = two("meta", &orders, &leads);
    assert!(told.contains("dataset_id counts deal_won for"), "{told}");
    assert_eq!(two("meta", &orders, &meta.replace("123", "456")), "");
    assert_eq!(
        two("ga4", ga4, &format!("{ga4}\nmode = \"validate_only\"")),
        ""
    );
}

#[test]
fn an_adjusting_destination_names_what_it_adjusts_and_by_the_same_actions() {
    let adjusting = format!("{TWO}adjusts_destination = \"google\"\n");
    let start = "config.toml:16: destination \"google-ads\": adjusts_destination must name";
    assert!(
        faults(&adjusting).starts_with(start),
        "{}",
        faults(&adjusting)
    );
    let retracting = adjusting.replace(
        "lead_created = \"78\" }",
        "lead_created = \"78\" }\nrefund_mode = \"ads_api_retraction\"",
    );
    assert_eq!(faults(&retracting), "");
    let disabled = retracting.replace("refund_mode", "enabled = false\nrefund_mode");
    assert!(faults(&disabled).contains("must name an enabled destination"));
    let other = retracting.replace("order_paid = \"77\" }", "order_paid = \"79\" }");
    assert!(
        faults(&other).starts_with(
            "config.toml:16: destination \"google-ads\": conversion_actions maps order_paid to another action than \"google\""
        ),
        "{}",
        faults(&other)
    );
    let unknown = retracting.replace(
        "adjusts_destination = \"google\"",
        "adjusts_destination = \"goggle\"",
    );
    assert!(faults(&unknown).contains("adjusts_destination must name"));
}
