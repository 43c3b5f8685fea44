//! The pages as an operator uses them: a listener over real data, and a browser that keeps cookies and fills in forms.

mod deeds;
mod door;
mod shown;

use std::cell::RefCell;
use std::net::SocketAddr;

use conversion_outbox::admin;
use conversion_outbox::config::Config;
use conversion_outbox::config::admin::AdminConfig;
use conversion_outbox::config::secret::SecretRef;
use conversion_outbox::serve;
use conversion_outbox::telemetry::metrics::Metrics;
use conversion_outbox::worker::clock::Clock;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

use crate::harness::Outbox;

const TOKEN: &str = "a-token-that-nobody-guesses";

/// Recognisable wherever it must not be.
const CANARY: &str = "canary7f3a9c";

/// Two destinations, the second with a rule; their secrets are canaries.
fn configuration(folder: &TempDir) -> String {
    let folder = folder.path().display();
    format!(
        r#"
[database]
url = {{ file = "{folder}/worker.url" }}
[telemetry]
trace_url = "https://traces.example/trace/{{trace_id}}"
[[destination]]
name = "meta"
platform = "meta"
dataset_id = "1234567890"
base_url = "http://127.0.0.1:1"
access_token = {{ file = "{folder}/meta.token" }}
rate_limit = {{ requests = 100, per_secs = 60 }}
[[destination]]
name = "linkedin"
platform = "linkedin"
ad_account = "508000000"
base_url = "http://127.0.0.1:1"
access_token = {{ file = "{folder}/linkedin.token" }}
rules = {{ lead_created = "104013" }}
"#
    )
}

/// Two rejected orders and an accepted one at Meta, an uncertain lead at LinkedIn; and in every column what nobody may see.
const SEED: &str = r#"
    insert into conversion_outbox.destination (name, platform) values ('meta', 'meta'), ('linkedin', 'linkedin');
    insert into conversion_outbox.event (event_id, event_name, business_id, value, currency, consent, user_data, click_ids, properties, page_url, source, traceparent)
      select id, name, id || '-b', 5, 'EUR',
             '{"ad_storage":"granted","analytics_storage":"granted","ad_user_data":"granted","ad_personalization":"denied",
               "given_at":"2026-11-25T09:00:00Z","source":"banner of canary7f3a9c@example.com","version":"v3","legal_basis":"+491701234567",
               "region":"DE","gpc":true,"tcf":"canary7f3a9c","gpp":"canary7f3a9c"}',
             '{"email":"canary7f3a9c@example.com","phone":"+491701234567","first_name":"canary7f3a9c","ip_address":"192.0.2.77"}',
             '{"fbc":"fb.1.1700000000000.canary7f3a9c","gclid":"canary7f3a9c"}', '{"note":"canary7f3a9c","lead_source":"canary7f3a9c"}',
             'https://shop.example/canary7f3a9c', 'shop', '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
        from (values ('o-1', 'order_paid'), ('o-2', 'order_paid'), ('o-3', 'order_paid'), ('l-1', 'lead_created')) e (id, name);
    delete from conversion_outbox.queue;
    insert into conversion_outbox.delivery (event_no, destination, state, reason, tries, attempts, tried_at, first_tried_at, payload_hash, settled_at,
        duration_ms, response_code, error_code, trace_id, permit)
      select event_no, x.destination, x.state, x.reason, 1, 1, now(), case when x.state = 'uncertain' then now() end, sha256('x'), now(), 12,
             x.code, x.error, decode('0102030405060708090a0b0c0d0e0f10', 'hex'), 5
        from conversion_outbox.event join (values
          ('o-1', 'meta', 'rejected', 'refused_by_platform', 400::smallint, '100/2804019'),
          ('o-2', 'meta', 'accepted', null, 200, null),
          ('o-3', 'meta', 'rejected', 'invalid_payload', null, null),
          ('l-1', 'linkedin', 'uncertain', 'no_answer', null, 'timeout')) x (id, destination, state, reason, code, error) on x.id = event_id;
    insert into conversion_outbox.delivery_total select destination, state, 0, count(*), 0 from conversion_outbox.delivery group by 1, 2
"#;

/// A listener and its database.
pub(crate) struct Office {
    address: SocketAddr,
    pub(crate) outbox: Outbox,
    pub(crate) clock: Clock,
    metrics: Metrics,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
}

impl Office {
    async fn open() -> Office {
        let outbox = Outbox::new().await;
        outbox.admin().await.run(SEED).await;
        Office::over(outbox, Some(TOKEN), "operator").await
    }

    /// A listener over this database: with this token, as the login of this role.
    async fn over(outbox: Outbox, token: Option<&str>, role: &str) -> Office {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("written");
            SecretRef::file(path)
        };
        file("meta.token", &format!("{CANARY}-of-meta"));
        file("linkedin.token", &format!("{CANARY}-of-linkedin"));
        file("worker.url", &outbox.url_of("worker"));
        let config = Config::parse(&configuration(&folder), "office.toml", [])
            .expect("a valid configuration");
        let admin = AdminConfig {
            token: token.map(|token| file("token", token)),
            database_url: Some(file("admin.url", &outbox.url_of(role))),
            ..AdminConfig::default()
        };
        let (clock, metrics) = (Clock::default(), Metrics::new(&[], &[]));
        let (address, stop) = listen(&admin, &config, &metrics, &clock).await;
        Office {
            address,
            outbox,
            clock,
            metrics,
            folder,
            stop: Some(stop),
        }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::at(self.address)
    }

    async fn operator(&self) -> Browser {
        let browser = self.browser();
        browser.log_in(TOKEN).await;
        browser
    }

    fn refusals(&self, reason: &str) -> u32 {
        let name = format!("conversion_outbox_admin_refusals_total{{reason=\"{reason}\"}} ");
        let text = self.metrics.render();
        let value = text.lines().find_map(|line| line.strip_prefix(&name));
        value.and_then(|value| value.parse().ok()).expect("counted")
    }

    async fn one<T: tokio_postgres::types::FromSqlOwned>(&self, sql: &str) -> T {
        self.outbox.admin().await.one(sql).await
    }
}

/// Serves the pages at a port of their own.
pub(crate) async fn listen(
    admin: &AdminConfig,
    config: &Config,
    metrics: &Metrics,
    clock: &Clock,
) -> (SocketAddr, oneshot::Sender<()>) {
    let router = admin::router(admin, config, metrics, clock.clone()).expect("opened");
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve::serve(listener, router, async move {
        stopped.await.unwrap_or_default();
    }));
    (address, stop)
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &'_ str| {
            line.split_once(": ")
                .map(|(key, _)| key.eq_ignore_ascii_case(name))
        };
        let line = self.head.lines().find(|line| named(line) == Some(true))?;
        line.split_once(": ").map(|(_, value)| value)
    }

    /// The hidden fields of the form at this address.
    pub(crate) fn form(&self, action: &str) -> Vec<(String, String)> {
        let start = format!("method=\"post\" action=\"{action}\"");
        let (_, form) = self
            .body
            .split_once(&start)
            .unwrap_or_else(|| panic!("no form {action}: {}", self.body));
        let (form, _) = form.split_once("</form>").expect("an end");
        let value = |input: &str, key: &str| {
            let (_, rest) = input.split_once(&format!(" {key}=\""))?;
            let (value, _) = rest.split_once('"')?;
            Some(
                value
                    .replace("&lt;", "<")
                    .replace("&quot;", "\"")
                    .replace("&amp;", "&"),
            )
        };
        form.split("<input ")
            .skip(1)
            .filter(|input| input.starts_with("type=\"hidden\""))
            .filter_map(|input| Some((value(input, "name")?, value(input, "value")?)))
            .collect()
    }
}

/// One person's browser.
pub(crate) struct Browser {
    address: SocketAddr,
    pub(crate) cookie: RefCell<Option<String>>,
}

impl Browser {
    pub(crate) fn at(address: SocketAddr) -> Browser {
        Browser {
            address,
            cookie: RefCell::new(None),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(&format!("GET {path}"), &[], "").await
    }

    /// As a page of ours sends a form.
    pub(crate) async fn post(&self, path: &str, fields: &[(String, String)]) -> Answer {
        let origin = format!("Origin: http://{}", self.address);
        self.ask(
            &format!("POST {path}"),
            &[&origin, "Sec-Fetch-Site: same-origin"],
            &encoded(fields),
        )
        .await
    }

    pub(crate) async fn log_in(&self, token: &str) -> Answer {
        self.post("/login", &[("token".into(), token.into())]).await
    }

    /// A request with these header lines, and the cookie.
    pub(crate) async fn ask(&self, line: &str, headers: &[&str], body: &str) -> Answer {
        let cookie = self.cookie.borrow().clone();
        let cookie = cookie
            .map(|cookie| format!("Cookie: other=1; {cookie}\r\n"))
            .unwrap_or_default();
        let extra: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let host = match headers.iter().any(|line| line.starts_with("Host:")) {
            true => String::new(),
            false => format!("Host: {}\r\n", self.address),
        };
        let request = format!(
            "{line} HTTP/1.1\r\n{host}{extra}{cookie}Accept: text/html\r\nConnection: close\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("an answer");
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let answer = Answer {
            status: head
                .split(' ')
                .nth(1)
                .and_then(|code| code.parse().ok())
                .expect("a status"),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        if let Some(set) = answer.header("set-cookie") {
            let pair = set.split(';').next().unwrap_or_default();
            let is_gone = pair.ends_with('=');
            self.cookie.replace((!is_gone).then(|| pair.to_owned()));
        }
        answer
    }

    /// Opens a page, fills in its form and sends it. What is hidden in the form comes along.
    pub(crate) async fn fill_in(
        &self,
        page: &str,
        action: &str,
        filled: &[(&str, &str)],
    ) -> Answer {
        let shown = self.get(page).await;
        assert_eq!(shown.status, 200, "{page}: {}", shown.body);
        let mut fields = shown.form(action);
        fields.extend(
            filled
                .iter()
                .map(|(key, value)| ((*key).into(), (*value).into())),
        );
        self.post(action, &fields).await
    }
}

pub(crate) fn encoded(fields: &[(String, String)]) -> String {
    url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish()
}
