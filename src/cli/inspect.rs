//! `fiscald inspect`: JSON on standard input, JSON on standard output.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use zeroize::Zeroizing;

use super::{Done, InspectCommand};
use crate::inspect::{inspect_day, inspect_qr, inspect_receipt, signing_key};
use crate::keys::{DeviceKey, Signer};

pub(super) fn inspect(command: &InspectCommand) -> Done {
    if std::io::stdin().is_terminal() {
        eprintln!("Reading JSON from the terminal; end it with Ctrl-D.");
    }
    let mut input = Vec::new();
    std::io::stdin().read_to_end(&mut input)?;
    let output = match command {
        InspectCommand::Receipt { key } => {
            let key = key.as_deref().map(read_key).transpose()?;
            inspect_receipt(&input, key.as_ref().map(|key| key as &dyn Signer))?
        }
        InspectCommand::Day { key } => {
            let key = key.as_deref().map(read_key).transpose()?;
            inspect_day(&input, key.as_ref().map(|key| key as &dyn Signer))?
        }
        InspectCommand::Qr => inspect_qr(&input)?,
    };
    println!("{output}");
    Ok(ExitCode::SUCCESS)
}

/// A private key in PKCS#8, PEM.
fn read_key(path: &Path) -> anyhow::Result<DeviceKey> {
    let pem = std::fs::read_to_string(path)
        .map(Zeroizing::new)
        .with_context(|| format!("{} cannot be read", path.display()))?;
    signing_key(&pem).with_context(|| path.display().to_string())
}
