//! A tiny process that ends the server and deletes its folder once this process is gone, however it went.
//!
//! It reads from a pipe whose other end only this process holds. The kernel closes that end even after `kill -9`, so
//! one mechanism serves a clean stop, a panic and a violent death alike.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};

use super::account::Account;
use super::binaries::Binaries;
use super::{PostgresError, system};

/// `$0` is `pg_ctl`, `$1` the folder. A line means "keep the server"; end of input means "clean up". `immediate`
/// is right because the data is deleted in the next moment. Signals from the terminal are for the parent alone.
const SCRIPT: &str = r#"trap '' HUP INT TERM; read -r _ && exit; "$0" -D "$1/data" -m immediate -s stop; rm -rf -- "$1""#;

/// The guard of one server.
#[derive(Debug)]
pub(super) struct Guard(Child);

impl Guard {
    /// Starts watching over a folder. There need not be a server in it yet.
    pub(super) fn watch(
        binaries: &Binaries,
        account: &Account,
        folder: &Path,
    ) -> Result<Self, PostgresError> {
        let mut command = account.command(Path::new("/bin/sh"));
        command
            .arg("-c")
            .arg(SCRIPT)
            .arg(binaries.dir.join("pg_ctl"))
            .arg(folder);
        command.current_dir("/").process_group(0);
        // Nothing of the parent's may be held open, or whoever reads its output would wait for the guard as well.
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
            .spawn()
            .map(Self)
            .map_err(system("start a guard for", folder))
    }

    /// Lets the server and its folder live on.
    pub(super) fn dismiss(&mut self) {
        if let Some(mut pipe) = self.0.stdin.take() {
            // A guard that is already gone watches over nothing, which is what was asked for.
            drop(pipe.write_all(b"keep\n"));
            drop(pipe);
            drop(self.0.wait());
        }
    }

    /// Ends the server and deletes the folder; returns when that is done. False when the guard had been dismissed.
    pub(super) fn relieve(&mut self) -> bool {
        let watched = self.0.stdin.take().is_some();
        if watched {
            drop(self.0.wait());
        }
        watched
    }

    /// What the guard sees when the parent dies.
    #[cfg(test)]
    pub(super) fn abandon(&mut self) {
        assert!(self.relieve());
    }
}
