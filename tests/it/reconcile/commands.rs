//! `reconcile report`, `import` and `missing` as they are typed.

use serde_json::Value;

use super::{QUERY, TABLES, configuration};
use crate::desk::{Desk, Said};
use crate::harness::{GRANTED, Outbox, Session};

/// Ids and texts that would break out of their quotes, if anything could.
const HOSTILE: [&str; 6] = [
    "o'; drop table shop.orders; --",
    r"back\slash\'; select 1; --",
    "$1 $$ :name {brace}",
    "\u{201c}quoted\u{201d} \u{1f600} ü",
    "-- comment /* and */",
    "E'\\x41' || chr(65)",
];

struct Office {
    outbox: Outbox,
    admin: Session,
    desk: Desk,
}

impl Office {
    async fn open() -> Office {
        let outbox = Outbox::new().await;
        let admin = outbox.admin().await;
        admin.run(TABLES).await;
        let url = "{ env = \"DATABASE_URL\" }";
        let desk = Desk::new(&configuration(url, QUERY, "time_zone = \"Europe/Berlin\""));
        Office {
            outbox,
            admin,
            desk,
        }
    }

    fn run(&self, args: &[&str]) -> Said {
        let variables = [
            ("DATABASE_URL", self.outbox.url_of("operator")),
            ("CONVERSION_OUTBOX_CONFIG", "config.toml".to_owned()),
        ];
        self.desk
            .run_with(&[&["reconcile"], args].concat(), &variables)
    }

    fn json(&self, code: i32, args: &[&str]) -> Value {
        let said = self.run(&[args, &["--json"]].concat());
        assert_eq!(said.code, code, "{args:?}: {}{}", said.out, said.err);
        serde_json::from_str(&said.out).expect("json")
    }
}

#[tokio::test]
async fn a_forgotten_event_is_found_written_and_found_no_more() {
    let office = Office::open().await;
    for id in HOSTILE {
        office
            .admin
            .run(&format!(
                "insert into shop.orders (id, paid_at, total, consent)
                 values ({}, '2024-10-27 23:30+01', 12.50, case when {0} like '%:name%' then {GRANTED}::jsonb end)",
                quoted(id)
            ))
            .await;
    }
    let range = ["--from", "2024-10-26", "--to", "2024-10-28"];
    let report = office.json(3, &[&["report"][..], &range].concat());
    assert_eq!(
        (&report["findings"], &report["days"][1]["missing"]),
        (&1.into(), &6.into())
    );
    assert_eq!(report["days"][1]["source_value"]["EUR"], "75");
    let said = office.run(&[&["report"][..], &range].concat());
    assert!(
        said.out.contains("days of Europe/Berlin") && said.err.contains("reconcile missing"),
        "{}{}",
        said.out,
        said.err
    );
    let csv = office.run(&[&["report", "--csv"][..], &range].concat());
    assert_eq!(csv.out.lines().count(), 7, "three days at two destinations");
    assert!(csv.out.contains("orders,order_paid,Europe/Berlin,2024-10-27,differs,6,0,6,0,0,0,meta,6,0,0,0,0,,-6,75 EUR,nothing,nothing,,\n"), "{}", csv.out);

    let day = ["missing", "--entry", "orders", "--day", "2024-10-27"];
    let gaps = office.json(3, &day);
    let listed: Vec<&str> = gaps["gaps"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|gap| gap["business_id"].as_str())
        .collect();
    let mut expected = HOSTILE.to_vec();
    expected.sort_unstable();
    assert_eq!(listed, expected);

    let printed = office.run(&[&day[..], &["--backfill"]].concat());
    assert_eq!(printed.code, 0, "{}", printed.err);
    assert!(
        printed.out.contains("Of 5 the query returns no consent")
            && printed.out.contains("NOTHING of them is sent"),
        "{}",
        printed.out
    );
    // The text as it is, run by the application, twice, whatever the server thinks of backslashes.
    let app = office.outbox.session("app").await;
    app.run(&printed.out).await;
    app.run(&format!(
        "set standard_conforming_strings = off; {}",
        printed.out
    ))
    .await;
    let written: Vec<String> = office
        .admin
        .all("select business_id from conversion_outbox.event order by business_id collate \"C\"")
        .await;
    assert_eq!(written, expected);
    let facts: Vec<String> = office
        .admin
        .all(
            "select distinct format('%s %s %s %s %s', (select count(*) from shop.orders), occurred_at = '2024-10-27 22:30+00', value, source, duplicates)
               from conversion_outbox.event join conversion_outbox.repeat using (event_id)",
        )
        .await;
    assert_eq!(facts, ["6 t 12.50 backfill 1"]);
    let consents: Vec<i64> = office
        .admin
        .all("select count(*) from conversion_outbox.event group by consent ->> 'ad_user_data', consent ->> 'source' order by 1")
        .await;
    assert_eq!(consents, [1, 5], "one had said so, five were never asked");
    let after = office.json(0, &day);
    let missing = |gaps: &Value| {
        gaps["gaps"]
            .as_array()
            .expect("a list")
            .iter()
            .filter(|gap| gap["why"] == "no_row")
            .count()
    };
    assert_eq!(missing(&after), 0);
}

#[tokio::test]
async fn what_is_inserted_stands_in_the_audit_and_a_second_time_does_no_harm() {
    let office = Office::open().await;
    office
        .admin
        .run("insert into shop.orders (id, paid_at, total) select 'o-' || n, '2024-10-27 12:00+01', n from generate_series(1, 450) n")
        .await;
    let day = [
        "missing",
        "--entry",
        "orders",
        "--day",
        "2024-10-27",
        "--backfill",
        "--insert",
    ];
    let dry = office.json(0, &day);
    assert_eq!(
        (&dry["dry_run"], &dry["events"]),
        (&true.into(), &450.into())
    );
    assert_eq!(
        office.run(&[&day[..], &["--yes"]].concat()).code,
        2,
        "a reason must be given"
    );
    let told = [&day[..], &["--yes", "--reason", "the webhook was down"]].concat();
    let done = office.json(0, &told);
    assert_eq!(
        (&done["created"], &done["duplicates"]),
        (&450.into(), &0.into())
    );
    let audit = "select format('%s %s %s %s', action, reason, login, details ->> 'counts') from conversion_outbox.audit";
    assert_eq!(
        office.admin.all::<String>(audit).await,
        [
            r#"backfill the webhook was down operator_login {"created": 450, "conflict": 0, "duplicate": 0}"#
        ]
    );
    let done = office.json(0, &told);
    assert_eq!(
        (&done["events"], &done["audit_no"]),
        (&0.into(), &Value::Null)
    );
    assert_eq!(
        office
            .admin
            .one::<i64>("select count(*) from conversion_outbox.event")
            .await,
        450
    );
}

#[tokio::test]
async fn an_export_is_imported_once() {
    let office = Office::open().await;
    office.desk.write(
        "export.csv",
        "Date,Event,Count\n20241027,Purchase,12\n20241028,Purchase,3\n",
    );
    let import = [
        "import",
        "export.csv",
        "--destination",
        "meta",
        "--entry",
        "orders",
        "--columns",
        "day=Date,event_name=Event,conversions=Count",
        "--event-names",
        "Purchase=order_paid",
    ];
    let rows = "select count(*) from conversion_outbox.platform_report";
    let dry = office.json(0, &[&import[..], &["--dry-run"]].concat());
    assert_eq!((&dry["rows"], &dry["changed"]), (&2.into(), &0.into()));
    assert_eq!(office.admin.one::<i64>(rows).await, 0);
    assert_eq!(office.json(0, &import)["changed"], 2);
    assert_eq!(office.json(0, &import)["changed"], 0, "the same file");
    let said = office.run(&import);
    assert!(
        said.out.contains("days of Europe/Berlin; 0 of 2"),
        "{}",
        said.out
    );
    let report = office.json(3, &["report", "--from", "2024-10-27", "--to", "2024-10-27"]);
    let meta = &report["days"][0]["destinations"][1];
    assert_eq!(
        (&meta["reported"], &meta["difference"]),
        (&"12".into(), &"12".into())
    );

    // What is worth something shows beside what arrived.
    office.desk.write(
        "export.csv",
        "Date,Event,Count,Worth\n20241027,Purchase,12,99.5\n",
    );
    let worth = office.run(
        &[
            &import[..7],
            &["event_name=Event,day=Date,conversions=Count,value=Worth"][..],
            &import[8..],
            &["--currency", "EUR"],
        ]
        .concat(),
    );
    assert_eq!(worth.code, 0, "{}", worth.err);
    let day = ["report", "--from", "2024-10-27", "--to", "2024-10-27"];
    let csv = office.run(&[&day[..], &["--csv"]].concat());
    assert!(
        csv.out.contains(",nothing,99.50 EUR,received\n"),
        "{}",
        csv.out
    );
    let said = office.run(&day);
    assert!(
        said.out
            .contains("meta reports a worth of 99.50 EUR, and nothing arrived"),
        "{}",
        said.out
    );

    office.desk.write(
        "export.csv",
        "Date,Event,Count\n20241027,Purchase,\"1,2\"\n",
    );
    let said = office.run(&import);
    assert_eq!(said.code, 1);
    assert!(
        said.err.contains("line 2: conversions must be a number")
            && said.err.contains("nothing was changed"),
        "{}",
        said.err
    );
    let nobody = office.run(&["import", "export.csv", "--destination", "meta"]);
    assert_eq!(nobody.code, 2, "whose days these are must be said");
    assert_eq!(office.run(&["report", "--entry", "leads"]).code, 2);
}

#[tokio::test]
async fn doctor_says_whether_the_query_can_be_read() {
    let office = Office::open().await;
    office.admin.run("insert into shop.orders (id, paid_at, total) values ('o-1', now() - interval '5 minutes', 1)").await;
    let told = |query: &str| {
        let url = "{ env = \"DATABASE_URL\" }";
        office
            .desk
            .write("config.toml", &configuration(url, query, ""));
        let variables = [
            ("DATABASE_URL", office.outbox.url_of("worker")),
            ("TOKEN", "token".to_owned()),
        ];
        let said = office
            .desk
            .run_with(&["doctor", "--json", "--config", "config.toml"], &variables);
        let report: Value = serde_json::from_str(&said.out).expect("json");
        let checks = report["checks"].as_array().expect("a list").iter();
        let found: Vec<String> = checks
            .filter(|check| check["name"] == "reconcile")
            .map(|check| format!("{} {} {}", check["verdict"], check["seen"], check["fix"]))
            .collect();
        (said.code, found.join("\n"))
    };
    let (_, good) = told(QUERY);
    assert!(
        good.starts_with("\"ok\"") && good.contains("1 rows in the last hour"),
        "{good}"
    );
    let (code, bad) = told(&QUERY.replace("total as value, ", ""));
    assert!(
        bad.contains("value is missing") && bad.contains("name and cast them"),
        "{bad}"
    );
    assert_eq!(code, 3);
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[tokio::test]
async fn what_cannot_be_written_is_named_and_keeps_nothing_else_back() {
    let office = Office::open().await;
    office
        .admin
        .run(&format!(
            "insert into shop.orders (id, paid_at, total, consent) values
               ('good', '2024-10-27 10:00+01', 5, {GRANTED}),
               ('instalments', '2024-10-27 11:00+01', 5, null), ('instalments', '2024-10-27 11:00+01', 7, null),
               ('below', '2024-10-27 12:00+01', -5, null), ('odd', '2024-10-27 13:00+01', 5, '\"granted\"'),
               ('half', '2024-10-27 14:00+01', 5, '{{\"ad_storage\": \"granted\"}}');
             insert into shop.orders (id, paid_at, total) select repeat('x', 129) || n, '2024-10-27 09:00+01', 1 from generate_series(1, 1200) n"
        ))
        .await;
    let day = [
        "missing",
        "--entry",
        "orders",
        "--day",
        "2024-10-27",
        "--backfill",
    ];
    let printed = office.run(&day);
    assert_eq!(printed.code, 0, "{}", printed.err);
    for said in [
        "instalments has no id of its own beside another",
        "below has an amount below nought",
        "odd has a consent that is neither",
        "half has a consent that is neither",
        " more",
    ] {
        let mut lines = printed.out.lines();
        let is_said = lines.any(|line| line.starts_with("-- not written: ") && line.contains(said));
        assert!(is_said, "{said}: {}", printed.out);
    }
    let refused = printed
        .out
        .lines()
        .filter(|line| line.starts_with("-- not written: "));
    assert_eq!(refused.count(), 21, "{}", printed.out);
    office.outbox.session("app").await.run(&printed.out).await;
    let written: Vec<String> = office
        .admin
        .all("select business_id || ' ' || value from conversion_outbox.event order by 1")
        .await;
    assert_eq!(written, ["good 5", "instalments 5"]);
    let inserted = office.json(
        0,
        &[&day[..], &["--insert", "--yes", "--reason", "forgotten"]].concat(),
    );
    assert_eq!(
        (&inserted["events"], &inserted["refused"]),
        (&0.into(), &1204.into())
    );
}
