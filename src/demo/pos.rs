//! A POS with one kept-alive connection to the gateway.

use std::net::SocketAddr;

use anyhow::{Context as _, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::SendRequest;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// A POS that sells over the local API.
pub(super) struct Pos {
    sender: SendRequest<Full<Bytes>>,
    token: String,
}

impl Pos {
    pub(super) async fn connect(address: SocketAddr, token: String) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, token })
    }

    /// Asks, and takes nothing but success for an answer.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> anyhow::Result<String> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))?;
        // The connection is told a moment after us that the answer before has been read.
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let bytes = response.into_body().collect().await?.to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if !status.is_success() {
            bail!("{path} was answered with {status}: {text}");
        }
        Ok(text)
    }

    /// Asks for JSON.
    pub(super) async fn json(
        &mut self,
        method: Method,
        path: &str,
        body: String,
    ) -> anyhow::Result<Value> {
        let text = self.ask(method, path, body).await?;
        serde_json::from_str(&text).with_context(|| format!("{path} answered no JSON: {text}"))
    }
}
