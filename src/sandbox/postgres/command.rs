//! Runs `initdb` and `pg_ctl` on one cluster, and makes their failures readable.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::account::Account;
use super::binaries::Binaries;
use super::{PostgresError, system};

/// Lines of the server's log that go into an error.
const LOG_LINES_SHOWN: usize = 12;

/// PostgreSQL's programs, bound to one cluster and one account.
#[derive(Debug)]
pub(super) struct Programs {
    binaries: Binaries,
    account: Account,
    folder: PathBuf,
}

impl Programs {
    pub(super) fn new(binaries: Binaries, account: Account, folder: &Path) -> Self {
        Self {
            binaries,
            account,
            folder: folder.to_owned(),
        }
    }

    pub(super) fn bin_dir(&self) -> &Path {
        &self.binaries.dir
    }

    pub(super) fn major(&self) -> u32 {
        self.binaries.major
    }

    /// Makes the cluster: superuser `postgres`, UTF-8, C locale, and no waiting for the disk.
    pub(super) fn initdb(&self) -> Result<(), PostgresError> {
        self.run(
            "initdb",
            &[
                "-U",
                "postgres",
                "-A",
                "trust",
                "--locale=C",
                "--encoding=UTF8",
                "--no-sync",
                "--no-instructions",
            ],
        )
    }

    /// Starts the server and waits until it takes connections. The log starts anew, so that an error shows this start.
    pub(super) fn start(&self) -> Result<(), PostgresError> {
        drop(fs::remove_file(self.log()));
        self.pg_ctl(&["start"])
    }

    /// Stops the server and waits until it is gone. The mode is `pg_ctl`'s: `fast` or `immediate`.
    pub(super) fn stop(&self, mode: &str) -> Result<(), PostgresError> {
        self.pg_ctl(&["stop", "-m", mode])
    }

    /// Stops the server where it runs, and starts it.
    pub(super) fn restart(&self) -> Result<(), PostgresError> {
        self.pg_ctl(&["restart", "-m", "fast"])
    }

    fn pg_ctl(&self, words: &[&str]) -> Result<(), PostgresError> {
        let log = self.log();
        let log = log.to_str().expect("the folder's name was made from text");
        // Recovery after a crash may take a while on a slow machine; pg_ctl returns as soon as the server is there.
        self.run("pg_ctl", &[words, &["-w", "-t", "60", "-l", log]].concat())
    }

    fn run(&self, program: &'static str, words: &[&str]) -> Result<(), PostgresError> {
        let path = self.binaries.dir.join(program);
        let output = self
            .command(&path)
            .args(words)
            .output()
            .map_err(system("run", &path))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let output_and_log = format!("{said}\n{}", self.end_of_log()).trim().to_owned();
        Err(PostgresError::Program {
            program,
            status: output.status.to_string(),
            output: output_and_log,
        })
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = self.account.command(program);
        // In a folder the account may enter, and in English, because a lost port is told from the log's words.
        command
            .current_dir(&self.folder)
            .env("LC_ALL", "C")
            .env("PGDATA", self.folder.join("data"));
        command
    }

    fn log(&self) -> PathBuf {
        self.folder.join("log")
    }

    fn end_of_log(&self) -> String {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}
