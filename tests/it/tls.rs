//! Connections to a real PostgreSQL with TLS: only the right server is trusted, and limits hold.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use conversion_outbox::config::database::DatabaseConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::db::connect::Database;
use conversion_outbox::db::error::DatabaseError;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;
use tokio_postgres::types::Type;

#[tokio::test]
async fn only_the_right_server_is_trusted() {
    let server = Server::start("on");
    let right = server.file("ca.pem");
    let wrong = server.file("wrong_ca.pem");
    let is_encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";
    for (host, options, is_trusted) in [
        (
            "db.example",
            format!("sslmode=verify-full&sslrootcert={right}"),
            true,
        ),
        ("db.example", format!("sslrootcert={right}"), true),
        (
            "db.example",
            format!("sslmode=verify-ca&sslrootcert={right}"),
            true,
        ),
        (
            "db.example",
            format!("sslmode=require&sslrootcert={right}"),
            true,
        ),
        (
            "other.example",
            format!("sslmode=verify-ca&sslrootcert={right}"),
            true,
        ),
        (
            "other.example",
            format!("sslmode=verify-full&sslrootcert={right}"),
            false,
        ),
        (
            "db.example",
            format!("sslmode=verify-full&sslrootcert={wrong}"),
            false,
        ),
        (
            "db.example",
            format!("sslmode=verify-ca&sslrootcert={wrong}"),
            false,
        ),
        ("db.example", "sslmode=verify-full".to_owned(), false),
        (
            "db.example",
            "sslmode=verify-full&sslrootcert=system".to_owned(),
            false,
        ),
    ] {
        let database = server.open(&format!(
            "postgresql://postgres@{host}:PORT/postgres?{options}"
        ));
        match database.query(is_encrypted, &[]).await {
            Ok(rows) => assert!(is_trusted && rows[0].get::<_, bool>(0), "{host} {options}"),
            Err(error) => {
                assert!(!is_trusted, "{host} {options}: {error:?}");
                assert!(
                    format!("{error:?}").contains("InvalidCertificate"),
                    "{error:?}"
                );
            }
        }
    }
}

#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let server = Server::start("off");
    let root = server.file("ca.pem");
    for mode in ["verify-full", "verify-ca", "require"] {
        let url = format!(
            "postgresql://postgres@db.example:PORT/postgres?sslmode={mode}&sslrootcert={root}"
        );
        let error = server
            .open(&url)
            .query("select 1", &[])
            .await
            .expect_err(mode);
        assert!(
            format!("{error:?}").contains("server does not support TLS"),
            "{error:?}"
        );
    }
    let local = server.open("postgresql://postgres@localhost:PORT/postgres");
    assert_eq!(
        local.query("select 1", &[]).await.expect("connected").len(),
        1
    );
}

#[tokio::test]
async fn a_client_certificate_is_presented() {
    let server = Server::start("on");
    let url = format!(
        "postgresql://certified@db.example:PORT/postgres?sslrootcert={}",
        server.file("ca.pem")
    );
    let error = server
        .open(&url)
        .query("select 1", &[])
        .await
        .expect_err("no certificate");
    assert!(matches!(error, DatabaseError::Unreachable(_)), "{error:?}");
    let url = format!(
        "{url}&sslcert={}&sslkey={}",
        server.file("client.pem"),
        server.file("client.key")
    );
    let rows = server
        .open(&url)
        .query("select current_user::text", &[])
        .await
        .expect("connected");
    assert_eq!(rows[0].get::<_, &str>(0), "certified");
}

#[tokio::test]
async fn limits_hold_for_our_statements_and_leave_no_trace() {
    let server = Server::start("off");
    let database = server.open("postgresql://postgres@localhost:PORT/postgres");
    let limits = "select array[current_setting('statement_timeout'), current_setting('lock_timeout'), \
                  current_setting('idle_in_transaction_session_timeout')]";
    let rows = database.query(limits, &[]).await.expect("answered");
    assert_eq!(rows[0].get::<_, Vec<String>>(0), ["1s", "2s", "1s"]);

    let mut client = database.client().await.expect("connected");
    let transaction = database.begin(&mut client).await.expect("begun");
    let rows = transaction
        .query_typed(limits, &[])
        .await
        .expect("answered");
    assert_eq!(rows[0].get::<_, Vec<String>>(0), ["1s", "2s", "1s"]);
    drop(transaction);
    let rows = client.query_typed(limits, &[]).await.expect("answered");
    assert_eq!(
        rows[0].get::<_, Vec<String>>(0),
        ["0", "0", "0"],
        "another client of a pooler sees nothing of it"
    );
    drop(client);

    let error = database
        .query("select pg_sleep(60)", &[])
        .await
        .expect_err("too long");
    assert_eq!(error.code(), Some("57014"));
    assert!(error.to_string().ends_with("SQLSTATE 57014"), "{error}");
    let rows = database
        .query("select $1::text", &[(&"usable", Type::TEXT)])
        .await
        .expect("usable again");
    assert_eq!(rows[0].get::<_, &str>(0), "usable");
    let name = database
        .query("select current_setting('application_name')", &[])
        .await
        .expect("answered");
    assert_eq!(name[0].get::<_, &str>(0), "conversion-outbox");
}

#[tokio::test]
async fn failures_hold_no_row() {
    let server = Server::start("off");
    let database = server.open("postgresql://postgres@localhost:PORT/postgres");
    database
        .query("create table person (email text primary key)", &[])
        .await
        .expect("created");
    let insert = "insert into person values ('canary')";
    database.query(insert, &[]).await.expect("inserted");
    let error = anyhow::Error::from(database.query(insert, &[]).await.expect_err("twice"));
    let shown = format!("{error} {error:#} {error:?}");
    assert!(
        shown.contains("SQLSTATE 23505, table person, constraint person_pkey"),
        "{shown}"
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[tokio::test]
async fn a_replaced_url_serves_the_next_connection() {
    let server = Server::start("off");
    let database = server.open("postgresql://nobody@localhost:PORT/postgres");
    let error = database
        .query("select 1", &[])
        .await
        .expect_err("no such role");
    assert!(matches!(error, DatabaseError::Unreachable(_)), "{error:?}");
    server.write_url("postgresql://postgres@localhost:PORT/postgres");
    assert_eq!(
        database
            .query("select 1", &[])
            .await
            .expect("connected")
            .len(),
        1
    );
}

/// A private server with a certificate for `db.example`; stopped and removed when dropped.
struct Server {
    folder: TempDir,
    port: u16,
}

impl Server {
    fn start(ssl: &str) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("the server may enter");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let server = Server { folder, port };
        server.write_certificates();
        run(Command::new("install")
            .args(["-d", "-m", "700"])
            .args(owner())
            .arg(server.path("data")));
        server.postgres("initdb", &["-U", "postgres", "-A", "trust", "--no-sync"]);
        for file in ["server.pem", "server.key", "ca.pem"] {
            let mut install = Command::new("install");
            run(install
                .args(["-m", "600"])
                .args(owner())
                .arg(server.path(file))
                .arg(server.path("data")));
        }
        let access = "hostssl all certified 127.0.0.1/32 cert\nhost all all 127.0.0.1/32 trust\n";
        fs::write(server.path("data/pg_hba.conf"), access).expect("written");
        let options = format!(
            "-p {port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off -c ssl={ssl} \
             -c ssl_cert_file=server.pem -c ssl_key_file=server.key -c ssl_ca_file=ca.pem"
        );
        let log = server.path("data/log").display().to_string();
        server.postgres("pg_ctl", &["-l", &log, "-w", "-o", &options, "start"]);
        let psql = [
            "-h",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "-U",
            "postgres",
            "-qc",
            "create role certified login",
        ];
        run(Command::new(binaries().join("psql")).args(psql));
        server
    }

    /// A database at this server, whatever name its URL has for the host; `PORT` in it is this server's.
    fn open(&self, url: &str) -> Database {
        let file = self.write_url(url);
        let mut config = DatabaseConfig::new(SecretRef::file(file));
        config.pool_size = 1;
        config.statement_timeout = std::time::Duration::from_secs(1);
        Database::open(&config).expect("a valid configuration")
    }

    fn write_url(&self, url: &str) -> PathBuf {
        let url = url.replace("PORT", &self.port.to_string());
        let sign = if url.contains('?') { '&' } else { '?' };
        let file = self.path("url");
        fs::write(&file, format!("{url}{sign}hostaddr=127.0.0.1")).expect("written");
        file
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn postgres(&self, program: &str, args: &[&str]) {
        let program = binaries().join(program);
        let mut command = if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        run(command
            .current_dir("/")
            .arg("-D")
            .arg(self.path("data"))
            .args(args));
    }

    fn write_certificates(&self) {
        let ca = authority("authority");
        let (server, server_key) = issue(&ca, "db.example");
        let (client, client_key) = issue(&ca, "certified");
        for (name, content) in [
            ("ca.pem", ca.pem()),
            ("wrong_ca.pem", authority("authority").pem()),
            ("server.pem", server),
            ("server.key", server_key),
            ("client.pem", client),
            ("client.key", client_key),
        ] {
            fs::write(self.path(name), content).expect("written");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.postgres("pg_ctl", &["-m", "immediate", "-w", "stop"]);
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).expect("valid");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed")
}

fn issue(ca: &CertifiedIssuer<'static, KeyPair>, name: &str) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(vec![name.to_owned()]).expect("valid");
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    let certificate = params.signed_by(&key, ca).expect("signed");
    (certificate.pem(), key.serialize_pem())
}

/// PostgreSQL refuses to run as root, so its own account does.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

fn owner() -> &'static [&'static str] {
    if is_root() { &["-o", "postgres"] } else { &[] }
}

fn binaries() -> PathBuf {
    let output = Command::new("pg_config")
        .arg("--bindir")
        .output()
        .expect("PostgreSQL is installed");
    Path::new(String::from_utf8(output.stdout).expect("a path").trim()).to_owned()
}

/// Output goes nowhere, not to a pipe: the server inherits it and would keep the pipe open.
fn run(command: &mut Command) {
    let null = std::process::Stdio::null;
    let status = command
        .stdin(null())
        .stdout(null())
        .stderr(null())
        .status()
        .expect("the program starts");
    assert!(status.success(), "{command:?} failed");
}
