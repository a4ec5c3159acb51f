//! The settings, from the environment. What cannot be used is named, with how to write it; a secret never is shown.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clock::SystemClock;
use secrecy::{ExposeSecret as _, SecretString};
use sync_wire::Environment;
use tracing_subscriber::EnvFilter;

use super::Failed;
use crate::api::{Edge, Network};
use crate::db::{Address, Db, Limits};
use crate::hq::{Hq, SharedHq};
use crate::keys::MasterKeys;
use crate::outbound::Outbound;
use crate::serve::{Certificates, Settings};

/// Where the service listens unless `HQ_LISTEN` says otherwise.
const LISTEN: &str = "127.0.0.1:8480";
/// How often the periodic work is done unless `HQ_WORKER_SECONDS` says otherwise.
const WORKER_EVERY: Duration = Duration::from_secs(60);

/// Logs go to standard error: `HQ_LOG` filters, `HQ_LOG_FORMAT=json` makes each line an object.
pub(super) fn start_logs() {
    let wanted = text("HQ_LOG").unwrap_or_else(|| "info".to_owned());
    let filter = EnvFilter::try_new(&wanted).unwrap_or_else(|error| {
        eprintln!("fiscal-hq: HQ_LOG cannot be read ({error}); taking `info`");
        EnvFilter::new("info")
    });
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        .with_writer(std::io::stderr);
    if text("HQ_LOG_FORMAT").as_deref() == Some("json") {
        builder.json().init();
    } else {
        builder.init();
    }
}

/// What a variable says; empty is unset.
pub(super) fn text(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

/// A secret from a variable, from the file that `NAME_FILE` names, or else from the systemd credential of that name.
fn secret(name: &str) -> Result<Option<SecretString>, Failed> {
    let file_name = format!("{name}_FILE");
    match (text(name), text(&file_name)) {
        (Some(_), Some(_)) => Err(Failed::Settings(format!(
            "{name} and {file_name} are both set; set one of them"
        ))),
        (Some(value), None) => Ok(Some(SecretString::from(value))),
        (None, None) => credential(name),
        (None, Some(path)) => {
            let value = std::fs::read_to_string(&path).map_err(|error| {
                Failed::Settings(format!("{file_name}: {path} cannot be read: {error}"))
            })?;
            let value = value.trim();
            if value.is_empty() {
                return Err(Failed::Settings(format!("{file_name}: {path} is empty")));
            }
            Ok(Some(SecretString::from(value)))
        }
    }
}

/// What `LoadCredentialEncrypted=NAME:…` of the unit has put in its place; nothing if there was none.
fn credential(name: &str) -> Result<Option<SecretString>, Failed> {
    let Some(folder) = std::env::var_os("CREDENTIALS_DIRECTORY") else {
        return Ok(None);
    };
    let path = PathBuf::from(folder).join(name);
    match std::fs::read_to_string(&path) {
        Ok(value) if value.trim().is_empty() => {
            Err(Failed::Settings(format!("the credential {name} is empty")))
        }
        Ok(value) => Ok(Some(SecretString::from(value.trim()))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failed::Settings(format!(
            "the credential {name} cannot be read: {error}"
        ))),
    }
}

/// The address of the database.
pub(super) fn database() -> Result<Address, Failed> {
    let url = secret("DATABASE_URL")?.ok_or_else(|| {
        Failed::settings("DATABASE_URL is not set; write it like postgresql://fiscal_hq_app:PASSWORD@HOST:5432/fiscal_hq?sslmode=verify-full")
    })?;
    Address::parse(url.expose_secret()).map_err(Failed::settings)
}

/// The service's connections, `HQ_DATABASE_CONNECTIONS` of them.
pub(super) fn pool() -> Result<Db, Failed> {
    let mut limits = Limits::default();
    if let Some(count) = number("HQ_DATABASE_CONNECTIONS", 2, 1_000)? {
        limits.connections = usize::try_from(count).unwrap_or(limits.connections);
    }
    database()?.pool(limits).map_err(Failed::settings)
}

fn number(name: &str, from: u64, to: u64) -> Result<Option<u64>, Failed> {
    let Some(value) = text(name) else {
        return Ok(None);
    };
    let number = value
        .parse()
        .ok()
        .filter(|number| (from..=to).contains(number));
    number.map(Some).ok_or_else(|| {
        Failed::Settings(format!(
            "{name} is {value:?}; it is a number from {from} to {to}"
        ))
    })
}

/// The master keys.
fn keys() -> Result<MasterKeys, Failed> {
    let current = secret("FDMS_CRED_MASTER_KEY_B64")?;
    let old = secret("FDMS_CRED_MASTER_KEY_OLD_B64")?;
    let current = current.as_ref().map_or("", |key| key.expose_secret());
    let old = old.as_ref().map(|key| key.expose_secret());
    MasterKeys::parse(current, old).map_err(Failed::settings)
}

/// All that the service is given.
pub(super) fn hq() -> Result<SharedHq, Failed> {
    let ceiling = text("FDMS_ENV").and_then(|value| Environment::parse(&value));
    let ceiling = ceiling.ok_or_else(|| {
        Failed::settings("FDMS_ENV must be `test` (no tenant can go live here) or `prod`")
    })?;
    let public_url = text("HQ_PUBLIC_URL").ok_or_else(|| {
        Failed::settings(
            "HQ_PUBLIC_URL is not set; it is how people reach this service: https://hq.example",
        )
    })?;
    let public_url = public_url.trim_end_matches('/').to_owned();
    let secure_cookies = is_secure(&public_url)?;
    let worker_secret = secret("FDMS_WORKER_SECRET")?;
    if worker_secret
        .as_ref()
        .is_some_and(|secret| secret.expose_secret().len() < 16)
    {
        return Err(Failed::settings(
            "FDMS_WORKER_SECRET is shorter than 16 characters; make one with: openssl rand -hex 32",
        ));
    }
    // A mail server's address holds a password, so it may be in a file too.
    let smtp = secret("HQ_SMTP_URL")?;
    let outbound = Outbound::from_env(|name| match name {
        "HQ_SMTP_URL" => smtp.as_ref().map(|url| url.expose_secret().to_owned()),
        other => text(other),
    });
    Ok(Arc::new(Hq {
        db: pool()?,
        clock: Arc::new(SystemClock),
        ceiling,
        keys: keys()?,
        worker_secret,
        secure_cookies,
        public_url,
        outbound,
    }))
}

/// Whether cookies are for HTTPS alone; without HTTPS only a demonstration on this machine may be.
fn is_secure(public_url: &str) -> Result<bool, Failed> {
    if public_url.starts_with("https://") {
        return Ok(true);
    }
    let host = public_url.strip_prefix("http://").unwrap_or_default();
    let host = host.split(['/', ':']).next().unwrap_or_default();
    if matches!(host, "localhost" | "127.0.0.1") {
        return Ok(false);
    }
    Err(Failed::settings(
        "HQ_PUBLIC_URL must begin with https:// (http:// is for localhost alone): passwords and receipts cross the network",
    ))
}

/// Where and how the service listens.
pub(super) fn serving(public_url: &str) -> Result<(SocketAddr, Settings), Failed> {
    let listen = text("HQ_LISTEN").unwrap_or_else(|| LISTEN.to_owned());
    let address: SocketAddr = listen.parse().map_err(|_| {
        Failed::Settings(format!(
            "HQ_LISTEN is {listen:?}; write an address and a port: {LISTEN}"
        ))
    })?;
    let mut edge = Edge::default();
    for network in text("HQ_TRUSTED_PROXIES").unwrap_or_default().split(',') {
        if !network.trim().is_empty() {
            let network: Network = network
                .parse()
                .map_err(|error| Failed::Settings(format!("HQ_TRUSTED_PROXIES: {error}")))?;
            edge.trusted_proxies.push(network);
        }
    }
    let tls = match (text("HQ_TLS_CERT"), text("HQ_TLS_KEY")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some(Certificates::read(certificate.into(), key.into()).map_err(Failed::settings)?)
        }
        _ => {
            return Err(Failed::settings(
                "HQ_TLS_CERT and HQ_TLS_KEY belong together: set both, or none behind a proxy that speaks TLS",
            ));
        }
    };
    let is_open = tls.is_none() && !address.ip().is_loopback() && edge.trusted_proxies.is_empty();
    if is_open && public_url.starts_with("https://") {
        return Err(Failed::Settings(format!(
            "HQ_LISTEN is {address}, open to the network without TLS: set HQ_TLS_CERT and HQ_TLS_KEY, or name the proxy that speaks TLS in HQ_TRUSTED_PROXIES"
        )));
    }
    let worker_every = match number("HQ_WORKER_SECONDS", 0, 86_400)? {
        Some(0) => None,
        Some(seconds) => Some(Duration::from_secs(seconds)),
        None => Some(WORKER_EVERY),
    };
    Ok((
        address,
        Settings {
            edge,
            tls,
            metrics_token: secret("HQ_METRICS_TOKEN")?,
            worker_every,
            ..Settings::default()
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without HTTPS only this very machine is served.
    #[test]
    fn passwords_do_not_cross_a_network_in_the_clear() {
        assert!(is_secure("https://hq.example").unwrap());
        assert!(!is_secure("http://localhost:8480").unwrap());
        assert!(!is_secure("http://127.0.0.1:8480").unwrap());
        for bad in [
            "http://hq.example",
            "hq.example",
            "http://localhost.evil.example",
            "",
        ] {
            assert!(is_secure(bad).is_err(), "{bad}");
        }
    }
}
