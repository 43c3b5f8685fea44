//! What `doctor` finds without asking any platform: configuration, secrets, database.

use serde_json::json;

use super::{all, doctor, sound, told};
use crate::desk::{CANARY, Desk};
use crate::rig::{Setup, order, with};
use crate::server::Server;

#[tokio::test]
async fn a_key_that_signs_nothing_is_found_without_a_network() {
    let rig = sound().await;
    rig.write(
        "google.json",
        &format!("{{\"client_email\": \"{CANARY}\", \"private_key\": \"{CANARY}\"}}"),
    );
    let args = ["--no-database", "--destination", "google_data_manager"];
    let told = doctor(&rig, &all(&rig), &args).await;
    told.is(
        78,
        &[
            "google_data_manager/credential fail",
            "-/database skipped",
            "-/platforms skipped",
        ],
    );
    told.says("[download a new JSON key of the account]");
}

#[tokio::test]
async fn holds_are_told_with_their_advice() {
    let rig = sound().await;
    rig.run(
        "update conversion_outbox.destination set hold_reason = 'credential', hold_code = '190/463', hold_advice = 'replace it',
           held_since = now(), probe_at = now() where name = 'meta';
         insert into conversion_outbox.rule_hold (destination, rule, reason, code, advice, probe_at)
           values ('linkedin', '104012', 'rule', 'rule_disabled', 'enable it', now());
         delete from conversion_outbox.destination where name = 'ga4';
         update conversion_outbox.destination set last_seen_at = now() - interval '1 hour' where name = 'google_ads'",
    )
    .await;
    let told = doctor(&rig, &all(&rig), &[]).await;
    told.is(
        3,
        &[
            "meta/hold fail",
            "ga4/destination warn",
            "google_ads/destination warn",
            "linkedin/hold fail",
            "-/platforms skipped",
        ],
    );
    told.says("(credential, code 190/463) [replace it]");
    told.says("(code rule_disabled) [enable it]");
    told.says("no worker has served it for 60 minutes");
}

#[tokio::test]
async fn sources_of_truth_are_read_and_a_missing_index_is_told_with_what_makes_it() {
    let rig = sound().await;
    rig.run(
        "create table public.orders (id text, paid_at timestamptz, total numeric);
         grant select on public.orders to conversion_outbox_worker",
    )
    .await;
    let entry = |total: &str| {
        format!(
            "{}\n[[reconcile]]\nname = \"orders\"\nevent = \"order_paid\"\nquery = \"select id as business_id, paid_at as occurred_at, \
             {total}, 'EUR' as currency from public.orders where paid_at >= $1 and paid_at < $2\"\n",
            all(&rig)
        )
    };
    let told = doctor(&rig, &entry("total as value"), &[]).await;
    told.is(0, &["-/platforms skipped"]);
    told.says("the query of \"orders\" can be read: 0 rows in the last hour");
    let told = doctor(&rig, &entry("total as amount"), &[]).await;
    told.is(3, &["-/reconcile fail", "-/platforms skipped"]);
    told.says("value");

    rig.run("drop index conversion_outbox.event_by_day").await;
    let told = doctor(&rig, &entry("total as value"), &[]).await;
    told.is(0, &["-/reconcile warn", "-/platforms skipped"]);
    let (_, fix) = told.text.split_once("owner: ").expect("a fix");
    rig.run(fix.split(']').next().expect("its end")).await;
    let told = doctor(&rig, &entry("total as value"), &[]).await;
    told.is(0, &["-/platforms skipped"]);
}

#[tokio::test]
async fn a_listener_for_people_that_nobody_can_use_is_told() {
    let rig = sound().await;
    rig.run(
        "create role admin_looker login in role conversion_outbox_reader; create role admin_stranger login",
    )
    .await;
    let configured = |login: &str, token: &str| {
        let url = rig.write("admin.url", &rig.url_of(login));
        let token = rig.write("admin.token", token);
        format!(
            "{}[admin]\ntoken = {{ file = \"{}\" }}\ndatabase_url = {{ file = \"{}\" }}\n",
            all(&rig),
            token.display(),
            url.display()
        )
    };
    let good = "0123456789abcdef";
    for (login, token, code, findings) in [
        ("rig_operator", good, 0, &["-/platforms skipped"][..]),
        (
            "admin_looker",
            good,
            0,
            &["-/admin warn", "-/platforms skipped"],
        ),
        (
            "admin_stranger",
            good,
            3,
            &["-/admin fail", "-/platforms skipped"],
        ),
        (
            "admin_nobody",
            good,
            69,
            &["-/admin fail", "-/platforms skipped"],
        ),
        (
            "rig_operator",
            "short",
            78,
            &["-/admin fail", "-/platforms skipped"],
        ),
    ] {
        let told = doctor(&rig, &configured(login, token), &[]).await;
        told.is(code, findings);
    }
}

#[tokio::test]
async fn what_is_unsafe_or_goes_nowhere_is_told() {
    let rig = sound().await;
    let setup = Setup {
        meta: "test_event_code = \"TEST1\"\nroutes = { events = [\"order_paid\", \"odd_thing\"] }",
        ga4: "on_ambiguous = \"resend\"",
        google: "validate_only = true",
        linkedin: "on_ambiguous = \"resend\"",
        ..Setup::all()
    };
    rig.insert(&[
        order("o-1"),
        with(order("o-2"), json!({ "event_name": "odder_thing" })),
    ])
    .await;
    let told = doctor(&rig, &rig.configuration(setup), &[]).await;
    told.is(
        0,
        &[
            "meta/settings warn",
            "meta/mapping warn",
            "ga4/settings warn",
            "google_data_manager/settings warn",
            "linkedin/settings warn",
            "-/events warn",
            "-/platforms skipped",
        ],
    );
    told.says("no destination takes: odder_thing");
    told.says("mapped to nothing: odd_thing");
    told.says("notice a repeat: 104012, 104013");
}

#[tokio::test]
async fn too_few_and_too_many_rights_are_told() {
    let rig = sound().await;
    let config = all(&rig);
    let url = std::fs::read_to_string(rig.folder.path().join("database.url")).expect("a file");
    rig.write("database.url", &url.replace("rig_worker", "postgres"));
    let told = doctor(&rig, &config, &[]).await;
    told.is(3, &["-/excess_rights fail", "-/platforms skipped"]);
    told.says("it is a superuser");

    rig.write("database.url", &url);
    rig.run(
        "grant delete on conversion_outbox.event to conversion_outbox_worker;
         grant create on schema conversion_outbox to conversion_outbox_worker",
    )
    .await;
    let told = doctor(&rig, &config, &[]).await;
    told.is(3, &["-/excess_rights fail", "-/platforms skipped"]);
    told.says("create in the schema, delete on event [");

    rig.run(
        "revoke delete on conversion_outbox.event from conversion_outbox_worker;
         revoke create on schema conversion_outbox from conversion_outbox_worker;
         revoke insert on conversion_outbox.attempt from conversion_outbox_worker",
    )
    .await;
    let told = doctor(&rig, &config, &[]).await;
    told.is(3, &["-/rights fail", "-/platforms skipped"]);
    told.says("the login may not: insert on attempt [");
    rig.run("grant insert on conversion_outbox.attempt to conversion_outbox_worker")
        .await;

    let grants: String = rig
        .one(
            "select string_agg(what, ',') from (
               select lower(privilege_type) || ' on ' || table_name as what from information_schema.role_table_grants
                where grantee = 'conversion_outbox_worker' and table_schema = 'conversion_outbox'
               union all
               select 'execute on ' || routine_name from information_schema.role_routine_grants
                where grantee = 'conversion_outbox_worker' and routine_schema = 'conversion_outbox') granted",
        )
        .await;
    rig.run(
        "revoke all on all tables in schema conversion_outbox from conversion_outbox_worker;
         revoke all on all functions in schema conversion_outbox from conversion_outbox_worker",
    )
    .await;
    let told = doctor(&rig, &config, &[]).await;
    told.is(
        3,
        &[
            "-/schema skipped",
            "-/database skipped",
            "-/rights fail",
            "-/platforms skipped",
        ],
    );
    for grant in grants.split(',') {
        told.says(grant);
    }
}

#[tokio::test]
async fn data_that_stay_for_ever_and_a_list_that_cannot_be_asked_are_told() {
    let rig = sound().await;
    let folder = rig.folder.path().display();
    let config = format!(
        "{}[privacy]\nsubject_key = {{ file = \"{folder}/subject.key\" }}\n",
        all(&rig)
    );
    let told = doctor(&rig, &config, &[]).await;
    told.is(0, &["-/retention warn", "-/platforms skipped"]);
    rig.run(
        "select conversion_outbox.suppress('0badc0de', '{email}', array[sha256('x')], 'all', 'x')",
    )
    .await;
    let told = doctor(&rig, &config, &[]).await;
    told.is(
        3,
        &[
            "-/retention warn",
            "-/suppression fail",
            "-/platforms skipped",
        ],
    );
    told.says("(0badc0de)");
    rig.write("subject.key", "short");
    let told = doctor(&rig, &config, &[]).await;
    assert_eq!(told.code, 78, "{}", told.text);
    told.says("[write 32 random bytes there");
}

#[test]
fn a_database_without_schema_or_without_answer_and_a_wrong_configuration() {
    let config = "[database]\nurl = { env = \"DATABASE_URL\" }\n[[destination]]\nname = \"ga4\"\nplatform = \"ga4\"\n\
                  measurement_id = \"G-ABC1234567\"\napi_secret = { env = \"GA4_SECRET\" }\n";
    let (server, desk) = (Server::start(), Desk::new(config));
    let run = |args: &[&str], url: String| {
        let variables = [("DATABASE_URL", url), ("GA4_SECRET", CANARY.to_owned())];
        let args = [&["doctor", "--json", "--config"], args].concat();
        let said = desk.run_with(&args, &variables);
        let report =
            serde_json::from_str(&said.out).unwrap_or_else(|_| panic!("{}{}", said.out, said.err));
        told(said.code, report)
    };
    let told = run(&["config.toml"], server.url("postgres"));
    told.is(
        3,
        &["-/schema fail", "-/database skipped", "-/platforms skipped"],
    );
    told.says("[run `conversion-outbox migrate up`, with a login that may make roles");

    let told = run(
        &["config.toml"],
        format!("postgresql://u:{CANARY}@127.0.0.1:1/d"),
    );
    told.is(
        69,
        &[
            "-/database fail",
            "-/database skipped",
            "-/platforms skipped",
        ],
    );

    desk.write("wrong.toml", &config.replace("api_secret", "api_secrets"));
    let told = run(&["wrong.toml"], server.url("postgres"));
    assert_eq!(told.code, 78);
    told.says("wrong.toml:7: ");
    assert!(
        told.findings
            .iter()
            .all(|one| one.starts_with("-/configuration fail") || one.ends_with("skipped"))
    );

    for args in [
        &["--send-test"][..],
        &["--send-test", "--online"],
        &["--destination", "nowhere"],
    ] {
        let said = desk.run(&[&["doctor", "--config", "config.toml"], args].concat());
        assert_eq!(said.code, 2, "{args:?} {}", said.err);
    }
}
