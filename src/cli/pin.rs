//! `fiscald pin`: the PIN of the operator's page. It is typed, or read from standard input, and never an argument,
//! which every user of the machine could read.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::bail;
use clap::Subcommand;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::Done;
use super::setup::{has_ledger, open};
use crate::config::Config;
use crate::ledger::Reader;
use crate::page::pin::hash;

/// Who acts, as the audit names him.
const ACTOR: &str = "cli";

#[derive(Debug, Subcommand)]
pub(super) enum PinCommand {
    /// Set the PIN, or another one: 4 to 12 digits, typed twice, or one line of standard input.
    Set,
    /// Remove the PIN: nothing can be changed on the operator's page until one is set.
    Remove,
    /// Say whether a PIN is set.
    Show,
}

pub(super) fn pin(config: &Config, command: &PinCommand) -> Done {
    has_ledger(config)?;
    match command {
        PinCommand::Set => {
            let hash = hash(&typed()?)?;
            open(config)?.write(|core| core.set_page_pin(Some(&hash), ACTOR))?;
            println!("The PIN of the operator's page is set. It holds at once.");
        }
        PinCommand::Remove => {
            open(config)?.write(|core| core.set_page_pin(None, ACTOR))?;
            println!(
                "There is no PIN any more: the operator's page can be read, and changes nothing."
            );
        }
        PinCommand::Show => {
            let is_set = Reader::new(&config.ledger_path()).page_pin()?.is_some();
            println!(
                "{}",
                if is_set {
                    "a PIN is set"
                } else {
                    "no PIN is set"
                }
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a person types twice without being seen; from a pipe one line.
fn typed() -> anyhow::Result<Zeroizing<String>> {
    if !std::io::stdin().is_terminal() {
        return line();
    }
    let first = unseen("New PIN (4 to 12 digits): ")?;
    if *unseen("The same again: ")? != *first {
        bail!("the two are not the same; nothing was changed");
    }
    Ok(first)
}

/// A line from a terminal that shows nothing meanwhile.
fn unseen(question: &str) -> anyhow::Result<Zeroizing<String>> {
    print!("{question}");
    std::io::stdout().flush()?;
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let typed = line();
    tcsetattr(&stdin, OptionalActions::Flush, &before)?;
    println!();
    typed
}

fn line() -> anyhow::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(Zeroizing::new(line.trim().to_owned()))
}
