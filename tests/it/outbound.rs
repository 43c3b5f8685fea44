//! What leaves this machine, to whom, and how much of an answer is read: the sender alone, against servers that lie.

use std::net::{IpAddr, ToSocketAddrs};
use std::time::Duration;

use conversion_outbox::config::reach::is_public;
use conversion_outbox::config::secret::Secret;
use conversion_outbox::destinations::{Credential, HttpRequest, Reply};
use conversion_outbox::sandbox::{Fault, FaultKind, Options, Sandbox};
use conversion_outbox::send::{SendError, Sender};
use url::Url;

const TIMEOUT: Duration = Duration::from_secs(2);

async fn sent(to: &str) -> Result<Reply, SendError> {
    let url = Url::parse(to).expect("an address");
    let request = HttpRequest::post(url, Credential::Bearer, r#"{"data":[]}"#.to_owned());
    let sender = Sender::new().expect("a client");
    sender
        .send(request, &Secret::new("secret".to_owned()), TIMEOUT)
        .await
}

#[tokio::test]
async fn of_no_answer_more_is_read_than_it_may_have() {
    let sandbox = Sandbox::start(Options::default())
        .await
        .expect("a free port");
    let to = format!("{}/v26.0/1/events", sandbox.url());
    let mut ends = Vec::new();
    for kind in [
        FaultKind::Huge,
        FaultKind::GzipBomb,
        FaultKind::DeepJson,
        FaultKind::Http10,
        FaultKind::Redirect,
        FaultKind::Drip,
        FaultKind::Informational,
        FaultKind::EndlessHead,
        FaultKind::Truncated,
        FaultKind::Empty,
        FaultKind::NotHttp,
    ] {
        sandbox.clear_faults();
        sandbox.add_fault(Fault::of(kind)).expect("a rule");
        let end = sent(&to).await;
        ends.push(end.map(|reply| (reply.status, reply.body.len())));
    }
    assert_eq!(
        ends,
        [
            // Endless: read so far, and no further.
            Ok((200, Reply::BODY_MAX)),
            // 16 MiB, had it been inflated.
            Ok((200, 16_423)),
            Ok((200, 200_000)),
            Ok((200, 0)),
            // Nobody went to where it points.
            Ok((307, 0)),
            // Endless and slow: the deadline is that of the whole exchange.
            Err(SendError::Timeout),
            Err(SendError::Timeout),
            Err(SendError::Broken),
            Err(SendError::Broken),
            Err(SendError::Broken),
            Err(SendError::Broken),
        ]
    );
    sandbox.shutdown().await;
}

#[tokio::test]
async fn nothing_is_sent_to_a_private_address() {
    // However it is written; nothing listens, and none of it is tried.
    for to in [
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://0xa9fea9fe/",
        "https://[::ffff:10.0.0.1]/",
        "https://[fd00::1]/",
        "https://100.64.0.1/",
    ] {
        assert_eq!(sent(to).await.expect_err(to), SendError::Private, "{to}");
    }
    // A name that is not localhost and leads inside, as a rebound one would.
    let name = name_of_inside();
    let sandbox = Sandbox::start(Options::default())
        .await
        .expect("a free port");
    let port = sandbox.addr().port();
    let to = |host: &str| format!("http://{host}:{port}/v26.0/1/events");
    assert_eq!(
        sent(&to(&name)).await.expect_err("refused"),
        SendError::Private
    );
    assert!(sandbox.read(|ledger| ledger.rows().next().is_none()));
    for host in ["localhost", "127.0.0.1"] {
        sent(&to(host)).await.expect("this machine is in reach");
    }
    sandbox.shutdown().await;
}

/// A name other than localhost that leads to addresses of this machine or its network only: its own name, as a rule. None of
/// them is ever connected to.
pub(crate) fn name_of_inside() -> String {
    let hosts = std::fs::read_to_string("/etc/hosts").expect("every machine has one");
    let names = hosts
        .lines()
        .filter_map(|line| line.split('#').next())
        .flat_map(|line| line.split_whitespace().skip(1));
    let leads_inside = |name: &&str| {
        let found = (*name, 0).to_socket_addrs().into_iter().flatten();
        let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
        !found.is_empty() && !found.into_iter().any(is_public)
    };
    names
        .filter(|name| *name != "localhost")
        .find(leads_inside)
        .expect("/etc/hosts names this machine")
        .to_owned()
}
