//! What each role may do, and that it may do nothing else.

use crate::harness::{Event, Form, Outbox, Session};

const NO_PERMISSION: &str = "42501";

#[tokio::test]
async fn the_application_writes_events_and_nothing_else() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    for form in Form::ALL {
        app.run(&Event::order(&format!("{form:?}")).sql(form)).await;
    }
    let returning = format!(
        "{} returning event_id",
        Event::order("order-r").sql(Form::Plain)
    );
    assert_eq!(app.one::<String>(&returning).await, "order_paid:order-r");
    app.run("select * from conversion_outbox.delivery_status('order-1')")
        .await;
    let admin = outbox.admin().await;
    for relation in [tables(&admin).await, views(&admin).await].concat() {
        // The one column that "on conflict (event_id)" needs is tested above; a whole row is refused.
        refused(&app, &format!("select * from conversion_outbox.{relation}")).await;
    }
    for relation in tables(&admin).await {
        for sql in [
            format!("delete from conversion_outbox.{relation}"),
            format!("truncate conversion_outbox.{relation}"),
        ] {
            refused(&app, &sql).await;
        }
        if relation != "event" {
            refused(
                &app,
                &format!("insert into conversion_outbox.{relation} default values"),
            )
            .await;
        }
    }
    for sql in [
        "update conversion_outbox.event set value = 1",
        "update conversion_outbox.delivery set state = 'accepted'",
        "select user_data from conversion_outbox.event",
        "insert into conversion_outbox.event (recorded_at) values (now())",
        "insert into conversion_outbox.event (warnings) values ('[]')",
        "select conversion_outbox.erase_subject(external_id => 'x')",
        "select conversion_outbox.resume_destination('x')",
        "create table conversion_outbox.mine (x int)",
    ] {
        refused(&app, sql).await;
    }
}

#[tokio::test]
async fn only_operators_lay_hands_on_deliveries_and_they_do_it_through_functions() {
    let outbox = Outbox::new().await;
    let functions = [
        "pause_destination('x', 'y')",
        "resume_destination('x')",
        "replay_deliveries('{1}', '{x}', 'y')",
        "skip_deliveries('{1}', '{x}', 'y')",
        "event_life('x')",
    ];
    for role in ["app", "worker", "reader", "privacy"] {
        let session = outbox.session(role).await;
        for function in functions {
            refused(&session, &format!("select conversion_outbox.{function}")).await;
        }
    }
    let operator = outbox.session("operator").await;
    for inner in [
        "open_run(null, 'replay', 'y', '{}')",
        "add_to_run(1, '{}')",
        "refuse_by_hand('OB030', 'x', 'y')",
        "standings_of(1)",
    ] {
        refused(&operator, &format!("select conversion_outbox.{inner}")).await;
    }
    for sql in [
        "update conversion_outbox.delivery set state = 'pending'",
        "update conversion_outbox.destination set hold_reason = null",
        "update conversion_outbox.audit set reason = 'other'",
        "insert into conversion_outbox.audit (action, reason) values ('replay', 'x')",
        "delete from conversion_outbox.audit_delivery",
        "select * from conversion_outbox.event",
        "select * from conversion_outbox.queue",
    ] {
        refused(&operator, sql).await;
    }
}

#[tokio::test]
async fn the_worker_removes_no_history_and_defines_nothing() {
    let outbox = Outbox::new().await;
    let worker = outbox.session("worker").await;
    for sql in [
        "delete from conversion_outbox.event",
        "update conversion_outbox.event set value = 1",
        "insert into conversion_outbox.event (event_name) values ('x')",
        "delete from conversion_outbox.delivery",
        "delete from conversion_outbox.attempt",
        "update conversion_outbox.attempt set counted = false",
        "delete from conversion_outbox.delivery_total",
        "delete from conversion_outbox.destination",
        "delete from conversion_outbox.withdrawal",
        "truncate conversion_outbox.queue",
        "create table conversion_outbox.mine (x int)",
        "alter table conversion_outbox.queue add x int",
        "drop table conversion_outbox.queue",
        "select conversion_outbox.erase_subject(external_id => 'x')",
        "update conversion_outbox.event set user_data = '{}'",
        "select conversion_outbox.remove_data('{1}', 'erasure')",
        "select conversion_outbox.erase_events('{1}', 'x')",
        "select * from conversion_outbox.subject_page(0, 1)",
        "select conversion_outbox.unsuppress('{}', 'x')",
        "delete from conversion_outbox.suppression",
        "delete from conversion_outbox.policy",
    ] {
        refused(&worker, sql).await;
    }
}

#[tokio::test]
async fn dashboards_see_no_personal_data() {
    let outbox = Outbox::new().await;
    let app = outbox.session("app").await;
    let canary = Event::order("order-1")
        .text("user_data", r#"{"email":"canary@example.com"}"#)
        .text("click_ids", r#"{"gclid":"canary"}"#)
        .text("page_url", "https://shop.example/canary")
        .text("properties", r#"{"note":"canary"}"#);
    app.run(&canary.sql(Form::Plain)).await;
    let admin = outbox.admin().await;
    admin
        .run("insert into conversion_outbox.destination (name, platform) values ('meta', 'meta')")
        .await;
    for role in ["reader", "operator"] {
        let session = outbox.session(role).await;
        let mut seen = Vec::new();
        for relation in [tables(&admin).await, views(&admin).await].concat() {
            let sql = format!(
                "select coalesce(string_agg(r::text, ' '), '') from conversion_outbox.{relation} r"
            );
            let may: bool = admin
                .one(&format!("select has_table_privilege('{role}_login', 'conversion_outbox.{relation}', 'select')"))
                .await;
            if may {
                let text: String = session.one(&sql).await;
                assert!(!text.contains("canary"), "{role} sees {relation}: {text}");
                seen.push(relation);
            }
        }
        for relation in tables(&admin).await {
            refused(
                &session,
                &format!("delete from conversion_outbox.{relation}"),
            )
            .await;
            refused(
                &session,
                &format!("insert into conversion_outbox.{relation} default values"),
            )
            .await;
        }
        for view in [
            "delivery_log",
            "delivery_attempt",
            "destination_backlog",
            "destination_total",
        ] {
            assert!(
                seen.iter().any(|relation| relation == view),
                "{role} sees {view}"
            );
        }
        assert!(
            !seen
                .iter()
                .any(|relation| relation == "event" || relation == "withdrawal")
        );
    }
}

#[tokio::test]
async fn operators_resume_and_privacy_officers_erase() {
    let outbox = Outbox::new().await;
    let operator = outbox.session("operator").await;
    operator
        .run("select conversion_outbox.resume_destination('x')")
        .await;
    refused(
        &operator,
        "select conversion_outbox.erase_subject(external_id => 'x')",
    )
    .await;
    let privacy = outbox.session("privacy").await;
    privacy
        .run("select conversion_outbox.erase_subject(external_id => 'x')")
        .await;
    privacy
        .run("select conversion_outbox.withdraw_consent(external_id => 'x')")
        .await;
    refused(&privacy, "select conversion_outbox.resume_destination('x')").await;
    privacy
        .run(
            "select conversion_outbox.suppress('k', '{email}', array[sha256('x')], 'all', 'x');
              select conversion_outbox.unsuppress(array[sha256('x')], 'x');
              select conversion_outbox.erase_events('{1}', 'x');
              select * from conversion_outbox.remove_old_data('1 day', '1 day', 1);
              select conversion_outbox.proof_of('x')",
        )
        .await;
    for sql in [
        "select * from conversion_outbox.event",
        "select * from conversion_outbox.suppression",
        "select conversion_outbox.remove_data('{1}', 'erasure')",
        "update conversion_outbox.audit set reason = 'y'",
        "delete from conversion_outbox.withdrawal",
        "insert into conversion_outbox.suppression default values",
        "update conversion_outbox.retention set looked_to = 0",
    ] {
        refused(&privacy, sql).await;
    }
}

async fn refused(session: &Session, sql: &str) {
    let error = session.refusal(sql).await;
    assert_eq!(error.code().code(), NO_PERMISSION, "{sql}: {error:?}");
}

/// Every table of the schema.
async fn tables(admin: &Session) -> Vec<String> {
    admin
        .all("select tablename::text from pg_tables where schemaname = 'conversion_outbox'")
        .await
}

/// Every view of the schema.
async fn views(admin: &Session) -> Vec<String> {
    admin
        .all("select viewname::text from pg_views where schemaname = 'conversion_outbox'")
        .await
}
