//! A private, throwaway PostgreSQL server made from installed binaries, for the demo, the bench and the tests.
//!
//! It is not a way to run a database: its folder is deleted when the [`Postgres`] is dropped, and also when this
//! process dies without being asked (module `guard`). It trusts everybody who can reach 127.0.0.1 of this machine.
//! It hands out addresses and connects to nothing itself.

mod account;
mod binaries;
mod command;
mod guard;
mod replica;

use std::fs::{self, DirBuilder};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use account::Account;
use binaries::Binaries;
use command::Programs;
use guard::Guard;

/// How the server is to be set up.
#[derive(Debug, Clone)]
pub struct Options {
    /// Whether a committed transaction must survive [`Postgres::crash`].
    pub durability: Durability,
    /// Connections the server accepts at once, superusers' reserved ones included.
    pub max_connections: u16,
    /// Further lines for `postgresql.conf`, name and value; they win over the server's own.
    pub settings: Vec<(String, String)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Throwaway,
            max_connections: 100,
            settings: Vec::new(),
        }
    }
}

/// What a commit costs and what it is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// `fsync`, `synchronous_commit` and `full_page_writes` off: quick, and a crash may lose the last commits.
    Throwaway,
    /// As an operator would run it. For crash tests and for measuring.
    Real,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// No usable installation was found; the text says what to install.
    #[error(
        "no PostgreSQL {least} or newer found: `initdb`, `pg_ctl` and `postgres` are needed in one folder \
         (looked in: {looked_in}). Install it (Debian, Ubuntu: `apt-get install -y postgresql`; Fedora: \
         `dnf install -y postgresql-server`; macOS: `brew install postgresql@17`), or set {variable} to the folder.",
        least = binaries::MAJOR_MIN,
        variable = binaries::OVERRIDE
    )]
    NotInstalled {
        /// The folders that were tried.
        looked_in: String,
    },
    /// This process is root, PostgreSQL refuses to run as root, and there is no other account to run it as.
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd names neither `postgres` nor `nobody` to run it as. \
         Run this command as another user."
    )]
    NoAccount,
    /// One of PostgreSQL's programs failed.
    #[error("{program} failed ({status}): {output}")]
    Program {
        /// `initdb` or `pg_ctl`.
        program: &'static str,
        /// How it ended.
        status: String,
        /// What it wrote, and the end of the server's log.
        output: String,
    },
    /// A folder, a port or a process could not be had from the operating system.
    #[error("could not {action}: {source}")]
    System {
        /// What was being done, with the path it was done to.
        action: String,
        /// The operating system's answer.
        source: io::Error,
    },
}

/// A running server. Dropping it stops the server and deletes its folder.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    programs: Programs,
    guard: Guard,
}

impl Postgres {
    /// Makes a new cluster in a fresh temporary folder and starts it; about a second, returns once it takes connections.
    ///
    /// # Errors
    /// [`PostgresError`]: nothing installed, no account to run as, or one of PostgreSQL's programs failed.
    pub fn start(options: Options) -> Result<Self, PostgresError> {
        let binaries = Binaries::find()?;
        let folder = fresh_folder()?;
        let account = Account::owning(&folder)?;
        // Watched before anything runs, so that there is no moment at which a killed parent leaves a server behind.
        let guard = Guard::watch(&binaries, &account, &folder)?;
        let programs = Programs::new(binaries, account, &folder);
        let mut server = Self {
            folder,
            port: 0,
            programs,
            guard,
        };
        server.programs.initdb()?;
        server.start_on_free_port(&options)?;
        Ok(server)
    }

    /// The address of one of the server's databases over TCP, as its superuser `postgres`, without a password.
    pub fn url(&self, database: &str) -> String {
        format!("postgresql://postgres@127.0.0.1:{}/{database}", self.port)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The folder that holds the server's Unix socket, its log and its data.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of the binaries in use; `psql` and `pgbench` are there too where the installation has them.
    pub fn bin_dir(&self) -> &Path {
        self.programs.bin_dir()
    }

    /// The major version of the server, such as 15.
    pub fn major(&self) -> u32 {
        self.programs.major()
    }

    /// Stops the server as a power cut would: no checkpoint, connections cut, recovery at the next start.
    ///
    /// # Errors
    /// [`PostgresError::Program`] when it was not running.
    pub fn crash(&self) -> Result<(), PostgresError> {
        self.programs.stop("immediate")
    }

    /// Starts the server again on its port, after [`Postgres::crash`] or in place of a running one.
    ///
    /// # Errors
    /// [`PostgresError::Program`] when it does not come up, for example because another process took the port.
    pub fn restart(&self) -> Result<(), PostgresError> {
        self.programs.restart()
    }

    /// Lets the server live on after this process. [`Postgres::stop_command`] says how to end it.
    pub fn keep(&mut self) {
        self.guard.dismiss();
    }

    /// A shell command that stops the server and deletes its folder, for people who kept it.
    pub fn stop_command(&self) -> String {
        let folder = self.folder.display();
        format!(
            "pid=$(head -n 1 {folder}/data/postmaster.pid); kill -INT $pid; \
             while kill -0 $pid 2>/dev/null; do sleep 0.1; done; rm -r {folder}"
        )
    }

    /// Stops the server and deletes its folder, now instead of on drop.
    pub fn stop(self) {
        drop(self);
    }

    /// Finding a free port and using it are two steps, and another process may come between them: then try another.
    fn start_on_free_port(&mut self, options: &Options) -> Result<(), PostgresError> {
        const TRIES: u32 = 5;
        for _ in 1..TRIES {
            match self.start_on(free_port()?, options) {
                Err(error) if lost_the_port(&error) => {}
                done => return done,
            }
        }
        self.start_on(free_port()?, options)
    }

    fn start_on(&mut self, port: u16, options: &Options) -> Result<(), PostgresError> {
        self.port = port;
        let path = self.folder.join("data/postgresql.conf");
        fs::write(&path, configuration(&self.folder, port, options))
            .map_err(system("write", &path))?;
        self.programs.start()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        if self.guard.relieve() {
            // The guard has deleted all of it already, except where only root may remove the folder itself.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// The whole `postgresql.conf`. What it leaves out keeps PostgreSQL's own default.
fn configuration(folder: &Path, port: u16, options: &Options) -> String {
    let own = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", folder.display().to_string()),
        ("max_connections", options.max_connections.to_string()),
        ("wal_level", "replica".to_owned()),
        ("timezone", "UTC".to_owned()),
    ];
    let speed = match options.durability {
        Durability::Throwaway => &["fsync", "synchronous_commit", "full_page_writes"][..],
        Durability::Real => &[],
    };
    let own = own
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value));
    let speed = speed
        .iter()
        .map(|name| ((*name).to_owned(), "off".to_owned()));
    own.chain(speed)
        .chain(options.settings.iter().cloned())
        .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
        .collect()
}

/// A new folder under the system's temporary one that only its owner may enter.
fn fresh_folder() -> Result<PathBuf, PostgresError> {
    let temporary = std::env::temp_dir();
    // The server may run as another account than this process, and that account has to get there.
    let parent = if open_to_all(&temporary) {
        temporary
    } else {
        PathBuf::from("/tmp")
    };
    loop {
        let nanos = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.subsec_nanos());
        // Short, because a Unix socket's whole path must fit into about a hundred bytes.
        let folder = parent.join(format!("outbox-pg-{}-{nanos}", std::process::id()));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(system("create", &folder)(error)),
        }
    }
}

/// Whether every account may pass through this folder and all above it.
fn open_to_all(folder: &Path) -> bool {
    let passable = |path: &Path| fs::metadata(path).is_ok_and(|found| found.mode() & 0o001 != 0);
    folder.ancestors().all(passable)
}

fn free_port() -> Result<u16, PostgresError> {
    let address =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    Ok(address
        .map_err(system("find a free port on", Path::new("127.0.0.1")))?
        .port())
}

fn lost_the_port(error: &PostgresError) -> bool {
    matches!(error, PostgresError::Program { output, .. } if output.contains("Address already in use"))
}

/// Says what was being done to which path when the operating system refused.
fn system(action: &str, path: &Path) -> impl FnOnce(io::Error) -> PostgresError {
    let action = format!("{action} {}", path.display());
    move |source| PostgresError::System { action, source }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn reachable(port: u16) -> bool {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()
    }

    fn start() -> Postgres {
        Postgres::start(Options::default()).expect("PostgreSQL is installed where the tests run")
    }

    #[test]
    fn a_server_lives_until_it_is_dropped() {
        let server = start();
        let (port, folder) = (server.port(), server.folder().to_owned());
        assert!(reachable(port));
        assert!(server.major() >= binaries::MAJOR_MIN);
        server.stop();
        assert!(!reachable(port));
        assert!(!folder.exists());
    }

    #[test]
    fn a_parent_that_dies_leaves_nothing() {
        let mut server = start();
        // The kernel closes a dead process's end of the pipe; closing it here is all that the guard can see of it.
        server.guard.abandon();
        assert!(!reachable(server.port()));
        assert!(!server.folder().exists());
    }

    #[test]
    fn a_crashed_server_restarts_on_its_port() {
        let server = start();
        server.crash().expect("it was running");
        assert!(!reachable(server.port()));
        server.restart().expect("it recovers");
        assert!(reachable(server.port()));
        server.restart().expect("a running server restarts too");
    }

    #[test]
    fn a_kept_server_outlives_its_handle() {
        let mut server = start();
        let (port, stop) = (server.port(), server.stop_command());
        server.keep();
        drop(server);
        assert!(reachable(port));
        let ended = std::process::Command::new("sh")
            .args(["-c", &stop])
            .status()
            .expect("sh runs");
        assert!(ended.success());
        assert!(!reachable(port));
    }

    #[test]
    fn a_private_temporary_folder_is_seen() {
        // The mode is set here: the one that tempfile gives depends on its version and the umask.
        let private = tempfile::Builder::new()
            .permissions(fs::Permissions::from_mode(0o700))
            .tempdir()
            .expect("a temporary folder");
        assert!(!open_to_all(private.path()));
        assert!(open_to_all(Path::new("/")));
    }

    #[test]
    fn a_value_cannot_break_out_of_the_configuration() {
        let options = Options {
            durability: Durability::Real,
            settings: vec![("application_name".to_owned(), "it's".to_owned())],
            ..Options::default()
        };
        let text = configuration(Path::new("/tmp/x"), 5432, &options);
        assert!(text.contains("application_name = 'it''s'\n"));
        assert!(!text.contains("fsync"));
    }
}
