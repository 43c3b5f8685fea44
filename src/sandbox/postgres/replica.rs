//! A second server that follows the first by streaming replication, to try failovers with.
//!
//! Made by copying the stopped cluster, so that `pg_basebackup`, which some installations lack, is not needed.

use std::fs;
use std::process::Command;

use super::account::Account;
use super::binaries::Binaries;
use super::command::Programs;
use super::guard::Guard;
use super::{Options, Postgres, PostgresError, fresh_folder, system};

/// Its presence in the data folder makes a server a standby.
const STANDBY: &str = "data/standby.signal";

impl Postgres {
    /// A hot standby with everything this server has by now, following it by way of this port of 127.0.0.1 (its own, or
    /// that of a proxy). This server is stopped for the copy and started again: its connections are lost.
    /// `select pg_promote()` makes the standby a primary.
    ///
    /// # Errors
    /// [`PostgresError`]: as for [`Postgres::start`], or the copy failed.
    pub fn follower(&self, by_port: u16, options: &Options) -> Result<Postgres, PostgresError> {
        let binaries = Binaries::find()?;
        let folder = fresh_folder()?;
        let account = Account::owning(&folder)?;
        let guard = Guard::watch(&binaries, &account, &folder)?;
        let programs = Programs::new(binaries, account, &folder);
        let mut standby = Postgres {
            folder,
            port: 0,
            programs,
            guard,
        };
        self.programs.stop("fast")?;
        let copied = copy(&self.folder.join("data"), &standby.folder.join("data"));
        self.programs.start()?;
        copied?;
        standby.become_standby()?;
        let mut options = options.clone();
        let primary = format!("host=127.0.0.1 port={by_port} user=postgres");
        options
            .settings
            .push(("primary_conninfo".to_owned(), primary));
        standby.start_on_free_port(&options)?;
        Ok(standby)
    }

    /// Starts a crashed primary as a standby that follows nobody: it answers, and takes no writes.
    ///
    /// # Errors
    /// [`PostgresError`] when it does not come up.
    pub fn restart_as_standby(&self) -> Result<(), PostgresError> {
        self.become_standby()?;
        self.programs.start()
    }

    fn become_standby(&self) -> Result<(), PostgresError> {
        let signal = self.folder.join(STANDBY);
        fs::write(&signal, "").map_err(system("write", &signal))
    }
}

/// With owners and modes, which the server insists on.
fn copy(from: &std::path::Path, to: &std::path::Path) -> Result<(), PostgresError> {
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output();
    let output = output.map_err(system("copy", from))?;
    if output.status.success() {
        return Ok(());
    }
    let said = std::io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned());
    Err(system("copy", from)(said))
}
