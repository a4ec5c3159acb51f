//! Asks the running gateway over its Unix socket, as POS software on this machine does.

use anyhow::{Context as _, anyhow};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use crate::config::Config;

/// An answer of the daemon.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body of a success; a problem document becomes an error in words.
    ///
    /// # Errors
    /// The answer is no success.
    pub fn success(self) -> anyhow::Result<String> {
        Ok(String::from_utf8_lossy(&self.document()?).into_owned())
    }

    /// The same of a body that is no text.
    ///
    /// # Errors
    /// The answer is no success.
    pub fn document(self) -> anyhow::Result<Vec<u8>> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        Err(anyhow!(problem(
            self.status,
            &String::from_utf8_lossy(&self.body)
        )))
    }
}

/// Sends one request to the daemon.
///
/// # Errors
/// Nobody answers on the socket.
pub async fn send(
    config: &Config,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    let socket = config.socket_path();
    let stream = UnixStream::connect(&socket).await.with_context(|| {
        format!(
            "the gateway does not answer on {}; start it with `fiscald run`, or name its configuration with --config",
            socket.display()
        )
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "localhost")
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status().as_u16();
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(Answer {
        status,
        body: bytes.into(),
    })
}

/// A problem document in words: what, where, what to do.
fn problem(status: u16, body: &str) -> String {
    let Ok(problem) = serde_json::from_str::<serde_json::Value>(body) else {
        return format!("the gateway answered {status}: {body}");
    };
    let text = |value: &serde_json::Value, name: &str| {
        value
            .get(name)
            .and_then(|v| v.as_str())
            .unwrap_or_default()
            .to_owned()
    };
    let mut words = format!("{}: {}", text(&problem, "code"), text(&problem, "detail"));
    if let Some(findings) = problem.get("findings").and_then(|f| f.as_array()) {
        for finding in findings {
            words.push_str(&format!(
                "\n  {} at {}: {}",
                text(finding, "code"),
                text(finding, "pointer"),
                text(finding, "message")
            ));
        }
    }
    let action = text(&problem, "action");
    if !action.is_empty() {
        words.push_str(&format!("\n  {action}"));
    }
    words
}
