//! The composition root: builds the parts, runs them side by side, and stops them in order.
//!
//! Every part is given its listener, its clock and its stop signal. The ledger, the API and the submit
//! worker are vital: one of them that ends early ends the daemon, so that systemd starts it anew.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api::{
    Admission, Admitted, AllowList, Api, ApiSettings, Devices, LanDoor, Reach, UnixId, UnixUser,
};
use crate::backup::Backups;
use crate::config::{Config, FdmsConfig, LanConfig};
use crate::fdms::Identity;
use crate::hq::HeadOffice;
use crate::ledger::{Ledger, TillInfo};
use crate::submit::{Access, ConnectError, Connecting, Connector, LedgerConnector, Submitter};

/// How long open requests may take to end once the daemon is stopping; systemd waits longer.
pub const DRAIN: Duration = Duration::from_secs(10);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// A part that it cannot do without has ended.
    #[error("{0} has ended; the daemon stops, so that it is started anew")]
    Ended(&'static str),
    /// A part panicked.
    #[error("{0} has failed: {1}")]
    Panicked(&'static str, String),
}

/// Where the API listens.
#[derive(Debug)]
pub struct Listeners {
    /// HTTP on loopback.
    pub http: TcpListener,
    /// HTTP on a Unix socket.
    pub unix: Option<UnixListener>,
    /// JSON lines on loopback.
    pub lines: Option<TcpListener>,
    /// JSON lines on a Unix socket.
    pub lines_unix: Option<UnixListener>,
    /// HTTPS for tills on other machines of the shop.
    pub lan: Option<TcpListener>,
}

impl Listeners {
    /// HTTP on loopback alone.
    #[must_use]
    pub fn http_only(http: TcpListener) -> Self {
        Self {
            http,
            unix: None,
            lines: None,
            lines_unix: None,
            lan: None,
        }
    }
}

/// The daemon's parts, ready to run.
pub struct Daemon {
    /// The ledger with its writer thread.
    pub ledger: Ledger,
    /// Who may do what over the API.
    pub api: ApiSettings,
    /// Where it listens; taken once it runs.
    pub listeners: Option<Listeners>,
    /// Where the ledger is: how far it has come is kept beside it. None for one that is thrown away.
    pub ledger_path: Option<PathBuf>,
    /// How FDMS is reached; without one nothing is sent.
    pub connector: Option<Arc<dyn Connector>>,
    /// Sends to FDMS.
    pub submitter: Submitter,
    /// Printers and ports for old POS software.
    pub devices: Devices,
    /// Copies of the ledger.
    pub backups: Backups,
    /// Head office; none in a demonstration.
    pub hq: Option<HeadOffice>,
    /// Stops everything.
    pub stop: CancellationToken,
}

impl Daemon {
    /// Runs until the stop signal, or until a vital part ends by itself. The ledger is stopped last, with
    /// everything that was accepted written.
    ///
    /// # Errors
    /// A vital part ended without being told to.
    pub async fn run(mut self) -> Result<(), DaemonError> {
        let mut parts = JoinSet::new();
        // Before the first sale can come: where printing begins is where the ledger is now.
        self.start_devices(&mut parts);
        self.start_api(&mut parts);
        self.start_submitter(&mut parts);
        self.start_epoch(&mut parts);
        self.start_resting(&mut parts);
        self.start_hq(&mut parts);
        self.start_backups(&mut parts);
        self.start_keepers(&mut parts);
        crate::systemd::ready();
        let mut result = Ok(());
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.ledger.ended() => result = Err(DaemonError::Ended("the ledger's writer")),
            Some(ended) = parts.join_next() => result = early(ended, self.stop.is_cancelled()),
        }
        self.stop.cancel();
        crate::systemd::stopping();
        let drained =
            tokio::time::timeout(DRAIN, async { while parts.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(seconds = DRAIN.as_secs(), "open requests were cut off");
            parts.abort_all();
        }
        let ledger = self.ledger;
        // The writer thread finishes what waits; joining it blocks.
        if let Err(error) = tokio::task::spawn_blocking(move || ledger.stop()).await {
            tracing::error!(%error, "the ledger did not stop in order");
        }
        result
    }
}

/// A part's name, once it has ended.
type Part = &'static str;

impl Daemon {
    /// Takes the listeners and serves them.
    fn start_api(&mut self, parts: &mut JoinSet<Part>) {
        let Some(listeners) = self.listeners.take() else {
            return;
        };
        let mut settings = std::mem::take(&mut self.api);
        if let Some(hq) = &self.hq {
            settings.hq = hq.view.clone();
        }
        let (ledger, submitter) = (self.ledger.clone(), self.submitter.clone());
        let devices = self.devices.clone();
        let api = Api::new(
            ledger.clone(),
            submitter,
            devices,
            settings,
            self.stop.clone(),
        );
        let api = match crate::page::router(&api, &ledger) {
            Ok(page) => api.with_page(page),
            Err(error) => {
                tracing::error!(%error, "there is no operator's page; the tills are served all the same");
                api
            }
        };
        let (http, unix) = (api.clone(), api.clone());
        parts.spawn(async move {
            http.serve_tcp(listeners.http).await;
            "the API on loopback"
        });
        if let Some(listener) = listeners.unix {
            parts.spawn(async move {
                unix.serve_unix(listener).await;
                "the API on the Unix socket"
            });
        }
        let (lines, lines_unix) = (api.clone(), api.clone());
        if let Some(listener) = listeners.lines {
            parts.spawn(async move {
                lines.serve_lines_tcp(listener).await;
                "JSON lines on loopback"
            });
        }
        if let Some(listener) = listeners.lines_unix {
            parts.spawn(async move {
                lines_unix.serve_lines_unix(listener).await;
                "JSON lines on the Unix socket"
            });
        }
        if let Some(lan) = listeners.lan {
            parts.spawn(async move {
                api.serve_lan(lan).await;
                "the API for other machines"
            });
        }
    }

    fn start_submitter(&self, parts: &mut JoinSet<Part>) {
        let Some(connector) = self.connector.clone() else {
            return;
        };
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        let submitter = self.submitter.clone();
        parts.spawn(async move {
            if let Err(error) = submitter.run(ledger, connector, stop).await {
                tracing::error!(%error, "nothing is sent to FDMS any more");
            }
            "submitting to FDMS"
        });
    }
}

impl Daemon {
    fn start_devices(&self, parts: &mut JoinSet<Part>) {
        let (printers, ledger) = (self.devices.printers.clone(), self.ledger.clone());
        let (pos, stop) = (self.devices.pos.clone(), self.stop.clone());
        let served = pos.run(ledger.clone(), printers.clone(), stop.clone());
        parts.spawn(async move {
            served.await;
            "the ports for old POS software"
        });
        let printing = printers.run(ledger, stop.clone());
        parts.spawn(async move {
            printing.await;
            // Not vital: without printers the store sells on.
            stop.cancelled().await;
            "printing"
        });
    }

    fn start_hq(&self, parts: &mut JoinSet<Part>) {
        let Some(hq) = self.hq.clone() else {
            return;
        };
        let (ledger, submitter, stop) = (
            self.ledger.clone(),
            self.submitter.clone(),
            self.stop.clone(),
        );
        parts.spawn(async move {
            hq.run(ledger, submitter, stop.clone()).await;
            // Not vital: a store that never reaches head office sells on.
            stop.cancelled().await;
            "the part for head office"
        });
    }

    fn start_backups(&self, parts: &mut JoinSet<Part>) {
        let Some(path) = self.ledger_path.clone() else {
            return;
        };
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        let backups = self.backups.clone();
        parts.spawn(async move {
            backups.run(&ledger, &path, &stop).await;
            // Not vital: without a backup the store sells on, and the status says so.
            stop.cancelled().await;
            "the keeper of the backups"
        });
    }

    fn start_keepers(&self, parts: &mut JoinSet<Part>) {
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        parts.spawn(async move {
            crate::days::keep(ledger, stop).await;
            "the keeper of the days"
        });
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        parts.spawn(async move {
            crate::systemd::keep(ledger, stop).await;
            "telling systemd"
        });
    }

    /// What keeps the daemon small while nothing happens.
    fn start_resting(&self, parts: &mut JoinSet<Part>) {
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        parts.spawn(async move {
            crate::memory::rest(&ledger, &stop).await;
            "what keeps the memory small"
        });
    }

    /// What a copy of the ledger is told by.
    fn start_epoch(&self, parts: &mut JoinSet<Part>) {
        let Some(path) = self.ledger_path.clone() else {
            return;
        };
        let (ledger, stop) = (self.ledger.clone(), self.stop.clone());
        parts.spawn(async move {
            ledger.keep_epoch(&path, stop).await;
            "the keeper of the numbers beside the ledger"
        });
    }
}

/// What the API is told of the configuration.
///
/// # Errors
/// As [`admitted`].
pub fn api_settings(config: &Config) -> anyhow::Result<ApiSettings> {
    let logo = config.logo().unwrap_or_else(|why| {
        tracing::warn!("{why}");
        None
    });
    Ok(ApiSettings {
        admission: Admission::new(admitted(config)?),
        logo: logo.map(Arc::new),
        lan: config.api.lan.as_ref().map(|lan| lan.listen),
        data_dir: Some(config.data_dir()),
        ..ApiSettings::default()
    })
}

/// Whom the configuration lets in. The daemon's own user and root may use its Unix sockets for every till.
///
/// # Errors
/// The certificate or the addresses in `[api.lan]` cannot be used.
pub fn admitted(config: &Config) -> anyhow::Result<Admitted> {
    let own = rustix::process::geteuid().as_raw();
    let mut unix_users: Vec<UnixUser> = config
        .api
        .unix_users
        .iter()
        .filter_map(|user| {
            let who = match (user.uid, user.gid) {
                (Some(uid), _) => UnixId::Uid(uid),
                (None, Some(gid)) => UnixId::Gid(gid),
                (None, None) => return None,
            };
            let device = user.device_id.map(fiscal::DeviceId::new);
            let reach = match device {
                None => Reach::All,
                Some(device) => Reach::Device(device?),
            };
            Some(UnixUser { who, reach })
        })
        .collect();
    for uid in [own, 0] {
        unix_users.push(UnixUser {
            who: UnixId::Uid(uid),
            reach: Reach::All,
        });
    }
    let (lan_names, lan) = match &config.api.lan {
        None => (Vec::new(), None),
        Some(lan) => (lan.names.clone(), Some(lan_door(lan)?)),
    };
    Ok(Admitted {
        unix_users,
        lan_names,
        lan,
    })
}

/// How this store's tills reach FDMS. What is wrong with the way there keeps no till from selling: it is
/// said again on every try until it is mended.
#[derive(Debug)]
pub struct ConfiguredConnector {
    fdms: FdmsConfig,
    ledger: Ledger,
    connector: OnceLock<LedgerConnector>,
}

impl ConfiguredConnector {
    /// A connector by the configuration.
    #[must_use]
    pub fn new(config: &Config, ledger: &Ledger) -> Self {
        Self {
            fdms: config.fdms.clone(),
            ledger: ledger.clone(),
            connector: OnceLock::new(),
        }
    }

    fn connector(&self) -> Result<&LedgerConnector, String> {
        if let Some(connector) = self.connector.get() {
            return Ok(connector);
        }
        let clock = Arc::clone(self.ledger.time().clock());
        let access = Access::from_config(&self.fdms, clock)?;
        let connector = LedgerConnector::new(self.ledger.clone(), access);
        Ok(self.connector.get_or_init(|| connector))
    }
}

impl Connector for ConfiguredConnector {
    fn connect<'a>(&'a self, till: &'a TillInfo) -> Connecting<'a> {
        Box::pin(async move {
            let connector = self.connector().map_err(|why| ConnectError::Client {
                device: till.device_id,
                why,
            })?;
            connector.connect(till).await
        })
    }

    fn connect_as<'a>(&'a self, till: &'a TillInfo, identity: Identity) -> Connecting<'a> {
        Box::pin(async move {
            let connector = self.connector().map_err(|why| ConnectError::Client {
                device: till.device_id,
                why,
            })?;
            connector.connect_as(till, identity).await
        })
    }
}

/// Certificate and allow-list of the listener for other machines.
///
/// # Errors
/// A file cannot be read, the key does not fit the certificate, or an address is none.
pub fn lan_door(lan: &LanConfig) -> anyhow::Result<LanDoor> {
    use anyhow::Context as _;
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_file_iter(&lan.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("api.lan.certificate: {}", lan.certificate.display()))?;
    let key = PrivateKeyDer::from_pem_file(&lan.key)
        .with_context(|| format!("api.lan.key: {}", lan.key.display()))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("api.lan: the key does not fit the certificate")?;
    let allowed = AllowList::parse(&lan.allow).context("api.lan.allow")?;
    Ok(LanDoor {
        tls: Arc::new(tls),
        allowed,
    })
}

/// What the end of a part means. When all is being stopped, a part may hear of it before we do.
fn early(ended: Result<Part, tokio::task::JoinError>, stopping: bool) -> Result<(), DaemonError> {
    match ended {
        Ok(_) if stopping => Ok(()),
        Ok(part) => Err(DaemonError::Ended(part)),
        Err(error) => Err(DaemonError::Panicked("a part", error.to_string())),
    }
}

/// Waits for SIGTERM or SIGINT.
///
/// # Errors
/// The signals cannot be listened to.
pub async fn stop_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
