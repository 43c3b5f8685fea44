//! Who only says that he is the platform hears nothing, and nobody on the way is asked.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use conversion_outbox::destinations::Platform;
use conversion_outbox::sandbox::google::sandbox_key_file;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::outbound::name_of_inside;
use crate::process::Process;
use crate::rig::{Rig, Setup, order};

/// What was heard: bytes of requests, decrypted.
#[derive(Clone, Default)]
struct Heard(Arc<AtomicUsize>);

impl Heard {
    fn bytes(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

/// A server on this machine that takes every event, with this certificate. Its threads end with the process.
fn platform(certificate: &rcgen::Certificate, key: &KeyPair) -> (u16, Heard) {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        )
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let heard = Heard::default();
    let counter = heard.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            let mut stream = StreamOwned::new(connection, stream);
            let mut part = [0; 65_536];
            // The whole of a small request comes in one read or two; the answer may overtake the rest.
            if let Ok(read) = stream.read(&mut part) {
                counter.0.fetch_add(read, Ordering::SeqCst);
                let answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 21\r\n\r\n{\"events_received\":1}";
                drop(stream.write_all(answer));
                stream.conn.send_close_notify();
                drop(stream.flush());
            }
        }
    });
    (port, heard)
}

/// A proxy that counts who comes.
fn proxy() -> (u16, Heard) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("bound").port();
    let heard = Heard::default();
    let counter = heard.clone();
    std::thread::spawn(move || {
        for _ in listener.incoming() {
            counter.0.fetch_add(1, Ordering::SeqCst);
        }
    });
    (port, heard)
}

#[tokio::test]
async fn only_the_platform_itself_hears_of_events() {
    let rig = Rig::new().await;
    let key = || KeyPair::generate().expect("a key");
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, key()).expect("an authority");
    let trusted = rig.write("authority.pem", &authority.pem());

    let named = |name: &str| CertificateParams::new(vec![name.to_owned()]).expect("a name");
    let mut old = named("localhost");
    (old.not_before, old.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let keys = [key(), key(), key(), key()];
    let certificates = [
        named("localhost").signed_by(&keys[0], &authority),
        named("localhost").self_signed(&keys[1]),
        named("other.example").signed_by(&keys[2], &authority),
        old.signed_by(&keys[3], &authority),
    ];
    let names = ["right", "self-signed", "of-another", "expired"];
    let servers: Vec<(u16, Heard)> = certificates
        .into_iter()
        .zip(&keys)
        .map(|(certificate, key)| platform(&certificate.expect("signed"), key))
        .collect();
    let destinations: String = names
        .iter()
        .zip(&servers)
        .enumerate()
        .map(|(n, (name, (port, _)))| {
            format!(
                "[[destination]]\nname = \"{name}\"\nplatform = \"meta\"\ndataset_id = \"70{n}\"\nbase_url = \"https://localhost:{port}\"
access_token = {{ file = \"{}/meta.token\" }}\n",
                rig.folder.path().display()
            )
        })
        .collect();
    let setup = Setup {
        rest: destinations.leak(),
        ..Setup::only(&[])
    };
    let (proxy_port, visitors) = proxy();
    let proxy_url = format!("http://127.0.0.1:{proxy_port}");
    let trusted = trusted.display().to_string();
    let mut environment = vec![("SSL_CERT_FILE", trusted.as_str())];
    for name in [
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
    ] {
        environment.push((name, &proxy_url));
    }
    rig.insert(&[order("o-1")]).await;
    let mut worker = Process::start_in(&rig, setup, &environment);
    rig.until_state("right", "order_paid:o-1", "accepted").await;
    for name in &names[1..] {
        rig.until(&format!(
            "exists (select from conversion_outbox.attempt where destination = '{name}' and outcome = 'retry' and error_code = 'connect')"
        ))
        .await;
        let state: String = rig
            .one(&format!(
                "select state from conversion_outbox.delivery where destination = '{name}'"
            ))
            .await;
        assert_eq!(state, "pending", "{name}");
    }
    worker.signal("-TERM").await;
    assert_eq!(worker.ended().await, Some(0));
    let heard: Vec<bool> = servers.iter().map(|(_, heard)| heard.bytes() > 0).collect();
    assert_eq!(heard, [true, false, false, false], "{names:?}");
    assert_eq!(
        visitors.bytes(),
        0,
        "the proxy of the environment was asked"
    );
}

#[tokio::test]
async fn a_key_file_does_not_say_where_tokens_come_from() {
    let rig = Rig::new().await;
    // A key file from anywhere may name any address: it is not asked.
    rig.write(
        "google.json",
        &sandbox_key_file("https://169.254.169.254/token"),
    );
    rig.insert(&[order("o-1")]).await;
    let worker = rig.work_with(Setup::only(&[Platform::GoogleDataManager]));
    rig.until_state("google_data_manager", "order_paid:o-1", "sent")
        .await;
    worker.drain().await;
}

#[tokio::test]
async fn a_name_that_leads_inside_holds_the_destination_and_nothing_leaves() {
    let rig = Rig::new().await;
    rig.insert(&[order("o-1")]).await;
    let setup = Setup {
        meta_url: Some(format!("https://{}:9", name_of_inside()).leak()),
        ..Setup::default()
    };
    let worker = rig.work_with(setup);
    rig.until_state("ga4", "order_paid:o-1", "sent").await;
    rig.until_state("meta", "order_paid:o-1", "pending/destination_held")
        .await;
    let hold: String = rig
        .one("select hold_reason || ' ' || hold_code from conversion_outbox.destination where name = 'meta'")
        .await;
    assert_eq!(hold, "configuration private_address");
    assert!(
        rig.arrived(conversion_outbox::sandbox::Platform::Meta)
            .is_empty()
    );
    worker.drain().await;
}
