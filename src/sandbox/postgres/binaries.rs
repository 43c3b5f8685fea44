//! Finds PostgreSQL's server programs on this machine. Installs nothing.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::PostgresError;

/// The oldest major version the product supports.
pub(super) const MAJOR_MIN: u32 = 14;

/// Names the folder to use; nothing else is looked at when it is set.
pub(super) const OVERRIDE: &str = "CONVERSION_OUTBOX_PG_BINDIR";

/// Folders that hold one folder a version, and the path from there to the programs.
const VERSIONED: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Library/PostgreSQL", "", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// One usable installation.
#[derive(Debug, Clone)]
pub(super) struct Binaries {
    /// The real folder: `initdb` looks for its siblings beside itself, so a folder of symbolic links will not do.
    pub(super) dir: PathBuf,
    /// Such as 15.
    pub(super) major: u32,
}

impl Binaries {
    /// The first usable installation: the one named by [`OVERRIDE`], else `pg_config`'s, else the newest in the usual
    /// places, else the one on `PATH`.
    #[expect(
        clippy::disallowed_methods,
        reason = "where binaries lie is the machine's affair, not configuration"
    )]
    pub(super) fn find() -> Result<Self, PostgresError> {
        let places = match env::var_os(OVERRIDE) {
            Some(dir) => vec![PathBuf::from(dir)],
            None => pg_config()
                .into_iter()
                .chain(versioned())
                .chain(on_path())
                .collect(),
        };
        let looked_in = || {
            places
                .iter()
                .map(|place| place.display().to_string())
                .collect::<Vec<_>>()
                .join(", ")
        };
        places
            .iter()
            .find_map(|place| usable(place))
            .ok_or_else(|| PostgresError::NotInstalled {
                looked_in: looked_in(),
            })
    }
}

/// The installation that the `initdb` in this folder really belongs to, when it is complete and new enough.
fn usable(place: &Path) -> Option<Binaries> {
    let dir = fs::canonicalize(place.join("initdb"))
        .ok()?
        .parent()?
        .to_owned();
    let complete = ["initdb", "pg_ctl", "postgres"]
        .iter()
        .all(|program| dir.join(program).is_file());
    let major = major(&answer(&dir.join("postgres"), "--version")?)?;
    (complete && major >= MAJOR_MIN).then_some(Binaries { dir, major })
}

/// Reads 15 out of `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and 19 out of `… 19devel`.
fn major(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn pg_config() -> Option<PathBuf> {
    answer(Path::new("pg_config"), "--bindir").map(PathBuf::from)
}

/// The usual places of Debian, Red Hat, Homebrew and the macOS installers, newest version first.
fn versioned() -> Vec<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = VERSIONED
        .iter()
        .flat_map(|(parent, prefix, rest)| {
            let entries = fs::read_dir(parent).into_iter().flatten().flatten();
            entries.filter_map(move |entry| {
                let version = entry
                    .file_name()
                    .to_str()?
                    .strip_prefix(prefix)?
                    .parse()
                    .ok()?;
                Some((version, entry.path().join(rest)))
            })
        })
        .collect();
    found.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    found.into_iter().map(|(_, dir)| dir).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "where binaries lie is the machine's affair, not configuration"
)]
fn on_path() -> Vec<PathBuf> {
    env::var_os("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// What a program says when asked one thing; none when it cannot be run.
fn answer(program: &Path, question: &str) -> Option<String> {
    let output = Command::new(program).arg(question).output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(
            major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)"),
            Some(15)
        );
        assert_eq!(major("postgres (PostgreSQL) 19devel"), Some(19));
        assert_eq!(major("mysqld 8"), None);
    }

    #[test]
    fn a_folder_of_links_leads_to_the_real_one() {
        let real = Binaries::find()
            .expect("PostgreSQL is installed where the tests run")
            .dir;
        let links = tempfile::tempdir().expect("a temporary folder");
        std::os::unix::fs::symlink(real.join("initdb"), links.path().join("initdb"))
            .expect("a link");
        assert_eq!(usable(links.path()).expect("it resolves").dir, real);
    }

    #[test]
    fn an_empty_folder_is_no_installation() {
        assert!(usable(Path::new("/nonexistent")).is_none());
    }

    #[test]
    fn the_error_says_what_to_install() {
        let error = PostgresError::NotInstalled {
            looked_in: "/usr/bin".to_owned(),
        }
        .to_string();
        for part in [
            "apt-get install -y postgresql",
            "brew install",
            "dnf install",
            OVERRIDE,
            "14 or newer",
        ] {
            assert!(error.contains(part), "{error}");
        }
    }
}
