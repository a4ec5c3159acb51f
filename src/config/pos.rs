//! `[[pos]]`: ports for old POS software, which prints, or drives a fiscal printer.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use drivers::capture::template::Template;
use drivers::register::{RegisterSettings, Rules};
use drivers::transport::LinkConfig;
use fiscal::{DeviceId, MoneyType};
use serde::Deserialize;

use super::hints::did_you_mean;
use super::{Config, PrintPlan};
use crate::api::AllowList;
use crate::ledger::Environment;

/// Bytes of a template's file at most.
const MAX_TEMPLATE: u64 = 256 << 10;

/// What the software at the other end believes to talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosKind {
    /// A receipt printer.
    Printer,
    /// A Datecs fiscal printer (ISL, "P" and "X" frames).
    Isl,
    /// A Tremol fiscal printer (ZFP).
    Zfp,
}

/// `[[pos]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PosConfig {
    /// The port's name, in lists and audit.
    pub name: String,
    /// What the software believes to talk to.
    pub kind: PosKind,
    /// Where it connects: `tcp:127.0.0.1:9100`, `serial:/dev/serial/by-id/…?baud=9600`, `unix:/path`, or, for what is
    /// printed into files, `folder:/path`.
    pub listen: String,
    /// Addresses that may connect over TCP, if not this machine alone.
    #[serde(default)]
    pub allow: Vec<String>,
    /// The till that it sells on.
    pub device_id: u32,
    /// The till's environment.
    pub environment: Environment,
    /// The printer that its paper comes out of.
    pub printer: String,
    /// Templates: names of shipped ones, or files. The first that fits a paper reads it.
    #[serde(default)]
    pub templates: Vec<String>,
    /// How `invoiceNo` is made of what stands on the paper: `{receipt_no}`, `{date}`, `{time}`, `{till}`.
    #[serde(default = "receipt_no")]
    pub invoice_no: String,
    /// HS code of the lines: old papers have none.
    #[serde(default)]
    pub hs_code: Option<String>,
    /// Payment of papers that show none (`moneyTypeCode`).
    #[serde(default = "cash")]
    pub payment: String,
    /// Silence after which a paper is complete, milliseconds.
    #[serde(default = "idle")]
    pub idle_ms: u32,
    /// Whether this software may open the drawer.
    #[serde(default)]
    pub drawer: bool,
    /// What letters and codes mean, for `isl` and `zfp`.
    #[serde(default)]
    pub register: Option<RegisterSettings>,
}

fn receipt_no() -> String {
    "{receipt_no}".to_owned()
}

fn cash() -> String {
    "Cash".to_owned()
}

const fn idle() -> u32 {
    1500
}

/// Where papers or frames come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A link that the software opens.
    Link(LinkConfig),
    /// A folder that it drops files into.
    Folder(PathBuf),
}

impl fmt::Display for Listen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(link) => fmt::Display::fmt(link, formatter),
            Self::Folder(path) => write!(formatter, "folder:{}", path.display()),
        }
    }
}

/// What a port plays.
#[derive(Debug, Clone)]
pub enum Plays {
    /// A receipt printer, whose papers are read by these templates.
    Printer(Arc<Templates>),
    /// A Datecs fiscal printer.
    Isl(Arc<Rules>),
    /// A Tremol fiscal printer.
    Zfp(Arc<Rules>),
}

/// A port as the daemon uses it.
#[derive(Debug, Clone)]
pub struct PosSetup {
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub listen: Listen,
    /// Who may connect over TCP.
    pub allow: Arc<AllowList>,
    /// What it plays.
    pub plays: Plays,
    /// The till.
    pub till: (Environment, DeviceId),
    /// The printer.
    pub printer: String,
    /// How `invoiceNo` is made.
    pub invoice_no: String,
    /// HS code of the lines.
    pub hs_code: Option<String>,
    /// Payment of papers that show none.
    pub payment: MoneyType,
    /// Silence after which a paper is complete.
    pub idle: Duration,
    /// Whether the drawer may be opened.
    pub drawer: bool,
}

impl Config {
    /// The ports for old POS software.
    ///
    /// # Errors
    /// A link, a template, a tax letter or a name that is none.
    pub fn pos(&self) -> Result<Vec<PosSetup>, String> {
        let plan = self.print_plan()?;
        let mut ports: Vec<PosSetup> = Vec::new();
        for pos in &self.pos {
            if ports.iter().any(|port| port.name == pos.name) {
                return Err(format!("pos: {}: is there twice", pos.name));
            }
            let setup = pos
                .setup(&plan)
                .map_err(|what| format!("pos: {}: {what}", pos.name))?;
            if let Some(other) = ports.iter().find(|other| other.listen == setup.listen) {
                let (name, other) = (&setup.name, &other.name);
                return Err(format!("pos: {name}: listen: {other} listens there too"));
            }
            ports.push(setup);
        }
        Ok(ports)
    }
}

impl PosConfig {
    fn setup(&self, plan: &PrintPlan) -> Result<PosSetup, String> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(is_name) {
            return Err("a name is 1 to 40 letters, digits, hyphens".to_owned());
        }
        if plan.named(&self.printer).is_none() {
            let (name, meant) = (&self.printer, did_you_mean(&self.printer, plan.names()));
            return Err(format!(
                "printer: there is no printer \"{name}\"{meant}; add it as [[printers]]"
            ));
        }
        if self.idle_ms < 200 {
            return Err("idle_ms must be at least 200: papers come in pieces".to_owned());
        }
        if !self.invoice_no.contains("{receipt_no}") {
            return Err(
                "invoice_no must have {receipt_no} in it: invoice numbers are unique".to_owned(),
            );
        }
        let payment = MoneyType::parse(&self.payment);
        let payment =
            payment.ok_or_else(|| format!("payment: \"{}\" is no money type", self.payment))?;
        let device = DeviceId::new(self.device_id);
        let device =
            device.ok_or_else(|| format!("device_id: {} is no device ID", self.device_id))?;
        Ok(PosSetup {
            name: self.name.clone(),
            listen: self.listen().map_err(|why| format!("listen: {why}"))?,
            allow: Arc::new(AllowList::parse(&self.allow).map_err(|e| format!("allow: {e}"))?),
            plays: self.plays()?,
            till: (self.environment, device),
            printer: self.printer.clone(),
            invoice_no: self.invoice_no.clone(),
            hs_code: self.hs_code.clone(),
            payment,
            idle: Duration::from_millis(self.idle_ms.into()),
            drawer: self.drawer,
        })
    }

    fn listen(&self) -> Result<Listen, String> {
        if let Some(path) = self.listen.strip_prefix("folder:") {
            return match self.kind {
                PosKind::Printer => Ok(Listen::Folder(path.into())),
                _ => Err("a fiscal printer is spoken to over a link, not by files".to_owned()),
            };
        }
        let link = LinkConfig::parse(&self.listen).map_err(|error| error.to_string())?;
        match &link {
            LinkConfig::Tcp { host, .. } => {
                let is_here =
                    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
                if !is_here && self.allow.is_empty() {
                    return Err(format!(
                        "{host} is reached by other machines: say in `allow` which of them may sell, such as [\"192.168.1.20\"]"
                    ));
                }
            }
            LinkConfig::Serial(_) | LinkConfig::Unix(_) => {}
            LinkConfig::Usb(_) | LinkConfig::File(_) => {
                return Err("POS software connects to tcp:, serial:, unix: or folder:".to_owned());
            }
        }
        Ok(Listen::Link(link))
    }

    fn plays(&self) -> Result<Plays, String> {
        if self.kind == PosKind::Printer {
            if self.register.is_some() {
                return Err("`register` belongs to the kinds isl and zfp".to_owned());
            }
            if self.templates.is_empty() {
                return Err("templates are missing: without one nothing can be read".to_owned());
            }
            return Ok(Plays::Printer(Arc::new(Templates::load(&self.templates))));
        }
        let Some(settings) = self.register.clone() else {
            return Err("[pos.register] is missing: currency and tax letters".to_owned());
        };
        let rules = Arc::new(Rules::new(settings).map_err(|error| error.to_string())?);
        Ok(match self.kind {
            PosKind::Isl => Plays::Isl(rules),
            _ => Plays::Zfp(rules),
        })
    }
}

/// A port's templates, which a technician mends while it is served. One that cannot be used keeps neither the daemon
/// nor its other ports from running: the papers of this port are put aside until it is mended.
#[derive(Debug)]
pub struct Templates {
    names: Vec<String>,
    loaded: RwLock<Result<Arc<Vec<Template>>, String>>,
}

impl Templates {
    /// Reads them.
    #[must_use]
    pub fn load(names: &[String]) -> Self {
        Self {
            names: names.to_vec(),
            loaded: RwLock::new(read(names)),
        }
    }

    /// The templates as they were read last.
    ///
    /// # Errors
    /// One is not there, or cannot be used.
    pub fn current(&self) -> Result<Arc<Vec<Template>>, String> {
        self.loaded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Reads them again: from now on the port uses what stands in the files.
    ///
    /// # Errors
    /// One is not there, or cannot be used.
    pub fn reload(&self) -> Result<(), String> {
        let fresh = read(&self.names);
        let told = fresh.clone().map(drop);
        *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        told
    }
}

fn read(names: &[String]) -> Result<Arc<Vec<Template>>, String> {
    let templates = names.iter().map(|name| template(name));
    Ok(Arc::new(templates.collect::<Result<_, _>>()?))
}

/// A template by the name of a shipped one, or by its file.
///
/// # Errors
/// There is none, or it cannot be used.
pub fn template(name: &str) -> Result<Template, String> {
    if !name.contains(['/', '.']) {
        return Template::named(name).map_err(|error| error.to_string());
    }
    let text = template_file(Path::new(name)).map_err(|why| format!("template {name}: {why}"))?;
    Template::parse(&text).map_err(|error| format!("template {name}: {error}"))
}

/// The text of a template's file. A device or a pipe is not opened: one may never end, the other never begin.
fn template_file(path: &Path) -> Result<String, String> {
    let about = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !about.is_file() {
        return Err("this is a folder, a device or a pipe, and no file".to_owned());
    }
    let bytes = about.len();
    if bytes > MAX_TEMPLATE {
        return Err(format!(
            "this file has {bytes} bytes; a template has {MAX_TEMPLATE} at most"
        ));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}
