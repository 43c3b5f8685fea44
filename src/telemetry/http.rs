//! The telemetry listener: `/livez`, `/readyz`, `/startupz`, `/metrics`, and the client of `healthcheck`.
//!
//! Separate from any page for people, so that a probe never needs a log-in and a page is never scraped. Nothing is logged
//! per request.

use std::future::Future;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

use super::health::{Health, Probe};
use super::metrics::Metrics;
use crate::serve;

/// The OpenMetrics text format, version 1.0.0 (`prometheus.io/docs/specs/om/open_metrics_spec`).
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Prometheus' text format (`prometheus.io/docs/instrumenting/exposition_formats`).
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Serves until `shutdown` completes and open requests are answered.
pub async fn serve(
    listener: TcpListener,
    health: Health,
    metrics: Metrics,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    serve::serve(listener, router(health, metrics), shutdown).await
}

/// Asks the worker listening on `address` one probe, over a plain socket, and waits at most `timeout` for each step.
/// An address of all interfaces (`0.0.0.0`, `::`) is asked on loopback.
///
/// The answer's status code and its one line that says why not. Blocks: for the command `healthcheck`, not for the runtime.
pub fn ask(address: SocketAddr, probe: Probe, timeout: Duration) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&reachable(address), timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    write!(
        stream,
        "GET {} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n",
        probe.path()
    )?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    parse(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn router(health: Health, metrics: Metrics) -> Router {
    let probes = [Probe::Live, Probe::Ready, Probe::Startup];
    probes
        .into_iter()
        .fold(Router::new(), |router, probe| {
            let health = health.clone();
            router.route(probe.path(), get(async move || answer(health.check(probe))))
        })
        .route("/metrics", get(scrape))
        .with_state(metrics)
}

fn answer(checked: Result<(), &'static str>) -> (StatusCode, String) {
    match checked {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

/// OpenMetrics for whoever names it, Prometheus' older format for everybody else: only the first may carry exemplars.
async fn scrape(State(metrics): State<Metrics>, headers: HeaderMap) -> impl IntoResponse {
    if takes_openmetrics(&headers) {
        (
            [(CONTENT_TYPE, OPENMETRICS), (VARY, "accept")],
            metrics.render(),
        )
    } else {
        (
            [(CONTENT_TYPE, PLAIN), (VARY, "accept")],
            metrics.render_plain(),
        )
    }
}

/// Whether `Accept` names the format, without refusing it (`q=0`). Prometheus names first what it likes best.
fn takes_openmetrics(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(ACCEPT).iter();
    accepts
        .filter_map(|accept| accept.to_str().ok())
        .flat_map(|accept| accept.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            let is_named = parts
                .next()
                .is_some_and(|name| name.eq_ignore_ascii_case("application/openmetrics-text"));
            let is_refused = |part: &str| {
                part.strip_prefix("q=")
                    .is_some_and(|weight| weight.parse() == Ok(0.0))
            };
            is_named && !parts.any(is_refused)
        })
}

fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let code = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some((code, body.trim_end().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A running listener; dropping the sender shuts it down.
    async fn listen(
        health: &Health,
        metrics: &Metrics,
    ) -> (SocketAddr, tokio::sync::oneshot::Sender<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let (health, metrics) = (health.clone(), metrics.clone());
        tokio::spawn(async move {
            serve(listener, health, metrics, async move {
                stopped.await.unwrap_or_default()
            })
            .await
        });
        (address, stop)
    }

    async fn asked(address: SocketAddr, probe: Probe) -> io::Result<(u16, String)> {
        tokio::task::spawn_blocking(move || ask(address, probe, Duration::from_secs(5)))
            .await
            .unwrap()
    }

    #[tokio::test]
    async fn probes_say_what_health_says() {
        let health = Health::default();
        let (address, _stop) = listen(&health, &Metrics::new(&[], &[])).await;
        assert_eq!(
            asked(address, Probe::Live).await.unwrap(),
            (200, "ok".into())
        );
        assert_eq!(asked(address, Probe::Startup).await.unwrap().0, 503);
        let all_interfaces = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        assert_eq!(
            asked(all_interfaces, Probe::Ready).await.unwrap(),
            (503, "the database is not reachable".into())
        );
        health.schema_supported(true);
        health.database_reachable(true);
        assert_eq!(asked(address, Probe::Ready).await.unwrap().0, 200);
    }

    /// Head and body of a scrape with this `Accept`.
    async fn scraped(address: SocketAddr, accept: &'static str) -> String {
        tokio::task::spawn_blocking(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            write!(
                stream,
                "GET /metrics HTTP/1.1\r\nHost: x\r\n{accept}Connection: close\r\n\r\n"
            )
            .unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_scrape_gets_the_format_that_it_names() {
        let metrics = Metrics::new(&["meta"], &[]);
        let meta = metrics.destination("meta").unwrap();
        meta.taken(Duration::from_secs(1), Some([7; 16]));
        let (address, _stop) = listen(&Health::default(), &metrics).await;
        // As Prometheus 2 and 3 ask.
        for accept in [
            "Accept: application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n",
            "Accept: text/plain;q=0.5\r\naccept: Application/OpenMetrics-Text\r\n",
        ] {
            let text = scraped(address, accept).await;
            assert!(
                text.contains(&format!("content-type: {OPENMETRICS}\r\n")),
                "{text}"
            );
            assert!(
                text.ends_with("\n# EOF\n") && text.contains("trace_id"),
                "{text}"
            );
        }
        for accept in [
            "",
            "Accept: */*\r\n",
            "Accept: text/plain;version=0.0.4\r\n",
            "Accept: application/openmetrics-text;q=0, text/plain\r\n",
        ] {
            let text = scraped(address, accept).await;
            assert!(
                text.contains(&format!("content-type: {PLAIN}\r\n")),
                "{text}"
            );
            assert!(
                !text.contains("# EOF") && !text.contains("trace_id"),
                "{text}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_http_is_an_error() {
        assert_eq!(parse("SSH-2.0-x\r\n\r\n"), None);
        assert_eq!(
            parse("HTTP/1.1 503 x\r\nA: b\r\n\r\nno\n"),
            Some((503, "no".into()))
        );
    }
}
