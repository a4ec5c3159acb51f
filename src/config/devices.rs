//! `[[printers]]`: the store's printers and what each prints.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drivers::display::Dialect;
use drivers::page::{Bitmap, Shades};
use drivers::profile::{Profile, ProfileChoice, ProfileError};
use drivers::transport::LinkConfig;
use fiscal::{DeviceId, MoneyType};
use serde::Deserialize;

use super::Config;
use super::hints::did_you_mean;
use crate::ledger::Environment;

/// What follows when nobody knows whether a paper came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterUnknown {
    /// A copy, as soon as the printer can.
    #[default]
    Copy,
    /// A person is asked: `fiscald printer settle`.
    Ask,
}

/// `[[printers]]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrinterConfig {
    /// Its name, in commands and answers.
    pub name: String,
    /// Where it is: `usb:any`, `usb:serial=X1`, `tcp:192.168.1.50:9100`, `serial:/dev/serial/by-id/…?baud=9600`,
    /// `unix:/path`, `file:/path`.
    pub link: String,
    /// What it can do: a profile's name, or a table with `name` and what differs.
    pub profile: ProfileSetting,
    /// Tills whose papers it prints; empty: every till's.
    #[serde(default)]
    pub tills: Vec<u32>,
    /// Whether it prints receipts; else only what is sent to it by name.
    #[serde(default = "yes")]
    pub receipts: bool,
    /// Whether it prints the Z report of each day that is closed.
    #[serde(default = "yes")]
    pub z_reports: bool,
    /// What follows a paper whose fate is not known.
    #[serde(default)]
    pub after_unknown: AfterUnknown,
    /// How long a printer that has a fault in the middle of a paper is waited for, minutes.
    #[serde(default = "ten")]
    pub patience_min: u16,
    /// A picture above each receipt, in place of the store's: PNG.
    #[serde(default)]
    pub logo: Option<PathBuf>,
    /// Payments (`moneyTypeCode`) that open the drawer with the original of a receipt.
    #[serde(default)]
    pub drawer_on: Vec<String>,
    /// Whether the drawer may be opened by command.
    #[serde(default)]
    pub drawer: bool,
    /// A two-line customer display beside it.
    #[serde(default)]
    pub display: Option<DisplayConfig>,
}

/// `display` of a printer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DisplayConfig {
    /// Where it is, such as `serial:/dev/serial/by-id/…?baud=9600`.
    pub link: String,
    /// What it speaks.
    #[serde(default)]
    pub dialect: DisplayDialect,
}

/// What a display speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisplayDialect {
    /// CD5220, as most pole displays.
    #[default]
    Cd5220,
    /// ESC/POS.
    EscPos,
}

/// A profile's name, or a choice with overrides.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum ProfileSetting {
    /// As it is shipped.
    Name(String),
    /// With what differs.
    Choice(Box<ProfileChoice>),
}

const fn yes() -> bool {
    true
}

const fn ten() -> u16 {
    10
}

/// A printer as the daemon uses it.
#[derive(Debug, Clone)]
pub struct PrinterSetup {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub link: LinkConfig,
    /// What it can do.
    pub profile: Profile,
    /// Tills whose papers it prints; empty: every till's.
    pub tills: Vec<DeviceId>,
    /// Whether it prints receipts.
    pub receipts: bool,
    /// Whether it prints Z reports.
    pub z_reports: bool,
    /// What follows a paper whose fate is not known.
    pub after_unknown: AfterUnknown,
    /// How long a fault in the middle of a paper is waited for.
    pub patience: Duration,
    /// A picture above each receipt.
    pub logo: Option<PathBuf>,
    /// Payments that open the drawer.
    pub drawer_on: Vec<MoneyType>,
    /// Whether the drawer may be opened by command.
    pub drawer: bool,
    /// A customer display: where it is and what it speaks.
    pub display: Option<(LinkConfig, Dialect)>,
}

impl PrinterConfig {
    fn setup(&self) -> Result<PrinterSetup, String> {
        let place = |what: &str| format!("printers: {}: {what}", self.name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if self.name.is_empty() || self.name.len() > 40 || !self.name.chars().all(is_name) {
            return Err(format!(
                "printers: \"{}\": a name is 1 to 40 letters, digits, hyphens",
                self.name
            ));
        }
        let profile = match &self.profile {
            ProfileSetting::Name(name) => Profile::named(name),
            ProfileSetting::Choice(choice) => choice.profile(),
        };
        let profile = profile.map_err(|error| {
            let meant = match &error {
                ProfileError::Unknown(name, _) => did_you_mean(name, Profile::names()),
                _ => String::new(),
            };
            place(&format!("profile: {error}{meant}"))
        });
        if self.patience_min == 0 {
            return Err(place("patience_min must be at least 1"));
        }
        let money = self.drawer_on.iter().map(|text| {
            MoneyType::parse(text)
                .ok_or_else(|| place(&format!("drawer_on: \"{text}\" is no money type")))
        });
        let tills = self.tills.iter().map(|id| {
            DeviceId::new(*id).ok_or_else(|| place(&format!("tills: {id} is no device ID")))
        });
        Ok(PrinterSetup {
            link: LinkConfig::parse(&self.link).map_err(|e| place(&format!("link: {e}")))?,
            profile: profile?,
            tills: tills.collect::<Result<_, _>>()?,
            drawer_on: money.collect::<Result<_, _>>()?,
            name: self.name.clone(),
            receipts: self.receipts,
            z_reports: self.z_reports,
            after_unknown: self.after_unknown,
            patience: Duration::from_secs(u64::from(self.patience_min) * 60),
            logo: self.logo.clone(),
            drawer: self.drawer,
            display: self
                .display
                .as_ref()
                .map(display)
                .transpose()
                .map_err(|e| place(&e))?,
        })
    }
}

fn display(config: &DisplayConfig) -> Result<(LinkConfig, Dialect), String> {
    let link = LinkConfig::parse(&config.link).map_err(|error| format!("display: {error}"))?;
    let dialect = match config.dialect {
        DisplayDialect::Cd5220 => Dialect::Cd5220,
        DisplayDialect::EscPos => Dialect::EscPos,
    };
    Ok((link, dialect))
}

impl PrinterSetup {
    /// Whether it prints papers of this till.
    #[must_use]
    pub fn serves(&self, till: DeviceId) -> bool {
        self.tills.is_empty() || self.tills.contains(&till)
    }
}

/// Which printers there are, and what goes where.
#[derive(Debug, Clone, Default)]
pub struct PrintPlan {
    /// The printers, in the configuration's order.
    pub printers: Vec<PrinterSetup>,
    /// Tills that print elsewhere, and where.
    pub tills: Vec<TillPrinting>,
}

/// Where a till prints.
#[derive(Debug, Clone)]
pub struct TillPrinting {
    /// The till.
    pub till: (Environment, DeviceId),
    /// The printer of its receipts.
    pub printer: Option<String>,
}

impl PrintPlan {
    fn of(&self, till: (Environment, DeviceId)) -> Option<&TillPrinting> {
        self.tills.iter().find(|own| own.till == till)
    }

    /// A printer by its name.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&PrinterSetup> {
        self.printers.iter().find(|printer| printer.name == name)
    }

    /// The printers' names.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.printers.iter().map(|printer| printer.name.as_str())
    }

    /// The printer of a till's Z reports: that of its receipts, else the first that serves the till.
    #[must_use]
    pub fn z_printer(&self, till: (Environment, DeviceId)) -> Option<&PrinterSetup> {
        let own = self.printer(till).filter(|printer| printer.z_reports);
        own.or_else(|| {
            let mut others = self.printers.iter().filter(|p| p.z_reports && !p.receipts);
            others.find(|printer| printer.serves(till.1))
        })
    }

    /// The printer of a till's receipts.
    #[must_use]
    pub fn printer(&self, till: (Environment, DeviceId)) -> Option<&PrinterSetup> {
        let own = self.of(till).and_then(|own| own.printer.as_deref());
        if let Some(name) = own {
            return self.named(name);
        }
        let mut all = self.printers.iter().filter(|p| p.receipts);
        all.find(|printer| printer.serves(till.1))
    }
}

/// A picture in a file as a receipt printer prints it.
///
/// # Errors
/// The file cannot be read, or is no picture for a receipt.
pub fn picture(path: &Path) -> Result<Bitmap, String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    Bitmap::from_png(&bytes, Shades::Spread).map_err(|error| error.to_string())
}

impl Config {
    /// The store's logo as it stands on PDF invoices: the bytes of a PNG.
    ///
    /// # Errors
    /// The file cannot be read, or is no picture for a PDF invoice.
    pub fn logo(&self) -> Result<Option<Vec<u8>>, String> {
        let Some(path) = &self.store.logo else {
            return Ok(None);
        };
        let wrong = |why: String| {
            format!(
                "store: the logo {} cannot be used ({why}); PDF invoices come without it",
                path.display()
            )
        };
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        a4::check_logo(&bytes).map_err(|error| wrong(error.to_string()))?;
        Ok(Some(bytes))
    }

    /// The printers and what goes where.
    ///
    /// # Errors
    /// A link, a profile or a name that is none.
    pub fn print_plan(&self) -> Result<PrintPlan, String> {
        let mut plan = PrintPlan::default();
        for printer in &self.printers {
            if plan.named(&printer.name).is_some() {
                return Err(format!("printers: {}: is there twice", printer.name));
            }
            let mut setup = printer.setup()?;
            setup.logo = setup.logo.or_else(|| self.store.logo.clone());
            if let Some(other) = plan.printers.iter().find(|other| other.link == setup.link) {
                let (name, link) = (&setup.name, &setup.link);
                return Err(format!(
                    "printers: {name}: link: {} is at {link} too",
                    other.name
                ));
            }
            plan.printers.push(setup);
        }
        for till in &self.tills {
            let device = till.device()?;
            if let Some(name) = &till.printer
                && plan.named(name).is_none()
            {
                let (environment, meant) = (till.environment, did_you_mean(name, plan.names()));
                return Err(format!(
                    "tills: {device} ({environment}): printer: there is no printer \"{name}\"{meant}"
                ));
            }
            plan.tills.push(TillPrinting {
                till: (till.environment, device),
                printer: till.printer.clone(),
            });
        }
        Ok(plan)
    }
}
