//! The line between worker and PostgreSQL, in the hands of the test: it understands just enough of the protocol to know
//! which statement passes, and can break off before it, before its commit, or between the commit and its acknowledgement;
//! or hold everything back.
//!
//! Frontend: one untyped start-up message, then typed ones; each `Q` and each `S` is answered by one `Z`.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const SSL_REQUEST: u32 = 80_877_103;

/// Where in a transaction the line breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The server never sees the statement.
    BeforeStatement,
    /// The server has the statement and never sees its commit: it rolls back.
    BeforeCommit,
    /// The server has committed and the worker never hears of it.
    AfterCommit,
}

/// What passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flow {
    /// Everything.
    Open,
    /// Statements, but no commit: transactions stay open at the server.
    NoCommits,
    /// Nothing at all: connections are taken, and nobody answers.
    Nothing,
}

/// A proxy on a port of its own. Ends with the test.
pub(crate) struct Wire {
    pub(crate) port: u16,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    server: Mutex<u16>,
    cut: Mutex<Option<(String, Place)>>,
    flow: watch::Sender<Flow>,
    /// Counts what was broken off; the connections of an older count end.
    broken: watch::Sender<u64>,
    /// Counts what was frozen; the connections of an older count stay open and silent.
    frozen: watch::Sender<u64>,
    struck: watch::Sender<u64>,
    seen: Mutex<BTreeSet<String>>,
    names: Vec<(String, String)>,
}

impl Wire {
    /// Leads to a server on this port of this machine.
    pub(crate) async fn to(server: u16) -> Wire {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let shared = Arc::new(Shared {
            server: Mutex::new(server),
            cut: Mutex::new(None),
            flow: watch::Sender::new(Flow::Open),
            broken: watch::Sender::new(0),
            frozen: watch::Sender::new(0),
            struck: watch::Sender::new(0),
            seen: Mutex::default(),
            names: names(),
        });
        let own = shared.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let shared = own.clone();
                tokio::spawn(async move {
                    let mut broken = shared.broken.subscribe();
                    let mut frozen = shared.frozen.subscribe();
                    let carrying = carry(client, &shared);
                    tokio::pin!(carrying);
                    tokio::select! {
                        // Both sides are dropped, and so closed.
                        _ = &mut carrying => return,
                        _ = broken.changed() => return,
                        _ = frozen.changed() => {}
                    }
                    // Both sides stay open, and nothing passes any more.
                    drop(broken.changed().await);
                });
            }
        });
        Wire {
            port,
            shared,
            accepting,
        }
    }

    /// Breaks the line once, at the next transaction of this statement (the name of its file).
    pub(crate) fn cut(&self, statement: &str, place: Place) {
        *self.shared.cut.lock().expect("no panic") = Some((statement.to_owned(), place));
    }

    /// Forgets a cut that has not happened. Returns whether there was one.
    pub(crate) fn uncut(&self) -> bool {
        self.shared.cut.lock().expect("no panic").take().is_some()
    }

    /// Returns once the line was broken so often in all.
    pub(crate) async fn struck(&self, times: u64) {
        let mut struck = self.shared.struck.subscribe();
        let waiting = struck.wait_for(|&so_far| so_far >= times);
        tokio::time::timeout(Duration::from_secs(20), waiting)
            .await
            .expect("the statement is sent")
            .expect("the wire lives");
    }

    /// Lets this much through from now on.
    pub(crate) fn flow(&self, flow: Flow) {
        self.shared.flow.send_replace(flow);
    }

    /// Breaks every connection.
    pub(crate) fn break_all(&self) {
        self.shared.broken.send_modify(|count| *count += 1);
    }

    /// Silences every connection there is, for ever: no end is told of it. New ones work.
    pub(crate) fn freeze(&self) {
        self.shared.frozen.send_modify(|count| *count += 1);
    }

    /// The statements that have passed, by the names of their files.
    pub(crate) fn seen(&self) -> BTreeSet<String> {
        self.shared.seen.lock().expect("no panic").clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
        self.break_all();
    }
}

/// The statements of the worker and the names of their files.
fn names() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/queries");
    let files = std::fs::read_dir(folder).expect("the folder of the statements");
    files
        .map(|file| {
            let path = file.expect("listed").path();
            let name = path
                .file_stem()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (std::fs::read_to_string(&path).expect("read"), name)
        })
        .collect()
}

/// Units of one connection: each is answered by one `Z`; the first is the greeting.
struct Units {
    sent: AtomicU64,
    /// The unit whose answer is swallowed, after which the line breaks.
    doomed: AtomicU64,
}

async fn carry(client: TcpStream, shared: &Shared) -> io::Result<()> {
    client.set_nodelay(true)?;
    let mut flow = shared.flow.subscribe();
    let opened = flow.wait_for(|&flow| flow != Flow::Nothing).await;
    drop(opened.expect("the wire lives"));
    let port = *shared.server.lock().expect("no panic");
    let server = TcpStream::connect(("127.0.0.1", port)).await?;
    server.set_nodelay(true)?;
    let (from_client, mut to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let from_client = greet(from_client, &mut to_client, to_server).await?;
    let Some((from_client, to_server)) = from_client else {
        return Ok(());
    };
    let units = Units {
        sent: AtomicU64::new(1),
        doomed: AtomicU64::new(u64::MAX),
    };
    tokio::select! {
        ended = to_the_server(from_client, to_server, shared, &units) => ended,
        ended = to_the_client(from_server, to_client, shared, &units) => ended,
    }
}

/// Passes on the start-up message. TLS is declined; a request to cancel is passed on, and that is all of it.
async fn greet(
    mut from_client: OwnedReadHalf,
    to_client: &mut OwnedWriteHalf,
    mut to_server: OwnedWriteHalf,
) -> io::Result<Option<(OwnedReadHalf, OwnedWriteHalf)>> {
    loop {
        let length = from_client.read_u32().await?;
        let mut body = vec![0; length as usize - 4];
        from_client.read_exact(&mut body).await?;
        let code = u32::from_be_bytes(body[..4].try_into().expect("four bytes"));
        if code == SSL_REQUEST {
            to_client.write_all(b"N").await?;
            continue;
        }
        to_server.write_u32(length).await?;
        to_server.write_all(&body).await?;
        let is_session = code >> 16 == 3;
        return Ok(is_session.then_some((from_client, to_server)));
    }
}

async fn to_the_server(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    units: &Units,
) -> io::Result<()> {
    let mut flow = shared.flow.subscribe();
    let mut statement = String::new();
    loop {
        let (kind, body) = message(&mut from).await?;
        let text = |from: usize| {
            let end = body[from..].iter().position(|&byte| byte == 0);
            String::from_utf8_lossy(&body[from..from + end.unwrap_or(0)]).into_owned()
        };
        let is_commit = kind == b'Q' && text(0).ends_with("commit");
        if kind == b'P' {
            // Its own name is empty: the worker prepares nothing by name.
            let sql = text(1);
            let known = shared.names.iter().find(|(text, _)| *text == sql);
            statement = known.map_or(sql.clone(), |(_, name)| name.clone());
            shared
                .seen
                .lock()
                .expect("no panic")
                .insert(statement.clone());
        }
        let open = |flow: &Flow| match flow {
            Flow::Open => true,
            Flow::NoCommits => !is_commit,
            Flow::Nothing => false,
        };
        drop(flow.wait_for(open).await.expect("the wire lives"));
        let planned = shared.cut.lock().expect("no panic").clone();
        let here = planned
            .filter(|(name, _)| *name == statement)
            .map(|(_, place)| place);
        let unit = units.sent.load(Ordering::SeqCst);
        match (here, kind, is_commit) {
            (Some(Place::BeforeStatement), b'P', _) | (Some(Place::BeforeCommit), _, true) => {
                strike(shared);
                return Ok(());
            }
            (Some(Place::AfterCommit), _, true) => {
                shared.cut.lock().expect("no panic").take();
                units.doomed.store(unit, Ordering::SeqCst);
            }
            _ => {}
        }
        if matches!(kind, b'Q' | b'S') {
            units.sent.fetch_add(1, Ordering::SeqCst);
        }
        to.write_all(&framed(kind, &body)).await?;
    }
}

async fn to_the_client(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    shared: &Shared,
    units: &Units,
) -> io::Result<()> {
    let mut flow = shared.flow.subscribe();
    let mut unit = 0;
    loop {
        let (kind, body) = message(&mut from).await?;
        drop(
            flow.wait_for(|&flow| flow != Flow::Nothing)
                .await
                .expect("the wire lives"),
        );
        let is_doomed = unit == units.doomed.load(Ordering::SeqCst);
        if kind == b'Z' {
            unit += 1;
            if is_doomed {
                strike(shared);
                return Ok(());
            }
        }
        if !is_doomed {
            to.write_all(&framed(kind, &body)).await?;
        }
    }
}

fn strike(shared: &Shared) {
    shared.cut.lock().expect("no panic").take();
    shared.struck.send_modify(|count| *count += 1);
}

async fn message(from: &mut OwnedReadHalf) -> io::Result<(u8, Vec<u8>)> {
    let kind = from.read_u8().await?;
    let mut body = vec![0; from.read_u32().await? as usize - 4];
    from.read_exact(&mut body).await?;
    Ok((kind, body))
}

fn framed(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a message of this size");
    [&[kind][..], &length.to_be_bytes(), body].concat()
}
