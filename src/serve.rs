//! Serves HTTP within bounds: whoever is slow, says too much or stays for ever is shown out. For both listeners; not for
//! what they answer.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// How long the head of a request may take; also how long a connection may lie idle.
const HEAD: Duration = Duration::from_secs(5);

/// How long a connection is kept at most, so that a body or a reader that never ends does not keep its place.
const LIFE: Duration = Duration::from_secs(60);

/// How long the last answer of a connection may take.
const GRACE: Duration = Duration::from_secs(5);

/// Connections at once; who comes later waits until one of them ends.
const CONNECTIONS_MAX: usize = 256;

const HEADERS_MAX: usize = 64;

/// Of a request's head, in bytes.
const HEAD_MAX: usize = 16 * 1024;

/// Serves until `shutdown` completes and open requests are answered.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(());
    let mut open = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < CONNECTIONS_MAX => match accepted {
                Ok((stream, peer)) => {
                    open.spawn(connection(stream, peer, router.clone(), stopped.clone()));
                }
                // Usually too many open files: trying again at once would spin.
                Err(_) => sleep(Duration::from_millis(100)).await,
            },
        }
    }
    drop(stop);
    while open.join_next().await.is_some() {}
    Ok(())
}

/// One connection from its first byte to its end. What goes wrong on it is the peer's affair.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    mut stopped: watch::Receiver<()>,
) -> Result<(), Infallible> {
    let router = router.layer(axum::Extension(ConnectInfo(peer)));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(serving);
    tokio::select! {
        _ = &mut serving => return Ok(()),
        _ = stopped.changed() => {}
        () = sleep(LIFE) => {}
    }
    serving.as_mut().graceful_shutdown();
    drop(timeout(GRACE, serving).await);
    Ok(())
}
