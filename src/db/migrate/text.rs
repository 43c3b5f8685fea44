//! The migrations as SQL text. Pure: nothing here knows a database.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::time::Duration;

use sha2::{Digest, Sha256};

/// Declares the migrations, oldest first: their version is their place, counted from 1.
macro_rules! migrations {
    ($($version:literal $name:literal,)+) => {
        &[$(Migration {
            version: $version,
            name: $name,
            text: include_str!(concat!("../../../sql/migrations/", $name, ".sql")),
        },)+]
    };
}

/// Every migration, oldest first. One that was released never changes; what it got wrong, a later one mends.
pub const MIGRATIONS: &[Migration] = migrations![
    1 "0001_roles",
    2 "0002_event",
    3 "0003_delivery",
    4 "0004_insert",
    5 "0005_functions",
    6 "0006_state",
    7 "0007_grants",
    8 "0008_adjustments",
    9 "0009_late_answers",
    10 "0010_operations",
    11 "0011_limits",
    12 "0012_privacy",
    13 "0013_tallies",
    14 "0014_count_history",
    15 "0015_reconciliation",
];

/// How long a statement of a migration may wait for a lock, and with it everybody who comes after it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(5);

const RECORD: &str = include_str!("../../../sql/schema_migration.sql");

/// One step of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// Counted from 1, without gaps.
    pub version: u32,
    /// Name of its file, without the ending.
    pub name: &'static str,
    text: &'static str,
}

/// Plain SQL that does what [`up`](super::up) does with these versions, for people and for other migration tools.
pub fn script(versions: RangeInclusive<u32>) -> String {
    let mut script = String::new();
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| versions.contains(&migration.version))
    {
        write!(
            script,
            "-- {}\nbegin;\n{}commit;\n\n",
            migration.name,
            migration.statements()
        )
        .expect("a string takes any text");
    }
    script
}

impl Migration {
    /// SHA-256 of its text, in hexadecimal.
    pub(super) fn checksum(&self) -> String {
        Sha256::digest(self.text)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Everything between `begin` and `commit`.
    pub(super) fn statements(&self) -> String {
        let Migration {
            version,
            name,
            text,
        } = self;
        let record = if *version == 1 { RECORD } else { "" };
        format!(
            "set local lock_timeout = {};\n{text}\n{record}\n\
             insert into conversion_outbox.schema_migration (version, name, checksum) values ({version}, '{name}', '{}');\n",
            LOCK_TIMEOUT.as_millis(),
            self.checksum(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::SUPPORTED;
    use super::*;

    #[test]
    fn versions_count_from_one_as_their_files_do() {
        for (expected, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.version, expected);
            assert!(migration.name.starts_with(&format!("{expected:04}_")));
        }
        assert_eq!(MIGRATIONS.len(), *SUPPORTED.end() as usize);
    }

    #[test]
    fn every_file_of_the_folder_is_a_migration() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/migrations");
        let mut files: Vec<String> = std::fs::read_dir(folder)
            .expect("the folder of migrations")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("plain")
            })
            .collect();
        files.sort();
        let names: Vec<String> = MIGRATIONS
            .iter()
            .map(|one| format!("{}.sql", one.name))
            .collect();
        assert_eq!(files, names);
    }

    #[test]
    fn a_script_holds_the_versions_asked_for() {
        let script = script(2..=3);
        assert_eq!(script.matches("\ncommit;\n").count(), 2);
        assert!(script.starts_with("-- 0002_event\nbegin;\n"));
        assert!(!script.contains("create table conversion_outbox.schema_migration"));
    }
}
