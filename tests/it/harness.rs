//! A private PostgreSQL for this process, and a fresh, migrated database for each test.
//!
//! The server starts with the first test that asks, in about a second, and ends with the process: its guard sees the
//! process go. Under nextest, where each test is a process, each test has a server of its own. Nothing here sleeps:
//! [`Outbox::until_blocked`] asks the server itself, as often as it answers, until another session waits for a lock.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use conversion_outbox::config::database::DatabaseConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::db::connect::Database;
use conversion_outbox::db::migrate;
use conversion_outbox::sandbox::postgres::{Options, Postgres};
use tempfile::TempDir;
use tokio::sync::OnceCell;
use tokio_postgres::error::DbError;
use tokio_postgres::types::FromSqlOwned;
use tokio_postgres::{Client, NoTls};

/// How long a condition may take to come true before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

static SERVER: OnceCell<Postgres> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A database of its own, with the schema, in the server of this process.
pub(crate) struct Outbox {
    url: String,
    folder: TempDir,
}

impl Outbox {
    /// A copy of the migrated template.
    pub(crate) async fn new() -> Outbox {
        let server = SERVER.get_or_init(start).await;
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let admin = Session::open(&server.url("postgres")).await;
        admin
            .run(&format!("create database {name} template outbox_template"))
            .await;
        Outbox {
            url: server.url(&name),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// A connection as the superuser, who owns the schema too.
    pub(crate) async fn admin(&self) -> Session {
        Session::open(&self.url).await
    }

    /// A connection as a member of `conversion_outbox_<role>`: app, worker, reader, operator or privacy.
    pub(crate) async fn session(&self, role: &str) -> Session {
        Session::open(&self.url_of(role)).await
    }

    /// The worker's own way to the database.
    pub(crate) fn worker(&self) -> Database {
        open(&self.url_of("worker"), &self.folder)
    }

    /// An operator's way to the database, as the commands take it.
    pub(crate) fn operator(&self) -> Database {
        open(&self.url_of("operator"), &self.folder)
    }

    /// The address of this database for a member of `conversion_outbox_<role>`.
    pub(crate) fn url_of(&self, role: &str) -> String {
        self.url.replace("//postgres@", &format!("//{role}_login@"))
    }

    /// Returns once the session waits for a lock that another session holds.
    pub(crate) async fn until_blocked(&self, session: i32) {
        let observer = self.admin().await;
        let asking = async {
            while !observer
                .one::<bool>(&format!(
                    "select cardinality(pg_blocking_pids({session})) > 0"
                ))
                .await
            {}
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .expect("it waits for the other transaction");
    }
}

/// One connection.
pub(crate) struct Session {
    client: Client,
}

impl Session {
    async fn open(url: &str) -> Session {
        let (client, connection) = tokio_postgres::connect(url, NoTls)
            .await
            .expect("the server takes connections");
        tokio::spawn(connection);
        Session { client }
    }

    /// The server's process for this connection.
    pub(crate) async fn pid(&self) -> i32 {
        self.one("select pg_backend_pid()").await
    }

    /// Runs statements that must succeed.
    pub(crate) async fn run(&self, sql: &str) {
        if let Err(error) = self.client.batch_execute(sql).await {
            panic!("{error:?} in {sql}");
        }
    }

    /// The first column of the only row.
    pub(crate) async fn one<T: FromSqlOwned>(&self, sql: &str) -> T {
        match self.client.query_one(sql, &[]).await {
            Ok(row) => row.get(0),
            Err(error) => panic!("{error:?} in {sql}"),
        }
    }

    /// The first column of every row.
    pub(crate) async fn all<T: FromSqlOwned>(&self, sql: &str) -> Vec<T> {
        match self.client.query(sql, &[]).await {
            Ok(rows) => rows.iter().map(|row| row.get(0)).collect(),
            Err(error) => panic!("{error:?} in {sql}"),
        }
    }

    /// How many rows a statement wrote, or why the server refused it.
    pub(crate) async fn attempt(&self, sql: &str) -> Result<u64, DbError> {
        self.client.execute(sql, &[]).await.map_err(|error| {
            error
                .as_db_error()
                .unwrap_or_else(|| panic!("{error:?} in {sql}"))
                .clone()
        })
    }

    /// Why the server refuses a statement.
    pub(crate) async fn refusal(&self, sql: &str) -> DbError {
        self.attempt(sql).await.expect_err(sql)
    }
}

/// The four ways in which an application writes an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// `insert`, and nothing else.
    Plain,
    /// `insert … on conflict do nothing`.
    OnConflict,
    /// `insert … on conflict (event_id) do nothing`.
    OnConflictEventId,
    /// `enqueue(…)`.
    Enqueue,
}

impl Form {
    pub(crate) const ALL: [Form; 4] = [
        Form::Plain,
        Form::OnConflict,
        Form::OnConflictEventId,
        Form::Enqueue,
    ];
}

/// All four signals granted.
pub(crate) const GRANTED: &str = r#"'{"ad_storage":"granted","analytics_storage":"granted","ad_user_data":"granted","ad_personalization":"granted"}'"#;

/// An event to be written: columns with sql expressions.
#[derive(Clone, Debug)]
pub(crate) struct Event(Vec<(&'static str, String)>);

impl Event {
    /// `order_paid` of 12.50 EUR with full consent.
    pub(crate) fn order(business_id: &str) -> Event {
        Event(Vec::new())
            .text("event_name", "order_paid")
            .text("business_id", business_id)
            .set("value", "12.50")
            .text("currency", "EUR")
            .set("consent", GRANTED)
    }

    /// Puts an sql expression into a column.
    pub(crate) fn set(mut self, column: &'static str, expression: &str) -> Event {
        self.0.retain(|(name, _)| *name != column);
        self.0.push((column, expression.to_owned()));
        self
    }

    /// Puts a text, or json as a text, into a column.
    pub(crate) fn text(self, column: &'static str, text: &str) -> Event {
        self.set(column, &format!("'{}'", text.replace('\'', "''")))
    }

    /// Leaves a column out.
    pub(crate) fn without(mut self, column: &str) -> Event {
        self.0.retain(|(name, _)| *name != column);
        self
    }

    /// The statement that writes it.
    pub(crate) fn sql(&self, form: Form) -> String {
        let join = |separator: &str, part: fn(&(&'static str, String)) -> String| {
            self.0.iter().map(part).collect::<Vec<_>>().join(separator)
        };
        let insert = format!(
            "insert into conversion_outbox.event ({}) values ({})",
            join(", ", |(column, _)| (*column).to_owned()),
            join(", ", |(_, expression)| expression.clone())
        );
        match form {
            Form::Plain => insert,
            Form::OnConflict => format!("{insert} on conflict do nothing"),
            Form::OnConflictEventId => format!("{insert} on conflict (event_id) do nothing"),
            Form::Enqueue => format!(
                "select outcome from conversion_outbox.enqueue({})",
                join(", ", |(column, expression)| format!(
                    "{column} => {expression}"
                ))
            ),
        }
    }
}

/// The product's own way to a database; its address has to be in a file.
fn open(url: &str, folder: &TempDir) -> Database {
    let file = folder.path().join("url");
    std::fs::write(&file, url).expect("written");
    Database::open(&DatabaseConfig::new(SecretRef::file(file))).expect("a valid configuration")
}

/// Starts the server and makes the template that every test's database is a copy of.
async fn start() -> Postgres {
    let options = Options {
        max_connections: 200,
        ..Options::default()
    };
    let server = Postgres::start(options).expect("PostgreSQL is installed where the tests run");
    let admin = Session::open(&server.url("postgres")).await;
    admin.run("create database outbox_template").await;
    let folder = tempfile::tempdir().expect("a folder");
    let migrator = open(&server.url("outbox_template"), &folder);
    migrate::up(&migrator).await.expect("migrated");
    let template = Session::open(&server.url("outbox_template")).await;
    for role in ["app", "worker", "reader", "operator", "privacy"] {
        let login =
            format!("create role {role}_login login in role conversion_outbox_{role} inherit");
        template.run(&login).await;
    }
    // `create database` waits a few seconds for the last visitor of its template, who is on the way out.
    drop((migrator, template));
    server
}
