//! A request as it came, before anybody has read it: what is written down, and what is played again.

use std::collections::BTreeMap;
use std::net::IpAddr;

use anyhow::{Context, Result};
use clock::Timestamp;
use hyper::body::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Uri};

use super::Exchange;
use crate::answer::Document;
use crate::call::Call;
use crate::fault::FaultKind;

/// The headers that mean something to FDMS. Others are not written down.
const HEADERS: [&str; 4] = [
    "DeviceModelName",
    "DeviceModelVersion",
    "Content-Type",
    "Token",
];

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    /// SHA-256 of the client's certificate, if it showed one.
    pub(crate) fingerprint: Option<[u8; 32]>,
    /// The address it came from.
    pub(crate) sender: IpAddr,
    /// None: too long, or it broke off.
    pub(crate) body: Option<Bytes>,
}

impl Arrival {
    /// The line about it.
    pub(crate) fn exchange(
        &self,
        at: Timestamp,
        operation: &str,
        answer: Option<&Document>,
        fault: Option<&FaultKind>,
    ) -> Exchange {
        let found = Call::find(&self.method, self.uri.path()).ok();
        let body = self.body.as_ref().map(|body| std::str::from_utf8(body));
        Exchange {
            at,
            device: found.map(|(_, device)| device),
            call: found.map(|(call, _)| call),
            operation: operation.to_owned(),
            method: self.method.to_string(),
            path: self.uri.path().to_owned(),
            query: self.uri.query().map(str::to_owned),
            headers: self.kept_headers(),
            sender: self.sender,
            certificate: self.fingerprint.as_ref().map(|bytes| hex(bytes)),
            is_body_lost: !matches!(body, Some(Ok(_))),
            body: body.and_then(Result::ok).unwrap_or_default().to_owned(),
            status: answer.map(|document| document.status),
            answer: answer.map_or_else(String::new, |document| document.body.clone()),
            fault: fault.cloned(),
        }
    }

    fn kept_headers(&self) -> BTreeMap<String, String> {
        let kept = HEADERS.iter().filter_map(|name| {
            let value = self.headers.get(*name)?.as_bytes();
            Some(((*name).to_owned(), String::from_utf8_lossy(value).into()))
        });
        kept.collect()
    }

    /// The request that a line is about.
    ///
    /// # Errors
    /// The line has been tampered with: it holds no request.
    pub(crate) fn of(exchange: &Exchange) -> Result<Self> {
        let uri = match &exchange.query {
            Some(query) => format!("{}?{query}", exchange.path),
            None => exchange.path.clone(),
        };
        let mut headers = HeaderMap::new();
        for (name, value) in &exchange.headers {
            let name: HeaderName = name.parse().context("the name of a header is none")?;
            let value = HeaderValue::from_bytes(value.as_bytes());
            headers.insert(name, value.context("the value of a header is none")?);
        }
        let fingerprint = exchange.certificate.as_deref().map(from_hex).transpose()?;
        Ok(Self {
            method: exchange.method.parse().context("the method is none")?,
            uri: uri.parse().context("the path is none")?,
            headers,
            fingerprint,
            sender: exchange.sender,
            body: (!exchange.is_body_lost).then(|| Bytes::from(exchange.body.clone())),
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Result<[u8; 32]> {
    let wrong = || format!("{text} is no SHA-256 in hex");
    let bytes: Option<Vec<u8>> = (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect();
    let bytes = bytes.with_context(wrong)?;
    bytes.try_into().ok().with_context(wrong)
}
