//! The commands as processes: exit codes, what is said where, and that no secret is ever said.

use serde_json::{Value, json};

use crate::desk::{CANARY, Desk, event};
use crate::server::Server;

const CONFIG: &str = "
[database]
url = { env = \"DATABASE_URL\" }
[[destination]]
name = \"meta\"
platform = \"meta\"
dataset_id = \"1234567890\"
access_token = { env = \"META_TOKEN\" }
[[destination]]
name = \"ga4\"
platform = \"ga4\"
measurement_id = \"G-ABC1234567\"
api_secret = { env = \"GA4_SECRET\" }
";

#[test]
fn wrong_usage_exits_2() {
    let desk = Desk::new(CONFIG);
    for args in [
        &["chek"][..],
        &["status"],
        &["preview", "--config", "config.toml"],
        &[
            "preview",
            "--config",
            "config.toml",
            "--event",
            "event.json",
            "--destination",
            "nowhere",
        ],
    ] {
        let said = desk.run(args);
        assert_eq!(
            (said.code, said.out.as_str()),
            (2, ""),
            "{args:?}: {}",
            said.err
        );
    }
    assert!(
        desk.run(&["status"])
            .err
            .contains("CONVERSION_OUTBOX_CONFIG")
    );
}

#[test]
fn every_fault_is_told_at_once_and_no_value() {
    let desk = Desk::new(&format!(
        "[database]\nurl = \"postgresql://u:{CANARY}@h/d\"\n[worker]\nlease_sec = 60\n[[destination]]\nname = \"meta\"\n\
         platform = \"meta\"\ndataset_id = \"{CANARY}\"\naccess_token = \"{CANARY}\"\n"
    ));
    for args in [
        &["check"][..],
        &["config", "check"],
        &["check", "--offline"],
        &["run"],
    ] {
        let said = desk.run(&[args, &["--config", "config.toml"]].concat());
        assert_eq!(said.code, 78, "{args:?}");
        for expected in [
            "config.toml:2: ",
            "config.toml:4: ",
            "did you mean lease_secs?",
            "config.toml:8: ",
            "config.toml:9: ",
        ] {
            assert!(
                said.err.contains(expected),
                "{args:?} {expected}: {}",
                said.err
            );
        }
    }
    let said = desk.run(&["check", "--config", "config.toml", "--json"]);
    let report: Value = serde_json::from_str(&said.out).expect("json");
    assert_eq!((said.code, &report["ok"]), (78, &json!(false)));
    assert_eq!(report["faults"][0]["line"], 2);
    assert_eq!(desk.run(&["check", "--config", "absent.toml"]).code, 78);
}

#[test]
fn check_loads_every_secret_unless_offline() {
    let desk = Desk::new(CONFIG);
    let said = desk.run(&["check", "--config", "config.toml"]);
    assert_eq!(said.code, 78);
    for name in ["DATABASE_URL", "META_TOKEN", "GA4_SECRET"] {
        assert!(said.err.contains(name), "{}", said.err);
    }
    assert_eq!(
        desk.run(&["check", "--config", "config.toml", "--offline"])
            .code,
        0
    );
    let secrets = [
        (
            "DATABASE_URL",
            format!("postgresql://u:{CANARY}@127.0.0.1:1/d"),
        ),
        ("META_TOKEN", CANARY.to_owned()),
        ("GA4_SECRET", CANARY.to_owned()),
        ("CONVERSION_OUTBOX_CONFIG", "config.toml".to_owned()),
    ];
    let said = desk.run_with(&["check"], &secrets);
    assert_eq!(
        (said.code, said.out.as_str()),
        (0, "ok: config.toml (meta, ga4)\n")
    );
    desk.write(
        "more.toml",
        &format!(
            "{CONFIG}\n[destination.report]\nproperty_id = \"345678901\"\nservice_account = {{ file = \"no-report.json\" }}\n\
             [admin]\ntoken = {{ env = \"ADMIN_TOKEN\" }}\n[privacy]\nsubject_key = {{ file = \"no-key\" }}\n\
             [[reconcile]]\nname = \"orders\"\nevent = \"order_paid\"\nquery = \"select $1, $2\"\ndatabase_url = {{ file = \"no-url\" }}\n"
        ),
    );
    let short = [
        &secrets[..3],
        &[("ADMIN_TOKEN", "0123456789abcde".to_owned())],
    ]
    .concat();
    let said = desk.run_with(&["check", "--config", "more.toml"], &short);
    assert_eq!(said.code, 78, "{}", said.err);
    for part in [
        "destination \"ga4\": secret file no-report.json",
        "admin.token is too short",
        "privacy.subject_key: secret file no-key",
        "[[reconcile]] \"orders\": ",
    ] {
        assert!(said.err.contains(part), "{part}: {}", said.err);
    }
    assert_eq!(desk.run_with(&["status"], &secrets).code, 69);
    assert_eq!(desk.run_with(&["run"], &secrets).code, 69);
    assert_eq!(
        desk.run_with(&["preview", "--event", "event.json", "--json"], &secrets)
            .code,
        0
    );
}

#[test]
fn preview_needs_neither_database_nor_secrets() {
    let desk = Desk::new(CONFIG);
    let args = [
        "preview",
        "--config",
        "config.toml",
        "--event",
        "event.json",
        "--now",
        "2026-11-23T10:00:00Z",
    ];
    let said = desk.run(&[&args[..], &["--json"]].concat());
    assert_eq!(said.code, 0, "{}", said.err);
    let previews: Value = serde_json::from_str(&said.out).expect("json");
    let decisions: Vec<Value> = previews
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| {
            json!([
                one["destination"],
                one["platform"],
                one["decision"],
                one["reason"]
            ])
        })
        .collect();
    assert_eq!(
        decisions,
        [
            json!(["meta", "meta", "send", null]),
            json!(["ga4", "ga4", "skipped", "no_identifier"])
        ]
    );
    assert_eq!(
        previews[0]["requests"][0]["headers"]["authorization"],
        "Bearer ***"
    );
    let at = |key: &str| {
        said.out
            .find(&format!("\"{key}\""))
            .expect("every key is there")
    };
    let keys = [
        "destination",
        "platform",
        "decision",
        "reason",
        "requests",
        "method",
        "url",
        "headers",
        "body",
    ];
    assert!(keys.is_sorted_by_key(|key| at(key)), "{}", said.out);

    let readable = desk.run(&args).out;
    assert!(
        readable.starts_with("meta (meta): send\n  POST https://graph.facebook.com/"),
        "{readable}"
    );
    assert!(
        readable.contains("ga4 (ga4): skipped, no_identifier\n"),
        "{readable}"
    );
    let later = desk
        .run(&[&args[..6], &["2026-12-23T10:00:00Z"]].concat())
        .out;
    assert!(later.contains("meta (meta): expired, too_old"), "{later}");
}

#[test]
fn a_refund_is_previewed_with_what_it_takes_back() {
    let desk = Desk::new(
        "[database]\nurl = { env = \"DATABASE_URL\" }\n[[destination]]\nname = \"ads\"\nplatform = \"google_ads\"\n\
         customer_id = \"1234567890\"\nconversion_actions = { order_paid = \"77\" }\n[destination.oauth]\n\
         client_id = \"app\"\nclient_secret = { env = \"A\" }\nrefresh_token = { env = \"B\" }\n",
    );
    let row = |name: &str, id: &str, value: &str| {
        json!({
            "event_name": name, "event_id": id, "business_id": "1", "value": value, "currency": "EUR",
            "occurred_at": "2026-11-23T09:00:00Z",
            "depends_on": (name != "order_paid").then_some("paid"),
            "consent": {
                "ad_storage": "granted", "analytics_storage": "granted",
                "ad_user_data": "granted", "ad_personalization": "granted"
            }
        })
    };
    for (name, id, value) in [
        ("order_paid", "paid", "100.00"),
        ("order_refunded", "first", "40.00"),
        ("order_refunded", "second", "10.00"),
    ] {
        desk.write(&format!("{id}.json"), &row(name, id, value).to_string());
    }
    let preview = |more: &[&str]| {
        let args = [
            "preview",
            "--config",
            "config.toml",
            "--event",
            "second.json",
        ];
        let now = ["--now", "2026-11-23T10:00:00Z"];
        desk.run(&[&args[..], &now, more].concat())
    };
    let said = preview(&["--original", "paid.json", "--earlier", "first.json"]);
    assert!(
        said.out.contains("\"adjustedValue\": 50"),
        "{} {}",
        said.out,
        said.err
    );
    let supposed = preview(&[]);
    assert!(supposed.out.contains("RETRACTION"), "{}", supposed.out);
    let other = preview(&["--original", "first.json"]);
    assert_eq!(other.code, 2);
    assert!(
        other.err.contains("depends_on = \"first\""),
        "{}",
        other.err
    );
}

#[test]
fn an_event_that_the_database_would_refuse_is_refused() {
    let desk = Desk::new(CONFIG);
    for (event, told) in [
        (json!({ "event_nam": CANARY }), "did you mean event_name?"),
        (json!({ "event_name": CANARY, "business_id": "1" }), "OB001"),
        (
            json!({ "event_name": "order_paid", "business_id": "1" }),
            "consent: is mandatory",
        ),
        (json!([CANARY]), "one JSON object"),
    ] {
        desk.write("odd.json", &event.to_string());
        let said = desk.run(&["preview", "--config", "config.toml", "--event", "odd.json"]);
        assert_eq!((said.code, said.out.as_str()), (1, ""));
        assert!(said.err.contains(told), "{}", said.err);
    }
}

#[test]
fn commands_that_need_nothing_work() {
    let desk = Desk::new(CONFIG);
    assert!(
        desk.run(&["migrate", "print", "--from", "2", "--to", "2"])
            .out
            .starts_with("-- 0002_event\nbegin;\n")
    );
    assert!(
        desk.run(&["completions", "bash"])
            .out
            .contains("complete -F")
    );
    assert_eq!(desk.run(&["version"]).out, desk.run(&["--version"]).out);
    let said = desk.run(&["healthcheck", "--live", "--address", "127.0.0.1:1"]);
    assert_eq!(said.code, 1, "{}", said.err);
}

#[test]
fn a_database_is_migrated_and_its_destinations_are_shown() {
    let (server, desk) = (Server::start(), Desk::new(CONFIG));
    let url = [
        ("DATABASE_URL", server.url("postgres")),
        ("CONVERSION_OUTBOX_CONFIG", "config.toml".to_owned()),
    ];
    let run = |args: &[&str]| desk.run_with(args, &url);
    let said = run(&["status"]);
    assert_eq!(said.code, 69);
    assert!(
        said.err.contains("conversion-outbox migrate up"),
        "{}",
        said.err
    );
    let said = run(&["migrate", "status"]);
    assert!(
        said.out.contains("0001_roles           pending"),
        "{}{}",
        said.out,
        said.err
    );
    let only_url = [("OWNER_URL", server.url("postgres"))];
    let said = desk.run_with(
        &["migrate", "up", "--database-url-env", "OWNER_URL"],
        &only_url,
    );
    assert_eq!(
        (said.code, said.out.lines().count()),
        (0, 15),
        "{}",
        said.err
    );
    assert_eq!(run(&["migrate", "up"]).code, 0);
    let steps: Value =
        serde_json::from_str(&run(&["migrate", "status", "--json"]).out).expect("json");
    assert_eq!(
        (&steps[14]["version"], &steps[14]["state"]),
        (&json!(15), &json!("applied"))
    );
    assert_eq!(run(&["status"]).code, 0);

    server.psql(
        "postgres",
        "insert into conversion_outbox.destination (name, platform, hold_reason, hold_code, hold_advice, held_since, probe_at) values
           ('meta', 'meta', 'credential', '190/463', 'replace the token', now(), now()), ('ga4', 'ga4', null, null, null, null, null);
         insert into conversion_outbox.delivery_total values ('meta', 'accepted', 1, 3, 1), ('meta', 'accepted', 2, 2, 0)",
    );
    assert_eq!(server.try_insert(&event()), Ok(()));
    let status: Value = serde_json::from_str(&run(&["status", "--json"]).out).expect("json");
    let meta = &status["destinations"][1];
    assert_eq!(meta["name"], "meta");
    assert_eq!(meta["state"], "held");
    assert_eq!(meta["hold"]["code"], "190/463");
    assert_eq!(
        (&meta["pending"], &meta["due"], &meta["retrying"]),
        (&json!(1), &json!(1), &json!(0))
    );
    assert_eq!(
        (
            &meta["totals"]["accepted"],
            &meta["totals"]["rejected"],
            &meta["retried"]
        ),
        (&json!(5), &json!(0), &json!(1))
    );
    assert!(meta["oldest_due_age_seconds"].is_u64() && status["destinations"][0]["hold"].is_null());
    let readable = run(&["status"]).out;
    assert!(
        readable.contains("(credential, code 190/463): replace the token"),
        "{readable}"
    );

    assert!(
        run(&["destinations", "resume", "meta"])
            .out
            .contains("lifted")
    );
    assert!(
        run(&["destinations", "resume", "meta"])
            .out
            .contains("nothing of it was held")
    );
    assert_eq!(run(&["destinations", "resume", "nowhere"]).code, 1);

    server.psql(
        "postgres",
        "create role my_worker login; grant conversion_outbox_worker to my_worker",
    );
    let worker = [(
        "DATABASE_URL",
        server.url("postgres").replace("postgres@", "my_worker@"),
    )];
    let resume = ["destinations", "resume", "meta", "--config", "config.toml"];
    let said = desk.run_with(&resume, &worker);
    assert_eq!(said.code, 1);
    assert!(
        said.err
            .contains("Fix: grant it conversion_outbox_operator"),
        "{}",
        said.err
    );

    server.psql("postgres", "create role outsider login");
    let outsider = [(
        "DATABASE_URL",
        server.url("postgres").replace("postgres@", "outsider@"),
    )];
    for (command, role) in [
        (&["status"][..], "reader"),
        (&["report"], "reader"),
        (&["migrate", "status"], "reader"),
        (&["events", "list"], "reader"),
        (&["dead-letters", "list"], "reader"),
        (&["destinations", "list"], "reader"),
        (&["preview", "--event-id", "order-1042"], "worker"),
        (&["events", "show", "order-1042"], "operator"),
        (&["privacy", "prove", "order-1042"], "privacy"),
    ] {
        let said = desk.run_with(&[command, &["--config", "config.toml"]].concat(), &outsider);
        let fix = format!("Fix: grant it conversion_outbox_{role},");
        assert!(
            said.code == 1 && said.err.contains(&fix),
            "{command:?}: {}",
            said.err
        );
    }
}

#[test]
fn a_stored_event_is_previewed_as_its_file_is() {
    let (server, desk) = (Server::start(), Desk::new(CONFIG));
    server.psql(
        "postgres",
        &conversion_outbox::db::migrate::script(1..=u32::MAX),
    );
    let url = [
        ("DATABASE_URL", server.url("postgres")),
        ("CONVERSION_OUTBOX_CONFIG", "config.toml".to_owned()),
    ];
    let run = |args: &[&str]| desk.run_with(args, &url);
    let mut odd = event();
    odd["currency"] = json!(" eur ");
    odd["page_url"] = json!("not an address");
    odd["action_source"] = json!("somewhere");
    odd["business_id"] = json!("ä".repeat(128));
    odd["occurred_at"] = json!("2026-11-23T09:00:00.1234567+01:00");
    odd["properties"] = json!([]);
    for event in [event(), odd] {
        assert_eq!(server.try_insert(&event), Ok(()));
        desk.write("stored.json", &event.to_string());
        let now = ["--json", "--now", "2026-11-23T10:00:00Z"];
        let of_file = run(&[&["preview", "--event", "stored.json"][..], &now].concat());
        let previews: Value = serde_json::from_str(&of_file.out).expect("json");
        let id = previews[0]["requests"][0]["body"]["data"][0]["event_id"]
            .as_str()
            .expect("an id")
            .to_owned();
        let of_row = run(&[&["preview", "--event-id", &id][..], &now].concat());
        assert_eq!(
            (of_row.code, &of_row.out),
            (0, &of_file.out),
            "{}",
            of_row.err
        );
    }
    assert_eq!(run(&["preview", "--event-id", "unknown"]).code, 1);
}
