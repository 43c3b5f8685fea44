//! A private PostgreSQL for one test, where a test needs roles or databases of its own.

use std::process::Command;

use conversion_outbox::config::database::DatabaseConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::db::connect::Database;
use conversion_outbox::sandbox::postgres::{Options, Postgres};
use serde_json::Value;
use tempfile::TempDir;

/// A cluster of its own, and a folder for what a test writes.
pub(crate) struct Server {
    postgres: Postgres,
    /// Deleted with the server.
    pub(crate) folder: TempDir,
}

impl Server {
    /// Starts an empty one.
    pub(crate) fn start() -> Server {
        Server {
            postgres: Postgres::start(Options::default()).expect("PostgreSQL is installed"),
            folder: tempfile::tempdir().expect("a folder"),
        }
    }

    /// One of its databases, as this login.
    pub(crate) fn open(&self, login: &str, database: &str) -> Database {
        let url = self
            .postgres
            .url(database)
            .replace("postgres@", &format!("{login}@"));
        let file = self.folder.path().join(format!("{login}-{database}"));
        std::fs::write(&file, url).expect("written");
        Database::open(&DatabaseConfig::new(SecretRef::file(file))).expect("a valid configuration")
    }

    /// The address of one of its databases, for the superuser.
    pub(crate) fn url(&self, database: &str) -> String {
        self.postgres.url(database)
    }

    /// Runs statements as the superuser.
    pub(crate) fn psql(&self, database: &str, sql: &str) {
        let said = self.try_psql(database, sql);
        assert_eq!(said, Ok(()), "{sql}");
    }

    /// Runs statements as the superuser, or gives what the server said against them.
    pub(crate) fn try_psql(&self, database: &str, sql: &str) -> Result<(), String> {
        // Some installations have the server programs only; any version of psql will do.
        let beside = self.postgres.bin_dir().join("psql");
        let psql = if beside.exists() {
            beside
        } else {
            "psql".into()
        };
        // In a file: the whole schema is more than an argument may hold.
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), sql).expect("written");
        let output = Command::new(psql)
            .args(["-Xqv", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-f"])
            .arg(file.path())
            .arg(self.postgres.url(database))
            .output()
            .expect("psql runs");
        match output.status.success() {
            true => Ok(()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
        }
    }

    /// Inserts an event as an application does, or gives what the server said against it.
    pub(crate) fn try_insert(&self, event: &Value) -> Result<(), String> {
        let keys: Vec<&str> = event
            .as_object()
            .expect("an object")
            .keys()
            .map(String::as_str)
            .collect();
        let columns = keys.join(", ");
        let sql = format!(
            "insert into conversion_outbox.event ({columns}) select {columns}
               from jsonb_populate_record(null::conversion_outbox.event, $event${event}$event$)"
        );
        self.try_psql("postgres", &sql)
    }
}
