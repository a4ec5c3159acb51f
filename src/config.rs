//! The configuration: one strict TOML file, defaults here, secrets only by path.
//!
//! A name that is not known is an error, so that a misspelt setting is never silently ignored. Under
//! systemd `$STATE_DIRECTORY`, `$RUNTIME_DIRECTORY` and `$CREDENTIALS_DIRECTORY` win over the defaults for
//! a developer's machine.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use fiscal::{Currency, DeviceId, TaxId};
use serde::Deserialize;

use crate::fdms::FileTransport;
use crate::keys::{KeyError, SealingKey};
use crate::ledger::{
    Answers, DayClosing, DayOpening, DayPolicy, Environment, PrintPolicy, Settings, TillSettings,
};

mod backup;
mod devices;
mod hints;
mod pos;

pub use backup::{At, BackupConfig, Keep};

pub use devices::{
    AfterUnknown, PrintPlan, PrinterConfig, PrinterSetup, ProfileSetting, TillPrinting, picture,
};

pub use pos::{Listen, Plays, PosConfig, PosKind, PosSetup, Templates, template};

/// Name of the sealing key as a systemd credential.
pub const SEALING_CREDENTIAL: &str = "fiscald.key";

/// Where systemd keeps credentials encrypted.
pub const CREDENTIAL_STORE: &str = "/etc/credstore.encrypted";

/// Where the package puts the configuration.
pub const INSTALLED: &str = "/etc/fiscald/fiscald.toml";

/// Where the authority's servers are (docs/FDMS.md section 1).
const TEST_URL: &str = "https://fdmsapitest.zimra.co.zw";
const PRODUCTION_URL: &str = "https://fdmsapi.zimra.co.zw";

/// A configuration that cannot be used: which file and why.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "{path} cannot be read; give the path with --config, or leave it out to run on the defaults"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no valid configuration.
    #[error("{path} is no valid configuration{}", meant.as_ref().map(|name| format!(" (did you mean `{name}`?)")).unwrap_or_default())]
    Parse {
        /// The file.
        path: PathBuf,
        /// The name that was probably meant, where one is misspelt.
        meant: Option<String>,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A value makes no sense.
    #[error("{path}{}: {what}", line.map(|line| format!(", line {line}")).unwrap_or_default())]
    Value {
        /// The file.
        path: PathBuf,
        /// The line on which the setting stands.
        line: Option<usize>,
        /// What is wrong, and what would be right.
        what: String,
    },
}

/// The whole configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The store: ledger, currencies, days.
    pub store: StoreConfig,
    /// Tills that do something otherwise than the store.
    pub tills: Vec<TillConfig>,
    /// Printers.
    pub printers: Vec<PrinterConfig>,
    /// Ports for old POS software.
    pub pos: Vec<PosConfig>,
    /// Names that POS software may use for taxes: `standard = 517`.
    pub taxes: BTreeMap<String, u32>,
    /// The API for the tills.
    pub api: ApiConfig,
    /// The authority's servers.
    pub fdms: FdmsConfig,
    /// Copies of the ledger.
    pub backup: BackupConfig,
    /// Logs.
    pub log: LogConfig,
    /// The sealing key, where it was opened before this program became the store's user; never in a file.
    #[serde(skip)]
    pub unsealed: Option<SealingKey>,
}

/// `[store]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// Where the ledger is kept. Default: `$STATE_DIRECTORY`, else the user's data directory.
    pub data_dir: Option<PathBuf>,
    /// The file with the sealing key. Default: the systemd credential `fiscald.key`, else `sealing.key`
    /// beside the ledger.
    pub sealing_key: Option<PathBuf>,
    /// Currencies that may be sold in.
    pub currencies: Vec<String>,
    /// Whether the first sale opens the day (`first_sale`), or a person (`by_hand`).
    pub day_opening: DayOpening,
    /// Who closes the day: a person (`by_hand`), the clock (`22:30`), or the gateway ten minutes before the day
    /// has lasted its longest (`before_longest`).
    pub day_closing: DayClosing,
    /// Whether a day that has lasted its longest is closed and the next opened by itself.
    pub rollover_offline: bool,
    /// When a sale is answered: at once (`hybrid`), or with what FDMS says of it where that comes in time (`online`).
    pub answers: Answers,
    /// How long an `online` answer waits for FDMS, milliseconds.
    pub online_wait_ms: u32,
    /// Whether receipts are printed by themselves.
    pub print: PrintPolicy,
    /// The shop's logo, PNG: on PDF invoices, and above receipts of printers that have none of their own.
    pub logo: Option<PathBuf>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        let settings = Settings::default();
        Self {
            data_dir: None,
            sealing_key: None,
            currencies: settings
                .currencies
                .iter()
                .map(ToString::to_string)
                .collect(),
            day_opening: settings.days.opening,
            day_closing: settings.days.closing,
            rollover_offline: settings.rollover_offline,
            answers: settings.answers,
            online_wait_ms: settings.online_wait_ms,
            print: settings.print,
            logo: None,
        }
    }
}

/// `[[tills]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TillConfig {
    /// The till.
    pub device_id: u32,
    /// Its environment.
    pub environment: Environment,
    /// As in `[store]`.
    pub day_opening: Option<DayOpening>,
    /// As in `[store]`.
    pub day_closing: Option<DayClosing>,
    /// As in `[store]`.
    pub print: Option<PrintPolicy>,
    /// The printer of its receipts; left out: the first that prints receipts of this till.
    pub printer: Option<String>,
}

impl TillConfig {
    fn device(&self) -> Result<DeviceId, String> {
        let (device, environment) = (self.device_id, self.environment);
        DeviceId::new(device).ok_or_else(|| {
            format!("tills: {device} ({environment}): device_id: this is no device ID")
        })
    }
}

/// `[api]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiConfig {
    /// Loopback address of the HTTP API.
    pub listen: SocketAddr,
    /// Unix socket of the HTTP API. Default: `fiscald.sock` in `$RUNTIME_DIRECTORY`, else beside the ledger.
    pub socket: Option<PathBuf>,
    /// Loopback address for JSON lines; none by default.
    pub lines_listen: Option<SocketAddr>,
    /// Unix socket for JSON lines; none by default.
    pub lines_socket: Option<PathBuf>,
    /// Which local users may use the Unix sockets without a token. The daemon's own user and root always may.
    pub unix_users: Vec<UnixUser>,
    /// For tills on other machines of the shop; off by default.
    pub lan: Option<LanConfig>,
}

impl Default for ApiConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8487)),
            socket: None,
            lines_listen: None,
            lines_socket: None,
            unix_users: Vec::new(),
            lan: None,
        }
    }
}

/// `[[api.unix_users]]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnixUser {
    /// The user's number.
    pub uid: Option<u32>,
    /// Or the group's.
    pub gid: Option<u32>,
    /// The till it sells for; left out: every till.
    pub device_id: Option<u32>,
}

/// `[api.lan]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanConfig {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// Addresses that may connect, such as `192.168.1.20` or `192.168.1.0/24`.
    pub allow: Vec<String>,
    /// Host names that clients use.
    #[serde(default)]
    pub names: Vec<String>,
}

/// `[fdms]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FdmsConfig {
    /// The authority's test server.
    pub test_url: String,
    /// The real one.
    pub production_url: String,
    /// A certificate authority to trust beside the system's (PEM): the sandbox's, or a proxy's.
    pub extra_ca: Option<PathBuf>,
    /// How files of offline devices travel: `json_text_plain`, `base64_text_plain` or `multipart_base64`.
    pub file_transport: FileTransport,
}

impl Default for FdmsConfig {
    fn default() -> Self {
        Self {
            test_url: TEST_URL.to_owned(),
            production_url: PRODUCTION_URL.to_owned(),
            extra_ca: None,
            file_transport: FileTransport::default(),
        }
    }
}

impl FdmsConfig {
    /// The address of an environment.
    #[must_use]
    pub fn url(&self, environment: Environment) -> &str {
        match environment {
            Environment::Test => &self.test_url,
            Environment::Production => &self.production_url,
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// What is logged, as `tracing` filters: `info`, `fiscald=debug`.
    pub level: String,
    /// A folder for daily files; without it logs go to standard error, where systemd takes them.
    pub directory: Option<PathBuf>,
    /// How many daily files are kept.
    pub keep: usize,
    /// How large the file of a day may grow, megabytes.
    pub max_mb: u32,
    /// JSON lines instead of text.
    pub json: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            directory: None,
            keep: 14,
            max_mb: 50,
            json: false,
        }
    }
}

impl Config {
    /// The file that holds unless another is named: the one that the package has put in its place, if it is there.
    #[must_use]
    pub fn installed() -> Option<PathBuf> {
        let path = PathBuf::from(INSTALLED);
        path.exists().then_some(path)
    }

    /// Reads a file; without one the defaults hold.
    ///
    /// # Errors
    /// The file cannot be read, has a name that is not known, or a value that makes no sense.
    pub fn load(path: Option<&Path>) -> Result<Self, ConfigError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    /// Reads a text; `path` is for messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(path: &Path, text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(|source| ConfigError::Parse {
            path: path.to_owned(),
            meant: hints::meant(source.message()),
            source: Box::new(source),
        })?;
        config.check().map_err(|what| ConfigError::Value {
            path: path.to_owned(),
            line: hints::line_of(text, &what),
            what,
        })?;
        Ok(config)
    }

    /// The line of this file on which the setting stands that a complaint names at its beginning: `log.directory: …`.
    #[must_use]
    pub fn line_of(path: &Path, complaint: &str) -> Option<usize> {
        hints::line_of(&std::fs::read_to_string(path).ok()?, complaint)
    }

    fn check(&self) -> Result<(), String> {
        self.settings()?;
        self.pos()?;
        let loopback = [
            ("listen", Some(self.api.listen)),
            ("lines_listen", self.api.lines_listen),
        ];
        for (name, address) in loopback {
            if let Some(address) = address.filter(|address| !address.ip().is_loopback()) {
                return Err(format!(
                    "api.{name}: {address} is not a loopback address; for tills on other machines use [api.lan]"
                ));
            }
        }
        if self.store.online_wait_ms > sync_wire::settings::MAX_WAIT_MS {
            let longest = sync_wire::settings::MAX_WAIT_MS;
            return Err(format!(
                "store.online_wait_ms: at most {longest} are waited for FDMS"
            ));
        }
        let urls = [
            ("test_url", &self.fdms.test_url),
            ("production_url", &self.fdms.production_url),
        ];
        for (name, url) in urls {
            if !url.starts_with("https://") {
                return Err(format!("fdms.{name}: \"{url}\" must begin with https://"));
            }
        }
        for (place, user) in (1..).zip(&self.api.unix_users) {
            if user.uid.is_none() == user.gid.is_none() {
                return Err(format!(
                    "api.unix_users: entry {place}: give either uid or gid"
                ));
            }
        }
        Ok(())
    }

    /// How the store does it, as the file says.
    ///
    /// # Errors
    /// A currency or a tax that is none.
    pub fn settings(&self) -> Result<Settings, String> {
        let currencies = self.store.currencies.iter().map(|text| {
            Currency::parse(text)
                .ok_or_else(|| format!("store.currencies: \"{text}\" is not three letters"))
        });
        let taxes = self.taxes.iter().map(|(name, id)| {
            TaxId::new(*id)
                .map(|id| (name.clone(), id))
                .ok_or_else(|| format!("taxes: {name} = {id} is too large"))
        });
        Ok(Settings {
            currencies: currencies.collect::<Result<_, _>>()?,
            tax_aliases: taxes.collect::<Result<_, _>>()?,
            days: DayPolicy {
                opening: self.store.day_opening,
                closing: self.store.day_closing,
            },
            rollover_offline: self.store.rollover_offline,
            answers: self.store.answers,
            online_wait_ms: self.store.online_wait_ms,
            print: self.store.print,
            tills: self.tills()?,
        })
    }

    fn tills(&self) -> Result<BTreeMap<(Environment, DeviceId), TillSettings>, String> {
        let mut tills = BTreeMap::new();
        for till in &self.tills {
            let device = till.device()?;
            let own = TillSettings {
                opening: till.day_opening,
                closing: till.day_closing,
                print: till.print,
            };
            if tills.insert((till.environment, device), own).is_some() {
                let (environment, device) = (till.environment, till.device_id);
                return Err(format!("tills: {device} ({environment}): is there twice"));
            }
        }
        Ok(tills)
    }

    /// Where the ledger is kept.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        let state = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
        let home = || {
            directories::ProjectDirs::from("", "", "fiscald")
                .map(|dirs| dirs.data_local_dir().to_owned())
        };
        self.store
            .data_dir
            .clone()
            .or_else(state)
            .or_else(home)
            .unwrap_or_else(|| PathBuf::from("fiscald-data"))
    }

    /// The ledger itself.
    #[must_use]
    pub fn ledger_path(&self) -> PathBuf {
        self.data_dir().join("ledger.db")
    }

    /// The Unix socket of the HTTP API.
    #[must_use]
    pub fn socket_path(&self) -> PathBuf {
        let runtime = || std::env::var_os("RUNTIME_DIRECTORY").map(PathBuf::from);
        self.api.socket.clone().unwrap_or_else(|| {
            runtime()
                .unwrap_or_else(|| self.data_dir())
                .join("fiscald.sock")
        })
    }

    /// The file that the sealing key is read from when it is no credential.
    #[must_use]
    pub fn sealing_key_path(&self) -> PathBuf {
        self.store
            .sealing_key
            .clone()
            .unwrap_or_else(|| self.data_dir().join("sealing.key"))
    }

    /// Where the sealing key in use comes from, for a person to find: systemd's encrypted credential, or
    /// [`Config::sealing_key_path`].
    #[must_use]
    pub fn sealing_key_origin(&self) -> PathBuf {
        match (&self.store.sealing_key, &self.unsealed) {
            (None, Some(_)) => Path::new(CREDENTIAL_STORE).join(SEALING_CREDENTIAL),
            _ => self.sealing_key_path(),
        }
    }

    /// Reads the sealing key: the configured file, else the systemd credential, else the file beside the
    /// ledger.
    ///
    /// # Errors
    /// The key is not there, or others may read it.
    pub fn sealing_key(&self) -> Result<SealingKey, KeyError> {
        if let (None, Some(key)) = (&self.store.sealing_key, &self.unsealed) {
            return Ok(key.clone());
        }
        let credential = std::env::var_os("CREDENTIALS_DIRECTORY")
            .map(|dir| PathBuf::from(dir).join(SEALING_CREDENTIAL));
        let is_there = credential.is_some_and(|path| path.exists());
        if self.store.sealing_key.is_none() && is_there {
            return SealingKey::from_credential(SEALING_CREDENTIAL);
        }
        SealingKey::from_file(&self.sealing_key_path())
    }
}

#[cfg(test)]
mod tests;
