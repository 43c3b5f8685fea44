//! Answers that no careful server gives, byte for byte as they go over the wire. Not for sending them: the listener does.

use std::time::Duration;

use super::FaultKind;

/// A good answer of any platform, inflated to 16 MiB by spaces.
const BOMB: &[u8] = include_bytes!("bomb.gz");

/// What is written instead of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sandbox) struct Script {
    /// First this.
    pub(in crate::sandbox) head: Vec<u8>,
    /// Then this, over and over; where it is empty, the connection ends.
    pub(in crate::sandbox) again: Vec<u8>,
    /// How long to wait before each of these.
    pub(in crate::sandbox) pause: Duration,
}

/// The script of a kind that has one.
pub(super) fn script(kind: FaultKind) -> Option<Script> {
    Some(match kind {
        FaultKind::Huge => endless(&head("200 OK", "content-length: 1099511627776"), &[b'x'; 65_536]),
        FaultKind::Drip => Script {
            pause: Duration::from_millis(50),
            ..endless(&head("200 OK", "content-length: 1099511627776"), b" ")
        },
        FaultKind::EndlessHead => endless(b"HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n"),
        FaultKind::Informational => endless(b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"),
        FaultKind::Truncated => whole(&head("200 OK", "content-length: 1000"), br#"{"events_received":1"#),
        FaultKind::Empty => whole(b"", b""),
        FaultKind::NotHttp => whole(b"", b"SSH-2.0-OpenSSH_9.2\r\n"),
        FaultKind::Garbage => whole(&head("200 OK", JSON), b"{\"events_received\":1,\"\xff\xfe\x00\":NaN}"),
        FaultKind::DeepJson => {
            let deep = [vec![b'['; 100_000], vec![b']'; 100_000]].concat();
            whole(&head("200 OK", JSON), &deep)
        }
        FaultKind::WrongTypes => whole(
            &head("200 OK", JSON),
            br#"{"events_received":"1","error":[],"requestId":{},"results":7,"partialFailureError":"no","elements":{"0":true}}"#,
        ),
        FaultKind::LoginPage => whole(
            &head("200 OK", "content-type: text/html"),
            b"<!DOCTYPE html><html><title>Please log in</title><form method=post></form></html>",
        ),
        FaultKind::GzipBomb => whole(&head("200 OK", "content-type: application/json\r\ncontent-encoding: gzip"), BOMB),
        // Discard: whoever followed would be refused a connection, and would have handed the credential on.
        FaultKind::Redirect => whole(
            &head("307 Temporary Redirect", "location: http://127.0.0.1:9/elsewhere\r\ncontent-length: 0"),
            b"",
        ),
        FaultKind::Http10 => whole(b"HTTP/1.0 200 OK\r\n\r\n", b""),
        _ => return None,
    })
}

const JSON: &str = "content-type: application/json";

/// A status line and headers. Without a length, the body ends with the connection.
fn head(status: &str, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}\r\n\r\n").into_bytes()
}

fn whole(head: &[u8], body: &[u8]) -> Script {
    Script {
        head: [head, body].concat(),
        again: Vec::new(),
        pause: Duration::ZERO,
    }
}

fn endless(head: &[u8], again: &[u8]) -> Script {
    Script {
        head: head.to_vec(),
        again: again.to_vec(),
        pause: Duration::ZERO,
    }
}
