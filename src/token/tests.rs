//! What token endpoints answer, and what is made of it. The exchange itself is tested against the emulators.

use url::Url;

use super::*;

fn read(status: u16, body: &str) -> Result<Granted, TokenError> {
    read_answer(&Reply {
        status,
        headers: Vec::new(),
        body: body.as_bytes().to_vec(),
    })
}

#[test]
fn a_token_is_read_with_its_lifetime() {
    let granted = read(
        200,
        r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#,
    )
    .expect("a token");
    assert_eq!(
        (granted.access_token.as_str(), granted.expires_in),
        ("ya29.x", Some(3599))
    );
}

/// What Google says while the consent screen is being tested: seven days. Nonsense costs the number, not the token.
#[test]
fn a_refresh_token_that_ends_says_so() {
    let left = |left: &str| {
        let body = format!(r#"{{"access_token":"ya29.x","refresh_token_expires_in":{left}}}"#);
        read(200, &body).expect("a token").refresh_token_expires_in
    };
    assert_eq!(left("604799"), Some(604_799));
    assert_eq!(
        (left("\"soon\""), left("null"), left("-1.5")),
        (None, None, None)
    );
}

#[test]
fn a_token_is_renewed_early_and_never_for_every_request() {
    for (lifetime, used) in [(3600, 3375), (600, 375), (450, 225), (200, 100), (0, 0)] {
        let used = TimeDelta::seconds(used);
        assert_eq!(good_for(TimeDelta::seconds(lifetime)), used, "{lifetime}");
    }
}

#[test]
fn refusals_need_a_person_and_failures_do_not() {
    for (status, body, code) in [
        (
            400,
            r#"{"error":"invalid_grant","error_description":"Token has been revoked."}"#,
            "invalid_grant",
        ),
        (401, r#"{"error":"invalid_client"}"#, "invalid_client"),
        (403, "<html>", "status 403"),
        (
            400,
            r#"{"error":"jane@example.com was not found"}"#,
            "status 400",
        ),
    ] {
        match read(status, body) {
            Err(TokenError::Refused { code: said }) => assert_eq!(said, code),
            other => panic!("{status}: {:?}", other.err()),
        }
    }
    for (status, body) in [
        (500, ""),
        (503, r#"{"error":"backend"}"#),
        (429, ""),
        (408, ""),
        (400, r#"{"error":"temporarily_unavailable"}"#),
        (200, "not json"),
        (200, r#"{"access_token":""}"#),
        (200, r#"{"access_token":"two\nlines"}"#),
    ] {
        assert!(
            matches!(read(status, body), Err(TokenError::Unavailable(_))),
            "{status} {body}"
        );
    }
}

#[test]
fn a_key_that_is_none_is_told_without_its_content() {
    let url = Url::parse("https://oauth2.googleapis.com/token").expect("a URL");
    for key in [
        "canary",
        "{}",
        r#"{"client_email":"a@b","private_key":"canary"}"#,
    ] {
        let error =
            assertion::signed(&Secret::new(key), "s", &url, Utc::now()).expect_err("no key");
        assert!(!TokenError::Key(error).to_string().contains("canary"));
    }
}

#[test]
fn the_fingerprint_changes_with_any_of_the_secrets() {
    let of = |secrets: [&str; 2]| fingerprint(&secrets.map(Secret::new));
    assert_eq!(of(["a", "b"]), of(["a", "b"]));
    assert_ne!(of(["a", "b"]), of(["a", "c"]));
    assert_ne!(of(["a", "b"]), of(["b", "a"]));
}

/// From the endpoint's answer to what metrics show; the token that is renewed every hour is not meant.
#[tokio::test]
async fn the_end_of_a_refresh_token_is_learnt_with_each_token() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let bodies = [
        r#"{"access_token":"a","expires_in":3600,"refresh_token_expires_in":604800}"#,
        r#"{"access_token":"b","expires_in":3600}"#,
    ];
    tokio::spawn(async move {
        for body in bodies {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 4096];
            assert!(stream.read(&mut head).await.unwrap() > 0);
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "s").unwrap();
    let secret = secret.display();
    let text = format!(
        "[database]\nurl = {{ env = \"X\" }}\n[[destination]]\nname = \"l\"\nplatform = \"linkedin\"\nad_account = \"512345678\"\n\
         base_url = \"http://{address}\"\ntoken_url = \"http://{address}/token\"\nrules = {{ order_paid = \"104012\" }}\n\
         oauth = {{ client_id = \"app\", client_secret = {{ file = \"{secret}\" }}, refresh_token = {{ file = \"{secret}\" }} }}\n"
    );
    let config = crate::config::Config::parse(&text, "t.toml", [])
        .unwrap_or_else(|faults| panic!("{faults}"));
    let destination = &config.destinations[0];
    let crate::destinations::Credentials::OAuth(oauth) = destination.settings.credentials() else {
        panic!("a refresh token is configured");
    };
    let source = TokenSource::new(oauth.clone());
    let sender = Sender::new().unwrap().within(destination.reach);
    assert_eq!(source.expires_at(), None);
    let now = Utc::now();
    source.token(&sender, now).await.unwrap();
    assert_eq!(source.expires_at(), Some(now + TimeDelta::days(7)));
    // Replaced by one that does not end.
    source
        .token(&sender, now + TimeDelta::hours(2))
        .await
        .unwrap();
    assert_eq!(source.expires_at(), None);
}
