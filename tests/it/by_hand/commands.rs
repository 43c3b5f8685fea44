//! The commands as an operator types them: what they print, exit codes, and that nothing happens without being told to.

use conversion_outbox::db::migrate;
use serde_json::{Value, json};

use crate::desk::{CANARY, Desk, Said};
use crate::server::Server;

const CONFIG: &str = r#"
[database]
url = { env = "DATABASE_URL" }
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1234567890"
base_url = "http://127.0.0.1:1"
access_token = { env = "META_TOKEN" }
[[destination]]
name = "linkedin"
platform = "linkedin"
ad_account = "508000000"
access_token = { env = "META_TOKEN" }
rules = { lead_created = "104013" }
"#;

/// A rejected order at Meta, an uncertain lead at LinkedIn, an accepted order; and what nobody may see.
const DEAD: &str = r#"
    create role ops login in role conversion_outbox_operator;
    create role dash login in role conversion_outbox_reader;
    insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('linkedin', 'linkedin');
    insert into conversion_outbox.event (event_id, event_name, business_id, value, currency, consent, user_data, page_url)
      select id, name, id || '-b', 5, 'EUR', '{"ad_storage":"granted","analytics_storage":"granted","ad_user_data":"granted","ad_personalization":"granted"}',
             '{"email":"canary-7f3a9c@example.com"}', 'https://shop.example/canary-7f3a9c'
        from (values ('o-1', 'order_paid'), ('o-2', 'order_paid'), ('l-1', 'lead_created')) e (id, name);
    delete from conversion_outbox.queue;
    insert into conversion_outbox.delivery (event_no, destination, state, reason, tries, attempts, tried_at, first_tried_at, payload_hash, settled_at,
        duration_ms, response_code, error_code, trace_id)
      select event_no, x.destination, x.state, x.reason, 1, 1, now(), case when x.state = 'uncertain' then now() end, sha256('x'), now(), 12,
             x.code, x.error, decode('0102030405060708090a0b0c0d0e0f10', 'hex')
        from conversion_outbox.event join (values
          ('o-1', 'meta', 'rejected', 'refused_by_platform', 400::smallint, '100/2804019'),
          ('o-2', 'meta', 'accepted', null, 200, null),
          ('l-1', 'linkedin', 'uncertain', 'no_answer', null, 'timeout')) x (id, destination, state, reason, code, error) on x.id = event_id;
    insert into conversion_outbox.delivery_total select destination, state, 0, count(*), 0 from conversion_outbox.delivery group by 1, 2
"#;

struct Office {
    server: Server,
    desk: Desk,
}

impl Office {
    fn open() -> Office {
        let office = Office {
            server: Server::start(),
            desk: Desk::new(CONFIG),
        };
        office
            .server
            .psql("postgres", &migrate::script(1..=u32::MAX));
        office.server.psql("postgres", DEAD);
        office
    }

    fn run(&self, args: &[&str]) -> Said {
        self.run_as("ops", args)
    }

    fn run_as(&self, login: &str, args: &[&str]) -> Said {
        let url = self
            .server
            .url("postgres")
            .replace("postgres@", &format!("{login}@"));
        let variables = [
            ("DATABASE_URL", url),
            ("META_TOKEN", CANARY.to_owned()),
            ("CONVERSION_OUTBOX_CONFIG", "config.toml".to_owned()),
        ];
        self.desk.run_with(args, &variables)
    }

    /// What a command that must succeed prints as JSON.
    fn json(&self, args: &[&str]) -> Value {
        self.json_with(0, args)
    }

    /// What a command that must end with this code prints as JSON.
    fn json_with(&self, code: i32, args: &[&str]) -> Value {
        let said = self.run(&[args, &["--json"]].concat());
        assert_eq!(said.code, code, "{args:?}: {}", said.err);
        serde_json::from_str(&said.out).expect("json")
    }

    fn says(&self, args: &[&str], expected: &[&str]) {
        self.says_with(0, args, expected);
    }

    fn says_with(&self, code: i32, args: &[&str], expected: &[&str]) {
        let said = self.run(args);
        assert_eq!(said.code, code, "{args:?}: {}", said.err);
        for text in expected {
            assert!(said.out.contains(text), "{args:?} {text}: {}", said.out);
        }
    }
}

#[test]
fn dead_letters_and_events_are_shown_replayed_and_skipped() {
    let office = Office::open();
    let listed = office.json(&["dead-letters", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2));
    office.says(
        &["dead-letters", "list", "--state", "uncertain"],
        &["linkedin", "uncertain/no_answer", "timeout", "l-1"],
    );
    let groups = office.json(&[
        "dead-letters",
        "list",
        "--by",
        "reason",
        "--destination",
        "meta",
    ]);
    assert_eq!(
        (
            &groups[0]["count"],
            &groups[0]["error_code"],
            &groups[0]["sample_event_id"]
        ),
        (&json!(1), &json!("100/2804019"), &json!("o-1"))
    );
    office.says(
        &["dead-letters", "list", "--by", "reason"],
        &["mend mapping", "overrule the doubt"],
    );

    let shown = office.json(&["dead-letters", "show", "l-1"]);
    let letter = &shown["dead_letters"][0];
    assert_eq!(letter["replay"]["refusal"], "may_count_twice");
    assert_eq!(
        letter["repeat"],
        json!({ "resend": "never", "key": null, "window_seconds": null })
    );
    assert_eq!(
        letter["attempt_log"][0]["trace_id"],
        "0102030405060708090a0b0c0d0e0f10"
    );
    office.says(
        &["dead-letters", "show", "o-1", "--destination", "meta"],
        &[
            "did not arrive",
            "event name and event id, for 48 hours",
            "replay: allowed",
            "http 400",
        ],
    );
    office.says(&["dead-letters", "show", "o-2"], &["no dead letter"]);

    // Looked at, refused, done.
    let look = office.json_with(3, &["dead-letters", "replay", "--all"]);
    assert_eq!(
        (
            &look["dry_run"],
            &look["total"],
            &look["refused_total"],
            &look["audit_no"]
        ),
        (&json!(true), &json!(1), &json!(1), &json!(null))
    );
    office.says_with(
        3,
        &[
            "dead-letters",
            "replay",
            "--all",
            "--reason",
            "mended",
            "--yes",
            "--dry-run",
        ],
        &["nothing was changed"],
    );
    assert_eq!(
        office
            .json(&["dead-letters", "list"])
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    office.says_with(
        3,
        &[
            "dead-letters",
            "replay",
            "--all",
            "--reason",
            "mended",
            "--yes",
        ],
        &["1 of 1 done, 1 refused; audit 1", "--force takes the risk"],
    );
    office.says_with(
        3,
        &[
            "dead-letters",
            "replay",
            "--all",
            "--reason",
            "mended",
            "--yes",
        ],
        &["nothing to send again, 1 refused"],
    );
    let forced = office.json(&[
        "events",
        "replay",
        "l-1",
        "--force",
        "--yes",
        "--reason",
        "LinkedIn does not show it",
    ]);
    assert_eq!(
        (&forced["done"], &forced["forced"]),
        (&json!(1), &json!(true))
    );
    let skipped = office.json(&[
        "events",
        "skip",
        "--event-name",
        "lead_created",
        "--yes",
        "--reason",
        "a test lead",
    ]);
    assert_eq!(
        (&skipped["done"], &skipped["deliveries"][0]["reason"]),
        (&json!(1), &json!("replayed"))
    );

    office.says(
        &["events", "list", "--name", "lead_created"],
        &["linkedin=cancelled/by_operator", "5 EUR"],
    );
    assert_eq!(
        office.json(&["events", "list", "--business-id", "o-2-b"])[0]["states"]["meta"],
        "accepted"
    );
    assert_eq!(office.json(&["events", "list", "--until", "1h"]), json!([]));
    let life = office.json(&["events", "show", "l-1"]);
    let audit: Vec<&Value> = life["audit"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["action"])
        .collect();
    assert_eq!(audit, ["replay", "skip"]);
    office.says(
        &["events", "show", "l-1"],
        &[
            "user data: email",
            "try 1: ambiguous, code timeout, 12 ms",
            "replay by hand with --force (was uncertain/no_answer) by ops: LinkedIn does not show it",
            "skip by hand (was pending/replayed) by ops: a test lead",
            "now  linkedin: cancelled/by_operator",
        ],
    );
}

#[test]
fn nobody_means_everything_without_saying_so_or_does_anything_without_a_reason() {
    let office = Office::open();
    for args in [
        &["dead-letters", "replay"][..],
        &["events", "skip", "--limit", "5"],
        &["events", "skip", "--all", "--yes"],
        &["events", "skip", "--all", "--yes", "--reason", " "],
        // Meant as a filter, and none.
        &[
            "events",
            "skip",
            "--destination",
            "meta",
            "--yes",
            "--reason",
            "refused_by_platform",
        ],
        &["dead-letters", "list", "--state", "lost"],
        &["dead-letters", "list", "--since", "yesterday"],
        &["destinations", "pause", "meta"],
    ] {
        let said = office.run(args);
        assert_eq!(
            (said.code, said.out.as_str()),
            (2, ""),
            "{args:?}: {}",
            said.err
        );
    }
    for args in [
        &["dead-letters", "replay", "--destination", "nowhere"][..],
        &["events", "show", "no-such-event"],
        &["destinations", "pause", "nowhere", "--reason", "x"],
    ] {
        let said = office.run(args);
        assert_eq!(said.code, 1, "{args:?}");
        assert!(said.err.contains("Fix: "), "{}", said.err);
    }
    // What is mistyped is not taken for "there is nothing".
    for (meant, args) in [
        (
            "meta",
            &["dead-letters", "list", "--destination", "mta"][..],
        ),
        (
            "meta",
            &[
                "dead-letters",
                "list",
                "--by",
                "reason",
                "--destination",
                "mta",
            ],
        ),
        ("o-1", &["dead-letters", "list", "o-3"]),
        (
            "o-1",
            &[
                "dead-letters",
                "replay",
                "o-1",
                "o-1-b",
                "--yes",
                "--reason",
                "x",
            ],
        ),
        ("l-1", &["events", "replay", "l-2"]),
        (
            "o-2",
            &["events", "skip", "o-2-b", "--yes", "--reason", "x"],
        ),
        (
            "104013",
            &[
                "destinations",
                "pause",
                "linkedin",
                "--rule",
                "104031",
                "--reason",
                "x",
            ],
        ),
        (
            "it has 104013",
            &[
                "destinations",
                "pause",
                "linkedin",
                "--rule",
                "7",
                "--reason",
                "x",
            ],
        ),
        (
            "linkedin",
            &[
                "destinations",
                "pause",
                "linkedn",
                "--rule",
                "104013",
                "--reason",
                "x",
            ],
        ),
        (
            "leave the rule out",
            &[
                "destinations",
                "pause",
                "meta",
                "--rule",
                "104013",
                "--reason",
                "x",
            ],
        ),
    ] {
        let said = office.run(args);
        assert_eq!(
            (said.code, said.out.as_str()),
            (1, ""),
            "{args:?}: {}",
            said.err
        );
        assert!(said.err.contains(meant), "{args:?} {meant}: {}", said.err);
    }
    for args in [
        &[
            "dead-letters",
            "replay",
            "--all",
            "--yes",
            "--reason",
            "why",
        ][..],
        &["events", "show", "o-1"],
        &["destinations", "pause", "meta", "--reason", "why"],
    ] {
        let said = office.run_as("dash", args);
        assert_eq!(said.code, 1, "{args:?}: {}", said.out);
        assert!(
            said.err.contains("conversion_outbox_operator"),
            "{}",
            said.err
        );
    }
    assert_eq!(
        office
            .json(&["dead-letters", "list"])
            .as_array()
            .map(Vec::len),
        Some(2)
    );
}

#[test]
fn destinations_are_paused_listed_resumed_and_tested() {
    let office = Office::open();
    assert_eq!(
        office.json(&[
            "destinations",
            "pause",
            "meta",
            "--reason",
            "the sale is over"
        ]),
        json!({ "name": "meta", "rule": null, "paused": true, "changed": true })
    );
    office.says(
        &["destinations", "pause", "meta", "--reason", "still"],
        &["already"],
    );
    office.says(
        &[
            "destinations",
            "pause",
            "linkedin",
            "--rule",
            "104013",
            "--reason",
            "wrong campaign",
        ],
        &["paused"],
    );
    let listed = office.json(&["destinations", "list"]);
    assert_eq!(
        (
            &listed[0]["state"],
            &listed[0]["held_rules"][0]["paused_because"],
            &listed[0]["held_rules"][0]["next_probe"]
        ),
        (&json!("enabled"), &json!("wrong campaign"), &json!(null))
    );
    let hold = &listed[1]["hold"];
    assert_eq!(
        (
            &listed[1]["state"],
            &hold["paused_by"],
            &hold["paused_because"],
            &hold["next_probe"]
        ),
        (
            &json!("paused"),
            &json!("ops"),
            &json!("still"),
            &json!(null)
        )
    );
    office.says(
        &["destinations", "list"],
        &[
            "meta",
            "paused by ops: still",
            "linkedin rule 104013",
            "destinations resume linkedin --rule 104013",
        ],
    );
    assert_eq!(
        (&listed[0]["served"], &listed[1]["served"]),
        (&json!(true), &json!(true))
    );
    office.server.psql(
        "postgres",
        "update conversion_outbox.destination set last_seen_at = now() - interval '3 days'",
    );
    office.says(
        &["destinations", "list"],
        &[
            "unserved",
            "linkedin: no worker has served it since",
            "meta: no worker has served it since",
        ],
    );
    office.says(
        &["status"],
        &["unserved", "linkedin: no worker has served it since"],
    );
    let stale = office.json(&["status"]);
    assert_eq!(
        (
            &stale["destinations"][0]["state"],
            &stale["destinations"][1]["state"],
            &stale["destinations"][1]["served"]
        ),
        (&json!("unserved"), &json!("held"), &json!(false))
    );
    // What older commands say of holds is true of a pause too.
    office.says(&["status"], &["paused by ops: still"]);
    assert_eq!(
        office.json(&["status"])["destinations"][1]["hold"]["probe_at"],
        json!(null)
    );
    assert_eq!(
        office.json(&["destinations", "resume", "meta", "--reason", "next sale"]),
        json!({ "name": "meta", "rule": null, "resumed": true })
    );
    office.says(
        &["destinations", "resume", "meta"],
        &["nothing of it was held"],
    );
    office.says(&["destinations", "resume", "linkedin"], &["lifted"]);

    // Nobody listens there.
    let said = office.run(&["destinations", "test", "meta", "--json"]);
    assert_eq!(said.code, 69, "{}", said.err);
    let report: Value = serde_json::from_str(&said.out).expect("json");
    assert!(report["fail"].as_u64() > Some(0), "{report}");
    assert_eq!(office.run(&["destinations", "test", "nowhere"]).code, 2);
}
