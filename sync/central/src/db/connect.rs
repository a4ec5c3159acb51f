//! Where Postgres is (`DATABASE_URL`), and how it is reached: TLS where the address asks for it, short patience
//! everywhere, so that a database that is away is noticed in seconds and its return too.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, NoTls};

use super::tls::MakeTls;
use super::{Db, RoleError, role};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long a peer that does not acknowledge is waited for.
const SILENCE: Duration = Duration::from_secs(15);

/// Why `DATABASE_URL` cannot be used. Never holds its password.
#[derive(Debug, thiserror::Error)]
pub enum AddressError {
    /// It cannot be read.
    #[error(
        "DATABASE_URL cannot be read ({0}); write it like postgresql://fiscal_hq_app:PASSWORD@HOST:5432/fiscal_hq?sslmode=verify-full, or postgresql:///fiscal_hq?host=/run/postgresql&user=fiscal_hq_app"
    )]
    Unreadable(String),
    /// The certificates for TLS cannot be read.
    #[error("DATABASE_URL: the certificates in {0} cannot be read: {1}")]
    Certificates(String, String),
}

/// What the service allows itself at Postgres.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections of this instance at most.
    pub connections: usize,
    /// How long a request waits for a free connection.
    pub wait: Duration,
    /// How long one statement may take.
    pub statement: Duration,
    /// How long a statement waits for a lock.
    pub lock: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16,
            wait: Duration::from_secs(5),
            statement: Duration::from_secs(20),
            lock: Duration::from_secs(10),
        }
    }
}

/// An address of Postgres.
#[derive(Clone)]
pub struct Address {
    config: Config,
    tls: Option<MakeTls>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = formatter.debug_struct("Address");
        shown.field("hosts", &self.config.get_hosts());
        shown.field("tls", &self.tls.is_some());
        shown.finish_non_exhaustive()
    }
}

impl Address {
    /// Reads a URL. TLS is spoken if it says `sslmode=require`, `verify-ca` or `verify-full`; all three check the
    /// certificate and the name, against the system's authorities or those in the file `sslrootcert`.
    ///
    /// # Errors
    /// It cannot be read, or its certificates cannot.
    pub fn parse(url: &str) -> Result<Self, AddressError> {
        let (plain, roots) = without_roots(url);
        let unreadable = |why: tokio_postgres::Error| AddressError::Unreadable(super::say(&why));
        let mut config: Config = plain.parse().map_err(unreadable)?;
        config
            .connect_timeout(CONNECT)
            .tcp_user_timeout(SILENCE)
            .keepalives_idle(SILENCE)
            .application_name("fiscal-hq");
        let tls = match config.get_ssl_mode() {
            SslMode::Require => Some(tls(roots.as_deref())?),
            _ => {
                config.ssl_mode(SslMode::Disable);
                warn_of_plain(&config);
                None
            }
        };
        Ok(Self { config, tls })
    }

    /// One connection without limits of time, for work at the command line.
    ///
    /// # Errors
    /// Postgres is away, or does not let us in.
    pub async fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await?;
                tokio::spawn(run(connection));
                Ok(client)
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await?;
                tokio::spawn(run(connection));
                Ok(client)
            }
        }
    }

    /// The service's connections. None is used before it is sure that its role may not too much.
    ///
    /// # Errors
    /// Nothing that can be mended from outside.
    pub fn pool(&self, limits: Limits) -> Result<Db, AddressError> {
        let mut config = self.config.clone();
        let own = config.get_options().unwrap_or_default();
        config.options(format!(
            "{own} -c TimeZone=UTC -c statement_timeout={} -c lock_timeout={} -c idle_in_transaction_session_timeout={}",
            limits.statement.as_millis(),
            limits.lock.as_millis(),
            limits.statement.as_millis(),
        ));
        let how = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match &self.tls {
            Some(tls) => Manager::from_config(config, tls.clone(), how),
            None => Manager::from_config(config, NoTls, how),
        };
        let pool = Pool::builder(manager)
            .max_size(limits.connections)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(limits.wait))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    role::check(client).await.map_err(|why| match why {
                        RoleError::Database(error) => HookError::Backend(error),
                        too_much @ RoleError::TooMuch { .. } => {
                            HookError::message(too_much.to_string())
                        }
                    })
                })
            }))
            .build()
            .map_err(|why| AddressError::Unreadable(why.to_string()))?;
        Ok(Db::new(pool))
    }
}

async fn run(connection: impl Future<Output = Result<(), tokio_postgres::Error>> + Send) {
    if let Err(error) = connection.await {
        tracing::warn!(why = %super::say(&error), "a connection to the database broke off");
    }
}

/// Takes `sslrootcert` out of a URL, and says `require` for what we always do; the driver knows neither.
fn without_roots(url: &str) -> (String, Option<String>) {
    let Some((base, query)) = url.split_once('?') else {
        return (url.to_owned(), None);
    };
    let mut roots = None;
    let mut kept = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("sslrootcert", path)) => roots = Some(decoded(path)),
            Some(("sslmode", "verify-ca" | "verify-full")) => kept.push("sslmode=require"),
            Some(("sslmode", "allow")) => kept.push("sslmode=prefer"),
            _ => kept.push(pair),
        }
    }
    (format!("{base}?{}", kept.join("&")), roots)
}

fn decoded(text: &str) -> String {
    let pair = format!("v={text}");
    form_urlencoded::parse(pair.as_bytes())
        .next()
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

fn tls(roots: Option<&str>) -> Result<MakeTls, AddressError> {
    let mut store = rustls::RootCertStore::empty();
    match roots {
        None => {
            store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let bad = |why: String| AddressError::Certificates(path.to_owned(), why);
            let found = CertificateDer::pem_file_iter(Path::new(path))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|why| bad(why.to_string()))?;
            for certificate in found {
                store.add(certificate).map_err(|why| bad(why.to_string()))?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|why| AddressError::Unreadable(why.to_string()))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeTls::new(config))
}

/// Rows of all tenants over a network in the clear: allowed (the network may be the operator's own), not unsaid.
fn warn_of_plain(config: &Config) {
    for host in config.get_hosts() {
        if let Host::Tcp(name) = host
            && !matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1")
        {
            tracing::warn!(host = %name, "the database is reached over the network without TLS; add sslmode=verify-full to DATABASE_URL");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the driver does not know is read here; the rest goes to it as it is.
    #[test]
    fn tls_is_asked_for_by_the_url() {
        let full = "postgresql://a:b%26c@h:1/d?sslmode=verify-full&sslrootcert=%2Fx%20y&target_session_attrs=any";
        let (plain, roots) = without_roots(full);
        assert_eq!(
            plain,
            "postgresql://a:b%26c@h:1/d?sslmode=require&target_session_attrs=any"
        );
        assert_eq!(roots.as_deref(), Some("/x y"));
        assert_eq!(
            without_roots("postgresql:///d"),
            ("postgresql:///d".to_owned(), None)
        );
        let address = Address::parse("postgresql://h/d?sslmode=require").unwrap();
        assert!(address.tls.is_some());
        assert!(Address::parse("postgresql://h/d").unwrap().tls.is_none());
        let missing = Address::parse("postgresql://h/d?sslmode=require&sslrootcert=/nowhere.pem");
        assert!(matches!(missing, Err(AddressError::Certificates(..))));
    }

    /// A password that makes the URL unreadable is not repeated.
    #[test]
    fn a_bad_url_is_refused_without_its_password() {
        let error = Address::parse("postgresql://a:s3cret@h:port/d").unwrap_err();
        assert!(!error.to_string().contains("s3cret"), "{error}");
        assert!(!format!("{:?}", Address::parse("postgresql://a:s3cret@h/d")).contains("s3cret"));
    }
}
