//! Speaks to the running daemon over its Unix socket, as POS software does.

use hyper::Method;

use crate::config::Config;
use crate::local::{Answer, send};

/// Sends one request to the daemon.
pub(super) fn ask(
    config: &Config,
    method: Method,
    path: &str,
    body: Vec<u8>,
) -> anyhow::Result<Answer> {
    super::runtime()?.block_on(send(config, method, path, body))
}
