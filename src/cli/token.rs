//! `fiscald token`: which software may come in, and for which till.

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Subcommand};

use super::Done;
use super::setup::{has_ledger, open};
use crate::config::Config;
use crate::ledger::tills::new_token;
use crate::ledger::{Reader, TillInfo};

/// Who acts, as the audit names him.
const ACTOR: &str = "cli";

#[derive(Debug, Subcommand)]
pub(super) enum TokenCommand {
    /// Make a token and show it, this once.
    ///
    /// Software of a till gets one of its till (--device-id). One for every till may adopt, switch and retire tills too:
    /// it is for a technician's tools (--every-till).
    #[command(group(ArgGroup::new("reach").required(true).args(["device_id", "every_till"])))]
    Add {
        /// Its name, as the audit will show it.
        name: String,
        /// The till that it sells for, and no other.
        #[arg(long)]
        device_id: Option<u32>,
        /// It may read, sell on and steer every till of the store.
        #[arg(long)]
        every_till: bool,
    },
    /// List tokens by name.
    List,
    /// Revoke a token.
    Revoke {
        /// Its name.
        name: String,
    },
}

pub(super) fn token(config: &Config, command: &TokenCommand) -> Done {
    has_ledger(config)?;
    match command {
        TokenCommand::List => list(config),
        // One of the two was given: without a till it is for all.
        TokenCommand::Add {
            name, device_id, ..
        } => add(config, name, *device_id),
        TokenCommand::Revoke { name } => revoke(config, name),
    }
}

fn add(config: &Config, name: &str, device: Option<u32>) -> Done {
    let till = match device {
        None => None,
        Some(device) => Some(find_till(config, device)?.id),
    };
    let token = new_token()?;
    open(config)?.write(|core| core.add_token(name, till, &token, ACTOR))?;
    println!("Token of \"{name}\", shown this once:");
    println!("{token}");
    Ok(ExitCode::SUCCESS)
}

fn find_till(config: &Config, device: u32) -> anyhow::Result<TillInfo> {
    let tills = Reader::new(&config.ledger_path()).tills()?;
    let mut named = tills
        .into_iter()
        .filter(|till| till.device_id.get() == device);
    let till = named
        .next()
        .with_context(|| format!("there is no till {device} in this store"))?;
    if named.next().is_some() {
        bail!(
            "there are two tills {device}, of test and of production; this cannot be told apart yet"
        );
    }
    Ok(till)
}

fn list(config: &Config) -> Done {
    let reader = Reader::new(&config.ledger_path());
    let tills = reader.tills()?;
    for token in reader.tokens()? {
        let till = match token.till {
            None => "every till".to_owned(),
            Some(id) => tills
                .iter()
                .find(|till| till.id == id)
                .map_or_else(String::new, |till| format!("till {}", till.device_id)),
        };
        let state = if token.revoked { "revoked" } else { "in use" };
        println!("{:<24} {till:<16} {state}", token.name);
    }
    Ok(ExitCode::SUCCESS)
}

fn revoke(config: &Config, name: &str) -> Done {
    if open(config)?.write(|core| core.revoke_token(name, ACTOR))? {
        println!("The token \"{name}\" no longer works.");
        return Ok(ExitCode::SUCCESS);
    }
    Err(anyhow::anyhow!("no token in use is called \"{name}\"; see `fiscald token list`").into())
}
