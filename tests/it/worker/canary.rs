//! No secret and no personal datum, raw or hashed, in anything that a person or a machine may read of the worker.

mod collector;
mod faults;
mod person;

use std::collections::BTreeSet;
use std::time::Duration;

use conversion_outbox::destinations::Platform as Destination;
use conversion_outbox::sandbox::google::{RefreshClient, ServiceAccount};
use conversion_outbox::sandbox::linkedin::ConversionRule;
use conversion_outbox::sandbox::{Account, Platform};
use serde_json::json;

use self::collector::collector;
use self::faults::fail_in_every_way;
use self::person::{
    ADMIN_TOKEN, CLIENT_SECRET, DATABASE_PASSWORD, GA4_SECRET, LINKEDIN_TOKEN, META_TOKEN,
    REFRESH_TOKEN, canaries, event, known, secrets,
};
use crate::process::{Process, ask, command, free_port};
use crate::rig::{
    AD_ACCOUNT, CUSTOMER, DATASET, LEAD_RULE, RULE, Rig, STREAM, Setup, lead, refund, with,
};

/// A destination with every secret that a rig's own has not.
fn with_refresh_token(rig: &Rig) -> String {
    format!(
        "[[destination]]\nname = \"google-user\"\nplatform = \"google_data_manager\"\noperating_account = \"{CUSTOMER}\"
base_url = \"{0}\"\ntoken_url = \"{0}/token\"\nconversion_actions = {{ order_paid = \"7712337599\" }}\nbatch_size = 1
oauth = {{ client_id = \"client\", client_secret = {{ file = \"{1}/client.secret\" }}, refresh_token = {{ file = \"{1}/refresh.token\" }} }}\n",
        rig.sandbox.url(),
        rig.folder.path().display()
    )
}

/// What a command says, on either stream.
async fn said(args: &[&str], config: &str) -> String {
    let args: Vec<&str> = args.iter().copied().chain(["--config", config]).collect();
    let output = command(&args).await;
    String::from_utf8([output.stdout, output.stderr].concat()).expect("text")
}

/// What commands say of configurations in which secrets stand where they do not belong, and of secret files that are none.
async fn mistaken(rig: &Rig, setup: Setup) -> Vec<(&'static str, String)> {
    let good = rig.configuration(setup);
    let folder = rig.folder.path().display();
    let reference = format!("{{ file = \"{folder}/meta.token\" }}");
    let doubled = format!("{META_TOKEN}\n{META_TOKEN}");
    rig.write("doubled.token", &doubled);
    let url = std::fs::read_to_string(rig.folder.path().join("database.url")).expect("there");
    rig.write("broken.url", &url.replace("://", ":/:/"));
    let database = format!("{folder}/database.url");
    let mistakes = [
        good.replacen(&reference, &format!("\"{META_TOKEN}\""), 1),
        good.replacen(&reference, META_TOKEN, 1),
        good.replacen(
            &reference,
            &format!("{{ file = \"{folder}/doubled.token\" }}"),
            1,
        ),
        good.replacen(
            &reference,
            &format!("{{ env = \"{META_TOKEN}\", trim = \"{GA4_SECRET}\" }}"),
            1,
        ),
        good.replacen(
            "access_token = ",
            &format!("{META_TOKEN} = 1\naccess_token = "),
            1,
        ),
        good.replacen(&format!("\"{DATASET}\""), &format!("\"{META_TOKEN}\""), 1),
        good.replacen(
            "[worker]",
            &format!("[worker]\nbatch_events = \"{CLIENT_SECRET}\""),
            1,
        ),
        good.replacen(
            "base_url = \"http://",
            &format!("base_url = \"http://user:{GA4_SECRET}@"),
            1,
        ),
        good.replacen(&database, &format!("{folder}/broken.url"), 1),
        good.replacen(
            &format!("{{ file = \"{database}\" }}"),
            &format!("\"{}\"", url.trim()),
            1,
        ),
    ];
    let mut told = Vec::new();
    for (n, mistake) in mistakes.iter().enumerate() {
        assert_ne!(*mistake, good, "mistake {n} is none");
        let config = rig.write("mistaken.toml", mistake);
        let config = config.to_str().expect("text");
        for args in [
            &["check"][..],
            &["check", "--json"],
            &["doctor"],
            &["run"],
            &["status"],
        ] {
            // A doubled token is no fault of status, which asks the database only.
            told.push(("a command", said(args, config).await));
        }
        let check = &told[told.len() - 5].1;
        // A name of a variable is not looked up where the value beside it is wrong.
        assert!(
            check.contains("Fix: "),
            "mistake {n} is not noticed: {check}"
        );
    }
    told
}

#[tokio::test]
async fn no_secret_and_no_personal_datum_is_found_anywhere() {
    let rig = Rig::new().await;
    let url = std::fs::read_to_string(rig.folder.path().join("database.url")).expect("there");
    let with_password = url.replace(
        "//rig_worker@",
        &format!("//rig_worker:{DATABASE_PASSWORD}@"),
    );
    for (file, secret) in [
        ("database.url", with_password.as_str()),
        ("admin.token", ADMIN_TOKEN),
        ("meta.token", META_TOKEN),
        ("ga4.secret", GA4_SECRET),
        ("linkedin.token", LINKEDIN_TOKEN),
        ("client.secret", CLIENT_SECRET),
        ("refresh.token", REFRESH_TOKEN),
    ] {
        rig.write(file, secret);
    }
    for (platform, id, secret) in [
        (Platform::Meta, DATASET, META_TOKEN),
        (Platform::Ga4, STREAM, GA4_SECRET),
    ] {
        rig.sandbox
            .put_account(platform, id, Account::with_token(secret));
    }
    rig.sandbox.google(|world| {
        world.add_client(RefreshClient::new("client", CLIENT_SECRET, REFRESH_TOKEN));
        world.add_service_account(ServiceAccount::of_sandbox());
    });
    rig.sandbox.linkedin(|world| {
        world.add_rule(ConversionRule::new(RULE, AD_ACCOUNT));
        world.add_rule(ConversionRule {
            enabled: false,
            ..ConversionRule::new(LEAD_RULE, AD_ACCOUNT)
        });
    });
    let (collector, spans) = collector().await;
    let rules = fail_in_every_way(&rig).await;

    let admin_port = free_port();
    let rest = format!(
        "{}[admin]\nlisten = \"127.0.0.1:{admin_port}\"\ntoken = {{ file = \"{}/admin.token\" }}\n[telemetry]\nlog_level = \"trace\"\notlp_endpoint = \"{collector}\"\n",
        with_refresh_token(&rig),
        rig.folder.path().display()
    );
    let setup = Setup {
        worker: "backoff_initial_secs = 1\nbackoff_cap_secs = 1",
        rest: rest.leak(),
        ..Destination::ALL
            .into_iter()
            .filter(|platform| *platform != Destination::Ga4)
            .fold(Setup::all(), |setup, platform| {
                setup.lines(platform, "batch_size = 1")
            })
    };
    let mut worker = Process::start(&rig, setup);
    rig.insert(
        &(0..12)
            .map(|n| event(&format!("o-{n}")))
            .chain([known(lead("l-1"))])
            .collect::<Vec<_>>(),
    )
    .await;
    // Whatever is held goes on, until every fault has struck. What Google says later is asked for now.
    let has_struck = |rule: &u64| rig.sandbox.struck(*rule) != Some(0);
    for round in 0.. {
        rig.run("select conversion_outbox.resume_destination(name) from conversion_outbox.destination where hold_reason is not null")
            .await;
        rig.run("update conversion_outbox.request set due_at = now() where settled_at is null")
            .await;
        if rules.iter().all(has_struck) {
            break;
        }
        assert!(
            round < 60,
            "{:?}",
            rules
                .iter()
                .filter(|rule| !has_struck(rule))
                .collect::<Vec<_>>()
        );
        rig.until_for(Duration::from_millis(500), "false").await;
    }
    rig.until("not exists (select from conversion_outbox.queue)")
        .await;
    rig.until("exists (select from conversion_outbox.rule_hold)")
        .await;
    rig.until("exists (select from conversion_outbox.request where reasons is not null)")
        .await;
    // The same again, changed: a conflict. And a refund of what has left.
    rig.insert(&[
        with(event("o-1"), json!({ "value": 1 })),
        refund("o-11", 1, Some(1.0)),
    ])
    .await;
    rig.until_state("ga4", "o-11_refund_1", "sent").await;
    rig.until_state("google_ads", "o-11_refund_1", "accepted")
        .await;
    let metrics = worker.metrics().await;
    let config = rig.write("status.toml", &rig.configuration(setup));
    let config = config.to_str().expect("text");
    let mut told = vec![("metrics", metrics)];
    for args in [
        &["status"][..],
        &["status", "--json"],
        &["check"],
        &["config", "check"],
        &["check", "--json"],
        &["doctor", "--json"],
        &["doctor", "--online"],
        &["destinations", "resume", "meta"],
        &["migrate", "status"],
    ] {
        told.push(("a command", said(args, config).await));
    }
    told.extend(mistaken(&rig, setup).await);
    let right = format!("Authorization: Bearer {ADMIN_TOKEN}");
    let wrong = format!("Authorization: Bearer {META_TOKEN}");
    for line in [
        "GET /status",
        "GET /destinations",
        "POST /destinations/meta/resume",
        "GET /nowhere",
    ] {
        for header in [&right, &wrong] {
            told.push(("the admin listener", ask(admin_port, line, &[header]).await));
        }
    }
    let last = &told.last().expect("pushed").1;
    assert!(last.starts_with("HTTP/1.1 401 "), "{last}");
    let preview = command(&[
        "preview",
        "--event-id",
        "order_paid:o-1",
        "--json",
        "--config",
        config,
    ])
    .await;
    let preview = String::from_utf8([preview.stdout, preview.stderr].concat()).expect("text");
    assert!(preview.contains("***"), "{preview}");
    for secret in secrets() {
        assert!(!preview.contains(&secret), "{secret} in the preview");
    }
    worker.signal("-TERM").await;
    assert_eq!(worker.ended().await, Some(0));

    let log = worker.log();
    assert!(
        log.contains("40001") && log.contains("dead letter"),
        "the failures did happen: {log}"
    );
    told.push(("the log", log));
    told.push((
        "spans",
        String::from_utf8_lossy(&spans.lock().expect("whole")).into_owned(),
    ));
    // All that there is, whoever adds to it, but for the rows that hold the person themselves.
    let relations: String = rig
        .one(
            "select string_agg(relname, ' ') from pg_class
              where relnamespace = 'conversion_outbox'::regnamespace and relkind in ('r', 'v', 'm') and relname <> 'event'",
        )
        .await;
    let mut empty = BTreeSet::new();
    for relation in relations.split(' ') {
        let sql = format!(
            "select coalesce(string_agg(t::text, E'\\n'), '') from conversion_outbox.{relation} t"
        );
        let rows: String = rig.one(&sql).await;
        if rows.is_empty() {
            empty.insert(relation);
        }
        told.push(("a table", rows));
    }
    for relation in [
        "delivery",
        "attempt",
        "destination",
        "repeat",
        "delivery_total",
        "request",
        "rule_hold",
        "delivery_log",
        "delivery_attempt",
        "request_log",
        "destination_backlog",
    ] {
        assert!(!empty.contains(relation), "{relation} says nothing");
    }
    for (place, text) in &told {
        assert!(
            ["a table", "a command"].contains(place) || text.len() > 50,
            "{place} says nothing: {text}"
        );
        for canary in canaries() {
            assert!(
                !text.to_lowercase().contains(&canary.to_lowercase()),
                "{canary} in {place}:\n{text}"
            );
        }
    }
    let spans = &told
        .iter()
        .find(|(place, _)| *place == "spans")
        .expect("pushed")
        .1;
    assert!(
        spans.contains("order_paid:o-1"),
        "the spans are those of these deliveries"
    );
}
