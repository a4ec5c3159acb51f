//! Bytes as an attacker sends them, and the answers that come back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::api::{PATIENCE, sale};

/// How long a cashier waits for a receipt, and the machine of a test is slow: more is a till that is held up.
const CASHIER: Duration = Duration::from_secs(10);

/// The last request of each attack: whoever still takes requests on this connection answers it, and hangs up.
const LAST: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";

/// An answer over HTTP.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: String,
}

/// Sends bytes and then a last good request, and reads until the server has hung up: the answers, that to the last
/// request not among them, and whether it came.
pub(super) async fn exchange<S>(mut stream: S, bytes: &[u8]) -> (Vec<Said>, bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    // Whoever is hung up on in the middle may not be able to send the rest.
    let _ = stream.write_all(&[bytes, LAST].concat()).await;
    let heard = hear(&mut stream).await;
    let mut answers = answers(&heard);
    let is_last = |said: &Said| said.status == 200 && said.body.starts_with("{\"status\":");
    let goes_on = answers.last().is_some_and(is_last) && !answers.is_empty();
    if goes_on {
        answers.pop();
    }
    (answers, goes_on)
}

/// Everything until the server has hung up.
pub(super) async fn hear<S: AsyncRead + Unpin>(stream: &mut S) -> Vec<u8> {
    let mut heard = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut heard)).await;
    // A reset is an end too.
    let _ = read.expect("the server hangs up in the end");
    heard
}

/// The answers in what was heard. One that was cut short counts by its status.
pub(super) fn answers(mut heard: &[u8]) -> Vec<Said> {
    let mut all = Vec::new();
    while let Some(end) = heard.windows(4).position(|four| four == b"\r\n\r\n") {
        let head = String::from_utf8_lossy(&heard[..end]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer: {head}"));
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("content-length:"))
            .map_or(0, |length| length.trim().parse().unwrap());
        let rest = &heard[end + 4..];
        let body = rest.get(..length).unwrap_or(rest);
        all.push(Said {
            status,
            body: String::from_utf8_lossy(body).into_owned(),
        });
        heard = &rest[body.len()..];
    }
    all.retain(|said| said.status != 100);
    all
}

/// A chunked body of one piece.
pub(super) fn chunked(body: &str) -> String {
    format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len())
}

/// A till with a connection of its own, which it keeps.
pub(super) struct Till {
    stream: BufReader<TcpStream>,
    token: String,
    prefix: &'static str,
    pub(super) sold: usize,
}

impl Till {
    /// Connects; its invoices are named `prefix-1` and so on.
    pub(super) async fn at(address: SocketAddr, token: &str, prefix: &'static str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: BufReader::new(stream),
            token: token.to_owned(),
            prefix,
            sold: 0,
        }
    }

    /// Sells once, which must work, in the time that a cashier waits.
    pub(super) async fn sell(&mut self) {
        let body = sale(&format!("{}-{}", self.prefix, self.sold + 1));
        let request = format!(
            "POST /v1/receipts HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.token,
            body.len()
        );
        let asked = async {
            self.stream.write_all(request.as_bytes()).await?;
            let (mut line, mut head) = (String::new(), String::new());
            while !matches!(line.as_str(), "\r\n") {
                line.clear();
                if self.stream.read_line(&mut line).await? == 0 {
                    return Err(std::io::ErrorKind::UnexpectedEof.into());
                }
                head.push_str(&line.to_ascii_lowercase());
            }
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length:"));
            let length = length.map_or(0, |length| length.trim().parse().unwrap());
            self.stream.read_exact(&mut vec![0; length]).await?;
            std::io::Result::Ok(head)
        };
        let head = timeout(CASHIER, asked).await.expect("the till is held up");
        let head = head.unwrap();
        assert!(head.starts_with("http/1.1 201 "), "{head}");
        self.sold += 1;
    }

    /// Sells on until something else has ended; what that gave.
    pub(super) async fn sell_until<T>(&mut self, other: impl Future<Output = T>) -> T {
        let has_ended = AtomicBool::new(false);
        let other = async {
            let ended = other.await;
            has_ended.store(true, Ordering::Relaxed);
            ended
        };
        // No sale is left in the middle.
        let selling = async {
            while !has_ended.load(Ordering::Relaxed) {
                self.sell().await;
            }
        };
        tokio::join!(other, selling).0
    }
}
