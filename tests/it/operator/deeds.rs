//! What operators do, from the form to what comes of it.

use conversion_outbox::config::Config;
use conversion_outbox::config::admin::AdminConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::sandbox::{FaultKind, Platform};
use conversion_outbox::telemetry::metrics::Metrics;
use serde_json::Value;

use super::{Browser, Office, TOKEN, listen};
use crate::rig::{Rig, Setup, order};

#[tokio::test]
async fn destinations_are_paused_resumed_and_the_audit_says_who_and_why() {
    let office = Office::open().await;
    let browser = office.operator().await;
    for (why, field) in [("", "reason"), ("  ", "reason"), ("no_answer", "reason")] {
        let told = browser
            .fill_in(
                "/destinations/meta/pause",
                "/destinations/meta/pause",
                &[(field, why)],
            )
            .await;
        assert_eq!(told.status, 400, "{why:?}");
    }
    let path = "/destinations/linkedin/pause";
    let wrong = browser
        .fill_in(path, path, &[("rule", "104031"), ("reason", "x")])
        .await;
    assert_eq!(wrong.status, 404);
    assert!(wrong.body.contains("104013"), "{}", wrong.body);
    assert_eq!(browser.get("/destinations/metta/pause").await.status, 404);

    let paused = browser
        .fill_in(
            path,
            path,
            &[("rule", "104013"), ("reason", "wrong <b>campaign")],
        )
        .await;
    assert_eq!(paused.header("location"), Some("/audit/1"));
    let audit = browser.get("/audit/1").await;
    for text in [
        "The rule is paused.",
        "operator_login",
        "wrong &lt;b&gt;campaign</dd>",
        ", on a page",
        "104013",
    ] {
        assert!(audit.body.contains(text), "{text}: {}", audit.body);
    }
    let shown = browser.get("/destinations").await;
    assert!(
        shown.body.contains("wrong &lt;b&gt;campaign")
            && !shown.body.contains("<b>campaign")
            && !shown.body.contains("by the page, form"),
        "{}",
        shown.body
    );
    let told: Value = office
        .one("select jsonb_build_object('action', action, 'login', login, 'details', details) from conversion_outbox.audit")
        .await;
    assert_eq!(
        told,
        serde_json::json!({ "action": "pause", "login": "operator_login", "details": { "destination": "linkedin", "rule": "104013" } })
    );
    let resume = "/destinations/linkedin/resume";
    let resumed = browser
        .fill_in(
            "/destinations/linkedin/resume?rule=104013",
            resume,
            &[("reason", "mended")],
        )
        .await;
    assert_eq!(resumed.header("location"), Some("/audit/2"));
    // Who let it go on, when and why is told where it stands.
    let shown = browser.get("/destinations").await.body;
    let last = shown.split("Last by hand").nth(1).unwrap_or_default();
    for text in [
        "104013",
        "resumed <time",
        "operator_login",
        "on this page: mended",
        "/audit/2",
    ] {
        assert!(last.contains(text), "{text}: {shown}");
    }
    assert_eq!(
        office
            .one::<i64>("select count(*) from conversion_outbox.rule_hold")
            .await,
        0
    );
    let nothing = browser
        .fill_in(resume, resume, &[("reason", "mended")])
        .await;
    assert_eq!(
        nothing.header("location"),
        Some("/destinations?destination=linkedin")
    );
    // Tools resume as ever.
    let bearer = format!("Authorization: Bearer {TOKEN}");
    let tool = office
        .browser()
        .ask(
            "POST /destinations/meta/resume",
            &[&bearer, "Accept: application/json"],
            "",
        )
        .await;
    assert_eq!(
        (tool.status, tool.body.trim()),
        (200, "{\"resumed\":false}")
    );
}

#[tokio::test]
async fn a_test_says_what_it_sends_and_what_it_found() {
    let office = Office::open().await;
    let browser = office.operator().await;
    let path = "/destinations/meta/test";
    let asks = browser.get(path).await;
    for text in [
        "an empty list of events",
        "it counts like any other",
        "127.0.0.1",
    ] {
        assert!(asks.body.contains(text), "{text}: {}", asks.body);
    }
    // Nobody listens there: nothing more is sent, even if that was asked for.
    let found = browser.fill_in(path, path, &[("send", "1")]).await;
    assert_eq!(found.status, 200);
    for text in [
        "no connection to 127.0.0.1",
        "something has to be mended first",
    ] {
        assert!(found.body.contains(text), "{text}: {}", found.body);
    }
}

#[tokio::test]
async fn doubts_are_overruled_one_by_one_and_only_by_name() {
    let office = Office::open().await;
    let browser = office.operator().await;
    let state = "select string_agg(state || coalesce('/' || reason, ''), ' ' order by event_no) from conversion_outbox.delivery";
    let all = "rejected/refused_by_platform accepted rejected/invalid_payload uncertain/no_answer";
    let plain = browser
        .get("/dead-letters/replay?destination=linkedin")
        .await;
    for text in [
        "0 deliveries would be sent again, 1 refused.",
        "look there first (a doubt)",
        "force=1",
    ] {
        assert!(plain.body.contains(text), "{text}: {}", plain.body);
    }
    // A page has no --force.
    let kinds = browser.get("/dead-letters").await.body;
    assert!(
        !plain.body.contains("--force") && !kinds.contains("--force"),
        "{kinds}"
    );
    assert!(
        !plain.body.contains("method=\"post\""),
        "there is nothing to confirm"
    );
    let (page, action) = (
        "/dead-letters/replay?destination=linkedin&force=1",
        "/dead-letters/replay",
    );
    let doubtful = browser.get(page).await;
    for text in [
        "name=\"doubt\" value=\"may_count_twice\"",
        "if it is, it counts twice",
        "doubts overruled",
    ] {
        assert!(doubtful.body.contains(text), "{text}: {}", doubtful.body);
    }
    for doubt in ["", "window_over"] {
        let refused = browser
            .fill_in(page, action, &[("reason", "not there"), ("doubt", doubt)])
            .await;
        assert_eq!(refused.status, 400, "{doubt}: {}", refused.body);
        assert!(
            refused.body.contains("Nothing was done"),
            "{}",
            refused.body
        );
    }
    // A form of the plain page is good for the plain page: force cannot be slipped in.
    let mut slipped = browser
        .get("/dead-letters/replay?destination=meta")
        .await
        .form(action);
    slipped.extend(
        [
            ("force", "1"),
            ("reason", "x"),
            ("doubt", "may_count_twice"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    assert_eq!(browser.post(action, &slipped).await.status, 403);
    let mut widened = browser
        .get("/dead-letters/skip?destination=linkedin")
        .await
        .form("/dead-letters/skip");
    widened.retain(|(key, _)| key != "destination");
    widened.extend(
        [("destination", "meta"), ("reason", "x")]
            .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    assert_eq!(
        browser.post("/dead-letters/skip", &widened).await.status,
        403
    );
    assert_eq!(office.one::<String>(state).await, all);

    let done = browser
        .fill_in(
            page,
            action,
            &[("reason", "not there"), ("doubt", "may_count_twice")],
        )
        .await;
    assert_eq!(done.header("location"), Some("/audit/1"), "{}", done.body);
    let audit = browser.get("/audit/1").await;
    for text in [
        "1 delivery sent again",
        "overruled",
        "linkedin uncertain/no_answer",
        ", on a page",
    ] {
        assert!(audit.body.contains(text), "{text}: {}", audit.body);
    }
    // Of one kind only: without a code, and not the other one.
    let skip = "/dead-letters/skip?destination=meta&state=rejected&died_of=invalid_payload&code=%28none%29";
    let ended = browser
        .fill_in(skip, "/dead-letters/skip", &[("reason", "a test order")])
        .await;
    assert_eq!(ended.header("location"), Some("/audit/2"), "{}", ended.body);
    let now = "rejected/refused_by_platform accepted cancelled/by_operator pending/replayed";
    assert_eq!(office.one::<String>(state).await, now);
    let details: Value = office
        .one("select details from conversion_outbox.audit where audit_no = 2")
        .await;
    assert_eq!(details["filter"]["by"], "the page");
    assert_eq!(details["total"], 1);
    for everything in ["/dead-letters/replay", "/dead-letters/skip"] {
        assert_eq!(
            browser.get(everything).await.status,
            400,
            "nobody means everything without saying so"
        );
        assert_eq!(
            browser
                .get(&format!("{everything}?destination=metta"))
                .await
                .status,
            404
        );
    }
}

#[tokio::test]
async fn what_is_replayed_by_a_form_arrives_once() {
    let rig = Rig::new().await;
    let rule = rig.event_fault(FaultKind::MetaError, Platform::Meta, |fault| {
        (fault.code, fault.subcode) = (Some(100), Some(2_804_019));
    });
    let setup = Setup::only(&[conversion_outbox::destinations::Platform::Meta]);
    let running = rig.work_with(setup);
    rig.insert(&[order("1042")]).await;
    rig.until(
        "exists (select from conversion_outbox.delivery where state in ('rejected', 'exhausted'))",
    )
    .await;
    rig.sandbox.remove_fault(rule);

    let config = Config::parse(&rig.configuration(setup), "rig.toml", []).expect("valid");
    let token = rig.write("admin.token", TOKEN);
    let url = rig.write("admin.url", &rig.url_of("rig_operator"));
    let admin = AdminConfig {
        token: Some(SecretRef::file(token)),
        database_url: Some(SecretRef::file(url)),
        ..AdminConfig::default()
    };
    let (address, _stop) = listen(&admin, &config, &Metrics::new(&[], &[]), &rig.clock).await;
    let browser = Browser::at(address);
    browser.log_in(TOKEN).await;
    let action = "/dead-letters/replay";
    let page = browser.get("/dead-letters/replay?destination=meta").await;
    assert!(
        page.body
            .contains("1 delivery would be sent again, 0 refused."),
        "{}",
        page.body
    );
    let mut fields = page.form(action);
    fields.push(("reason".into(), "mended".into()));
    let (one, two) = tokio::join!(browser.post(action, &fields), browser.post(action, &fields));
    assert_eq!(
        (one.header("location"), two.header("location")),
        (Some("/audit/1"), Some("/audit/1"))
    );
    rig.until("exists (select from conversion_outbox.delivery where state = 'accepted')")
        .await;
    assert_eq!(
        browser.post(action, &fields).await.header("location"),
        Some("/audit/1")
    );
    rig.until_final().await;
    assert_eq!(rig.doubles(), 0);
    assert_eq!(rig.one::<i64>("select count(*) from conversion_outbox.audit where login = 'rig_operator' and action = 'replay'").await, 1);
    let id: String = rig
        .one("select event_id from conversion_outbox.event")
        .await;
    let life = browser.get(&format!("/events/{id}")).await;
    for text in [
        "replay by hand",
        "mended (by the page",
        "accepted",
        "/audit/1",
    ] {
        assert!(life.body.contains(text), "{text}: {}", life.body);
    }
    running.drain().await;
}
