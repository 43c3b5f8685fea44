//! `[database]`: where the application's database is, and the limits every statement of ours obeys.

use std::time::Duration;

use super::read::Reader;
use super::secret::SecretRef;

/// `[database]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseConfig {
    /// Connection string in a form libpq takes, by reference since it holds a password.
    pub url: SecretRef,
    /// Connections at most, for each process. Default 4: statements are short, and the database is the application's.
    pub pool_size: u32,
    /// Longest a statement may run. Default 10 s, far above what any of ours takes.
    pub statement_timeout: Duration,
    /// Longest a statement may wait for a lock. Default 2 s: rather late than in the application's way.
    pub lock_timeout: Duration,
    /// Longest a connection may take to be made. Default 5 s.
    pub connect_timeout: Duration,
    /// Accepts a connection that is not encrypted, or whose server is not verified. Off by default.
    pub is_insecure: bool,
}

impl DatabaseConfig {
    /// The given database, everything else by default.
    pub fn new(url: SecretRef) -> DatabaseConfig {
        DatabaseConfig {
            url,
            pool_size: 4,
            statement_timeout: Duration::from_secs(10),
            lock_timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(5),
            is_insecure: false,
        }
    }

    /// Reads the section.
    pub fn read(reader: &mut Reader<'_>) -> Option<DatabaseConfig> {
        let url =
            reader.required_secret("url", "{ file = \"/path\" } or { env = \"DATABASE_URL\" }");
        let default = DatabaseConfig::new(SecretRef::variable(""));
        let config = DatabaseConfig {
            pool_size: reader
                .integer("pool_size", 1..=100)
                .unwrap_or(default.pool_size),
            statement_timeout: reader
                .seconds("statement_timeout_secs", 1..=600)
                .unwrap_or(default.statement_timeout),
            lock_timeout: reader
                .seconds("lock_timeout_secs", 1..=600)
                .unwrap_or(default.lock_timeout),
            connect_timeout: reader
                .seconds("connect_timeout_secs", 1..=600)
                .unwrap_or(default.connect_timeout),
            is_insecure: reader.boolean("insecure").unwrap_or(default.is_insecure),
            url: url?,
        };
        Some(config)
    }
}
