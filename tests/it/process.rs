//! A worker as an operator runs it: the real program, killed and told to stop by real signals.

use std::process::{Output, Stdio};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

use crate::rig::{Rig, Setup};

/// A running `conversion-outbox run`. Killed when dropped.
pub(crate) struct Process {
    child: Child,
    port: u16,
    log: std::path::PathBuf,
}

/// Runs another command of the program to its end.
pub(crate) async fn command(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_conversion-outbox"))
        .args(args)
        .output()
        .await
        .expect("it starts")
}

/// Runs `privacy …` as a privacy officer, with something on standard input. Nothing that it says holds the input.
pub(crate) async fn officer(rig: &Rig, setup: Setup, args: &[&str], input: &str) -> (i32, String) {
    let text = rig
        .configuration(setup)
        .replace("/database.url", "/officer.url");
    let config = rig.write("officer.toml", &text);
    let mut child = Command::new(env!("CARGO_BIN_EXE_conversion-outbox"))
        .arg("privacy")
        .args(args)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdin = child.stdin.take().expect("it is piped");
    // A command that reads nothing has closed it by now.
    stdin.write_all(input.as_bytes()).await.unwrap_or_default();
    drop(stdin);
    let output = child.wait_with_output().await.expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8(said).expect("text");
    assert!(input.is_empty() || !said.contains(input.trim()), "{said}");
    (output.status.code().expect("an exit code"), said)
}

impl Process {
    /// Starts a worker with the rig's configuration.
    pub(crate) fn start(rig: &Rig, setup: Setup) -> Process {
        Process::start_in(rig, setup, &[])
    }

    /// The same, with more in its environment.
    pub(crate) fn start_in(rig: &Rig, setup: Setup, environment: &[(&str, &str)]) -> Process {
        let port = free_port();
        let text = format!(
            "{}\n[http]\nlisten = \"127.0.0.1:{port}\"\n",
            rig.configuration(setup)
        );
        let config = rig.write(&format!("worker-{port}.toml"), &text);
        let log = rig.folder.path().join(format!("worker-{port}.log"));
        let file = std::fs::File::create(&log).expect("a file");
        let child = Command::new(env!("CARGO_BIN_EXE_conversion-outbox"))
            .args(["run", "--config"])
            .arg(config)
            .envs(environment.iter().copied())
            .stdout(file.try_clone().expect("a second handle"))
            .stderr(Stdio::from(file))
            .kill_on_drop(true)
            .spawn()
            .expect("it starts");
        Process { child, port, log }
    }

    /// As the kernel does when memory runs out: nothing is told to the process.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Sends a signal, such as `-TERM`.
    pub(crate) async fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill")
            .args([name, &pid])
            .status()
            .await
            .expect("kill runs");
        assert!(sent.success());
    }

    /// The exit code, once it has ended.
    pub(crate) async fn ended(&mut self) -> Option<i32> {
        self.child.wait().await.expect("it ends").code()
    }

    /// Everything it wrote so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).expect("a log")
    }

    /// What `/metrics` says.
    pub(crate) async fn metrics(&self) -> String {
        ask(self.port, "GET /metrics", &[]).await
    }

    /// The same as OpenMetrics.
    pub(crate) async fn openmetrics(&self) -> String {
        let accept = "Accept: application/openmetrics-text; version=1.0.0";
        ask(self.port, "GET /metrics", &[accept]).await
    }
}

/// A whole answer, head and body, of a listener on this machine.
pub(crate) async fn ask(port: u16, line: &str, headers: &[&str]) -> String {
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("it listens");
    let more: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut text = String::new();
    stream.read_to_string(&mut text).await.expect("an answer");
    text
}

/// A port that nobody listens on.
pub(crate) fn free_port() -> u16 {
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    free.expect("a free port").port()
}
