//! `fiscald hq`: joins head office, shows how the store gets on with it, leaves it.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Subcommand;
use clock::{SharedClock, SystemClock};
use hyper::Method;
use serde_json::Value;
use sync_wire::settings::StoreSettings;

use super::Done;
use super::till::text;
use crate::config::Config;
use crate::hq::join::{Joined, Joining, join};
use crate::join::set_up;
use crate::ledger::Reader;
use crate::ledger::hq::HqState;

/// Who acts, as the audit names him.
const ACTOR: &str = "cli";

#[derive(Debug, Subcommand)]
pub(super) enum HqCommand {
    /// Join head office with a code that was made there for this store.
    ///
    /// On a machine without a ledger whose store head office knows, the ledger is built again from what head office
    /// has of it.
    Join {
        /// The code, which is good once; `-` reads it from standard input, so that it stands in no list of processes.
        code: String,
        /// Head office's address, such as `https://hq.example.com`.
        #[arg(long)]
        url: String,
        /// The certificate authority that head office's certificate comes from (PEM), where it is not a public one.
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Show how the store gets on with head office.
    Status,
    /// Leave head office: the store goes on by itself.
    Leave,
}

pub(super) fn hq(config: &Config, command: &HqCommand) -> Done {
    match command {
        HqCommand::Join { code, url, ca } => join_hq(config, code, url, ca.as_deref()),
        HqCommand::Status => status(config),
        HqCommand::Leave => leave(config),
    }
}

fn join_hq(config: &Config, code: &str, url: &str, ca: Option<&Path>) -> Done {
    let code = read_code(code)?;
    let ca = ca.map(|file| {
        std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
    });
    let ca = ca.transpose()?;
    let clock: SharedClock = Arc::new(SystemClock);
    let mut set_up = set_up(config, Arc::clone(&clock))?;
    super::setup::show_passphrase(set_up.passphrase.as_ref());
    let joining = Joining {
        url,
        ca,
        code: &code,
        actor: ACTOR,
        ledger: &config.ledger_path(),
        clock,
    };
    let joined = super::runtime()?.block_on(join(&mut set_up.core, &joining))?;
    report(&joined);
    Ok(ExitCode::SUCCESS)
}

/// The code as it was given, or from standard input.
fn read_code(code: &str) -> anyhow::Result<String> {
    let code = match code {
        "-" if std::io::stdin().is_terminal() => super::setup::ask("Code: ")?,
        "-" => {
            let mut typed = String::new();
            std::io::stdin().take(4096).read_to_string(&mut typed)?;
            typed
        }
        code => code.to_owned(),
    };
    let code = code.trim().to_owned();
    if code.is_empty() {
        bail!("no code was given; nothing was changed");
    }
    Ok(code)
}

fn report(joined: &Joined) {
    println!(
        "This is now the store \"{}\" of {}.",
        joined.store, joined.tenant
    );
    if let Some(lines) = joined.rebuilt {
        println!(
            "Its ledger was built again from the {lines} events that head office has, and verified. The private keys of its\n\
             tills are lost with the old machine, and every till is held until FDMS has been asked."
        );
    }
    for till in &joined.tills {
        let (environment, device) = (till.expected.till.environment, till.expected.till.device_id);
        let machine = &till.expected.machine_name;
        println!(
            "  till {device} ({environment}) on {machine}: {}",
            till.next
        );
    }
    println!(
        "Next: run `fiscald run`, if it does not run; `fiscald hq status` shows how far head office has its events."
    );
}

fn status(config: &Config) -> Done {
    if let Ok(answer) = super::client::ask(config, Method::GET, "/v1/status", Vec::new()) {
        let answer: Value = serde_json::from_str(&answer.success()?)?;
        match answer.get("headOffice") {
            Some(hq) => show(hq),
            None => println!("The store has not joined a head office."),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let joined = match config.ledger_path().exists() {
        true => Reader::new(&config.ledger_path()).hq()?,
        false => None,
    };
    match joined {
        Some(hq) => show_kept(&hq),
        None => println!("The store has not joined a head office."),
    }
    println!("The gateway does not run: nothing goes to head office.");
    Ok(ExitCode::SUCCESS)
}

/// What the running gateway says.
pub(super) fn show(hq: &Value) {
    println!(
        "head office {}: {}; {} events wait (the oldest for {} s); last heard {}",
        text(hq, "/url"),
        text(hq, "/state"),
        text(hq, "/waiting"),
        text(hq, "/lagSeconds"),
        text(hq, "/lastContact"),
    );
    println!(
        "  this is \"{}\" of {}",
        text(hq, "/store"),
        text(hq, "/tenant")
    );
    let set = hq.get("settings").cloned().unwrap_or_default();
    show_settings(&serde_json::from_value(set).unwrap_or_default());
    if hq.get("error").is_some() {
        println!("  since {}: {}", text(hq, "/since"), text(hq, "/error"));
    }
}

fn show_kept(hq: &HqState) {
    let heard = hq.last_contact.map(|at| clock::local(at).to_string());
    println!(
        "head office {}: {} events wait; last heard {}",
        hq.url,
        hq.waiting,
        heard.as_deref().unwrap_or("-")
    );
    println!("  this is \"{}\" of {}", hq.store, hq.tenant);
    show_settings(&hq.wanted.settings);
}

/// What head office has set, if it has set anything.
fn show_settings(set: &StoreSettings) {
    if !set.is_empty() {
        println!("  set by head office: {set}");
    }
}

fn leave(config: &Config) -> Done {
    if !config.ledger_path().exists() {
        return Err(
            anyhow::anyhow!("there is no ledger in {}", config.data_dir().display()).into(),
        );
    }
    let mut core = set_up(config, Arc::new(SystemClock))?.core;
    core.write(|core| core.hq_leave(ACTOR))?;
    println!(
        "The store has left head office and goes on by itself: gates that head office had closed are open. Remove the\n\
         store's access at head office too."
    );
    Ok(ExitCode::SUCCESS)
}
