//! Chooses the operating system's account that the server runs as: PostgreSQL refuses to run as root.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{PostgresError, system};

/// Accounts to run as when this process is root, best first.
const CANDIDATES: [&str; 2] = ["postgres", "nobody"];

/// Who PostgreSQL's programs run as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Account {
    /// The same account as this process.
    Own,
    /// Another account, since this process is root.
    Other {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Account {
    /// The account for a server in this folder, which this process has just created; the folder becomes its property.
    pub(super) fn owning(folder: &Path) -> Result<Self, PostgresError> {
        // A new file's owner is this process's effective user, which the standard library does not tell otherwise.
        let own = fs::metadata(folder)
            .map_err(system("inspect", folder))?
            .uid();
        if own != 0 {
            return Ok(Self::Own);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let (uid, gid) = CANDIDATES
            .iter()
            .find_map(|name| ids(&passwd, name))
            .ok_or(PostgresError::NoAccount)?;
        chown(folder, Some(uid), Some(gid)).map_err(system("give away", folder))?;
        Ok(Self::Other { uid, gid })
    }

    /// A command that will run as this account.
    pub(super) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        if let Self::Other { uid, gid } = *self {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// User and group id of an account, from the text of `/etc/passwd` (name:password:uid:gid:…).
fn ids(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let [user, _, uid, gid, ..] = fields[..] else {
            return None;
        };
        (user == name).then_some((uid.parse().ok()?, gid.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_looked_up_by_exact_name() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nmypostgres:x:7:7::/:\npostgres:x:101:104:admin:/var:/bin/sh\n";
        assert_eq!(ids(passwd, "postgres"), Some((101, 104)));
        assert_eq!(ids(passwd, "nobody"), None);
    }
}
