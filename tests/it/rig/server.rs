//! The database server of the tests: its migrated template, its logins, and a connection that hears of changes.

use conversion_outbox::config::database::DatabaseConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::db::connect::Database;
use conversion_outbox::db::migrate;
use conversion_outbox::sandbox::postgres::{Options, Postgres};
use futures::StreamExt;
use tokio::sync::watch;
use tokio_postgres::{AsyncMessage, Client, NoTls};

/// Tells the listener of every change that a test may wait for.
const WATCH: &str = "
    create function public.tell() returns trigger language plpgsql as
      $$ begin perform pg_notify('rig', tg_table_name); return null; end $$;
    do $$ declare watched text; begin
      foreach watched in array array['delivery', 'queue', 'destination', 'request', 'rule_hold', 'retention', 'policy'] loop
        execute format('create trigger tell after insert or update or delete on conversion_outbox.%I
                        for each statement execute function public.tell()', watched);
      end loop;
    end $$;";

/// A server with a migrated template and the logins of application and worker.
pub(crate) async fn start(options: Options) -> Postgres {
    let server = tokio::task::spawn_blocking(move || Postgres::start(options))
        .await
        .expect("no panic")
        .expect("PostgreSQL is installed where the tests run");
    let (admin, connection) = tokio_postgres::connect(&server.url("postgres"), NoTls)
        .await
        .expect("connected");
    tokio::spawn(connection);
    admin
        .batch_execute("create database rig_template")
        .await
        .expect("made");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("url");
    std::fs::write(&file, server.url("rig_template")).expect("written");
    let template =
        Database::open(&DatabaseConfig::new(SecretRef::file(file))).expect("a valid address");
    migrate::up(&template).await.expect("migrated");
    template
        .client()
        .await
        .expect("connected")
        .batch_execute(WATCH)
        .await
        .expect("watched");
    template.pool().close();
    admin
        .batch_execute(
            "create role rig_app login in role conversion_outbox_app;
             create role rig_worker login in role conversion_outbox_worker;
             create role rig_privacy login in role conversion_outbox_privacy;
             create role rig_operator login in role conversion_outbox_operator;
             alter database rig_template allow_connections false;",
        )
        .await
        .expect("made");
    // Connections end a moment after they are closed, and a template must have none.
    admin
        .batch_execute("select pg_terminate_backend(pid, 10000) from pg_stat_activity where datname = 'rig_template'")
        .await
        .expect("closed");
    server
}

/// A superuser's connection that counts the changes it is told of.
pub(super) async fn connect(url: &str) -> (Client, watch::Receiver<u64>) {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls)
        .await
        .expect("connected");
    let (heard, changes) = watch::channel(0);
    tokio::spawn(async move {
        let mut messages =
            futures::stream::poll_fn(move |context| connection.poll_message(context));
        while let Some(message) = messages.next().await {
            match message {
                Ok(AsyncMessage::Notification(_)) => heard.send_modify(|count| *count += 1),
                Ok(_) => {}
                // The server went away; whoever waits is told by the next statement.
                Err(_) => break,
            }
        }
    });
    client.batch_execute("listen rig").await.expect("listening");
    (client, changes)
}
