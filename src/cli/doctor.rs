//! `fiscald doctor`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::Done;
use super::owner::{Needs, become_owner};
use super::terminal::printable;
use crate::config::Config;
use crate::doctor::{Doctor, Report, bundle};
use crate::keys::SealingKey;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// One document of JSON instead of text.
    #[arg(long)]
    json: bool,
    /// Write a support bundle into this file too (.tar.zst): report, configuration, figures and logs, without secrets and
    /// without buyers' data.
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
}

pub(super) fn doctor(config: Option<PathBuf>, args: &DoctorArgs) -> Done {
    let unsealed = as_the_gateway(config.as_deref());
    let runtime = super::runtime()?;
    let doctor = Doctor {
        unsealed,
        ..Doctor::new(config)
    };
    let report = runtime.block_on(doctor.look());
    let bundled = match &args.bundle {
        None => Ok(()),
        Some(file) => runtime.block_on(bundle::write(&doctor, &report, file)),
    };
    // A look that nobody waits for any more must not hold the answer up.
    runtime.shutdown_background();
    show(&report, args.json)?;
    bundled?;
    if let Some(file) = &args.bundle {
        eprintln!(
            "the support bundle is {}; look into it before you send it: tar --zstd -tf {0}",
            file.display()
        );
    }
    Ok(match report.has_fault() {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    })
}

/// What root may do says nothing of what the gateway may: goes on as its user, with the sealing key that root alone can
/// open. A key that cannot be opened is for the doctor to find.
fn as_the_gateway(config: Option<&Path>) -> Option<SealingKey> {
    // The doctor says what is wrong with the configuration, and that it was run as root.
    let loaded = Config::load(config).ok()?;
    for needs in [Needs::Key, Needs::Ledger] {
        match become_owner(loaded.clone(), needs) {
            Ok(config) => return config.unsealed,
            Err(error) => eprintln!("fiscald: {error:#}"),
        }
    }
    None
}

fn show(report: &Report, json: bool) -> anyhow::Result<()> {
    match json {
        true => println!("{}", serde_json::to_string_pretty(report)?),
        false => print!("{}", printable(&report.text())),
    }
    Ok(())
}
