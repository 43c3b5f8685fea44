//! A wire between one worker and the database that can be cut: at once, or after the statements went through and before
//! their answers come back.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What happens to connections that exist when it is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cuts {
    /// Times everything was cut at once.
    at_once: u64,
    /// Times answers were swallowed and then everything was cut.
    after_answer: u64,
}

/// A listening wire. Dropping it cuts it.
#[derive(Debug)]
pub(super) struct Proxy {
    port: u16,
    cuts: Arc<watch::Sender<Cuts>>,
    task: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of this machine and passes everything on to `server`.
    pub(super) async fn start(server: SocketAddr) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let cuts = Arc::new(watch::Sender::new(Cuts::default()));
        let said = cuts.clone();
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass(client, server, said.subscribe()));
            }
        });
        Ok(Proxy { port, cuts, task })
    }

    /// Where it listens.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Cuts every connection.
    pub(super) fn cut(&self) {
        self.cuts.send_modify(|cuts| cuts.at_once += 1);
    }

    /// Lets what is said to the server through, keeps the next answers, and then cuts.
    pub(super) fn lose_answers(&self) {
        self.cuts.send_modify(|cuts| cuts.after_answer += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.cut();
        self.task.abort();
    }
}

async fn pass(client: TcpStream, server: SocketAddr, mut said: watch::Receiver<Cuts>) {
    said.mark_unchanged();
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    drop((client.set_nodelay(true), server.set_nodelay(true)));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let at_first = *said.borrow();
    let mut until_cut = said.clone();
    tokio::select! {
        () = forward(from_client, to_server) => {}
        () = answer(from_server, to_client, said, at_first) => {}
        // Dropping both ends resets nobody's statement that the server has read already.
        _ = until_cut.wait_for(|cuts| cuts.at_once != at_first.at_once) => {}
    }
}

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// Passes answers on until they are to be lost; the first one that comes then is read, and its connection ends.
async fn answer(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    said: watch::Receiver<Cuts>,
    at_first: Cuts,
) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let is_lost = said.borrow().after_answer != at_first.after_answer;
        if is_lost || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (from, to) = stream.into_split();
                tokio::spawn(forward(from, to));
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream, text: &[u8]) -> usize {
        if stream.write_all(text).await.is_err() {
            return 0;
        }
        stream.read(&mut [0; 16]).await.unwrap_or(0)
    }

    #[tokio::test]
    async fn it_passes_everything_on_until_it_is_cut() {
        let proxy = Proxy::start(echo().await).await.expect("a free port");
        let dial = || TcpStream::connect(("127.0.0.1", proxy.port()));
        let mut before = dial().await.expect("it listens");
        assert_eq!(say(&mut before, b"one").await, 3);
        proxy.cut();
        assert_eq!(say(&mut before, b"two").await, 0);
        let mut after = dial().await.expect("it listens");
        assert_eq!(say(&mut after, b"three").await, 5);
        proxy.lose_answers();
        assert_eq!(
            say(&mut after, b"four").await,
            0,
            "said, and never answered"
        );
    }
}
