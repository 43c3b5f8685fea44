//! The sandbox's socket: accepts on loopback, and can cut a connection without an answer or write something else than one,
//! as networks and broken servers do. Not for deciding when and what: a fault rule does that.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Sleep;

use super::faults::Script;

/// Accepts connections whose handlers can cut them.
#[derive(Debug)]
pub(super) struct Loopback(pub(super) TcpListener);

impl Listener for Loopback {
    type Io = Wire;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Wire, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok((stream, peer)) => {
                    // Without it an answer may wait for a delayed acknowledgement, 40 ms on Linux. A socket that
                    // refuses the option still works.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "cannot set TCP_NODELAY on a sandbox connection");
                    }
                    return (
                        Wire {
                            stream,
                            cut: Cut::default(),
                            written: 0,
                            pausing: None,
                        },
                        peer,
                    );
                }
                Err(error) => {
                    tracing::warn!(%error, "the sandbox cannot accept a connection");
                    // Usually too many open files: trying again at once would spin.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// How a connection ends without the platform's answer.
#[derive(Debug)]
pub(super) enum Ending {
    /// Nothing is written any more: a TCP reset at the next try.
    Reset,
    /// This is written instead of the answer.
    Script(Box<Script>),
}

/// A handler's way to end its connection without an answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Cut(Arc<OnceLock<Ending>>);

impl Cut {
    /// From now on this is how the connection ends. The first one stands.
    pub(super) fn with(&self, ending: Ending) {
        self.0.get_or_init(|| ending);
    }
}

impl Connected<IncomingStream<'_, Loopback>> for Cut {
    fn connect_info(stream: IncomingStream<'_, Loopback>) -> Cut {
        stream.io().cut.clone()
    }
}

/// A TCP stream that no longer writes what it is given once it was cut.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    cut: Cut,
    /// How much of a script has been written.
    written: usize,
    pausing: Option<Pin<Box<Sleep>>>,
}

impl Wire {
    /// Nothing while the connection is whole; else the ending takes its course, and an error is all that is left.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Error>> {
        let cut = self.cut.clone();
        match cut.0.get() {
            None => Poll::Ready(None),
            Some(Ending::Reset) => {
                // With zero linger, closing sends RST instead of FIN: the peer sees "connection reset", not a clean end.
                let reset = self.stream.set_zero_linger().err();
                Poll::Ready(Some(
                    reset.unwrap_or_else(|| io::ErrorKind::ConnectionReset.into()),
                ))
            }
            Some(Ending::Script(script)) => self.play(script, cx).map(Some),
        }
    }

    /// Writes a script to its end, which an endless one has when the peer goes away.
    fn play(&mut self, script: &Script, cx: &mut Context<'_>) -> Poll<io::Error> {
        loop {
            let rest = match self.written.checked_sub(script.head.len()) {
                None => &script.head[self.written..],
                Some(_) if script.again.is_empty() => {
                    return Poll::Ready(io::ErrorKind::ConnectionAborted.into());
                }
                Some(after) => &script.again[after % script.again.len()..],
            };
            if self.written >= script.head.len() && !script.pause.is_zero() {
                let pausing = self
                    .pausing
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep(script.pause)));
                ready!(pausing.as_mut().poll(cx));
                self.pausing = None;
            }
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest)) {
                Ok(written) => self.written += written,
                Err(error) => return Poll::Ready(error),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.end(cx)) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.end(cx)) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_write_vectored(cx, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.end(cx)) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.end(cx)) {
            Some(error) => Poll::Ready(Err(error)),
            None => Pin::new(&mut self.stream).poll_shutdown(cx),
        }
    }
}
