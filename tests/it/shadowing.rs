//! An application's login that turns on the schema: whatever it puts in front of our names, our functions never meet it, and
//! nothing tells it what it may not read.

use crate::harness::{Event, Form, Outbox, Session};

/// Everything that our functions might call by a bare name, made to say that it was called. In a schema of the attacker's and
/// among its temporary objects.
const TRAPS: &str = "
  create schema evil;
  grant usage on schema evil to public;
  create function evil.sprung() returns boolean language plpgsql as $$ begin raise exception 'hijacked as %', current_user; end $$;
  create function evil.same(text, text) returns boolean language sql as 'select evil.sprung()';
  create operator evil.= (leftarg = text, rightarg = text, function = evil.same);
  create operator evil.<> (leftarg = text, rightarg = text, function = evil.same);
  create operator evil.|| (leftarg = text, rightarg = text, function = evil.same);
  create operator evil.~ (leftarg = text, rightarg = text, function = evil.same);
  create function evil.member(jsonb, text) returns jsonb language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.member_text(jsonb, text) returns text language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create operator evil.-> (leftarg = jsonb, rightarg = text, function = evil.member);
  create operator evil.->> (leftarg = jsonb, rightarg = text, function = evil.member_text);
  create operator evil.? (leftarg = jsonb, rightarg = text, function = evil.same_member);
  create function evil.now() returns timestamptz language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.clock_timestamp() returns timestamptz language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.btrim(text) returns text language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.lower(text) returns text language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.length(text) returns integer language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.octet_length(text) returns integer language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.left(text, integer) returns text language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.sha256(bytea) returns bytea language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.encode(bytea, text) returns text language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.jsonb_typeof(jsonb) returns text language plpgsql as $$ begin perform evil.sprung(); return null; end $$;
  create function evil.jsonb_object_keys(jsonb) returns setof text language plpgsql as $$ begin perform evil.sprung(); end $$;
  create function evil.jsonb_each(jsonb) returns setof record language plpgsql as $$ begin perform evil.sprung(); end $$;
  create function evil.jsonb_build_object(variadic \"any\") returns jsonb language internal as 'jsonb_build_object';
  create function evil.pg_advisory_xact_lock(bigint) returns void language plpgsql as $$ begin perform evil.sprung(); end $$;
  create function evil.hashtextextended(text, bigint) returns bigint language plpgsql as $$ begin perform evil.sprung(); return 0; end $$;
  create function evil.refuse(text, text, text, text) returns void language plpgsql as $$ begin perform evil.sprung(); end $$;
  create table evil.event (event_id text);
  create temporary table event (event_id text, business_id text, user_data jsonb);
  create temporary table delivery (event_no bigint);
  create temporary table queue (event_no bigint);
  create temporary table withdrawal (event_no bigint);
  create temporary view delivery_log as select 1 as event_no;
";

/// A database whose application may also make schemas of its own, as in many a test system.
async fn attacked() -> (Outbox, Session, Session) {
    let outbox = Outbox::new().await;
    let admin = outbox.admin().await;
    let database: String = admin.one("select current_database()::text").await;
    admin
        .run(&format!(
            "grant create, temporary on database {database} to app_login, privacy_login, operator_login"
        ))
        .await;
    let app = outbox.session("app").await;
    (outbox, admin, app)
}

#[tokio::test]
async fn nothing_that_an_attacker_names_like_ours_is_ever_called() {
    let (outbox, admin, app) = attacked().await;
    let victim = Event::order("order-0").text("user_data", r#"{"email":"victim@example.com"}"#);
    app.run(&victim.sql(Form::Enqueue)).await;
    admin
        .run(
            "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta');
             insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at)
             select event_no, 'meta', 'pending', 'retry', now() from conversion_outbox.event",
        )
        .await;
    for role in ["app", "privacy", "operator"] {
        let session = outbox.session(role).await;
        for trap in TRAPS.split(";\n").filter(|trap| !trap.trim().is_empty()) {
            // Some cannot be made without being a superuser: all the better.
            drop(
                session
                    .attempt(&trap.replace("evil", &format!("evil_{role}")))
                    .await,
            );
        }
        session
            .run(&format!(
                "set search_path = pg_temp, evil_{role}, pg_catalog, conversion_outbox, public"
            ))
            .await;
        assert!(
            session
                .refusal("select 'a'::text = 'a'::text")
                .await
                .message()
                .contains("hijacked"),
            "the traps do spring for {role} itself"
        );
        let calls: Vec<String> = match role {
            "app" => {
                let order = Event::order("order-1").text(
                    "user_data",
                    r#"{"email":"a@example.com","external_id":"7"}"#,
                );
                let mut calls: Vec<String> =
                    Form::ALL.into_iter().map(|form| order.sql(form)).collect();
                // Repeats are counted, conflicts are looked at.
                calls.push(order.clone().set("value", "13").sql(Form::Enqueue));
                calls.extend(
                    [
                        "select * from conversion_outbox.delivery_status('order-1'::text)",
                        "select conversion_outbox.withdraw_consent(external_id => '7'::text)",
                    ]
                    .map(str::to_owned),
                );
                calls
            }
            "privacy" => vec![
                "select conversion_outbox.withdraw_consent(external_id => '7'::text)".to_owned(),
                "select conversion_outbox.erase_subject(external_id => '7'::text)".to_owned(),
            ],
            _ => vec![
                "select conversion_outbox.resume_destination('meta'::text)".to_owned(),
                "select * from conversion_outbox.delivery_status('order-1'::text)".to_owned(),
            ],
        };
        for call in calls {
            if let Err(error) = session.attempt(&call).await {
                // A plain insert of what is there already.
                assert_eq!(error.code().code(), "23505", "{role}: {call}: {error:?}");
            }
        }
        for table in ["event", "delivery", "queue", "withdrawal"] {
            assert_eq!(
                session
                    .one::<i64>(&format!("select count(*) from pg_temp.{table}"))
                    .await,
                0,
                "{table}"
            );
        }
    }
    // What all of this would look like if our functions took the caller's path.
    admin
        .run(
            "do $$ declare ours regprocedure; begin
               for ours in select oid::regprocedure from pg_proc where pronamespace = 'conversion_outbox'::regnamespace and prosecdef loop
                 execute format('alter function %s reset search_path', ours);
               end loop;
             end $$",
        )
        .await;
    let app = outbox.session("app").await;
    app.run("set search_path = evil_app, pg_catalog, conversion_outbox, public")
        .await;
    let hijacked = app
        .refusal(&Event::order("order-2").sql(Form::Enqueue))
        .await;
    assert_eq!(hijacked.message(), "hijacked as conversion_outbox_owner");
    let rows: i64 = admin
        .one("select count(*) from conversion_outbox.event")
        .await;
    assert_eq!(rows, 2, "what was written is where it belongs");
    let erased: i64 = admin
        .one("select count(*) from conversion_outbox.event where business_id = 'order-1' and user_data <> '{}'")
        .await;
    assert_eq!(erased, 0, "and what was erased is gone");
}

#[tokio::test]
async fn arguments_are_values() {
    let (_outbox, admin, app) = attacked().await;
    app.run(&Event::order("order-0").sql(Form::Enqueue)).await;
    let texts = [
        "'; drop table conversion_outbox.event; --",
        "' or true --",
        "%",
        "order-_",
        "\\",
        "$$ || (select user_data from conversion_outbox.event) || $$",
        "\u{202e}0-redro",
    ];
    for text in texts {
        let quoted = text.replace('\'', "''");
        let found: i64 = app
            .one(&format!(
                "select count(*) from conversion_outbox.delivery_status('{quoted}')"
            ))
            .await;
        assert_eq!(found, 0, "{text}");
        app.run(&format!(
            "select conversion_outbox.withdraw_consent(external_id => '{quoted}')"
        ))
        .await;
        let order = Event::order(&format!("{text} 1"));
        // Written as it is, or refused for a reason of its own.
        match app.attempt(&order.sql(Form::Enqueue)).await {
            Ok(_) => {}
            Err(error) => assert!(error.code().code().starts_with("OB"), "{text}: {error:?}"),
        }
    }
    let withdrawn: i64 = admin
        .one("select count(*) from conversion_outbox.withdrawal where external_id is null or external_id = 'order-0'")
        .await;
    assert_eq!(withdrawn, 0);
}

#[tokio::test]
async fn no_error_tells_what_may_not_be_read() {
    let (_outbox, _admin, app) = attacked().await;
    let secret = "victim@example.com";
    let victim = Event::order("order-0").text(
        "user_data",
        &format!(r#"{{"email":"{secret}","external_id":"7"}}"#),
    );
    app.run(&victim.sql(Form::Enqueue)).await;
    app.run(
        "create function pg_temp.peek(anyelement) returns boolean language plpgsql as
           $$ begin raise exception 'seen %', $1; end $$;
         create function pg_temp.read_all() returns text language sql as 'select string_agg(e::text, '' '') from conversion_outbox.event e';
         create domain pg_temp.probe as text check (pg_temp.read_all() is not null)",
    )
    .await;
    let other = Event::order("order-0")
        .text("user_data", r#"{"email":"mine@example.com"}"#)
        .set("value", "99");
    let plain = other.sql(Form::Plain);
    assert_eq!(app.attempt(&plain).await.expect("a repeat is no error"), 0);
    for sql in [
        format!("{plain} on conflict (event_id) do update set value = excluded.value"),
        format!("{plain} on conflict (event_id) do update set value = excluded.value where pg_temp.peek(event.user_data)"),
        format!("{plain} on conflict (event_id) do nothing returning user_data"),
        "insert into conversion_outbox.event (event_name, business_id, consent) select event_name, business_id || 'x', consent from conversion_outbox.event".to_owned(),
        "select event_id from conversion_outbox.event where pg_temp.peek(user_data)".to_owned(),
        "select event_id from conversion_outbox.event where pg_temp.peek(event)".to_owned(),
        "select event_id from conversion_outbox.event group by event_id having bool_or(pg_temp.peek(user_data))".to_owned(),
        "copy conversion_outbox.event to stdout".to_owned(),
        "copy conversion_outbox.event (event_id, user_data) to stdout".to_owned(),
        "select conversion_outbox.enqueue(event_name => 'order_paid', business_id => 'x'::pg_temp.probe)".to_owned(),
        "select most_common_vals from pg_catalog.pg_statistic_ext_data, pg_stats where tablename = 'event' and pg_temp.peek(most_common_vals)".to_owned(),
        "create trigger mine after insert on conversion_outbox.event execute function pg_temp.read_all()".to_owned(),
        "create view pg_temp.mine as select * from conversion_outbox.event; select * from pg_temp.mine".to_owned(),
        "create cast (text as jsonb) with inout".to_owned(),
        "alter function conversion_outbox.enqueue owner to current_user".to_owned(),
        "set role conversion_outbox_owner".to_owned(),
        "set session authorization postgres".to_owned(),
    ] {
        let error = app.refusal(&sql).await;
        let told = format!("{error:?}");
        assert!(!told.contains(secret), "{sql}: {told}");
        let code = error.code().code();
        // No permission, a duplicate key, or not even a statement for one role: never an error of ours about another's row.
        assert!(["42501", "23505", "42809", "42601"].contains(&code), "{sql}: {told}");
    }
    // What a repeat says of the row that stands.
    let outcome: String = app.one(&other.sql(Form::Enqueue)).await;
    assert_eq!(outcome, "conflict");
}
