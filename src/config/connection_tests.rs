//! What each form of a connection string demands, and that no error repeats any of it.

use super::*;

#[track_caller]
fn check(text: &str, expected: Encryption) {
    assert_eq!(
        Connection::parse(text, false).expect(text).encryption,
        expected,
        "{text}"
    );
}

#[track_caller]
fn check_refused(text: &str, expected: ConnectionError) {
    assert_eq!(
        Connection::parse(text, false).expect_err(text),
        expected,
        "{text}"
    );
}

#[test]
fn verification_follows_the_mode_and_the_host() {
    let full = || Encryption::Full(None);
    let file = || PathBuf::from("/ca+1.pem");
    check("postgresql://u:p@db.example/shop", full());
    check(
        "postgresql://u:p@db.example/shop?sslmode=verify-full",
        full(),
    );
    check(
        "postgresql://u:p@db.example/shop?sslmode=verify-full&sslrootcert=system",
        full(),
    );
    check(
        "postgresql://u@db/shop?sslrootcert=%2Fca+1.pem&sslmode=verify-full",
        Encryption::Full(Some(file())),
    );
    check(
        "host=db sslmode=verify-full sslrootcert='/ca+1.pem'",
        Encryption::Full(Some(file())),
    );
    check(
        "postgresql://u@db/shop?sslmode=verify-ca&sslrootcert=/ca+1.pem",
        Encryption::Authority(file()),
    );
    check(
        "postgresql://u@db/shop?sslmode=require&sslrootcert=/ca+1.pem",
        Encryption::Authority(file()),
    );
    check("postgresql://u@localhost/shop", Encryption::None);
    check("postgresql://u@127.0.0.1,[::1]/shop", Encryption::None);
    check("postgresql://u@127.0.0.1,db.example/shop", full());
    check("postgresql://u@localhost/shop?sslmode=verify-full", full());
    check(
        "postgresql:///shop?host=/run/postgresql&sslmode=verify-full",
        Encryption::None,
    );
    check(
        "host=db.example hostaddr=127.0.0.1 sslmode=disable",
        Encryption::None,
    );
}

#[test]
fn what_does_not_verify_is_refused_unless_asked_for() {
    for mode in ["require", "prefer", "disable"] {
        let text = format!("postgresql://u@db.example/shop?sslmode={mode}");
        check_refused(&text, ConnectionError::Insecure { mode });
        assert!(Connection::parse(&text, true).is_ok());
    }
    check_refused(
        "postgresql://u@localhost/shop?sslmode=verify-ca",
        ConnectionError::NoAuthority,
    );
    check_refused(
        "postgresql://u@localhost/shop?sslmode=on",
        ConnectionError::UnknownMode,
    );
    check_refused(
        "postgresql://u@localhost/shop?sslcert=/c",
        ConnectionError::HalfCertificate,
    );
    check_refused("postgresql:///shop", ConnectionError::NoHost);
}

#[test]
fn asking_for_insecure_does_not_weaken_a_strong_mode() {
    let text = "postgresql://u@db.example/shop?sslmode=verify-full";
    assert_eq!(
        Connection::parse(text, true).expect("valid").encryption,
        Encryption::Full(None)
    );
    let text = "postgresql://u@db.example/shop";
    assert_eq!(
        Connection::parse(text, true).expect("valid").encryption,
        Encryption::Full(None)
    );
}

#[test]
fn the_rest_reaches_tokio_postgres() {
    for text in [
        "postgresql://u:p%26a@a:1,b:2/shop?target_session_attrs=read-write&sslmode=verify-full&tcp_user_timeout=1500",
        "user=u password='p&a' host=a,b port=1,2 dbname = shop sslmode=verify-full \
         target_session_attrs=read-write tcp_user_timeout=1500",
    ] {
        let postgres = Connection::parse(text, false).expect(text).postgres;
        assert_eq!(postgres.get_hosts().len(), 2);
        assert_eq!(postgres.get_ports(), [1, 2]);
        assert_eq!(postgres.get_password(), Some("p&a".as_bytes()));
        assert_eq!(postgres.get_dbname(), Some("shop"));
        assert_eq!(postgres.get_ssl_mode(), SslMode::Require);
        assert_eq!(
            postgres.get_tcp_user_timeout(),
            Some(&Duration::from_millis(1500))
        );
        assert_eq!(
            postgres.get_target_session_attrs(),
            tokio_postgres::config::TargetSessionAttrs::ReadWrite
        );
    }
}

#[test]
fn no_error_and_no_debug_repeats_the_string() {
    for text in [
        "canary",
        "host=db password=some canary=1",
        "host=db password='canary",
        "postgresql://u:canary@db:port/shop",
        "postgresql://u:canary@db/shop?canary=1",
        "postgresql://canary@db/shop?port=canary",
        "postgresql://u:canary@db/shop?sslmode=canary",
    ] {
        let error = Connection::parse(text, false).expect_err(text);
        assert!(!format!("{error} {error:?}").contains("canary"), "{error}");
    }
    let connection =
        Connection::parse("postgresql://u:canary@localhost/shop", false).expect("valid");
    assert!(!format!("{connection:?}").contains("canary"));
}
