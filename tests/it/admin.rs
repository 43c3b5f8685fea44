//! The admin listener: what it shows, who may ask, and what it does with those who only want to keep it busy.

use std::net::SocketAddr;
use std::time::Duration;

use conversion_outbox::admin;
use conversion_outbox::config::Config;
use conversion_outbox::config::admin::AdminConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::serve;
use conversion_outbox::telemetry::metrics::Metrics;
use conversion_outbox::worker::clock::Clock;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::harness::Outbox;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// What a worker is told that finds its database in this folder.
fn told(folder: &TempDir) -> Config {
    let text = format!(
        "[database]\nurl = {{ file = \"{}/worker.url\" }}\n[telemetry]\nenvironment = \"a <test>\"\n",
        folder.path().display()
    );
    Config::parse(&text, "admin.toml", []).expect("a valid configuration")
}

/// A listener over a database with one held destination.
struct Desk {
    address: SocketAddr,
    outbox: Outbox,
    metrics: Metrics,
    folder: TempDir,
    _stop: oneshot::Sender<()>,
}

impl Desk {
    async fn open(token: Option<&str>) -> Desk {
        let outbox = Outbox::new().await;
        outbox
            .admin()
            .await
            .run(
                "insert into conversion_outbox.destination (name, platform, hold_reason, hold_advice, held_since, probe_at)
                 values ('meta', 'meta', 'credential', 'renew', now(), now())",
            )
            .await;
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            SecretRef::file(path)
        };
        let admin = AdminConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: token.map(|token| file("token", token)),
            database_url: Some(file("admin.url", &outbox.url_of("operator"))),
            ..AdminConfig::default()
        };
        let metrics = Metrics::new(&[], &[]);
        std::fs::write(folder.path().join("worker.url"), outbox.url_of("worker")).expect("written");
        let router = admin::router(&admin, &told(&folder), &metrics, Clock::default());
        let router = router.expect("opened");
        let listener = TcpListener::bind(admin.listen).await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel::<()>();
        tokio::spawn(serve::serve(listener, router, async move {
            stopped.await.unwrap_or_default();
        }));
        Desk {
            address,
            outbox,
            metrics,
            folder,
            _stop: stop,
        }
    }

    /// The answer to a request with these header lines.
    async fn ask(&self, line: &str, headers: &[&str]) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let head = format!(
            "{line} HTTP/1.1\r\nConnection: close\r\n{}\r\n\r\n",
            headers.join("\r\n")
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        Answer {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok())
                .expect("a status"),
            head: head.to_lowercase(),
            body: serde_json::from_str(body).unwrap_or_default(),
        }
    }

    fn refusals(&self, reason: &str) -> String {
        let name = format!("conversion_outbox_admin_refusals_total{{reason=\"{reason}\"}} ");
        let text = self.metrics.render();
        text.lines()
            .find_map(|line| line.strip_prefix(&name))
            .expect("counted")
            .to_owned()
    }
}

struct Answer {
    status: u16,
    head: String,
    body: Value,
}

const HERE: &str = "Host: localhost:9465";

#[tokio::test]
async fn the_token_opens_everything_and_nothing_else_does() {
    let desk = Desk::open(Some(TOKEN)).await;
    let right = format!("Authorization: Bearer {TOKEN}");
    let status = desk
        .ask("GET /status", &["Host: anywhere.example", &right])
        .await;
    assert_eq!(status.status, 200, "{}", status.head);
    assert_eq!(status.body["destinations"][0]["name"], "meta");
    assert_eq!(status.body["destinations"][0]["state"], "held");
    for header in [
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-security-policy: ",
    ] {
        assert!(status.head.contains(header), "{header} in {}", status.head);
    }
    assert!(!status.head.contains("access-control"), "{}", status.head);
    let list = desk.ask("GET /destinations", &[HERE, &right]).await;
    assert_eq!(list.body[0]["hold"]["reason"], "credential");

    let resumed = desk
        .ask("POST /destinations/meta/resume", &[HERE, &right])
        .await;
    assert_eq!(
        (resumed.status, &resumed.body["resumed"]),
        (200, &Value::Bool(true))
    );
    let again = desk
        .ask("POST /destinations/meta/resume", &[HERE, &right])
        .await;
    assert_eq!(again.body["resumed"], false);
    let unknown = desk
        .ask("POST /destinations/none/resume", &[HERE, &right])
        .await;
    assert_eq!(unknown.status, 404);
    for (line, status) in [
        ("PUT /destinations/meta/resume", 405),
        ("GET /metrics", 404),
        ("DELETE /status", 405),
        ("GET /status/../x", 404),
    ] {
        let answer = desk.ask(line, &[HERE, &right]).await;
        assert_eq!(answer.status, status, "{line}");
        assert!(answer.body["error"].is_string(), "{line}: {}", answer.body);
        assert!(
            status == 404 || answer.head.contains("allow: "),
            "{}",
            answer.head
        );
    }

    // Replaced in the file, it counts at once.
    std::fs::write(desk.folder.path().join("token"), "another-token-of-ours").expect("written");
    assert_eq!(desk.ask("GET /status", &[HERE, &right]).await.status, 401);
    let fresh = "Authorization: bearer another-token-of-ours";
    assert_eq!(desk.ask("GET /status", &[HERE, fresh]).await.status, 200);
}

#[tokio::test]
async fn wrong_tokens_are_counted_and_soon_not_even_looked_at() {
    let desk = Desk::open(Some(TOKEN)).await;
    let right = format!("Authorization: Bearer {TOKEN}");
    // Who gives no token guesses none, however often, and keeps nobody else of the same address waiting.
    for _ in 0..3 {
        for none in [
            format!("Authorization: Basic {TOKEN}"),
            "Authorization: Bearer".to_owned(),
            "X: y".to_owned(),
        ] {
            let answer = desk.ask("GET /status", &[HERE, &none]).await;
            assert_eq!(answer.status, 401, "{none}");
        }
    }
    for wrong in [
        "Authorization: Bearer a-token-that-nobody-guesseS".to_owned(),
        format!("Authorization: Bearer {TOKEN}x"),
        "Authorization: Bearer x".to_owned(),
        "Authorization: Bearer y".to_owned(),
        "Authorization: Bearer z".to_owned(),
    ] {
        // Also of what is not there.
        let answer = desk.ask("GET /nothing", &[HERE, &wrong]).await;
        assert_eq!(answer.status, 401, "{wrong}");
        assert!(answer.head.contains("www-authenticate: bearer"));
        assert!(answer.head.contains("cache-control: no-store"));
    }
    let throttled = desk.ask("GET /status", &[HERE, &right]).await;
    assert_eq!(
        throttled.status, 429,
        "even the right one waits, or guessing would not"
    );
    assert!(
        throttled.head.contains("retry-after: "),
        "{}",
        throttled.head
    );
    assert_eq!(
        (desk.refusals("token"), desk.refusals("throttled")),
        ("14".into(), "1".into())
    );
    assert!(
        desk.outbox
            .admin()
            .await
            .one::<bool>("select hold_reason is not null from conversion_outbox.destination")
            .await
    );
}

#[tokio::test]
async fn without_a_token_this_machine_may_look_and_not_touch() {
    let desk = Desk::open(None).await;
    for host in [
        "Host: localhost:9465",
        "Host: 127.0.0.1:9465",
        "Host: [::1]:9465",
        "Host: localhost",
    ] {
        assert_eq!(desk.ask("GET /status", &[host]).await.status, 200, "{host}");
    }
    // A page whose name was led here asks by that name.
    for host in [
        "Host: rebound.example",
        "Host: localhost.rebound.example",
        "Host: 192.0.2.1",
        "Host: 127.0.0.1@x.example",
        "Host: ",
    ] {
        assert_eq!(desk.ask("GET /status", &[host]).await.status, 403, "{host}");
    }
    assert_eq!(desk.refusals("host"), "5");
    let touched = desk.ask("POST /destinations/meta/resume", &[HERE]).await;
    assert_eq!(touched.status, 403);
    assert!(
        touched.body["error"]
            .as_str()
            .is_some_and(|why| why.contains("admin.token"))
    );
    let is_held = "select hold_reason is not null from conversion_outbox.destination";
    assert!(desk.outbox.admin().await.one::<bool>(is_held).await);
}

#[tokio::test]
async fn a_short_token_is_no_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("token");
    std::fs::write(&file, "short").expect("written");
    let admin = AdminConfig {
        token: Some(SecretRef::file(&file)),
        ..AdminConfig::default()
    };
    let url = folder.path().join("worker.url");
    std::fs::write(&url, "postgresql://x@localhost/x").expect("written");
    let metrics = Metrics::new(&[], &[]);
    let error = admin::router(&admin, &told(&folder), &metrics, Clock::default());
    let error = error.expect_err("refused");
    assert!(
        error.to_string().contains("too short") && !error.to_string().contains("\"short\""),
        "{error}"
    );
}

#[tokio::test]
async fn who_keeps_it_busy_is_shown_out() {
    let desk = Desk::open(None).await;
    let mut talkers = Vec::new();
    for begin in [
        // A head that is never finished, one that is too long, one with too many lines.
        "GET /status HTTP/1.1\r\nHost: localhost\r\n".to_owned(),
        format!(
            "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
            "x".repeat(20_000)
        ),
        format!(
            "GET /status HTTP/1.1\r\nHost: localhost\r\n{}\r\n",
            "x: y\r\n".repeat(100)
        ),
        // A body that nobody wants.
        "POST /status HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1099511627776\r\n\r\nxxxx"
            .to_owned(),
    ] {
        let mut stream = TcpStream::connect(desk.address).await.expect("it listens");
        stream.write_all(begin.as_bytes()).await.expect("sent");
        talkers.push(stream);
    }
    // Meanwhile others are served.
    assert_eq!(desk.ask("GET /status", &[HERE]).await.status, 200);
    let mut told = Vec::new();
    for mut stream in talkers {
        let mut text = Vec::new();
        let ended = tokio::time::timeout(Duration::from_secs(15), stream.read_to_end(&mut text));
        // A reset is an end too.
        drop(ended.await.expect("the connection is ended from there"));
        let text = String::from_utf8_lossy(&text).into_owned();
        told.push(text.split(' ').nth(1).unwrap_or_default().to_owned());
    }
    assert_eq!(told, ["", "431", "431", "405"]);
}
