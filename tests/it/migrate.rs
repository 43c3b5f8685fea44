//! Migrations against a real server: once, twice, at once, by a plain login, and by another tool.

use conversion_outbox::db::connect::Database;
use conversion_outbox::db::migrate::{self, MIGRATIONS, MigrateError, SchemaError, StepState};

use crate::server::Server;

const ALL: std::ops::RangeInclusive<u32> = 1..=15;

#[tokio::test]
async fn a_database_is_migrated_once_and_checked() {
    let server = Server::start();
    let database = server.open("postgres", "postgres");
    assert!(matches!(
        migrate::check(&database).await,
        Err(SchemaError::Absent)
    ));
    assert_eq!(
        migrate::up(&database).await.expect("migrated"),
        MIGRATIONS.iter().collect::<Vec<_>>()
    );
    assert!(
        migrate::up(&database)
            .await
            .expect("nothing to do")
            .is_empty()
    );
    assert_eq!(
        migrate::check(&database).await.expect("supported"),
        *ALL.end()
    );
    let steps = migrate::status(&database).await.expect("readable");
    assert!(
        steps
            .iter()
            .all(|step| step.state == StepState::Applied && step.applied_at.is_some())
    );

    server.psql("postgres", "update conversion_outbox.schema_migration set checksum = repeat('0', 64) where version = 3");
    let error = migrate::up(&database).await.expect_err("changed");
    assert!(
        matches!(
            error,
            MigrateError::Changed {
                name: "0003_delivery"
            }
        ),
        "{error}"
    );

    server.psql(
        "postgres",
        "insert into conversion_outbox.schema_migration values (16, '0016_later', repeat('0', 64))",
    );
    assert!(matches!(
        migrate::check(&database).await,
        Err(SchemaError::Newer { found: 16 })
    ));
    server.psql(
        "postgres",
        "delete from conversion_outbox.schema_migration where version > 5",
    );
    assert!(matches!(
        migrate::check(&database).await,
        Err(SchemaError::Older { found: 5 })
    ));
}

#[tokio::test]
async fn migrators_that_race_apply_everything_once() {
    let server = Server::start();
    let racers: Vec<Database> = (0..4)
        .map(|_| server.open("postgres", "postgres"))
        .collect();
    let applied = futures::future::join_all(racers.iter().map(migrate::up)).await;
    let mut versions: Vec<u32> = applied
        .into_iter()
        .flat_map(|applied| applied.expect("migrated"))
        .map(|migration| migration.version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, ALL.collect::<Vec<_>>());
}

#[tokio::test]
async fn two_databases_of_a_cluster_share_the_roles() {
    let server = Server::start();
    server.psql("postgres", "create database other");
    let (one, other) = (
        server.open("postgres", "postgres"),
        server.open("postgres", "other"),
    );
    let (one, other) = tokio::join!(migrate::up(&one), migrate::up(&other));
    assert_eq!(
        (one.expect("migrated").len(), other.expect("migrated").len()),
        (15, 15)
    );
}

#[tokio::test]
async fn a_plain_login_migrates_and_a_powerless_one_is_told_what_to_do() {
    let server = Server::start();
    server.psql("postgres", "create role migrator login createrole");
    server.psql("postgres", "create role powerless login");
    server.psql("postgres", "grant create on database postgres to migrator");
    let error = migrate::up(&server.open("powerless", "postgres"))
        .await
        .expect_err("powerless");
    assert!(error.to_string().contains("createrole"), "{error}");

    server.psql(
        "postgres",
        &format!("set role migrator; {}", migrate::script(1..=14)),
    );
    server.psql("postgres", "grant conversion_outbox_worker to powerless");
    let error = migrate::up(&server.open("powerless", "postgres"))
        .await
        .expect_err("a worker's login");
    assert!(
        error
            .to_string()
            .contains("another member of conversion_outbox_owner"),
        "{error}"
    );

    let migrator = server.open("migrator", "postgres");
    assert_eq!(migrate::up(&migrator).await.expect("migrated").len(), 1);
    assert_eq!(migrate::check(&migrator).await.expect("readable"), 15);
    server.psql(
        "postgres",
        "create role worker login in role conversion_outbox_worker",
    );
    assert_eq!(
        migrate::check(&server.open("worker", "postgres"))
            .await
            .expect("readable"),
        15
    );
}

#[tokio::test]
async fn a_printed_script_is_as_good() {
    let server = Server::start();
    server.psql("postgres", &migrate::script(ALL));
    let database = server.open("postgres", "postgres");
    assert!(
        migrate::up(&database)
            .await
            .expect("nothing to do")
            .is_empty()
    );
}

#[tokio::test]
async fn a_database_full_of_events_is_migrated_with_all_that_is_in_it() {
    let server = Server::start();
    server.psql("postgres", "create role migrator login createrole");
    server.psql("postgres", "grant create on database postgres to migrator");
    server.psql(
        "postgres",
        &format!("set role migrator; {}", migrate::script(1..=7)),
    );
    server.psql(
        "postgres",
        "insert into conversion_outbox.destination (name, platform) values ('meta', 'meta');
         insert into conversion_outbox.event (event_id, event_name, business_id, depends_on, consent, value, currency)
         select name || ':' || n || coalesce('_' || part, ''), name, n::text, case when part is not null then 'order_paid:' || n end,
                '{\"ad_storage\": \"granted\", \"analytics_storage\": \"granted\", \"ad_user_data\": \"granted\", \"ad_personalization\": \"granted\"}',
                5, 'EUR'
           from generate_series(1, 300) n,
                (values ('order_paid', null), ('order_refunded', 1), ('order_cancelled', 2), ('deal_won', 3)) k (name, part);
         insert into conversion_outbox.delivery (event_no, destination, state, reason, due_at)
         select event_no, 'meta', 'pending', 'waiting_for_original', now() from conversion_outbox.event where depends_on is not null",
    );
    let database = server.open("migrator", "postgres");
    assert_eq!(migrate::up(&database).await.expect("migrated").len(), 8);
    server.psql(
        "postgres",
        "do $$ begin
           assert (select array_agg(reversal_no order by event_no) from conversion_outbox.event where business_id = '17')
             = array[null, 1, 2, null]::integer[], 'numbers';
           assert has_function_privilege('conversion_outbox_privacy', 'conversion_outbox.erase_subject(text[], text)', 'execute'), 'privacy';
           assert not has_function_privilege('conversion_outbox_app', 'conversion_outbox.erase_subject(text[], text)', 'execute'), 'app';
           assert has_function_privilege('conversion_outbox_operator', 'conversion_outbox.resume_destination(text, text, text)', 'execute'), 'operator';
         end $$",
    );
}
