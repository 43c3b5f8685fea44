//! One day of a shop with known answers, told by everybody who tells anything: SQL, metrics, pages, commands, the digest, the
//! platforms' ledgers and what the platforms report. All say the same, to the last event.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use conversion_outbox::config::Config;
use conversion_outbox::config::admin::AdminConfig;
use conversion_outbox::destinations::Platform;
use conversion_outbox::sandbox::{self, ReportSettings, Zone};
use serde_json::{Value, json};

use crate::operator::{Browser, listen};
use crate::reports::report_lines;
use crate::rig::{Rig, Setup, granted, order, with};

/// Orders of the shop. Which of them goes which way follows from its number.
const ORDERS: usize = 80;

const TABLES: &str = "create schema shop;
    create table shop.orders (id text primary key, paid_at timestamptz not null, total numeric not null);
    grant usage on schema shop to conversion_outbox_worker;
    grant select on shop.orders to conversion_outbox_worker;";

const ENTRY: &str = "[[reconcile]]
name = \"orders\"
event = \"order_paid\"
query = \"select id as business_id, paid_at as occurred_at, total as value, 'EUR' as currency from shop.orders where paid_at >= $1 and paid_at < $2\"
days = 4
late_days = 1
";

/// What happens to an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Story {
    /// Told and taken everywhere.
    Plain,
    /// Told twice: one event.
    Twice,
    /// Advertising was refused, analytics too.
    Refused,
    /// Nothing to recognise anybody by.
    Nameless,
    /// The application forgot the event.
    Forgotten,
    /// Told, and in no table of the shop.
    Extra,
}

fn story(n: usize) -> Story {
    match n % 10 {
        1 => Story::Twice,
        2 | 3 => Story::Refused,
        4 => Story::Nameless,
        5 if n < 30 => Story::Forgotten,
        6 if n > 60 => Story::Extra,
        _ => Story::Plain,
    }
}

fn id(n: usize) -> String {
    format!("order-{n}")
}

fn event(n: usize, at: DateTime<Utc>) -> Value {
    let event = with(
        order(&id(n)),
        json!({ "occurred_at": at.to_rfc3339(), "value": 10, "properties": {} }),
    );
    match story(n) {
        Story::Refused => {
            let mut consent = granted();
            for signal in [
                "ad_storage",
                "analytics_storage",
                "ad_user_data",
                "ad_personalization",
            ] {
                consent[signal] = "denied".into();
            }
            with(event, json!({ "consent": consent }))
        }
        Story::Nameless => with(event, json!({ "user_data": {}, "click_ids": {} })),
        _ => event,
    }
}

fn of(wanted: &[Story]) -> BTreeSet<String> {
    (0..ORDERS)
        .filter(|n| wanted.contains(&story(*n)))
        .map(id)
        .collect()
}

/// The answers, by pencil and paper.
struct Known {
    rows: usize,
    events: usize,
    taken: BTreeSet<String>,
    refused: usize,
    nameless: usize,
    forgotten: BTreeSet<String>,
    extra: BTreeSet<String>,
    twice: usize,
}

impl Known {
    fn answers() -> Known {
        let taken = of(&[Story::Plain, Story::Twice, Story::Extra]);
        let (forgotten, extra) = (of(&[Story::Forgotten]), of(&[Story::Extra]));
        Known {
            rows: ORDERS - extra.len(),
            events: ORDERS - forgotten.len(),
            refused: of(&[Story::Refused]).len(),
            nameless: of(&[Story::Nameless]).len(),
            twice: of(&[Story::Twice]).len(),
            taken,
            forgotten,
            extra,
        }
    }
}

/// Two destinations whose platforms say what they counted, and the shop's own table.
fn setup(rig: &Rig) -> Setup {
    Setup {
        meta: report_lines(rig, Platform::Meta),
        ga4: report_lines(rig, Platform::Ga4),
        rest: ENTRY,
        ..Setup::default()
    }
}

/// A command as somebody runs it beside the worker.
fn command(rig: &Rig, args: &[&str]) -> (i32, Value) {
    let (code, text, said) = print(rig, args);
    let json = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{args:?}: {text}{said}"));
    (code, json)
}

/// How a command ended, what it printed, and what it said of it.
fn print(rig: &Rig, args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_conversion-outbox"))
        .args(["--config", "rig.toml"])
        .args(args)
        .env_clear()
        .current_dir(rig.folder.path())
        .output()
        .expect("the command runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().expect("an exit code");
    (code, text(&output.stdout), text(&output.stderr))
}

fn ids(rig: &Rig, platform: sandbox::Platform) -> BTreeSet<String> {
    let rows = rig.arrived(platform).into_iter();
    let counted = rows.filter(|row| row.verdict.counts());
    counted
        .filter_map(|row| Some(row.event_id?.trim_start_matches("order_paid:").to_owned()))
        .collect()
}

#[tokio::test]
async fn everybody_says_the_same_to_the_last_event() {
    let rig = Rig::new().await;
    rig.run(TABLES).await;
    rig.sandbox.set_up_reports(ReportSettings {
        google_zone: Zone {
            name: "UTC".to_owned(),
            ahead_secs: 0,
        },
        ..ReportSettings::default()
    });
    let known = Known::answers();
    // In the middle of a day that ends before this test does, whatever the hour.
    let at = Utc::now() - TimeDelta::hours(1);
    let day: NaiveDate = at.date_naive();
    for n in 0..ORDERS {
        if story(n) != Story::Extra {
            rig.run(&format!(
                "insert into shop.orders values ('{}', '{at}', 10)",
                id(n)
            ))
            .await;
        }
        if story(n) != Story::Forgotten {
            rig.insert(&[event(n, at)]).await;
        }
        if story(n) == Story::Twice {
            rig.insert(&[event(n, at)]).await;
        }
    }
    rig.write("rig.toml", &rig.configuration(setup(&rig)));
    let worker = rig.work_with(setup(&rig));
    rig.until_final().await;

    // The platforms' own ledgers.
    for platform in [sandbox::Platform::Meta, sandbox::Platform::Ga4] {
        assert_eq!(ids(&rig, platform), known.taken, "{platform}");
    }
    assert_eq!(rig.doubles(), 0);

    // SQL.
    let states: Value = rig
        .one(
            "select jsonb_object_agg(x, n) from (
               select concat_ws(' ', destination, state, reason) as x, sum(deliveries) as n
                 from conversion_outbox.delivery_day where event_name = 'order_paid' group by 1) s",
        )
        .await;
    let taken = known.taken.len();
    assert_eq!(
        states,
        json!({
            "meta accepted": taken, "ga4 sent": taken,
            "meta suppressed consent_denied": known.refused, "ga4 suppressed consent_denied": known.refused,
            "meta skipped no_identifier": known.nameless, "ga4 skipped no_identifier": known.nameless,
        })
    );
    let events: Value = rig
        .one("select to_jsonb(e) - 'day' - 'event_name' from conversion_outbox.event_day e")
        .await;
    let with_mail = known.events - known.nameless;
    assert_eq!(
        events,
        json!({"events": known.events, "click_id": with_mail, "email": with_mail, "phone": with_mail, "external_id": 0,
               "consent_granted": known.events - known.refused, "consent_denied": known.refused, "consent_unspecified": 0})
    );

    // Metrics.
    let metric = |name: &str| worker.metric(&format!("conversion_outbox_{name}"));
    for (destination, state) in [("meta", "accepted"), ("ga4", "sent")] {
        let name = |state: &str| {
            format!(
                "deliveries_total{{destination=\"{destination}\",event_type=\"order_paid\",state=\"{state}\"}}"
            )
        };
        assert_eq!(metric(&name(state)), taken as f64, "{destination}");
        assert_eq!(metric(&name("suppressed")), known.refused as f64);
        assert_eq!(metric(&name("skipped")), known.nameless as f64);
        let attempts =
            format!("attempts_total{{destination=\"{destination}\",result=\"{state}\"}}");
        assert_eq!(metric(&attempts), taken as f64);
    }
    let carried = |signal: &str, value: &str| {
        metric(&format!(
            "coverage_events_total{{event_type=\"order_paid\",signal=\"{signal}\",value=\"{value}\"}}"
        ))
    };
    assert_eq!(carried("email", "present"), with_mail as f64);
    assert_eq!(carried("click_id", "absent"), known.nameless as f64);
    assert_eq!(carried("consent", "denied"), known.refused as f64);

    // The digest, as the command prints it.
    let (code, digest) = command(&rig, &["report", "--day", &day.to_string(), "--json"]);
    assert_eq!(code, 0);
    assert_eq!(
        (
            &digest["events"][0]["events"],
            &digest["events"][0]["email"]
        ),
        (&json!(known.events), &json!(with_mail))
    );
    for row in digest["deliveries"].as_array().expect("rows") {
        assert_eq!(
            (
                &row["events"],
                &row["accepted"],
                &row["whys"]["suppressed/consent_denied"]
            ),
            (&json!(known.events), &json!(taken), &json!(known.refused)),
            "{row}"
        );
    }
    assert_eq!(
        digest["repeats"]["repeated"], known.twice,
        "{}",
        digest["repeats"]
    );

    // Against the shop's own table, and what the platforms say: by the command, exactly.
    let (_, report) = command(
        &rig,
        &[
            "reconcile",
            "report",
            "--from",
            &day.to_string(),
            "--to",
            &day.to_string(),
            "--json",
        ],
    );
    let compared = &report["days"][0];
    assert_eq!(
        (
            &compared["source_rows"],
            &compared["outbox_rows"],
            &compared["missing"],
            &compared["extra"],
            &compared["value_differs"]
        ),
        (
            &json!(known.rows),
            &json!(known.events),
            &json!(known.forgotten.len()),
            &json!(known.extra.len()),
            &json!(0)
        ),
        "{compared}"
    );
    let gap_ids = |why: &str| -> BTreeSet<String> {
        let gaps = compared["gaps"].as_array().into_iter().flatten();
        gaps.filter(|gap| gap["why"] == why)
            .map(|gap| gap["business_id"].as_str().expect("an id").to_owned())
            .collect()
    };
    let (_, missing) = command(
        &rig,
        &[
            "reconcile",
            "missing",
            "--entry",
            "orders",
            "--day",
            &day.to_string(),
            "--json",
        ],
    );
    let missing = missing.to_string();
    for id in known.forgotten.iter().chain(&known.extra) {
        assert!(missing.contains(&format!("\"{id}\"")), "{id} in {missing}");
    }
    if compared["gaps"]
        .as_array()
        .is_some_and(|gaps| !gaps.is_empty())
    {
        assert_eq!(gap_ids("no_row"), known.forgotten);
        assert_eq!(gap_ids("not_in_source"), known.extra);
    }

    // What a worker stores of the same, with the platforms' numbers: they are their ledgers'. The first one compared when it
    // started, before anything had arrived; another one comes two hours later.
    worker.drain().await;
    rig.later(TimeDelta::hours(2)).await;
    let worker = rig.work_with(setup(&rig));
    rig.until("exists (select from conversion_outbox.reconciliation_destination where accepted + sent > 0 and reported > 0)").await;
    let stored: Value = rig
        .one(&format!(
            "select jsonb_object_agg(destination, jsonb_build_object('arrived', accepted + sent, 'suppressed', suppressed, 'skipped', skipped,
                                                                      'reported', reported::integer))
               from conversion_outbox.reconciliation_destination where day = '{day}'"
        ))
        .await;
    let both = json!({"arrived": taken, "suppressed": known.refused, "skipped": known.nameless, "reported": taken});
    assert_eq!(stored, json!({"meta": both, "ga4": both}));

    // What it was worth, in the digest that people read: each order is worth ten.
    let (_, digest, _) = print(&rig, &["report", "--day", &day.to_string()]);
    let (source, written, arrived) = (10 * known.rows, 10 * known.events, 10 * taken);
    let worth = format!("{source} EUR in the source, {written} EUR in the outbox; arrived: ");
    for said in [
        worth,
        format!("ga4 {arrived} EUR (reports {arrived} EUR)"),
        format!("meta {arrived} EUR"),
        format!("{taken} of the accepted were handed over"),
    ] {
        assert!(digest.contains(&said), "{said}: {digest}");
    }

    // The pages.
    let config = Config::parse(&rig.configuration(setup(&rig)), "rig.toml", []).expect("valid");
    let (address, _stop) = listen(
        &AdminConfig::default(),
        &config,
        &worker.metrics,
        &rig.clock,
    )
    .await;
    let browser = Browser::at(address);
    let mut pages = BTreeMap::new();
    for path in [
        "/",
        "/coverage",
        "/reconciliation",
        "/errors",
        "/dead-letters",
        "/destinations",
    ] {
        let page = browser.get(path).await;
        assert_eq!(page.status, 200, "{path}: {}", page.body);
        pages.insert(path, page.body);
    }
    let says = |path: &str, what: &str| {
        assert!(
            pages[path].contains(what),
            "{what} is not on {path}: {}",
            pages[path]
        )
    };
    says("/coverage", &format!("<b>{taken}</b>"));
    says("/coverage", &format!("−{}", known.refused));
    says("/coverage", &format!("{with_mail} of {}", known.events));
    says(
        "/reconciliation",
        &format!("{} missing", known.forgotten.len()),
    );
    says("/reconciliation", &format!("{} extra", known.extra.len()));
    says("/reconciliation", &format!("reports {taken}"));
    let drill = browser.get(&format!("/reconciliation/orders/{day}")).await;
    for id in known.forgotten.iter().chain(&known.extra) {
        assert!(
            drill.body.contains(&format!(">{id}<")),
            "{id}: {}",
            drill.body
        );
    }
    // And what the commands say of every destination now.
    let (_, status) = command(&rig, &["status", "--json"]);
    for one in status["destinations"].as_array().expect("some") {
        let state = if one["name"] == "ga4" {
            "sent"
        } else {
            "accepted"
        };
        assert_eq!(
            (
                &one["pending"],
                &one["totals"][state],
                &one["totals"]["suppressed"]
            ),
            (&json!(0), &json!(taken), &json!(known.refused)),
            "{one}"
        );
    }
    worker.drain().await;
}
