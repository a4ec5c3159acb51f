//! `fiscald register`: what sets a store up.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clock::SystemClock;
use fiscal::DeviceId;

use super::{Done, RegisterArgs};
use crate::config::Config;
use crate::fdms::wire;
use crate::join::verify_taxpayer;
use crate::join::{Joined, Progress, Registration, import, progress, register as join, set_up};
use crate::keys::{Imported, KeyKind, RecoveryPassphrase};
use crate::ledger::core::Core;
use crate::ledger::tills::NewTill;
use crate::ledger::{Environment, Ledger};
use crate::submit::Access;

/// Who acts, as the audit names him.
const ACTOR: &str = "cli";

pub(super) fn register(config: &Config, args: &RegisterArgs) -> Done {
    let till = NewTill {
        environment: environment(args)?,
        device_id: device_id(match args.device_id {
            Some(device) => device,
            None => needed("--device-id", "Device ID: ")?
                .parse()
                .context("a device ID is a number")?,
        })?,
        serial_no: match &args.serial_no {
            Some(serial_no) => serial_no.clone(),
            None => needed("--serial-no", "Serial number: ")?,
        },
        model_name: args.model_name.clone(),
        model_version: args.model_version.clone(),
        invoice_prefix: args.invoice_prefix.clone(),
    };
    let device = till.device_id;
    let kind: KeyKind = args.key_kind.parse().map_err(anyhow::Error::msg)?;
    let set_up = set_up(config, Arc::new(SystemClock))?;
    show_passphrase(set_up.passphrase.as_ref());
    let ledger = Ledger::start(set_up.core, &config.ledger_path())?;
    let access =
        Access::from_config(&config.fdms, Arc::new(SystemClock)).map_err(anyhow::Error::msg)?;
    let runtime = super::runtime()?;
    let result = runtime.block_on(register_till(&ledger, &access, till, kind, args));
    ledger.stop();
    let joined = result?;
    report(device, &joined);
    Ok(ExitCode::SUCCESS)
}

/// The recovery passphrase, if it was made just now.
pub(super) fn show_passphrase(passphrase: Option<&RecoveryPassphrase>) {
    if let Some(passphrase) = passphrase {
        println!(
            "This store's recovery passphrase, shown this once. With it, and only with it, a backup can be\n\
             opened on another machine. Write it down and keep it away from this machine:\n\n    {}\n",
            *passphrase.reveal()
        );
    }
}

async fn register_till(
    ledger: &Ledger,
    access: &Access,
    till: NewTill,
    kind: KeyKind,
    args: &RegisterArgs,
) -> anyhow::Result<Joined> {
    if let Some(imported) = imported(args)? {
        println!(
            "The certificate is of {}.",
            imported.certificate.common_name()
        );
        return Ok(import(ledger, access, &till, imported, ACTOR).await?);
    }
    let done = progress(ledger, &till).await?;
    let activation_key = match (done, &args.activation_key_file) {
        (Progress::Registered, _) if !args.again => String::new(),
        (_, Some(file)) => read_secret(file)?,
        (_, None) => ask("Activation key: ")?,
    };
    if done == Progress::New || args.again {
        let taxpayer = verify_taxpayer(access, &till, &activation_key).await?;
        show_taxpayer(&taxpayer);
        if !args.yes && !confirmed()? {
            bail!("not registered; nothing was changed");
        }
    }
    let registration = Registration {
        till,
        activation_key: &activation_key,
        kind,
        again: args.again,
        actor: ACTOR,
    };
    Ok(join(ledger, access, &registration).await?)
}

/// Test or production: asked for, with what it means, if it is not given.
fn environment(args: &RegisterArgs) -> anyhow::Result<Environment> {
    if let Some(environment) = args.environment {
        return Ok(environment.into());
    }
    let question = "FDMS of the till, for its whole life: `test`, whose receipts are not valid, or `production`: ";
    let typed = needed("--environment", question)?;
    Environment::parse(&typed.to_ascii_lowercase())
        .with_context(|| format!("\"{typed}\" is neither test nor production"))
}

/// What a person types for a flag that was left out.
fn needed(flag: &str, question: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked; give {flag}");
    }
    let typed = ask(question)?;
    if typed.is_empty() {
        bail!("nothing was typed; nothing was changed");
    }
    Ok(typed)
}

/// A certificate and key that are taken in instead of registering.
fn imported(args: &RegisterArgs) -> anyhow::Result<Option<Imported>> {
    if let (Some(certificate), Some(key)) = (&args.certificate, &args.key) {
        let certificate = std::fs::read_to_string(certificate)
            .with_context(|| format!("{} cannot be read", certificate.display()))?;
        return Ok(Some(Imported::from_pem(&certificate, &read_secret(key)?)?));
    }
    let Some(file) = &args.pkcs12 else {
        return Ok(None);
    };
    let bytes =
        std::fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let passphrase = match &args.pkcs12_passphrase_file {
        Some(file) => read_secret(file)?,
        None => ask("Passphrase of the PKCS#12 file: ")?,
    };
    Ok(Some(Imported::from_pkcs12(&bytes, &passphrase)?))
}

fn show_taxpayer(taxpayer: &wire::Taxpayer) {
    println!("The authority has this device under:");
    println!("  {}", taxpayer.name);
    println!("  TIN {}", taxpayer.tin);
    match &taxpayer.vat_number {
        Some(number) => println!("  VAT number {number}"),
        None => println!("  not registered for VAT"),
    }
    println!("  branch {}", taxpayer.branch_name);
}

fn report(till: DeviceId, joined: &Joined) {
    if joined.was_registered {
        println!("The till {till} was registered before; its configuration is up to date.");
    } else {
        println!("The till {till} is registered and can sell.");
    }
    if let Some(past) = &joined.foreign_past {
        println!("Take care: {past}");
    }
    println!(
        "Next: make a token for it with `fiscald token add NAME --device-id {till}`, and run `fiscald run` \
         (where it was installed as a package: `systemctl start fiscald`, if it does not run)."
    );
}

fn device_id(number: u32) -> anyhow::Result<DeviceId> {
    DeviceId::new(number)
        .filter(|id| id.get() > 0)
        .with_context(|| format!("{number} is no device ID"))
}

pub(super) fn read_secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("{} cannot be read", file.display()))?;
    Ok(text.trim().to_owned())
}

/// Asks on the terminal; from a pipe it reads a line.
pub(super) fn ask(question: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        print!("{question}");
        std::io::stdout().flush()?;
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

fn confirmed() -> anyhow::Result<bool> {
    if !std::io::stdin().is_terminal() {
        bail!("nobody can be asked whether this is the right taxpayer; add --yes");
    }
    agreed("Register the till for this taxpayer? (yes/no) ")
}

/// Whether the person says yes.
pub(super) fn agreed(question: &str) -> anyhow::Result<bool> {
    let answer = ask(question)?;
    Ok(matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes"))
}

/// A store must be set up before anything else is kept in its ledger.
pub(super) fn has_ledger(config: &Config) -> anyhow::Result<()> {
    if config.ledger_path().exists() {
        return Ok(());
    }
    bail!(
        "there is no ledger in {} yet; register a till first with `fiscald register`",
        config.data_dir().display()
    )
}

pub(super) fn open(config: &Config) -> anyhow::Result<Core> {
    Ok(set_up(config, Arc::new(SystemClock))?.core)
}
