//! `fiscald verify`.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::Done;
use crate::config::Config;
use crate::ledger::verify::{VerifyError, verify};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The ledger; the configured one if left out.
    #[arg(long, value_name = "FILE")]
    pub(super) ledger: Option<PathBuf>,
    /// One line of JSON instead of text.
    #[arg(long)]
    json: bool,
}

pub(super) fn verify_ledger(config: &Config, args: &VerifyArgs) -> Done {
    let path = args.ledger.clone().unwrap_or_else(|| config.ledger_path());
    if !path.exists() {
        return Err(anyhow::anyhow!(
            "there is no ledger at {}; name it with --ledger, or the configuration with --config",
            path.display()
        )
        .into());
    }
    let bar = ProgressBar::new(0);
    let style =
        ProgressStyle::with_template("{bar:40} {human_pos} of {human_len} receipts, {eta} left");
    if let Ok(style) = style {
        bar.set_style(style);
    }
    let result = verify(&path, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    });
    bar.finish_and_clear();
    match result {
        Ok(verified) if args.json => {
            println!("{}", serde_json::to_string(&verified)?);
            Ok(ExitCode::SUCCESS)
        }
        Ok(verified) => {
            println!(
                "{}: {} tills, {} fiscal days, {} receipts, {} audit rows: everything agrees",
                path.display(),
                verified.tills,
                verified.days,
                verified.receipts,
                verified.audit
            );
            Ok(ExitCode::SUCCESS)
        }
        Err(VerifyError::Wrong { place, what }) => {
            if args.json {
                println!("{}", serde_json::json!({ "place": place, "what": what }));
            }
            eprintln!("fiscald: {}: {place}: {what}", path.display());
            eprintln!(
                "Keep a copy of this ledger as it is, and sell on another till until it is understood."
            );
            Ok(ExitCode::from(2))
        }
        Err(error) => Err(error.into()),
    }
}
