//! A collector of traces that keeps what it is sent.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A collector on loopback that keeps every byte it is sent.
pub(super) async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a free port");
    let address = listener.local_addr().expect("bound");
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keep = kept.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let keep = keep.clone();
            tokio::spawn(async move {
                let mut request = Vec::new();
                let mut part = [0; 8192];
                while !is_whole(&request) {
                    match stream.read(&mut part).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => request.extend_from_slice(&part[..read]),
                    }
                }
                keep.lock().expect("whole").extend_from_slice(&request);
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                drop(stream.write_all(answer).await);
            });
        }
    });
    (format!("http://{address}"), kept)
}

/// Whether head and body of a request have been read.
fn is_whole(request: &[u8]) -> bool {
    let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") else {
        return false;
    };
    let head = String::from_utf8_lossy(&request[..end]).to_lowercase();
    let length = head.lines().find_map(|line| {
        line.strip_prefix("content-length:")?
            .trim()
            .parse::<usize>()
            .ok()
    });
    request.len() >= end + 4 + length.unwrap_or(0)
}
